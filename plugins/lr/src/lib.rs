//! The fusion rule `lr`.
