//! The diagnostic of a model that was fitted elsewhere and that fuseline never sees.
//!
//! Knows which questions such a model is asked and how its answers are evaluated. Knows nothing of
//! how it is reached: that is the task of an [`Answerer`]. Start at [`diagnose`]. **Invariant:**
//! the same rows, scheme and seed give the same permutations and, for the same answers, the same
//! numbers as `diagnose.permute_quality` and `diagnose.summarize`.

pub mod files;
mod numbers;

pub use numbers::{Metric, MetricDiagnosis};

use std::collections::BTreeMap;

use fuseline_artifact::{Digest, Texts};
use fuseline_engine::StageError;
use fuseline_stats::bootstrap::Interval;
use fuseline_stats::headroom::Experts;
use fuseline_stats::metrics::balanced_accuracy;
use fuseline_stats::permutation::{self, Intervention, Permuter};
use fuseline_stats::permutation_test::{TIE, detectable_gap, gap_with_power, permutation_test};
use fuseline_stats::quality_regression::EvidenceRows;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnose::experts::quality_from_evidence;
use crate::diagnose::intervals::{Intervals, RowEffects, not_testable};
use crate::diagnose::moved::{Moved, bits, movable};
use crate::diagnose::p_doubt::{Alike, Qualities};
use crate::diagnose::permute_quality::Scheme;
use crate::diagnose::strata::{Known, refused, strata};
use crate::diagnose::summarize::{
    IntervalKind, Resampling, Rows, below_chance, difference_interval,
};
use crate::diagnose::tally::Tally;
use crate::rows::{decision, rows_digest};

/// Permutations at least as accurate as Clean-Q after which a sequential test stops (Besag and
/// Clifford 1991).
const SEQUENTIAL_STOP: u64 = 20;
/// The share that a scheme must change of what a joint permutation changes.
const LEAST_MOVED_SHARE: f64 = 0.5;
/// Tolerance of the sum of a row's probabilities around 1: models compute in single or half
/// precision.
const SUM_TOLERANCE: f64 = 1e-3;

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
    pub permutations: u32,
    /// Bins of confidence of the scheme `conditional`.
    pub bins: u32,
    /// Seed of permutations and resamples.
    pub seed: u64,
    /// Resamples of groups for the intervals.
    pub bootstrap: u32,
    /// Confidence of the intervals.
    pub confidence: f64,
    /// Level of the test.
    pub alpha: f64,
    /// A gap within plus or minus this counts as none.
    pub equivalence_margin: Option<f64>,
    /// Largest difference between two answers to the same question that still counts as frozen.
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
    study.rows_are_independent(model, &clean)?;
    let again = study.ask(model, &Question::Clean)?;
    let largest_drift = study.frozen(&clean, &again)?;
    study.read(tally, sequential, &neutral, largest_drift)
}

/// True for numbers from 0 to 1 that sum to 1, as models compute them.
fn are_probabilities(row: &[f64]) -> bool {
    let sound = |p: &f64| (-SUM_TOLERANCE..=1.0 + SUM_TOLERANCE).contains(p);
    row.iter().all(sound) && (row.iter().sum::<f64>() - 1.0).abs() <= SUM_TOLERANCE
}

/// An error where what an expert says of a modality that is there is no probabilities.
fn check_evidence(examples: &Examples) -> Result<(), StageError> {
    let Examples { evidence: Some(evidence), modalities, classes, available, .. } = examples else {
        return Ok(());
    };
    let mut rows = evidence.chunks_exact(classes.len().max(1)).zip(available).enumerate();
    let Some((at, (row, _))) = rows.find(|(_, (row, there))| **there && !are_probabilities(row))
    else {
        return Ok(());
    };
    Err(StageError::data(format!(
        "evidence of row {}, modality {} is {row:?}: these are no probabilities that sum to 1",
        at / modalities.len(),
        modalities[at % modalities.len()]
    ))
    .hint("give each expert's softmax, and say in `available` where a modality is missing"))
}

