//! How the command ends.

use std::fmt;
use std::process::ExitCode;

/// How the command ends.
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

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::ActionFailed => 1,
            Exit::Wrong => 2,
            Exit::Interrupted => 130,
        })
    }
}

/// Why a command could not do what it was asked.
#[derive(Debug)]
pub struct Failure {
    /// How the command ends.
    pub exit: Exit,
    /// A lower-case fragment.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Failure {
    /// The arguments or what they name are wrong.
    pub fn wrong(message: impl Into<String>) -> Self {
        Self { exit: Exit::Wrong, message: message.into(), hint: None }
    }

    /// The work failed.
    pub fn failed(message: impl fmt::Display) -> Self {
        Self { exit: Exit::ActionFailed, message: message.to_string(), hint: None }
    }

    /// Says what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<fuseline_cache::CacheError> for Failure {
    fn from(error: fuseline_cache::CacheError) -> Self {
        match std::error::Error::source(&error) {
            Some(source) => Self::failed(format!("{error}: {source}")),
            None => Self::failed(error),
        }
    }
}
