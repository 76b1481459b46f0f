//! Error of a rule.

use std::fmt;

use fuseline_abi as abi;

/// Error of a rule: a code of the ABI, words, and the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError {
    pub(crate) code: i32,
    pub(crate) message: String,
    pub(crate) param: String,
    pub(crate) row: i64,
}

impl RuleError {
    fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), param: String::new(), row: -1 }
    }

    /// The batch or the model bytes are wrong.
    pub fn data(message: impl Into<String>) -> Self {
        Self::new(abi::ERR_DATA, message)
    }

    /// A parameter is wrong; `path` names it.
    pub fn param(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { param: path.into(), ..Self::new(abi::ERR_PARAM, message) }
    }

    /// A valid request that this rule does not serve.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(abi::ERR_UNSUPPORTED, message)
    }

    /// The fit did not converge.
    pub fn not_converged(message: impl Into<String>) -> Self {
        Self::new(abi::ERR_NOT_CONVERGED, message)
    }

    /// The host asked to stop.
    pub fn cancelled() -> Self {
        Self::new(abi::ERR_CANCELLED, "the host asked to stop")
    }

    /// A defect of the rule.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(abi::ERR_INTERNAL, message)
    }

    pub(crate) fn of_code(code: i32, message: impl Into<String>) -> Self {
        Self::new(code, message)
    }

    /// The error at a row of the batch.
    pub fn at_row(self, row: usize) -> Self {
        Self { row: row as i64, ..self }
    }
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for RuleError {}
