//! Reading of answers that are numbers: the gap is one of an error, a correlation or a score.

use fuseline_engine::StageError;
use fuseline_stats::bootstrap::Interval;
use fuseline_stats::clustering::intraclass_correlation;
use fuseline_stats::metrics::{NumberMetric, NumberSums};
use fuseline_stats::permutation::Intervention;
use fuseline_stats::permutation_test::{detectable_gap, gap_with_power, permutation_test};
use serde::{Deserialize, Serialize};

use super::ask::sequential_p;
use super::study::Study;
use super::{Answerer, Diagnosis, Question};
use crate::diagnose::numbers::NumberTally;
use crate::diagnose::p_doubt::Alike;
use crate::diagnose::summarize::regression::{RowMeans, group_sums, interval, mean_interval};
use crate::diagnose::summarize::{IntervalKind, Resampling};

/// Measure of a model of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Mean absolute error.
    Mae,
    /// Root of the mean squared error.
    Rmse,
    /// Pearson's correlation of prediction and label.
    Pearson,
    /// Lin's concordance correlation coefficient.
    Concordance,
    /// Mean of a score of each example, which is the answer itself; more is better.
    Score,
}

impl From<Metric> for NumberMetric {
    fn from(metric: Metric) -> Self {
        match metric {
            Metric::Mae => Self::Mae,
            Metric::Rmse => Self::Rmse,
            Metric::Pearson => Self::Pearson,
            Metric::Concordance => Self::Concordance,
            Metric::Score => Self::Score,
        }
    }
}

/// Values of the metric, in its own unit: less of an error is better.
#[derive(Debug, Clone, Serialize)]
pub struct MetricDiagnosis {
    /// Its name.
    pub name: Metric,
    /// Under Clean-Q.
    pub clean: f64,
    /// Its mean under Broken-Q.
    pub broken: f64,
    /// With quality held at its mean, or at the stated neutral value.
    pub neutral: f64,
    /// Mean of |answer - that of Clean-Q| over examples and permutations.
    pub shift: f64,
    /// Its interval.
    pub shift_interval: [f64; 2],
}