/// An error where a metric and the labels do not belong together.
fn check_metric(examples: &Examples, settings: &Settings) -> Result<(), StageError> {
    let Examples { value, example_id, evidence, .. } = examples;
    let Some(metric) = settings.metric else {
        return match value {
            Some(_) => Err(StageError::data("the label is a number, and no metric is named")
                .hint("name one of mae, rmse, pearson and concordance")),
            None => Ok(()),
        };
    };
    let Some(value) = value.as_ref().filter(|value| value.len() == example_id.len()) else {
        return Err(StageError::data("a metric needs a number as the label of each row"));
    };
    if let Some(row) = value.iter().position(|value| !value.is_finite()) {
        return Err(StageError::data(format!(
            "the label of row {row} is {}, and a finite number is expected",
            value[row]
        )));
    }
    if metric != Metric::Score && value.iter().all(|other| *other == value[0]) {
        return Err(StageError::data("all labels are one number: a label that varies is needed"));
    }
    if evidence.is_some() {
        return Err(StageError::data(
            "evidence is class probabilities here, and the label is a number",
        )
        .hint("leave evidence out"));
    }
    if settings.equivalence_margin.is_some() {
        return Err(StageError::data(
            "equivalence is not claimed where the label is a number: an error has no largest \
             value, so that no bound of the gap holds where the sample shows no difference",
        )
        .hint("leave the equivalence margin out, and read the interval of the gap"));
    }
    Ok(())
}

/// The p-value of a sequential test, where it stops: of values of which more is better, Clean-Q
/// first.
fn sequential_p(settings: &Settings, reached: &[f64]) -> Option<f64> {
    if settings.stop == Stop::Never {
        return None;
    }
    let (clean, broken) = (reached[0], &reached[1..]);
    let mut at_least = (1_u64..).zip(broken).filter(|(_, value)| **value >= clean - TIE);
    let (number, _) = at_least.nth(SEQUENTIAL_STOP as usize - 1)?;
    Some(SEQUENTIAL_STOP as f64 / number as f64)
}

/// Examples in code-point order of their ids, and how their quality moves.
struct Study<'a> {
    examples: &'a Examples,
    settings: &'a Settings,
    /// The row of the examples at each place.
    order: Vec<u32>,
    /// The place at which each row of the examples stands.
    place: Vec<u32>,
    ids: Texts,
    labels: Vec<u32>,
    group: Vec<u32>,
    groups: usize,
    permuter: Permuter,
    share_movable: f64,
    /// Examples whose quality changes, on average.
    moved: Moved,
}

