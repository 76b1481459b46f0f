//! One file a kind: its schema and its struct.

pub mod audit;
pub mod cohort;
pub mod evidence;
pub mod example_effects;
pub mod features;
pub mod findings;
pub mod folds;
pub mod metadata;
pub mod model;
pub mod permutations;
pub mod predictions;
pub mod quality;
pub mod report;
pub mod table;

use crate::schema::{Column, ColumnType, MetadataKey, MetadataType};

/// Name of the only class of examples whose label is a number.
pub const VALUE: &str = "value";

/// The column with the example of each row.
const EXAMPLE_ID: Column =
    Column::full("example_id", ColumnType::Utf8, "the example; each stands in one row");

/// The metadata that names the classes.
const CLASSES: MetadataKey = MetadataKey {
    key: "classes",
    of: MetadataType::Names,
    help: "the classes, in the order of their indices",
};
