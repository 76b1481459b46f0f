//! The settings of an installation or a project: `fuseline.toml`.
//!
//! A setting comes from a flag, else from the environment, else from the nearest `fuseline.toml`,
//! else from the user's, else it has its default. The nearest file is looked for in the folder of
//! the workflow (where there is none: the working directory) and upwards, as `fuseline.lock` is;
//! `FUSELINE_SETTINGS` names another in its place. No setting is part of an action's key.
//! Credentials do not belong here, and are refused where they can be told.
//!
//! The types are the one definition: their documentation, the JSON Schema, the check and
//! `fuseline config` come from them.

mod load;
mod read;
mod units;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fuseline_cache::{DEFAULT_BEAT, LeaseKind};
use fuseline_host::Sourced;
use fuseline_host::worker::{LimitOrigins, WorkerLimits, WorkerProgram, WorkerSettings};
use fuseline_remote::{RemoteAddress, RemoteMode, RemoteSettings};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Error;

pub use load::{LoadedSettings, SETTINGS_FILE, SettingRow, Source};
pub use units::{Amount, FilePath, Pattern, Time};

/// Settings of an installation or a project.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "fuseline settings")]
pub struct Settings {
    /// The cache, and the remote behind it.
    pub cache: CacheSettings,
    /// Execution of actions.
    pub executor: ExecutorSettings,
    /// Bounds on the processes of fusion rules.
    pub limits: LimitSettings,
    /// The interpreter of Python rules and programs, or the folder of an environment, where the
    /// workflow names none: a path, or a name that is looked for on PATH. Without a setting it is
    /// that of `VIRTUAL_ENV`, else `python3`.
    #[schemars(length(min = 1))]
    pub python: Option<String>,
    /// Device files that fusion rules may use, such as `/dev/nvidia0`. A last `*` stands for any end of
    /// the name.
    pub devices: Vec<FilePath>,
    /// Folders that are searched for fusion rules, after those of the workflow.
    pub plugin_path: Vec<FilePath>,
}

/// The cache, and the remote behind it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CacheSettings {
    /// The cache folder. Without a setting it lies in the working directory.
    pub path: FilePath,
    /// A cache in an object store or another folder, behind the local one: `s3://bucket/prefix`,
    /// `gs://...`, `az://...`, `https://...`, or a path.
    pub remote: Option<RemoteAddress>,
    /// The use of the remote.
    pub mode: RemoteMode,
    /// Longest time that the remote may go without an answer.
    pub remote_timeout: Time,
    /// The leases by which processes share the cache. `auto`: as the cache has them already, else
    /// by its filesystem.
    pub leases: Leases,
    /// Time between two beats of a holder of leases, if they are heartbeats: one that misses nine
    /// counts as dead.
    pub lease_beat: Time,
}

/// The leases by which processes share a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Leases {
    /// As the cache has them already, else by its filesystem.
    Auto,
    /// Locks of the kernel.
    Flock,
    /// Records that their holders renew, where locks do not hold between machines.
    Heartbeat,
}

impl CacheSettings {
    /// The leases that are asked for, with the time between two beats; none for `auto`.
    pub fn lease_kind(&self) -> Option<(LeaseKind, Duration)> {
        let kind = match self.leases {
            Leases::Auto => return None,
            Leases::Flock => LeaseKind::Flock,
            Leases::Heartbeat => LeaseKind::Heartbeat,
        };
        Some((kind, self.lease_beat.into()))
    }
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self {
            path: "cache".into(),
            remote: None,
            mode: RemoteMode::Read,
            remote_timeout: RemoteSettings::DEFAULT_TIMEOUT.into(),
            leases: Leases::Auto,
            lease_beat: DEFAULT_BEAT.into(),
        }
    }
}

/// Execution of actions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ExecutorSettings {
    /// The executor of `fuseline run` without `--executor`.
    pub default: ExecutorName,
    /// The command `fuseline` on the machines that execute actions. Without a setting it is the
    /// path of the one that submits.
    pub program: Option<FilePath>,
    /// Shell lines that come before it there, such as `module load`.
    pub setup: Vec<String>,
    /// About how long the actions of one task take together, by their durations in the past: short
    /// ones of a stage are put together until they do.
    pub chunk: Time,
    /// Actions that are in flight at most.
    #[schemars(range(min = 1))]
    pub in_flight: u32,
    /// Number of times that an action is submitted again when its node fails or its task vanishes.
    pub resubmit: u32,
    /// The longest time between two looks at the state of tasks.
    pub poll: Time,
    /// Resources of an action where its stage does not name them, by stage kind: `"fusion.fit"`,
    /// `"expert.*"`, or `"*"`.
    pub resources: BTreeMap<String, ResourceSettings>,
    /// Slurm.
    pub slurm: SlurmSettings,
    /// HyperQueue.
    pub hyperqueue: HyperQueueSettings,
    /// Any other engine, by its commands.
    pub command: Option<CommandSettings>,
}

