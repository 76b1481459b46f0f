//! `quality.entropy`: how far the expert is from undecided.

use fuseline_artifact::Control;
use fuseline_engine::{
    Inputs, KeyWriter, Outputs, PlanSite, Ports, RowFlow, StageError, StageKind,
};
use fuseline_stats::evidence::certainty;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::quality::{Source, each_row, put};

/// Quality is 1 - H(p) / ln K: 0 for equal probabilities, 1 for certainty.
///
/// It is a function of the evidence, which the diagnostic holds fixed: see what the report says of
/// evidence-derived quality.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Entropy {}

impl StageKind for Entropy {
    const NAME: &'static str = "quality.entropy";
    const REVISION: u32 = 1;
    const SUMMARY: &'static str = "One minus the normalised entropy of the probabilities.";

    fn ports() -> Ports {
        super::ports(&["evidence_train", "evidence_test"])
    }

    fn key(&self, _: &mut KeyWriter<'_>) {
        let Self {} = self;
    }

    fn check_plan(&self, site: &mut PlanSite<'_>) {
        crate::upstream::check_experts(site, "evidence_test");
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        super::rows(flow);
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let source = Source { name: "entropy", control: Control::Native, evidence_derived: true };
        put(inputs, outputs, &source, |evidence| Ok(each_row(evidence).map(certainty).collect()))
    }
}
