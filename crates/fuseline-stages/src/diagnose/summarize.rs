//! `diagnose.summarize`: the finding of one point.

use fuseline_artifact::{
    AnyCohort, ArtifactKind, Cohort, Column, ColumnName, Digest, Finding, Findings, GroupCounts,
    Permutations,
};
use fuseline_engine::{
    Inputs, KeyWriter, Labelled, Outputs, PlanSite, Ports, RowFlow, StageError, StageKind, codes,
};
use fuseline_stats::bootstrap::{ClassSums, Interval, Resampled, cluster_bootstrap};
use fuseline_stats::metrics::{NumberMetric, balanced_accuracy};
use fuseline_stats::permutation::Intervention;
use fuseline_stats::permutation_test::{detectable_gap, gap_with_power, permutation_test};
use fuseline_stats::quality_regression::EVIDENCE_DERIVED_R2;
use fuseline_stats::streams::Stream;
use fuseline_workflow::{Diagnostic, Role};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnose::experts::{self, Tested};
use crate::diagnose::intervals::{Intervals, RowEffects, not_testable};
use crate::diagnose::moved::Moved;
use crate::diagnose::p_doubt::Alike;
use crate::diagnose::permute_quality::PermuteQuality;
use crate::{pool, upstream};

pub(crate) mod regression;

/// Pools folds and modalities into one row: balanced accuracies, the permutation gap with its
/// interval and p-value, headroom and alignment.
///
/// Balanced accuracy is the mean recall of the classes that have examples. Where a modality is
/// unavailable its expert counts as wrong, alone and for the oracle, so that all balanced
/// accuracies are of the same examples.
///
/// Where the label is a number, the gap is one of `metric`, and positive where breaking quality
/// hurts: an error under Broken-Q minus that under Clean-Q, or a correlation under Clean-Q minus that
/// under Broken-Q. The interval resamples groups; what balanced accuracies, decisions and bounds of
/// them say is null.
///
/// The best expert is the one of the largest balanced accuracy on `evidence_train`, fold by fold,
/// where that is given; else the one of the largest on the tested examples, which is optimistic: of
/// three equal experts the luckiest counts. The oracle, which knows for each example which expert is
/// right, is optimistic by design.
#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Summarize {
    /// Resamples of whole groups for the interval of the gap. The same resamples are drawn whatever
    /// the rule.
    #[serde(default = "two_thousand")]
    #[schemars(range(min = 2, max = 10_000_000))]
    bootstrap: u32,
    /// Confidence of the interval.
    #[serde(default = "ninety_five")]
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    confidence: f64,
    /// Kind of interval computed from the resamples.
    #[serde(default)]
    interval: IntervalKind,
    /// Level of the test for the smallest gap that it could have detected.
    #[serde(default = "five_percent")]
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    alpha: f64,
    /// Of the examples whose quality a joint permutation changes, the share that the scheme must
    /// change. Below it the absence of dependence is not testable under this scheme: what the
    /// others would show is not seen.
    #[serde(default = "half")]
    #[schemars(range(min = 0.0, max = 1.0))]
    least_moved_share: f64,
    /// Only where the label is a number: what the gap is measured in. The mean absolute error when
    /// left out.
    #[serde(default)]
    metric: Option<Metric>,
}

/// Metric of predicted numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Mean absolute error.
    #[default]
    Mae,
    /// Root of the mean squared error.
    Rmse,
    /// Pearson's correlation of prediction and label.
    Pearson,
    /// Lin's concordance correlation coefficient.
    Concordance,
}

impl From<Metric> for NumberMetric {
    fn from(metric: Metric) -> Self {
        match metric {
            Metric::Mae => Self::Mae,
            Metric::Rmse => Self::Rmse,
            Metric::Pearson => Self::Pearson,
            Metric::Concordance => Self::Concordance,
        }
    }
}

/// Kind of interval computed from resamples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IntervalKind {
    /// Quantiles of the resamples.
    #[default]
    Percentile,
    /// Bias-corrected and accelerated, the acceleration from leaving out each group.
    Bca,
}

