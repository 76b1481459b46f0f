//! Cluster bootstrap: whole groups are drawn again, so rows of one subject stay together.

use rayon::prelude::*;
use thiserror::Error;

use crate::streams::Stream;
use crate::{normal, quantile};

mod class_sums;

pub use class_sums::{ClassSums, ClassSumsError};

/// Why there is no interval.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
pub enum BootstrapError {
    /// Resampling needs two groups or more.
    #[error("{groups} groups are too few to resample")]
    TooFewGroups {
        /// Number of groups.
        groups: usize,
    },
    /// There is no resample.
    #[error("there are no resamples")]
    Empty,
    /// A statistic is not finite.
    #[error("statistic {statistic} is not finite in resample {resample}")]
    NotFinite {
        /// Its number.
        statistic: usize,
        /// The resample; -1 is the whole sample.
        resample: i64,
    },
    /// The confidence is outside 0 to 1.
    #[error("the confidence {confidence} is not between 0 and 1")]
    Confidence {
        /// The confidence.
        confidence: f64,
    },
}

/// An interval of stated confidence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Confidence of the two-sided interval, between 0 and 1.
    pub confidence: f64,
}

/// One statistic, over all resamples.
#[derive(Debug, Clone, PartialEq)]
pub struct Resampled {
    /// The value of the whole sample.
    pub estimate: f64,
    /// Values of the resamples, in their order.
    pub values: Vec<f64>,
}

/// Draws as many groups as there are, with replacement, `resamples` times, and takes all statistics
/// of each resample.
///
/// `statistics(multiplicity, values)` fills `count` values for a sample in which group g occurs
/// `multiplicity[g]` times. It is called once for the whole sample (all 1) and once for each
/// resample. Statistics that are compared come from the same resample by being
/// filled in the same call. Resample r is a function of the stream's parts and r, so that resamples
/// are taken on all threads.
///
/// Errors when there are fewer than two groups or no resamples, or a value is not finite.
pub fn cluster_bootstrap(
    groups: usize,
    resamples: usize,
    stream: &Stream,
    count: usize,
    statistics: impl Fn(&[u32], &mut [f64]) + Sync,
) -> Result<Vec<Resampled>, BootstrapError> {
    if groups < 2 {
        return Err(BootstrapError::TooFewGroups { groups });
    }
    if resamples == 0 {
        return Err(BootstrapError::Empty);
    }
    let take = |multiplicity: &[u32], resample: i64| {
        let mut values = vec![f64::NAN; count];
        statistics(multiplicity, &mut values);
        match values.iter().position(|value| !value.is_finite()) {
            Some(statistic) => Err(BootstrapError::NotFinite { statistic, resample }),
            None => Ok(values),
        }
    };
    let empty = |estimate| Resampled { estimate, values: Vec::with_capacity(resamples) };
    let mut found: Vec<Resampled> = take(&vec![1; groups], -1)?.into_iter().map(empty).collect();
    let each = (0..resamples as u64).into_par_iter().map_init(
        || vec![0; groups],
        |multiplicity, resample| {
            draw_groups(&stream.clone().with_u64(resample), multiplicity);
            #[expect(clippy::cast_possible_wrap, reason = "resamples are fewer than 2^63")]
            let number = resample as i64;
            take(multiplicity, number)
        },
    );
    // The first error in the order of the resamples, whichever thread was faster.
    for values in each.collect::<Vec<_>>() {
        for (found, value) in found.iter_mut().zip(values?) {
            found.values.push(value);
        }
    }
    Ok(found)
}

/// Draws the multiplicity of each group in one resample.
fn draw_groups(stream: &Stream, multiplicity: &mut [u32]) {
    let mut stream = stream.clone();
    let groups = multiplicity.len();
    multiplicity.fill(0);
    for _ in 0..groups {
        #[expect(clippy::cast_possible_truncation, reason = "a number below a usize is one")]
        let group = stream.below(groups as u64) as usize;
        multiplicity[group] += 1;
    }
}

impl Resampled {
    /// The percentile interval: the (1 - confidence) / 2 and (1 + confidence) / 2 quantiles of the
    /// resamples, linear between order statistics. Errors when the confidence is not between 0
    /// and 1.
    pub fn percentile(&self, confidence: f64) -> Result<Interval, BootstrapError> {
        let tail = tail(confidence)?;
        self.between(tail, 1.0 - tail, confidence)
    }

    /// The bias-corrected and accelerated interval (Efron 1987), accelerated by the jackknife over
    /// groups: the values of the sample without each group.
    ///
    /// As scipy's `bootstrap(method="BCa")`. Where all resamples lie on one side of the estimate,
    /// or the jackknife does not vary, the corrections have no value, and the interval is the
    /// percentile one. Errors as [`Self::percentile`].
    pub fn bca(&self, without_group: &[f64], confidence: f64) -> Result<Interval, BootstrapError> {
        let tail = tail(confidence)?;
        let below = self.values.iter().filter(|&&value| value < self.estimate).count();
        let up_to = self.values.iter().filter(|&&value| value <= self.estimate).count();
        let bias = normal::quantile((below + up_to) as f64 / (2 * self.values.len()) as f64);
        let groups = without_group.len() as f64;
        let mean = without_group.iter().sum::<f64>() / groups;
        let (mut squares, mut cubes) = (0.0, 0.0);
        for value in without_group {
            let pull = mean - value;
            squares += pull * pull;
            cubes += pull * pull * pull;
        }
        let acceleration = cubes / (6.0 * squares * squares.sqrt());
        let share = |tail: f64| {
            let z = bias + normal::quantile(tail);
            normal::cdf(bias + z / (1.0 - acceleration * z))
        };
        let (low, high) = (share(tail), share(1.0 - tail));
        if low.is_finite() && high.is_finite() && bias.is_finite() {
            self.between(low, high, confidence)
        } else {
            self.percentile(confidence)
        }
    }

    fn between(&self, low: f64, high: f64, confidence: f64) -> Result<Interval, BootstrapError> {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        match (quantile::of_sorted(&sorted, low), quantile::of_sorted(&sorted, high)) {
            (Some(low), Some(high)) => Ok(Interval { low, high, confidence }),
            _ => Err(BootstrapError::Empty),
        }
    }
}

fn tail(confidence: f64) -> Result<f64, BootstrapError> {
    if confidence > 0.0 && confidence < 1.0 {
        Ok((1.0 - confidence) / 2.0)
    } else {
        Err(BootstrapError::Confidence { confidence })
    }
}

#[cfg(test)]
mod tests;
