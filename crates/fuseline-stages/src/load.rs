//! `load.*`: files become features.

use fuseline_artifact::ArtifactKind;
use fuseline_engine::Ports;

pub mod csd;
pub mod csv;
pub mod jsonl;
pub(crate) mod notation;
mod npy;
pub mod npz;
pub mod parquet;
pub(crate) mod reading;
pub(crate) mod table;

/// The ports of every kind that loads.
fn ports() -> Ports {
    Ports::new().output("features", ArtifactKind::Features, "The features, sorted by example_id.")
}
