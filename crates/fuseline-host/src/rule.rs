//! A loaded rule: what the rest of fuseline calls.

use std::fmt;
use std::sync::Arc;

use fuseline_artifact::Digest;
use serde_json::{Map, Value};

use crate::batch::{Batch, BatchError};
use crate::descriptor::Descriptor;
use crate::error::{HostError, RuleCode, RuleError};
use crate::library::PluginFile;
use crate::message::{self, MessageLevel, RuleMessage};
use crate::params::{ParamProblem, Params};
use crate::stop::StopSignal;
#[cfg(unix)]
use crate::worker::WorkerFailure;

/// Where a rule's code runs: in this process or in another.
pub(crate) trait Backend: Send + Sync {
    /// The descriptor's JSON.
    fn descriptor(&self) -> Result<String, Fault>;
    fn fit(
        &self,
        batch: &Batch,
        params: &Params,
        seed: u64,
        stop: &StopSignal,
    ) -> Result<Vec<u8>, Fault>;
    fn open(&self, model: &[u8], stop: &StopSignal) -> Result<Arc<dyn OpenedModel>, Fault>;
}

/// An opened model, where the rule's code runs.
pub(crate) trait OpenedModel: Send + Sync {
    fn predict(&self, batch: &Batch, out: &mut [f64], stop: &StopSignal) -> Result<(), Fault>;
    /// Whether the rule itself has a fast path.
    fn has_fast_path(&self) -> bool;
    /// Whether `predict_permuted` can be called, be it a fast path or a loop over there.
    fn permutes(&self) -> bool;
    fn predict_permuted(
        &self,
        batch: &Batch,
        permuted: Permuted<'_>,
        out: &mut [f64],
        stop: &StopSignal,
    ) -> Result<(), Fault>;
}

/// Which quality each row gets in each permutation.
#[derive(Clone, Copy)]
pub(crate) struct Permuted<'a> {
    /// permutations x columns x rows.
    pub index: &'a [u32],
    pub permutations: usize,
    /// 1, or as many as modalities.
    pub columns: usize,
    /// Bit m: the quality of modality m is permuted.
    pub modality_mask: u64,
}

/// Why a backend's call failed.
pub(crate) enum Fault {
    /// The rule said so.
    Rule(RuleError),
    /// The process that runs the rule failed.
    #[cfg(unix)]
    Worker(WorkerFailure),
}

impl Fault {
    fn of(self, id: &str, operation: &'static str) -> HostError {
        match self {
            Self::Rule(error) => HostError::Rule { id: id.to_owned(), operation, error },
            #[cfg(unix)]
            Self::Worker(failure) => HostError::Worker { id: id.to_owned(), operation, failure },
        }
    }
}

/// A fitted model, and what the rule had to say about the fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fitted {
    /// The model's bytes.
    pub model: Vec<u8>,
    /// Messages of the rule, in their order and each once.
    pub messages: Vec<RuleMessage>,
}

impl Fitted {
    /// Warnings of the rule.
    pub fn warnings(&self) -> impl Iterator<Item = &str> {
        let warnings = self.messages.iter().filter(|said| said.level <= MessageLevel::Warning);
        warnings.map(|message| message.text.as_str())
    }
}

/// A loaded rule. A clone is the same rule.
#[derive(Clone)]
pub struct Rule {
    shared: Arc<RuleShared>,
}

struct RuleShared {
    file: PluginFile,
    descriptor: Descriptor,
    backend: Arc<dyn Backend>,
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rule").field("file", &self.shared.file).finish_non_exhaustive()
    }
}

impl Rule {
    pub(crate) fn new(file: PluginFile, backend: Arc<dyn Backend>) -> Result<Self, HostError> {
        let json = backend.descriptor().map_err(|fault| fault.of(&file.id, "describe itself"))?;
        let descriptor = Descriptor::parse(&json, &file.id)
            .map_err(|reason| HostError::Descriptor { id: file.id.clone(), reason })?;
        Ok(Self { shared: Arc::new(RuleShared { file, descriptor, backend }) })
    }

    /// The file it was loaded from.
    pub fn file(&self) -> &PluginFile {
        &self.shared.file
    }

    /// What the rule says about itself.
    pub fn descriptor(&self) -> &Descriptor {
        &self.shared.descriptor
    }

