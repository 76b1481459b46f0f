//! `quality.held`: a quality held at its mean, for the gain of a model that is not refitted.

use fuseline_artifact::{Control, OptionalEvidence, Quality};
use fuseline_engine::{
    Inputs, KeyWriter, Labelled, Outputs, Ports, RowFlow, StageError, StageKind,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::quality::{Source, put_sides};

/// Quality is another quality's mean, the same for every example: the reference without quality of a
/// model that was fitted elsewhere, which knows that quality and cannot be refitted.
///
/// `qualities_train` and `qualities_test` bring that quality of the modality. Its mean is taken over the
/// training rows, and over the test rows where there are no training rows, as `fuseline.diagnose`
/// does. It is marked as a negative control: a model's gap under it must be exactly 0. Named by
/// `without_quality` of `diagnose.family`, it gives the gain.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Held {}

impl StageKind for Held {
    const NAME: &'static str = "quality.held";
    const REVISION: u32 = 1;
    const TAKES_NUMBERS: bool = true;
    const SUMMARY: &'static str =
        "Another quality held at its mean: a model that was loaded works without quality.";

    fn ports() -> Ports {
        super::ports(&["evidence_train", "evidence_test", "qualities_train", "qualities_test"])
    }

    fn key(&self, _: &mut KeyWriter<'_>) {
        let Self {} = self;
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        flow.no_control("qualities_train");
        flow.no_control("qualities_test");
        flow.two_sides("evidence_train", "evidence_test");
        let fitted = flow.input("evidence_train").holds;
        flow.fit("qualities_train", &fitted);
        for (rows, beside, output) in [
            ("evidence_train", "qualities_train", "train"),
            ("evidence_test", "qualities_test", "test"),
        ] {
            let state = flow.pass_beside(rows, beside, output);
            *state = std::mem::take(state).taught(&fitted);
        }
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let sides: [Vec<Labelled<Quality>>; 2] =
            [inputs.many("qualities_train")?, inputs.many("qualities_test")?];
        let source = Source { name: "held", control: Control::Negative, evidence_derived: false };
        put_sides::<OptionalEvidence>(inputs, outputs, &source, |_, evidence| {
            let mean = |side: &Vec<Labelled<Quality>>| {
                let own = side.iter().map(|labelled| &labelled.artifact);
                let own = own.filter(|quality| quality.modality == evidence.modality);
                let values: Vec<f64> = own.flat_map(|of| of.quality.iter().copied()).collect();
                (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
            };
            let level = sides.iter().find_map(mean).ok_or_else(|| {
                StageError::data(format!("no quality of modality {} arrives", evidence.modality))
                    .at_input("qualities_test")
            })?;
            Ok(vec![level; evidence.example_id.len()])
        })
    }
}
