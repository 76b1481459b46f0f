//! The rows that a rule fits on or predicts.

mod borrowed;
mod column;
mod wire;

pub(crate) use borrowed::BorrowedBatch;
use std::sync::atomic::{AtomicU64, Ordering};

use column::Column;
use fuseline_artifact::VALUE;
use thiserror::Error;

use crate::descriptor::Count;

/// Rows to fit on or to predict: evidence, availability and quality of all modalities side by side.
///
/// Buffers are 64-byte aligned and cheap to share: a clone is a batch with the same buffers.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The same for batches with the same content, and for no others in this process.
    identity: u64,
    rows: usize,
    modalities: Vec<String>,
    classes: Vec<String>,
    row_id: Column<u64>,
    evidence: Column<f64>,
    available: Column<u8>,
    quality: Column<f64>,
    embeddings: Vec<Embedding>,
    labels: Option<Labels>,
}

#[derive(Clone, Debug)]
struct Embedding {
    modality: usize,
    width: usize,
    values: Column<f64>,
}

#[derive(Clone, Debug)]
struct Labels {
    answers: Answers,
    weight: Column<f64>,
}

/// Target of a row.
#[derive(Clone, Debug)]
enum Answers {
    /// Numbers of classes.
    Classes(Column<i32>),
    /// Numbers.
    Numbers(Column<f64>),
}

/// The columns that every batch has.
#[derive(Clone, Copy, Debug)]
pub struct BatchColumns<'a> {
    /// Tells rows apart.
    pub row_id: &'a [u64],
    /// rows x modalities x classes.
    pub evidence: &'a [f64],
    /// rows x modalities; 1 or 0.
    pub available: &'a [u8],
    /// rows x modalities.
    pub quality: &'a [f64],
}

/// Reason why columns do not make a batch.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum BatchError {
    /// A column of another length.
    #[error("column {column} has {found} values, {expected} were expected")]
    Length {
        /// Its name.
        column: String,
        /// Values that are there.
        found: usize,
        /// Values that rows, modalities and classes ask for.
        expected: usize,
    },
    /// Too few modalities or classes.
    #[error("a batch has at least 1 modality and 2 classes, not {modalities} and {classes}")]
    Shape {
        /// Number of modalities.
        modalities: usize,
        /// Number of classes.
        classes: usize,
    },
    /// A value that may not be there.
    #[error("column {column} has {value} in row {row}{}; {expected}", of_modality(.modality))]
    Value {
        /// Its name.
        column: &'static str,
        /// The row.
        row: usize,
        /// The modality, for columns that have them.
        modality: Option<String>,
        /// The value.
        value: f64,
        /// Allowed values or shape.
        expected: &'static str,
    },
    /// Embeddings of an unknown modality, or twice.
    #[error("there is no place for embeddings of modality {0}")]
    Embedding(String),
    /// More than the rule says it takes.
    #[error("{id} takes at most {limit} {what}, this batch has {found}")]
    Limit {
        /// The rule.
        id: String,
        /// `modalities` or `classes`.
        what: &'static str,
        /// Limit that the rule declares.
        limit: usize,
        /// Number in the batch.
        found: usize,
    },
    /// Another number than the rule asks for.
    #[error("{id} takes {count} {what}, and is given {found}")]
    Accepts {
        /// The rule.
        id: String,
        /// `modalities` or `classes`.
        what: &'static str,
        /// Numbers that the rule accepts.
        count: Count,
        /// Number given.
        found: usize,
    },
    /// The rule does not take rows with unavailable modalities.
    #[error("{id} does not take missing modalities, and {modality} is unavailable in row {row}")]
    Missing {
        /// The rule.
        id: String,
        /// The modality.
        modality: String,
        /// The row.
        row: usize,
    },
    /// A label that is a number, of a rule that takes classes alone.
    #[error("{id} takes classes, and the label is a number (regression: true)")]
    Numbers {
        /// The rule.
        id: String,
    },
    /// Fitting without labels.
    #[error("a batch to fit on has labels, this one has none")]
    NoLabels,
    /// An index of permuted rows that does not fit.
    #[error("the permutation index {0}")]
    Index(String),
}

fn of_modality(modality: &Option<String>) -> String {
    modality.as_ref().map(|name| format!(", modality {name}")).unwrap_or_default()
}

impl Batch {
    /// A batch of these columns, copied into aligned buffers.
    ///
    /// Errors when a length does not fit, `available` holds anything but 0 and 1, or an available
    /// modality has evidence that is not a row of probabilities (finite, at least 0, within 1e-6 of
    /// the sum 1), or a quality that is not finite. What stands where a modality is unavailable is
    /// taken as it is.
    pub fn new(
        modalities: &[String],
        classes: &[String],
        columns: BatchColumns<'_>,
    ) -> Result<Self, BatchError> {
        if classes.len() < 2 {
            return Err(BatchError::Shape { modalities: modalities.len(), classes: classes.len() });
        }
        let batch = Self::unchecked(modalities, classes, columns)?;
        batch.check_values()?;
        Ok(batch)
    }

