//! `diagnose.permute_quality`: Clean-Q against Broken-Q, the model frozen.

use fuseline_artifact::{
    AnyCohort, ArtifactKind, Cohort, Digest, Model, Permutations, RegressionPermutations, Texts,
};
use fuseline_engine::{
    CheckSite, Inputs, KeyWriter, Outputs, PlanSite, Ports, Problem, RowFlow, StageError,
    StageKind, UnreadOption, codes,
};
use fuseline_host::OpenModel;
use fuseline_stats::permutation::{self, Intervention};
use fuseline_workflow::{Diagnostic, Role};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::batch::Fusable;
use crate::diagnose::broken::{self, Broken};
use crate::diagnose::moved::Moved;
use crate::diagnose::numbers::NumberTally;
use crate::diagnose::tally::Tally;
use crate::diagnose::training;
use crate::fusion;
use crate::rows::tied;
use crate::{guard, upstream};

/// Asks a frozen model again and again, with quality permuted across the test examples; evidence
/// and availability stay.
///
/// The permutations are drawn from the workflow's seed, the scheme, the test rows and their own
/// number, so that every rule and every quality sees the same ones. Clean-Q is asked as one of
/// them, and the rule cannot tell which. The model is proven frozen: its digest, and what it says
/// under Clean-Q, are the same before the first permutation and after the last, there in a process
/// of its own. Where the label is a number, sums of errors stand for counts of right decisions; the
/// schemes that read classes, `conditional`, `within_class` and `within_correct`, are refused.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PermuteQuality {
    /// Number of permutations. `constant` has a single outcome and ignores it.
    #[serde(default = "ten_thousand")]
    #[schemars(range(min = 1))]
    permutations: u32,
    /// Permutation scheme of quality.
    #[serde(default)]
    scheme: Scheme,
    /// Only for `conditional`: into how many bins of equal size each expert's confidence, its
    /// largest probability, is cut. Examples exchange quality when their bins agree in every
    /// modality.
    #[serde(default = "three")]
    #[schemars(range(min = 1))]
    bins: u32,
    /// Whose quality is broken; that of every modality when left out.
    #[serde(default)]
    modalities: Option<Vec<String>>,
}

/// Permutation scheme of quality.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// The qualities of an example move together, among examples with the same available
    /// modalities.
    #[default]
    Joint,
    /// Each modality's quality moves on its own, among the examples that have the modality. Its
    /// null is stronger than that the decision ignores quality: the qualities of an example must be
    /// unrelated too. Where they correlate, a small p-value may come from that alone.
    PerModality,
    /// As `joint`, within groups only.
    WithinGroup,
    /// Groups exchange the qualities of all their examples, with groups of as many examples and the
    /// same available modalities: for quality and labels that examples of a group have in common.
    WholeGroups,
    /// As `joint`, among examples of like confidence only: what remains is not explained by the
    /// evidence itself.
    Conditional,
    /// As `joint`, and no example keeps its own quality where there is another to take it from.
    /// Derangements do not form a group of permutations, so this is an effect size without a
    /// p-value.
    Derangement,
    /// As `joint`, among examples of the same label: a gap that vanishes here works through the
    /// label (a class cue). Reads the labels of test rows.
    WithinClass,
    /// As `joint`, among examples whose experts are right and wrong in the same modalities: a gap
    /// that vanishes here works through which expert is right (reliability). Reads the labels of
    /// test rows.
    WithinCorrect,
    /// As `joint`, and what moves is the residual of quality given evidence and availability, by a
    /// regression that is fitted on the rule's training rows: a gap that vanishes here was in the
    /// evidence already. Needs the inputs `evidence_train` and `quality_train`.
    ConditionalResidual,
    /// Within each example, the available modalities exchange their qualities in a random order.
    ModalitySwap,
    /// Every example takes the mean quality of its modality: one outcome, so no p-value below 0.5.
    Constant,
}

/// The reason why bins have no effect.
const OF_CONDITIONAL: &str = "the scheme `conditional` alone has bins of confidence";

impl Scheme {
    /// True if examples exchange quality depending on what their experts say.
    pub(crate) fn reads_evidence(self) -> bool {
        matches!(self, Self::Conditional | Self::WithinCorrect | Self::ConditionalResidual)
    }

