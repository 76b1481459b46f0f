//! Calibration of probabilities: one temperature, or a rising step function.

use crate::input::{InputError, Labelled, length};
use crate::link;

/// Bounds of the inverse temperature: nearly uniform, and nearly certain.
const INVERSE: (f64, f64) = (1e-3, 1e3);

/// Divides the log probabilities by one temperature (Guo et al. 2017); the decision of a row never
/// changes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Temperature {
    inverse: f64,
}

impl Temperature {
    /// The temperature of the least weighted log loss.
    ///
    /// `probabilities`: n rows by `classes`, row-major; those below 2^-52 count as 2^-52. `labels`,
    /// `weights`: n each. The loss is convex in the inverse temperature, which is found to rounding
    /// by bisection of its derivative within 1e-3 to 1e3; evidence that is worse than no evidence
    /// ends at the lower bound, evidence without a mistake at the upper.
    ///
    /// Errors as the learners do on shapes, labels and weights; a class may not be absent.
    pub fn fit(
        probabilities: &[f64],
        labels: &[u32],
        weights: &[f64],
        classes: usize,
    ) -> Result<Self, InputError> {
        let data = Labelled::new(probabilities, classes, labels, weights, classes)?;
        let logs: Vec<f64> = probabilities.iter().map(|&p| log(p)).collect();
        let mut scaled = vec![0.0; classes];
        let mut slope = |inverse: f64| {
            let mut sum = 0.0;
            for ((row, &label), weight) in
                logs.chunks_exact(classes).zip(data.labels).zip(data.weights)
            {
                scaled.iter_mut().zip(row).for_each(|(scaled, log)| *scaled = inverse * log);
                link::softmax(&mut scaled);
                let mean: f64 = scaled.iter().zip(row).map(|(p, log)| p * log).sum();
                sum += weight * (mean - row[label as usize]);
            }
            sum
        };
        let (mut low, mut high) = INVERSE;
        if slope(low) >= 0.0 {
            return Ok(Self { inverse: low });
        }
        if slope(high) <= 0.0 {
            return Ok(Self { inverse: high });
        }
        loop {
            let middle = low + (high - low) / 2.0;
            if middle <= low || middle >= high {
                return Ok(Self { inverse: middle });
            }
            if slope(middle) < 0.0 {
                low = middle;
            } else {
                high = middle;
            }
        }
    }

    /// A temperature that is known. Errors unless it is finite and above 0.
    pub fn new(temperature: f64) -> Result<Self, InputError> {
        if temperature > 0.0 && temperature.is_finite() {
            return Ok(Self { inverse: 1.0 / temperature });
        }
        Err(InputError::Option { option: "temperature", expected: "a finite number above 0" })
    }

    /// The temperature: above 1 it makes the probabilities less certain.
    #[must_use]
    pub fn temperature(&self) -> f64 {
        1.0 / self.inverse
    }

    /// Calibrates rows by `classes` in place; what is left of an incomplete last row stays as it
    /// is.
    pub fn apply(&self, probabilities: &mut [f64], classes: usize) {
        for row in probabilities.chunks_exact_mut(classes.max(1)) {
            row.iter_mut().for_each(|p| *p = self.inverse * log(*p));
            link::softmax(row);
        }
    }
}

fn log(probability: f64) -> f64 {
    libm::log(probability.max(f64::EPSILON))
}

/// A rising function through weighted means of the targets (Ayer et al. 1955), linear between its
/// knots.
#[derive(Debug, Clone, PartialEq)]
pub struct Isotonic {
    /// Increasing places.
    x: Vec<f64>,
    /// The values there, which never fall.
    y: Vec<f64>,
}

