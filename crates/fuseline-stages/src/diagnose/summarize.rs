//! `diagnose.summarize`: the finding of one point.

use fuseline_artifact::{
    ArtifactKind, Cohort, Evidence, ExampleEffects, Finding, Findings, Permutations, Quality,
};
use fuseline_engine::{Inputs, KeyWriter, Labelled, Outputs, Ports, StageError, StageKind};
use fuseline_workflow::Role;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnose::experts::{self, Expert};
use crate::pool::Pooled;

/// Pools folds and modalities into one row: balanced accuracies, the permutation gap with its interval and p-value,
/// headroom and alignment.
///
/// Balanced accuracy is the mean recall of the classes that have examples. Where a modality is unavailable its expert
/// counts as wrong, alone and for the oracle, so that all balanced accuracies are of the same examples.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Summarize {
    /// Resamples of whole groups for the interval of the gap. The same resamples are drawn whatever the rule.
    #[serde(default = "two_thousand")]
    #[schemars(range(min = 2))]
    bootstrap: u32,
    /// Confidence of the interval.
    #[serde(default = "ninety_five")]
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    confidence: f64,
    /// How the interval is read from the resamples.
    #[serde(default)]
    interval: IntervalKind,
    /// Level of the test for the smallest gap that it could have detected.
    #[serde(default = "five_percent")]
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    alpha: f64,
}

/// How an interval is read from resamples.
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

impl StageKind for Summarize {
    const NAME: &'static str = "diagnose.summarize";
    const REVISION: u32 = 1;
    const SUMMARY: &'static str = "One finding a point: the permutation gap and what is needed to read it.";

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
            .one("cohort", ArtifactKind::Cohort, Role::Neutral, "The examples with group and label.")
            .output("findings", ArtifactKind::Findings, "One row.")
            .reads_point()
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { bootstrap, confidence, interval, alpha } = self;
        key.field("bootstrap", bootstrap);
        key.field("confidence", confidence);
        key.field("interval", interval);
        key.field("alpha", alpha);
        key.seed();
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let cohort: Cohort = inputs.one("cohort")?;
        let permutations: Vec<Labelled<Permutations>> = inputs.many("permutations")?;
        let effects: Vec<Labelled<ExampleEffects>> = inputs.many("effects")?;
        let evidence: Vec<Labelled<Evidence>> = inputs.many("evidence")?;
        let quality: Vec<Labelled<Quality>> = inputs.many("quality")?;
        let (control, evidence_derived) = experts::nature(&quality)?;

        let pooled = Pooled::of(permutations.iter().map(|labelled| &labelled.artifact))?;
        let tested = Tested::of(&effects, &cohort, pooled.broken.len())?;
        let experts = experts::pool(&evidence, &quality, &cohort, &tested.rows)?;

        let finding = Finding {
            point: inputs.point().iter().map(|(_, label)| label.clone()).collect(),
            control,
            evidence_derived,
            n_examples: tested.rows.len() as i64,
            n_permutations: pooled.broken.len() as i64,
            ..Finding::default()
        };
        let finding = self.statistics(finding, &pooled, &tested, &experts, inputs.seed())?;
        outputs.put(
            "findings",
            Findings {
                axes: inputs.point().iter().map(|(axis, _)| axis.clone()).collect(),
                modalities: experts.into_iter().map(|expert| expert.modality).collect(),
                settings: vec![
                    format!("scheme={}", pooled.scheme),
                    format!("bootstrap={}", self.bootstrap),
                    format!("confidence={}", self.confidence),
                    format!("interval={}", self.interval.name()),
                    format!("alpha={}", self.alpha),
                ],
                rows: vec![finding],
            },
        )
    }
}

impl IntervalKind {
    fn name(self) -> &'static str {
        match self {
            Self::Percentile => "percentile",
            Self::Bca => "bca",
        }
    }
}
