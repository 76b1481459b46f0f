//! The seam to an engine: submit, poll, cancel.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::settings::{ExecutorSettings, ResourceSettings};

/// An engine that executes arrays of tasks.
pub(super) trait Engine: Send + Sync {
    /// Name for people.
    fn name(&self) -> &'static str;

    /// Tasks of one array at most.
    fn array_max(&self) -> u32;

    /// The shell expression for the number of a task within its array, counted from 0.
    fn task_number(&self) -> String;

    /// Submits an array.
    fn submit(&self, array: &ArrayRequest<'_>) -> Result<String, EngineError>;

    /// The states of the tasks of arrays, with their numbers counted from 0. A task that is not
    /// listed is not known to the engine any more.
    ///
    /// `arrays`: ids with numbers of tasks.
    fn poll(&self, arrays: &[(&str, u32)]) -> Result<TaskStates, EngineError>;

    /// Cancels all tasks of arrays.
    fn cancel(&self, arrays: &[&str]) -> Result<(), EngineError>;

    /// Cancels the tasks of arrays that have not begun, where the engine can.
    fn cancel_waiting(&self, _arrays: &[&str]) -> Result<(), EngineError> {
        Ok(())
    }

    /// Those of some arrays that are still the ones that were submitted: a controller or a server
    /// that begins anew may give an id again.
    ///
    /// `arrays`: ids, with the labels that they were submitted with. An engine without labels takes
    /// all for what they were.
    fn still_ours(&self, arrays: &[(&str, &str)]) -> Result<BTreeSet<String>, EngineError> {
        Ok(arrays.iter().map(|(id, _)| (*id).to_owned()).collect())
    }

    /// True if a task that ended so in the middle of an action may have run out of memory: an engine
    /// that does not tell has the same words for other ends.
    fn may_lack_memory(&self, end: &TaskEnd) -> bool {
        *end == TaskEnd::OutOfMemory
    }

    /// Setting that requests a task's resource, to name it in a hint.
    fn resource_setting(&self, resource: &str) -> String {
        format!("`resources: {{{resource}}}` of the stage, or [executor.resources.KIND] {resource}")
    }
}

/// The states of tasks, by array and number.
pub(super) type TaskStates = BTreeMap<(String, u32), TaskState>;

/// An array to submit.
pub(super) struct ArrayRequest<'a> {
    /// Name for people.
    pub name: &'a str,
    /// Text that no other array has.
    pub label: &'a str,
    /// The script that each task runs.
    pub script: &'a Path,
    /// The folder of logs, and the beginning of the name of the array's logs.
    pub log: (&'a Path, &'a str),
    /// The number of tasks.
    pub tasks: u32,
    /// Resources of each task.
    pub resources: Resources,
}

/// Resources of one task.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Resources {
    /// Processors.
    pub cpus: u32,
    /// Memory in bytes.
    pub memory: Option<u64>,
    /// Wall time of one action.
    pub time: Option<Duration>,
    /// GPUs.
    pub gpus: u32,
}

impl Resources {
    /// Resources of an action: by its stage, else by the settings for its kind.
    pub fn of_job(job: &fuseline_engine::Job, settings: &ExecutorSettings) -> Self {
        let ResourceSettings { cpu, memory, time, gpus } = settings.resources_of(&job.kind);
        let limits = &job.limits;
        Self {
            cpus: limits.cpu.or(cpu).unwrap_or(1.0).ceil().max(1.0) as u32,
            memory: limits.memory.or(memory.map(|memory| memory.bytes)),
            time: limits.time.or(time.map(Into::into)),
            gpus: limits.gpus.or(gpus).unwrap_or(0),
        }
    }

    /// Memory in MiB, rounded up.
    pub fn memory_mib(&self) -> Option<u64> {
        self.memory.map(|bytes| bytes.div_ceil(1 << 20))
    }

    /// The same for as many actions as one task executes one after the other.
    pub fn for_actions(self, actions: u32) -> Self {
        Self { time: self.time.map(|time| time * actions), ..self }
    }
}

/// State of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TaskState {
    /// It has not begun, or begins again.
    Waiting,
    /// It runs.
    Running,
    /// It has ended.
    Ended(TaskEnd),
}

/// Ending of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TaskEnd {
    /// It ran to its end, well or not: what it left says which. The engine's word for it.
    Exited(String),
    /// It was killed for its memory.
    OutOfMemory,
    /// It was killed for its time.
    TimedOut,
    /// Its node was lost, or took another job in its place. The engine's word for it.
    Lost(String),
    /// It was cancelled.
    Cancelled,
}

/// Error of an engine.
#[derive(Debug, Clone)]
pub(super) struct EngineError {
    /// A lower-case fragment.
    pub message: String,
    /// True if a later attempt may succeed.
    pub is_transient: bool,
}

impl EngineError {
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), is_transient: false }
    }
}

/// Messages of the engines' commands when a retry may help: the controller is away or busy, or the
/// user has as many jobs as are allowed.
const TRANSIENT: [&str; 12] = [
    "unable to contact",
    "connection refused",
    "connection reset",
    "timed out",
    "timeout",
    "temporarily",
    "try again",
    "submit limit",
    "submitjob",
    "maxjobcount",
    "no online server",
    "connection closed",
];

/// A command of an engine that takes longer is given up: a controller that is away must not hold
/// the run.
const COMMAND_TIME: Duration = Duration::from_secs(120);
/// Interval at which a command is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// Runs a command of an engine to its end and returns its output.
pub(super) fn output(command: &mut Command) -> Result<String, EngineError> {
    let name = command.get_program().to_string_lossy().into_owned();
    let cannot_start =
        |error: io::Error| EngineError::new(format!("{name} cannot be started: {error}"));
    // Files, and no pipes: what the command starts in the background may keep them open.
    let (mut stdout, mut stderr) =
        (tempfile::tempfile().map_err(cannot_start)?, tempfile::tempfile().map_err(cannot_start)?);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(stdout.try_clone().map_err(cannot_start)?)
        .stderr(stderr.try_clone().map_err(cannot_start)?)
        .spawn()
        .map_err(cannot_start)?;
    let began = Instant::now();
    let status = loop {
        match child.try_wait().map_err(cannot_start)? {
            Some(status) => break status,
            None if began.elapsed() < COMMAND_TIME => std::thread::sleep(LOOK),
            None => {
                let _ = child.kill();
                let _ = child.wait();
                let message = format!("{name} gave no answer for {} s", COMMAND_TIME.as_secs());
                return Err(EngineError { message, is_transient: true });
            }
        }
    };
    let printed = read(&mut stdout).map_err(cannot_start)?;
    if status.success() {
        return Ok(printed);
    }
    let said = read(&mut stderr).map_err(cannot_start)?;
    let said = if said.trim().is_empty() { printed } else { said };
    let lower = said.to_lowercase();
    Err(EngineError {
        is_transient: TRANSIENT.iter().any(|words| lower.contains(words)),
        message: format!("{name} ended with {status}: {}", said.trim()),
    })
}

fn read(file: &mut File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
