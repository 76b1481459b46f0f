//! `diagnose.*`: does the fused decision use quality?

mod broken;
pub mod calibration;
mod chance;
pub mod compare;
mod experts;
pub mod family;
pub mod frozen;
mod intervals;
pub mod metrics;
pub(crate) mod moved;
mod pairs;
pub mod permute_quality;
mod router;
pub mod routing;
pub mod summarize;
mod tally;

#[cfg(test)]
mod tests;
