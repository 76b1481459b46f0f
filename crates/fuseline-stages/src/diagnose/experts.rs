//! Evidence of the experts for the tested examples, pooled over folds.

use std::collections::{BTreeMap, BTreeSet};

use fuseline_artifact::{
    Cohort, Control, Digest, Evidence, ExampleEffects, OptionalEvidence, Quality,
};
use fuseline_engine::{Inputs, Labelled, Point, StageError};
use fuseline_stats::headroom::Experts;
use fuseline_stats::metrics::MetricError;
use fuseline_stats::quality_regression::{EvidenceRows, out_of_fold_r2};

use crate::batch::each_evidence;
use crate::diagnose::p_doubt::Qualities;
use crate::pool;
use crate::quality::each_row;
use crate::rows::{Finder, cohort_rows, decision};

/// Folds of groups over which the regression of quality on evidence is judged.
const FOLDS: u32 = 5;

/// Every modality's expert on the tested examples.
pub(crate) struct Pooled {
    pub modalities: Vec<String>,
    pub labels: Vec<u32>,
    pub classes: usize,
    /// tested examples x modalities: whether the modality is there.
    pub available: Vec<bool>,
    /// tested examples x modalities: whether its expert is right.
    pub correct: Vec<bool>,
    /// tested examples x modalities x classes; 0 where unavailable. Empty unless it was requested.
    pub evidence: Vec<f64>,
    /// tested examples x modalities.
    pub quality: Vec<f64>,
    /// Control of each quality: condition of the study, positive or negative control.
    pub controls: Vec<Control>,
    /// Modalities without an expert, in their order: their evidence says nothing.
    pub without_expert: Vec<String>,
}

impl Pooled {
    /// Pools the inputs `evidence` and `quality` over folds. `tested`: the row of the cohort of
    /// each tested example, each once. The probabilities are kept only if `with_evidence` is set.
    ///
    /// Errors when evidence is of an example that was not tested, comes twice, or lacks its
    /// quality.
    pub fn gather(
        inputs: &Inputs<'_>,
        cohort: &Cohort,
        tested: &[usize],
        with_evidence: bool,
    ) -> Result<Self, StageError> {
        let mut tested_at = vec![None; cohort.len()];
        tested.iter().zip(0_u32..).for_each(|(&row, at)| tested_at[row] = Some(at));
        let classes = cohort.classes.len();
        let width = if with_evidence { classes } else { 0 };
        let mut modalities = Vec::<String>::new();
        let mut columns = Vec::<Column>::new();
        let mut without_expert = Vec::<String>::new();
        for labelled in each_evidence(inputs, "evidence") {
            let OptionalEvidence { rows: evidence, has_expert } = labelled?.artifact;
            if !has_expert && !without_expert.contains(&evidence.modality) {
                without_expert.push(evidence.modality.clone());
            }
            let known = modalities.iter().position(|modality| *modality == evidence.modality);
            let modality = known.unwrap_or_else(|| {
                modalities.push(evidence.modality.clone());
                columns.push(Column::new(tested.len(), width));
                columns.len() - 1
            });
            columns[modality].add(&evidence, cohort, &tested_at, width)?;
        }
        let mut controls = Vec::new();
        for labelled in inputs.each("quality") {
            let quality: Quality = labelled?.artifact;
            let known = modalities.iter().position(|modality| *modality == quality.modality);
            let modality = known.ok_or_else(|| {
                StageError::data(format!(
                    "there is quality of modality {} but no evidence",
                    quality.modality
                ))
            })?;
            let mut place = Finder::new(&cohort.example_id);
            for (id, &value) in quality.example_id.iter().zip(quality.quality.iter()) {
                if let Some(at) = place.find(id).and_then(|row| tested_at[row]) {
                    columns[modality].quality[at as usize] = value;
                }
            }
            controls.push(quality.control);
        }
        for (at, &row) in tested.iter().enumerate() {
            let lacks = |column: &Column| column.available[at] && column.quality[at].is_nan();
            if let Some(modality) = columns.iter().position(lacks) {
                return Err(StageError::data(format!(
                    "example {} has evidence but no quality in modality {}",
                    &cohort.example_id[row], modalities[modality]
                )));
            }
        }
        Ok(Self {
            labels: tested.iter().map(|&row| cohort.label[row]).collect(),
            classes,
            available: side_by_side(&columns, 1, |column| &column.available),
            correct: side_by_side(&columns, 1, |column| &column.correct),
            evidence: side_by_side(&columns, width, |column| &column.evidence),
            quality: side_by_side(&columns, 1, |column| &column.quality),
            modalities,
            controls,
            without_expert,
        })
    }

