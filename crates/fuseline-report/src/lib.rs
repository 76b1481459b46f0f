//! Reports and their figures.
//!
//! Knows findings, what may be said of them, and how to draw them. Knows nothing of artifacts, files or clocks:
//! data in, text out, and the same data gives the same bytes.
//! Start at [`ReportData`] and [`html`]. **Invariant:** a report asks nothing of the network and claims no more
//! than its tests allow.

mod data;
mod format;
mod markup;
mod page;
mod verdict;

pub use data::{
    Asked, Control, FindingRow, ModelUsed, NullDistribution, PluginUsed, Point, Provenance,
    ReliabilityBin, ReliabilityCurve, ReportData, Settings, Spread, StageRun,
};
pub use page::html;
