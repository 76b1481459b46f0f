//! The finding of one point where the label is a number: the gap is one of an error or a
//! correlation.

use fuseline_artifact::{
    AnyPermutations, Cohort, Finding, Findings, GroupSums, MetricValues, RegressionEffects,
    RegressionPermutations,
};
use fuseline_engine::{Inputs, Labelled, Outputs, StageError};
use fuseline_stats::bootstrap::{Interval, Resampled, cluster_bootstrap};
use fuseline_stats::clustering::intraclass_correlation;
use fuseline_stats::metrics::{
    MetricError, NumberMetric, NumberSums, concordance_index, number_metric,
};
use fuseline_stats::permutation_test::{detectable_gap, gap_with_power, permutation_test};
use fuseline_stats::quality_regression::EVIDENCE_DERIVED_R2;
use fuseline_stats::streams::Stream;

use super::{IntervalKind, POWER, Resampling, Summarize, has_p_value, tested_digest, untested};
use crate::diagnose::experts;
use crate::diagnose::intervals::not_testable;
use crate::diagnose::numbers::{number_sums, permutation_sums};
use crate::diagnose::p_doubt::Alike;
use crate::pool::PooledNumbers;
use crate::rows::Finder;

/// Gives the finding. `values`: the label of each row of the cohort.
pub(super) fn run(
    options: &Summarize,
    inputs: &Inputs<'_>,
    outputs: &mut Outputs,
    cohort: &Cohort,
    values: &[f64],
) -> Result<(), StageError> {
    let metric = NumberMetric::from(options.metric.unwrap_or_default());
    let parts = permutations(inputs)?;
    let sums = PooledNumbers::gather(&parts, metric)?;
    let tested = Tested::gather(inputs, cohort, values, sums.broken.len())?;
    let experts = experts::Pooled::gather(inputs, cohort, &tested.rows, true)?;
    let control = experts.control()?;
    untested(cohort, &tested.rows).into_iter().for_each(|of| outputs.caution(of));
    experts.twins().into_iter().for_each(|of| outputs.caution(of));
    let broken: Vec<f64> = sums.broken.iter().map(|value| metric.gain(*value)).collect();
    let test =
        permutation_test(metric.gain(sums.clean), &broken).map_err(|error| failed(&error))?;
    let detectable = detectable_gap(&broken, options.alpha).map_err(|error| failed(&error))?;
    let powered = gap_with_power(&broken, options.alpha, POWER).map_err(|error| failed(&error))?;
    let is_test = has_p_value(&sums.scheme);
    let p_value = if is_test { test.p_value } else { f64::NAN };
    let (group, groups) = cohort.group.take(tested.rows.iter().copied()).ranks();
    let errors: Vec<f64> =
        tested.clean.iter().zip(&tested.labels).map(|(p, y)| (p - y).abs()).collect();
    let qualities = experts.qualities();
    let alike = Alike::measure(
        &group,
        intraclass_correlation(&tested.labels, &group),
        intraclass_correlation(&errors, &group),
        &qualities,
        &sums.scheme,
    );
    let p_doubt = match is_test && sums.reads_quality != Some(false) {
        true => alike.p_doubt(&qualities, &sums.scheme, groups)?,
        false => None,
    };
    p_doubt.iter().for_each(|doubt| outputs.caution(doubt.clone()));
    let from_evidence = experts.quality_from_evidence(&group)?;
    let derived = |r2: &Option<f64>| r2.is_some_and(|r2| r2 >= EVIDENCE_DERIVED_R2);
    let of = options.resampling(inputs.seed());
    let means = RowMeans {
        labels: &tested.labels,
        clean: &tested.clean,
        broken: &tested.broken,
        absolute_error: &tested.absolute_error,
        squared_error: &tested.squared_error,
    };
    let (clean, mean) = group_sums(&means, &group, groups, sums.origin);
    let gap = interval(metric, sums.origin, [&clean, &mean], Some(test.gap), &of)?;
    let shift = mean_interval(&tested.shift, &group, groups, &of)?;
    let undefined = f64::NAN;
    let none = vec![None; experts.modalities.len()];
    let finding = Finding {
        point: inputs.point().iter().map(|(_, label)| label.clone()).collect(),
        control,
        evidence_derived: from_evidence.iter().any(derived),
        n_examples: tested.rows.len() as i64,
        n_groups: groups as i64,
        n_permutations: test.permutations as i64,
        ba_clean: undefined,
        ba_broken: undefined,
        gap: test.gap,
        gap_low: gap.low,
        gap_high: gap.high,
        p_value,
        flip_rate: undefined,
        probability_shift: undefined,
        null_sd: test.null_sd.unwrap_or(undefined),
        detectable_gap: if is_test { detectable.unwrap_or(f64::INFINITY) } else { undefined },
        ba_best_unimodal: undefined,
        ba_oracle: undefined,
        headroom: undefined,
        reads_quality: sums.reads_quality,
        moved_share: sums.moved.map(|of| of.moved / tested.rows.len() as f64),
        not_testable: sums
            .moved
            .and_then(|of| not_testable(&sums.scheme, of, options.least_moved_share)),
        bound_low: undefined,
        bound_high: undefined,
        p_error: (p_value * (1.0 - p_value) / (test.permutations as f64 + 1.0)).sqrt(),
        detectable_gap_80: if is_test { powered.unwrap_or(f64::INFINITY) } else { undefined },
        flip_low: undefined,
        flip_high: undefined,
        shift_low: undefined,
        shift_high: undefined,
        quality_sketch: Some(experts.sketch(cohort, &tested.rows)),
        label_icc: alike.labels,
        error_icc: alike.errors,
        design_effect: alike.design_effect,
        p_doubt,
        alignment: alignment(&experts, &tested.labels)?,
        quality_from_evidence: from_evidence,
        quality_label_auroc: none,
        quality_icc: alike.quality,
        metric: Some(MetricValues {
            clean: sums.clean,
            broken: metric.gain(test.broken),
            without_quality: None,
            best_unimodal: best_unimodal(metric, &experts, &tested.labels),
            oracle: oracle(metric, &experts, &tested.labels),
            prediction_shift: Some(tested.shift.iter().sum::<f64>() / tested.rows.len() as f64),
            prediction_shift_low: Some(shift.low),
            prediction_shift_high: Some(shift.high),
            groups: Some(GroupSums {
                tested: tested_digest(cohort, &tested.rows),
                groups: clean.iter().map(permutation_sums).collect(),
            }),
        }),
        ..Finding::default()
    };
    let mut settings = options.settings(&sums.scheme);
    settings.push(format!("metric={}", metric.name()));
    settings.push(format!("origin={}", sums.origin));
    outputs.put(
        "findings",
        Findings {
            axes: inputs.point().iter().map(|(axis, _)| axis.clone()).collect(),
            modalities: experts.modalities,
            settings,
            group_counts: None,
            rows: vec![finding],
        },
    )
}