    /// The qualities, as their similarity is measured.
    pub fn qualities(&self) -> Qualities<'_> {
        let Self { modalities, quality, available, .. } = self;
        Qualities { modalities, quality, available }
    }

    /// What two modalities have in common that they should not, in words: the same evidence, or the
    /// same quality, in every tested example. Needs the probabilities.
    pub fn twins(&self) -> Vec<String> {
        let width = self.modalities.len();
        let rows = self.labels.len();
        let same = |values: &[f64], each: usize, one: usize, other: usize| {
            let cell = |row: usize, m: usize| &values[(row * width + m) * each..][..each];
            let varies = (1..rows).any(|row| cell(row, one) != cell(0, one));
            varies && (0..rows).all(|row| cell(row, one) == cell(row, other))
        };
        let same_rows = |one: usize, other: usize| {
            (0..rows)
                .all(|row| self.available[row * width + one] == self.available[row * width + other])
        };
        let mut found = Vec::new();
        for (what, values, each) in
            [("evidence", &self.evidence, self.classes), ("quality", &self.quality, 1)]
        {
            for one in 0..width {
                for other in one + 1..width {
                    if same_rows(one, other) && same(values, each, one, other) {
                        found.push(format!(
                            "the {what} of {} and of {} is the same in every example: is one \
                             input given for both?",
                            self.modalities[one], self.modalities[other]
                        ));
                    }
                }
            }
        }
        found
    }

    /// Control that all the qualities share; an error when they disagree.
    pub fn control(&self) -> Result<Control, StageError> {
        let Some((first, others)) = self.controls.split_first() else {
            return Err(StageError::failed("nothing arrived at input quality"));
        };
        if others.iter().any(|other| other != first) {
            return Err(StageError::data(
                "qualities of different nature meet in one finding: controls and native conditions",
            )
            .hint("run the stage over the axis that tells them apart"));
        }
        Ok(*first)
    }

    /// Four minimal hashes of the qualities tested, each of example, modality and value (Broder
    /// 1997).
    ///
    /// Two conditions of one draw of noise share at least one of them although an outage took some
    /// examples away; of two draws they share none.
    pub fn sketch(&self, cohort: &Cohort, tested: &[usize]) -> String {
        let width = self.modalities.len();
        let mut least = [u64::MAX; 4];
        for (at, &row) in tested.iter().enumerate() {
            for (m, modality) in self.modalities.iter().enumerate() {
                let cell = at * width + m;
                if !self.available[cell] {
                    continue;
                }
                let digest = Digest::of_pieces(|take| {
                    take(cohort.example_id[row].as_bytes());
                    take(&[0]);
                    take(modality.as_bytes());
                    take(&[0]);
                    take(&self.quality[cell].to_bits().to_le_bytes());
                });
                let (hashes, _) = digest.as_bytes().as_chunks::<8>();
                for (least, hash) in least.iter_mut().zip(hashes) {
                    *least = u64::from_le_bytes(*hash).min(*least);
                }
            }
        }
        least.map(|hash| format!("{hash:016x}")).join(" ")
    }

    /// R2 of each modality's quality given the evidence; none where a modality has no expert.
    ///
    /// `group`: the rank of each row's group. Needs the probabilities.
    pub fn quality_from_evidence(&self, group: &[u32]) -> Result<Vec<Option<f64>>, StageError> {
        if !self.without_expert.is_empty() {
            return Ok(vec![None; self.modalities.len()]);
        }
        let rows = EvidenceRows {
            modalities: self.modalities.len(),
            classes: self.classes,
            available: &self.available,
            evidence: &self.evidence,
        };
        quality_from_evidence(&rows, &self.quality, group)
    }

    /// The modality whose expert is best on the training evidence of the fold that tests each
    /// example; none where nothing arrives at `evidence_train`. Any for an example without evidence.
    ///
    /// Folds are told apart by the axes along which the evidence of one modality is gathered. Errors
    /// when a fold has no training evidence, or an example is among its training and its test rows.
    pub fn best_on_training(
        &self,
        inputs: &Inputs<'_>,
        cohort: &Cohort,
        tested: &[usize],
    ) -> Result<Option<Vec<usize>>, StageError> {
        let training = self.sides(inputs, "evidence_train", cohort)?;
        if training.is_empty() {
            return Ok(None);
        }
        let mut folds = BTreeMap::<Vec<&str>, Vec<&Side>>::new();
        let axes = fold_axes(&training);
        for side in &training {
            folds.entry(side.fold(&axes)).or_default().push(side);
        }
        let mut chosen_of = BTreeMap::new();
        for (fold, sides) in folds {
            chosen_of.insert(fold, self.best_of(&sides, cohort)?);
        }
        let mut chosen_in = vec![0; cohort.len()];
        for side in &self.sides(inputs, "evidence", cohort)? {
            let (best, trained) = chosen_of.get(&side.fold(&axes)).ok_or_else(|| {
                StageError::data("the training evidence is of other folds than the test evidence")
                    .hint("give evidence_train the output `train` of the experts of `evidence`")
            })?;
            for &(row, _) in &side.rows {
                if trained[row] {
                    return Err(StageError::data(format!(
                        "example {} is tested, and among the training examples of the same fold",
                        &cohort.example_id[row]
                    )));
                }
                chosen_in[row] = *best;
            }
        }
        Ok(Some(tested.iter().map(|&row| chosen_in[row]).collect()))
    }

    /// The modality that is best on one fold's training evidence, and which rows of the cohort that
    /// is of.
    fn best_of(&self, sides: &[&Side], cohort: &Cohort) -> Result<(usize, Vec<bool>), StageError> {
        let mut trained = vec![false; cohort.len()];
        let rows = sides.iter().flat_map(|side| &side.rows);
        rows.for_each(|&(row, _)| trained[row] = true);
        let place: Vec<usize> = trained
            .iter()
            .scan(0, |next, &trained| {
                *next += usize::from(trained);
                Some(*next - usize::from(trained))
            })
            .collect();
        let width = self.modalities.len();
        let rows = trained.iter().filter(|trained| **trained).count();
        let (mut available, mut correct) = (vec![false; rows * width], vec![false; rows * width]);
        for side in sides {
            for &(row, right) in &side.rows {
                let cell = place[row] * width + side.modality;
                (available[cell], correct[cell]) = (true, right);
            }
        }
        let labels: Vec<u32> =
            (0..cohort.len()).filter(|&row| trained[row]).map(|row| cohort.label[row]).collect();
        let experts = Experts {
            modalities: width,
            available: &available,
            correct: &correct,
            labels: &labels,
            classes: self.classes,
        };
        let best = experts.best_unimodal().map_err(|error| StageError::data(error.to_string()))?;
        Ok((best.0, trained))
    }

    /// What arrives at an input of evidence, without the probabilities.
    fn sides(
        &self,
        inputs: &Inputs<'_>,
        port: &str,
        cohort: &Cohort,
    ) -> Result<Vec<Side>, StageError> {
        let side = |labelled: Result<Labelled<Evidence>, StageError>| {
            let Labelled { point, artifact: evidence } = labelled?;
            let modality = self.modalities.iter().position(|known| *known == evidence.modality);
            let modality = modality.ok_or_else(|| {
                StageError::data(format!(
                    "there is training evidence of modality {} but no test evidence",
                    evidence.modality
                ))
            })?;
            let rows = cohort_rows(&evidence, cohort)?.into_iter().zip(each_row(&evidence));
            let rows = rows.map(|(row, of)| (row, decision(of) == cohort.label[row] as usize));
            Ok(Side { point, modality, rows: rows.collect() })
        };
        inputs.each(port).map(side).collect()
    }

    /// AUROC of each modality's quality for its expert being right, where it has one.
    pub fn alignment(&self) -> Result<Vec<Option<f64>>, MetricError> {
        let has_expert = |modality: &&String| !self.without_expert.contains(modality);
        let found = self.rows().alignment(&self.quality)?;
        let each = self.modalities.iter().zip(found);
        Ok(each.map(|(of, found)| found.auroc.filter(|_| has_expert(&of))).collect())
    }

    /// AUROC of each modality's quality for the class that it tells apart best.
    pub fn label_auroc(&self) -> Result<Vec<Option<f64>>, MetricError> {
        self.rows().label_auroc(&self.quality)
    }

    /// The experts, where every modality has one, as the statistics take them.
    pub fn experts(&self) -> Option<Experts<'_>> {
        self.without_expert.is_empty().then(|| self.rows())
    }

    /// The tested examples as the statistics take them, whether or not they have experts.
    fn rows(&self) -> Experts<'_> {
        Experts {
            modalities: self.modalities.len(),
            available: &self.available,
            correct: &self.correct,
            labels: &self.labels,
            classes: self.classes,
        }
    }
}

