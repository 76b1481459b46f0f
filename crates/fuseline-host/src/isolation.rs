//! Isolation of a rule.

use serde::{Deserialize, Serialize};

/// Process in which a rule runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// In a process of its own: a crash, a hang or an endless allocation is an error of one call.
    #[default]
    Worker,
    /// In this process: fast, and a defect of the plugin is a defect of the process. Scripts cannot
    /// run so.
    InProcess,
}
