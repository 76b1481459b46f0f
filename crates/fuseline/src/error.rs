//! Reasons why a request could not be carried out.

use std::io;
use std::path::PathBuf;

use fuseline_cache::CacheError;
use fuseline_engine::{Class, RecordError, StageError};
use fuseline_workflow::{Diagnostic, Files};
use thiserror::Error;

use crate::table::TableError;

/// Reason why a request could not be carried out.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The workflow has mistakes.
    #[error("the workflow has {}", count_errors(&.0.diagnostics))]
    Workflow(Box<Mistakes>),
    /// Files of settings have mistakes.
    #[error("the settings have {}", count_errors(&.0.diagnostics))]
    Settings(Box<Mistakes>),
    /// A file or folder cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The folder is not a cache.
    #[error("there is no cache in {}", .0.display())]
    NoCache(PathBuf),
    /// The cache does not hold the outputs of an action.
    #[error("{action} is not in the cache")]
    NotCached {
        /// `stage[axis=label]`.
        action: String,
        /// Its stage.
        stage: String,
    },
    /// Something else that the request names does not exist, or does not fit.
    #[error("{message}")]
    Request {
        /// A lower-case fragment.
        message: String,
        /// Advice.
        hint: Option<String>,
    },
    /// An action failed.
    #[error("{action}: {error}")]
    Action {
        /// `stage[axis=label]`.
        action: String,
        /// The stage's own words.
        error: Box<StageError>,
    },
    /// The cache cannot be read or written.
    #[error("{}", .0.with_cause())]
    Cache(#[from] CacheError),
    /// A table cannot be read or written.
    #[error("the table cannot be read or written: {0}")]
    Table(#[from] TableError),
    /// The work failed for another reason.
    #[error("{message}")]
    Failed {
        /// A lower-case fragment.
        message: String,
        /// Advice.
        hint: Option<String>,
    },
}

/// Every mistake of a workflow or of a file of settings, with the texts that their places point
/// into.
#[derive(Debug)]
pub struct Mistakes {
    /// Errors and warnings, by place.
    pub diagnostics: Vec<Diagnostic>,
    /// The texts.
    pub files: Files,
}

impl From<RecordError> for Error {
    fn from(error: RecordError) -> Self {
        Self::failed(error)
    }
}

impl Error {
    /// An error of the request.
    pub(crate) fn request(message: impl Into<String>) -> Self {
        Self::Request { message: message.into(), hint: None }
    }

    /// A failure of the work.
    pub(crate) fn failed(message: impl ToString) -> Self {
        Self::Failed { message: message.to_string(), hint: None }
    }

    /// The error with advice, where its kind carries any.
    #[must_use]
    pub(crate) fn with_hint(mut self, advice: impl Into<Option<String>>) -> Self {
        if let Self::Request { hint, .. } | Self::Failed { hint, .. } = &mut self {
            *hint = advice.into();
        }
        self
    }

    /// Advice on the remedy.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Request { hint, .. } | Self::Failed { hint, .. } => hint.clone(),
            Self::Action { error, .. } => error.hint.clone(),
            Self::NoCache(_) => {
                Some("--cache, FUSELINE_CACHE or fuseline.toml says where it is".to_owned())
            }
            _ => None,
        }
    }

    /// [`Class::Data`] when the workflow, the request or the data are wrong; else the work failed.
    pub fn class(&self) -> Class {
        match self {
            Self::Workflow(_)
            | Self::Settings(_)
            | Self::Read { .. }
            | Self::NoCache(_)
            | Self::NotCached { .. }
            | Self::Request { .. } => Class::Data,
            Self::Action { error, .. } => error.class,
            Self::Write { .. } | Self::Cache(_) | Self::Table(_) | Self::Failed { .. } => {
                Class::Failed
            }
        }
    }
}

/// The number of errors in words.
pub fn count_errors(diagnostics: &[Diagnostic]) -> String {
    match diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count() {
        1 => "1 error".to_owned(),
        n => format!("{n} errors"),
    }
}