/// R2 of each modality's quality given the evidence, the groups dealt over folds in their order.
///
/// `quality`: rows by modalities; `group`: the rank of each row's group.
pub(crate) fn quality_from_evidence(
    rows: &EvidenceRows<'_>,
    quality: &[f64],
    group: &[u32],
) -> Result<Vec<Option<f64>>, StageError> {
    let fold: Vec<u32> = group.iter().map(|rank| rank % FOLDS).collect();
    out_of_fold_r2(rows, quality, &fold).map_err(|error| StageError::data(error.to_string()))
}

/// Evidence of one modality and fold: whether the expert is right.
struct Side {
    point: Point,
    modality: usize,
    /// Row of the cohort, and whether the expert is right there.
    rows: Vec<(usize, bool)>,
}

impl Side {
    /// Its labels on the axes that tell folds apart.
    fn fold<'s>(&'s self, axes: &BTreeSet<&str>) -> Vec<&'s str> {
        let own = self.point.iter().filter(|(axis, _)| axes.contains(axis.as_str()));
        own.map(|(_, label)| label.as_str()).collect()
    }
}

/// The axes on which the evidence of one modality has several labels.
fn fold_axes(sides: &[Side]) -> BTreeSet<&str> {
    let mut axes = BTreeSet::new();
    for (at, side) in sides.iter().enumerate() {
        let first = sides[..at].iter().find(|other| other.modality == side.modality);
        for (axis, label) in &side.point {
            let differs = |first: &Side| first.point.iter().all(|(a, l)| a != axis || l != label);
            if first.is_some_and(differs) {
                axes.insert(axis.as_str());
            }
        }
    }
    axes
}

