//! Slurm, by sbatch, squeue and scancel. Neither `--wait` (it asks every two seconds) nor sacct (it
//! needs a database) nor dependencies.

use std::collections::BTreeSet;
use std::process::Command;

use super::engine::{ArrayRequest, Engine, EngineError, TaskEnd, TaskState, TaskStates, output};
use crate::settings::SlurmSettings;

/// Number of arrays that are queried in one call.
const ARRAYS_A_CALL: usize = 100;

/// Words of slurmstepd in the log of a task. Without control groups (`OverMemoryKill`) a job that was
/// ended for its memory has merely failed.
const OUT_OF_MEMORY: [&str; 2] = ["error: Exceeded job memory limit", "oom_kill event in StepId"];

pub(super) struct Slurm {
    settings: SlurmSettings,
}

impl Slurm {
    pub fn new(settings: SlurmSettings) -> Self {
        Self { settings }
    }
}

/// A command of Slurm. Within a job of Slurm its variables would be taken for options of new ones.
fn slurm(program: &str) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let is_of_job = name.to_str().is_some_and(|name| {
            name.starts_with("SLURM_") && name != "SLURM_CONF" && name != "SLURM_CLUSTERS"
        });
        if is_of_job {
            command.env_remove(name);
        }
    }
    command
}

impl Engine for Slurm {
    fn name(&self) -> &'static str {
        "Slurm"
    }

    fn array_max(&self) -> u32 {
        self.settings.array_max
    }

    fn task_number(&self) -> String {
        "$SLURM_ARRAY_TASK_ID".to_owned()
    }

    fn submit(&self, array: &ArrayRequest<'_>) -> Result<String, EngineError> {
        let SlurmSettings { partition, account, qos, time, options, .. } = &self.settings;
        let resources = array.resources;
        let (logs, log) = array.log;
        let mut command = slurm("sbatch");
        command
            .args(["--parsable", "--requeue", "--open-mode=append"])
            .arg(format!("--array=0-{}", array.tasks - 1))
            .arg(format!("--job-name={}", array.name))
            .arg(format!("--comment={}", array.label))
            // A percent sign begins a pattern.
            .arg(format!("--output={}/{log}-%a.log", logs.display().to_string().replace('%', "%%")))
            .arg(format!("--cpus-per-task={}", resources.cpus));
        if let Some(memory) = resources.memory_mib() {
            command.arg(format!("--mem={memory}M"));
        }
        if let Some(time) = resources.time.or(time.map(Into::into)) {
            // Slurm counts whole minutes, or seconds of days-hours:minutes:seconds.
            let seconds = time.as_secs_f64().ceil() as u64;
            command.arg(format!(
                "--time={}-{:02}:{:02}:{:02}",
                seconds / 86_400,
                seconds / 3600 % 24,
                seconds / 60 % 60,
                seconds % 60
            ));
        }
        if resources.gpus > 0 {
            command.arg(format!("--gres=gpu:{}", resources.gpus));
        }
        for (option, value) in [("partition", partition), ("account", account), ("qos", qos)] {
            if let Some(value) = value {
                command.arg(format!("--{option}={value}"));
            }
        }
        command.args(options).arg(array.script);
        let printed = output(&mut command)?;
        // ID, or ID;CLUSTER.
        let id = printed.lines().last().unwrap_or_default().split(';').next().unwrap_or_default();
        match id.trim() {
            id if !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()) => {
                Ok(id.to_owned())
            }
            _ => Err(EngineError::new(format!("sbatch printed no job id but {printed:?}"))),
        }
    }

    fn poll(&self, arrays: &[(&str, u32)]) -> Result<TaskStates, EngineError> {
        let mut states = TaskStates::new();
        for arrays in arrays.chunks(ARRAYS_A_CALL) {
            let ids: Vec<_> = arrays.iter().map(|(id, _)| *id).collect();
            let mut command = slurm("squeue");
            command
                .args(["--noheader", "--array", "--states=all", "--format=%F|%K|%T|%r"])
                .arg(format!("--jobs={}", ids.join(",")));
            match output(&mut command) {
                Ok(printed) => states.extend(printed.lines().filter_map(parse_line)),
                // The controller has forgotten all of them.
                Err(error) if error.message.contains("Invalid job id") => {}
                Err(error) => return Err(error),
            }
        }
        Ok(states)
    }

    fn still_ours(&self, arrays: &[(&str, &str)]) -> Result<BTreeSet<String>, EngineError> {
        let mut ours = BTreeSet::new();
        for arrays in arrays.chunks(ARRAYS_A_CALL) {
            let ids: Vec<_> = arrays.iter().map(|(id, _)| *id).collect();
            let mut command = slurm("squeue");
            command
                .args(["--noheader", "--states=all", "--format=%F|%k"])
                .arg(format!("--jobs={}", ids.join(",")));
            let printed = match output(&mut command) {
                Ok(printed) => printed,
                Err(error) if error.message.contains("Invalid job id") => continue,
                Err(error) => return Err(error),
            };
            let jobs = printed.lines().filter_map(|line| line.trim().split_once('|'));
            ours.extend(jobs.filter(|job| arrays.contains(job)).map(|(id, _)| id.to_owned()));
        }
        Ok(ours)
    }

    fn log_tells_out_of_memory(&self, log: &str) -> bool {
        OUT_OF_MEMORY.iter().any(|words| log.contains(words))
    }

    fn cancel(&self, arrays: &[&str]) -> Result<(), EngineError> {
        scancel(arrays, &[])
    }

    fn cancel_waiting(&self, arrays: &[&str]) -> Result<(), EngineError> {
        scancel(arrays, &["--state=PENDING"])
    }
}

