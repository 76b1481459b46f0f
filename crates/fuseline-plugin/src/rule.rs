//! Traits of a fusion rule.

use crate::batch::{Batch, TrainingBatch};
use crate::descriptor::Descriptor;
use crate::error::RuleError;
use crate::load::LoadSource;
use crate::model::{ModelReader, ModelWriter, Shape};
use crate::params::Params;
use crate::permuted::Quality;
use crate::question::Question;

/// A fusion rule; the implementing type is its fitted model.
///
/// The host may call from many threads at once. The same inputs must give the same bytes: no
/// clocks, no files, no random numbers but from the seed, and no order of threads or hash maps in a
/// sum.
pub trait FusionRule: Sized + Send + Sync + 'static {
    /// Reverse domain name; the last part is how workflows name the rule.
    const ID: &'static str;
    /// Raised when [`FusionRule::write`] changes, so that old models are refused in words.
    const MODEL_REVISION: u32 = 1;

    /// Description of the rule.
    fn descriptor() -> Descriptor;

    /// Fits on rows with labels.
    fn fit(batch: &TrainingBatch<'_>, params: &Params<'_>, seed: u64) -> Result<Self, RuleError>;

    /// Writes the model. Names of modalities and classes and a checksum are added.
    fn write(&self, model: &mut ModelWriter);

    /// Reads a model that [`FusionRule::write`] wrote, for modalities and classes of this shape.
    fn read(model: &mut ModelReader<'_>, shape: &Shape) -> Result<Self, RuleError>;

    /// Fills rows x classes probabilities: finite, at least 0, each row summing to 1. Where the
    /// label is a number, rows finite numbers.
    ///
    /// The batch has the modalities and classes of the fit; that has been checked.
    fn predict(&self, batch: &Batch<'_>, probabilities: &mut [f64]) -> Result<(), RuleError>;
}

/// The fast path for rules that can share work between permutations of quality.
///
/// The simplest way to keep its promise, equality with a loop of [`FusionRule::predict`] bit for
/// bit, is to implement this alone and let `predict` call it with [`Quality::as_measured`].
pub trait PermutedPredict: FusionRule {
    /// Fills permutations x rows x classes probabilities.
    fn predict_permuted(
        &self,
        batch: &Batch<'_>,
        quality: &Quality<'_>,
        probabilities: &mut [f64],
    ) -> Result<(), RuleError>;
}

/// A model that was fitted elsewhere, read from its files, for `fusion.load`.
pub trait LoadModel: FusionRule {
    /// Reads the files. The same files and parameters give the same model; [`FusionRule::write`]
    /// must keep all of it.
    fn load(source: &LoadSource<'_>, params: &Params<'_>) -> Result<Self, RuleError>;
}

/// Answers for a stage kind whose work belongs into a process of its own.
pub trait AnswerQuery: FusionRule {
    /// The answer, a function of the question's bytes alone, in a format that this rule and who
    /// asks agree on.
    fn answer(question: &Question<'_>) -> Result<Vec<u8>, RuleError>;
}