impl Default for ExecutorSettings {
    fn default() -> Self {
        Self {
            default: ExecutorName::Local,
            program: None,
            setup: Vec::new(),
            chunk: Time::from_seconds(60),
            in_flight: 100_000,
            resubmit: 3,
            poll: Time::from_seconds(30),
            resources: BTreeMap::new(),
            slurm: SlurmSettings::default(),
            hyperqueue: HyperQueueSettings::default(),
            command: None,
        }
    }
}

/// Name of an executor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExecutorName {
    /// Threads of this process.
    Local,
    /// Slurm, by sbatch, squeue and scancel.
    Slurm,
    /// HyperQueue, by hq.
    HyperQueue,
    /// The commands of `[executor.command]`.
    Command,
}

/// Resources of one action.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ResourceSettings {
    /// Processors.
    #[schemars(range(min = 0.01, max = 4096.0))]
    pub cpu: Option<f64>,
    /// Memory.
    pub memory: Option<Amount>,
    /// Wall time.
    pub time: Option<Time>,
    /// GPUs.
    #[schemars(range(max = 1024))]
    pub gpus: Option<u32>,
}

/// Slurm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SlurmSettings {
    /// `--partition`. Without a setting it is the cluster's default.
    pub partition: Option<String>,
    /// `--account`.
    pub account: Option<String>,
    /// `--qos`.
    pub qos: Option<String>,
    /// `--time` of a task whose actions ask for none. Without a setting it is the partition's.
    pub time: Option<Time>,
    /// Tasks of one job array at most; the cluster's MaxArraySize bounds it.
    #[schemars(range(min = 1))]
    pub array_max: u32,
    /// More options of sbatch, such as `--constraint=avx512`.
    pub options: Vec<String>,
}

impl Default for SlurmSettings {
    fn default() -> Self {
        Self {
            partition: None,
            account: None,
            qos: None,
            time: None,
            array_max: 1000,
            options: Vec::new(),
        }
    }
}

/// HyperQueue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HyperQueueSettings {
    /// The command `hq`: a path, or a name that is looked for on PATH.
    pub program: String,
    /// `--server-dir`. Without a setting it is HyperQueue's.
    pub server_dir: Option<FilePath>,
    /// Tasks of one job at most.
    #[schemars(range(min = 1))]
    pub array_max: u32,
    /// More options of `hq submit`.
    pub options: Vec<String>,
}

impl Default for HyperQueueSettings {
    fn default() -> Self {
        Self { program: "hq".to_owned(), server_dir: None, array_max: 10_000, options: Vec::new() }
    }
}

/// Any other engine, by its commands. Each is a line for the shell in which `{...}` is replaced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandSettings {
    /// Submits the tasks `{first}` to `{last}`, each of which runs `sh {script}`, and prints the id
    /// of the array. There are also `{tasks}`, `{name}`, `{log}`, `{cpus}`, `{memory_mb}`,
    /// `{minutes}` and `{gpus}`.
    pub submit: String,
    /// The id within what `submit` prints, of which the first group counts. Without a setting it is
    /// the first word.
    #[serde(default)]
    pub id: Option<Pattern>,
    /// Asks for the state of the array `{id}`.
    pub poll: String,
    /// The array goes on while a line that `poll` prints matches. Without a setting it goes on
    /// while `poll` ends with exit code 0.
    #[serde(default)]
    pub alive: Option<Pattern>,
    /// Cancels the array `{id}`.
    pub cancel: String,
    /// The variable in which a task finds its number, such as `PBS_ARRAY_INDEX`.
    #[schemars(regex(pattern = "^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub task: String,
    /// The number of the first task; LSF counts from 1.
    #[serde(default)]
    pub first: u32,
    /// Tasks of one array at most.
    #[serde(default = "default_array_max")]
    #[schemars(range(min = 1))]
    pub array_max: u32,
}

fn default_array_max() -> u32 {
    1000
}