impl Isotonic {
    /// The function of least weighted squares among those that never fall, by pooling adjacent
    /// violators.
    ///
    /// `scores`, `targets`, `weights`: n each; targets are 0 or 1 for calibration, but any finite
    /// number will do. Equal scores are pooled first; rows without weight count for nothing.
    /// scikit-learn's `IsotonicRegression(out_of_bounds="clip")`. Errors when a length is wrong, a
    /// score or target is not finite, a weight is negative or not finite, or none is above 0.
    pub fn fit(scores: &[f64], targets: &[f64], weights: &[f64]) -> Result<Self, InputError> {
        length("targets", scores.len(), targets.len())?;
        length("weights", scores.len(), weights.len())?;
        let mut points = Vec::with_capacity(scores.len());
        for (row, ((&x, &y), &weight)) in scores.iter().zip(targets).zip(weights).enumerate() {
            for (column, value) in [x, y].into_iter().enumerate() {
                if !value.is_finite() {
                    return Err(InputError::NotFinite { row, column, value });
                }
            }
            if !(weight >= 0.0 && weight.is_finite()) {
                return Err(InputError::Weight { row, weight });
            }
            if weight > 0.0 {
                points.push((x, y, weight));
            }
        }
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut pools: Vec<Pool> = Vec::new();
        #[expect(clippy::float_cmp, reason = "ties are equal scores")]
        for tied in points.chunk_by(|a, b| a.0 == b.0) {
            let weight: f64 = tied.iter().map(|point| point.2).sum();
            let mean = tied.iter().map(|point| point.1 * point.2).sum::<f64>() / weight;
            let mut pool = Pool { first: tied[0].0, last: tied[0].0, mean, weight };
            while let Some(before) = pools.pop_if(|before| before.mean >= pool.mean) {
                pool = before.joined(&pool);
            }
            pools.push(pool);
        }
        if pools.is_empty() {
            return Err(InputError::Empty);
        }
        let (mut x, mut y) = (Vec::new(), Vec::new());
        for pool in pools {
            x.push(pool.first);
            y.push(pool.mean);
            if pool.last > pool.first {
                x.push(pool.last);
                y.push(pool.mean);
            }
        }
        Ok(Self { x, y })
    }

    /// The function through knots that are known: increasing places, and values there that never
    /// fall.
    ///
    /// Errors when there is none, their numbers differ, a value is not finite, or one falls.
    pub fn from_knots(x: Vec<f64>, y: Vec<f64>) -> Result<Self, InputError> {
        length("values", x.len(), y.len())?;
        let finite = x.iter().chain(&y).all(|value| value.is_finite());
        let rising = x.is_sorted_by(|a, b| a < b) && y.is_sorted();
        if finite && rising && !x.is_empty() {
            return Ok(Self { x, y });
        }
        Err(InputError::Option { option: "knots", expected: "finite, and rising" })
    }

    /// The knots: increasing places, and the values there.
    #[must_use]
    pub fn knots(&self) -> (&[f64], &[f64]) {
        (&self.x, &self.y)
    }

    /// The value at a score: linear between knots, that of the nearest knot beyond them. NaN stays
    /// NaN.
    #[must_use]
    pub fn value(&self, score: f64) -> f64 {
        if score.is_nan() {
            return score;
        }
        let above = self.x.partition_point(|&x| x < score);
        if above == 0 || above == self.x.len() {
            return self.y[above.min(self.y.len() - 1)];
        }
        let share = (score - self.x[above - 1]) / (self.x[above] - self.x[above - 1]);
        self.y[above - 1] + share * (self.y[above] - self.y[above - 1])
    }
}

/// Neighbours that share one value.
#[derive(Debug, Clone, Copy)]
struct Pool {
    first: f64,
    last: f64,
    mean: f64,
    weight: f64,
}

impl Pool {
    fn joined(&self, next: &Self) -> Self {
        let weight = self.weight + next.weight;
        let mean = (self.mean * self.weight + next.mean * next.weight) / weight;
        Self { first: self.first, last: next.last, mean, weight }
    }
}

#[cfg(test)]
mod tests;
