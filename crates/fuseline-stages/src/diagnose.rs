//! `diagnose.*`: does the fused decision use quality?

mod broken;
mod by_point;
pub mod calibration;
mod chance;
pub mod compare;
pub mod design;
mod draws;
mod experts;
pub mod family;
pub mod frozen;
mod intervals;
pub mod labels;
pub mod metrics;
pub(crate) mod moved;
pub(crate) mod numbers;
mod p_doubt;
mod pairs;
pub mod permute_quality;
pub mod reliability;
pub mod repeats;
mod router;
pub mod routing;
mod strata;
pub mod subgroups;
pub mod summarize;
mod tally;
mod training;

#[cfg(test)]
mod tests;
