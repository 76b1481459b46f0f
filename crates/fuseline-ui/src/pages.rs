//! The pages, one file each.

pub mod action;
pub mod artifact;
pub mod cache;
pub mod compare;
pub mod run;
pub mod runs;
