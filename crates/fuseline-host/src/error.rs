//! Errors between finding a file and reading its predictions.

use std::fmt;
use std::path::PathBuf;

use fuseline_abi as abi;
use fuseline_artifact::Digest;
use thiserror::Error;

use crate::batch::BatchError;
use crate::interpreter::InterpreterError;
use crate::params::ParamProblem;
use crate::worker::WorkerFailure;

/// Error of finding, loading or using a rule.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum HostError {
    /// No file on the plugin path has this id or short name.
    #[error("{}", unknown_rule(.rule, .known, .suggestion, .searched))]
    UnknownRule {
        /// Name of the requested rule.
        rule: String,
        /// The short names of what there is.
        known: Vec<String>,
        /// The closest of them.
        suggestion: Option<String>,
        /// The folders that were searched, in order.
        searched: Vec<PathBuf>,
    },
    /// A rule is named by its file.
    #[error("there is no fusion rule {rule}: a rule goes by its id, not by its file")]
    RuleByFile {
        /// Name of the requested rule.
        rule: String,
    },
    /// Two files have this id or short name.
    #[error("the fusion rule {rule} is ambiguous: {} and {}", .first.display(), .second.display())]
    AmbiguousRule {
        /// Name of the requested rule.
        rule: String,
        /// One file.
        first: PathBuf,
        /// Another.
        second: PathBuf,
    },
    /// A file that is no plugin for this machine.
    #[error("{} is not a fusion rule: {reason}", .path.display())]
    NotAPlugin {
        /// The file.
        path: PathBuf,
        /// Reason.
        reason: String,
    },
    /// Built for another ABI.
    #[error(
        "{} is built for ABI {}.{}, this host speaks {}.{}",
        .path.display(), .found.0, .found.1, abi::ABI_MAJOR, abi::ABI_MINOR
    )]
    OtherAbi {
        /// The file.
        path: PathBuf,
        /// Its ABI.
        found: (u16, u16),
    },
    /// The file is not the one that was expected.
    #[error("{} has changed: its digest is {found} and {expected} was expected", .path.display())]
    DigestChanged {
        /// The file.
        path: PathBuf,
        /// Expected digest.
        expected: Digest,
        /// Digest that the file has now.
        found: Digest,
    },
    /// The lock names another digest.
    #[error(
        "{id}{} is locked to the digest {locked}, and {} has {found}",
        spaced(.version), .path.display()
    )]
    Locked {
        /// The rule.
        id: String,
        /// Version of the locked file, empty where it is not known.
        version: String,
        /// The file.
        path: PathBuf,
        /// Digest in the lock.
        locked: Box<Digest>,
        /// Digest of the file.
        found: Digest,
    },
    /// The lock names the rule for other platforms alone.
    #[error(
        "{id} is locked for {} and not for {platform}, the platform of {}",
        .platforms.join(", "), .path.display()
    )]
    LockedElsewhere {
        /// The rule.
        id: String,
        /// The file.
        path: PathBuf,
        /// Platform of the file.
        platform: String,
        /// Platforms in the lock.
        platforms: Vec<String>,
    },
    /// A file could not be read.
    #[error("cannot read {}: {reason}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Reason given by the operating system.
        reason: String,
    },
    /// The dynamic loader or the plugin's initialisation refused.
    #[error("cannot load {}: {reason}", .path.display())]
    Load {
        /// The file.
        path: PathBuf,
        /// Reason.
        reason: String,
    },
    /// The plugin's descriptor is not what the ABI asks for.
    #[error("the descriptor of {id} is wrong: {reason}")]
    Descriptor {
        /// The rule.
        id: String,
        /// Reason.
        reason: String,
    },
    /// The file that a workflow names for an id calls itself otherwise.
    #[error("{} calls itself {found}, and the workflow names it {expected}", .path.display())]
    OtherId {
        /// The file.
        path: PathBuf,
        /// Id in the workflow.
        expected: String,
        /// Id of the file.
        found: String,
    },
    /// The interpreter of a script cannot be used.
    #[error(transparent)]
    Interpreter(#[from] InterpreterError),
    /// A rule that would run without layers of the sandbox that are required.
    #[error("`isolation` requires {required}, and {id} {reason}")]
    Unconfined {
        /// The rule.
        id: String,
        /// Names of the required layers.
        required: String,
        /// Reason, as "runs in this process".
        reason: String,
    },
    /// A batch that breaks the canonical layout, or that the rule does not take.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// The rule gave an error.
    #[error("{id} failed to {operation}: {error}")]
    Rule {
        /// The rule.
        id: String,
        /// `fit`, `open`, `predict`.
        operation: &'static str,
        /// Error that the rule reported.
        error: RuleError,
    },
    /// The process that runs the rule failed; it is not used again.
    #[error("{id} failed to {operation}: {failure}")]
    Worker {
        /// The rule.
        id: String,
        /// `load`, `fit`, `open a model`, `predict`.
        operation: &'static str,
        /// The failure of the process.
        failure: WorkerFailure,
    },
    /// The rule's predictions break the output law.
    #[error("{id} broke the output law in row {row}: {reason}")]
    OutputLaw {
        /// The rule.
        id: String,
        /// Row of the batch.
        row: usize,
        /// As "the probabilities sum to 1.2".
        reason: String,
    },
    /// The rule answers the same question otherwise when it is asked again.
    #[error(
        "{id} does not predict row {row} the same when it is asked again in another process, \
         among other rows: the probability of {class} was {first} and is {again}{}",
        in_permutation(.permutation)
    )]
    Inconsistent {
        /// The rule.
        id: String,
        /// Row of the batch.
        row: usize,
        /// The permutation within the call, where quality was permuted.
        permutation: Option<usize>,
        /// A class whose probability differs.
        class: String,
        /// Value of the first prediction.
        first: f64,
        /// Value of the repeated prediction.
        again: f64,
    },
    /// Parameters that the rule's schema refuses.
    #[error("the parameters of {id} are wrong: {}", listed(.problems))]
    Params {
        /// The rule.
        id: String,
        /// Each of them.
        problems: Vec<ParamProblem>,
    },
}

