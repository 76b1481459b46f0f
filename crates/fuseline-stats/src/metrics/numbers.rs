//! Metrics of predicted numbers, from sums that pool.

use super::MetricError;

/// A metric of predicted numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumberMetric {
    /// Mean absolute error.
    Mae,
    /// Root of the mean squared error.
    Rmse,
    /// Pearson's correlation of prediction and label.
    Pearson,
    /// Lin's concordance correlation coefficient (1989), with population moments.
    Concordance,
    /// Mean of a score that was computed of each row elsewhere, and that stands in for its
    /// prediction.
    Score,
}

impl NumberMetric {
    /// Those of predictions, in the order of the documentation.
    pub const OF_PREDICTIONS: [Self; 4] = [Self::Mae, Self::Rmse, Self::Pearson, Self::Concordance];

    /// Its name in options, settings and columns.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mae => "mae",
            Self::Rmse => "rmse",
            Self::Pearson => "pearson",
            Self::Concordance => "concordance",
            Self::Score => "score",
        }
    }

    /// The metric of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Score].into_iter().chain(Self::OF_PREDICTIONS).find(|metric| metric.name() == name)
    }

    /// True if more is better.
    #[must_use]
    pub fn more_is_better(self) -> bool {
        !matches!(self, Self::Mae | Self::Rmse)
    }

    /// A value with the sign by which more is better.
    #[must_use]
    pub fn gain(self, value: f64) -> f64 {
        if self.more_is_better() { value } else { -value }
    }
}

/// Sums over rows. Labels and predictions are counted from one origin, near their mean, so that
/// differences of squares keep their digits.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct NumberSums {
    /// Rows.
    pub rows: f64,
    /// Of |prediction - label|.
    pub absolute_error: f64,
    /// Of (prediction - label)^2.
    pub squared_error: f64,
    /// Of the labels.
    pub label: f64,
    /// Of the predictions.
    pub prediction: f64,
    /// Of the squares of the labels.
    pub label_squared: f64,
    /// Of the squares of the predictions.
    pub prediction_squared: f64,
    /// Of label x prediction.
    pub product: f64,
}

impl NumberSums {
    /// The sums of one row.
    #[must_use]
    #[inline]
    pub fn of_row(label: f64, prediction: f64, origin: f64) -> Self {
        let error = prediction - label;
        let (label, prediction) = (label - origin, prediction - origin);
        Self {
            rows: 1.0,
            absolute_error: error.abs(),
            squared_error: error * error,
            label,
            prediction,
            label_squared: label * label,
            prediction_squared: prediction * prediction,
            product: label * prediction,
        }
    }

    /// Adds others, so many times.
    #[inline]
    pub fn add(&mut self, other: &Self, times: f64) {
        self.rows += times * other.rows;
        self.absolute_error += times * other.absolute_error;
        self.squared_error += times * other.squared_error;
        self.label += times * other.label;
        self.prediction += times * other.prediction;
        self.label_squared += times * other.label_squared;
        self.prediction_squared += times * other.prediction_squared;
        self.product += times * other.product;
    }

    /// The value of a metric; `origin`: what the sums were counted from.
    ///
    /// Errors when there are no rows, and for a correlation where predictions or labels do not
    /// vary.
    pub fn value(&self, metric: NumberMetric, origin: f64) -> Result<f64, MetricError> {
        if self.rows <= 0.0 {
            return Err(MetricError::Empty);
        }
        let mean = |sum: f64| sum / self.rows;
        let (label, prediction) = (mean(self.label), mean(self.prediction));
        let of_labels = variance(mean(self.label_squared), label);
        let of_predictions = variance(mean(self.prediction_squared), prediction);
        let together = mean(self.product) - label * prediction;
        let undefined =
            |metric| MetricError::Undefined { metric, reason: "predictions or labels do not vary" };
        match metric {
            NumberMetric::Mae => Ok(mean(self.absolute_error)),
            NumberMetric::Rmse => Ok(mean(self.squared_error).sqrt()),
            NumberMetric::Score => Ok(origin + prediction),
            NumberMetric::Pearson if of_labels > 0.0 && of_predictions > 0.0 => {
                Ok(together / (of_labels * of_predictions).sqrt())
            }
            NumberMetric::Pearson => Err(undefined("Pearson's correlation")),
            NumberMetric::Concordance if of_labels > 0.0 || of_predictions > 0.0 => {
                let apart = label - prediction;
                Ok(2.0 * together / (of_labels + of_predictions + apart * apart))
            }
            NumberMetric::Concordance => Err(undefined("the concordance correlation")),
        }
    }
}

