//! `cohort.*`: which examples are studied, in which groups, with which labels.

pub mod define;
mod label;
mod modalities;
mod side;
