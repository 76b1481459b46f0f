//! A loaded rule: what the rest of fuseline calls.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::batch::{Batch, BatchError};
use crate::conditions::Sandbox;
use crate::descriptor::Descriptor;
use crate::error::{HostError, RuleCode, RuleError};
use crate::image::Image;
use crate::library::PluginFile;
use crate::message::{self, MessageLevel, RuleMessage};
use crate::model::OpenModel;
use crate::params::{ParamProblem, Params};
use crate::reads::ReadFile;
use crate::stop::StopSignal;
use crate::worker::WorkerFailure;

/// Process in which a rule's code runs: this one or another.
pub(crate) trait Backend: Send + Sync {
    /// The descriptor's JSON.
    fn descriptor(&self) -> Result<String, Fault>;
    fn fit(
        &self,
        batch: &Batch,
        params: &Params,
        seed: u64,
        stop: &StopSignal,
    ) -> Result<MadeModel, Fault>;
    /// Makes a model's bytes of the files of one that was fitted elsewhere.
    fn load(
        &self,
        source: &LoadSource<'_>,
        params: &Params,
        stop: &StopSignal,
    ) -> Result<MadeModel, Fault>;
    /// Answers a question in a format of the rule's own.
    fn query(&self, question: &[u8], stop: &StopSignal) -> Result<Vec<u8>, Fault>;
    fn open(&self, model: &[u8], stop: &StopSignal) -> Result<Arc<dyn OpenedModel>, Fault>;
    /// Opens a model where nothing is that any result has come from.
    fn open_for_witness(
        &self,
        model: &[u8],
        stop: &StopSignal,
    ) -> Result<Arc<dyn OpenedModel>, Fault>;
    /// Names of the layers of the sandbox that the system does not have.
    fn missing_layers(&self) -> Vec<&'static str>;
    /// The sandbox of its process; none in this process.
    fn sandbox(&self) -> Option<Sandbox>;
}

/// A model as a backend made it.
pub(crate) struct MadeModel {
    /// The model's bytes.
    pub bytes: Vec<u8>,
    /// Files that the rule reports as read.
    pub reads: Vec<ReadFile>,
}

/// Files, modalities and classes of a model that was fitted elsewhere.
#[derive(Clone, Copy, Debug)]
pub struct LoadSource<'a> {
    /// Sorted by name.
    pub files: &'a [LoadFile],
    /// In the order of the model's inputs.
    pub modalities: &'a [String],
    /// In the order of the model's outputs.
    pub classes: &'a [String],
}

/// A file of a model, read whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadFile {
    /// Name that the workflow gives it.
    pub name: String,
    /// Its name without folders.
    pub file_name: String,
    /// Content.
    pub bytes: Vec<u8>,
}

/// An opened model, where the rule's code runs.
pub(crate) trait OpenedModel: Send + Sync {
    fn predict(&self, batch: &Batch, out: &mut [f64], stop: &StopSignal) -> Result<(), Fault>;
    /// True if the rule itself has a fast path.
    fn has_fast_path(&self) -> bool;
    /// True if `predict_permuted` can be called, be it a fast path or a loop in the worker.
    fn permutes(&self) -> bool;
    fn predict_permuted(
        &self,
        batch: &Batch,
        permuted: Permuted<'_>,
        out: &mut [f64],
        stop: &StopSignal,
    ) -> Result<(), Fault>;
    /// Files that the rule reports as read so far.
    fn reads(&self) -> Vec<ReadFile>;
}

/// Quality of each row in each permutation: see [`OpenModel::predict_permuted`].
#[derive(Clone, Copy)]
pub struct Permuted<'a> {
    /// permutations x columns x rows.
    pub index: &'a [u32],
    /// Number of permutations.
    pub permutations: usize,
    /// 1, or as many as modalities.
    pub columns: usize,
    /// Bit m: the quality of modality m is permuted.
    pub modality_mask: u64,
}

/// Error of a backend's call.
pub(crate) enum Fault {
    /// The rule said so.
    Rule(RuleError),
    /// The process that runs the rule failed.
    Worker(WorkerFailure),
}

impl Fault {
    /// The same with what the rule had logged.
    fn after<'m>(mut self, messages: impl Iterator<Item = &'m RuleMessage>) -> Self {
        let lines: String = messages.map(|message| format!("\n  log: {}", message.text)).collect();
        match &mut self {
            Self::Rule(error) => error.message += &lines,
            Self::Worker(failure) => failure.reason += &lines,
        }
        self
    }

    pub(crate) fn into_error(self, id: &str, operation: &'static str) -> HostError {
        match self {
            Self::Rule(error) => HostError::Rule { id: id.to_owned(), operation, error },
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
    /// Files that the rule reports as read: modules, data, the metadata of distributions.
    pub reads: Vec<ReadFile>,
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
    image: Arc<Image>,
    descriptor: Descriptor,
    backend: Arc<dyn Backend>,
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rule").field("file", &self.shared.file).finish_non_exhaustive()
    }
}

impl Rule {
    pub(crate) fn new(
        file: PluginFile,
        image: Arc<Image>,
        backend: Arc<dyn Backend>,
    ) -> Result<Self, HostError> {
        let json =
            backend.descriptor().map_err(|fault| fault.into_error(&file.id, "describe itself"))?;
        let descriptor = Descriptor::parse(&json, &file.id)
            .map_err(|reason| HostError::Descriptor { id: file.id.clone(), reason })?;
        Ok(Self { shared: Arc::new(RuleShared { file, image, descriptor, backend }) })
    }

