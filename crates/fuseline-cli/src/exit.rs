//! Exit status of the command.

use std::fmt;

use fuseline::Class;

/// Exit status of the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Everything was done.
    Done,
    /// An action failed.
    ActionFailed,
    /// The workflow, the arguments or the input data are wrong.
    Wrong,
    /// Interrupted.
    Interrupted,
}

impl Exit {
    /// The number that the process ends with.
    pub fn number(self) -> i32 {
        match self {
            Self::Done => 0,
            Self::ActionFailed => 1,
            Self::Wrong => 2,
            Self::Interrupted => 130,
        }
    }
}

/// Error of a command.
#[derive(Debug)]
pub struct Failure {
    /// Exit status of the command.
    pub exit: Exit,
    /// A lower-case fragment.
    pub message: String,
    /// Remedy, if one is known.
    pub hint: Option<String>,
    /// The mistakes of the workflow, when they are the reason.
    pub mistakes: Option<Box<fuseline::Mistakes>>,
}

impl Failure {
    /// The arguments, or the files that they name, are wrong.
    pub fn wrong(message: impl Into<String>) -> Self {
        Self { exit: Exit::Wrong, message: message.into(), hint: None, mistakes: None }
    }

    /// The work failed.
    pub fn failed(message: impl fmt::Display) -> Self {
        Self { exit: Exit::ActionFailed, message: message.to_string(), hint: None, mistakes: None }
    }

    /// Sets the hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<fuseline::Error> for Failure {
    fn from(error: fuseline::Error) -> Self {
        let exit = match error.class() {
            Class::Data => Exit::Wrong,
            Class::Failed | Class::Cancelled => Exit::ActionFailed,
        };
        let (message, hint) = (error.to_string(), error.hint());
        let mistakes = match error {
            fuseline::Error::Workflow(mistakes) | fuseline::Error::Settings(mistakes) => {
                Some(mistakes)
            }
            _ => None,
        };
        Self { exit, message, hint, mistakes }
    }
}

impl From<fuseline_cache::CacheError> for Failure {
    fn from(error: fuseline_cache::CacheError) -> Self {
        fuseline::Error::from(error).into()
    }
}