fn scancel(arrays: &[&str], options: &[&str]) -> Result<(), EngineError> {
    for arrays in arrays.chunks(ARRAYS_A_CALL) {
        match output(slurm("scancel").args(options).args(arrays)) {
            Err(error) if !error.message.contains("Invalid job id") => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// `ARRAY|INDEX|STATE|REASON`.
fn parse_line(line: &str) -> Option<((String, u32), TaskState)> {
    let mut fields = line.trim().split('|');
    let (array, task, state) = (fields.next()?, fields.next()?, fields.next()?);
    Some(((array.to_owned(), task.parse().ok()?), task_state(state)))
}

/// The state by Slurm's name for it. One that is not known is waited for.
fn task_state(state: &str) -> TaskState {
    match state {
        "COMPLETED" | "FAILED" => TaskState::Ended(TaskEnd::Exited(state.to_owned())),
        "OUT_OF_MEMORY" => TaskState::Ended(TaskEnd::OutOfMemory),
        "TIMEOUT" | "DEADLINE" => TaskState::Ended(TaskEnd::TimedOut),
        "NODE_FAIL" | "BOOT_FAIL" | "PREEMPTED" | "REVOKED" | "LAUNCH_FAILED" => {
            TaskState::Ended(TaskEnd::Lost(state.to_owned()))
        }
        "CANCELLED" => TaskState::Ended(TaskEnd::Cancelled),
        "RUNNING" | "COMPLETING" | "SUSPENDED" | "STOPPED" | "STAGE_OUT" | "SIGNALING"
        | "RESIZING" => TaskState::Running,
        // PENDING, CONFIGURING, REQUEUED, REQUEUE_HOLD, SPECIAL_EXIT and what a later version
        // brings.
        _ => TaskState::Waiting,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_about_memory_are_those_of_slurm() {
        let slurm = Slurm::new(SlurmSettings::default());
        let log = "n1 began\nslurmstepd-n1: error: Exceeded job memory limit\n";
        assert!(slurm.log_tells_out_of_memory(log));
        let log =
            "slurmstepd: error: Detected 1 oom_kill event in StepId=7.batch. Some of the step";
        assert!(slurm.log_tells_out_of_memory(log));
        assert!(!slurm.log_tells_out_of_memory("slurmstepd: error: *** JOB 7 CANCELLED ***"));
    }

    #[test]
    fn states_are_told_apart_and_unknown_ones_are_waited_for() {
        let of = |line: &str| parse_line(line).map(|(task, state)| (task.1, state));
        assert_eq!(of("12|3|RUNNING|None"), Some((3, TaskState::Running)));
        assert_eq!(of("12|3|PENDING|BeginTime"), Some((3, TaskState::Waiting)));
        assert_eq!(of("12|3|SOMETHING_NEW|None"), Some((3, TaskState::Waiting)));
        assert_eq!(of("12|3|TIMEOUT|TimeLimit"), Some((3, TaskState::Ended(TaskEnd::TimedOut))));
        let lost = TaskState::Ended(TaskEnd::Lost("NODE_FAIL".to_owned()));
        assert_eq!(of("12|3|NODE_FAIL|None"), Some((3, lost)));
        // A pending array that is written as one line has no index.
        assert_eq!(of("12|N/A|PENDING|None"), None);
        assert_eq!(of("slurm_load_jobs error"), None);
    }
}
