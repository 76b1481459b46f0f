//! Tests of equivalence: a difference is shown to be too small to matter.

use crate::bootstrap::Interval;

/// The confidence of the two-sided interval that tests equivalence at level alpha: 1 - 2 alpha, so
/// 0.90 for 0.05.
///
/// Two one-sided tests at level alpha both reject exactly when this interval lies within the
/// margins (Schuirmann 1987).
#[must_use]
pub fn confidence(alpha: f64) -> f64 {
    1.0 - 2.0 * alpha
}

/// True if the interval lies strictly between -margin and margin: equivalence at the level alpha of
/// which [`confidence`] is the interval's.
///
/// An interval of larger confidence is stricter, so the 0.95 interval that is reported anyway also
/// holds the level 0.05 (it tests at 0.025). A margin that is not above 0 shows nothing.
#[must_use]
pub fn within(interval: &Interval, margin: f64) -> bool {
    -margin < interval.low && interval.high < margin
}

#[cfg(test)]
mod tests;