/// Asks a model of numbers and reads its answers.
pub(super) fn diagnose(
    study: &Study<'_>,
    model: &mut dyn Answerer,
    name: Metric,
    values: &[f64],
) -> Result<Diagnosis, StageError> {
    let metric = NumberMetric::from(name);
    let labels: Vec<f64> = study.order.iter().map(|&row| values[row as usize]).collect();
    let origin = match name {
        Metric::Score => 0.0,
        _ => labels.iter().sum::<f64>() / labels.len() as f64,
    };
    let undefined = |error: fuseline_stats::metrics::MetricError| {
        StageError::data(error.to_string()).hint("mae and rmse are defined for any predictions")
    };
    let value = |sums: &NumberSums| sums.value(metric, origin).map_err(undefined);
    let gain = |sums: &NumberSums| Ok::<f64, StageError>(metric.gain(value(sums)?));
    let clean = study.ask(model, &Question::Clean)?;
    let mut tally = NumberTally::new(&labels, clean.clone(), origin);
    let size = tally.block_size();
    let sequential = study.each_block(model, size, |predictions| {
        tally.add_block(predictions);
        let reached = tally.sums.iter().map(gain).collect::<Result<Vec<f64>, _>>()?;
        Ok(sequential_p(study.settings, &reached))
    })?;
    let neutral = study.ask(model, &Question::Neutral)?;
    study.check_rows_independent(model, &clean)?;
    let again = study.ask(model, &Question::Clean)?;
    let largest_drift = study.check_frozen(&clean, &again)?;

    let failed = |error: &dyn std::error::Error| StageError::data(error.to_string());
    let settings = study.settings;
    let own = value(&tally.sums[0])?;
    let broken = tally.sums[1..].iter().map(value).collect::<Result<Vec<f64>, _>>()?;
    let gains: Vec<f64> = broken.iter().map(|value| metric.gain(*value)).collect();
    let test = permutation_test(metric.gain(own), &gains).map_err(|error| failed(&error))?;
    let is_test = Intervention::from(settings.scheme).has_p_value();
    let p_value = if is_test { sequential.unwrap_or(test.p_value) } else { f64::NAN };
    let detectable = detectable_gap(&gains, settings.alpha).map_err(|error| failed(&error))?;
    let powered = gap_with_power(&gains, settings.alpha, 0.8).map_err(|error| failed(&error))?;
    let effects = tally.effects(study.ids.clone());
    let of = Resampling {
        resamples: settings.bootstrap,
        confidence: settings.confidence,
        interval: IntervalKind::Percentile,
        seed: settings.seed,
    };
    let means = RowMeans {
        labels: &labels,
        clean: &effects.clean_prediction,
        broken: &effects.broken_prediction,
        absolute_error: &effects.broken_absolute_error,
        squared_error: &effects.broken_squared_error,
    };
    let (clean_sums, broken_sums) = group_sums(&means, &study.group, study.groups, origin);
    let mut neutral_sums = vec![NumberSums::default(); study.groups];
    let mut all = NumberSums::default();
    for ((label, prediction), &group) in labels.iter().zip(&neutral).zip(&study.group) {
        let row = NumberSums::of_row(*label, *prediction, origin);
        neutral_sums[group as usize].add(&row, 1.0);
        all.add(&row, 1.0);
    }
    let neutral = value(&all)?;
    let gap = interval(metric, origin, [&clean_sums, &broken_sums], Some(test.gap), &of)?;
    let gained = interval(metric, origin, [&clean_sums, &neutral_sums], None, &of)?;
    let shift = mean_interval(&effects.prediction_shift, &study.group, study.groups, &of)?;
    let of_labels = match name {
        Metric::Score => None,
        _ => intraclass_correlation(&labels, &study.group),
    };
    // Of a score, the answer itself is what an error would be.
    let errors: Vec<f64> = match name {
        Metric::Score => clean.clone(),
        _ => labels.iter().zip(&clean).map(|(label, answer)| (answer - label).abs()).collect(),
    };
    let p_doubt = study.p_doubt(|qualities, scheme| {
        let of_errors = intraclass_correlation(&errors, &study.group);
        Alike::measure(&study.group, of_labels, of_errors, qualities, scheme)
    })?;
    let ends = |of: &Interval| [of.low, of.high];
    let none = f64::NAN;
    let rows = labels.len() as f64;
    Ok(Diagnosis {
        scheme: Intervention::from(settings.scheme).name().to_owned(),
        seed: settings.seed,
        n_examples: labels.len(),
        n_groups: study.groups,
        n_permutations: test.permutations,
        share_movable: study.share_movable,
        share_changed: study.moved.moved / rows,
        ba_clean: none,
        ba_broken: none,
        ba_neutral: none,
        gap: test.gap,
        interval: ends(&gap),
        bound: [none, none],
        p_value,
        p_error: (p_value * (1.0 - p_value) / (test.permutations as f64 + 1.0)).sqrt(),
        gain: metric.gain(own) - metric.gain(neutral),
        gain_interval: ends(&gained),
        flip_rate: none,
        flip_interval: [none, none],
        probability_shift: none,
        shift_interval: [none, none],
        null_sd: test.null_sd,
        detectable_gap: detectable.filter(|_| is_test),
        detectable_gap_80: powered.filter(|_| is_test),
        equivalent: None,
        ba_oracle: None,
        ba_best_unimodal: None,
        headroom: None,
        alignment: study.by_modality(),
        quality_from_evidence: study.by_modality(),
        largest_drift,
        broken,
        not_testable: study.not_testable(),
        p_doubt,
        cautions: Vec::new(),
        metric: Some(MetricDiagnosis {
            name,
            clean: own,
            broken: metric.gain(test.broken),
            neutral,
            shift: effects.prediction_shift.iter().sum::<f64>() / rows,
            shift_interval: ends(&shift),
        }),
    })
}
