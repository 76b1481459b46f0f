//! Ridge regression whose penalty is chosen by leaving out one row at a time.

use crate::mahalanobis::cholesky;
use crate::metrics::{MetricError, length};

/// Penalties to choose from, on the sum of squares of coefficients of standardised columns.
const PENALTIES: [f64; 9] = [1e-6, 1e-4, 1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3, 1e4];
/// Least share of a row that the others leave to it: one that is fitted exactly whatever the others
/// say.
const LEAST_LEFT: f64 = 1e-10;

/// A fitted regression: standardised columns, free intercept.
#[derive(Debug, Clone, PartialEq)]
pub struct Ridge {
    mean: Vec<f64>,
    scale: Vec<f64>,
    intercept: f64,
    /// Of the standardised columns.
    coefficients: Vec<f64>,
    penalty: f64,
}

impl Ridge {
    /// Minimises |y - a - Z w|^2 + penalty * |w|^2, Z the standardised columns of `rows`, n by
    /// `width`, row-major.
    ///
    /// The penalty is the one of 1e-6, 1e-4, 0.01, 0.1, 1, 10, ..., 10000 with the smallest squared
    /// error on rows that are left out one at a time, the first of equals, as in scikit-learn's
    /// `RidgeCV` behind a `StandardScaler`. A column whose sd is at most 1e-12 * max(1, |mean|)
    /// does not count. Errors when there is no row, a length is wrong or a value is not finite.
    pub fn fit(rows: &[f64], width: usize, targets: &[f64]) -> Result<Self, MetricError> {
        if targets.is_empty() {
            return Err(MetricError::Empty);
        }
        length("rows", targets.len() * width, rows.len())?;
        let bad = |value: &f64| !value.is_finite();
        if let Some(row) = targets.iter().position(bad) {
            return Err(MetricError::NotANumber { row });
        }
        if let Some(at) = rows.iter().position(bad) {
            return Err(MetricError::NotANumber { row: at / width });
        }
        let n = targets.len() as f64;
        let (mean, scale) = standardise(rows, width, n);
        let intercept = targets.iter().sum::<f64>() / n;
        let mut fitted =
            Self { mean, scale, intercept, coefficients: vec![0.0; width], penalty: f64::NAN };
        let z: Vec<f64> =
            rows.chunks_exact(width.max(1)).flat_map(|row| fitted.standardised(row)).collect();
        let (mut gram, mut moment) = (vec![0.0; width * width], vec![0.0; width]);
        for (row, target) in z.chunks_exact(width.max(1)).zip(targets) {
            let centred = target - intercept;
            for ((line, left), moment) in gram.chunks_exact_mut(width).zip(row).zip(&mut moment) {
                *moment += left * centred;
                line.iter_mut().zip(row).for_each(|(sum, right)| *sum += left * right);
            }
        }
        let mut least = f64::INFINITY;
        for penalty in PENALTIES {
            let mut matrix = gram.clone();
            matrix.iter_mut().step_by(width + 1).for_each(|value| *value += penalty);
            let lower = cholesky(matrix, width);
            let coefficients = backward(&lower, forward(&lower, &moment));
            let mut error = 0.0;
            for (row, target) in z.chunks_exact(width.max(1)).zip(targets) {
                let half = forward(&lower, row);
                let leverage = 1.0 / n + half.iter().map(|value| value * value).sum::<f64>();
                let left = (1.0 - leverage).max(LEAST_LEFT);
                let residual = (target - intercept - dot(row, &coefficients)) / left;
                error += residual * residual;
            }
            if error < least {
                least = error;
                (fitted.coefficients, fitted.penalty) = (coefficients, penalty);
            }
        }
        Ok(fitted)
    }

    /// The penalty that was chosen.
    #[must_use]
    pub fn penalty(&self) -> f64 {
        self.penalty
    }

    /// The value that is expected at a row of the fitted width.
    #[must_use]
    pub fn predict(&self, row: &[f64]) -> f64 {
        let sum: f64 = self.standardised(row).zip(&self.coefficients).map(|(z, w)| z * w).sum();
        self.intercept + sum
    }

    fn standardised<'a>(&'a self, row: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
        let scales = self.mean.iter().zip(&self.scale);
        row.iter().zip(scales).map(|(value, (mean, scale))| (value - mean) / scale)
    }
}

/// Mean and population sd of each column; an infinite sd for a column that does not vary, which
/// makes it 0.
fn standardise(rows: &[f64], width: usize, n: f64) -> (Vec<f64>, Vec<f64>) {
    let column = |at: usize| rows.iter().skip(at).step_by(width.max(1));
    let mean: Vec<f64> = (0..width).map(|at| column(at).sum::<f64>() / n).collect();
    let scale = (0..width).map(|at| {
        let variance = column(at).map(|value| (value - mean[at]).powi(2)).sum::<f64>() / n;
        let sd = variance.sqrt();
        if sd <= 1e-12 * mean[at].abs().max(1.0) { f64::INFINITY } else { sd }
    });
    let scale = scale.collect();
    (mean, scale)
}

fn dot(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

/// Solves L x = b, L lower triangular, row-major and square.
fn forward(lower: &[f64], b: &[f64]) -> Vec<f64> {
    let size = b.len();
    let mut x = b.to_vec();
    for at in 0..size {
        let line = &lower[at * size..][..=at];
        x[at] = (x[at] - dot(&line[..at], &x[..at])) / line[at];
    }
    x
}

/// Solves L' x = b.
fn backward(lower: &[f64], mut x: Vec<f64>) -> Vec<f64> {
    let size = x.len();
    for at in (0..size).rev() {
        let known: f64 = (at + 1..size).map(|row| lower[row * size + at] * x[row]).sum();
        x[at] = (x[at] - known) / lower[at * size + at];
    }
    x
}

#[cfg(test)]
mod tests;