    /// Checks parameters against the rule's schema and fills its defaults; gives every problem.
    pub fn params(&self, given: &Map<String, Value>) -> Result<Params, Vec<ParamProblem>> {
        self.shared.descriptor.check_params(given)
    }

    /// Fits on a batch with labels.
    pub fn fit(
        &self,
        batch: &Batch,
        params: &Params,
        seed: u64,
        stop: &StopSignal,
    ) -> Result<Fitted, HostError> {
        if batch.label().is_none() {
            return Err(BatchError::NoLabels.into());
        }
        self.shared.descriptor.takes(batch)?;
        let (model, messages) =
            message::collect(|| self.shared.backend.fit(batch, params, seed, stop));
        // Warnings are the caller's to pass on.
        let details = messages.iter().filter(|message| message.level > MessageLevel::Warning);
        details.for_each(message::write_to_log);
        let model = model.map_err(|fault| fault.of(&self.shared.file.id, "fit"))?;
        Ok(Fitted { model, messages })
    }

    /// Opens a model that this rule has fitted.
    pub fn open(&self, model: &[u8]) -> Result<OpenModel, HostError> {
        self.open_until(model, &StopSignal::new())
    }

    /// Opens a model whose calls end when the signal is given.
    pub fn open_until(&self, model: &[u8], stop: &StopSignal) -> Result<OpenModel, HostError> {
        let opened = self
            .shared
            .backend
            .open(model, stop)
            .map_err(|fault| fault.of(&self.shared.file.id, "open a model"))?;
        Ok(OpenModel { rule: self.clone(), digest: Digest::of(model), opened, stop: stop.clone() })
    }
}

/// A frozen model, ready to predict; used by many threads at once.
#[derive(Clone)]
pub struct OpenModel {
    rule: Rule,
    digest: Digest,
    opened: Arc<dyn OpenedModel>,
    stop: StopSignal,
}

impl fmt::Debug for OpenModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenModel").field("digest", &self.digest).finish_non_exhaustive()
    }
}

impl OpenModel {
    /// Digest of the bytes it was opened from.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The rule that fitted it.
    pub fn rule(&self) -> &Rule {
        &self.rule
    }

    /// Whether [`OpenModel::predict_permuted`] is the rule's own, and not a loop.
    pub fn has_fast_path(&self) -> bool {
        self.opened.has_fast_path()
    }

    /// Predicts: rows x classes probabilities that keep the output law.
    pub fn predict(&self, batch: &Batch) -> Result<Vec<f64>, HostError> {
        self.rule.shared.descriptor.takes(batch)?;
        let mut out = vec![f64::NAN; batch.rows() * batch.classes().len()];
        self.opened.predict(batch, &mut out, &self.stop).map_err(|fault| self.failed(fault))?;
        self.output_law(&out, batch)?;
        Ok(out)
    }

    /// Predicts under permuted quality: in permutation p, row i keeps its evidence and availability, and modality m, when bit m of
    /// `modality_mask` is set, has the quality of row `index[(p * columns + c) * rows + i]`, where c = 0 when `columns` is 1 and c = m when
    /// there are as many columns as modalities; where the modality is unavailable in the row it comes from, that quality is 0.
    ///
    /// `out`: permutations x rows x classes. The result equals a loop of [`OpenModel::predict`], bit for bit.
    pub fn predict_permuted(
        &self,
        batch: &Batch,
        index: &[u32],
        permutations: usize,
        columns: usize,
        modality_mask: u64,
        out: &mut [f64],
    ) -> Result<(), HostError> {
        self.rule.shared.descriptor.takes(batch)?;
        let permuted = Permuted { index, permutations, columns, modality_mask };
        permuted.fits(batch, out.len())?;
        if self.opened.permutes() {
            self.opened.predict_permuted(batch, permuted, out, &self.stop)
        } else {
            looped(&*self.opened, batch, permuted, out, &self.stop)
        }
        .map_err(|fault| self.failed(fault))?;
        self.output_law(out, batch)
    }

    /// What the fast path must equal: a loop of [`OpenModel::predict`].
    #[cfg(unix)]
    pub(crate) fn looped(
        &self,
        batch: &Batch,
        index: &[u32],
        permutations: usize,
        columns: usize,
        modality_mask: u64,
    ) -> Result<Vec<f64>, HostError> {
        let permuted = Permuted { index, permutations, columns, modality_mask };
        let mut out = vec![f64::NAN; permutations * batch.rows() * batch.classes().len()];
        permuted.fits(batch, out.len())?;
        looped(&*self.opened, batch, permuted, &mut out, &self.stop)
            .map_err(|fault| self.failed(fault))?;
        Ok(out)
    }