/// One modality's expert on the tested examples.
struct Column {
    available: Vec<bool>,
    correct: Vec<bool>,
    /// tested examples x width; 0 where unavailable.
    evidence: Vec<f64>,
    /// NaN where it is not known.
    quality: Vec<f64>,
}

impl Column {
    fn new(tested: usize, width: usize) -> Self {
        Self {
            available: vec![false; tested],
            correct: vec![false; tested],
            evidence: vec![0.0; tested * width],
            quality: vec![f64::NAN; tested],
        }
    }

    fn add(
        &mut self,
        evidence: &Evidence,
        cohort: &Cohort,
        tested_at: &[Option<u32>],
        width: usize,
    ) -> Result<(), StageError> {
        let refused =
            |id: &str, what: &str| {
                StageError::data(format!(
                "example {id} has test evidence of modality {} {what}",
                evidence.modality
            ))
            .hint("effects, evidence and quality must come from the same folds, each example from \
                one")
            };
        if evidence.classes.len() != cohort.classes.len() {
            return Err(StageError::data(format!(
                "the evidence of modality {} has {} classes and the cohort {}",
                evidence.modality,
                evidence.classes.len(),
                cohort.classes.len()
            )));
        }
        let rows = cohort_rows(evidence, cohort)?;
        let each = rows.into_iter().zip(evidence.example_id.iter()).zip(each_row(evidence));
        for ((row, id), probabilities) in each {
            let at = tested_at[row].ok_or_else(|| refused(id, "and was not tested"))? as usize;
            if std::mem::replace(&mut self.available[at], true) {
                return Err(refused(id, "twice"));
            }
            self.evidence[at * width..][..width].copy_from_slice(&probabilities[..width]);
            self.correct[at] = decision(probabilities) == cohort.label[row] as usize;
        }
        Ok(())
    }
}

/// The columns of all modalities as rows, `width` values of each.
fn side_by_side<T: Copy>(columns: &[Column], width: usize, of: impl Fn(&Column) -> &[T]) -> Vec<T> {
    let rows = columns.first().map_or(0, |column| column.available.len());
    let mut values = Vec::with_capacity(rows * columns.len() * width);
    for row in 0..rows {
        for column in columns {
            values.extend_from_slice(&of(column)[row * width..][..width]);
        }
    }
    values
}

