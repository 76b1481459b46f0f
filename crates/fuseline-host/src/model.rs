//! An opened model: what the rest of fuseline asks for predictions.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fuseline_artifact::Digest;

use crate::batch::Batch;
use crate::error::{HostError, RuleError};
use crate::reads::ReadFile;
use crate::rule::{Fault, OpenedModel, Permuted, Rule, looped};
use crate::shuffle::{Key, ShuffledQuality, ShuffledRows};
use crate::stop::StopSignal;
use crate::witness::Witness;

/// A frozen model, ready to predict; used by many threads at once.
///
/// The rule gets rows in an order and under names of which it knows nothing, and part of what it
/// says is asked again, by plain prediction in a worker that has seen none of it: whatever is no
/// function of a row's own values is an error.
#[derive(Clone)]
pub struct OpenModel {
    shared: Arc<Shared>,
}

struct Shared {
    rule: Rule,
    digest: Digest,
    opened: Arc<dyn OpenedModel>,
    witness: Witness,
    stop: StopSignal,
    /// The batch that was asked about last under permuted quality, as the rule gets it.
    permuted: Mutex<Option<(u64, Arc<ShuffledQuality>)>>,
}

impl fmt::Debug for OpenModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenModel").field("digest", &self.shared.digest).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl OpenModel {
    pub(crate) fn new(
        rule: Rule,
        model: &[u8],
        opened: Arc<dyn OpenedModel>,
        stop: StopSignal,
    ) -> Self {
        let digest = Digest::hash(model);
        let witness = Witness::new(rule.clone(), model.into(), digest, stop.clone());
        let shared = Shared { rule, digest, opened, witness, stop, permuted: Mutex::default() };
        Self { shared: Arc::new(shared) }
    }

    /// Digest of the bytes it was opened from.
    pub fn digest(&self) -> Digest {
        self.shared.digest
    }

    /// The rule that fitted it.
    pub fn rule(&self) -> &Rule {
        &self.shared.rule
    }

    /// True if [`OpenModel::predict_permuted`] is the rule's own, and not a loop.
    pub fn has_fast_path(&self) -> bool {
        self.shared.opened.has_fast_path()
    }

    /// Predicts: rows x classes probabilities that keep the output law.
    pub fn predict(&self, batch: &Batch) -> Result<Vec<f64>, HostError> {
        let Shared { rule, digest, opened, stop, witness, .. } = &*self.shared;
        rule.descriptor().takes(batch)?;
        let classes = batch.classes().len();
        let mut out = vec![f64::NAN; batch.rows() * classes];
        let shuffled = ShuffledRows::new(batch, &Key::of_question(digest, batch));
        opened
            .predict(&shuffled.batch, &mut out, stop)
            .map_err(|fault| self.failed(fault, &shuffled))?;
        shuffled.restore(&mut out, classes, &mut Vec::new());
        self.output_law(&out, batch, |row| row)?;
        witness.ask_again(batch, &out)?;
        Ok(out)
    }

    /// Predicts under permuted quality: in permutation p, row i keeps its evidence and
    /// availability, and modality m, when bit m of `modality_mask` is set, has the quality of row
    /// `index[(p * columns + c) * rows + i]`, where c = 0 when `columns` is 1 and c = m when there
    /// are as many columns as modalities; where the modality is unavailable in the row it comes
    /// from, that quality is 0.
    ///
    /// `out`: permutations x rows x classes. The result equals a loop of [`OpenModel::predict`],
    /// bit for bit. A permutation that moves nothing, Clean-Q, looks to the rule like any other.
    pub fn predict_permuted(
        &self,
        batch: &Batch,
        index: &[u32],
        permutations: usize,
        columns: usize,
        modality_mask: u64,
        out: &mut [f64],
    ) -> Result<(), HostError> {
        let permuted = Permuted { index, permutations, columns, modality_mask };
        let shuffled = self.visit_permuted(batch, &permuted, out, |_, _| false)?;
        let classes = batch.classes().len();
        let mut scratch = Vec::new();
        for permutation in out.chunks_exact_mut((batch.rows() * classes).max(1)) {
            shuffled.rows.restore(permutation, classes, &mut scratch);
        }
        Ok(())
    }

    /// Predicts as [`OpenModel::predict_permuted`] does, and leaves the predictions where the rule
    /// put them: in another order of rows, which is the same for every question about a batch.
    ///
    /// `look` gets the predictions of each permutation in that order, and for each place the row
    /// that stands there. It returns true if it has seen that every prediction keeps the output law;
    /// else they are held against it here. Where there is an error, what it saw was in vain.
    pub fn count_permuted(
        &self,
        batch: &Batch,
        permuted: &Permuted<'_>,
        out: &mut [f64],
        look: impl FnOnce(&[f64], &[usize]) -> bool,
    ) -> Result<(), HostError> {
        self.visit_permuted(batch, permuted, out, look).map(|_| ())
    }

    fn visit_permuted(
        &self,
        batch: &Batch,
        permuted: &Permuted<'_>,
        out: &mut [f64],
        look: impl FnOnce(&[f64], &[usize]) -> bool,
    ) -> Result<Arc<ShuffledQuality>, HostError> {
        let Shared { rule, opened, stop, witness, .. } = &*self.shared;
        rule.descriptor().takes(batch)?;
        permuted.fits(batch, out.len())?;
        let shuffled = self.shuffled(batch, permuted);
        let moved = shuffled.index(permuted.index);
        let own = Permuted { index: &moved, ..*permuted };
        let rows = &shuffled.rows;
        if opened.permutes() {
            opened.predict_permuted(&rows.batch, own, out, stop)
        } else {
            looped(&**opened, &rows.batch, own, out, stop)
        }
        .map_err(|fault| self.failed(fault, rows))?;
        let law = |out: &[f64]| self.output_law(out, batch, |place| rows.order[place]);
        if look(out, &rows.order) {
            debug_assert!(law(out).is_ok(), "predictions break the output law, and were not seen");
        } else {
            law(out)?;
        }
        witness.ask_permuted_again(batch, permuted, out, &shuffled)?;
        Ok(shuffled)
    }

    /// Files that the rule reports as read since the model was opened: modules, data, the metadata
    /// of distributions.
    pub fn reads(&self) -> Vec<ReadFile> {
        self.shared.opened.reads()
    }

    /// Holds predictions that were made before against plain prediction in a worker that has seen
    /// none of them, every row.
    pub fn confirm(&self, batch: &Batch, predictions: &[f64]) -> Result<(), HostError> {
        self.shared.witness.confirm(batch, predictions)
    }

    fn shuffled(&self, batch: &Batch, permuted: &Permuted<'_>) -> Arc<ShuffledQuality> {
        let mut last = lock(&self.shared.permuted);
        match &*last {
            Some((identity, shuffled))
                if *identity == batch.identity() && shuffled.fits(permuted) =>
            {
                shuffled.clone()
            }
            _ => {
                let key = Key::of_question(&self.shared.digest, batch);
                let shuffled = Arc::new(ShuffledQuality::new(batch, key, permuted));
                *last = Some((batch.identity(), shuffled.clone()));
                shuffled
            }
        }
    }

    fn failed(&self, fault: Fault, shuffled: &ShuffledRows) -> HostError {
        let fault = match fault {
            Fault::Rule(RuleError { row: Some(place), code, message, param }) => {
                let row = shuffled.order.get(place as usize).map(|&row| row as u64);
                Fault::Rule(RuleError { row, code, message, param })
            }
            other => other,
        };
        fault.into_error(&self.shared.rule.file().id, "predict")
    }

    fn output_law(
        &self,
        out: &[f64],
        batch: &Batch,
        row: impl Fn(usize) -> usize,
    ) -> Result<(), HostError> {
        output_law(&self.shared.rule.file().id, out, batch, row)
    }
}

