//! The fusion rule `hgb`.