/// The variance of a mean square and a mean; 0 where only rounding is left of it.
fn variance(mean_square: f64, mean: f64) -> f64 {
    let variance = mean_square - mean * mean;
    if variance > 1e-13 * mean_square { variance } else { 0.0 }
}

/// The metric of predictions. Lengths must be equal; errors as [`NumberSums::value`].
pub fn number_metric(
    metric: NumberMetric,
    labels: &[f64],
    predictions: &[f64],
) -> Result<f64, MetricError> {
    super::length("predictions", labels.len(), predictions.len())?;
    let origin = labels.iter().sum::<f64>() / labels.len().max(1) as f64;
    let mut sums = NumberSums::default();
    for (label, prediction) in labels.iter().zip(predictions) {
        sums.add(&NumberSums::of_row(*label, *prediction, origin), 1.0);
    }
    sums.value(metric, origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values by numpy and scipy: `mean(abs(p - y))`, `sqrt(mean((p - y)**2))`,
    /// `scipy.stats.pearsonr(p, y)`, and 2 cov / (var + var + (mean - mean)**2).
    #[test]
    fn metrics_are_those_of_numpy_and_scipy_far_from_zero_too() {
        let labels = [0.5, -1.25, 3.0, 2.0, -0.75];
        let predictions = [0.25, -1.0, 1.5, 2.5, 0.5];
        let expected =
            [0.75, 0.915_150_260_886_156_4, 0.827_915_982_618_201_1, 0.789_968_652_037_617_6];
        for shift in [0.0, 1e6] {
            let labels = labels.map(|value| value + shift);
            let predictions = predictions.map(|value| value + shift);
            for (metric, expected) in NumberMetric::OF_PREDICTIONS.into_iter().zip(expected) {
                let found = number_metric(metric, &labels, &predictions).unwrap();
                assert!((found - expected).abs() < 1e-9, "{metric:?} {found} {expected}");
            }
        }
    }

    #[test]
    fn a_correlation_of_what_does_not_vary_is_no_number() {
        let labels = [1.0, 2.0, 4.0];
        let constant = [0.1, 0.1, 0.1];
        assert!(number_metric(NumberMetric::Pearson, &labels, &constant).is_err());
        let found = number_metric(NumberMetric::Concordance, &labels, &constant).unwrap();
        assert!(found.abs() < 1e-15, "{found}");
        assert!(number_metric(NumberMetric::Mae, &[], &[]).is_err());
        assert!(number_metric(NumberMetric::Mae, &labels, &constant[1..]).is_err());
    }

    #[test]
    fn sums_of_parts_are_those_of_the_whole() {
        let row = |at: usize| NumberSums::of_row(at as f64, (at * at) as f64, 2.0);
        let (mut whole, mut one, mut other) = Default::default();
        (0..6).for_each(|at| NumberSums::add(&mut whole, &row(at), 1.0));
        (0..3).for_each(|at| NumberSums::add(&mut one, &row(at), 1.0));
        (3..6).for_each(|at| NumberSums::add(&mut other, &row(at), 1.0));
        one.add(&other, 1.0);
        assert_eq!(one, whole);
        assert_eq!(NumberMetric::named("rmse"), Some(NumberMetric::Rmse));
        assert_eq!(NumberMetric::Mae.gain(2.0), -2.0);
    }
}
