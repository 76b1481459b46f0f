//! `quality.margin`: how far the expert's first choice is ahead of its second.

use fuseline_artifact::Control;
use fuseline_engine::{
    Inputs, KeyWriter, Outputs, PlanSite, Ports, RowFlow, StageError, StageKind,
};
use fuseline_stats::evidence::margin;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::quality::{Source, each_row, put};

/// Quality is the largest probability minus the second largest.
///
/// It is a function of the evidence, which the diagnostic holds fixed: see what the report says of
/// evidence-derived quality.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Margin {}

impl StageKind for Margin {
    const NAME: &'static str = "quality.margin";
    const REVISION: u32 = 1;
    const SUMMARY: &'static str = "The largest probability minus the second largest.";

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
        let source = Source { name: "margin", control: Control::Native, evidence_derived: true };
        put(inputs, outputs, &source, |evidence| Ok(each_row(evidence).map(margin).collect()))
    }
}
