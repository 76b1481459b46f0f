//! Numbers of tables of results.

/// A number of a table; none where it has no value.
pub(crate) fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}