fn two_thousand() -> u32 {
    2000
}

fn ninety_five() -> f64 {
    0.95
}

fn five_percent() -> f64 {
    0.05
}

fn half() -> f64 {
    0.5
}

/// Power at which a detectable gap is given beside the critical value.
pub(crate) const POWER: f64 = 0.8;

impl StageKind for Summarize {
    const NAME: &'static str = "diagnose.summarize";
    // 2: says which examples of the cohort were not tested. 3: bounds that hold at the border, and
    // what is not testable; no p-value of derangements; what the evidence and the label tell of
    // quality is measured. 4: what groups have in common. 5: BCa intervals by another jackknife.
    // 6: says where a p-value may be too small; alignment of numbers. 7: the gap with 80 % power of
    // a statistic of few values. 8: effects of the same test.
    const REVISION: u32 = 9;
    const TAKES_NUMBERS: bool = true;
    const SUMMARY: &'static str =
        "One finding a point: the permutation gap and what is needed to read it.";

    fn ports() -> Ports {
        Ports::new()
            .many("permutations", ArtifactKind::Permutations, Role::Neutral, "Counts, one a fold.")
            .many("effects", ArtifactKind::ExampleEffects, Role::Neutral, "Effects, one a fold.")
            .many(
                "evidence",
                ArtifactKind::Evidence,
                Role::Neutral,
                "Test evidence, one a fold and modality, for headroom and alignment.",
            )
            .many(
                "quality",
                ArtifactKind::Quality,
                Role::Neutral,
                "Test quality, one a fold and modality, for alignment.",
            )
            .one(
                "cohort",
                ArtifactKind::Cohort,
                Role::Neutral,
                "The examples with group and label.",
            )
            .many(
                "evidence_train",
                ArtifactKind::Evidence,
                Role::Neutral,
                "Training evidence, one a fold and modality, to choose the best expert on. Without \
                 it that is chosen on the tested examples, which is optimistic.",
            )
            .optional()
            .output("findings", ArtifactKind::Findings, "One row.")
            .reads_point()
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { bootstrap, confidence, interval, alpha, least_moved_share, metric } = self;
        key.field("bootstrap", bootstrap);
        key.field("confidence", confidence);
        key.field("interval", interval);
        key.field("alpha", alpha);
        key.field("least_moved_share", least_moved_share);
        // The key of classes is what it was before there were numbers.
        if let Some(metric) = metric {
            key.field("metric", metric);
        }
        key.seed();
    }