    /// The file it was loaded from.
    pub fn file(&self) -> &PluginFile {
        &self.shared.file
    }

    /// Descriptor of the rule.
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
        if !batch.has_labels() {
            return Err(BatchError::NoLabels.into());
        }
        self.shared.descriptor.takes(batch)?;
        self.make_model("fit", || self.shared.backend.fit(batch, params, seed, stop))
    }

    /// Makes a model of the files of one that was fitted elsewhere.
    pub fn load(
        &self,
        source: &LoadSource<'_>,
        params: &Params,
        stop: &StopSignal,
    ) -> Result<Fitted, HostError> {
        self.shared.descriptor.accepts_modalities(source.modalities.len())?;
        self.shared.descriptor.accepts_classes(source.classes.len())?;
        self.make_model("load a model", || self.shared.backend.load(source, params, stop))
    }

    /// Answers a question in a format that the rule and who asks agree on: the extension
    /// `fuseline.query/1`. The answer is a function of the question alone.
    pub fn query(&self, question: &[u8], stop: &StopSignal) -> Result<Vec<u8>, HostError> {
        self.shared.image.ensure_unchanged()?;
        let answer = self.shared.backend.query(question, stop);
        answer.map_err(|fault| fault.into_error(&self.shared.file.id, "answer"))
    }

    fn make_model(
        &self,
        operation: &'static str,
        make: impl FnOnce() -> Result<MadeModel, Fault>,
    ) -> Result<Fitted, HostError> {
        self.shared.image.ensure_unchanged()?;
        let (made, messages) = message::collect(make);
        // Warnings are the caller's to pass on.
        let details = messages.iter().filter(|message| message.level > MessageLevel::Warning);
        details.for_each(message::write_to_log);
        let MadeModel { bytes: model, reads } = made.map_err(|fault| {
            // Earlier warnings are a part of why it failed.
            let said = messages.iter().filter(|message| message.level <= MessageLevel::Warning);
            fault.after(said).into_error(&self.shared.file.id, operation)
        })?;
        self.shared.image.ensure_unchanged()?;
        Ok(Fitted { model, messages, reads })
    }

    /// Opens a model that this rule has fitted.
    pub fn open(&self, model: &[u8]) -> Result<OpenModel, HostError> {
        self.open_until(model, &StopSignal::new())
    }

    /// Opens a model whose calls end when the signal is given.
    pub fn open_until(&self, model: &[u8], stop: &StopSignal) -> Result<OpenModel, HostError> {
        let opened = self.open_once(model, stop)?;
        Ok(OpenModel::new(self.clone(), model, opened, stop.clone()))
    }

    /// Opens a model where the rule's code runs: in a worker that nothing else has used.
    pub(crate) fn open_once(
        &self,
        model: &[u8],
        stop: &StopSignal,
    ) -> Result<Arc<dyn OpenedModel>, HostError> {
        self.shared.image.ensure_unchanged()?;
        let opened = self.shared.backend.open(model, stop);
        opened.map_err(|fault| fault.into_error(&self.shared.file.id, "open a model"))
    }

    /// Opens a model in a worker that no result comes from.
    pub(crate) fn open_for_witness(
        &self,
        model: &[u8],
        stop: &StopSignal,
    ) -> Result<Arc<dyn OpenedModel>, HostError> {
        let opened = self.shared.backend.open_for_witness(model, stop);
        opened.map_err(|fault| fault.into_error(&self.shared.file.id, "open a model"))
    }

    /// Names of the layers of the sandbox that should confine this rule and that the system does
    /// not have.
    pub fn missing_layers(&self) -> Vec<&'static str> {
        self.shared.backend.missing_layers()
    }

    /// The sandbox of the processes that this rule runs in; none where it runs in this one.
    pub fn sandbox(&self) -> Option<Sandbox> {
        self.shared.backend.sandbox()
    }
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

    /// One of the permutations.
    pub(crate) fn only(&self, batch: &Batch, permutation: usize) -> Self {
        let each = self.columns * batch.rows();
        Self { index: &self.index[permutation * each..][..each], permutations: 1, ..*self }
    }

    /// The quality of one permutation, rows x modalities.
    pub(crate) fn gather(&self, batch: &Batch, permutation: usize, into: &mut [f64]) {
        let modalities = batch.modalities().len();
        for (row, into) in into.chunks_exact_mut(modalities).enumerate() {
            self.gather_row(batch, permutation, row, into);
        }
    }

    /// The quality of a row in one permutation, by modality.
    pub(crate) fn gather_row(
        &self,
        batch: &Batch,
        permutation: usize,
        row: usize,
        into: &mut [f64],
    ) {
        let (rows, modalities) = (batch.rows(), batch.modalities().len());
        let index = &self.index[permutation * self.columns * rows..][..self.columns * rows];
        for (modality, into) in into.iter_mut().enumerate() {
            let from = if self.modality_mask >> modality & 1 == 0 {
                row
            } else if self.columns == 1 {
                index[row] as usize
            } else {
                index[modality * rows + row] as usize
            };
            let cell = from * modalities + modality;
            *into = if batch.available()[cell] == 0 { 0.0 } else { batch.quality()[cell] };
        }
    }
}
