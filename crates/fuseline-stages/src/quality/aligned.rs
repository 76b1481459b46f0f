//! `quality.aligned`: quality that knows whether the expert is right, the positive control.

use fuseline_artifact::{Cohort, Control};
use fuseline_engine::{
    CheckSite, Inputs, KeyWriter, Outputs, PlanSite, Ports, Problem, RowFlow, StageError, StageKind,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::quality::{Source, each_row, noise, put};
use crate::rows::{cohort_rows, decision};
use crate::upstream::check_modality_names;

/// How much noise covers the truth.
const NOISE: f64 = 0.25;

/// Quality is `alpha` where the expert is right and 0 where it is wrong, plus normal noise of sd 0.25: the positive
/// control.
///
/// It reads the labels of the test rows, so nothing that it shapes may be read as a native condition. It is not marked
/// as evidence-derived: given the evidence it still varies with the label.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Aligned {
    /// How strongly quality follows whether the expert is right; 0 is noise alone.
    #[serde(default = "full")]
    alpha: f64,
    /// The modalities whose quality follows the truth; that of the others is noise alone. All of them when left out.
    #[serde(default)]
    modalities: Option<Vec<String>>,
}

fn full() -> f64 {
    1.0
}

impl StageKind for Aligned {
    const NAME: &'static str = "quality.aligned";
    const REVISION: u32 = 1;
    const SUMMARY: &'static str =
        "Whether the expert is right, plus noise: the positive control, which reads labels.";

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
            Source { name: "aligned", control: Control::Positive, evidence_derived: false };
        put(inputs, outputs, &source, |evidence| {
            let labels = cohort_rows(evidence, &cohort)?.into_iter().map(|row| cohort.label[row]);
            let told =
                self.modalities.as_ref().is_none_or(|told| told.contains(&evidence.modality));
            let alpha = if told { self.alpha } else { 0.0 };
            Ok(each_row(evidence)
                .zip(labels)
                .zip(noise(inputs.seed(), Self::NAME, evidence))
                .map(|((probabilities, label), noise)| {
                    let right = decision(probabilities) == label as usize;
                    f64::from(u8::from(right)) * alpha + NOISE * noise
                })
                .collect())
        })
    }
}
