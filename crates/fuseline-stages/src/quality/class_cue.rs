//! `quality.class_cue`: quality that depends on the label, the positive control of a class cue.

use fuseline_artifact::OptionalEvidence;
use fuseline_engine::{
    CheckSite, Inputs, KeyWriter, Outputs, PlanSite, Ports, RowFlow, StageError, StageKind,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::quality::PositiveControl;
use crate::quality::scale::Scale;

/// Quality is `alpha` for the last class, 0 for the first and evenly between for the others, plus
/// normal noise of sd 0.25, whichever expert is right: the positive control of a class cue.
///
/// A rule that reads quality beside the evidence decides by it; a rule that only weighs experts
/// cannot. Its gap vanishes under the scheme `within_class` and stays under `within_correct`, where
/// that of `quality.aligned` does the opposite. It reads the labels of the test rows, so nothing
/// that it shapes may be read as a native condition.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClassCue {
    /// Strength with which quality follows the label; 0 is noise alone.
    #[serde(default = "full")]
    alpha: f64,
    /// The modalities whose quality follows the label; that of the others is noise alone. All of
    /// them when left out.
    #[serde(default)]
    modalities: Option<Vec<String>>,
    /// Which of several draws of the noise this is: an axis over it repeats the control with other
    /// noise.
    #[serde(default)]
    draw: u32,
}

fn full() -> f64 {
    1.0
}

impl ClassCue {
    fn control(&self) -> PositiveControl<'_> {
        let Self { alpha, modalities, draw } = self;
        PositiveControl {
            name: "class_cue",
            kind: Self::NAME,
            alpha: *alpha,
            modalities: modalities.as_deref(),
            draw: *draw,
            scale: Scale { measured: None, column: None },
        }
    }
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
        self.control().key(key);
    }

    fn check(&self, site: &mut CheckSite<'_>) {
        self.control().check(site);
    }

    fn check_plan(&self, site: &mut PlanSite<'_>) {
        self.control().check_plan(site);
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        self.control().rows(flow);
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        self.control().put::<OptionalEvidence>(inputs, outputs, |_, label, classes| {
            f64::from(label) / classes.saturating_sub(1).max(1) as f64
        })
    }
}
