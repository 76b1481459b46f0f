//! Bounds of a mean that hold at the border, where the sample shows no variation.
//!
//! A bootstrap resamples observed rows: a difference that never occurred gets an interval of
//! no width. Here one more group is supposed that was not seen and that is as extreme as can be.

use rayon::prelude::*;

use crate::bootstrap::{BootstrapError, ClassSums, Interval};
use crate::quantile;
use crate::streams::Stream;

/// Values between two numbers, by group and class.
pub type Bounded<'a> = (&'a ClassSums, [f64; 2]);

/// Intervals of means of recalls that suppose, in each class, one more group of average size at
/// either extreme.
///
/// The groups' weights are exponential, as in the Bayesian bootstrap (Rubin 1981), and the group
/// that was not seen has a weight, too; the lower end is the (1 - confidence) / 2 quantile with
/// that group at the lowest value, the upper end the (1 + confidence) / 2 quantile with it at the
/// highest. For 0 or 1 in one class and groups of one row this is the exact interval of Clopper and
/// Pearson (1934); for bounded values it is that of Gaffke (2005; Learned-Miller and Thomas 2019).
/// Where nothing varies its width is that of G groups without an event, 1 - alpha^(1/G) with G the
/// groups that hold rows of the class.
///
/// All samples have the same groups and get the same weights. Resample r is a function of the
/// stream's parts and r. Errors without groups or resamples, and when the confidence is not between
/// 0 and 1.
pub fn unseen_intervals<const N: usize>(
    samples: [Bounded<'_>; N],
    resamples: usize,
    stream: &Stream,
    confidence: f64,
) -> Result<[Interval; N], BootstrapError> {
    if !(confidence > 0.0 && confidence < 1.0) {
        return Err(BootstrapError::Confidence { confidence });
    }
    let groups = samples.iter().map(|(sums, _)| sums.groups()).max().unwrap_or_default();
    let unseen = samples.map(|(sums, _)| sums.average_groups());
    let each = (0..resamples as u64).into_par_iter().map_init(
        || vec![0.0; groups],
        |weights, resample| {
            let mut stream = stream.clone().with_u64(resample);
            let mut exponential = || -libm::log1p(-stream.uniform());
            let extra = exponential();
            weights.iter_mut().for_each(|weight| *weight = exponential());
            let mut values = [[0.0; 2]; N];
            for ((values, (sums, range)), unseen) in values.iter_mut().zip(samples).zip(&unseen) {
                *values = sums.weighted(weights, extra, unseen, range);
            }
            values
        },
    );
    let mut ends = [(); N].map(|()| [(); 2].map(|()| Vec::with_capacity(resamples)));
    for values in each.collect::<Vec<_>>() {
        for (ends, values) in ends.iter_mut().zip(values) {
            ends.iter_mut().zip(values).for_each(|(end, value)| end.push(value));
        }
    }
    let tail = (1.0 - confidence) / 2.0;
    let mut intervals = [Interval { low: f64::NAN, high: f64::NAN, confidence }; N];
    for ((statistic, interval), mut ends) in intervals.iter_mut().enumerate().zip(ends) {
        ends.iter_mut().for_each(|end| end.sort_by(f64::total_cmp));
        let low = quantile::of_sorted(&ends[0], tail).ok_or(BootstrapError::Empty)?;
        let high = quantile::of_sorted(&ends[1], 1.0 - tail).ok_or(BootstrapError::Empty)?;
        if !(low.is_finite() && high.is_finite()) {
            return Err(BootstrapError::NotFinite { statistic, resample: -1 });
        }
        *interval = Interval { low, high, confidence };
    }
    Ok(intervals)
}

#[cfg(test)]
mod tests;