fn failed(error: &dyn std::error::Error) -> StageError {
    StageError::data(error.to_string())
}

fn permutations(inputs: &Inputs<'_>) -> Result<Vec<RegressionPermutations>, StageError> {
    let parts = inputs.each("permutations").map(|labelled| {
        let labelled: Labelled<AnyPermutations> = labelled?;
        match labelled.artifact {
            AnyPermutations::Regression(sums) => Ok(sums),
            AnyPermutations::Classes(_) => Err(StageError::data(
                "the permutations count right decisions, and the label of the cohort is a number",
            )),
        }
    });
    parts.collect()
}

/// Effects of the permutations on the tested examples, pooled over folds.
struct Tested {
    /// The row of the cohort of each tested example.
    rows: Vec<usize>,
    labels: Vec<f64>,
    /// Predictions under Clean-Q.
    clean: Vec<f64>,
    /// Means over the permutations.
    broken: Vec<f64>,
    absolute_error: Vec<f64>,
    squared_error: Vec<f64>,
    shift: Vec<f64>,
}

impl Tested {
    fn gather(
        inputs: &Inputs<'_>,
        cohort: &Cohort,
        values: &[f64],
        permutations: usize,
    ) -> Result<Self, StageError> {
        let none = Vec::new;
        let mut tested = Self {
            rows: Vec::new(),
            labels: none(),
            clean: none(),
            broken: none(),
            absolute_error: none(),
            squared_error: none(),
            shift: none(),
        };
        let mut seen = vec![false; cohort.len()];
        for labelled in inputs.each::<RegressionEffects>("effects") {
            let effects = labelled?.artifact;
            if effects.permutations as usize != permutations {
                return Err(StageError::data(format!(
                    "the effects count {} permutations and the permutations are {permutations}",
                    effects.permutations
                )));
            }
            let mut place = Finder::new(&cohort.example_id);
            for (at, id) in effects.example_id.iter().enumerate() {
                let row = place.find(id).ok_or_else(|| {
                    StageError::data(format!("example {id} was tested and is not in the cohort"))
                })?;
                if std::mem::replace(&mut seen[row], true) {
                    return Err(StageError::data(format!("example {id} was tested twice"))
                        .hint("pool over folds only: the stage must run over every other axis"));
                }
                tested.rows.push(row);
                tested.labels.push(values[row]);
                tested.clean.push(effects.clean_prediction[at]);
                tested.broken.push(effects.broken_prediction[at]);
                tested.absolute_error.push(effects.broken_absolute_error[at]);
                tested.squared_error.push(effects.broken_squared_error[at]);
                tested.shift.push(effects.prediction_shift[at]);
            }
        }
        Ok(tested)
    }
}