    fn check_plan(&self, site: &mut PlanSite<'_>) {
        let axes: Vec<&str> =
            site.first().into_iter().flat_map(|of| of.point()).map(|(axis, _)| axis).collect();
        let kind = ArtifactKind::Findings;
        let schema = match site.first().is_some_and(|action| site.is_regression(action)) {
            true => kind.regression_schema(),
            false => kind.schema(),
        };
        let columns = schema.map_or(&[][..], |schema| schema.columns);
        upstream::check_axis_names(site, &axes, "the findings", |axis| {
            let is_called = |column: &&Column| match column.name {
                ColumnName::Is(name) | ColumnName::Optional(name) => name == axis,
                ColumnName::Begins(prefix) => !prefix.is_empty() && axis.starts_with(prefix),
            };
            columns.iter().find(is_called).map(|column| column.help)
        });
        upstream::check_pooled(site, &["permutations", "effects", "evidence", "quality"]);
        upstream::check_same_test(site, "permutations");
        self.check_metric(site);
        self.check_permutations(site);
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        flow.test_beside("effects", "evidence");
        flow.test_beside("effects", "quality");
        flow.choose_by("evidence_train");
        let all = flow.all_inputs();
        flow.give("findings", all);
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let AnyCohort { cohort, values, .. } = inputs.one("cohort")?;
        if let Some(values) = values {
            return regression::run(self, inputs, outputs, &cohort, &values);
        }
        let permutations: Vec<Labelled<Permutations>> = inputs.many("permutations")?;
        let counts = pool::Pooled::gather(permutations.iter().map(|labelled| &labelled.artifact))?;
        let tested = Tested::gather(inputs.each("effects"), &cohort, Some(&counts))?;
        let experts = experts::Pooled::gather(inputs, &cohort, &tested.rows, true)?;
        let control = experts.control()?;
        untested(&cohort, &tested.rows).into_iter().for_each(|of| outputs.caution(of));
        experts.twins().into_iter().for_each(|of| outputs.caution(of));

        let failed = |error: &dyn std::error::Error| StageError::data(error.to_string());
        let test =
            permutation_test(counts.clean, &counts.broken).map_err(|error| failed(&error))?;
        let detectable =
            detectable_gap(&counts.broken, self.alpha).map_err(|error| failed(&error))?;
        let powered =
            gap_with_power(&counts.broken, self.alpha, POWER).map_err(|error| failed(&error))?;
        // Without a valid test there is neither a p-value nor a gap that it would detect.
        let is_test = has_p_value(&counts.scheme);
        let p_value = if is_test { test.p_value } else { f64::NAN };
        let (mut best, mut oracle, mut headroom) = (f64::NAN, f64::NAN, f64::NAN);
        let mut chosen = None;
        if let Some(of) = experts.experts() {
            chosen = experts.best_on_training(inputs, &cohort, &tested.rows)?;
            let found = match &chosen {
                Some(chosen) => of.chosen(chosen),
                None => of.best_unimodal().map(|(_, best)| best),
            };
            best = found.map_err(|error| failed(&error))?;
            let found = of.headroom(&tested.clean).map_err(|error| failed(&error))?;
            (oracle, headroom) = (found.oracle, found.headroom);
        } else {
            outputs.caution(format!(
                "without an expert for {}, the best expert, the oracle, headroom and alignment \
                 are left out",
                experts.without_expert.join(", ")
            ));
        }
        let alignment = experts.alignment().map_err(|error| failed(&error))?;
        let label_auroc = experts.label_auroc().map_err(|error| failed(&error))?;
        let (group, groups) = tested.groups(&cohort);
        let rows =
            Rows { group: &group, groups, labels: &experts.labels, classes: experts.classes };
        let right = tested.clean.iter().map(|right| f64::from(u8::from(*right)));
        let right: Vec<f64> = right.collect();
        let intervals = self.intervals(&tested, &right, &rows, inputs.seed())?;
        let examples = tested.rows.len() as f64;
        let qualities = experts.qualities();
        let labels = (rows.labels, rows.classes);
        let alike = Alike::of_classes(&group, labels, &right, &qualities, &counts.scheme);
        let p_doubt = match is_test && counts.reads_quality != Some(false) {
            true => alike.p_doubt(&qualities, &counts.scheme, groups)?,
            false => None,
        };
        if let Some(caution) = below_chance(&tested.clean, &experts.labels, experts.classes) {
            outputs.caution(caution);
        }
        p_doubt.iter().for_each(|doubt| outputs.caution(doubt.clone()));
        let scale = counts.moved.map_or(1.0, Moved::share);
        let from_evidence = experts.quality_from_evidence(&group)?;
        let derived = |r2: &Option<f64>| r2.is_some_and(|r2| r2 >= EVIDENCE_DERIVED_R2);

        let finding = Finding {
            point: inputs.point().iter().map(|(_, label)| label.clone()).collect(),
            control,
            evidence_derived: from_evidence.iter().any(derived),
            n_examples: tested.rows.len() as i64,
            n_groups: groups as i64,
            n_permutations: test.permutations as i64,
            ba_clean: test.clean,
            ba_broken: test.broken,
            ba_without_quality: None,
            gap: test.gap,
            gap_low: intervals.gap.low,
            gap_high: intervals.gap.high,
            p_value,
            p_adjusted: None,
            flip_rate: tested.flip_rate,
            probability_shift: tested.probability_shift,
            // A single outcome has no spread to tell of.
            null_sd: test.null_sd.unwrap_or(f64::NAN),
            // So few permutations cannot reach the level, whatever the gap.
            detectable_gap: if is_test { detectable.unwrap_or(f64::INFINITY) } else { f64::NAN },
            equivalent: None,
            ba_best_unimodal: best,
            ba_oracle: oracle,
            headroom,
            reads_quality: counts.reads_quality,
            moved_share: counts.moved.map(|of| of.moved / examples),
            not_testable: counts
                .moved
                .and_then(|of| not_testable(&counts.scheme, of, self.least_moved_share)),
            not_counted: None,
            // A scheme does not test the rows that it leaves in place: as if the others depended as
            // those that moved.
            bound_low: intervals.bound.low / scale,
            bound_high: intervals.bound.high / scale,
            p_error: (p_value * (1.0 - p_value) / (test.permutations as f64 + 1.0)).sqrt(),
            detectable_gap_80: if is_test { powered.unwrap_or(f64::INFINITY) } else { f64::NAN },
            flip_low: intervals.flips.low,
            flip_high: intervals.flips.high,
            shift_low: intervals.shift.low,
            shift_high: intervals.shift.high,
            gain_low: None,
            gain_high: None,
            quality_sketch: Some(experts.sketch(&cohort, &tested.rows)),
            alignment,
            quality_from_evidence: from_evidence,
            quality_label_auroc: label_auroc,
            label_icc: alike.labels,
            error_icc: alike.errors,
            design_effect: alike.design_effect,
            p_doubt,
            quality_icc: alike.quality,
            metric: None,
        };
        outputs.put(
            "findings",
            Findings {
                axes: inputs.point().iter().map(|(axis, _)| axis.clone()).collect(),
                modalities: experts.modalities,
                settings: self
                    .settings(&counts.scheme)
                    .into_iter()
                    .chain(chosen.map(|_| "best_expert=on_training".to_owned()))
                    .collect(),
                group_counts: Some(group_counts(&rows, &cohort, &tested)),
                rows: vec![finding],
            },
        )
    }
}