impl<'a> Study<'a> {
    fn new(examples: &'a Examples, settings: &'a Settings) -> Result<Self, StageError> {
        let Examples { example_id, group, label, classes, modalities, available, .. } = examples;
        let rows = example_id.len();
        for (what, found, expected) in [
            ("groups", group.len(), rows),
            ("labels", label.len(), rows),
            ("values of availability", available.len(), rows * modalities.len()),
            (
                "values of quality",
                examples.quality.len(),
                (rows * modalities.len()).saturating_mul(examples.channels),
            ),
            (
                "probabilities of evidence",
                examples.evidence.as_ref().map_or(0, Vec::len),
                examples.evidence.as_ref().map_or(0, |_| rows * modalities.len() * classes.len()),
            ),
        ] {
            if found != expected {
                return Err(StageError::data(format!(
                    "{found} {what} where {expected} are expected"
                )));
            }
        }
        if let Some(margin) = settings.equivalence_margin.filter(|of| !(0.0..1.0).contains(of)) {
            return Err(StageError::data(format!(
                "the equivalence margin is a fraction from 0 to below 1, and {margin} is not"
            ))
            .hint("0.02 is 2 percentage points"));
        }
        check_metric(examples, settings)?;
        if rows == 0 || (classes.len() < 2 && settings.metric.is_none()) {
            return Err(StageError::data("at least one row and two classes are needed"));
        }
        if let Some(row) = label.iter().position(|&class| class as usize >= classes.len()) {
            return Err(StageError::data(format!(
                "row {row} has class {} of {}",
                label[row],
                classes.len()
            )));
        }
        check_evidence(examples)?;
        let mut named = modalities.iter().collect::<Vec<_>>();
        named.sort();
        if let Some(pair) = named.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(StageError::data(format!("two modalities are called {}", pair[0])));
        }
        let Intervention::Permutation(scheme) = settings.scheme.into() else {
            return Err(StageError::data(
                "a model from outside is asked about permutations across examples only",
            )
            .hint(
                "use joint, per_modality, within_group, whole_groups, conditional, derangement, \
                 within_class or within_correct",
            ));
        };
        if settings.stop == Stop::Sequential && !Intervention::from(settings.scheme).has_p_value() {
            return Err(StageError::data(
                "a sequential test stops by its p-value, and the scheme derangement has none",
            )
            .hint("ask joint, or all permutations"));
        }
        if scheme == permutation::Scheme::ConditionalResidual {
            return Err(StageError::data(
                "the scheme conditional_residual fits a regression of quality on evidence on \
                 training rows, and a model from outside comes without them",
            )
            .hint(
                "use conditional here, or load the model with fusion.load in a workflow and give \
                 diagnose.permute_quality the inputs evidence_train and quality_train",
            ));
        }
        let mut order: Vec<u32> = (0..).take(rows).collect();
        order.sort_by_key(|&row| &example_id[row as usize]);
        let same = |pair: &[u32]| example_id[pair[0] as usize] == example_id[pair[1] as usize];
        if let Some(pair) = order.windows(2).find(|pair| same(pair)) {
            let id = &example_id[pair[0] as usize];
            return Err(StageError::data(format!(
                "the id {id} stands in rows {} and {}",
                pair[0], pair[1]
            )));
        }
        let mut place = vec![0; rows];
        order.iter().zip(0..).for_each(|(&row, at)| place[row as usize] = at);
        let ids: Texts = order.iter().map(|&row| example_id[row as usize].as_str()).collect();
        let mut numbers = BTreeMap::new();
        numbers.extend(group.iter().map(|name| (name.as_str(), 0)));
        numbers.values_mut().zip(0..).for_each(|(number, rank)| *number = rank);
        let groups = numbers.len();
        let group: Vec<u32> =
            order.iter().map(|&row| numbers[group[row as usize].as_str()]).collect();
        let width = modalities.len();
        let sorted_available: Vec<bool> = order
            .iter()
            .flat_map(|&row| &available[row as usize * width..][..width])
            .copied()
            .collect();
        let digest = rows_digest(&ids);
        let permuter =
            Self::permuter(examples, settings, scheme, &order, &sorted_available, &group, digest)?;
        let study = Self {
            examples,
            settings,
            labels: order.iter().map(|&row| label[row as usize]).collect(),
            order,
            place,
            ids,
            group,
            groups,
            permuter,
            share_movable: 0.0,
            moved: Moved { moved: 0.0, movable: 0.0 },
        };
        let chances = study.change_chances();
        let movable = chances.iter().filter(|chance| **chance > 0.0).count();
        Ok(Self {
            share_movable: movable as f64 / rows as f64,
            moved: study.moved(&chances),
            ..study
        })
    }

    /// `chances`: those of the rows to get another quality.
    fn moved(&self, chances: &[f64]) -> Moved {
        let Examples { available, quality, modalities, channels, .. } = self.examples;
        let (width, channels) = (modalities.len(), *channels);
        let rows = self.order.iter().map(|&row| {
            let cells = row as usize * width..(row as usize + 1) * width;
            let own = |cell: usize| match available[cell] {
                true => quality[cell * channels..(cell + 1) * channels]
                    .iter()
                    .copied()
                    .map(bits)
                    .collect(),
                false => Vec::new(),
            };
            (&available[cells.clone()], cells.map(own).collect::<Vec<Vec<u64>>>())
        });
        Moved { moved: chances.iter().sum(), movable: movable(rows) }
    }

    /// The qualities in code-point order, a column a channel, with whether each is there.
    fn columns(&self) -> (Vec<String>, Vec<f64>, Vec<bool>) {
        let Examples { available, quality, modalities, channels, .. } = self.examples;
        let (width, channels) = (modalities.len(), *channels);
        let names = modalities.iter().flat_map(|name| std::iter::repeat_n(name.clone(), channels));
        let each =
            self.order.iter().flat_map(|&row| row as usize * width..(row as usize + 1) * width);
        let values = each.clone().flat_map(|cell| &quality[cell * channels..(cell + 1) * channels]);
        let there = each.flat_map(|cell| std::iter::repeat_n(available[cell], channels));
        (names.collect(), values.copied().collect(), there.collect())
    }

    /// Why the p-value may be too small: `alike` measures what groups have in common.
    fn p_doubt(
        &self,
        alike: impl FnOnce(&Qualities<'_>, &str) -> Alike,
    ) -> Result<Option<String>, StageError> {
        let intervention = Intervention::from(self.settings.scheme);
        if !intervention.has_p_value() {
            return Ok(None);
        }
        let (modalities, quality, available) = self.columns();
        let qualities =
            Qualities { modalities: &modalities, quality: &quality, available: &available };
        alike(&qualities, intervention.name()).p_doubt(&qualities, intervention.name(), self.groups)
    }

    fn permuter(
        examples: &Examples,
        settings: &Settings,
        scheme: permutation::Scheme,
        order: &[u32],
        available: &[bool],
        group: &[u32],
        digest: Digest,
    ) -> Result<Permuter, StageError> {
        let mut rows = permutation::Rows {
            modalities: examples.modalities.len(),
            available,
            group: Some(group),
            stratum: None,
            digest: digest.as_bytes(),
        };
        let (classes, width) = (examples.classes.len(), examples.modalities.len());
        let labels: Vec<u32> = order.iter().map(|&row| examples.label[row as usize]).collect();
        let evidence: Option<Vec<f64>> = examples.evidence.as_ref().map(|evidence| {
            let own = |&row: &u32| &evidence[row as usize * width * classes..][..width * classes];
            order.iter().flat_map(own).copied().collect()
        });
        let known =
            Known { labels: &labels, evidence: evidence.as_deref(), classes, bins: settings.bins };
        let stratum = strata(scheme, &rows, &known)?;
        rows.stratum = stratum.as_deref();
        Permuter::new(scheme, &rows, settings.seed).map_err(refused)
    }

    /// The chance of each row to get another quality than its own, in code-point order.
    fn change_chances(&self) -> Vec<f64> {
        let Examples { quality, channels, modalities, .. } = self.examples;
        let width = modalities.len() * channels;
        self.permuter.change_chances(|column, row| -> Vec<u64> {
            let own = match self.permuter.columns() {
                1 => 0..width,
                _ => column * channels..(column + 1) * channels,
            };
            let row = self.order[row as usize] as usize * width;
            quality[row..][own].iter().copied().map(bits).collect()
        })
    }

    /// Asks, checks that the answers are probabilities, and puts them in code-point order.
    fn ask(
        &self,
        model: &mut dyn Answerer,
        question: &Question<'_>,
    ) -> Result<Vec<f64>, StageError> {
        let (rows, classes) = (self.order.len(), self.examples.classes.len());
        let (count, what) = match question {
            Question::Clean => (1, "Clean-Q".to_owned()),
            Question::Mixed { .. } => (1, "quality of which half is permuted".to_owned()),
            Question::Neutral => (1, "quality held neutral".to_owned()),
            Question::Broken { count, first, .. } => {
                (*count as usize, format!("permutations from {first}"))
            }
        };
        let answer = model.answer(question)?;
        if answer.len() != count * rows * classes {
            return Err(StageError::data(format!(
                "the model gave {} values under {what} where {count} x {rows} rows x {classes} \
                 classes are expected",
                answer.len()
            )));
        }
        if self.settings.metric.is_some() {
            if let Some(at) = answer.iter().position(|value| !value.is_finite()) {
                return Err(StageError::data(format!(
                    "row {} has {} under {what}: a finite number is expected",
                    at % rows,
                    answer[at]
                )));
            }
            return Ok(self.sorted(&answer, 1));
        }
        for (number, row) in answer.chunks_exact(classes).enumerate() {
            if !are_probabilities(row) {
                return Err(StageError::data(format!(
                    "row {} has {row:?} under {what}: these are no probabilities that sum to 1",
                    number % rows
                ))
                .hint("give the softmax of the model's logits, or its decisions"));
            }
        }
        Ok(self.sorted(&answer, classes))
    }

    /// Answers of `width` numbers a row in code-point order.
    fn sorted(&self, answer: &[f64], width: usize) -> Vec<f64> {
        let mut sorted = Vec::with_capacity(answer.len());
        for permutation in answer.chunks_exact(self.order.len() * width) {
            for &row in &self.order {
                sorted.extend_from_slice(&permutation[row as usize * width..][..width]);
            }
        }
        sorted
    }

    /// Evaluates all permutations, or as many as the settings and the time allow; where a
    /// sequential test stopped, its p-value.
    fn count<'t>(
        &'t self,
        model: &mut dyn Answerer,
        clean: &'t [f64],
    ) -> Result<(Tally<'t>, Option<f64>), StageError> {
        let mut tally = Tally::new(&self.labels, clean, self.examples.classes.len());
        // A sequential test stops between blocks, so their size tells how many permutations it has.
        let size = match self.settings.stop {
            Stop::Never => tally.part_size(),
            Stop::Sequential => tally.block_size(),
        };
        let sequential = self.each_block(model, size, |predictions| {
            tally.count_block(predictions);
            if self.settings.stop == Stop::Never {
                return Ok(None);
            }
            Ok(sequential_p(self.settings, &self.accuracies(&tally)?))
        })?;
        Ok((tally, sequential))
    }

    /// Asks about all permutations, or as many as the time allows, `size` at once. `take` is given
    /// the answers in code-point order, and gives a p-value where a sequential test stops.
    fn each_block(
        &self,
        model: &mut dyn Answerer,
        size: u32,
        mut take: impl FnMut(&[f64]) -> Result<Option<f64>, StageError>,
    ) -> Result<Option<f64>, StageError> {
        let (rows, columns) = (self.order.len(), self.permuter.columns());
        let mut drawn = vec![0; columns * rows];
        let mut draw = |first: u32| {
            let count = size.min(self.settings.permutations - first);
            let mut index = Vec::with_capacity(count as usize * columns * rows);
            for number in first..first + count {
                self.permuter.draw_into(number.into(), &mut drawn);
                index.extend(self.in_order_of_caller(&drawn));
            }
            (first, count, index)
        };
        let mut firsts = (0..self.settings.permutations).step_by(size as usize);
        // A sequential test does not know what it will ask next.
        let is_certain = self.settings.stop == Stop::Never;
        let mut next = firsts.next().map(&mut draw);
        while let Some((first, count, index)) = next.take() {
            if first > 0 && !model.has_time() {
                break;
            }
            let question = Question::Broken { first, count, columns, index: &index };
            if first == 0 && is_certain {
                model.announce(&question)?;
            }
            next = firsts.next().map(&mut draw);
            if let Some((first, count, index)) = next.as_ref().filter(|_| is_certain) {
                let (first, count) = (*first, *count);
                model.announce(&Question::Broken { first, count, columns, index })?;
            } else if is_certain {
                model.announce(&Question::Neutral)?;
                model.announce(&Question::Mixed { columns, index: &self.mixed() })?;
                model.announce(&Question::Clean)?;
            }
            if let Some(p) = take(&self.ask(model, &question)?)? {
                return Ok(Some(p));
            }
        }
        Ok(None)
    }

    /// Index vectors over places in code-point order as ones over rows in the caller's order, both
    /// in what they say and in what they say it of.
    fn in_order_of_caller(&self, drawn: &[u32]) -> impl Iterator<Item = u32> {
        drawn.chunks_exact(self.order.len()).flat_map(|column| {
            self.place.iter().map(|&at| self.order[column[at as usize] as usize])
        })
    }

    /// Asks with the quality of every other row permuted, which must not change what is answered
    /// for the rows that keep theirs.
    ///
    /// Permutations of all rows do not show it: a mean or a variance of quality over the batch is
    /// the same under each of them, and another where quality is held neutral.
    fn rows_are_independent(
        &self,
        model: &mut dyn Answerer,
        clean: &[f64],
    ) -> Result<(), StageError> {
        let (columns, index) = (self.permuter.columns(), self.mixed());
        let mixed = self.ask(model, &Question::Mixed { columns, index: &index })?;
        let width = self.examples.classes.len();
        let kept = |answers: &[f64]| -> Vec<f64> {
            answers.chunks_exact(width).step_by(2).flatten().copied().collect()
        };
        let (row, largest) = self.largest_difference(&kept(clean), &kept(&mixed));
        if largest <= self.settings.tolerance {
            return Ok(());
        }
        // Where it answers no question alike, that says more.
        let again = self.ask(model, &Question::Clean)?;
        self.frozen(clean, &again)?;
        let row = 2 * row;
        let answers = |of: &'_ [f64]| format!("{:?}", &of[row * width..][..width]);
        Err(StageError::data(format!(
            "the answer for an example depends on the quality of others: of example {}, which keeps \
             its quality while that of every other one is permuted, the model says {} and before \
             {} (difference {largest:e}, tolerance {:e})",
            &self.ids[row],
            answers(&mixed),
            answers(clean),
            self.settings.tolerance
        ))
        .hint(
            "put normalisation layers in evaluation mode (model.eval()), and scale quality by \
             statistics of the training examples and not of the batch; where rounding depends on \
             the rows beside it, raise `tolerance`",
        ))
    }

    /// Index vectors that leave every other row as it is, in code-point order, and permute the rest
    /// as a permutation does that is not asked about otherwise.
    fn mixed(&self) -> Vec<u32> {
        let rows = self.order.len();
        let mut drawn = vec![0; self.permuter.columns() * rows];
        self.permuter.draw_into(self.settings.permutations.into(), &mut drawn);
        for column in drawn.chunks_exact_mut(rows) {
            (0..).zip(column).step_by(2).for_each(|(own, row)| *row = own);
        }
        self.in_order_of_caller(&drawn).collect()
    }

    /// Between answers to one question, by row: the row that differs most, and by how much.
    fn largest_difference(&self, one: &[f64], other: &[f64]) -> (usize, f64) {
        let differences = one.iter().zip(other).map(|(one, other)| (one - other).abs());
        let (at, largest) = differences.enumerate().fold((0, 0.0), |worst, (at, difference)| {
            if difference > worst.1 { (at, difference) } else { worst }
        });
        (at / self.examples.classes.len(), largest)
    }

    /// Balanced accuracy under Clean-Q, then under each permutation so far.
    fn accuracies(&self, tally: &Tally<'_>) -> Result<Vec<f64>, StageError> {
        let counts = |of: &[i64]| of.iter().map(|count| count.unsigned_abs()).collect::<Vec<u64>>();
        let rows = counts(&tally.rows_of_class);
        let each = tally.correct.chunks_exact(self.examples.classes.len());
        each.map(|correct| {
            balanced_accuracy(&rows, &counts(correct))
                .map_err(|error| StageError::data(error.to_string()))
        })
        .collect()
    }

    /// The largest difference between two answers to the same question; an error where it is above
    /// the tolerance.
    fn frozen(&self, clean: &[f64], again: &[f64]) -> Result<f64, StageError> {
        let classes = self.examples.classes.len();
        let (row, largest) = self.largest_difference(clean, again);
        if largest <= self.settings.tolerance {
            return Ok(largest);
        }
        let of = |answers: &'_ [f64]| format!("{:?}", &answers[row * classes..][..classes]);
        Err(StageError::data(format!(
            "the model is not frozen: asked the same question twice, it answers {} and \
             {} for example {} (difference {largest:e}, tolerance {:e})",
            of(clean),
            of(again),
            &self.ids[row],
            self.settings.tolerance
        ))
        .hint(
            "turn dropout off and put normalisation layers in evaluation mode (model.eval()), \
             keep no state between calls; where a GPU rounds differently from call to call, raise \
             `tolerance`",
        ))
    }

    fn read(
        &self,
        tally: Tally<'_>,
        sequential: Option<f64>,
        neutral: &[f64],
        largest_drift: f64,
    ) -> Result<Diagnosis, StageError> {
        let failed = |error: &dyn std::error::Error| StageError::data(error.to_string());
        let classes = &self.examples.classes;
        let settings = self.settings;
        let accuracies = self.accuracies(&tally)?;
        let (clean, broken) = (accuracies[0], accuracies[1..].to_vec());
        let test = permutation_test(clean, &broken).map_err(|error| failed(&error))?;
        // Without a valid test there is neither a p-value nor a gap that it would detect.
        let is_test = Intervention::from(settings.scheme).has_p_value();
        let p_value = if is_test { sequential.unwrap_or(test.p_value) } else { f64::NAN };
        let detectable = detectable_gap(&broken, settings.alpha).map_err(|error| failed(&error))?;
        let effects = tally.effects(self.ids.clone());
        let (rows, permutations) = (self.order.len() as f64, f64::from(effects.permutations));
        let right = |flags: &[bool]| -> Vec<f64> {
            flags.iter().map(|right| f64::from(u8::from(*right))).collect()
        };
        let neutral: Vec<bool> = neutral
            .chunks_exact(classes.len())
            .zip(&self.labels)
            .map(|(row, &label)| decision(row) as u32 == label)
            .collect();
        let clean_right = right(&effects.clean_correct);
        let neutral_right = right(&neutral);
        let broken_right: Vec<f64> =
            effects.broken_correct.iter().map(|&count| count as f64 / permutations).collect();
        let of = Rows {
            group: &self.group,
            groups: self.groups,
            labels: &self.labels,
            classes: classes.len(),
        };
        let resampling = Resampling {
            resamples: settings.bootstrap,
            confidence: settings.confidence,
            interval: IntervalKind::Percentile,
            seed: settings.seed,
        };
        let flips: Vec<f64> =
            effects.flips.iter().map(|&count| count as f64 / permutations).collect();
        let intervals = Intervals::new(
            &of,
            &RowEffects {
                clean: &clean_right,
                broken: &broken_right,
                flips: &flips,
                shift: &effects.probability_shift,
            },
            &resampling,
        )?;
        let gain = difference_interval(&of, &clean_right, &neutral_right, &resampling)?;
        let ends = |of: &Interval| [of.low, of.high];
        let powered =
            gap_with_power(&broken, settings.alpha, 0.8).map_err(|error| failed(&error))?;
        let not_testable = self.not_testable();
        let (gap_interval, gain_interval) = (ends(&intervals.gap), ends(&gain));
        let bound = ends(&intervals.bound).map(|end| end / self.moved.share());
        let labels = (self.labels.as_slice(), classes.len());
        let p_doubt = self.p_doubt(|qualities, scheme| {
            Alike::of_classes(&self.group, labels, &clean_right, qualities, scheme)
        })?;
        let ba_neutral = {
            let mut correct = vec![0; classes.len()];
            neutral
                .iter()
                .zip(&self.labels)
                .for_each(|(right, &label)| correct[label as usize] += u64::from(*right));
            let all: Vec<u64> =
                tally.rows_of_class.iter().map(|count| count.unsigned_abs()).collect();
            balanced_accuracy(&all, &correct).map_err(|error| failed(&error))?
        };
        let mut diagnosis = Diagnosis {
            scheme: Intervention::from(settings.scheme).name().to_owned(),
            seed: settings.seed,
            n_examples: self.order.len(),
            n_groups: self.groups,
            n_permutations: test.permutations,
            share_movable: self.share_movable,
            share_changed: self.moved.moved / self.order.len() as f64,
            ba_clean: test.clean,
            ba_broken: test.broken,
            ba_neutral,
            gap: test.gap,
            interval: gap_interval,
            bound,
            p_value,
            p_error: (p_value * (1.0 - p_value) / (test.permutations as f64 + 1.0)).sqrt(),
            gain: test.clean - ba_neutral,
            gain_interval,
            flip_rate: effects.flips.iter().sum::<i64>() as f64 / (permutations * rows),
            flip_interval: ends(&intervals.flips),
            shift_interval: ends(&intervals.shift),
            detectable_gap_80: powered.filter(|_| is_test),
            probability_shift: effects.probability_shift.iter().sum::<f64>() / rows,
            null_sd: test.null_sd,
            detectable_gap: detectable.filter(|_| is_test),
            equivalent: settings
                .equivalence_margin
                .map(|margin| not_testable.is_none() && -margin < bound[0] && bound[1] < margin),
            ba_oracle: None,
            ba_best_unimodal: None,
            headroom: None,
            alignment: self.by_modality(),
            quality_from_evidence: self.by_modality(),
            largest_drift,
            broken,
            not_testable,
            p_doubt,
            cautions: below_chance(&effects.clean_correct, &self.labels, classes.len())
                .into_iter()
                .collect(),
            metric: None,
        };
        self.read_evidence(&effects.clean_correct, &mut diagnosis)?;
        Ok(diagnosis)
    }

    /// Why nothing can be concluded from a gap of 0, if that is so.
    fn not_testable(&self) -> Option<String> {
        let rows = self.order.len();
        if self.share_movable == 0.0 {
            return Some(match self.permuter.movable_rows() {
                0 => format!(
                    "the scheme {} can move the quality of none of the {rows} examples: each is \
                     alone with its modalities, group or stratum",
                    Intervention::from(self.settings.scheme).name()
                ),
                _ => "quality has one value wherever examples may exchange it, so that no \
                    exchange changes anything"
                    .to_owned(),
            });
        }
        let scheme = Intervention::from(self.settings.scheme).name();
        not_testable(scheme, self.moved, LEAST_MOVED_SHARE)
    }

    /// The modalities with a value that is not known yet.
    fn by_modality(&self) -> Vec<(String, Option<f64>)> {
        self.examples.modalities.iter().map(|name| (name.clone(), None)).collect()
    }

    /// Headroom, alignment and what the evidence tells of quality, where evidence is known.
    /// `clean`: whether the fused decision is right.
    fn read_evidence(&self, clean: &[bool], diagnosis: &mut Diagnosis) -> Result<(), StageError> {
        let failed = |error: &dyn std::error::Error| StageError::data(error.to_string());
        let Examples { evidence, available, quality, channels, classes, modalities, .. } =
            self.examples;
        let Some(evidence) = evidence else { return Ok(()) };
        let width = modalities.len();
        let cells: Vec<usize> = self
            .order
            .iter()
            .flat_map(|&row| (0..width).map(move |at| row as usize * width + at))
            .collect();
        let there: Vec<bool> = cells.iter().map(|&cell| available[cell]).collect();
        let label = |at: usize| self.labels[at / width] as usize;
        let right: Vec<bool> = cells
            .iter()
            .enumerate()
            .map(|(at, &cell)| {
                decision(&evidence[cell * classes.len()..][..classes.len()]) == label(at)
            })
            .collect();
        let experts = Experts {
            modalities: width,
            available: &there,
            correct: &right,
            labels: &self.labels,
            classes: classes.len(),
        };
        let headroom = experts.headroom(clean).map_err(|error| failed(&error))?;
        let (_, best) = experts.best_unimodal().map_err(|error| failed(&error))?;
        diagnosis.ba_oracle = Some(headroom.oracle);
        diagnosis.headroom = Some(headroom.headroom);
        diagnosis.ba_best_unimodal = Some(best);
        if *channels == 1 {
            let sorted: Vec<f64> = cells.iter().map(|&cell| quality[cell]).collect();
            let alignment = experts.alignment(&sorted).map_err(|error| failed(&error))?;
            for ((_, auroc), found) in diagnosis.alignment.iter_mut().zip(alignment) {
                *auroc = found.auroc;
            }
            let probabilities = |&cell: &usize| &evidence[cell * classes.len()..][..classes.len()];
            let evidence: Vec<f64> = cells.iter().flat_map(probabilities).copied().collect();
            let rows = EvidenceRows {
                modalities: width,
                classes: classes.len(),
                available: &there,
                evidence: &evidence,
            };
            let told = quality_from_evidence(&rows, &sorted, &self.group)?;
            for ((_, r2), found) in diagnosis.quality_from_evidence.iter_mut().zip(told) {
                *r2 = found;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
