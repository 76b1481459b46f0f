//! `quality.max_probability`: the probability of the class that the expert decides for.

use fuseline_artifact::Control;
use fuseline_engine::{
    Inputs, KeyWriter, Outputs, PlanSite, Ports, RowFlow, StageError, StageKind,
};
use fuseline_stats::evidence::confidence;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::quality::{Source, each_row, put};

/// Quality is the largest probability, max_k p_k: from 1/K to 1, more is more reliable (Hendrycks
/// and Gimpel, "A baseline for detecting misclassified and out-of-distribution examples in neural
/// networks", ICLR 2017).
///
/// It is a function of the evidence, which the diagnostic holds fixed: see what the report says of
/// evidence-derived quality. Of two classes it says what `quality.margin` does.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MaxProbability {}

impl StageKind for MaxProbability {
    const NAME: &'static str = "quality.max_probability";
    const REVISION: u32 = 1;
    const SUMMARY: &'static str = "The largest probability.";

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
        let source =
            Source { name: "max_probability", control: Control::Native, evidence_derived: true };
        put(inputs, outputs, &source, |evidence| Ok(each_row(evidence).map(confidence).collect()))
    }
}