impl Summarize {
    /// The level of the test.
    pub(crate) fn alpha(&self) -> f64 {
        self.alpha
    }

    /// True if findings of these options may stand in one table.
    pub(crate) fn is_tested_as(&self, other: &Self) -> bool {
        self == other
    }

    /// Settings of the test, each as `name=value`.
    fn settings(&self, scheme: &str) -> Vec<String> {
        vec![
            format!("scheme={scheme}"),
            format!("bootstrap={}", self.bootstrap),
            format!("confidence={}", self.confidence),
            format!("interval={}", self.interval.name()),
            format!("alpha={}", self.alpha),
            format!("least_moved_share={}", self.least_moved_share),
        ]
    }

    fn resampling(&self, seed: u64) -> Resampling {
        Resampling {
            resamples: self.bootstrap,
            confidence: self.confidence,
            interval: self.interval,
            seed,
        }
    }

    /// Reports a metric of numbers where the label is a class, and a choice of the best expert that
    /// is not made where it is a number.
    fn check_metric(&self, site: &mut PlanSite<'_>) {
        let of_numbers = site.actions().find(|action| site.is_regression(*action));
        if let Some(action) = of_numbers
            && action.inputs("evidence_train").next().is_some()
        {
            let message = "where the label is a number, the best expert is the one of the best \
                           metric on the tested examples";
            site.report(
                Diagnostic::error(codes::REGRESSION, action.input_place("evidence_train"), message)
                    .hint("leave `evidence_train` out".to_owned()),
            );
        }
        let of_classes = site.actions().find(|action| !site.is_regression(*action));
        if let (Some(_), Some(action)) = (self.metric, of_classes) {
            let message = "`metric` is one of predicted numbers, and the label is a class";
            site.report(
                Diagnostic::error(codes::REGRESSION, &action.option_place("metric"), message).hint(
                    "leave it out: the gap is one of balanced accuracy, and diagnose.metrics has \
                     other measures of classes"
                        .to_owned(),
                ),
            );
        }
    }