/// Effects of the permutations on each row: predictions under Clean-Q, and means over permutations.
pub(crate) struct RowMeans<'a> {
    pub labels: &'a [f64],
    pub clean: &'a [f64],
    /// Mean prediction.
    pub broken: &'a [f64],
    /// Mean of |prediction - label|.
    pub absolute_error: &'a [f64],
    /// Mean of (prediction - label)^2.
    pub squared_error: &'a [f64],
}

/// Sums by group: under Clean-Q, and of the means over the permutations.
pub(crate) fn group_sums(
    rows: &RowMeans<'_>,
    group: &[u32],
    groups: usize,
    origin: f64,
) -> (Vec<NumberSums>, Vec<NumberSums>) {
    let mut clean = vec![NumberSums::default(); groups];
    let mut broken = clean.clone();
    for (row, &group) in group.iter().enumerate() {
        let own = NumberSums::of_row(rows.labels[row], rows.clean[row], origin);
        clean[group as usize].add(&own, 1.0);
        let prediction = rows.broken[row] - origin;
        let squared_error = rows.squared_error[row];
        let mean = NumberSums {
            absolute_error: rows.absolute_error[row],
            squared_error,
            prediction,
            // Of the mean of (p - y)^2, with both counted from the origin.
            prediction_squared: squared_error + 2.0 * own.label * prediction - own.label_squared,
            product: own.label * prediction,
            ..own
        };
        broken[group as usize].add(&mean, 1.0);
    }
    (clean, broken)
}

/// Interval of the difference of a metric of two samples of the same groups, more being better, both
/// values from the same resample of groups. `one`, `other`: sums by group.
///
/// With `gap` the interval is moved by what the difference of the samples as they are falls short of
/// it: a mean of metrics over permutations is no metric of mean sums, but of the mean absolute error.
pub(crate) fn interval(
    metric: NumberMetric,
    origin: f64,
    [one, other]: [&[NumberSums]; 2],
    gap: Option<f64>,
    of: &Resampling,
) -> Result<Interval, StageError> {
    let gain =
        |sums: &NumberSums| sums.value(metric, origin).map_or(f64::NAN, |value| metric.gain(value));
    let sum = |groups: &[NumberSums], multiplicity: &[u32]| {
        let mut sums = NumberSums::default();
        for (group, &times) in groups.iter().zip(multiplicity) {
            if times > 0 {
                sums.add(group, f64::from(times));
            }
        }
        sums
    };
    let resampled = resample(one.len(), of, |multiplicity| {
        gain(&sum(one, multiplicity)) - gain(&sum(other, multiplicity))
    })?;
    let moved = gap.map_or(0.0, |gap| gap - resampled.estimate);
    let found = ends(&resampled, of, || {
        let each = vec![1; one.len()];
        let (all_one, all_other) = (sum(one, &each), sum(other, &each));
        let less = |all: &NumberSums, group: &NumberSums| {
            let mut left = *all;
            left.add(group, -1.0);
            gain(&left)
        };
        let groups = one.iter().zip(other);
        groups.map(|(one, other)| less(&all_one, one) - less(&all_other, other)).collect()
    })?;
    Ok(Interval { low: found.low + moved, high: found.high + moved, ..found })
}

