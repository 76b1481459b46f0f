//! `cohort.*`: which examples are studied, in which groups, with which labels.

pub mod define;
mod label;
pub mod metadata;
mod modalities;
mod side;
