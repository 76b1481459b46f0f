//! Evidence, availability and quality of all modalities, side by side, as a fusion rule takes them.

use fuseline_artifact::{Cohort, Evidence, Quality};
use fuseline_engine::{Inputs, Labelled, StageError};
use fuseline_host::{Batch, BatchColumns};

use crate::rows::{Finder, cohort_rows};

/// What a fusion rule takes, row by row: the rows of a cohort that have evidence of at least one modality, in its order.
pub(crate) struct Fusable {
    /// The row of the cohort in which each row stands.
    pub rows: Vec<usize>,
    /// Modalities, in the order in which their evidence arrived.
    pub modalities: Vec<String>,
    /// Class names.
    pub classes: Vec<String>,
    /// rows x modalities x classes; 0 where unavailable.
    pub evidence: Vec<f64>,
    /// rows x modalities; 1 where there is evidence.
    pub available: Vec<u8>,
    /// rows x modalities; 0 where unavailable.
    pub quality: Vec<f64>,
    /// What rules may take besides; of some of the modalities.
    pub embeddings: Vec<Embedded>,
}

/// One modality's embedding, standardised.
pub(crate) struct Embedded {
    pub modality: String,
    pub width: usize,
    /// rows x width; 0 where unavailable.
    pub values: Vec<f64>,
}

impl Fusable {
    /// Gathers the inputs `evidence` and `quality`.
    pub fn gather(inputs: &Inputs<'_>, cohort: &Cohort) -> Result<Self, StageError> {
        Self::of(&inputs.many("evidence")?, &inputs.many("quality")?, cohort)
    }

    /// Puts evidence and quality side by side.
    ///
    /// Availability is having evidence. Quality must be there wherever evidence is; quality of examples without evidence
    /// does not count.
    pub fn of(
        evidence: &[Labelled<Evidence>],
        quality: &[Labelled<Quality>],
        cohort: &Cohort,
    ) -> Result<Self, StageError> {
        let modalities = each_modality_once(
            "evidence",
            evidence.iter().map(|labelled| labelled.artifact.modality.as_str()),
        )?;
        let with_quality = each_modality_once(
            "quality",
            quality.iter().map(|labelled| labelled.artifact.modality.as_str()),
        )?;
        if let Some(extra) = with_quality.iter().find(|name| !modalities.contains(name)) {
            return Err(StageError::data(format!(
                "there is quality of modality {extra} but no evidence"
            )));
        }
        let cohort_rows_of = evidence
            .iter()
            .map(|labelled| {
                if labelled.artifact.classes != cohort.classes {
                    return Err(StageError::data(format!(
                        "the evidence of modality {} has classes {} and the cohort has {}",
                        labelled.artifact.modality,
                        labelled.artifact.classes.join(", "),
                        cohort.classes.join(", ")
                    )));
                }
                let mut finder = Finder::new(&cohort.example_id);
                cohort_rows(&labelled.artifact, |id| finder.find(id))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let mut rows: Vec<usize> = cohort_rows_of.iter().flatten().copied().collect();
        rows.sort_unstable();
        rows.dedup();
        let mut row_at = vec![0; cohort.len()];
        rows.iter().zip(0..).for_each(|(&row, at)| row_at[row] = at);

        let classes = cohort.classes.len();
        let cells = rows.len() * modalities.len();
        let mut fusable = Self {
            evidence: vec![0.0; cells * classes],
            available: vec![0; cells],
            quality: vec![0.0; cells],
            embeddings: Vec::new(),
            classes: cohort.classes.clone(),
            rows,
            modalities,
        };
        for (modality, (labelled, cohort_rows)) in evidence.iter().zip(&cohort_rows_of).enumerate()
        {
            let evidence = &labelled.artifact;
            let quality = quality
                .iter()
                .map(|labelled| &labelled.artifact)
                .find(|quality| quality.modality == evidence.modality)
                .ok_or_else(|| {
                    StageError::data(format!(
                        "there is evidence of modality {} but no quality",
                        evidence.modality
                    ))
                })?;
            let mut quality_at = Finder::new(&quality.example_id);
            for ((id, probabilities), cohort_row) in evidence
                .example_id
                .iter()
                .zip(evidence.probabilities.chunks_exact(classes))
                .zip(cohort_rows)
            {
                let value = quality_at.find(id).map(|at| quality.quality[at]).ok_or_else(|| {
                    cell_error("has evidence but no quality", id, &evidence.modality)
                })?;
                if !value.is_finite() {
                    return Err(cell_error(
                        "has a quality that is not finite",
                        id,
                        &evidence.modality,
                    ));
                }
                if probabilities.iter().any(|probability| !probability.is_finite()) {
                    return Err(cell_error(
                        "has evidence that is not finite",
                        id,
                        &evidence.modality,
                    ));
                }
                let cell = row_at[*cohort_row] * fusable.modalities.len() + modality;
                if std::mem::replace(&mut fusable.available[cell], 1) == 1 {
                    return Err(cell_error("has evidence twice", id, &evidence.modality));
                }
                fusable.evidence[cell * classes..][..classes].copy_from_slice(probabilities);
                fusable.quality[cell] = value;
            }
        }
        if fusable.rows.is_empty() {
            return Err(StageError::data("no example has evidence of any modality"));
        }
        Ok(fusable)
    }

    /// What a model is asked about.
    pub fn batch(&self) -> Result<Batch, StageError> {
        let row_id: Vec<u64> = self.rows.iter().map(|&row| row as u64).collect();
        let columns = BatchColumns {
            row_id: &row_id,
            evidence: &self.evidence,
            available: &self.available,
            quality: &self.quality,
        };
        let batch = Batch::new(&self.modalities, &self.classes, columns);
        let whole = self.embeddings.iter().fold(batch, |batch, of| {
            batch.and_then(|batch| batch.with_embedding(&of.modality, of.width, &of.values))
        });
        whole.map_err(|error| StageError::data(error.to_string()))
    }

    /// What a rule is fitted on.
    pub fn training_batch(&self, labels: &[u32], weights: &[f64]) -> Result<Batch, StageError> {
        let labels: Vec<i32> = labels.iter().map(|label| label.cast_signed()).collect();
        self.batch()?
            .with_labels(&labels, weights)
            .map_err(|error| StageError::data(error.to_string()))
    }

    /// The labels of the rows.
    pub fn labels(&self, cohort: &Cohort) -> Vec<u32> {
        self.rows.iter().map(|&row| cohort.label[row]).collect()
    }

    /// The example_ids of the rows.
    pub fn example_ids(&self, cohort: &Cohort) -> Vec<String> {
        self.rows.iter().map(|&row| cohort.example_id[row].clone()).collect()
    }
}

fn cell_error(what: &str, id: &str, modality: &str) -> StageError {
    StageError::data(format!("example {id} {what} in modality {modality}"))
}

/// The modalities in order; an error when one comes twice.
pub(crate) fn each_modality_once<'m>(
    what: &str,
    names: impl Iterator<Item = &'m str>,
) -> Result<Vec<String>, StageError> {
    let mut modalities = Vec::<String>::new();
    for name in names {
        if modalities.iter().any(|known| known == name) {
            return Err(StageError::data(format!("two {what} artifacts are of modality {name}")).hint(
                "give each expert a name with: { modality: ... }, or run the stage over an axis called modality; \
                 an axis such as fold must be matched, not gathered",
            ));
        }
        modalities.push(name.to_owned());
    }
    Ok(modalities)
}
