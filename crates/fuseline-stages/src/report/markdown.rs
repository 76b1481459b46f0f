//! `report.markdown`: the report as Markdown, for a repository, a wiki or a notebook.

use fuseline_artifact::Report;
use fuseline_engine::{
    Inputs, KeyWriter, Outputs, PlanSite, Ports, RowFlow, StageError, StageKind,
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::html::{data, ports, rows};
use crate::upstream;

/// Writes the report as GitHub-flavoured Markdown: the verdict in words, the findings, the methods
/// and the provenance, without figures.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Markdown {
    /// The title; the workflow's name when left out.
    #[serde(default)]
    title: Option<String>,
}

impl StageKind for Markdown {
    const NAME: &'static str = "report.markdown";
    const REVISION: u32 = 10; // a sentence on repetitions; gains with their intervals, said once; methods say how many conditions count; a headline of too few permutations, labels of which accuracies are means; files that were read; tables beside the findings; labels that are numbers; folds of one class; controls that share a draw; strength 0 asks for quiet; embeddings and BCa in the methods; permutations of the findings alone
    const TAKES_NUMBERS: bool = true;
    const SUMMARY: &'static str = "The report as Markdown, for a repository, a wiki or a notebook.";

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
        let bytes = fuseline_report::markdown(&data(self.title.as_deref(), inputs)?).into_bytes();
        outputs.put("report", Report { media_type: "text/markdown".to_owned(), bytes })
    }
}
