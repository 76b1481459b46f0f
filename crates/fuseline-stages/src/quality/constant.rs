//! `quality.constant`: the same quality for every example, for the comparison without quality.

use fuseline_artifact::Control;
use fuseline_engine::{Inputs, KeyWriter, Outputs, Ports, RowFlow, StageError, StageKind};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::quality::{Source, put_rows};

/// Quality is 1 for every example: the reference without quality.
///
/// It is marked as a negative control and not as a condition to study: it cannot carry anything
/// about reliability, and a rule's gap under it must be exactly 0.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Constant {}

impl StageKind for Constant {
    const NAME: &'static str = "quality.constant";
    const REVISION: u32 = 1;
    const TAKES_NUMBERS: bool = true;
    const SUMMARY: &'static str =
        "The same quality everywhere: a rule refitted with it works without quality.";

    fn ports() -> Ports {
        super::ports(&["evidence_train", "evidence_test"])
    }

    fn key(&self, _: &mut KeyWriter<'_>) {
        let Self {} = self;
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        super::rows(flow);
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let source =
            Source { name: "constant", control: Control::Negative, evidence_derived: false };
        put_rows(inputs, outputs, &source, |evidence| Ok(vec![1.0; evidence.example_id.len()]))
    }
}