    /// A batch whose label is a number: `evidence` has one number a row and modality, what the
    /// expert expects. Errors as [`Batch::new`], but that it may be any finite number.
    pub fn of_numbers(
        modalities: &[String],
        columns: BatchColumns<'_>,
    ) -> Result<Self, BatchError> {
        let batch = Self::unchecked(modalities, &[VALUE.to_owned()], columns)?;
        batch.check_values()?;
        Ok(batch)
    }

    /// As [`Batch::new`], whatever the values.
    pub(crate) fn unchecked(
        modalities: &[String],
        classes: &[String],
        columns: BatchColumns<'_>,
    ) -> Result<Self, BatchError> {
        let (rows, width) = (columns.row_id.len(), modalities.len());
        if width < 1 || classes.is_empty() {
            return Err(BatchError::Shape { modalities: width, classes: classes.len() });
        }
        check_length("evidence", columns.evidence.len(), rows * width * classes.len())?;
        check_length("available", columns.available.len(), rows * width)?;
        check_length("quality", columns.quality.len(), rows * width)?;
        Ok(Self {
            identity: new_identity(),
            rows,
            modalities: modalities.to_vec(),
            classes: classes.to_vec(),
            row_id: Column::copy(columns.row_id),
            evidence: Column::copy(columns.evidence),
            available: Column::copy(columns.available),
            quality: Column::copy(columns.quality),
            embeddings: Vec::new(),
            labels: None,
        })
    }

    fn check_values(&self) -> Result<(), BatchError> {
        let (width, classes) = (self.modalities.len(), self.classes.len());
        let wrong = |column, cell: usize, value, expected| BatchError::Value {
            column,
            row: cell / width,
            modality: Some(self.modalities[cell % width].clone()),
            value,
            expected,
        };
        for (cell, &available) in self.available().iter().enumerate() {
            if available > 1 {
                return Err(wrong("available", cell, f64::from(available), "0 or 1 is expected"));
            }
            if available == 0 {
                continue;
            }
            let evidence = &self.evidence()[cell * classes..][..classes];
            let least = if self.is_regression() { f64::MIN } else { 0.0 };
            if let Some(&value) =
                evidence.iter().find(|value| !(value.is_finite() && **value >= least))
            {
                let expected = match self.is_regression() {
                    true => "a finite number is expected",
                    false => "a finite number of at least 0 is expected",
                };
                return Err(wrong("evidence", cell, value, expected));
            }
            let sum: f64 = evidence.iter().sum();
            if !self.is_regression() && (sum - 1.0).abs() > 1e-6 {
                return Err(wrong(
                    "evidence",
                    cell,
                    sum,
                    "probabilities that sum to 1 are expected",
                ));
            }
            let quality = self.quality()[cell];
            if !quality.is_finite() {
                return Err(wrong("quality", cell, quality, "a finite number is expected"));
            }
        }
        Ok(())
    }

    /// The batch with labels, from 0 to classes - 1, and their weights, above 0: what fitting
    /// needs.
    pub fn with_labels(mut self, label: &[i32], weight: &[f64]) -> Result<Self, BatchError> {
        check_length("label", label.len(), self.rows)?;
        check_length("weight", weight.len(), self.rows)?;
        let wrong = |column, row, value, expected| BatchError::Value {
            column,
            row,
            modality: None,
            value,
            expected,
        };
        for (row, (&label, &weight)) in label.iter().zip(weight).enumerate() {
            if usize::try_from(label).is_ok_and(|label| label < self.classes.len()) {
                if !(weight.is_finite() && weight > 0.0) {
                    return Err(wrong(
                        "weight",
                        row,
                        weight,
                        "a finite number above 0 is expected",
                    ));
                }
            } else {
                return Err(wrong(
                    "label",
                    row,
                    f64::from(label),
                    "the number of a class is expected",
                ));
            }
        }
        self.identity = new_identity();
        let answers = Answers::Classes(Column::copy(label));
        self.labels = Some(Labels { answers, weight: Column::copy(weight) });
        Ok(self)
    }

    /// The batch with the numbers to predict, all of one weight: what fitting needs where the label
    /// is a number.
    pub fn with_targets(mut self, target: &[f64]) -> Result<Self, BatchError> {
        check_length("target", target.len(), self.rows)?;
        if let Some(row) = target.iter().position(|target| !target.is_finite()) {
            return Err(BatchError::Value {
                column: "target",
                row,
                modality: None,
                value: target[row],
                expected: "a finite number is expected",
            });
        }
        self.identity = new_identity();
        let answers = Answers::Numbers(Column::copy(target));
        self.labels = Some(Labels { answers, weight: Column::copy(&vec![1.0; self.rows]) });
        Ok(self)
    }

