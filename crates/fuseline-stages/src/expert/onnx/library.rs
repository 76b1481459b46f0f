//! The library with the ONNX runtime: that of the rule `onnx`, in a process of its own.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::time::UNIX_EPOCH;

use fuseline_engine::{Inputs, Outputs, ReadFile, Services, StageError};
use fuseline_host::{HostError, PluginFile, Rule};
use fuseline_onnx::{Answer, Description, Question};

use super::stage_error;
use crate::{fusion, stop};

/// Id of the rule whose library answers.
const RULE: &str = "org.fuseline.onnx";

/// Size of the values in one question, unless the model is larger.
const BYTES_AT_ONCE: usize = 32 << 20;

/// The library, where it lies on the plugin path.
pub(super) fn find(services: &Services) -> Result<PluginFile, StageError> {
    services.plugins.find(RULE).map_err(|error| match error {
        HostError::UnknownRule { searched, .. } => {
            let folders: Vec<_> = searched.iter().map(|of| of.display().to_string()).collect();
            let name = format!("{DLL_PREFIX}fuseline_rule_onnx{DLL_SUFFIX}");
            StageError::data(format!(
                "models in ONNX are run by the library {name}, which is not there; searched: {}",
                folders.join(", ")
            ))
            .hint("in a clone, `cargo build --workspace` puts it beside the command")
        }
        error => error.into(),
    })
}

/// A model's file, and the library that answers questions about it.
pub(super) struct Model<'a> {
    rule: Rule,
    question: Question,
    bytes: Vec<u8>,
    inputs: &'a Inputs<'a>,
}

impl<'a> Model<'a> {
    /// Loads the library, and notes for the record which one it is.
    pub fn new(
        inputs: &'a Inputs<'a>,
        outputs: &mut Outputs,
        question: Question,
        bytes: Vec<u8>,
    ) -> Result<Self, StageError> {
        let library = find(inputs.services())?;
        let metadata = library.path.metadata().ok();
        let modified = metadata.as_ref().and_then(|of| of.modified().ok());
        let modified = modified.and_then(|of| of.duration_since(UNIX_EPOCH).ok());
        let rule = inputs.load_rule(&library)?;
        fusion::caution(&rule, outputs);
        outputs.discover([ReadFile {
            path: library.path,
            size: metadata.map(|of| of.len()),
            modified_ns: modified.and_then(|of| i64::try_from(of.as_nanos()).ok()),
        }]);
        Ok(Self { rule, question, bytes, inputs })
    }

    /// Description of the model.
    pub fn describe(&self) -> Result<Description, StageError> {
        match self.ask(&self.question, &[])? {
            (Answer::Described(description), _) => Ok(description),
            _ => Err(self.other_version()),
        }
    }

    /// The outputs for rows, one after the other; `widths`: number of values of a row that each
    /// input takes.
    pub fn predict(&self, widths: &[usize], rows: &[f64]) -> Result<Vec<Vec<f64>>, StageError> {
        let width = widths.iter().sum::<usize>().max(1);
        let question = Question { widths: Some(widths.to_vec()), ..self.question.clone() };
        let rows_at_once = (BYTES_AT_ONCE.max(self.bytes.len()) / 8 / width).max(1);
        let mut all = Vec::with_capacity(rows.len() / width);
        for part in rows.chunks(rows_at_once * width) {
            let (Answer::Predicted(each), outputs) = self.ask(&question, part)? else {
                return Err(self.other_version());
            };
            if each * (part.len() / width) != outputs.len() {
                return Err(self.other_version());
            }
            all.extend(outputs.chunks(each.max(1)).map(<[f64]>::to_vec));
        }
        Ok(all)
    }

    fn ask(&self, question: &Question, rows: &[f64]) -> Result<(Answer, Vec<f64>), StageError> {
        let bytes = question.to_bytes(&self.bytes, rows);
        let answer = self.rule.query(&bytes, &stop::signal(self.inputs)).map_err(|error| {
            if let Err(interrupted) = self.inputs.keep_going() {
                return interrupted;
            }
            let why = match error {
                HostError::Worker { failure, .. } => failure.to_string(),
                HostError::Rule { error, .. } => error.to_string(),
                error => return error.into(),
            };
            StageError::failed(format!("{} cannot be run here: {why}", question.file)).at("path")
        })?;
        match Answer::from_bytes(&answer) {
            Some((Answer::Refused(error), _)) => Err(stage_error(error)),
            Some(answer) => Ok(answer),
            None => Err(self.other_version()),
        }
    }

    fn other_version(&self) -> StageError {
        let library = self.rule.file().path.display();
        StageError::failed(format!("{library} is of another version than this fuseline"))
            .hint("install both from the same source")
    }
}