/// Effects of the permutations on the tested examples, pooled over folds.
pub(crate) struct Tested {
    /// The row of the cohort of each tested example.
    pub rows: Vec<usize>,
    /// True if the decision under Clean-Q is right.
    pub clean: Vec<bool>,
    /// The share of permutations under which it is.
    pub broken: Vec<f64>,
    /// The share of permutations that change the decision.
    pub flips: Vec<f64>,
    /// The mean total-variation distance.
    pub shift: Vec<f64>,
    /// The share of decisions that a permutation changes, over all tested examples.
    pub flip_rate: f64,
    /// The mean total-variation distance, over all tested examples.
    pub probability_shift: f64,
}

impl Tested {
    /// Pools the effects of all folds; an error when an example was tested twice, with other
    /// permutations than the first, or when the effects are not of the test that was `counted`.
    pub fn gather(
        effects: impl IntoIterator<Item = Result<Labelled<ExampleEffects>, StageError>>,
        cohort: &Cohort,
        counted: Option<&pool::Pooled>,
    ) -> Result<Self, StageError> {
        let mut permutations = counted.map(|of| of.broken.len());
        let mut times_right = Vec::new();
        let mut tested = Self {
            rows: Vec::new(),
            clean: Vec::new(),
            broken: Vec::new(),
            flips: Vec::new(),
            shift: Vec::new(),
            flip_rate: 0.0,
            probability_shift: 0.0,
        };
        let mut seen = vec![false; cohort.len()];
        let (mut flips, mut shift) = (0_i64, 0.0);
        for labelled in effects {
            let effects = labelled?.artifact;
            let own = effects.permutations as usize;
            let permutations = *permutations.get_or_insert(own);
            if own != permutations {
                return Err(StageError::data(format!(
                    "the effects count {own} permutations and the permutations are {permutations}"
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
                tested.clean.push(effects.clean_correct[at]);
                times_right.push(effects.broken_correct[at].unsigned_abs());
                tested.broken.push(effects.broken_correct[at] as f64 / permutations as f64);
                tested.flips.push(effects.flips[at] as f64 / permutations as f64);
                tested.shift.push(effects.probability_shift[at]);
                flips += effects.flips[at];
                shift += effects.probability_shift[at];
            }
        }
        if let Some(counted) = counted {
            let right = tested.clean.iter().copied().zip(times_right);
            let each = tested.rows.iter().zip(right);
            counted
                .check_effects(cohort, each.map(|(&row, (clean, broken))| (row, clean, broken)))?;
        }
        let examples = tested.rows.len() as f64;
        tested.flip_rate = flips as f64 / (permutations.unwrap_or(0) as f64 * examples);
        tested.probability_shift = shift / examples;
        Ok(tested)
    }

    /// The number of each tested example's group, in code-point order, and how many groups were
    /// tested.
    pub fn groups(&self, cohort: &Cohort) -> (Vec<u32>, usize) {
        cohort.group.take(self.rows.iter().copied()).ranks()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_input_given_for_two_modalities_is_seen_and_a_constant_is_not() {
        let pooled = |evidence: [f64; 12], quality: [f64; 6], available: [bool; 6]| Pooled {
            modalities: ["a", "b"].map(str::to_owned).into(),
            labels: vec![0, 1, 0],
            classes: 2,
            available: available.into(),
            correct: vec![true; 6],
            evidence: evidence.into(),
            quality: quality.into(),
            controls: Vec::new(),
            without_expert: Vec::new(),
        };
        let same = [0.2, 0.8, 0.2, 0.8, 0.3, 0.7, 0.3, 0.7, 0.9, 0.1, 0.9, 0.1];
        let own = [0.2, 0.8, 0.3, 0.7, 0.3, 0.7, 0.3, 0.7, 0.9, 0.1, 0.9, 0.1];
        let (ones, there) = ([1.0; 6], [true; 6]);
        let said = pooled(same, ones, there).twins();
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].starts_with("the evidence of a and of b is the same"), "{said:?}");
        assert_eq!(pooled(own, ones, there).twins(), [""; 0]);
        let missing = [true, true, true, false, true, true];
        assert_eq!(pooled(same, ones, missing).twins(), [""; 0]);
        let said = pooled(own, [0.5, 0.5, 0.1, 0.1, 0.2, 0.2], there).twins();
        assert!(said.concat().starts_with("the quality of a and of b"), "{said:?}");
    }
}
