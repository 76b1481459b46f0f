//! What the experts say of the tested examples, pooled over folds.

use std::collections::BTreeMap;

use fuseline_artifact::{Cohort, Control, Evidence, ExampleEffects, Quality};
use fuseline_engine::{Labelled, StageError};
use fuseline_stats::headroom::Experts;

use crate::rows::{cohort_rows, decision};

/// Every modality's expert on the tested examples.
pub(crate) struct Pooled {
    pub modalities: Vec<String>,
    pub labels: Vec<u32>,
    pub classes: usize,
    /// tested examples x modalities: whether the modality is there.
    pub available: Vec<bool>,
    /// tested examples x modalities: whether its expert is right.
    pub correct: Vec<bool>,
    /// tested examples x modalities x classes; 0 where unavailable.
    pub evidence: Vec<f64>,
    /// tested examples x modalities.
    pub quality: Vec<f64>,
}

impl Pooled {
    /// Pools evidence and quality over folds. `tested`: the row of the cohort of each tested example, each once.
    ///
    /// Errors when evidence is of an example that was not tested, comes twice, or lacks its quality.
    pub fn of(
        evidence: &[Labelled<Evidence>],
        quality: &[Labelled<Quality>],
        cohort: &Cohort,
        tested: &[usize],
    ) -> Result<Self, StageError> {
        let mut modalities = Vec::<String>::new();
        for labelled in evidence {
            if !modalities.contains(&labelled.artifact.modality) {
                modalities.push(labelled.artifact.modality.clone());
            }
        }
        let cells = tested.len() * modalities.len();
        let mut pooled = Self {
            labels: tested.iter().map(|&row| cohort.label[row]).collect(),
            classes: cohort.classes.len(),
            available: vec![false; cells],
            correct: vec![false; cells],
            evidence: vec![0.0; cells * cohort.classes.len()],
            quality: vec![f64::NAN; cells],
            modalities,
        };
        let place = cohort.rows_by_id();
        let tested_at: BTreeMap<usize, usize> = tested.iter().copied().zip(0..).collect();
        for labelled in evidence {
            pooled.add_evidence(&labelled.artifact, cohort, &place, &tested_at)?;
        }
        for labelled in quality {
            let quality = &labelled.artifact;
            let modality = pooled.modality(&quality.modality).ok_or_else(|| {
                StageError::data(format!(
                    "there is quality of modality {} but no evidence",
                    quality.modality
                ))
            })?;
            for (id, value) in quality.example_id.iter().zip(&quality.quality) {
                let row = place.get(id.as_str()).and_then(|row| tested_at.get(row));
                if let Some(&row) = row {
                    pooled.quality[row * pooled.modalities.len() + modality] = *value;
                }
            }
        }
        let lacking =
            (0..cells).find(|&cell| pooled.available[cell] && pooled.quality[cell].is_nan());
        match lacking {
            None => Ok(pooled),
            Some(cell) => Err(StageError::data(format!(
                "example {} has evidence but no quality in modality {}",
                cohort.example_id[tested[cell / pooled.modalities.len()]],
                pooled.modalities[cell % pooled.modalities.len()]
            ))),
        }
    }

    fn add_evidence(
        &mut self,
        evidence: &Evidence,
        cohort: &Cohort,
        place: &BTreeMap<&str, usize>,
        tested_at: &BTreeMap<usize, usize>,
    ) -> Result<(), StageError> {
        let refused = |id: &str, what: &str| {
            StageError::data(format!(
                "example {id} has test evidence of modality {} {what}",
                evidence.modality
            ))
            .hint("effects, evidence and quality must come from the same folds, each example from one")
        };
        let Some(modality) = self.modality(&evidence.modality) else { return Ok(()) };
        if evidence.classes.len() != self.classes {
            return Err(StageError::data(format!(
                "the evidence of modality {} has {} classes and the cohort {}",
                evidence.modality,
                evidence.classes.len(),
                self.classes
            )));
        }
        let rows = cohort_rows(evidence, |id| place.get(id).copied())?;
        let probabilities = evidence.probabilities.chunks_exact(evidence.classes.len());
        for ((row, id), probabilities) in rows.iter().zip(&evidence.example_id).zip(probabilities) {
            let tested = tested_at.get(row).ok_or_else(|| refused(id, "and was not tested"))?;
            let cell = tested * self.modalities.len() + modality;
            if std::mem::replace(&mut self.available[cell], true) {
                return Err(refused(id, "twice"));
            }
            self.evidence[cell * self.classes..][..self.classes].copy_from_slice(probabilities);
            self.correct[cell] = decision(probabilities) == cohort.label[*row] as usize;
        }
        Ok(())
    }

