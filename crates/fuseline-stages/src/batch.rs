//! Evidence, availability and quality of all modalities, side by side, as a fusion rule takes them.

use fuseline_artifact::{AnyEvidence, Cohort, OptionalEvidence, Quality, Texts, VALUE};
use fuseline_engine::{Inputs, Labelled, StageError};
use fuseline_host::{Batch, BatchColumns};

use crate::rows::{Finder, cohort_rows};

/// Input of a fusion rule, row by row: the rows of a cohort that have evidence of at least one
/// modality, in its order.
pub(crate) struct Fusable {
    /// The row of the cohort for each row.
    pub rows: Vec<usize>,
    /// The example of each row.
    pub example_id: Texts,
    /// Modalities, in the order in which their evidence arrived.
    pub modalities: Vec<String>,
    /// For each modality, whether an expert has rated it: the evidence of others says nothing.
    pub has_expert: Vec<bool>,
    /// Class names.
    pub classes: Vec<String>,
    /// rows x modalities x classes; 0 where unavailable.
    pub evidence: Vec<f64>,
    /// rows x modalities; 1 where there is evidence.
    pub available: Vec<u8>,
    /// rows x modalities; 0 where unavailable.
    pub quality: Vec<f64>,
    /// Further input of rules: embeddings of some of the modalities.
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
        Self::join(each_evidence(inputs, "evidence"), inputs.each("quality"), cohort)
    }

    /// Puts evidence and quality side by side. Of an artifact nothing is held but its numbers once
    /// the next is read.
    ///
    /// Availability is having evidence. Quality must be there wherever evidence is; quality of
    /// examples without evidence does not count.
    pub fn join(
        evidence: impl Iterator<Item = Result<Labelled<OptionalEvidence>, StageError>>,
        quality: impl Iterator<Item = Result<Labelled<Quality>, StageError>>,
        cohort: &Cohort,
    ) -> Result<Self, StageError> {
        let mut modalities = Vec::new();
        let mut has_expert = Vec::new();
        let mut said = Vec::new();
        for labelled in evidence {
            let OptionalEvidence { rows: evidence, has_expert: is_rated } = labelled?.artifact;
            has_expert.push(is_rated);
            once("evidence", &mut modalities, &evidence.modality)?;
            if evidence.classes != cohort.classes {
                return Err(StageError::data(format!(
                    "the evidence of modality {} has classes {} and the cohort has {}",
                    evidence.modality,
                    evidence.classes.join(", "),
                    cohort.classes.join(", ")
                ))
                .at_input("evidence"));
            }
            said.push((cohort_rows(&evidence, cohort)?, evidence.probabilities));
        }
        let mut row_at = vec![u32::MAX; cohort.len()];
        said.iter().flat_map(|(rows, _)| rows).for_each(|&row| row_at[row] = 0);
        let rows: Vec<usize> = (0..cohort.len()).filter(|&row| row_at[row] == 0).collect();
        if rows.is_empty() {
            let error = StageError::data("no example has evidence of any modality");
            return Err(error.at_input("evidence"));
        }
        rows.iter().zip(0..).for_each(|(&row, at)| row_at[row] = at);

        let classes = cohort.classes.len();
        let (width, cells) = (modalities.len(), rows.len() * modalities.len());
        let mut fusable = Self {
            example_id: cohort.example_id.take(rows.iter().copied()),
            evidence: vec![0.0; cells * classes],
            available: vec![0; cells],
            quality: vec![0.0; cells],
            embeddings: Vec::new(),
            classes: cohort.classes.clone(),
            rows,
            modalities,
            has_expert,
        };
        for (modality, (rows, probabilities)) in said.into_iter().enumerate() {
            for (row, probabilities) in rows.into_iter().zip(probabilities.chunks_exact(classes)) {
                let cell = row_at[row] as usize * width + modality;
                if probabilities.iter().any(|probability| !probability.is_finite()) {
                    let error = fusable.cell_error("has evidence that is not finite", cell);
                    return Err(error.at_input("evidence"));
                }
                fusable.available[cell] = 1;
                fusable.evidence[cell * classes..][..classes].copy_from_slice(probabilities);
                // Until it is known.
                fusable.quality[cell] = f64::NAN;
            }
        }
        drop(row_at);
        let mut with_quality = Vec::new();
        for labelled in quality {
            let Quality { modality, example_id, quality, .. } = labelled?.artifact;
            once("quality", &mut with_quality, &modality)?;
            let Some(place) = fusable.modalities.iter().position(|known| *known == modality) else {
                return Err(StageError::data(format!(
                    "there is quality of modality {modality} but no evidence"
                ))
                .at_input("evidence"));
            };
            let mut row = Finder::new(&fusable.example_id);
            for (id, &value) in example_id.iter().zip(quality.iter()) {
                let Some(row) = row.find(id) else { continue };
                let cell = row * width + place;
                if fusable.available[cell] == 0 {
                    continue;
                }
                if !value.is_finite() {
                    let error = fusable.cell_error("has a quality that is not finite", cell);
                    return Err(error.at_input("quality"));
                }
                fusable.quality[cell] = value;
            }
            let mut cells = (place..cells).step_by(width);
            if let Some(cell) = cells.find(|&cell| fusable.quality[cell].is_nan()) {
                let error = fusable.cell_error("has evidence but no quality", cell);
                return Err(error.at_input("quality"));
            }
        }
        match fusable.modalities.iter().find(|name| !with_quality.contains(name)) {
            None => Ok(fusable),
            Some(modality) => Err(StageError::data(format!(
                "there is evidence of modality {modality} but no quality"
            ))
            .at_input("quality")),
        }
    }

    /// Puts the modalities into another order; `names` are the same ones.
    pub fn reorder_modalities(&mut self, names: &[String]) {
        if self.modalities == names {
            return;
        }
        let place = |name| self.modalities.iter().position(|known| known == name);
        let order: Vec<usize> = names.iter().filter_map(place).collect();
        debug_assert_eq!(order.len(), self.modalities.len(), "the same modalities");
        let classes = self.classes.len();
        self.evidence = gather_columns(&self.evidence, &order, classes);
        self.available = gather_columns(&self.available, &order, 1);
        self.quality = gather_columns(&self.quality, &order, 1);
        self.has_expert = gather_columns(&self.has_expert, &order, 1);
        self.modalities = names.to_vec();
        let rank = |of: &Embedded| names.iter().position(|name| *name == of.modality);
        self.embeddings.sort_by_key(rank);
    }

    /// The modalities that no expert has rated.
    pub fn without_expert(&self) -> Vec<&str> {
        let modalities = self.modalities.iter().zip(&self.has_expert);
        modalities.filter(|(_, rated)| !**rated).map(|(name, _)| name.as_str()).collect()
    }

    /// The evidence, where every modality has an expert.
    pub fn rated_evidence(&self) -> Option<&[f64]> {
        self.has_expert.iter().all(|rated| *rated).then_some(&self.evidence)
    }

    /// Batch of the same rows with other evidence, of one class or another, where no expert has
    /// rated them.
    pub fn batch_of_other_evidence(&self) -> Result<Batch, StageError> {
        let (width, classes) = (self.modalities.len(), self.classes.len());
        let mut evidence = self.evidence.clone();
        for (cell, row) in evidence.chunks_exact_mut(classes).enumerate() {
            let modality = cell % width;
            if !self.has_expert[modality] {
                // All modalities of a row for the same class, each to a degree of its own: they do
                // not cancel out.
                let probability = 0.7 + 0.2 / (modality + 1) as f64;
                row.fill((1.0 - probability) / (classes - 1) as f64);
                row[(cell / width) % classes] = probability;
            }
        }
        self.batch_of(&evidence)
    }

    /// The first modality that no row has.
    pub fn modality_without_rows(&self) -> Option<&str> {
        let width = self.modalities.len();
        let absent = |place: &usize| {
            self.available.iter().skip(*place).step_by(width).all(|&available| available == 0)
        };
        (0..width).find(absent).map(|place| self.modalities[place].as_str())
    }

    fn cell_error(&self, what: &str, cell: usize) -> StageError {
        let (row, modality) = (cell / self.modalities.len(), cell % self.modalities.len());
        let (id, modality) = (&self.example_id[row], &self.modalities[modality]);
        StageError::data(format!("example {id} {what} in modality {modality}"))
    }

    /// Batch of the rows that a model predicts.
    pub fn batch(&self) -> Result<Batch, StageError> {
        self.batch_of(&self.evidence)
    }

    fn batch_of(&self, evidence: &[f64]) -> Result<Batch, StageError> {
        let row_id: Vec<u64> = self.rows.iter().map(|&row| row as u64).collect();
        let columns = BatchColumns {
            row_id: &row_id,
            evidence,
            available: &self.available,
            quality: &self.quality,
        };
        let batch = match self.is_regression() {
            true => Batch::of_numbers(&self.modalities, columns),
            false => Batch::new(&self.modalities, &self.classes, columns),
        };
        let whole = self.embeddings.iter().fold(batch, |batch, of| {
            batch.and_then(|batch| batch.with_embedding(&of.modality, of.width, &of.values))
        });
        whole.map_err(|error| StageError::data(error.to_string()))
    }

    /// Batch that a rule is fitted on.
    pub fn training_batch(&self, labels: &[u32], weights: &[f64]) -> Result<Batch, StageError> {
        let labels: Vec<i32> = labels.iter().map(|label| label.cast_signed()).collect();
        self.batch()?
            .with_labels(&labels, weights)
            .map_err(|error| StageError::data(error.to_string()))
    }

    /// Batch that a rule is fitted on where the label is a number. `values`: that of each row of the
    /// cohort.
    pub fn training_batch_of_numbers(&self, values: &[f64]) -> Result<Batch, StageError> {
        self.batch()?
            .with_targets(&self.values(values))
            .map_err(|error| StageError::data(error.to_string()))
    }

    /// True if the label is a number.
    pub fn is_regression(&self) -> bool {
        self.classes == [VALUE]
    }

    /// The numbers of the rows, from those of the cohort.
    pub fn values(&self, of_cohort: &[f64]) -> Vec<f64> {
        self.rows.iter().map(|&row| of_cohort[row]).collect()
    }

    /// The labels of the rows.
    pub fn labels(&self, cohort: &Cohort) -> Vec<u32> {
        self.rows.iter().map(|&row| cohort.label[row]).collect()
    }
}

