//! The fusion rule `weighted_mean`.
