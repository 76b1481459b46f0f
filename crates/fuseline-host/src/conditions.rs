//! Conditions under which a rule's process runs: its sandbox, its limits, its interpreter.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::environment::PassedVariables;
use crate::error::HostError;
use crate::isolation::Isolation;
use crate::library::{PluginFile, short_name};

/// Confinement of a rule's process.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Sandbox {
    /// It writes nothing, and shares no memory.
    Strict,
    /// A script has a folder of its own to write to, which ends with its process, and memory that
    /// its own processes share. A shared library needs none of this, and is confined strictly.
    #[default]
    Default,
    /// Nothing is confined; limits stay.
    Off,
}

impl fmt::Display for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Strict => "strict",
            Self::Default => "default",
            Self::Off => "off",
        })
    }
}

/// A value, and the place that states it, in words: `fuseline.toml:3`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// File and line, or what else states it.
    pub origin: String,
}

/// Limits that take the place of those of the settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitOverrides {
    /// Bytes of memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Sourced<u64>>,
    /// Time limit of loading.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<Sourced<Duration>>,
    /// Time limit of one call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<Sourced<Duration>>,
}

/// Conditions under which the rules and programs of a stage run, as far as the workflow states
/// them. What it leaves open, the settings of the machine say.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Conditions {
    /// Sandbox of rules that `sandboxes` does not name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<Sandbox>,
    /// Sandboxes of single rules, by id or the last part of it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sandboxes: BTreeMap<String, Sandbox>,
    /// Limits of their processes.
    pub limits: LimitOverrides,
    /// Bytes of memory that a stage of this process may use for what it reads, and what bounds them,
    /// in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Sourced<u64>>,
    /// The interpreter of Python rules and programs: a path, or a name that is looked for on PATH.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub python: Option<Sourced<PathBuf>>,
    /// Variables of the environment that rules and programs see, as they were when the action was
    /// planned.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub passed: PassedVariables,
    /// Layers of the sandbox without which no rule may run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub required_layers: Vec<String>,
}

impl Conditions {
    /// The sandbox of the rule with an id.
    pub fn sandbox_of(&self, id: &str) -> Sandbox {
        let named = self.sandboxes.get(id).or_else(|| self.sandboxes.get(short_name(id)));
        named.copied().or(self.sandbox).unwrap_or_default()
    }

    /// Errors when layers are required that cannot hold for a rule: because it runs in this process
    /// or without a sandbox, or because the system lacks them.
    pub fn ensure_layers(&self, file: &PluginFile, isolation: Isolation) -> Result<(), HostError> {
        if self.required_layers.is_empty() {
            return Ok(());
        }
        let refused = |reason: String| {
            Err(HostError::Unconfined {
                id: file.id.clone(),
                required: self.required_layers.join(", "),
                reason,
            })
        };
        match (isolation, self.sandbox_of(&file.id)) {
            (Isolation::InProcess, _) => return refused("runs in this process".to_owned()),
            (_, Sandbox::Off) => return refused("runs without a sandbox (`sandbox`)".to_owned()),
            _ => {}
        }
        let available = crate::worker::Layers::available();
        let mut missing = available.missing();
        match missing.find(|layer| self.required_layers.iter().any(|name| name == layer)) {
            Some(layer) => refused(format!("cannot be confined: this system has no {layer}")),
            None => Ok(()),
        }
    }
}
