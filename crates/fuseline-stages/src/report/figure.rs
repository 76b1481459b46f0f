//! `report.figure`: one figure of the report as a file, for a paper.

use fuseline_artifact::Report;
use fuseline_engine::{
    Inputs, KeyWriter, Outputs, PlanSite, Ports, RowFlow, StageError, StageKind,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::html::{data, ports, rows};
use crate::pattern::closest;
use crate::upstream;

/// Draws one figure of the report into a file of its own.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// Which: `gaps` (the forest plot), `stages`, `alignment`, `heat-1`, ...: the names of the
    /// files that `fuseline report --figures` writes.
    figure: String,
    /// In which form.
    #[serde(default)]
    format: Format,
}

/// The form of a figure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// PDF with its fonts embedded, as journals and pdfLaTeX require.
    #[default]
    Pdf,
    /// SVG, for pages and to edit.
    Svg,
    /// PNG, 288 pixels an inch, for slides.
    Png,
}

impl StageKind for Figure {
    const NAME: &'static str = "report.figure";
    const REVISION: u32 = 8; // no label that fits is cut; ticks with all their digits; no dose along repetitions, no row of no gap; legends of what is drawn and two ticks at least; colours, shapes and legends; axes and ports of stages; both p-values; common ranges; permutations of the findings alone
    const TAKES_NUMBERS: bool = true;
    const SUMMARY: &'static str =
        "One figure of the report as PDF, SVG or PNG, for a paper or slides.";

    fn ports() -> Ports {
        ports()
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { figure, format } = self;
        key.field("figure", figure);
        key.field("format", format);
    }

    fn check_plan(&self, site: &mut PlanSite<'_>) {
        upstream::check_reported(site);
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        rows(flow);
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let figures = fuseline_report::figures(&data(None, inputs)?);
        let Some(figure) = figures.iter().find(|figure| figure.name == self.figure) else {
            let names: Vec<&str> = figures.iter().map(|figure| figure.name.as_str()).collect();
            let hint = match closest(&self.figure, names.iter().copied()) {
                Some(name) => format!("did you mean {name}?"),
                None => format!("there are {}", names.join(", ")),
            };
            let message = format!("the report has no figure {}", self.figure);
            return Err(StageError::data(message).at("figure").hint(hint));
        };
        let (media_type, bytes) = match self.format {
            Format::Pdf => ("application/pdf", figure.pdf()),
            Format::Svg => ("image/svg+xml", figure.svg().into_bytes()),
            Format::Png => ("image/png", figure.png()),
        };
        outputs.put("report", Report { media_type: media_type.to_owned(), bytes })
    }
}