    /// The options without effect of a stage that permutes; `bins`: the name of those of
    /// `conditional`.
    pub(crate) fn without_effect(self, bins: &'static str) -> Vec<UnreadOption> {
        match self {
            Self::Conditional => Vec::new(),
            Self::Constant => vec![
                (bins, OF_CONDITIONAL),
                ("permutations", "the scheme `constant` has a single outcome"),
            ],
            _ => vec![(bins, OF_CONDITIONAL)],
        }
    }

    /// True if examples exchange quality depending on their own labels.
    pub(crate) fn reads_labels(self) -> bool {
        matches!(Intervention::from(self), Intervention::Permutation(of) if of.reads_labels())
    }
}

impl From<Scheme> for Intervention {
    fn from(scheme: Scheme) -> Self {
        match scheme {
            Scheme::Joint => Self::Permutation(permutation::Scheme::Joint),
            Scheme::PerModality => Self::Permutation(permutation::Scheme::PerModality),
            Scheme::WithinGroup => Self::Permutation(permutation::Scheme::WithinGroup),
            Scheme::WholeGroups => Self::Permutation(permutation::Scheme::WholeGroups),
            Scheme::Conditional => Self::Permutation(permutation::Scheme::Conditional),
            Scheme::Derangement => Self::Permutation(permutation::Scheme::Derangement),
            Scheme::WithinClass => Self::Permutation(permutation::Scheme::WithinClass),
            Scheme::WithinCorrect => Self::Permutation(permutation::Scheme::WithinCorrect),
            Scheme::ConditionalResidual => {
                Self::Permutation(permutation::Scheme::ConditionalResidual)
            }
            Scheme::ModalitySwap => Self::ModalitySwap,
            Scheme::Constant => Self::Constant,
        }
    }
}

fn ten_thousand() -> u32 {
    10_000
}

fn three() -> u32 {
    3
}

impl StageKind for PermuteQuality {
    const NAME: &'static str = "diagnose.permute_quality";
    // 2: models keep how embeddings are standardised. 3 and 4: shifts are summed in other blocks.
    // 5: permutations are other ones. 6: says how many examples' quality moved, and whether the
    // rule reads it. 7: shifts are summed exactly.
    const REVISION: u32 = 8;
    const TAKES_NUMBERS: bool = true;
    const SUMMARY: &'static str =
        "Clean-Q against Broken-Q: quality permuted across test examples, the model frozen.";

    fn ports() -> Ports {
        let tested = Ports::new()
            .one("model", ArtifactKind::Model, Role::Apply, "The frozen fusion rule.")
            .many("evidence", ArtifactKind::Evidence, Role::Apply, "Test evidence, one a modality.")
            .many("quality", ArtifactKind::Quality, Role::Apply, "Test quality, one a modality.")
            .many("embeddings", ArtifactKind::Features, Role::Apply, fusion::embeddings::PORT)
            .optional();
        training::ports(tested)
            .one(
                "cohort",
                ArtifactKind::Cohort,
                Role::Neutral,
                "The examples with group and label.",
            )
            .output(
                "permutations",
                ArtifactKind::Permutations,
                "Right decisions by class under every permutation; -1 is Clean-Q.",
            )
            .output(
                "effects",
                ArtifactKind::ExampleEffects,
                "What the permutations did to each example.",
            )
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { permutations, scheme, bins, modalities } = self;
        key.field("permutations", permutations);
        key.field("scheme", scheme);
        key.field("bins", bins);
        key.field("modalities", modalities);
        key.seed();
    }

    fn without_effect(&self, _inputs: &[&str]) -> Vec<UnreadOption> {
        self.scheme.without_effect("bins")
    }

    fn check(&self, site: &mut CheckSite<'_>) {
        training::check(site, self.scheme);
        if self.modalities.as_ref().is_some_and(Vec::is_empty) {
            site.report(Problem::new("modalities", "at least one modality is needed"));
        }
        if i32::try_from(self.permutations).is_err() {
            site.report(Problem::new(
                "permutations",
                "at most 2147483647 permutations are possible",
            ));
        }
    }