/// The evidence of a port, whether the label is a class or a number, or none.
pub(crate) fn each_evidence(
    inputs: &Inputs<'_>,
    port: &str,
) -> impl Iterator<Item = Result<Labelled<OptionalEvidence>, StageError>> {
    inputs.each(port).map(|labelled| {
        let Labelled { point, artifact: AnyEvidence(artifact) } = labelled?;
        Ok(Labelled { point, artifact })
    })
}

/// Rows of columns of `width` values, the columns in another order.
fn gather_columns<T: Copy>(values: &[T], order: &[usize], width: usize) -> Vec<T> {
    let rows = values.chunks_exact(order.len() * width);
    let columns =
        rows.flat_map(|row| order.iter().flat_map(move |&column| &row[column * width..][..width]));
    columns.copied().collect()
}

/// Adds a modality; an error when it is there already.
pub(crate) fn once(what: &str, known: &mut Vec<String>, modality: &str) -> Result<(), StageError> {
    if known.iter().any(|known| known == modality) {
        return Err(StageError::data(format!("two {what} artifacts are of modality {modality}"))
            .hint(
                "give each expert a name with: { modality: ... }, or run the stage over an axis \
             called modality; an axis such as fold must be matched, not gathered",
            ));
    }
    known.push(modality.to_owned());
    Ok(())
}