/// Bounds on the processes of fusion rules.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LimitSettings {
    /// Memory that a rule may ask for.
    pub memory: Amount,
    /// Time limit of loading a rule.
    pub load: Time,
    /// Time limit of one call of a rule.
    pub call: Time,
}

impl Default for LimitSettings {
    fn default() -> Self {
        let WorkerLimits { memory, load, call, .. } = WorkerLimits::default();
        Self { memory: Amount { bytes: memory }, load: load.into(), call: call.into() }
    }
}

impl LoadedSettings {
    /// Settings of worker processes, which a program starts as.
    pub fn worker_settings(&self, program: WorkerProgram) -> WorkerSettings {
        let Settings { limits, devices, .. } = &self.settings;
        let origin = |name: &str| self.origin(name);
        let limits = WorkerLimits {
            memory: limits.memory.bytes,
            load: limits.load.into(),
            call: limits.call.into(),
            origins: LimitOrigins {
                memory: origin("limits.memory"),
                load: origin("limits.load"),
                call: origin("limits.call"),
            },
            ..WorkerLimits::default()
        };
        let devices = devices.iter().flat_map(|pattern| matching(pattern.as_ref())).collect();
        WorkerSettings { limits, devices, python: self.python(), ..WorkerSettings::new(program) }
    }

    /// The interpreter of Python rules and programs, where it is stated.
    pub(crate) fn python(&self) -> Option<Sourced<PathBuf>> {
        let origin = self.origin("python").unwrap_or_default();
        self.settings.python.as_ref().map(|python| Sourced { value: python.into(), origin })
    }
}

/// The existing paths of a pattern that may end with `*`.
fn matching(pattern: &Path) -> Vec<PathBuf> {
    let name = pattern.file_name().unwrap_or_default().to_string_lossy();
    let Some(start) = name.strip_suffix('*') else { return vec![pattern.to_owned()] };
    let folder = pattern.parent().unwrap_or(Path::new("/"));
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let named = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(start));
    let mut paths: Vec<_> = named.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

impl ExecutorSettings {
    /// Resources of an action of a stage kind: by its name, else by the longest `family.*` that
    /// fits, else by `*`; each resource by itself.
    pub fn resources_of(&self, kind: &str) -> ResourceSettings {
        let fits = |pattern: &str| match pattern.strip_suffix('*') {
            Some(start) => kind.starts_with(start),
            None => kind == pattern,
        };
        let mut fitting: Vec<_> = self.resources.iter().filter(|(name, _)| fits(name)).collect();
        fitting.sort_by_key(|(name, _)| (!name.ends_with('*'), name.len()));
        fitting.into_iter().fold(ResourceSettings::default(), |general, (_, special)| {
            ResourceSettings {
                cpu: special.cpu.or(general.cpu),
                memory: special.memory.or(general.memory),
                time: special.time.or(general.time),
                gpus: special.gpus.or(general.gpus),
            }
        })
    }
}

/// The JSON Schema of `fuseline.toml`, for editors.
pub fn settings_schema() -> Value {
    schemars::schema_for!(Settings).to_value()
}

/// The folder of the cache: the one that is asked for, else as the environment or a file of
/// settings says, else `cache`.
///
/// `folder`: where the nearest `fuseline.toml` is looked for. A mistake in the settings is an error
/// whatever is asked for.
pub fn cache_folder(asked: Option<&Path>, folder: &Path) -> Result<PathBuf, Error> {
    let loaded = LoadedSettings::load(folder)?;
    let path = asked.unwrap_or_else(|| loaded.settings.cache.path.as_ref());
    Ok(path.to_owned())
}

/// The remote behind the cache: the one that is asked for, else as the environment or a file of
/// settings says, else none.
///
/// `folder`: where the nearest `fuseline.toml` is looked for.
pub fn remote_settings(
    address: Option<&str>,
    mode: Option<RemoteMode>,
    folder: &Path,
) -> Result<Option<RemoteSettings>, Error> {
    let CacheSettings { remote, mode: set_mode, remote_timeout, .. } =
        LoadedSettings::load(folder)?.settings.cache;
    let asked = address.map(str::parse).transpose();
    let asked = asked.map_err(|error| Error::request(format!("--remote {error}")))?;
    Ok(asked.or(remote).map(|address| RemoteSettings {
        mode: mode.unwrap_or(set_mode),
        timeout: remote_timeout.into(),
        ..RemoteSettings::new(address)
    }))
}

#[cfg(test)]
mod tests;
