//! Metrics of decisions, probabilities and rankings.

use thiserror::Error;

mod counts;
mod numbers;
mod probabilities;
mod ranks;

pub use counts::{Confusion, balanced_accuracy, flip_rate, recalls};
pub use numbers::{NumberMetric, NumberSums, number_metric};
pub use probabilities::{
    brier, decision, decisions, log_loss, mean_total_variation, total_variation,
};
pub use ranks::{auroc, auroc_one_against_rest, concordance_index, mid_ranks, spearman};

/// Why a metric has no value.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum MetricError {
    /// There is nothing to measure.
    #[error("there are no rows")]
    Empty,
    /// Two slices do not fit together.
    #[error("{what}: {found} values where {expected} were expected")]
    Length {
        /// Name of the slice.
        what: &'static str,
        /// The length that the other arguments ask for.
        expected: usize,
        /// The length found.
        found: usize,
    },
    /// A label or decision is no class number.
    #[error("row {row}: {what} {value} is outside the {classes} classes")]
    Class {
        /// Label or decision.
        what: &'static str,
        /// Row of the value.
        row: usize,
        /// The value.
        value: u32,
        /// Number of classes.
        classes: usize,
    },
    /// More rows are counted right than there are.
    #[error("class {class}: {correct} of {rows} rows are right")]
    TooManyCorrect {
        /// The class.
        class: usize,
        /// Rows counted right.
        correct: u64,
        /// Rows.
        rows: u64,
    },
    /// A value is NaN.
    #[error("row {row} is not a number")]
    NotANumber {
        /// Row of the value.
        row: usize,
    },
    /// The metric is not defined on these rows.
    #[error("{metric} is undefined: {reason}")]
    Undefined {
        /// The metric.
        metric: &'static str,
        /// The missing condition.
        reason: &'static str,
    },
}

/// Fails unless `found` is `expected`.
pub(crate) fn length(what: &'static str, expected: usize, found: usize) -> Result<(), MetricError> {
    if expected == found { Ok(()) } else { Err(MetricError::Length { what, expected, found }) }
}

/// Fails when a value is no class number.
fn classes(what: &'static str, values: &[u32], classes: usize) -> Result<(), MetricError> {
    match values.iter().position(|&value| value as usize >= classes) {
        Some(row) => Err(MetricError::Class { what, row, value: values[row], classes }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
