//! `load.*`: files become features.

use fuseline_artifact::ArtifactKind;
use fuseline_engine::{Ports, RowFlow, Rows};

pub mod csd;
pub mod csv;
pub(crate) mod format;
pub mod jsonl;
mod limits;
pub(crate) mod notation;
mod npy;
pub mod npz;
pub(crate) mod numeric;
pub mod parquet;
pub(crate) mod reading;
pub(crate) mod table;
mod text;

/// Default of an option that is on unless it is switched off.
pub(crate) fn yes() -> bool {
    true
}

/// The ports of every kind that loads.
fn ports() -> Ports {
    Ports::new().output("features", ArtifactKind::Features, "The features, sorted by example_id.")
}

/// The file holds all rows, and nothing shaped them here.
fn rows(flow: &mut RowFlow<'_>) {
    flow.output("features", Rows::all(), Rows::none());
}

#[cfg(test)]
mod tests;
