//! The diagnostic of a model that was fitted elsewhere and that fuseline never sees.
//!
//! Knows which questions such a model is asked and how its answers are evaluated. Knows nothing of
//! how it is reached: that is the task of an [`Answerer`]. Start at [`diagnose`]. **Invariant:**
//! the same rows, scheme and seed give the same permutations and, for the same answers, the same
//! numbers as `diagnose.permute_quality` and `diagnose.summarize`.

mod ask;
mod evaluate;
pub mod files;
mod numbers;
mod study;

pub use numbers::{Metric, MetricDiagnosis};

use fuseline_engine::StageError;
use fuseline_workflow::options;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Map;

use crate::diagnose::permute_quality::Scheme;
use study::Study;

/// The test examples, in the order of the caller.
#[derive(Debug, Clone, Default)]
pub struct Examples {
    /// One id a row, each once.
    pub example_id: Vec<String>,
    /// The group of each row (subject, recording): resampled whole.
    pub group: Vec<String>,
    /// The class number of each row.
    pub label: Vec<u32>,
    /// Names of the classes; where the label is a number the one class `value`.
    pub classes: Vec<String>,
    /// The number of each row, where the label is one; not read for [`Metric::Score`].
    pub value: Option<Vec<f64>>,
    /// Names of the modalities.
    pub modalities: Vec<String>,
    /// rows x modalities: whether the modality is there.
    pub available: Vec<bool>,
    /// rows x modalities x channels: quality as measured; NaN counts only where the modality is
    /// unavailable.
    pub quality: Vec<f64>,
    /// Numbers of quality a modality has.
    pub channels: usize,
    /// rows x modalities x classes: what each modality's expert says, where that is known.
    pub evidence: Option<Vec<f64>>,
}

/// Settings of the questions to the model and of the reading of its answers.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Permutation scheme of quality.
    pub scheme: Scheme,
    /// Maximum number of permutations.
    #[schemars(range(min = 1))]
    pub permutations: u32,
    /// Bins of confidence of the scheme `conditional`.
    #[schemars(range(min = 1))]
    pub bins: u32,
    /// Seed of permutations and resamples.
    pub seed: u64,
    /// Resamples of groups for the intervals.
    #[schemars(range(min = 2, max = 10_000_000))]
    pub bootstrap: u32,
    /// Confidence of the intervals.
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    pub confidence: f64,
    /// Level of the test.
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    pub alpha: f64,
    /// A gap within plus or minus this counts as none.
    pub equivalence_margin: Option<f64>,
    /// Largest difference between two answers to the same question that still counts as frozen.
    #[schemars(range(min = 0.0))]
    pub tolerance: f64,
    /// When to stop before all permutations are asked.
    pub stop: Stop,
    /// What answers are measured by that are a number a row; balanced accuracy of classes when left
    /// out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<Metric>,
}

/// When to stop before all permutations are asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// Never.
    #[default]
    Never,
    /// Once 20 permutations did at least as well as Clean-Q: p is then 20 / the number drawn (Besag
    /// and Clifford 1991).
    Sequential,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            scheme: Scheme::Joint,
            permutations: 10_000,
            bins: 3,
            seed: 1,
            bootstrap: 2000,
            confidence: 0.95,
            alpha: 0.05,
            equivalence_margin: None,
            tolerance: 0.0,
            stop: Stop::Never,
            metric: None,
        }
    }
}

impl Settings {
    /// Holds the settings against their schema; an error says the first that is out of its bounds.
    fn check(&self) -> Result<(), StageError> {
        let values = serde_json::to_value(self).and_then(serde_json::from_value::<Map<_, _>>);
        let values = values.map_err(|error| StageError::failed(error.to_string()))?;
        let schema = schemars::schema_for!(Self).to_value();
        let problems = options::check("diagnose", &schema, &values);
        problems.into_iter().next().map_or(Ok(()), |problem| {
            let message = problem.message.trim_start_matches("option ");
            let error = StageError::data(message.to_owned());
            Err(problem.hint.into_iter().fold(error, StageError::hint))
        })
    }
}

/// Question that a model is asked.
#[derive(Debug)]
pub enum Question<'a> {
    /// Predictions with quality as measured. Asked first and last: the model must answer alike.
    Clean,
    /// Predictions with the quality of other rows.
    Broken {
        /// The first permutation.
        first: u32,
        /// Number of permutations.
        count: u32,
        /// Index vectors a permutation: 1 where a row's qualities move together, else one a
        /// modality.
        columns: usize,
        /// count x columns x rows: the row whose quality each row gets.
        index: &'a [u32],
    },
    /// Predictions where half of the rows have the quality of other rows: the others must be
    /// answered as under Clean-Q.
    Mixed {
        /// Index vectors, as of [`Question::Broken`].
        columns: usize,
        /// columns x rows: the row whose quality each row gets.
        index: &'a [u32],
    },
    /// Predictions with quality held at its mean, or at a stated neutral value.
    Neutral,
}