    fn check_plan(&self, site: &mut PlanSite<'_>) {
        upstream::check_fusion(site);
        upstream::check_same_experts(site);
        self.check_numbers(site);
        if self.scheme.reads_evidence() {
            upstream::check_experts(site, "evidence");
        }
        upstream::check_modality_names(
            site,
            "modalities",
            self.modalities.as_deref().unwrap_or(&[]),
        );
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        training::rows(flow);
        fusion::applied(flow, &["permutations", "effects"], self.scheme.reads_labels());
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let model: Model = inputs.one("model")?;
        let AnyCohort { cohort, values, .. } = inputs.one("cohort")?;
        let mut fusable = Fusable::gather(inputs, &cohort)?;
        fusion::bind(&model, &mut fusable)?;
        fusion::embeddings::apply(&model, &inputs.many("embeddings")?, &mut fusable)?;
        guard::not_fitted_on(&model, &cohort, &fusable.rows)?;
        let frozen = model.model_digest();
        let (opened, batch) = fusion::open_for(inputs, &model, &fusable)?;
        fusion::caution(opened.rule(), outputs);
        let chosen = self.chosen(&fusable)?;
        let broken = self.broken(inputs, &fusable, &cohort, &chosen)?;
        let moved = Moved::count(&broken, &fusable, &chosen)?;
        if let Some(values) = values {
            let labels = fusable.values(&values);
            let origin = values.iter().sum::<f64>() / values.len() as f64;
            let tally = NumberTally::ask(&labels, origin, &opened, &batch, &broken, || {
                inputs.keep_going()
            })?;
            opened.confirm(&batch, tally.clean())?;
            outputs.discover(opened.reads());
            is_frozen(&model, frozen, &opened)?;
            let effects = tally.effects(fusable.example_id.clone());
            ignores_quality(&opened, &effects.example_id, &effects.prediction_shift)?;
            outputs.put("effects", effects)?;
            return outputs.put(
                "permutations",
                RegressionPermutations {
                    origin,
                    model_digest: frozen,
                    plugin_id: model.plugin_id.clone(),
                    scheme: Intervention::from(self.scheme).name().to_owned(),
                    reads_quality: Some(opened.rule().descriptor().capabilities.uses_quality),
                    quality_moved: Some(moved.moved),
                    quality_movable: Some(moved.movable),
                    permutation: (-1..).take(tally.sums.len()).collect(),
                    sums: tally.permutation_sums(),
                },
            );
        }
        let (labels, example_id) = (fusable.labels(&cohort), fusable.example_id.clone());
        // All that is asked is in the batch now.
        drop((cohort, fusable));

        let shared = &inputs.services().shared;
        let tally = Tally::ask(&labels, &opened, &batch, &broken, shared, || inputs.keep_going())?;
        // Asked again where nothing has been asked: neither the order of the questions nor their
        // number has mattered.
        opened.confirm(&batch, tally.clean())?;
        outputs.discover(opened.reads());
        is_frozen(&model, frozen, &opened)?;
        let effects = tally.effects(example_id);
        tied(tally.clean(), model.classes.len()).into_iter().for_each(|of| outputs.caution(of));
        ignores_quality(&opened, &effects.example_id, &effects.probability_shift)?;
        outputs.put("effects", effects)?;
        let reads_quality = opened.rule().descriptor().capabilities.uses_quality;
        let permutations = self.permutations(&model, frozen, &tally);
        outputs.put(
            "permutations",
            Permutations {
                reads_quality: Some(reads_quality),
                quality_moved: Some(moved.moved),
                quality_movable: Some(moved.movable),
                ..permutations
            },
        )
    }
}

/// An error when a rule that declares not to read quality answers otherwise under another one: it
/// would be counted in no family, whatever its gap.
fn ignores_quality(
    opened: &OpenModel,
    example_id: &Texts,
    shift: &[f64],
) -> Result<(), StageError> {
    let rule = opened.rule();
    if rule.descriptor().capabilities.uses_quality {
        return Ok(());
    }
    let Some(row) = shift.iter().position(|&shift| shift > 0.0) else { return Ok(()) };
    Err(StageError::failed(format!(
        "{} declares that it does not read quality, and its prediction of {} changes with it",
        rule.file().id,
        &example_id[row],
    ))
    .hint("let its descriptor say uses_quality: true"))
}

