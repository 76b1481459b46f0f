//! Distance from a centre, in the metric of a shrunken covariance.

use crate::metrics::MetricError;

/// A covariance that can be inverted for any number of rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Mahalanobis {
    mean: Vec<f64>,
    /// Lower triangle L of the covariance L L', row-major and square.
    lower: Vec<f64>,
    shrinkage: f64,
}

impl Mahalanobis {
    /// Mean and covariance of n rows by `width`, row-major, the covariance shrunk towards a
    /// multiple of the identity by the amount that Ledoit and Wolf (2004) estimate, as
    /// scikit-learn's `LedoitWolf`.
    ///
    /// Errors when there is no row, rows are not whole, a value is not finite, or no column varies.
    pub fn fit(rows: &[f64], width: usize) -> Result<Self, MetricError> {
        let count = rows.len() / width.max(1);
        if count == 0 {
            return Err(MetricError::Empty);
        }
        super::metrics::length("rows", count * width, rows.len())?;
        if let Some(at) = rows.iter().position(|value| !value.is_finite()) {
            return Err(MetricError::NotANumber { row: at / width });
        }
        let n = count as f64;
        let mut mean = vec![0.0; width];
        for row in rows.chunks_exact(width) {
            mean.iter_mut().zip(row).for_each(|(mean, value)| *mean += value / n);
        }
        // Sums over rows of x_i x_j, and of their squares over all i and j.
        let mut covariance = vec![0.0; width * width];
        let mut fourth = 0.0;
        let mut centred = vec![0.0; width];
        for row in rows.chunks_exact(width) {
            for ((centred, value), mean) in centred.iter_mut().zip(row).zip(&mean) {
                *centred = value - mean;
            }
            let square: f64 = centred.iter().map(|value| value * value).sum();
            fourth += square * square;
            for (line, left) in covariance.chunks_exact_mut(width).zip(&centred) {
                line.iter_mut().zip(&centred).for_each(|(sum, right)| *sum += left * right);
            }
        }
        covariance.iter_mut().for_each(|sum| *sum /= n);
        let p = width as f64;
        let mu = covariance.iter().step_by(width + 1).sum::<f64>() / p;
        if mu <= 0.0 {
            let reason = "no feature varies";
            return Err(MetricError::Undefined { metric: "Mahalanobis distance", reason });
        }
        let squares: f64 = covariance.iter().map(|value| value * value).sum();
        let spread = (squares - p * mu * mu) / p;
        let error = ((fourth / n - squares) / (p * n)).min(spread);
        let shrinkage = if error <= 0.0 { 0.0 } else { error / spread };
        covariance.iter_mut().for_each(|value| *value *= 1.0 - shrinkage);
        covariance.iter_mut().step_by(width + 1).for_each(|value| *value += shrinkage * mu);
        Ok(Self { mean, lower: cholesky(covariance, width), shrinkage })
    }

    /// Shrinkage of the covariance, 0 to 1.
    #[must_use]
    pub fn shrinkage(&self) -> f64 {
        self.shrinkage
    }

    /// sqrt((x - mean)' C^-1 (x - mean)) of a row of the fitted width; values beyond it are not
    /// read.
    #[must_use]
    pub fn distance(&self, row: &[f64]) -> f64 {
        let width = self.mean.len();
        let mut solved: Vec<f64> =
            row.iter().zip(&self.mean).map(|(value, mean)| value - mean).collect();
        let mut sum = 0.0;
        for at in 0..solved.len() {
            let line = &self.lower[at * width..][..=at];
            let known: f64 = line[..at].iter().zip(&solved).map(|(l, x)| l * x).sum();
            solved[at] = (solved[at] - known) / line[at];
            sum += solved[at] * solved[at];
        }
        sum.sqrt()
    }
}

/// The lower triangle L of L L'; a pivot that rounding took below 1e-14 of its diagonal entry is
/// lifted to that.
pub(crate) fn cholesky(mut matrix: Vec<f64>, size: usize) -> Vec<f64> {
    for row in 0..size {
        for column in 0..=row {
            let known: f64 =
                (0..column).map(|at| matrix[row * size + at] * matrix[column * size + at]).sum();
            let value = matrix[row * size + column] - known;
            matrix[row * size + column] = if row == column {
                let floor = (1e-14 * matrix[row * size + row]).max(f64::MIN_POSITIVE);
                value.max(floor).sqrt()
            } else {
                value / matrix[column * size + column]
            };
        }
    }
    matrix
}

#[cfg(test)]
mod tests;