/// Every row finite, at least 0, its sum within 1e-9 of 1; finite alone where the label is a number.
/// `row`: of each place of a permutation.
pub(crate) fn output_law(
    id: &str,
    out: &[f64],
    batch: &Batch,
    row: impl Fn(usize) -> usize,
) -> Result<(), HostError> {
    let (classes, rows) = (batch.classes().len(), batch.rows());
    if batch.is_regression() {
        return match out.iter().position(|value| !value.is_finite()) {
            None => Ok(()),
            Some(at) => Err(HostError::OutputLaw {
                id: id.to_owned(),
                row: row(at % rows),
                reason: format!("a prediction is {}", out[at]),
            }),
        };
    }
    // Without a way out in between the loop becomes vectors; rows of two are nearly all that there
    // are.
    let kept = match classes {
        2 => out.as_chunks::<2>().0.iter().fold(true, |kept, row| kept & keeps_law(row)),
        _ => out.chunks_exact(classes).fold(true, |kept, row| kept & keeps_law(row)),
    };
    if kept {
        return Ok(());
    }
    for (at, probabilities) in out.chunks_exact(classes).enumerate() {
        if keeps_law(probabilities) {
            continue;
        }
        let sum: f64 = probabilities.iter().sum();
        let wrong = |probability: &&f64| !(probability.is_finite() && **probability >= 0.0);
        let reason = match probabilities.iter().find(wrong) {
            Some(probability) => format!("a probability is {probability}"),
            None if (sum - 1.0).abs() < 1e-3 => format!(
                "the probabilities sum to {sum}, and 1 within 1e-9 is expected: where a network \
                 computes in single precision, take its softmax in doubles"
            ),
            None => format!("the probabilities sum to {sum}"),
        };
        return Err(HostError::OutputLaw { id: id.to_owned(), row: row(at % rows), reason });
    }
    Ok(())
}

/// Every probability at least 0, their sum within 1e-9 of 1.
#[inline]
fn keeps_law(row: &[f64]) -> bool {
    let mut sum = 0.0;
    let mut least = 0.0_f64;
    for &probability in row {
        sum += probability;
        least = if probability < least { probability } else { least };
    }
    // A NaN or an infinity shows in the sum; the least alone would pass a NaN over.
    least >= 0.0 && (sum - 1.0).abs() <= 1e-9
}
