//! Predictions asked again: by plain `predict`, in another worker, in another order, among other
//! rows, under other names.
//!
//! Knows which predictions to doubt. Knows nothing of how they were made.
//! **Invariant:** no result comes from a worker that is asked here.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use fuseline_artifact::Digest;

use crate::batch::Batch;
use crate::error::HostError;
use crate::rule::{Fault, OpenedModel, Permuted, Rule};
use crate::shuffle::{Draws, Key, ShuffledQuality, ShuffledRows};
use crate::stop::StopSignal;

/// Predictions that are asked again at once at most.
const MAX_QUESTIONS: usize = 4096;
/// Rows that are asked again of a plain prediction that is not the first.
const LATER_ROWS: usize = 16;
/// Predictions that are asked in a small batch of their own.
const FEW: usize = 7;
/// Permutations of the first call that are asked again where rows depend on each other.
const WHOLE_PERMUTATIONS: usize = 4;

/// A second opening of a model, for questions that another has answered.
pub(crate) struct Witness {
    rule: Rule,
    model: Arc<[u8]>,
    digest: Digest,
    stop: StopSignal,
    /// Opened for the first question. One question at a time: it has a worker of its own.
    opened: Mutex<Option<Arc<dyn OpenedModel>>>,
    has_predicted: AtomicBool,
    has_permuted: AtomicBool,
}

/// One prediction: of a row, in a permutation.
#[derive(Clone, Copy)]
struct Question {
    permutation: usize,
    row: usize,
}

impl Witness {
    pub fn new(rule: Rule, model: Arc<[u8]>, digest: Digest, stop: StopSignal) -> Self {
        let (has_predicted, has_permuted) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { rule, model, digest, stop, opened: Mutex::default(), has_predicted, has_permuted }
    }

    /// Asks some of the rows of a plain prediction again: most of them for the first prediction.
    pub fn ask_again(&self, batch: &Batch, predictions: &[f64]) -> Result<(), HostError> {
        let rows = batch.rows();
        let most = match self.has_predicted.swap(true, Ordering::Relaxed) {
            false => MAX_QUESTIONS,
            true => LATER_ROWS,
        };
        let count = subset(rows).min(most);
        self.ask_rows_again(batch, predictions, count)
    }

    /// Asks every row again.
    pub fn confirm(&self, batch: &Batch, predictions: &[f64]) -> Result<(), HostError> {
        let classes = batch.classes().len();
        if predictions.len() != batch.rows() * classes {
            let found = predictions.len();
            let (column, expected) = ("predictions".to_owned(), batch.rows() * classes);
            return Err(crate::BatchError::Length { column, found, expected }.into());
        }
        self.ask_rows_again(batch, predictions, batch.rows())
    }

    fn ask_rows_again(
        &self,
        batch: &Batch,
        predictions: &[f64],
        count: usize,
    ) -> Result<(), HostError> {
        let key = self.key(batch);
        if !self.is_row_independent() {
            let shuffled = self.same_order(batch, &key);
            return self.hold(&shuffled, batch, predictions, None);
        }
        let rows = key.draws().some(batch.rows(), count);
        let questions: Vec<_> = rows.iter().map(|&row| Question { permutation: 0, row }).collect();
        let classes = batch.classes().len();
        let first = |question: &Question| (None, &predictions[question.row * classes..]);
        self.compare(&key, &questions, batch, None, first)
    }

    /// Asks some rows again of every permutation of the first call, and most rows of one
    /// permutation of each call. `predictions`: of each permutation in the order of the places.
    pub fn ask_permuted_again(
        &self,
        batch: &Batch,
        permuted: &Permuted<'_>,
        predictions: &[f64],
        shuffled: &ShuffledQuality,
    ) -> Result<(), HostError> {
        let (rows, count) = (batch.rows(), permuted.permutations);
        if rows == 0 || count == 0 {
            return Ok(());
        }
        let key = shuffled.key.with_chance();
        let mut draws = key.draws();
        let is_first = !self.has_permuted.swap(true, Ordering::Relaxed);
        if !self.is_row_independent() {
            let numbers = draws.some(count, if is_first { WHOLE_PERMUTATIONS } else { 1 });
            let width = rows * batch.classes().len();
            return numbers.into_iter().try_for_each(|number| {
                let mut own = predictions[number * width..][..width].to_vec();
                shuffled.rows.restore(&mut own, batch.classes().len(), &mut Vec::new());
                self.ask_permutation_again(batch, permuted, number, &own, &key)
            });
        }
        let mut questions = Vec::new();
        let drawn = draws.below(count);
        ask_some(&mut questions, &mut draws, drawn, rows, subset(rows).min(MAX_QUESTIONS));
        if is_first {
            let each = (MAX_QUESTIONS / count).clamp(1, rows.div_ceil(4));
            for permutation in (0..count).filter(|permutation| *permutation != drawn) {
                ask_some(&mut questions, &mut draws, permutation, rows, each);
            }
        }
        draws.shuffle(&mut questions);
        let (width, classes) = (batch.modalities().len(), batch.classes().len());
        let mut quality = vec![0.0; questions.len() * width];
        for (question, quality) in questions.iter().zip(quality.chunks_exact_mut(width)) {
            permuted.gather_row(batch, question.permutation, question.row, quality);
        }
        self.compare(&key, &questions, batch, Some(&quality), |question| {
            let place = shuffled.places[question.row];
            (
                Some(question.permutation),
                &predictions[(question.permutation * rows + place) * classes..],
            )
        })
    }

