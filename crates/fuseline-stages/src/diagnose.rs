//! `diagnose.*`: does the fused decision use quality?

mod broken;
mod experts;
pub mod family;
pub mod permute_quality;
pub mod summarize;
mod tally;

#[cfg(test)]
mod tests;
