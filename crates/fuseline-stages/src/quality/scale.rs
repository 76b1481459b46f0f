//! Scale of a control: its own, or that of a quality that was measured.

use arrow::array::Array;
use fuseline_artifact::Evidence;
use fuseline_engine::{CheckSite, Inputs, KeyWriter, Problem, StageError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::column::features_with;
use crate::rows::Finder;

/// Measured quality whose scale a control takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Measured {
    /// A column of the features, as `quality.column` reads it.
    #[serde(rename = "quality.column")]
    Column,
}

/// Options of a control that say on which scale it is.
pub(super) struct Scale<'o> {
    pub measured: Option<Measured>,
    pub column: Option<&'o str>,
}

impl Scale<'_> {
    /// Keys the options; without them the key is what it was before there were any.
    pub fn key(&self, key: &mut KeyWriter<'_>) {
        if let Some(measured) = self.measured {
            key.field("match", &measured);
            key.field("match_column", &self.column);
        }
    }

    pub fn check(&self, site: &mut CheckSite<'_>) {
        match (self.measured, self.column) {
            (None, Some(_)) => site
                .report(Problem::new("match_column", "nothing reads this column").hint(
                    "match: quality.column gives the control the distribution of the column",
                )),
            (Some(_), _) if !site.inputs.contains(&"features") => site.report(
                Problem::new("match", "the column is one of the features, and none are given")
                    .hint("give the stage the features: `inputs: { features: ... }`"),
            ),
            _ => {}
        }
    }

    /// Values of a control on the scale that is asked for; `quantiles` is fitted on the first rows
    /// that there are, the training rows.
    pub fn apply(
        &self,
        inputs: &Inputs<'_>,
        evidence: &Evidence,
        control: Vec<f64>,
        quantiles: &mut Option<Quantiles>,
    ) -> Result<Vec<f64>, StageError> {
        if self.measured.is_none() || control.is_empty() {
            return Ok(control);
        }
        let quantiles = match quantiles {
            Some(fitted) => fitted,
            None => quantiles.insert(self.fit(inputs, evidence, &control)?),
        };
        Ok(control.into_iter().map(|value| quantiles.map(value)).collect())
    }

    fn fit(
        &self,
        inputs: &Inputs<'_>,
        evidence: &Evidence,
        control: &[f64],
    ) -> Result<Quantiles, StageError> {
        let name = self.column.unwrap_or("quality");
        let (features, column) =
            features_with(inputs, name).map_err(|error| error.at("match_column"))?;
        let mut place = Finder::new(&features.example_id);
        let rows = evidence.example_id.iter().filter_map(|id| place.find(id));
        let values = rows.filter(|row| column.is_valid(*row)).map(|row| column.value(row));
        let measured: Vec<f64> = values.filter(|value| value.is_finite()).collect();
        if measured.is_empty() {
            return Err(StageError::data(format!(
                "column {name} of modality {} has no value for any training example",
                evidence.modality
            ))
            .at("match"));
        }
        Ok(Quantiles::new(control.to_vec(), measured))
    }
}

/// Map from the values of a control to those of the same quantile of a measured quality.
pub(super) struct Quantiles {
    control: Vec<f64>,
    measured: Vec<f64>,
}

impl Quantiles {
    fn new(mut control: Vec<f64>, mut measured: Vec<f64>) -> Self {
        control.sort_by(f64::total_cmp);
        measured.sort_by(f64::total_cmp);
        Self { control, measured }
    }

    /// The measured value at the quantile of `value` among those of the control, interpolated
    /// linearly; as many of both are matched rank for rank. Ties take the middle of their ranks.
    fn map(&self, value: f64) -> f64 {
        let Self { control, measured } = self;
        let below = control.partition_point(|other| *other < value);
        let up_to = control.partition_point(|other| *other <= value);
        let rank = if below < up_to {
            (below + up_to - 1) as f64 / 2.0
        } else if below == 0 || below == control.len() {
            below.saturating_sub(1) as f64
        } else {
            let (low, high) = (control[below - 1], control[below]);
            (below - 1) as f64 + (value - low) / (high - low)
        };
        // (rank + 1/2) / n = (place + 1/2) / m, without rounding where n = m.
        let (n, m) = (control.len() as f64, measured.len() as f64);
        let place = (((2.0 * rank + 1.0) * m - n) / (2.0 * n)).clamp(0.0, m - 1.0);
        let low = place as usize;
        let share = place - low as f64;
        let high = measured[(low + 1).min(measured.len() - 1)];
        measured[low] + share * (high - measured[low])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_takes_the_measured_values_rank_for_rank() {
        let quantiles = Quantiles::new(vec![0.3, -1.0, 2.0], vec![40.0, 10.0, 20.0]);
        assert_eq!([2.0, -1.0, 0.3].map(|value| quantiles.map(value)), [40.0, 10.0, 20.0]);
        // Beyond the training rows, and between them.
        assert_eq!([9.0, -9.0, 1.15].map(|value| quantiles.map(value)), [40.0, 10.0, 30.0]);
    }

    #[test]
    fn quantiles_are_matched_where_the_numbers_differ() {
        let quantiles = Quantiles::new(vec![1.0, 2.0], vec![0.0, 1.0, 2.0, 3.0]);
        assert_eq!([1.0, 2.0].map(|value| quantiles.map(value)), [0.5, 2.5]);
        let tied = Quantiles::new(vec![1.0, 1.0, 1.0], vec![0.0, 5.0, 6.0]);
        assert_eq!(tied.map(1.0), 5.0);
    }
}