/// Interface to the model.
pub trait Answerer {
    /// Probabilities, rows x classes; for [`Question::Broken`] count x rows x classes. With a metric
    /// one number a row.
    fn answer(&mut self, question: &Question<'_>) -> Result<Vec<f64>, StageError>;

    /// Tells of a question that will be asked in any case, in the order of asking, so that the model
    /// can go on while the answer before it is evaluated.
    fn announce(&mut self, question: &Question<'_>) -> Result<(), StageError> {
        let _ = question;
        Ok(())
    }

    /// True if the time for permutations is limited.
    fn is_timed(&self) -> bool {
        false
    }

    /// True if there is time for more permutations.
    fn has_time(&mut self) -> bool {
        true
    }
}

/// Diagnosis from the answers. Accuracies and gaps are fractions.
#[derive(Debug, Clone, Serialize)]
pub struct Diagnosis {
    /// Name of the scheme.
    pub scheme: String,
    /// Seed of permutations and resamples.
    pub seed: u64,
    /// Test examples.
    pub n_examples: usize,
    /// Groups among them.
    pub n_groups: usize,
    /// Permutations that were asked.
    pub n_permutations: usize,
    /// Share of rows that can get a quality other than their own.
    pub share_movable: f64,
    /// Share of qualities that a permutation changes, on average.
    pub share_changed: f64,
    /// Balanced accuracy under Clean-Q.
    pub ba_clean: f64,
    /// Its mean under Broken-Q.
    pub ba_broken: f64,
    /// That with quality held at its mean, or at the stated neutral value.
    pub ba_neutral: f64,
    /// The permutation gap.
    pub gap: f64,
    /// Its interval.
    pub interval: [f64; 2],
    /// The interval that must lie within the margin: the wider of that and of an exact bound.
    pub bound: [f64; 2],
    /// One-sided permutation p-value; not a number (null) under a scheme that is no valid test.
    pub p_value: f64,
    /// Standard error that the p-value has from drawing permutations.
    pub p_error: f64,
    /// ba_clean - ba_neutral.
    pub gain: f64,
    /// Its interval.
    pub gain_interval: [f64; 2],
    /// Share of decisions that a permutation changes.
    pub flip_rate: f64,
    /// Its interval.
    pub flip_interval: [f64; 2],
    /// Mean total-variation distance of the probabilities from those of Clean-Q.
    pub probability_shift: f64,
    /// Its interval.
    pub shift_interval: [f64; 2],
    /// Standard deviation of balanced accuracy under Broken-Q.
    pub null_sd: Option<f64>,
    /// The gap above which this test would have given p <= alpha.
    pub detectable_gap: Option<f64>,
    /// The gap that the test would detect with 80 % power.
    pub detectable_gap_80: Option<f64>,
    /// True if the bound lies within the margin; null when no margin was stated.
    pub equivalent: Option<bool>,
    /// Balanced accuracy of the per-example oracle over modalities, where evidence is known.
    pub ba_oracle: Option<f64>,
    /// Balanced accuracy of the best expert alone, where evidence is known.
    pub ba_best_unimodal: Option<f64>,
    /// ba_oracle - ba_clean.
    pub headroom: Option<f64>,
    /// AUROC of quality for "this modality's expert is right", by modality, where both are one
    /// number a modality.
    pub alignment: Vec<(String, Option<f64>)>,
    /// R2 of quality given the evidence, out of fold, by modality, where both are known and quality
    /// is one number a modality.
    pub quality_from_evidence: Vec<(String, Option<f64>)>,
    /// Largest difference between the first and the last answer under Clean-Q.
    pub largest_drift: f64,
    /// Balanced accuracy under each permutation.
    pub broken: Vec<f64>,
    /// Why the question cannot be answered from these rows, if it cannot.
    pub not_testable: Option<String>,
    /// Why the p-value may be too small, if it may: groups alike, or qualities related.
    pub p_doubt: Option<String>,
    /// Facts that a reader of the numbers must know.
    pub cautions: Vec<String>,
    /// Values of the metric, where the label is a number: balanced accuracies, flips and shifts of
    /// probabilities are then no numbers, and `gap`, `gain` and `broken` are of the metric.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<MetricDiagnosis>,
}

/// Asks a model and reads its answers.
///
/// Rows are taken in the code-point order of their ids, as everywhere; questions and answers are in
/// the order of `examples`. Errors when a length is wrong, an id comes twice, no row has another to
/// exchange quality with, an answer is no probability, or the model answers the same question
/// differently at the end.
pub fn diagnose(
    examples: &Examples,
    settings: &Settings,
    model: &mut dyn Answerer,
) -> Result<Diagnosis, StageError> {
    let study = Study::new(examples, settings)?;
    if let (Some(metric), Some(values)) = (settings.metric, &examples.value) {
        return numbers::diagnose(&study, model, metric, values);
    }
    let clean = study.ask(model, &Question::Clean)?;
    let (tally, sequential) = study.count(model, &clean)?;
    let neutral = study.ask(model, &Question::Neutral)?;
    study.check_rows_independent(model, &clean)?;
    let again = study.ask(model, &Question::Clean)?;
    let largest_drift = study.check_frozen(&clean, &again)?;
    study.evaluate(tally, sequential, &neutral, largest_drift)
}

#[cfg(test)]
mod tests;
