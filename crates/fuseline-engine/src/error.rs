//! Errors of stages.

use std::fmt;
use std::time::Duration;

use fuseline_artifact::Digest;
use fuseline_workflow::Code;

/// Class of a failure; it decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The input data, or an option that only the data can judge, is wrong (exit code 2).
    Data,
    /// The work itself failed: a plugin, the disk, numerics (exit code 1).
    Failed,
    /// The stage was asked to stop and did.
    Cancelled,
}

/// Error of an action, in words for the person who wrote the workflow.
#[derive(Debug)]
pub struct StageError {
    /// Class of the failure.
    pub class: Class,
    /// A lower-case fragment: what is wrong.
    pub message: String,
    /// A more telling code than that of its class.
    pub code: Option<&'static Code>,
    /// Remedy, if one is known.
    pub hint: Option<String>,
    /// The option under `with:` that the message is about, as a dotted path (`id.column`).
    pub option: Option<String>,
    /// The input port that the message is about.
    pub input: Option<String>,
    /// The input artifact whose damage or absence is the cause: it can be made again.
    pub lost: Option<Box<Digest>>,
}

impl StageError {
    /// The input data is wrong, or an option does not fit it.
    pub fn data(message: impl Into<String>) -> Self {
        Self {
            class: Class::Data,
            message: message.into(),
            code: None,
            hint: None,
            option: None,
            input: None,
            lost: None,
        }
    }

    /// The work failed though the input was fine.
    pub fn failed(message: impl Into<String>) -> Self {
        Self { class: Class::Failed, ..Self::data(message) }
    }

    /// The work took longer than it may.
    pub fn timed_out(timeout: Duration) -> Self {
        let seconds = timeout.as_secs_f64();
        Self::failed(format!("it took longer than its timeout of {seconds} s"))
            .hint("raise the stage's `timeout`, or give it less to do")
    }

    /// Sets a code more specific than that of its class.
    #[must_use]
    pub fn code(mut self, code: &'static Code) -> Self {
        self.code = Some(code);
        self
    }

    /// Points the message at an option under `with:` (`id.column`).
    #[must_use]
    pub fn at(mut self, option: impl Into<String>) -> Self {
        self.option = Some(option.into());
        self
    }

    /// Points the message at an input of the stage.
    #[must_use]
    pub fn at_input(mut self, port: impl Into<String>) -> Self {
        self.input = Some(port.into());
        self
    }

    /// Sets the input artifact that is damaged or gone.
    #[must_use]
    pub(crate) fn lost(mut self, digest: Digest) -> Self {
        self.lost = Some(Box::new(digest));
        self
    }

    /// Sets the hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for StageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for StageError {}

impl From<fuseline_artifact::ArtifactError> for StageError {
    fn from(error: fuseline_artifact::ArtifactError) -> Self {
        use fuseline_artifact::ArtifactError::{Classes, NoExpert, Regression};
        let text = error.to_string();
        match error {
            Regression { .. } | Classes { .. } => Self::data(text)
                .code(&crate::codes::REGRESSION)
                .hint("`fuseline explain regression` lists what takes a number"),
            NoExpert { .. } => Self::data(text).hint(
                "expert.none gives the rows of a modality and no evidence: give the modality an \
                 expert, or leave this stage out",
            ),
            _ => Self::failed(text),
        }
    }
}

impl From<fuseline_host::HostError> for StageError {
    fn from(error: fuseline_host::HostError) -> Self {
        use fuseline_host::{CHOOSE_INTERPRETER, HostError};
        let text = error.to_string();
        match error {
            HostError::Interpreter(_) => Self::data(text).hint(CHOOSE_INTERPRETER),
            HostError::Unconfined { .. } => Self::data(text),
            _ => Self::failed(text),
        }
    }
}
