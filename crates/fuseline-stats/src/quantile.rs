//! Quantiles of a sample.

/// The quantile of sorted values at `share` (0 to 1), linear between order statistics: numpy's
/// default (type 7).
///
/// `sorted`: ascending, without NaN. None when it is empty or the share is outside 0 to 1.
#[must_use]
pub fn of_sorted(sorted: &[f64], share: f64) -> Option<f64> {
    if !(0.0..=1.0).contains(&share) {
        return None;
    }
    let last = sorted.len().checked_sub(1)?;
    let place = share * last as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to last")]
    let below = (place.floor() as usize).min(last);
    let above = (below + 1).min(last);
    let (low, high, part) = (sorted[below], sorted[above], place - below as f64);
    // From the nearer end, as numpy does, so that neither end is overshot.
    Some(if part < 0.5 { low + (high - low) * part } else { high - (high - low) * (1.0 - part) })
}
