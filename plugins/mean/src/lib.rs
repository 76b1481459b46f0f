//! The fusion rule `mean`.