    /// One whole permutation of rows that depend on each other. `predictions`: of this permutation.
    fn ask_permutation_again(
        &self,
        batch: &Batch,
        permuted: &Permuted<'_>,
        number: usize,
        predictions: &[f64],
        key: &Key,
    ) -> Result<(), HostError> {
        let mut quality = vec![0.0; batch.quality().len()];
        permuted.gather(batch, number, &mut quality);
        let shuffled = self.same_order(&batch.with_gathered_quality(&quality), key);
        self.hold(&shuffled, batch, predictions, Some(number))
    }

    /// The rows as they stood when they were asked first: rules whose rows depend on each other may
    /// add them up in that order, which is seen in the last bit.
    fn same_order(&self, batch: &Batch, key: &Key) -> ShuffledRows {
        let shuffled = ShuffledRows::new(batch, &Key::of_question(&self.digest, batch));
        ShuffledRows { batch: key.rename_rows(&shuffled.batch), ..shuffled }
    }

    fn key(&self, batch: &Batch) -> Key {
        Key::of_question(&self.digest, batch).with_chance()
    }

    fn is_row_independent(&self) -> bool {
        self.rule.descriptor().capabilities.row_independent
    }

    /// Predicts whole batches again.
    fn hold(
        &self,
        shuffled: &ShuffledRows,
        batch: &Batch,
        predictions: &[f64],
        permutation: Option<usize>,
    ) -> Result<(), HostError> {
        let classes = batch.classes().len();
        let mut again = self.predict(&shuffled.batch)?;
        shuffled.restore(&mut again, classes, &mut Vec::new());
        let rows = predictions.chunks_exact(classes).zip(again.chunks_exact(classes)).enumerate();
        for (row, (first, again)) in rows {
            self.same(batch, row, permutation, first, again)?;
        }
        Ok(())
    }

    /// Asks questions again. `quality`: a row a question, where it is not that of the batch; `first`:
    /// the permutation that a question names, if it is one of those that were asked about, and the
    /// first answer from its first class on.
    fn compare<'p>(
        &self,
        key: &Key,
        questions: &[Question],
        batch: &Batch,
        quality: Option<&[f64]>,
        first: impl Fn(&Question) -> (Option<usize>, &'p [f64]),
    ) -> Result<(), HostError> {
        if questions.is_empty() {
            return Ok(());
        }
        let (width, classes) = (batch.modalities().len(), batch.classes().len());
        // A few alone, then the others: how many are asked together may not count either.
        let few = if questions.len() > 4 * FEW { FEW } else { 0 };
        let mut answers = Vec::with_capacity(questions.len() * classes);
        for asked in [0..few, few..questions.len()].into_iter().filter(|asked| !asked.is_empty()) {
            let rows: Vec<usize> = questions[asked.clone()].iter().map(|own| own.row).collect();
            let mut rows = key.with(&asked.start.to_le_bytes()).rename_rows(&batch.take(&rows));
            if let Some(quality) = quality {
                rows = rows.with_gathered_quality(&quality[asked.start * width..asked.end * width]);
            }
            answers.extend(self.predict(&rows)?);
        }
        for (question, again) in questions.iter().zip(answers.chunks_exact(classes)) {
            let (permutation, first) = first(question);
            self.same(batch, question.row, permutation, &first[..classes], again)?;
        }
        Ok(())
    }

    fn same(
        &self,
        batch: &Batch,
        row: usize,
        permutation: Option<usize>,
        first: &[f64],
        again: &[f64],
    ) -> Result<(), HostError> {
        let mut values = first.iter().zip(again).enumerate();
        match values.find(|(_, (first, again))| first.to_bits() != again.to_bits()) {
            None => Ok(()),
            Some((class, (&first, &again))) => Err(HostError::Inconsistent {
                id: self.rule.file().id.clone(),
                row,
                permutation,
                class: batch.classes()[class].clone(),
                first,
                again,
            }),
        }
    }

    fn predict(&self, batch: &Batch) -> Result<Vec<f64>, HostError> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let model = match &*opened {
            Some(model) => model.clone(),
            None => {
                let model = self.rule.open_for_witness(&self.model, &self.stop)?;
                *opened = Some(model.clone());
                model
            }
        };
        let mut out = vec![f64::NAN; batch.rows() * batch.classes().len()];
        let failed = |fault: Fault| fault.into_error(&self.rule.file().id, "predict");
        model.predict(batch, &mut out, &self.stop).map_err(failed)?;
        Ok(out)
    }
}

/// Number of rows of a subset: few enough that an effect of the rows left out shows.
fn subset(rows: usize) -> usize {
    rows - rows / 4
}

/// Adds questions about so many different rows of a permutation.
fn ask_some(
    questions: &mut Vec<Question>,
    draws: &mut Draws,
    permutation: usize,
    rows: usize,
    count: usize,
) {
    let some = draws.some(rows, count);
    questions.extend(some.into_iter().map(|row| Question { permutation, row }));
}