    fn failed(&self, fault: Fault) -> HostError {
        fault.of(&self.rule.shared.file.id, "predict")
    }

    /// Every row finite, at least 0, its sum within 1e-9 of 1.
    fn output_law(&self, out: &[f64], batch: &Batch) -> Result<(), HostError> {
        let (classes, rows) = (batch.classes().len(), batch.rows());
        // Without a way out in between the loop becomes vectors; rows of two are nearly all that there are.
        let kept = match classes {
            2 => out.as_chunks::<2>().0.iter().fold(true, |kept, row| kept & keeps_law(row)),
            _ => out.chunks_exact(classes).fold(true, |kept, row| kept & keeps_law(row)),
        };
        if kept {
            return Ok(());
        }
        for (at, row) in out.chunks_exact(classes).enumerate() {
            if keeps_law(row) {
                continue;
            }
            let sum: f64 = row.iter().sum();
            let reason = match row
                .iter()
                .find(|probability| !(probability.is_finite() && **probability >= 0.0))
            {
                Some(probability) => format!("a probability is {probability}"),
                None => format!("the probabilities sum to {sum}"),
            };
            return Err(HostError::OutputLaw {
                id: self.rule.shared.file.id.clone(),
                row: at % rows,
                reason,
            });
        }
        Ok(())
    }
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

/// Permuted prediction as a loop of predict over gathered quality.
pub(crate) fn looped(
    model: &dyn OpenedModel,
    batch: &Batch,
    permuted: Permuted<'_>,
    out: &mut [f64],
    stop: &StopSignal,
) -> Result<(), Fault> {
    let width = batch.rows() * batch.classes().len();
    if width == 0 {
        return Ok(());
    }
    let mut quality = vec![0.0; batch.quality().len()];
    for (permutation, out) in out.chunks_exact_mut(width).enumerate() {
        if stop.is_stopped() {
            return Err(Fault::Rule(RuleError {
                code: RuleCode::Cancelled,
                message: String::new(),
                param: None,
                row: None,
            }));
        }
        permuted.gather(batch, permutation, &mut quality);
        model.predict(&batch.with_gathered_quality(&quality), out, stop)?;
    }
    Ok(())
}

impl Permuted<'_> {
    pub(crate) fn fits(&self, batch: &Batch, out: usize) -> Result<(), BatchError> {
        let (rows, modalities) = (batch.rows(), batch.modalities().len());
        if modalities > 64 {
            return Err(BatchError::Index(format!("has 64 bits for {modalities} modalities")));
        }
        if self.columns != 1 && self.columns != modalities {
            return Err(BatchError::Index(format!(
                "has {} columns for {modalities} modalities",
                self.columns
            )));
        }
        let expected = self.permutations * self.columns * rows;
        if self.index.len() != expected {
            return Err(BatchError::Length {
                column: "permutation index".to_owned(),
                found: self.index.len(),
                expected,
            });
        }
        // The largest first: a search would stop at each number to ask.
        if let Some(row) = self.index.iter().copied().max().filter(|&row| row as usize >= rows) {
            return Err(BatchError::Index(format!("names row {row} of {rows}")));
        }
        let expected = self.permutations * rows * batch.classes().len();
        if out != expected {
            return Err(BatchError::Length { column: "output".to_owned(), found: out, expected });
        }
        Ok(())
    }

    /// The quality of one permutation, rows x modalities.
    pub(crate) fn gather(&self, batch: &Batch, permutation: usize, into: &mut [f64]) {
        let (rows, modalities) = (batch.rows(), batch.modalities().len());
        let index = &self.index[permutation * self.columns * rows..][..self.columns * rows];
        let quality = batch.quality();
        for row in 0..rows {
            for modality in 0..modalities {
                let from = if self.modality_mask >> modality & 1 == 0 {
                    row
                } else if self.columns == 1 {
                    index[row] as usize
                } else {
                    index[modality * rows + row] as usize
                };
                let from = from * modalities + modality;
                into[row * modalities + modality] =
                    if batch.available()[from] == 0 { 0.0 } else { quality[from] };
            }
        }
    }
}