/// Interval of the mean over rows.
pub(crate) fn mean_interval(
    values: &[f64],
    group: &[u32],
    groups: usize,
    of: &Resampling,
) -> Result<Interval, StageError> {
    let mut sums = vec![(0.0, 0.0); groups];
    for (value, &group) in values.iter().zip(group) {
        sums[group as usize].0 += value;
        sums[group as usize].1 += 1.0;
    }
    let resampled = resample(groups, of, |multiplicity| {
        let (mut sum, mut rows) = (0.0, 0.0);
        for ((own, count), &times) in sums.iter().zip(multiplicity) {
            sum += f64::from(times) * own;
            rows += f64::from(times) * count;
        }
        sum / rows
    })?;
    ends(&resampled, of, || {
        let (sum, rows) = (values.iter().sum::<f64>(), values.len() as f64);
        sums.iter().map(|(own, count)| (sum - own) / (rows - count)).collect()
    })
}

fn resample(
    groups: usize,
    of: &Resampling,
    statistic: impl Fn(&[u32]) -> f64 + Sync,
) -> Result<Resampled, StageError> {
    let stream = Stream::new(of.seed, <Summarize as fuseline_engine::StageKind>::NAME);
    let found =
        cluster_bootstrap(groups, of.resamples as usize, &stream, 1, |multiplicity, out| {
            out[0] = statistic(multiplicity);
        });
    let found = found.map_err(|error| failed(&error))?;
    found.into_iter().next().ok_or_else(|| StageError::failed("the bootstrap gave no statistic"))
}

/// The interval of a statistic; `without_group`: its values of the sample without each group.
fn ends(
    resampled: &Resampled,
    of: &Resampling,
    without_group: impl FnOnce() -> Vec<f64>,
) -> Result<Interval, StageError> {
    match of.interval {
        IntervalKind::Percentile => resampled.percentile(of.confidence),
        IntervalKind::Bca => resampled.bca(&without_group(), of.confidence),
    }
    .map_err(|error| failed(&error))
}

/// Interval of the gain over working without quality, from sums by group of two findings.
pub(crate) fn gain_interval(
    metric: NumberMetric,
    origin: f64,
    [with, without]: [&GroupSums; 2],
    of: &Resampling,
) -> Result<Option<Interval>, StageError> {
    if with.tested != without.tested || with.groups.len() != without.groups.len() {
        return Ok(None);
    }
    let sums = |of: &GroupSums| of.groups.iter().map(number_sums).collect::<Vec<_>>();
    interval(metric, origin, [&sums(with), &sums(without)], None, of).map(Some)
}

/// Of each modality, how well its quality ranks examples by how close its expert comes to the label.
fn alignment(experts: &experts::Pooled, labels: &[f64]) -> Result<Vec<Option<f64>>, StageError> {
    let width = experts.modalities.len();
    let of = |modality: usize| {
        let cells = labels.iter().enumerate().map(|(row, label)| (row * width + modality, label));
        let (quality, closeness): (Vec<f64>, Vec<f64>) = cells
            .filter(|(cell, _)| experts.available[*cell])
            .map(|(cell, label)| (experts.quality[cell], -(experts.evidence[cell] - label).abs()))
            .unzip();
        match concordance_index(&quality, &closeness) {
            Err(MetricError::Undefined { .. }) => Ok(None),
            found => found.map(Some).map_err(|error| failed(&error)),
        }
    };
    (0..width).map(of).collect()
}

/// The metric of the best of the experts that every example has, where it is defined.
fn best_unimodal(metric: NumberMetric, experts: &experts::Pooled, labels: &[f64]) -> Option<f64> {
    let width = experts.modalities.len();
    let whole = (0..width).filter(|modality| {
        experts.available.iter().skip(*modality).step_by(width).all(|available| *available)
    });
    let values = whole.filter_map(|modality| {
        let own: Vec<f64> =
            experts.evidence.iter().skip(modality).step_by(width).copied().collect();
        number_metric(metric, labels, &own).ok()
    });
    values.max_by(|one, other| metric.gain(*one).total_cmp(&metric.gain(*other)))
}

/// The metric when of each example the available expert counts that is closest to the label.
fn oracle(metric: NumberMetric, experts: &experts::Pooled, labels: &[f64]) -> Option<f64> {
    let width = experts.modalities.len();
    let closest = labels.iter().enumerate().map(|(row, label)| {
        let cells = row * width..(row + 1) * width;
        let there =
            cells.filter(|&cell| experts.available[cell]).map(|cell| experts.evidence[cell]);
        there.min_by(|one, other| (one - label).abs().total_cmp(&(other - label).abs()))
    });
    let closest: Option<Vec<f64>> = closest.collect();
    number_metric(metric, labels, &closest?).ok()
}