    /// Warns of permutations that are too few for any p-value to reach the level, even of one
    /// finding.
    fn check_permutations(&self, site: &mut PlanSite<'_>) {
        for action in site.distinct(&["permutations"]) {
            let Some(permute) = action.inputs("permutations").next() else { continue };
            let options = permute.options::<PermuteQuality>();
            let Some((permutations, least)) = options.and_then(|of| of.least_p_value()) else {
                continue;
            };
            if least > self.alpha {
                let message = format!(
                    "{permutations} permutations give no p-value below {least:.3}, and the level \
                     is {}",
                    self.alpha
                );
                let needed = (1.0 / self.alpha).ceil() - 1.0;
                site.report(
                    Diagnostic::warning(
                        codes::FEW_PERMUTATIONS,
                        &permute.option_place("permutations"),
                        message,
                    )
                    .hint(format!("draw at least {needed} permutations")),
                );
                return;
            }
        }
    }

    /// Intervals from resamples of groups: both balanced accuracies of a gap come from the same
    /// resample.
    fn intervals(
        &self,
        tested: &Tested,
        right: &[f64],
        rows: &Rows<'_>,
        seed: u64,
    ) -> Result<Intervals, StageError> {
        let of = self.resampling(seed);
        let effects = RowEffects {
            clean: right,
            broken: &tested.broken,
            flips: &tested.flips,
            shift: &tested.shift,
        };
        Intervals::new(rows, &effects, &of)
    }
}

/// Rows and right decisions under Clean-Q by group and class.
fn group_counts(rows: &Rows<'_>, cohort: &Cohort, tested: &Tested) -> GroupCounts {
    let mut counts = GroupCounts {
        tested: tested_digest(cohort, &tested.rows),
        classes: rows.classes,
        rows: vec![0; rows.groups * rows.classes],
        correct: vec![0; rows.groups * rows.classes],
    };
    for (row, &right) in tested.clean.iter().enumerate() {
        let cell = rows.group[row] as usize * rows.classes + rows.labels[row] as usize;
        counts.rows[cell] += 1;
        counts.correct[cell] += u32::from(right);
    }
    counts
}

/// Digest of the examples tested.
pub(crate) fn tested_digest(cohort: &Cohort, tested: &[usize]) -> String {
    Digest::of_pieces(|take| {
        for &row in tested {
            take(cohort.example_id[row].as_bytes());
            take(&[0]);
        }
    })
    .to_string()
}

/// True if (b + 1) / (m + 1) is a valid p-value under a scheme of that name; what is not known here
/// is taken to be a test.
pub(crate) fn has_p_value(scheme: &str) -> bool {
    Intervention::named(scheme).is_none_or(Intervention::has_p_value)
}

/// Test rows by group and class.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    /// The number of each row's group.
    pub group: &'a [u32],
    pub groups: usize,
    pub labels: &'a [u32],
    pub classes: usize,
}

/// Resampling of an interval.
pub(crate) struct Resampling {
    pub resamples: u32,
    pub confidence: f64,
    pub interval: IntervalKind,
    pub seed: u64,
}

impl Resampling {
    /// Resampling of the findings of a table, from their settings; the defaults where they do
    /// not say.
    pub fn from_settings(settings: &[String], seed: u64) -> Self {
        let text = |name: &str| {
            settings
                .iter()
                .find_map(|of| of.split_once('=').filter(|of| of.0 == name))
                .map(|of| of.1)
        };
        let number = |name: &str| text(name).and_then(|text| text.parse::<f64>().ok());
        Self {
            resamples: number("bootstrap").map_or_else(two_thousand, |number| number as u32),
            confidence: number("confidence").unwrap_or_else(ninety_five),
            interval: match text("interval") {
                Some("bca") => IntervalKind::Bca,
                _ => IntervalKind::Percentile,
            },
            seed,
        }
    }
}

/// Interval of a difference of two balanced accuracies from resamples of groups, both values from
/// the same resample.
///
/// `one`, `other`: for each row the share of answers that are right.
pub(crate) fn difference_interval(
    rows: &Rows<'_>,
    one: &[f64],
    other: &[f64],
    of: &Resampling,
) -> Result<Interval, StageError> {
    let failed = |error: &dyn std::error::Error| StageError::data(error.to_string());
    let sums = |correct: &[f64]| {
        ClassSums::from_rows(rows.group, rows.groups, rows.labels, rows.classes, correct)
            .map_err(|error| failed(&error))
    };
    sums_interval(&sums(one)?, &sums(other)?, of)
}

