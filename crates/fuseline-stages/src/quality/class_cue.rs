//! `quality.class_cue`: quality that knows the label and not which expert is right, the control of a class cue.

use fuseline_artifact::{Cohort, Control};
use fuseline_engine::{
    CheckSite, Inputs, KeyWriter, Outputs, PlanSite, Ports, Problem, RowFlow, StageError, StageKind,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::quality::{Source, noise, put};
use crate::rows::cohort_rows;
use crate::upstream::check_modality_names;

/// How much noise covers the label.
const NOISE: f64 = 0.25;

/// Quality is `alpha` for the last class, 0 for the first and evenly between for the others, plus normal noise of sd 0.25,
/// whichever expert is right: the positive control of a class cue.
///
/// A rule that reads quality beside the evidence decides by it; a rule that only weighs experts cannot. Its gap vanishes
/// under the scheme `within_class` and stays under `within_correct`, where that of `quality.aligned` does the opposite. It
/// reads the labels of the test rows, so nothing that it shapes may be read as a native condition.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClassCue {
    /// How strongly quality follows the label; 0 is noise alone.
    #[serde(default = "full")]
    alpha: f64,
    /// The modalities whose quality follows the label; that of the others is noise alone. All of them when left out.
    #[serde(default)]
    modalities: Option<Vec<String>>,
}

fn full() -> f64 {
    1.0
}

impl StageKind for ClassCue {
    const NAME: &'static str = "quality.class_cue";
    const REVISION: u32 = 1;
    const SUMMARY: &'static str =
        "The label itself, plus noise: the positive control of a class cue, which reads labels.";

    fn ports() -> Ports {
        super::ports(&["evidence_train", "evidence_test", "cohort"])
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { alpha, modalities } = self;
        key.field("alpha", alpha);
        key.field("modalities", modalities);
        key.seed();
    }

    fn check(&self, site: &mut CheckSite<'_>) {
        if !self.alpha.is_finite() {
            site.report(Problem::new("alpha", "a finite number is needed"));
        }
    }

    fn check_plan(&self, site: &mut PlanSite<'_>) {
        check_modality_names(site, "modalities", self.modalities.as_deref().unwrap_or(&[]));
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        flow.pass("evidence_train", "train").control = true;
        flow.pass("evidence_test", "test").control = true;
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let cohort: Cohort = inputs.one("cohort")?;
        let source =
            Source { name: "class_cue", control: Control::Positive, evidence_derived: false };
        let last = cohort.classes.len().saturating_sub(1).max(1) as f64;
        put(inputs, outputs, &source, |evidence| {
            let labels = cohort_rows(evidence, &cohort)?.into_iter().map(|row| cohort.label[row]);
            let told =
                self.modalities.as_ref().is_none_or(|told| told.contains(&evidence.modality));
            let alpha = if told { self.alpha } else { 0.0 };
            let noise = noise(inputs.seed(), Self::NAME, evidence);
            Ok(labels
                .zip(noise)
                .map(|(label, noise)| alpha * f64::from(label) / last + NOISE * noise)
                .collect())
        })
    }
}
