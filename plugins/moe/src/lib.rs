//! The fusion rule `moe`.
