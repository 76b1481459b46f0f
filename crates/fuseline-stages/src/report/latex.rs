//! `report.latex`: the findings as a booktabs table and the methods paragraph, for a paper.

use fuseline_artifact::Report;
use fuseline_engine::{
    Inputs, KeyWriter, Outputs, PlanSite, Ports, RowFlow, StageError, StageKind,
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::html::{data, ports, rows};
use crate::upstream;

/// Writes the findings as a booktabs table, and the methods paragraph, as LaTeX to `\input`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Latex {
    /// The title; the workflow's name when left out.
    #[serde(default)]
    title: Option<String>,
}

impl StageKind for Latex {
    const NAME: &'static str = "report.latex";
    const REVISION: u32 = 9; // a sentence on repetitions; gains with their intervals, said once; methods say how many conditions count; a headline of too few permutations; labels that are numbers; strength 0 asks for quiet; embeddings and BCa in the methods; any letter compiles; permutations of the findings alone
    const TAKES_NUMBERS: bool = true;
    const SUMMARY: &'static str =
        "The findings as a booktabs table and the methods paragraph, for a paper.";

    fn ports() -> Ports {
        ports()
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { title } = self;
        key.field("title", title);
    }

    fn check_plan(&self, site: &mut PlanSite<'_>) {
        upstream::check_reported(site);
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        rows(flow);
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let bytes = fuseline_report::latex(&data(self.title.as_deref(), inputs)?).into_bytes();
        outputs.put("report", Report { media_type: "text/x-tex".to_owned(), bytes })
    }
}
