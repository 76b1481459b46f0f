//! The codes of what the engine finds, each with an explanation.

use fuseline_workflow::Code;

/// Codes of the warnings that a reader of the results must know: they are cautions of the run and of
/// its reports.
pub(crate) const OF_RESULTS: [Code; 4] =
    [OTHER_TEST, OTHER_COHORT, OTHER_EXPERTS, AXIS_WITHOUT_EFFECT];

fuseline_workflow::codes! {
    /// A stage fits on the rows that are held out for testing, so that it would be tested on rows
    /// it has memorised. Fit on the output for training rows, usually named `train`.
    LEAK_FIT_ON_TEST = "fuseline::leak_fit_on_test";
    /// A stage fits on, or tests with, evidence for rows whose own labels shaped it. Such evidence
    /// is better than any that a new example will get: a rule fitted on it trusts the experts too
    /// much, and a test on it flatters. Use out-of-fold evidence for fitting (an expert's output
    /// `train`) and held-out evidence for testing (`test`). A `command` that gives evidence for
    /// rows whose labels it is given says `out_of_fold: true` when each row's evidence comes from a
    /// fit without it; one that is given no labels has none to tell. A frozen model that has seen
    /// the rows (`fitted_on`) is in-fold too.
    LEAK_IN_FOLD = "fuseline::leak_in_fold";
    /// A stage fits on training rows, but something upstream was shaped by rows that are held out:
    /// scaling, selection or imputation fitted on all rows is the usual reason. Fit each
    /// preprocessing step inside the fold. An input of a `command` without a role may shape all
    /// that the program gives: role `apply` says that it answers each row by itself, and with
    /// `test_fold` role `fit` gives it the training rows alone.
    LEAK_SHAPED_BY_TEST = "fuseline::leak_shaped_by_test";
    /// A model is asked about rows that it was fitted on, or that something it was fitted on was
    /// fitted on: the model of another fold, or one that learnt from all rows. When this is found
    /// while running, the example_ids are those of the data: the message names one.
    LEAK_MODEL_SAW_ROWS = "fuseline::leak_model_saw_rows";
    /// Two inputs that belong together hold different rows, such as evidence of the training rows
    /// with quality of the test rows, or of two folds.
    LEAK_ROWS_DIFFER = "fuseline::leak_rows_differ";
    /// Training and test rows have changed places: the input for training rows is given the rows
    /// that are tested, and the one for test rows those that are trained on. Exchange the two
    /// references.
    LEAK_SIDES_SWAPPED = "fuseline::leak_sides_swapped";
    /// A positive control reads the labels of test rows on purpose. What it shapes may be the
    /// quality of a fusion rule, whose whole point is then marked as a control; it may not be
    /// evidence, features, or anything else of a native condition.
    LEAK_CONTROL = "fuseline::leak_control";
    /// A group (a person, a session) stands on both sides of a split. Examples of one group
    /// resemble each other, so a model that saw one of them is not tested by another. Split by
    /// group, for example with `split.group_kfold`.
    LEAK_GROUP = "fuseline::leak_group";
    /// A program gave rows that its stage does not declare: rows of the other side of the split, of
    /// another input, or of no input at all. The rows that a stage says it gives are what the
    /// leakage check reasons with before anything runs.
    LEAK_UNDECLARED_ROWS = "fuseline::leak_undeclared_rows";
    /// One example_id stands for more than one row. Its rows could fall on both sides of a split,
    /// or carry different labels. Give each example an example_id of its own.
    LEAK_DUPLICATE_EXAMPLE = "fuseline::leak_duplicate_example";
    /// A stage kind does not say what it does with the rows of an input, or which rows an output
    /// holds, so that nobody can tell whether labels leak through it. This is a mistake in the
    /// stage kind and not in the workflow.
    ROWS_UNKNOWN = "fuseline::rows_unknown";
    /// A file that a stage reads is not there, or cannot be read. A relative path in the workflow
    /// is relative to the workflow's folder, one given with `--set` to the working directory.
    MISSING_FILE = "fuseline::missing_file";
    /// The Python interpreter that programs and rules in Python need is not there, or does not say
    /// its version. It is the one that `python` of the workflow or of `fuseline.toml` names, else
    /// that of `VIRTUAL_ENV`, else `python3` on PATH. Said once, however many stages start it.
    MISSING_INTERPRETER = "fuseline::missing_interpreter";
    /// An axis runs over a fold that the split does not make, so that nothing would be tested
    /// there: the axis is longer than the split's `folds`, or counts from 1 where folds count
    /// from 0.
    UNKNOWN_FOLD = "fuseline::unknown_fold";
    /// A stage runs over an axis of folds, and its `test_fold` is the same at every point: the same
    /// fold would be tested again and again. Write `test_fold: ${{ fold }}`.
    CONSTANT_FOLD = "fuseline::constant_fold";
    /// A split makes folds that no stage tests, so that their examples are trained on and never
    /// tested: the axis is shorter than the split's `folds`. A warning: a study of some folds runs,
    /// and says of fewer examples.
    UNTESTED_FOLD = "fuseline::untested_fold";
    /// Results of several tests of the same examples arrive together where one test of each example
    /// is pooled: the stage gathers an axis, such as `rule`, that it must run over.
    TESTED_TWICE = "fuseline::tested_twice";
    /// What arrives together is of several tests: effects of other actions than the permutations, or
    /// permutations of others than the findings, so that gap and interval would be of two tests. A
    /// warning, which the report has as a caution, where evidence or quality is another than
    /// the test was asked with: headroom, alignment and routers are of that.
    OTHER_TEST = "fuseline::other_test";
    /// A stage reads a cohort, and what arrives beside it was made with another one: experts that were
    /// trained on other labels than the rule that fuses them, or a control that knows of others. A
    /// warning, which the report has as a caution.
    OTHER_COHORT = "fuseline::other_cohort";
    /// A model is asked about evidence of other experts than those that gave the evidence that it was
    /// fitted on. A warning, which the report has as a caution: usually one of two references was
    /// not changed with the other.
    OTHER_EXPERTS = "fuseline::other_experts";
    /// The modalities that arrive at a stage do not belong together: one comes twice, evidence
    /// comes without its quality or the other way round, a model is asked about others than it was
    /// fitted on, or an option names one that there is not.
    MODALITIES = "fuseline::modalities";
    /// A quality is computed from logits, and the evidence that arrives has none: the energy of
    /// probabilities alone is 0 by construction, and what is missing is not made up. Say
    /// `logits: true` at the expert, where its kind has them.
    NO_LOGITS = "fuseline::no_logits";
    /// Findings arrive together that cannot stand in one table: they have other axes, other
    /// modalities or other settings, or two are of the same point.
    MIXED_FINDINGS = "fuseline::mixed_findings";
    /// An axis has the name of a column of the table that it becomes a column of, such as `gap` in
    /// the findings.
    RESERVED_AXIS = "fuseline::reserved_axis";
    /// So few permutations are drawn that no p-value can reach the level of the test, once it is
    /// adjusted for the number of findings. A warning: the smallest p-value is 1 / (permutations +
    /// 1), and Holm multiplies it by the number of findings.
    FEW_PERMUTATIONS = "fuseline::few_permutations";
    /// A stage runs over an axis, and neither its options nor its inputs depend on it, so that its
    /// actions along the axis are all the same, or an input takes the same points of the axis for
    /// all of them. A warning, which the report has as a caution: usually an expression such as
    /// `${{ rule }}` is missing, or a selection such as `[modality=audio]` was left over.
    AXIS_WITHOUT_EFFECT = "fuseline::axis_without_effect";
    /// An option is written that no action of the stage reads, as its other options are: a number of
    /// bins where the scheme has none. A warning: usually the other option is not the one that was
    /// meant.
    OPTION_WITHOUT_EFFECT = "fuseline::option_without_effect";
    /// A table is given out under a name that ends as another form does. A warning: a table is
    /// Parquet, and becomes CSV or JSON where the name of its file ends so.
    OUTPUT_FORM = "fuseline::output_form";
    /// No plugin on the plugin path has the fusion rule, or it cannot be loaded.
    /// `fuseline plugin list` shows the rules.
    UNKNOWN_RULE = "fuseline::unknown_rule";
    /// The kernel lacks a layer of the sandbox of fusion rules (Landlock confines files, seccomp system
    /// calls). An error where `isolation: { require: [...] }` names it, and nothing runs; a warning
    /// elsewhere, which the record of the run keeps.
    MISSING_LAYER = "fuseline::missing_layer";
    /// A plugin is not the one that `fuseline.lock` pins: its file has another digest.
    /// `fuseline plugin lock` accepts the change.
    LOCKED_PLUGIN = "fuseline::locked_plugin";
    /// The label is a number (`label: { regression: true }`), and a stage behind that cohort, or an
    /// option or rule of it, takes classes alone. What takes a number: the `split` kinds but the
    /// stratified one; `expert.ridge` and `expert.gradient_boosting`; the qualities `column`,
    /// `missingness`, `in_distribution`, `mahalanobis`, `knn`, `constant`, `random` and `aligned`;
    /// the `intervene` kinds; `fusion.fit` with the rules mean, weighted_mean and lr, and others that
    /// declare it; `fusion.predict`; `diagnose.permute_quality`, `diagnose.summarize` and
    /// `diagnose.family`; and the reports. `threshold` or `quantile` in the label cut it into
    /// classes for everything else.
    REGRESSION = "fuseline::regression";
    /// The input data of an action are not what its stage can work with; the message says which
    /// example, column or value. The command ends with exit code 2.
    DATA = "fuseline::data";
    /// An action failed though its input was fine: a plugin, a program, the disk, a calculation
    /// that did not converge. The command ends with exit code 1. What does not depend on the action
    /// can still run with `--keep-going`.
    ACTION_FAILED = "fuseline::action_failed";
}
