//! ONNX files as functions of one row.
//!
//! Reads a model as PyTorch, scikit-learn and others export it, refuses what the runtime (tract)
//! would compute otherwise than ONNX says, and predicts one row at a time, so that the answer
//! for a row depends on nothing else. Start at [`load`].

mod branches;
mod graph;
mod input;
mod labels;
mod model;
mod nodes;
mod rewrite;

use fuseline_onnx::{Description, OnnxError};
pub(crate) use model::load;

/// A model that is ready to predict one row: the values of its inputs, concatenated.
pub(crate) type Ask = Box<dyn Fn(&[f64]) -> Result<Vec<f64>, OnnxError> + Send + Sync>;

/// Makes a model ready, given the number of values of a row that each of its inputs takes.
pub(crate) type Prepare = Box<dyn FnOnce(&[usize]) -> Result<Ask, OnnxError>>;

/// A model that was read from its file.
pub(crate) struct OnnxModel {
    /// What the file says of it.
    pub description: Description,
    /// Makes it ready.
    pub prepare: Prepare,
}

/// Advice about an invalid file.
const DAMAGED: &str =
    "the file is cut short, damaged or of another format: copy it again, or write it anew";
