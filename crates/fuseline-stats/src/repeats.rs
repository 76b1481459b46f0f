//! Summaries over several splits of one data set.

use crate::student;

/// The mean of a value over splits, and how sure it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Repeated {
    /// Mean over the splits.
    pub mean: f64,
    /// Standard deviation over the splits, with n - 1.
    pub sd: f64,
    /// Lower end of the interval of the mean.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// One-sided p-value of a mean of at most 0.
    pub p_value: f64,
}

/// The corrected resampled t-test of Nadeau and Bengio (2003).
///
/// Splits of one data set share most of their training and test rows, so that the variance of their
/// mean does not fall with their number J: it is sd^2 (1 / J + n_test / n_train), with J - 1
/// degrees of freedom. `test_to_train`: the mean of n_test / n_train; `confidence` of the two-sided
/// interval. None of fewer than two values, or where all are equal.
#[must_use]
pub fn corrected_resampled_t(
    values: &[f64],
    test_to_train: f64,
    confidence: f64,
) -> Option<Repeated> {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let sd = standard_deviation(values)?;
    let error = sd * (1.0 / count + test_to_train).sqrt();
    if error.is_nan() || error <= 1e-15 * mean.abs() {
        return None;
    }
    let half = student::quantile(0.5 + confidence / 2.0, count - 1.0) * error;
    let p_value = student::upper_tail(mean / error, count - 1.0);
    Some(Repeated { mean, sd, low: mean - half, high: mean + half, p_value })
}

/// The standard deviation with n - 1; none of fewer than two values.
#[must_use]
pub fn standard_deviation(values: &[f64]) -> Option<f64> {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (values.len() > 1).then(|| (squares / (count - 1.0)).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_splits_are_judged_as_by_hand_with_scipy() {
        let values = [0.02, 0.05, -0.01, 0.04, 0.03];
        let Some(found) = corrected_resampled_t(&values, 0.25, 0.95) else { panic!("a test") };
        let close = |found: f64, expected: f64| (found - expected).abs() < 1e-12;
        assert!(close(found.mean, 0.026) && close(found.sd, 0.023_021_728_866_442_68));
        assert!(close(found.p_value, 0.083_776_610_739_461_56), "{found:?}");
        assert!(close(found.low, -0.016_877_877_864_805_345), "{found:?}");
        assert!(close(found.high, 0.068_877_877_864_805_34), "{found:?}");
    }

    #[test]
    fn equal_values_and_one_value_are_no_test() {
        assert_eq!(corrected_resampled_t(&[0.1; 5], 0.25, 0.95), None);
        assert_eq!(corrected_resampled_t(&[0.1], 0.25, 0.95), None);
    }
}
