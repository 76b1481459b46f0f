//! What the experts say of the tested examples, pooled over folds.

use std::collections::BTreeMap;

use fuseline_artifact::{Cohort, Control, Evidence, Quality};
use fuseline_engine::{Labelled, StageError};

use crate::rows::{cohort_rows, decision, row_of};

/// One modality's expert on the tested examples.
pub(crate) struct Expert {
    pub modality: String,
    /// For each tested example, whether the expert is right; `None` where the modality is unavailable.
    pub right: Vec<Option<bool>>,
    /// For each tested example, its quality where the modality is available.
    pub quality: Vec<Option<f64>>,
}

/// Pools evidence and quality over folds. `tested`: the row of the cohort of each tested example, each once.
///
/// Errors when evidence is of an example that was not tested, comes twice, or lacks its quality.
pub(crate) fn pool(
    evidence: &[Labelled<Evidence>],
    quality: &[Labelled<Quality>],
    cohort: &Cohort,
    tested: &[usize],
) -> Result<Vec<Expert>, StageError> {
    let place = cohort.rows_by_id();
    let tested_at: BTreeMap<usize, usize> = tested.iter().copied().zip(0..).collect();
    let mut experts = Vec::<Expert>::new();
    for labelled in evidence {
        let evidence = &labelled.artifact;
        let at = match experts.iter().position(|expert| expert.modality == evidence.modality) {
            Some(at) => at,
            None => {
                experts.push(Expert {
                    modality: evidence.modality.clone(),
                    right: vec![None; tested.len()],
                    quality: vec![None; tested.len()],
                });
                experts.len() - 1
            }
        };
        let rows = cohort_rows(evidence, &place)?;
        for ((row, id), probabilities) in rows
            .iter()
            .zip(&evidence.example_id)
            .zip(evidence.probabilities.chunks_exact(evidence.classes.len()))
        {
            let Some(&tested) = tested_at.get(row) else {
                return Err(StageError::data(format!(
                    "example {id} has test evidence of modality {} and was not tested",
                    evidence.modality
                ))
                .hint("effects and evidence must come from the same folds"));
            };
            let right = decision(probabilities) == cohort.label[*row] as usize;
            if experts[at].right[tested].replace(right).is_some() {
                return Err(StageError::data(format!(
                    "example {id} has test evidence of modality {} twice",
                    evidence.modality
                )));
            }
        }
    }
    for labelled in quality {
        let quality = &labelled.artifact;
        let Some(expert) = experts.iter_mut().find(|expert| expert.modality == quality.modality)
        else {
            return Err(StageError::data(format!(
                "there is quality of modality {} but no evidence",
                quality.modality
            )));
        };
        for (id, value) in quality.example_id.iter().zip(&quality.quality) {
            let row = place.get(id.as_str()).and_then(|row| tested_at.get(row));
            if let Some(&row) = row {
                expert.quality[row] = Some(*value);
            }
        }
    }
    for expert in &experts {
        let lacking = expert
            .right
            .iter()
            .zip(&expert.quality)
            .position(|(right, quality)| right.is_some() && quality.is_none());
        if let Some(row) = lacking {
            return Err(StageError::data(format!(
                "example {} has evidence but no quality in modality {}",
                cohort.example_id[tested[row]], expert.modality
            )));
        }
    }
    Ok(experts)
}

impl Expert {
    /// Quality and whether the expert is right, of the examples that have the modality.
    pub fn aligned(&self) -> (Vec<f64>, Vec<bool>) {
        let pairs = self.quality.iter().zip(&self.right);
        pairs.filter_map(|(quality, right)| Some(((*quality)?, (*right)?))).unzip()
    }
}

/// For each tested example, whether any available modality is right.
pub(crate) fn oracle(experts: &[Expert], tested: usize) -> Vec<bool> {
    (0..tested).map(|row| experts.iter().any(|expert| expert.right[row] == Some(true))).collect()
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

/// The row of the cohort of each example; an error when one is unknown or comes twice.
pub(crate) fn rows_once<'i>(
    ids: impl Iterator<Item = &'i String> + Clone,
    cohort: &Cohort,
) -> Result<Vec<usize>, StageError> {
    let count = ids.clone().count();
    if row_of(ids.clone().map(String::as_str)).len() != count {
        return Err(StageError::data("an example was tested twice")
            .hint("pool over folds only: the stage must run over every other axis"));
    }
    let place = cohort.rows_by_id();
    ids.map(|id| {
        place.get(id.as_str()).copied().ok_or_else(|| {
            StageError::data(format!("example {id} was tested and is not in the cohort"))
        })
    })
    .collect()
}
