//! Ridge regression: least squares with an L2 penalty and a free intercept.

use crate::input::{InputError, length, row_count};
use crate::linear::{Cholesky, add_scaled, dot};

/// A fitted regression.
#[derive(Debug, Clone, PartialEq)]
pub struct Ridge {
    coefficients: Vec<f64>,
    intercept: f64,
}

impl Ridge {
    /// Minimises sum_i (y_i - a - x_i w)^2 + alpha |w|^2, as scikit-learn's `Ridge` does.
    ///
    /// `rows`: n by `width`, row-major and finite; `targets`: n finite numbers; `alpha` above 0.
    /// Solved by Cholesky on the smaller of the two Gram matrices, width by width or n by n. Errors
    /// when a shape, value or option is wrong.
    pub fn fit(
        rows: &[f64],
        width: usize,
        targets: &[f64],
        alpha: f64,
    ) -> Result<Self, InputError> {
        let count = row_count(rows, width)?;
        if count == 0 {
            return Err(InputError::Empty);
        }
        length("targets", count, targets.len())?;
        if !(alpha > 0.0 && alpha.is_finite()) {
            return Err(InputError::Option {
                option: "alpha",
                expected: "a finite number above 0",
            });
        }
        check_finite(rows, width)?;
        check_finite(targets, 1)?;
        let mean: Vec<f64> = (0..width)
            .map(|at| rows.iter().skip(at).step_by(width).sum::<f64>() / count as f64)
            .collect();
        let level = targets.iter().sum::<f64>() / count as f64;
        let centred: Vec<f64> = rows
            .chunks_exact(width)
            .flat_map(|row| row.iter().zip(&mean).map(|(value, mean)| value - mean))
            .collect();
        let residual: Vec<f64> = targets.iter().map(|target| target - level).collect();
        let coefficients = if width <= count {
            let columns = transposed(&centred, width);
            let mut moments: Vec<f64> =
                columns.chunks_exact(count).map(|column| dot(column, &residual)).collect();
            Cholesky::factor(gram(&columns, count, alpha), width).solve(&mut moments);
            moments
        } else {
            let mut dual = residual;
            Cholesky::factor(gram(&centred, width, alpha), count).solve(&mut dual);
            let mut coefficients = vec![0.0; width];
            for (row, weight) in centred.chunks_exact(width).zip(&dual) {
                add_scaled(&mut coefficients, *weight, row);
            }
            coefficients
        };
        let intercept = level - dot(&coefficients, &mean);
        Ok(Self { coefficients, intercept })
    }

    /// One a column.
    #[must_use]
    pub fn coefficients(&self) -> &[f64] {
        &self.coefficients
    }

    /// The value at columns that are all 0.
    #[must_use]
    pub fn intercept(&self) -> f64 {
        self.intercept
    }

    /// The expected number of each row, n by the fitted width. Errors when the width does not
    /// divide the values.
    pub fn predict(&self, rows: &[f64]) -> Result<Vec<f64>, InputError> {
        row_count(rows, self.coefficients.len())?;
        let each = rows.chunks_exact(self.coefficients.len());
        Ok(each.map(|row| self.intercept + dot(&self.coefficients, row)).collect())
    }
}

/// Fails when a value is not finite.
pub(crate) fn check_finite(values: &[f64], width: usize) -> Result<(), InputError> {
    match values.iter().position(|value| !value.is_finite()) {
        Some(at) => {
            Err(InputError::NotFinite { row: at / width, column: at % width, value: values[at] })
        }
        None => Ok(()),
    }
}

/// Columns of a row-major matrix, one behind the other.
fn transposed(rows: &[f64], width: usize) -> Vec<f64> {
    (0..width).flat_map(|at| rows.iter().skip(at).step_by(width).copied()).collect()
}

/// Lower triangle of the products of vectors of `length` values, `alpha` added to the diagonal.
fn gram(vectors: &[f64], length: usize, alpha: f64) -> Vec<f64> {
    let size = vectors.len() / length;
    let vector = |at: usize| &vectors[at * length..][..length];
    let mut matrix = vec![0.0; size * size];
    for one in 0..size {
        for other in 0..=one {
            matrix[one * size + other] = dot(vector(one), vector(other));
        }
        matrix[one * size + one] += alpha;
    }
    matrix
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> (Vec<f64>, Vec<f64>) {
        let value = |at: u32| f64::from(at * 7919 % 101) / 50.0 - 1.0;
        let rows = (0..60).map(value).collect::<Vec<_>>();
        let targets = (0..12).map(|at| 3.0 + value(at * 31 + 5)).collect();
        (rows, targets)
    }

    /// The gradient of the loss is 0 at the solution, whichever Gram matrix was solved.
    #[test]
    fn both_ways_end_where_the_gradient_vanishes() {
        let (values, targets) = rows();
        for (width, count) in [(5, 12), (15, 4), (12, 5)] {
            let targets = &targets[..count];
            let fitted = Ridge::fit(&values, width, targets, 0.7).unwrap();
            let predicted = fitted.predict(&values).unwrap();
            let left: Vec<f64> = targets
                .iter()
                .zip(&predicted)
                .map(|(target, predicted)| target - predicted)
                .collect();
            assert!(left.iter().sum::<f64>().abs() < 1e-12);
            for (at, coefficient) in fitted.coefficients().iter().enumerate() {
                let column = values.iter().skip(at).step_by(width);
                let slope: f64 = column.zip(&left).map(|(value, left)| value * left).sum();
                assert!((slope - 0.7 * coefficient).abs() < 1e-12, "{width} {at}");
            }
        }
    }

    #[test]
    fn wrong_input_is_refused() {
        let (values, targets) = rows();
        assert!(Ridge::fit(&values, 5, &targets, 0.0).is_err());
        assert!(Ridge::fit(&values, 5, &targets[1..], 1.0).is_err());
        assert!(Ridge::fit(&[], 5, &[], 1.0).is_err());
        assert!(Ridge::fit(&[f64::NAN], 1, &[1.0], 1.0).is_err());
        assert!(Ridge::fit(&[1.0], 1, &[f64::INFINITY], 1.0).is_err());
    }
}
