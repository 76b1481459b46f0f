//! `simulate.*`: cohorts and features with a known truth.

pub mod cohort;
pub mod features;
