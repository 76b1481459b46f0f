//! The odds that an expert is right, learned from its quality.

use fuseline_learn::link;
use fuseline_learn::logistic::{LogisticError, Options};
use fuseline_learn::odds::RightOdds;
use fuseline_plugin::{ModelReader, ModelWriter, RuleError, Shape, TrainingBatch};

/// Probability sigmoid(a_m + b_m z_m) that modality m is right at a standardised quality z_m.
#[derive(Debug)]
pub struct QualityOdds {
    /// One a modality.
    intercepts: Vec<f64>,
    /// One a modality.
    slopes: Vec<f64>,
}

impl QualityOdds {
    /// A logistic regression of "the expert's top class is the label" for each modality, over the
    /// training rows in which it is available, weighted; see [`RightOdds::fit`].
    ///
    /// `scores`: standardised quality, rows x modalities. `c`: weight of the losses against the
    /// penalty.
    pub fn fit(batch: &TrainingBatch<'_>, scores: &[f64], c: f64) -> Result<Self, RuleError> {
        let modalities = batch.modalities();
        let options = Options { c, ..Options::default() };
        let (mut intercepts, mut slopes) = (Vec::new(), Vec::new());
        for modality in 0..modalities {
            let rows = || (0..batch.rows()).filter(|&row| batch.is_available(row, modality));
            let own: Vec<f64> = rows().map(|row| scores[row * modalities + modality]).collect();
            let right: Vec<bool> = rows().map(|row| batch.is_right(row, modality)).collect();
            let weights: Vec<f64> = rows().map(|row| batch.weight()[row]).collect();
            let go_on = &mut || !batch.should_stop();
            let odds = RightOdds::fit(&own, &right, &weights, &options, go_on);
            let odds = odds.map_err(|error| match error {
                LogisticError::Input(error) => RuleError::data(error.to_string()),
                LogisticError::Stopped => RuleError::cancelled(),
            })?;
            if let Some(shortfall) = odds.not_converged {
                let name = batch.modality_name(modality);
                batch
                    .warn(format_args!("the fit of modality {name} did not converge: {shortfall}"));
            }
            intercepts.push(odds.intercept);
            slopes.push(odds.slope);
        }
        Ok(Self { intercepts, slopes })
    }

    /// Odds of 1 at every quality, for a rule that asks none.
    pub fn even(modalities: usize) -> Self {
        Self { intercepts: vec![0.0; modalities], slopes: vec![0.0; modalities] }
    }

    /// Appends it to a model.
    pub fn write(&self, model: &mut ModelWriter) {
        model.f64s(&self.intercepts);
        model.f64s(&self.slopes);
    }

    /// Reads back the output of [`Self::write`].
    pub fn read(model: &mut ModelReader<'_>, shape: &Shape) -> Result<Self, RuleError> {
        let modalities = shape.modalities.len();
        Ok(Self { intercepts: model.f64s(modalities)?, slopes: model.f64s(modalities)? })
    }

    /// The probability that a modality is right at a standardised quality.
    pub fn probability(&self, modality: usize, score: f64) -> f64 {
        link::binary(self.intercepts[modality] + self.slopes[modality] * score)[1]
    }
}
