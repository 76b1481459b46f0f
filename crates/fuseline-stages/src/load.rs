//! `load.*`: files become features.

pub mod csv;
