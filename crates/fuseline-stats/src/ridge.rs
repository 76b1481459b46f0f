//! Ridge regression whose penalty is chosen by leaving out one row at a time.

use crate::mahalanobis::cholesky;
use crate::metrics::{MetricError, length};

/// Penalties to choose from, on the sum of squares of coefficients of standardised columns.
const PENALTIES: [f64; 9] = [1e-6, 1e-4, 1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3, 1e4];
/// Least share of a row that the others leave to it: one that is fitted exactly whatever the others
/// say.
const LEAST_LEFT: f64 = 1e-10;

/// Rows that are solved for side by side.
const LANES: usize = 8;

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
    /// Minimises |y - a - Z w|^2 + penalty * |w|^2, Z the standardised columns of `rows`, n rows of
    /// `width` numbers.
    ///
    /// The penalty is the one of 1e-6, 1e-4, 0.01, 0.1, 1, 10, ..., 10000 with the smallest squared
    /// error on rows that are left out one at a time, the first of equals, as in scikit-learn's
    /// `RidgeCV` behind a `StandardScaler`. A column whose sd is at most 1e-12 * max(1, |mean|)
    /// does not count. Errors when there is no row, a length is wrong or a value is not finite.
    pub fn fit<'r>(
        rows: impl Iterator<Item = &'r [f64]> + Clone,
        width: usize,
        targets: &[f64],
    ) -> Result<Self, MetricError> {
        if targets.is_empty() {
            return Err(MetricError::Empty);
        }
        length("rows", targets.len(), rows.clone().count())?;
        for (at, (row, target)) in rows.clone().zip(targets).enumerate() {
            length("columns", width, row.len())?;
            if !target.is_finite() || row.iter().any(|value| !value.is_finite()) {
                return Err(MetricError::NotANumber { row: at });
            }
        }
        let n = targets.len() as f64;
        let (mean, scale) = standardise(rows.clone(), width, n);
        let intercept = targets.iter().sum::<f64>() / n;
        let mut fitted =
            Self { mean, scale, intercept, coefficients: vec![0.0; width], penalty: f64::NAN };
        let mut blocks = vec![[0.0; LANES]; targets.len().div_ceil(LANES) * width];
        let (mut gram, mut moment) = (vec![0.0; width * width], vec![0.0; width]);
        let mut z = Vec::with_capacity(width);
        for (at, (row, target)) in rows.zip(targets).enumerate() {
            z.clear();
            z.extend(fitted.standardised(row));
            let centred = target - intercept;
            let block = &mut blocks[at / LANES * width..][..width];
            for ((lanes, left), moment) in block.iter_mut().zip(&z).zip(&mut moment) {
                lanes[at % LANES] = *left;
                *moment += left * centred;
            }
            for (line, left) in gram.chunks_exact_mut(width.max(1)).zip(&z) {
                line.iter_mut().zip(&z).for_each(|(sum, right)| *sum += left * right);
            }
        }
        let mut least = f64::INFINITY;
        for penalty in PENALTIES {
            let mut matrix = gram.clone();
            matrix.iter_mut().step_by(width + 1).for_each(|value| *value += penalty);
            let lower = cholesky(matrix, width);
            let mut coefficients = moment.clone();
            forward(&lower, coefficients.as_chunks_mut::<1>().0);
            backward(&lower, &mut coefficients);
            let error = left_out_error(&lower, &coefficients, &blocks, targets, intercept);
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
fn standardise<'r>(
    rows: impl Iterator<Item = &'r [f64]> + Clone,
    width: usize,
    n: f64,
) -> (Vec<f64>, Vec<f64>) {
    let mut mean = vec![0.0; width];
    for row in rows.clone() {
        mean.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
    }
    mean.iter_mut().for_each(|sum| *sum /= n);
    let mut variance = vec![0.0; width];
    for row in rows {
        let centred = row.iter().zip(&mean).map(|(value, mean)| value - mean);
        variance.iter_mut().zip(centred).for_each(|(sum, value)| *sum += value.powi(2));
    }
    let scale = variance.iter().zip(&mean).map(|(variance, mean)| {
        let sd = (variance / n).sqrt();
        if sd <= 1e-12 * mean.abs().max(1.0) { f64::INFINITY } else { sd }
    });
    let scale = scale.collect();
    (mean, scale)
}

/// Sum of the squared errors on rows that are left out one at a time. `blocks`: standardised rows,
/// [`LANES`] side by side, a line a column.
fn left_out_error(
    lower: &[f64],
    coefficients: &[f64],
    blocks: &[[f64; LANES]],
    targets: &[f64],
    intercept: f64,
) -> f64 {
    let width = coefficients.len().max(1);
    let n = targets.len() as f64;
    let mut half = vec![[0.0; LANES]; coefficients.len()];
    let mut error = 0.0;
    for (block, targets) in blocks.chunks_exact(width).zip(targets.chunks(LANES)) {
        half.copy_from_slice(block);
        forward(lower, &mut half);
        let (mut leverage, mut fitted) = ([0.0; LANES], [0.0; LANES]);
        for ((half, row), coefficient) in half.iter().zip(block).zip(coefficients) {
            for lane in 0..LANES {
                leverage[lane] += half[lane] * half[lane];
                fitted[lane] += row[lane] * coefficient;
            }
        }
        for ((target, leverage), fitted) in targets.iter().zip(leverage).zip(fitted) {
            let left = (1.0 - (1.0 / n + leverage)).max(LEAST_LEFT);
            let residual = (target - intercept - fitted) / left;
            error += residual * residual;
        }
    }
    error
}

/// Solves L x = b in place, L lower triangular, row-major and square, for `N` right-hand sides: the
/// same operations for each however many there are, so the same bits.
fn forward<const N: usize>(lower: &[f64], x: &mut [[f64; N]]) {
    let size = x.len();
    for at in 0..size {
        let line = &lower[at * size..][..=at];
        let mut known = [0.0; N];
        for (factor, solved) in line.iter().zip(&x[..at]) {
            known.iter_mut().zip(solved).for_each(|(sum, value)| *sum += factor * value);
        }
        x[at].iter_mut().zip(known).for_each(|(value, known)| *value = (*value - known) / line[at]);
    }
}

/// Solves L' x = b in place.
fn backward(lower: &[f64], x: &mut [f64]) {
    let size = x.len();
    for at in (0..size).rev() {
        let known: f64 = (at + 1..size).map(|row| lower[row * size + at] * x[row]).sum();
        x[at] = (x[at] - known) / lower[at * size + at];
    }
}

#[cfg(test)]
mod tests;
