//! Reports and their figures.
//!
//! Knows findings, the statements that they support, and how to draw them. Knows nothing of
//! artifacts, files or clocks: data in, text out, and the same data gives the same bytes. Start at
//! [`ReportData`] and [`html`]; [`markdown`], [`latex`] and [`figures()`] give the same in other
//! forms. **Invariant:** a report makes no network request and claims no more than its tests allow.

mod answer;
mod arrange;
mod checklist;
mod controls;
mod data;
mod figures;
mod format;
mod latex;
mod made_of;
mod markdown;
pub mod markup;
mod methods;
mod numbers;
mod page;
mod palette;
mod supplement_tables;
pub mod supplements;
mod uses;
mod verdict;

pub use checklist::{Checklist, checklist_latex, checklist_markdown};
pub use data::{
    Asked, Caution, Control, FileUsed, FindingRow, ModelUsed, NullDistribution, Observed,
    PluginUsed, Point, PortEdge, Provenance, ReliabilityBin, ReliabilityCurve, ReportData, Routing,
    RunUsed, Settings, Spread, StageRun,
};
pub use figures::{Figure, FigureColumn, FigureTable, FigureValues};
pub use format::{counted, points};
pub use latex::latex;
pub use markdown::{code as markdown_code, escape as markdown_text, markdown};
pub use methods::shell_word;
pub use numbers::{Metric, MetricRow};
pub use page::{SCRIPT_DIGEST, fragment, html};
pub use palette::{FIGURE_STYLE, page_colours};

/// The answer in words: the headline, then which rule uses which quality, and the sentences with
/// the evidence for it.
#[must_use]
pub fn answer_in_words(data: &ReportData) -> (String, Vec<String>) {
    let answer = answer::answer(data);
    let uses = answer.uses.iter().map(uses::Use::sentence);
    (answer.headline, uses.chain(answer.sentences).collect())
}

/// Draws every figure of the report that can be a file of its own.
#[must_use]
pub fn figures(data: &ReportData) -> Vec<Figure> {
    let (answer, arrangement) = (answer::answer(data), arrange::arrange(data));
    figures::all(data, &answer, &arrangement)
}

/// The numbers that figures show beside the findings, as tables.
#[must_use]
pub fn figure_tables(data: &ReportData) -> Vec<FigureTable> {
    figures::tables(data)
}

#[cfg(test)]
extern crate self as fuseline_report;
#[cfg(test)]
#[path = "../tests/fixture/mod.rs"]
mod fixture;
