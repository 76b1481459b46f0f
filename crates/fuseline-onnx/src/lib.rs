//! What is asked of ONNX files, and what their answers must be.
//!
//! Knows the questions of `expert.onnx` as bytes, errors of a model's file, and when outputs are
//! probabilities. The runtime that answers is a library in a process of its own, that of the rule
//! `onnx`. Knows nothing of the runtime, stages, rules or features. Start at [`Question`].
//! **Invariant:** whatever the bytes are, reading them gives a question, an answer, or none.

mod question;

pub use question::{Answer, Question, QuestionBytes};

use fuseline_learn::link::shares_of;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A mistake in a model's file, or in a call of the model.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct OnnxError {
    /// A lower-case fragment that names the file.
    pub message: String,
    /// The setting that is to be changed: `path`, `input`, `output` or `softmax`.
    pub setting: String,
    /// Advice.
    pub hint: Option<String>,
}

impl OnnxError {
    /// An error of the file.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), setting: "path".to_owned(), hint: None }
    }

    /// With the setting that is to be changed.
    #[must_use]
    pub fn at(self, setting: &str) -> Self {
        Self { setting: setting.to_owned(), ..self }
    }

    /// With advice.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// A model as its file describes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// The inputs that the output depends on.
    pub inputs: Vec<Input>,
    /// The names of the others.
    pub unused_inputs: Vec<String>,
    /// Lists of class names that the file holds; more than one where it contradicts itself.
    pub class_names: Vec<Vec<String>>,
    /// The node at the end that makes probabilities.
    pub ends_in: Option<String>,
    /// Tolerance of the sum of its probabilities about 1, for what the precision of its output
    /// does to the last places.
    pub tolerance: f64,
}

/// An input of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// Name.
    pub name: String,
    /// Number of values of a row that it takes, if the file says it.
    pub width: Option<usize>,
    /// Sizes of the dimensions of a row, where the file says how many there are.
    pub sizes: Vec<Option<usize>>,
    /// True if it takes whole numbers only.
    pub is_whole: bool,
}

/// Probabilities of the classes, made of a model's outputs for a row: one value for two classes is
/// that of the second. `row` names the row in messages, as in "for example e1".
pub fn probabilities(
    (file, row): (&str, &str),
    mut given: Vec<f64>,
    classes: &[String],
    softmax: bool,
    tolerance: f64,
) -> Result<Vec<f64>, OnnxError> {
    if let ([one], 2) = (&given[..], classes.len()) {
        given = if softmax { vec![0.0, *one] } else { vec![1.0 - one, *one] };
    }
    if given.len() != classes.len() {
        return Err(OnnxError::new(format!(
            "{file} gives {} values for {} classes: {}",
            given.len(),
            classes.len(),
            classes.join(", ")
        ))
        .at("output"));
    }
    if softmax {
        fuseline_learn::link::softmax(&mut given);
    }
    if !are_probabilities(&given, tolerance) {
        return Err(OnnxError::new(format!(
            "{file} gives {given:?} {row}, which are no probabilities: each must lie in 0 to 1 \
             and all sum to 1"
        ))
        .at("output")
        .hint(format!("{}; output names another output", to_probabilities(&given))));
    }
    given.iter_mut().for_each(|p| *p = p.clamp(0.0, 1.0));
    let sum: f64 = given.iter().sum();
    given.iter_mut().for_each(|p| *p /= sum);
    Ok(given)
}

/// Advice on outputs that are no probabilities. The softmax is advised of logits alone: of other
/// values it is another distribution, which would be taken for what the model says.
fn to_probabilities(given: &[f64]) -> &'static str {
    match shares_of(given) {
        _ if given.iter().any(|value| !value.is_finite()) => {
            "export a model that answers with finite numbers to these rows"
        }
        Some(100.0) => "these are percentages: divide them by 100 before the model is exported",
        _ if given.iter().all(|value| *value >= 0.0) => {
            "divide them by their sum before the model is exported, or, if they are logits, \
             softmax: true makes probabilities of them"
        }
        _ => "softmax: true makes probabilities of logits",
    }
}

/// True if the outputs for a row may be logits: they are neither probabilities nor percentages.
pub fn may_be_logits(values: &[f64], tolerance: f64) -> bool {
    values.len() < 2 || !(are_probabilities(values, tolerance) || shares_of(values).is_some())
}

/// True if values are probabilities, up to rounding.
fn are_probabilities(values: &[f64], tolerance: f64) -> bool {
    let sum: f64 = values.iter().sum();
    let range = -tolerance / 10.0..=1.0 + tolerance / 10.0;
    values.iter().all(|p| range.contains(p)) && (sum - 1.0).abs() <= tolerance
}

/// The error of a softmax over outputs that are probabilities already.
pub fn softmax_twice(file: &str, why: &str) -> OnnxError {
    OnnxError::new(format!("the outputs of {file} are probabilities, not logits: {why}"))
        .at("softmax")
        .hint("leave softmax: true out; the softmax of probabilities is another distribution")
}

/// Reason of [`softmax_twice`] that values give.
pub const ARE_SHARES: &str =
    "for each row none is below 0, and they sum to 1, or to 100 as percentages do";

/// True if names are the numbers of places, which name nothing.
pub fn are_places(names: &[String]) -> bool {
    names.iter().enumerate().all(|(place, name)| *name == place.to_string())
}
