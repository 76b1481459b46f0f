//! Library for authors of fusion rules in Rust.
//!
//! Knows the C ABI and hides it: a rule is a safe type that implements [`FusionRule`], exported by
//! [`export_fusion_rule!`]. Knows nothing of hosts, workflows or files. Start at [`FusionRule`].
//! **Invariant:** nothing unwinds out of a plugin, and a plugin needs no `unsafe` of its own.
//!
//! ```
//! use fuseline_plugin::{
//!     Batch, Descriptor, FusionRule, ModelReader, ModelWriter, Params, RuleError, Shape, TrainingBatch,
//!     export_fusion_rule,
//! };
//!
//! /// Trusts the first available modality.
//! struct First;
//!
//! impl FusionRule for First {
//!     const ID: &'static str = "org.example.first";
//!
//!     fn descriptor() -> Descriptor {
//!         Descriptor::new("first available modality", env!("CARGO_PKG_VERSION"), "MIT", "Trusts the first modality.")
//!     }
//!     fn fit(_: &TrainingBatch<'_>, _: &Params<'_>, _seed: u64) -> Result<Self, RuleError> {
//!         Ok(Self)
//!     }
//!     fn write(&self, _: &mut ModelWriter) {}
//!     fn read(_: &mut ModelReader<'_>, _: &Shape) -> Result<Self, RuleError> {
//!         Ok(Self)
//!     }
//!     fn predict(&self, batch: &Batch<'_>, probabilities: &mut [f64]) -> Result<(), RuleError> {
//!         let classes = batch.classes();
//!         for (row, out) in probabilities.chunks_exact_mut(classes).enumerate() {
//!             match (0..batch.modalities()).find(|&modality| batch.is_available(row, modality)) {
//!                 Some(modality) => out.copy_from_slice(batch.evidence_of(row, modality)),
//!                 None => out.fill(1.0 / classes as f64),
//!             }
//!         }
//!         Ok(())
//!     }
//! }
//!
//! export_fusion_rule!(First);
//! ```
//!
//! Built with `crate-type = ["cdylib"]`, that is a plugin. `fuseline plugin check FILE` says
//! whether it keeps the ABI's promises.

mod batch;
pub mod belief;
mod descriptor;
mod design;
mod error;
mod export;
mod load;
mod model;
mod params;
mod permuted;
mod question;
mod rule;
mod standard_quality;
pub mod tiles;
pub mod vector;

pub use batch::{Batch, TrainingBatch};
pub use descriptor::{Descriptor, Param};
pub use design::Design;
pub use error::RuleError;
pub use load::{File, LoadSource};
pub use model::{ModelReader, ModelWriter, Shape};
pub use params::Params;
pub use permuted::Quality;
pub use question::Question;
pub use rule::{AnswerQuery, FusionRule, LoadModel, PermutedPredict};
pub use standard_quality::StandardQuality;

/// Items that the macro's expansion uses; not for authors.
#[doc(hidden)]
pub mod private {
    pub use crate::export::{Extension, find_extension, init, load, permuted_predict, query};
    pub use fuseline_abi as abi;
}