/// An error when a model is no longer the one that was opened.
fn is_frozen(model: &Model, frozen: Digest, opened: &OpenModel) -> Result<(), StageError> {
    if model.model_digest() == frozen && opened.digest() == Digest::hash(&model.bytes) {
        return Ok(());
    }
    Err(StageError::failed(format!(
        "the model of {} changed while it was asked: it is not frozen",
        model.plugin_id
    )))
}

/// Remedy for a scheme of classes where the label is a number.
pub(crate) const INSTEAD_OF_CLASSES: &str = "conditional_residual holds fixed what evidence that is a number tells of quality; numbers \
     have no strata of equal label or of right experts: threshold or quantile in the label cut \
     them into classes for within_class and within_correct";

impl PermuteQuality {
    /// Reports a scheme that reads classes where the label is a number.
    fn check_numbers(&self, site: &mut PlanSite<'_>) {
        let Some(action) = site.actions().find(|action| site.is_regression(*action)) else {
            return;
        };
        if matches!(self.scheme, Scheme::Conditional | Scheme::WithinClass | Scheme::WithinCorrect)
        {
            let message = format!(
                "the scheme {} is one of classes, and the label is a number (regression: true)",
                Intervention::from(self.scheme).name()
            );
            site.report(
                Diagnostic::error(codes::REGRESSION, &action.option_place("scheme"), message)
                    .hint(INSTEAD_OF_CLASSES.to_owned()),
            );
        }
    }

    /// Number of permutations drawn, and the least p-value that they can give; none for a scheme
    /// of one outcome, which is not drawn for a p-value, and for one that gives none.
    pub(crate) fn least_p_value(&self) -> Option<(u32, f64)> {
        let least = 1.0 / (f64::from(self.permutations) + 1.0);
        let drawn = Intervention::from(self.scheme);
        (drawn.is_random() && drawn.has_p_value()).then_some((self.permutations, least))
    }

    /// For each modality, whether its quality is broken.
    fn chosen(&self, fusable: &Fusable) -> Result<Vec<bool>, StageError> {
        let every = fusable.modalities.len();
        let mut chosen = vec![self.modalities.is_none(); every];
        for name in self.modalities.iter().flatten() {
            let at =
                fusable.modalities.iter().position(|known| known == name).ok_or_else(|| {
                    StageError::data(format!("there is no modality {name}"))
                        .at("modalities")
                        .hint(format!("the modalities are {}", fusable.modalities.join(", ")))
                })?;
            chosen[at] = true;
        }
        Ok(chosen)
    }

    fn broken(
        &self,
        inputs: &Inputs<'_>,
        fusable: &Fusable,
        cohort: &Cohort,
        chosen: &[bool],
    ) -> Result<Broken, StageError> {
        let plan = broken::Plan {
            intervention: self.scheme.into(),
            permutations: self.permutations,
            bins: self.bins,
            seed: inputs.seed(),
            chosen,
            regression: match self.scheme {
                Scheme::ConditionalResidual => Some(training::fit(inputs, cohort, fusable)?),
                _ => None,
            },
        };
        Broken::new(&plan, fusable, cohort)
    }

    fn permutations(&self, model: &Model, frozen: Digest, tally: &Tally) -> Permutations {
        let classes = model.classes.len();
        let variants = tally.correct.len() / classes;
        let each = |column: &dyn Fn(usize, usize) -> i64| -> Vec<i64> {
            (0..variants)
                .flat_map(|row| (0..classes).map(move |class| (row, class)))
                .map(|(row, class)| column(row, class))
                .collect()
        };
        Permutations {
            classes: model.classes.clone(),
            model_digest: frozen,
            plugin_id: model.plugin_id.clone(),
            scheme: Intervention::from(self.scheme).name().to_owned(),
            reads_quality: None,
            quality_moved: None,
            quality_movable: None,
            permutation: (-1..)
                .take(variants)
                .flat_map(|row| std::iter::repeat_n(row, classes))
                .collect(),
            class: (0..variants).flat_map(|_| 0..classes as u32).collect(),
            n: each(&|_, class| tally.rows_of_class[class]),
            correct: each(&|row, class| tally.correct[row * classes + class]),
        }
    }
}
