//! Bounds of a mean that hold at the border, where the sample shows no variation.
//!
//! A bootstrap resamples observed rows: a difference that never occurred gets an interval of
//! no width. Here one more group is supposed that was not seen and that is as extreme as can be.

use crate::bootstrap::{BootstrapError, ClassSums, Interval};
use crate::quantile;
use crate::streams::Stream;

/// Interval of a mean of recalls that supposes, in each class, one more group of average size at
/// either extreme.
///
/// The groups' weights are exponential, as in the Bayesian bootstrap (Rubin 1981), and the group
/// that was not seen has a weight, too; the lower end is the (1 - confidence) / 2 quantile with
/// that group at `range.0`, the upper end the (1 + confidence) / 2 quantile with it at `range.1`.
/// For 0 or 1 in one class and groups of one row this is the exact interval of Clopper and Pearson
/// (1934); for bounded values it is that of Gaffke (2005; Learned-Miller and Thomas 2019). Where
/// nothing varies its width is that of G groups without an event, 1 - alpha^(1/G) with G the groups
/// that hold rows of the class.
///
/// `sums`: values between `range.0` and `range.1` by group and class. Resample r is a function of
/// the stream's parts and r. Errors without groups or resamples, and when the confidence is not
/// between 0 and 1.
pub fn unseen_interval(
    sums: &ClassSums,
    range: (f64, f64),
    resamples: usize,
    stream: &Stream,
    confidence: f64,
) -> Result<Interval, BootstrapError> {
    if !(confidence > 0.0 && confidence < 1.0) {
        return Err(BootstrapError::Confidence { confidence });
    }
    let groups = sums.groups();
    let unseen = sums.average_groups();
    let (mut low, mut high) = (Vec::with_capacity(resamples), Vec::with_capacity(resamples));
    let mut weights = vec![0.0; groups];
    for resample in 0..resamples as u64 {
        let mut stream = stream.clone().with_u64(resample);
        let mut exponential = || -libm::log1p(-stream.uniform());
        let extra = exponential();
        weights.iter_mut().for_each(|weight| *weight = exponential());
        let [at_low, at_high] = sums.weighted(&weights, extra, &unseen, [range.0, range.1]);
        low.push(at_low);
        high.push(at_high);
    }
    low.sort_by(f64::total_cmp);
    high.sort_by(f64::total_cmp);
    let tail = (1.0 - confidence) / 2.0;
    match (quantile::of_sorted(&low, tail), quantile::of_sorted(&high, 1.0 - tail)) {
        (Some(low), Some(high)) if low.is_finite() && high.is_finite() => {
            Ok(Interval { low, high, confidence })
        }
        (Some(_), Some(_)) => Err(BootstrapError::NotFinite { statistic: 0, resample: -1 }),
        _ => Err(BootstrapError::Empty),
    }
}

#[cfg(test)]
mod tests;
