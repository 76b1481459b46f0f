//! Platt's sigmoid: from a classifier's scores to probabilities.

use crate::convergence::NotConverged;
use crate::input::{InputError, length};
use crate::link;

/// Steps of Newton's method at most; a dozen are usual.
const ITERATIONS: usize = 100;
/// Halvings of a step before values count as no longer falling.
const HALVINGS: i32 = 50;
/// Converged when the gradient is below this times the sum of weights.
const TOLERANCE: f64 = 1e-12;
/// A gradient that rounding keeps from the tolerance is accepted below this times the sum of
/// weights.
const FLOOR: f64 = 1e-8;

/// p = 1 / (1 + exp(-(slope * score + level))).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sigmoid {
    slope: f64,
    level: f64,
    not_converged: Option<NotConverged>,
}

impl Sigmoid {
    /// The sigmoid of the least weighted log loss against Platt's targets (Platt 2000; solved as in
    /// Lin, Lin and Weng 2007).
    ///
    /// `scores`, `positive`, `weights`: n each. Targets are (P + 1) / (P + 2) for positive rows and
    /// 1 / (N + 2) for the others, P and N being the sums of their weights, so that a separable
    /// sample does not give certainty. This is what scikit-learn's
    /// `CalibratedClassifierCV(method="sigmoid")` fits. Scores that are all alike leave the slope
    /// at 0.
    ///
    /// Errors when a length is wrong, a score is not finite, a weight is negative, or one side has
    /// no weight. Check [`Self::not_converged`].
    pub fn fit(scores: &[f64], positive: &[bool], weights: &[f64]) -> Result<Self, InputError> {
        if scores.is_empty() {
            return Err(InputError::Empty);
        }
        length("positive", scores.len(), positive.len())?;
        length("weights", scores.len(), weights.len())?;
        if let Some(row) = scores.iter().position(|score| !score.is_finite()) {
            return Err(InputError::NotFinite { row, column: 0, value: scores[row] });
        }
        if let Some(row) = weights.iter().position(|weight| !(*weight >= 0.0 && weight.is_finite()))
        {
            return Err(InputError::Weight { row, weight: weights[row] });
        }
        let side = |wanted: bool| -> f64 {
            positive.iter().zip(weights).filter(|(is, _)| **is == wanted).map(|(_, s)| s).sum()
        };
        let (above, below) = (side(true), side(false));
        for (class, weight) in [below, above].into_iter().enumerate() {
            if weight <= 0.0 {
                return Err(InputError::AbsentClass { class });
            }
        }
        // Standardised scores make the two parameters alike in size, whatever the scale of the
        // scores.
        let total = above + below;
        let centre = scores.iter().zip(weights).map(|(f, s)| f * s).sum::<f64>() / total;
        let spread = (scores.iter().zip(weights).map(|(f, s)| s * (f - centre) * (f - centre)))
            .sum::<f64>()
            .sqrt()
            / total.sqrt();
        let scale = if spread > 1e-12 * centre.abs().max(f64::MIN_POSITIVE) { spread } else { 0.0 };
        let scaled = |score: f64| if scale > 0.0 { (score - centre) / scale } else { 0.0 };
        let rows: Vec<Row> = scores
            .iter()
            .zip(positive)
            .zip(weights)
            .map(|((&score, &positive), &weight)| Row {
                score: scaled(score),
                target: if positive { (above + 1.0) / (above + 2.0) } else { 1.0 / (below + 2.0) },
                weight,
            })
            .collect();
        let ([slope, level], not_converged) =
            minimise(&rows, libm::log((above + 1.0) / (below + 1.0)), total);
        if scale == 0.0 {
            return Ok(Self { slope: 0.0, level, not_converged });
        }
        Ok(Self { slope: slope / scale, level: level - slope * centre / scale, not_converged })
    }

    /// Shortfall of a fit whose gradient stayed above 1e-8 times the sum of weights.
    #[must_use]
    pub fn not_converged(&self) -> Option<NotConverged> {
        self.not_converged
    }

    /// Increase of the log odds for a score of one more.
    #[must_use]
    pub fn slope(&self) -> f64 {
        self.slope
    }

    /// The log odds at a score of 0.
    #[must_use]
    pub fn level(&self) -> f64 {
        self.level
    }

    /// The probability of the positive side.
    #[must_use]
    pub fn value(&self, score: f64) -> f64 {
        link::binary(self.slope * score + self.level)[1]
    }
}

struct Row {
    score: f64,
    target: f64,
    weight: f64,
}

/// Slope and level at the minimum, from slope 0 and a level that fits the shares.
fn minimise(rows: &[Row], level: f64, total: f64) -> ([f64; 2], Option<NotConverged>) {
    let loss = |[slope, level]: [f64; 2]| -> f64 {
        let each = |row: &Row| {
            let z = slope * row.score + level;
            row.weight * (link::log1p_exp(z) - row.target * z)
        };
        rows.iter().map(each).sum()
    };
    let mut point = [0.0, level];
    let mut value = loss(point);
    for steps in 0.. {
        let (mut gradient, mut curvature) = ([0.0; 2], [1e-12 * total, 0.0, 1e-12 * total]);
        for row in rows {
            let [q, p] = link::binary(point[0] * row.score + point[1]);
            let (pull, weight) = (row.weight * (p - row.target), row.weight * p * q);
            gradient[0] += pull * row.score;
            gradient[1] += pull;
            curvature[0] += weight * row.score * row.score;
            curvature[1] += weight * row.score;
            curvature[2] += weight;
        }
        let steepness = gradient[0].abs().max(gradient[1].abs());
        if steepness <= TOLERANCE * total {
            break;
        }
        let shortfall = (steepness.is_nan() || steepness > FLOOR * total).then_some(NotConverged {
            steps,
            gradient: steepness,
            wanted: TOLERANCE * total,
        });
        let [a, b, c] = curvature;
        let determinant = a * c - b * b;
        let step = [
            (b * gradient[1] - c * gradient[0]) / determinant,
            (b * gradient[0] - a * gradient[1]) / determinant,
        ];
        let slope = step[0] * gradient[0] + step[1] * gradient[1];
        let mut length = 1.0;
        let next = (0..if steps < ITERATIONS { HALVINGS } else { 0 }).find_map(|_| {
            let next = [point[0] + length * step[0], point[1] + length * step[1]];
            let found = loss(next);
            let falls = found <= value + 1e-4 * length * slope && found < value;
            length *= 0.5;
            falls.then_some((next, found))
        });
        match next {
            Some(next) => (point, value) = next,
            None => return (point, shortfall),
        }
    }
    (point, None)
}

#[cfg(test)]
mod tests;
