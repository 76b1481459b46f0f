//! Adjusted p-values of a family of tests.

use thiserror::Error;

/// Why p-values cannot be adjusted.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
pub enum MultipleError {
    /// A p-value is not between 0 and 1.
    #[error("p-value {place} of the family is {value}, which is not between 0 and 1")]
    NotAPValue {
        /// Its place in the family, from 0.
        place: usize,
        /// The value.
        value: f64,
    },
}

/// Holm's step-down adjustment (1979): controls the chance of any false claim, whatever the
/// dependence.
///
/// `p_values`: the family, in any order; the adjusted values come in the same order, at most 1.
/// Errors when a value is not between 0 and 1. An empty family gives an empty list.
pub fn holm(p_values: &[f64]) -> Result<Vec<f64>, MultipleError> {
    let order = ascending(p_values)?;
    let mut adjusted = vec![0.0; p_values.len()];
    let mut highest = 0.0_f64;
    for (rank, &place) in order.iter().enumerate() {
        highest = highest.max((order.len() - rank) as f64 * p_values[place]).min(1.0);
        adjusted[place] = highest;
    }
    Ok(adjusted)
}

/// The step-up adjustment of Benjamini and Hochberg (1995): controls the expected share of false
/// claims among the claims, for independent or positively dependent tests.
///
/// Shapes and errors as [`holm`].
pub fn benjamini_hochberg(p_values: &[f64]) -> Result<Vec<f64>, MultipleError> {
    let order = ascending(p_values)?;
    let mut adjusted = vec![0.0; p_values.len()];
    let mut lowest = 1.0_f64;
    for (rank, &place) in order.iter().enumerate().rev() {
        lowest = lowest.min(order.len() as f64 / (rank + 1) as f64 * p_values[place]);
        adjusted[place] = lowest;
    }
    Ok(adjusted)
}

fn ascending(p_values: &[f64]) -> Result<Vec<usize>, MultipleError> {
    if let Some(place) = p_values.iter().position(|p| !(0.0..=1.0).contains(p)) {
        return Err(MultipleError::NotAPValue { place, value: p_values[place] });
    }
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    Ok(order)
}

#[cfg(test)]
mod tests;