/// The same of two samples of the same groups, summed by group and class.
pub(crate) fn sums_interval(
    one: &ClassSums,
    other: &ClassSums,
    of: &Resampling,
) -> Result<Interval, StageError> {
    let failed = |error: &dyn std::error::Error| StageError::data(error.to_string());
    let stream = Stream::new(of.seed, Summarize::NAME);
    let resamples = of.resamples as usize;
    let resampled =
        cluster_bootstrap(one.groups(), resamples, &stream, 1, |multiplicity, values| {
            values[0] = one.balanced_accuracy(multiplicity) - other.balanced_accuracy(multiplicity);
        })
        .map_err(|error| failed(&error))?;
    let [difference] = resampled.as_slice() else {
        return Err(StageError::failed("the bootstrap gave no statistic"));
    };
    difference_ends(difference, [one, other], of)
}

/// Interval of a difference that was resampled.
pub(crate) fn difference_ends(
    difference: &Resampled,
    [one, other]: [&ClassSums; 2],
    of: &Resampling,
) -> Result<Interval, StageError> {
    match of.interval {
        IntervalKind::Percentile => difference.percentile(of.confidence),
        IntervalKind::Bca => {
            let pairs = one.without_each_group().into_iter().zip(other.without_each_group());
            let without_group: Vec<f64> = pairs.map(|(one, other)| one - other).collect();
            difference.bca(&without_group, of.confidence)
        }
    }
    .map_err(|error| StageError::data(error.to_string()))
}

/// Caution for a cohort of which not all examples were tested. `tested`: rows of the cohort.
fn untested(cohort: &Cohort, tested: &[usize]) -> Option<String> {
    let mut is_tested = vec![false; cohort.len()];
    tested.iter().for_each(|&row| is_tested[row] = true);
    let left_out = || (0..cohort.len()).filter(|&row| !is_tested[row]);
    let count = left_out().count();
    let first: Vec<&str> = left_out().take(3).map(|row| &cohort.example_id[row]).collect();
    (count > 0).then(|| {
        format!(
            "{count} of the {} examples of the cohort were not tested, and the finding says \
             nothing of them: {}{}",
            cohort.len(),
            first.join(", "),
            if count > first.len() { ", ..." } else { "" }
        )
    })
}

/// Caution for decisions that are right less often than guesses, by more than chance explains.
///
/// Chance: four standard errors of a balanced accuracy whose decisions are independent. It is where
/// the classes of a model stand in another order than those of the labels.
pub(super) fn below_chance(correct: &[bool], labels: &[u32], classes: usize) -> Option<String> {
    const STANDARD_ERRORS: f64 = 4.0;
    let (mut rows, mut right) = (vec![0; classes], vec![0; classes]);
    for (&label, &correct) in labels.iter().zip(correct) {
        rows[label as usize] += 1;
        right[label as usize] += u64::from(correct);
    }
    let accuracy = balanced_accuracy(&rows, &right).ok()?;
    let guessed = 1.0 / classes as f64;
    let present: Vec<f64> =
        rows.iter().filter(|&&rows| rows > 0).map(|&rows| rows as f64).collect();
    let variance = guessed * (1.0 - guessed) * present.iter().map(|rows| 1.0 / rows).sum::<f64>()
        / (present.len() * present.len()) as f64;
    (accuracy < guessed - STANDARD_ERRORS * variance.sqrt()).then(|| {
        format!(
            "balanced accuracy is {accuracy:.2} where guesses have {guessed:.2}: are the classes \
             of the model in the order of those of the labels?"
        )
    })
}

impl IntervalKind {
    fn name(self) -> &'static str {
        match self {
            Self::Percentile => "percentile",
            Self::Bca => "bca",
        }
    }
}
