//! `quality.random`: noise, the negative control.

use fuseline_artifact::Control;
use fuseline_engine::{Inputs, KeyWriter, Outputs, Ports, RowFlow, StageError, StageKind};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::quality::{Source, key_draw, noise, put_rows};

/// Quality is standard normal noise: the negative control.
///
/// Each example has its own stream, drawn from the seed, the modality and the example_id, so that
/// its noise is the same in every fold.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Random {
    /// Which of several draws of the noise this is: an axis over it repeats the control with other
    /// noise.
    #[serde(default)]
    draw: u32,
}

impl StageKind for Random {
    const NAME: &'static str = "quality.random";
    const REVISION: u32 = 1;
    const TAKES_NUMBERS: bool = true;
    const SUMMARY: &'static str = "Standard normal noise: the negative control.";

    fn ports() -> Ports {
        super::ports(&["evidence_train", "evidence_test"])
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { draw } = self;
        key_draw(key, *draw);
        key.seed();
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        super::rows(flow);
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let source = Source { name: "random", control: Control::Negative, evidence_derived: false };
        put_rows(inputs, outputs, &source, |evidence| {
            Ok(noise(inputs.seed(), Self::NAME, self.draw, evidence).collect())
        })
    }
}
