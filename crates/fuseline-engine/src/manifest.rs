//! Manifest of an ended run: `cache/runs/ID/manifest.json`.

use std::path::{Component, Path};

use fuseline_artifact::Digest;
use fuseline_cache::{ActionKey, Cache, CacheError};
use fuseline_workflow::{IndexVec, StageIndex};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::cautions::Caution;
use crate::environment::Environment;
use crate::files_read::FileRead;
use crate::machine::Machine;

/// The form of manifests that is written, and the only one that is read.
pub const MANIFEST_FORMAT: u32 = 2;

/// The name of its file in the folder of a run.
pub const MANIFEST_FILE: &str = "manifest.json";

/// Manifest of an ended run: about the run, and from the version on about its plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The form of the manifest.
    pub format: u32,
    /// The run's id.
    pub run: String,
    /// `ok`, `failed` or `interrupted`.
    pub status: String,
    /// When it began, in seconds since 1970.
    pub started_at: u64,
    /// Duration of the run in seconds.
    pub seconds: f64,
    /// Number of actions by final state; none in manifests from before they were counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<ActionCounts>,
    /// The most memory that the process had at once, in bytes, where that is known.
    pub peak_memory: Option<u64>,
    /// The machine that the run was coordinated on; none in manifests from before it was noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<Machine>,
    /// Error of the delivery of its outputs, if it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undelivered: Option<String>,
    /// Traffic with a remote cache, when there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<Value>,
    /// The version of fuseline.
    pub fuseline_version: String,
    /// The workflow's name.
    pub workflow: String,
    /// The digest of what the workflow says.
    pub workflow_digest: Digest,
    /// Parameters as resolved.
    pub params: Map<String, Value>,
    /// The workflow's seed.
    pub seed: u64,
    /// The fusion rules that took part: id and digest, each once.
    pub plugins: Vec<(String, Digest)>,
    /// Every file that was read, by role and path; none in manifests from before they were noted.
    #[serde(default)]
    pub files: Vec<FileRead>,
    /// Conditions under which its rules and programs were executed.
    #[serde(default, skip_serializing_if = "Environment::is_empty")]
    pub environment: Environment,
    /// The stages, in the plan's order.
    pub stages: IndexVec<StageIndex, ManifestStage>,
    /// Cautions to read the results with, and the actions that they are about.
    #[serde(default)]
    pub cautions: Vec<Caution>,
    /// The actions that the run wanted, in the plan's order.
    pub actions: Vec<ManifestAction>,
}

/// Numbers of actions by their last states.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionCounts {
    /// Found in the cache.
    pub cached: usize,
    /// Executed.
    pub done: usize,
    /// Executed, and failed.
    pub failed: usize,
    /// Not tried.
    pub skipped: usize,
    /// Executions of actions that another process executed at the same time, to the same outputs:
    /// harmless, and time lost. They are among those that are done.
    #[serde(default)]
    pub duplicates: usize,
}

/// A stage in a manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ManifestStage {
    /// Its name.
    pub name: String,
    /// Its outputs: port and artifact kind, in the order of [`ManifestAction::outputs`].
    pub outputs: Vec<(String, String)>,
}

/// An action in a manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ManifestAction {
    /// Index of its stage in the manifest.
    pub stage: StageIndex,
    /// `stage[axis=label]`.
    pub action: String,
    /// Its last state, by [`crate::ActionState::name`].
    pub state: String,
    /// Its key, when its inputs were known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<ActionKey>,
    /// The digests of its outputs, when they were known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<Digest>,
    /// Reason why it was executed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Number of attempts, when more than one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// Duration of its execution in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// The processor time of the thread that executed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_seconds: Option<f64>,
    /// Bytes of memory that it was given in the end, when it had run out of what its stage asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Error message, if it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A manifest that cannot be had.
#[derive(Debug, Error)]
pub enum ManifestError {
    /// The cache cannot be read, or the id cannot be one.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// There is no such run, or it has no manifest: it goes on, or it was killed.
    #[error("run {run} has no manifest: it goes on, was killed, or never was")]
    Missing {
        /// The run.
        run: String,
    },
    /// The file is damaged.
    #[error("the manifest of run {run} cannot be read: {problem}")]
    Damaged {
        /// The run.
        run: String,
        /// Description of the problem.
        problem: String,
    },
    /// Another version of fuseline wrote it in another form.
    #[error(
        "the manifest of run {run} has form {found}; this fuseline reads form {MANIFEST_FORMAT}"
    )]
    OtherForm {
        /// The run.
        run: String,
        /// The form that it says.
        found: u64,
    },
}

impl Manifest {
    /// The manifest of a run.
    pub fn read(cache: &Cache, run: &str) -> Result<Self, ManifestError> {
        let missing = || ManifestError::Missing { run: run.to_owned() };
        Self::decode(run, &cache.read_run_file(run, MANIFEST_FILE)?.ok_or_else(missing)?)
    }

    /// Reads the bytes of a manifest. Never panics, whatever they are.
    pub fn decode(run: &str, bytes: &[u8]) -> Result<Self, ManifestError> {
        #[derive(Deserialize)]
        struct Form {
            format: u64,
        }
        let damaged = |error: serde_json::Error| ManifestError::Damaged {
            run: run.to_owned(),
            problem: error.to_string(),
        };
        let Form { format } = serde_json::from_slice(bytes).map_err(damaged)?;
        if format != u64::from(MANIFEST_FORMAT) {
            return Err(ManifestError::OtherForm { run: run.to_owned(), found: format });
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(damaged)?;
        let problem = |problem: &str| ManifestError::Damaged {
            run: run.to_owned(),
            problem: problem.to_owned(),
        };
        // Whoever may write to a cache must not thereby write elsewhere, or pass one run off as
        // another.
        if manifest.run != run {
            return Err(problem("it is of another run"));
        }
        let mut parts = Path::new(&manifest.workflow).components();
        if !matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None)) {
            return Err(problem("its workflow has no name that a folder could have"));
        }
        if manifest.actions.iter().any(|action| manifest.stages.get(action.stage).is_none()) {
            return Err(problem("it has an action of no stage"));
        }
        Ok(manifest)
    }

    /// Number of actions that ended in a state.
    pub fn count(&self, state: &str) -> usize {
        self.actions.iter().filter(|action| action.state == state).count()
    }
}

#[cfg(test)]
mod tests;