    fn modality(&self, name: &str) -> Option<usize> {
        self.modalities.iter().position(|modality| modality == name)
    }

    /// As the statistics take it.
    pub fn experts(&self) -> Experts<'_> {
        Experts {
            modalities: self.modalities.len(),
            available: &self.available,
            correct: &self.correct,
            labels: &self.labels,
            classes: self.classes,
        }
    }
}

/// What all the qualities say of themselves; an error when they disagree.
pub(crate) fn nature(quality: &[Labelled<Quality>]) -> Result<(Control, bool), StageError> {
    let mut natures = quality
        .iter()
        .map(|labelled| (labelled.artifact.control, labelled.artifact.evidence_derived));
    let first =
        natures.next().ok_or_else(|| StageError::failed("nothing arrived at input quality"))?;
    if natures.any(|other| other != first) {
        return Err(StageError::data(
            "qualities of different nature meet in one finding: controls and native conditions, or evidence-derived and not",
        )
        .hint("run the stage over the axis that tells them apart"));
    }
    Ok(first)
}

/// What the permutations did to the tested examples, pooled over folds.
pub(crate) struct Tested {
    /// The row of the cohort of each tested example.
    pub rows: Vec<usize>,
    /// Whether the decision under Clean-Q is right.
    pub clean: Vec<bool>,
    /// The share of permutations under which it is.
    pub broken: Vec<f64>,
    /// The share of decisions that a permutation changes, over all tested examples.
    pub flip_rate: f64,
    /// The mean total-variation distance, over all tested examples.
    pub probability_shift: f64,
}

impl Tested {
    /// Pools the effects of all folds; an error when an example was tested twice or with other permutations.
    pub fn of(
        effects: &[Labelled<ExampleEffects>],
        cohort: &Cohort,
        permutations: usize,
    ) -> Result<Self, StageError> {
        let place = cohort.rows_by_id();
        let mut tested = Self {
            rows: Vec::new(),
            clean: Vec::new(),
            broken: Vec::new(),
            flip_rate: 0.0,
            probability_shift: 0.0,
        };
        let mut seen = vec![false; cohort.len()];
        let (mut flips, mut shift) = (0_i64, 0.0);
        for labelled in effects {
            let effects = &labelled.artifact;
            if effects.permutations as usize != permutations {
                return Err(StageError::data(format!(
                    "the effects count {} permutations and the permutations are {permutations}",
                    effects.permutations
                )));
            }
            for (at, id) in effects.example_id.iter().enumerate() {
                let row = *place.get(id.as_str()).ok_or_else(|| {
                    StageError::data(format!("example {id} was tested and is not in the cohort"))
                })?;
                if std::mem::replace(&mut seen[row], true) {
                    return Err(StageError::data(format!("example {id} was tested twice"))
                        .hint("pool over folds only: the stage must run over every other axis"));
                }
                tested.rows.push(row);
                tested.clean.push(effects.clean_correct[at]);
                tested.broken.push(effects.broken_correct[at] as f64 / permutations as f64);
                flips += effects.flips[at];
                shift += effects.probability_shift[at];
            }
        }
        let examples = tested.rows.len() as f64;
        tested.flip_rate = flips as f64 / (permutations as f64 * examples);
        tested.probability_shift = shift / examples;
        Ok(tested)
    }
}
