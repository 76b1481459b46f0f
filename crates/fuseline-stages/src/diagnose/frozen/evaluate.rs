//! The diagnosis that counted answers give.

use fuseline_engine::StageError;
use fuseline_stats::bootstrap::Interval;
use fuseline_stats::headroom::Experts;
use fuseline_stats::metrics::balanced_accuracy;
use fuseline_stats::permutation::Intervention;
use fuseline_stats::permutation_test::{detectable_gap, gap_with_power, permutation_test};
use fuseline_stats::quality_regression::EvidenceRows;

use super::study::Study;
use super::{Diagnosis, Examples};
use crate::diagnose::experts::quality_from_evidence;
use crate::diagnose::intervals::{Intervals, RowEffects, not_testable};
use crate::diagnose::p_doubt::{Alike, Qualities};
use crate::diagnose::summarize::{
    IntervalKind, Resampling, Rows, below_chance, difference_interval,
};
use crate::diagnose::tally::Tally;
use crate::rows::{decision, tied};

/// The share that a scheme must change of what a joint permutation changes.
const LEAST_MOVED_SHARE: f64 = 0.5;

impl Study<'_> {
    pub(super) fn evaluate(
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
                .chain(tied(tally.clean(), classes.len()))
                .collect(),
            metric: None,
        };
        self.read_evidence(&effects.clean_correct, &mut diagnosis)?;
        Ok(diagnosis)
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

    /// Why the p-value may be too small: `alike` measures what groups have in common.
    pub(super) fn p_doubt(
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

    /// Why nothing can be concluded from a gap of 0, if that is so.
    pub(super) fn not_testable(&self) -> Option<String> {
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
    pub(super) fn by_modality(&self) -> Vec<(String, Option<f64>)> {
        self.examples.modalities.iter().map(|name| (name.clone(), None)).collect()
    }
}
