//! Missing values to the mean, then zero mean and unit variance.

use crate::input::{InputError, length, row_count};

/// A standard deviation up to this share of max(1, |mean|) counts as 1: the column is constant but
/// for rounding.
const CONSTANT: f64 = 1e-12;
/// A standardised value beyond this counts as this, so that results computed from it stay finite.
const LARGEST: f64 = 1e100;
/// Values from 2^480 on are divided by 2^600 before they are summed: their squares would overflow.
const LARGE: (f64, f64) = (f64::from_bits((1023 + 480) << 52), f64::from_bits((1023 + 600) << 52));

/// Mean and scale of each column, fitted on the fitting rows alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Preprocessor {
    mean: Vec<f64>,
    scale: Vec<f64>,
}

impl Preprocessor {
    /// Fits on n rows by `width` columns, row-major; NaN and infinite values count as missing.
    ///
    /// The mean of a column is that of its observed values; 0 where none is observed. The scale is
    /// the population standard deviation (divisor n) of the column after its missing values became
    /// the mean; where it is at most 1e-12 * max(1, |mean|) the scale is 1. These are
    /// scikit-learn's `SimpleImputer(strategy="mean")` and `StandardScaler()` in a row, with two
    /// differences: it drops a wholly missing column, and it blows up a column that holds nothing
    /// but rounding errors about 0 (the mean of a signal that was centred before, say 1e-17) to
    /// unit variance, where this one leaves it as small as it is. Values of any size are taken: a
    /// sum of squares that would overflow is formed of values divided by a power of two.
    ///
    /// Errors when there are no rows or `width` does not divide the values.
    pub fn fit(rows: &[f64], width: usize) -> Result<Self, InputError> {
        let count = row_count(rows, width)?;
        if count == 0 {
            return Err(InputError::Empty);
        }
        let mut unit = vec![1.0; width];
        for row in rows.chunks_exact(width) {
            for (unit, &value) in unit.iter_mut().zip(row) {
                if value.is_finite() && value.abs() >= LARGE.0 {
                    *unit = LARGE.1;
                }
            }
        }
        let mut mean = vec![0.0; width];
        let mut observed = vec![0_u64; width];
        for row in rows.chunks_exact(width) {
            for (column, &value) in row.iter().enumerate() {
                if value.is_finite() {
                    mean[column] += value / unit[column];
                    observed[column] += 1;
                }
            }
        }
        for (sum, &seen) in mean.iter_mut().zip(&observed) {
            *sum /= seen.max(1) as f64;
        }
        // A second pass takes out what rounding left in the first mean, a third sums the squares
        // about it.
        let mut rest = vec![0.0; width];
        accumulate(rows, &unit, &mean, &mut rest, |deviation| deviation);
        for ((mean, &rest), &seen) in mean.iter_mut().zip(&rest).zip(&observed) {
            *mean += rest / seen.max(1) as f64;
        }
        let mut scale = vec![0.0; width];
        accumulate(rows, &unit, &mean, &mut scale, |deviation| deviation * deviation);
        for ((scale, mean), unit) in scale.iter_mut().zip(&mut mean).zip(&unit) {
            *mean *= unit;
            let sd = ((*scale / count as f64).sqrt() * unit).min(f64::MAX);
            *scale = if sd <= CONSTANT * mean.abs().max(1.0) { 1.0 } else { sd };
        }
        Ok(Self { mean, scale })
    }

    /// A preprocessor of known means and scales, as read back from a model.
    ///
    /// Errors when the lengths differ, a number is not finite, or a scale is not positive.
    pub fn from_parts(mean: Vec<f64>, scale: Vec<f64>) -> Result<Self, InputError> {
        length("scale", mean.len(), scale.len())?;
        for (column, (&mean, &scale)) in mean.iter().zip(&scale).enumerate() {
            for value in [mean, scale] {
                if !value.is_finite() {
                    return Err(InputError::NotFinite { row: 0, column, value });
                }
            }
            if scale <= 0.0 {
                return Err(InputError::Option { option: "scale", expected: "above 0" });
            }
        }
        Ok(Self { mean, scale })
    }

    /// Number of columns.
    #[must_use]
    pub fn width(&self) -> usize {
        self.mean.len()
    }

    /// Mean of each column, which replaces missing values.
    #[must_use]
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// Divisor of each column, above 0.
    #[must_use]
    pub fn scale(&self) -> &[f64] {
        &self.scale
    }

    /// Standardises rows in place, row-major; a missing value becomes exactly 0, one beyond +-1e100
    /// standard deviations counts as that.
    ///
    /// Errors when the width does not divide the values.
    pub fn apply(&self, rows: &mut [f64]) -> Result<(), InputError> {
        row_count(rows, self.width())?;
        for row in rows.chunks_exact_mut(self.width()) {
            for ((value, mean), scale) in row.iter_mut().zip(&self.mean).zip(&self.scale) {
                *value =
                    if value.is_finite() { standard_score(*value, *mean, *scale) } else { 0.0 };
            }
        }
        Ok(())
    }

    /// Puts the mean in place of each missing value, row-major; the others stay as they are. Errors
    /// as [`Self::apply`].
    pub fn impute(&self, rows: &mut [f64]) -> Result<(), InputError> {
        row_count(rows, self.width())?;
        for row in rows.chunks_exact_mut(self.width()) {
            for (value, mean) in row.iter_mut().zip(&self.mean) {
                if !value.is_finite() {
                    *value = *mean;
                }
            }
        }
        Ok(())
    }

    /// Standardised copies of the rows. Errors as [`Self::apply`].
    pub fn transform(&self, rows: &[f64]) -> Result<Vec<f64>, InputError> {
        let mut rows = rows.to_vec();
        self.apply(&mut rows)?;
        Ok(rows)
    }
}

/// Population standard deviation of finite values of any size; 0 when there are none.
#[must_use]
pub fn standard_deviation(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let large = values.clone().any(|value| value.abs() >= LARGE.0);
    let unit = if large { LARGE.1 } else { 1.0 };
    let count = values.clone().count().max(1) as f64;
    let mean = values.clone().map(|value| value / unit).sum::<f64>() / count;
    let square = |value: f64| (value / unit - mean) * (value / unit - mean);
    ((values.map(square).sum::<f64>() / count).sqrt() * unit).min(f64::MAX)
}

/// (value - mean) / scale, within +-1e100.
fn standard_score(value: f64, mean: f64, scale: f64) -> f64 {
    let deviation = value - mean;
    let score =
        if deviation.is_finite() { deviation / scale } else { value / scale - mean / scale };
    score.clamp(-LARGEST, LARGEST)
}

/// Adds `term(value / unit - mean)` of each observed value to its column's sum, in row order.
fn accumulate(
    rows: &[f64],
    unit: &[f64],
    mean: &[f64],
    sum: &mut [f64],
    term: impl Fn(f64) -> f64,
) {
    for row in rows.chunks_exact(mean.len()) {
        for (column, &value) in row.iter().enumerate() {
            if value.is_finite() {
                sum[column] += term(value / unit[column] - mean[column]);
            }
        }
    }
}

#[cfg(test)]
mod tests;