impl HostError {
    /// True if the call ended because it was asked to.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Rule { error: RuleError { code: RuleCode::Cancelled, .. }, .. })
    }
}

fn spaced(version: &str) -> String {
    if version.is_empty() { String::new() } else { format!(" {version}") }
}

fn in_permutation(permutation: &Option<usize>) -> String {
    permutation.map(|number| format!(" (permutation {number} of the call)")).unwrap_or_default()
}

/// States which rule is missing; if there is none at all, that is one mistake, whichever was asked
/// for.
fn unknown_rule(
    rule: &str,
    known: &[String],
    suggestion: &Option<String>,
    searched: &[PathBuf],
) -> String {
    let folders: Vec<_> = searched.iter().map(|folder| folder.display().to_string()).collect();
    let searched = folders.join(", ");
    match suggestion {
        Some(name) => format!("there is no fusion rule {rule}; did you mean {name}?"),
        None if known.is_empty() => {
            format!("there is no fusion rule on the plugin path; searched: {searched}")
        }
        None => {
            let known = known.join(", ");
            format!("there is no fusion rule {rule}; there are {known}; searched: {searched}")
        }
    }
}

fn listed(problems: &[ParamProblem]) -> String {
    let texts: Vec<_> = problems.iter().map(ToString::to_string).collect();
    texts.join("; ")
}

/// Error that a rule reports.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct RuleError {
    /// Kind of failure.
    pub code: RuleCode,
    /// The rule's words.
    pub message: String,
    /// The parameter that is wrong, as a path.
    pub param: Option<String>,
    /// The row of the batch that is wrong.
    pub row: Option<u64>,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code.words())?;
        if let Some(param) = &self.param {
            write!(f, ", parameter {param}")?;
        }
        if let Some(row) = self.row {
            write!(f, ", row {row}")?;
        }
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        Ok(())
    }
}

/// The codes of the ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleCode {
    /// Built for another ABI.
    Abi,
    /// A parameter is wrong.
    Param,
    /// The batch or the model bytes are wrong.
    Data,
    /// A valid request that this rule does not serve.
    Unsupported,
    /// The fit did not come to an end.
    NotConverged,
    /// The call was asked to end.
    Cancelled,
    /// Out of memory.
    OutOfMemory,
    /// A defect of the plugin.
    Internal,
    /// A number that the ABI does not know.
    Unknown(i32),
}

impl RuleCode {
    /// The code of a number other than [`abi::OK`].
    pub fn from_number(code: i32) -> Self {
        match code {
            abi::ERR_ABI => Self::Abi,
            abi::ERR_PARAM => Self::Param,
            abi::ERR_DATA => Self::Data,
            abi::ERR_UNSUPPORTED => Self::Unsupported,
            abi::ERR_NOT_CONVERGED => Self::NotConverged,
            abi::ERR_CANCELLED => Self::Cancelled,
            abi::ERR_OUT_OF_MEMORY => Self::OutOfMemory,
            abi::ERR_INTERNAL => Self::Internal,
            other => Self::Unknown(other),
        }
    }

    /// The number of the code.
    pub fn number(self) -> i32 {
        match self {
            Self::Abi => abi::ERR_ABI,
            Self::Param => abi::ERR_PARAM,
            Self::Data => abi::ERR_DATA,
            Self::Unsupported => abi::ERR_UNSUPPORTED,
            Self::NotConverged => abi::ERR_NOT_CONVERGED,
            Self::Cancelled => abi::ERR_CANCELLED,
            Self::OutOfMemory => abi::ERR_OUT_OF_MEMORY,
            Self::Internal => abi::ERR_INTERNAL,
            Self::Unknown(other) => other,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Abi => "another ABI",
            Self::Param => "wrong parameter",
            Self::Data => "wrong data",
            Self::Unsupported => "not supported",
            Self::NotConverged => "not converged",
            Self::Cancelled => "cancelled",
            Self::OutOfMemory => "out of memory",
            Self::Internal => "a defect of the plugin",
            Self::Unknown(_) => "a code that the ABI does not know",
        }
    }
}
