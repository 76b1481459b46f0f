//! Artifact kinds, their Arrow schemas, and their bytes.
//!
//! Knows Arrow, Parquet and digests. Knows nothing of stages, caches or YAML.
//! Start at [`Typed`]: each kind of artifact is a struct that becomes an [`Artifact`], which
//! becomes bytes.
//! **Invariant:** every encoded artifact matches the schema of its kind, and the same table gives
//! the same bytes.

mod artifact;
mod columns;
mod digest;
mod encoding;
mod error;
mod kind;
mod kinds;
mod reference;
#[cfg(test)]
mod samples;
mod schema;
mod sequence;
mod texts;
mod unseen;

pub use artifact::{Artifact, Payload, Typed};
pub use digest::{BadDigest, Digest, Hex};
pub use encoding::{batch_size, in_one};
pub use error::ArtifactError;
pub use kind::{ArtifactKind, UnknownKind};
pub use kinds::VALUE;
pub use kinds::audit::{Audit, Fault, Severity};
pub use kinds::cohort::{AnyCohort, Cohort};
pub use kinds::evidence::{AnyEvidence, Evidence, INNER_FOLD, OptionalEvidence};
pub use kinds::example_effects::{ExampleEffects, RegressionEffects};
pub use kinds::features::Features;
pub use kinds::findings::{Finding, Findings, GroupCounts, GroupSums, MetricValues};
pub use kinds::folds::Folds;
pub use kinds::metadata::Metadata;
pub use kinds::model::{EmbeddingScale, FittedOn, Model};
pub use kinds::permutations::{
    AnyPermutations, PermutationSums, Permutations, RegressionPermutations,
};
pub use kinds::predictions::{Predictions, RegressionPredictions};
pub use kinds::quality::{Control, Quality, UnknownControl};
pub use kinds::report::Report;
pub use kinds::table::{
    AnyTable, CalibrationRow, CompareRow, MetricRow, ReliabilityRow, RepeatRow, RoutingRow,
    SubgroupRow, Table,
};
pub use reference::reference;
pub use schema::{Column, ColumnName, ColumnType, KindSchema, MetadataKey, MetadataType};
pub use sequence::Sequence;
pub use texts::Texts;
pub use unseen::is_unseen;
