//! Plan, explain, execute.
//!
//! Knows what a stage kind is ([`StageKind`]), how a checked workflow becomes a graph of actions ([`Plan`]), what an
//! action's key is made of, and how to run what is not cached. Knows no stage kind by name, no command line, no report.
//! Start at [`StageKind`] to write a stage kind, at [`Plan`] to follow a run.
//! **Invariant:** an action's outputs are a function of the fields of its key, and of nothing else.

pub mod error;
pub mod inputs;
pub mod key;
pub mod kind;
pub mod services;

pub use error::StageError;
pub use inputs::{Inputs, InputsBuilder, Labelled, Outputs, Point, Provenance};
pub use key::KeyWriter;
pub use kind::{CheckSite, Kind, Kinds, Ports, StageKind};
pub use services::Services;