    /// The batch with embeddings of a modality, rows x width.
    pub fn with_embedding(
        mut self,
        modality: &str,
        width: usize,
        values: &[f64],
    ) -> Result<Self, BatchError> {
        let known = self.modalities.iter().position(|name| name == modality);
        let Some(place) =
            known.filter(|place| self.embeddings.iter().all(|other| other.modality != *place))
        else {
            return Err(BatchError::Embedding(modality.to_owned()));
        };
        check_length(&format!("embedding_{modality}"), values.len(), self.rows * width)?;
        self.identity = new_identity();
        self.embeddings.push(Embedding { modality: place, width, values: Column::copy(values) });
        Ok(self)
    }

    /// The same for batches with the same content, and for no others in this process.
    pub(crate) fn identity(&self) -> u64 {
        self.identity
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Names of the modalities, in the order of the evidence.
    pub fn modalities(&self) -> &[String] {
        &self.modalities
    }

    /// True if the label is a number, and what is predicted too.
    pub fn is_regression(&self) -> bool {
        self.classes.len() == 1
    }

    /// Names of the classes, in the order of the evidence.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Tells rows apart.
    pub fn row_id(&self) -> &[u64] {
        self.row_id.values()
    }

    /// rows x modalities x classes.
    pub fn evidence(&self) -> &[f64] {
        self.evidence.values()
    }

    /// rows x modalities; 1 or 0.
    pub fn available(&self) -> &[u8] {
        self.available.values()
    }

    /// rows x modalities.
    pub fn quality(&self) -> &[f64] {
        self.quality.values()
    }

    /// The numbers of the classes, when there are labels that are classes.
    pub fn label(&self) -> Option<&[i32]> {
        match &self.labels.as_ref()?.answers {
            Answers::Classes(label) => Some(label.values()),
            Answers::Numbers(_) => None,
        }
    }

    /// True if it can be fitted on.
    pub(crate) fn has_labels(&self) -> bool {
        self.labels.is_some()
    }

    /// The weights, when there are labels.
    pub fn weight(&self) -> Option<&[f64]> {
        self.labels.as_ref().map(|labels| labels.weight.values())
    }

    /// The same rows with another quality, rows x modalities.
    pub fn with_quality(&self, quality: &[f64]) -> Result<Self, BatchError> {
        let batch = self.with_quality_unchecked(quality)?;
        batch.check_values()?;
        Ok(batch)
    }

    fn with_quality_unchecked(&self, quality: &[f64]) -> Result<Self, BatchError> {
        check_length("quality", quality.len(), self.rows * self.modalities.len())?;
        Ok(self.with_gathered_quality(quality))
    }

    /// The same rows with quality of the same length that comes from these rows.
    pub(crate) fn with_gathered_quality(&self, quality: &[f64]) -> Self {
        Self { identity: new_identity(), quality: Column::copy(quality), ..self.clone() }
    }

    /// The same batch with each of its buffers made anew from its bytes, of the same length and
    /// aligned to 64 bytes.
    #[cfg(unix)]
    pub(crate) fn with_buffers(
        &self,
        mut make: impl FnMut(&[u8]) -> arrow::buffer::Buffer,
    ) -> Self {
        let mut batch = self.clone();
        batch.row_id.remake(&mut make);
        batch.evidence.remake(&mut make);
        batch.available.remake(&mut make);
        batch.quality.remake(&mut make);
        for embedding in &mut batch.embeddings {
            embedding.values.remake(&mut make);
        }
        if let Some(labels) = &mut batch.labels {
            match &mut labels.answers {
                Answers::Classes(label) => label.remake(&mut make),
                Answers::Numbers(target) => target.remake(&mut make),
            }
            labels.weight.remake(&mut make);
        }
        batch
    }

    /// The same rows under other names.
    pub(crate) fn with_row_ids(&self, row_id: &[u64]) -> Self {
        Self { identity: new_identity(), row_id: Column::copy(row_id), ..self.clone() }
    }

    /// Passes on the bytes of evidence and availability: what tells batches of other rows apart,
    /// whatever their quality.
    pub(crate) fn give_content(&self, give: &mut dyn FnMut(&[u8])) {
        give(self.evidence.buffer().as_slice());
        give(self.available());
    }

    /// The rows at these places, in this order, without labels.
    pub(crate) fn take(&self, rows: &[usize]) -> Self {
        let (width, classes) = (self.modalities.len(), self.classes.len());
        Self {
            identity: new_identity(),
            rows: rows.len(),
            modalities: self.modalities.clone(),
            classes: self.classes.clone(),
            row_id: self.row_id.take(rows, 1),
            evidence: self.evidence.take(rows, width * classes),
            available: self.available.take(rows, width),
            quality: self.quality.take(rows, width),
            embeddings: self
                .embeddings
                .iter()
                .map(|embedding| Embedding {
                    values: embedding.values.take(rows, embedding.width),
                    ..*embedding
                })
                .collect(),
            labels: None,
        }
    }
}

fn new_identity() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn check_length(column: &str, found: usize, expected: usize) -> Result<(), BatchError> {
    if found == expected {
        Ok(())
    } else {
        Err(BatchError::Length { column: column.to_owned(), found, expected })
    }
}

#[cfg(test)]
mod tests;
