//! HyperQueue, by `hq`. Flat: no dependencies, since the graph is the run's. The state is read from
//! JSON, never from exit codes, which are 0 though a task failed.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use super::engine::{ArrayRequest, Engine, EngineError, TaskEnd, TaskState, TaskStates, output};
use crate::settings::HyperQueueSettings;

pub(super) struct HyperQueue {
    settings: HyperQueueSettings,
}

impl HyperQueue {
    pub fn new(settings: HyperQueueSettings) -> Self {
        Self { settings }
    }

    fn hq(&self) -> Command {
        let mut command = Command::new(&self.settings.program);
        if let Some(folder) = &self.settings.server_dir {
            command.arg("--server-dir").arg(folder.as_ref());
        }
        command.args(["--output-mode", "json"]);
        command
    }
}

impl Engine for HyperQueue {
    fn name(&self) -> &'static str {
        "HyperQueue"
    }

    fn array_max(&self) -> u32 {
        self.settings.array_max
    }

    fn task_number(&self) -> String {
        "$HQ_TASK_ID".to_owned()
    }

    fn submit(&self, array: &ArrayRequest<'_>) -> Result<String, EngineError> {
        let resources = array.resources;
        let (logs, log) = array.log;
        let log = format!("{}/{log}-%{{TASK_ID}}.log", logs.display());
        let mut command = self.hq();
        command
            .arg("submit")
            .arg(format!("--array=0-{}", array.tasks - 1))
            .arg(format!("--name={}", job_name(array.name, array.label)))
            .arg(format!("--stdout={log}"))
            .arg(format!("--stderr={log}"))
            .arg(format!("--cpus={}", resources.cpus));
        if let Some(memory) = resources.memory_mib() {
            command.arg(format!("--resource=mem={memory}"));
        }
        if resources.gpus > 0 {
            command.arg(format!("--resource=gpus/nvidia={}", resources.gpus));
        }
        if let Some(time) = resources.time {
            let seconds = time.as_secs_f64().ceil() as u64;
            command.arg(format!("--time-limit={seconds}s"));
            command.arg(format!("--time-request={seconds}s"));
        }
        command.args(&self.settings.options).args(["--", "sh"]).arg(array.script);
        let printed = output(&mut command)?;
        let id = parse(&printed)?["id"].as_u64();
        id.map(|id| id.to_string())
            .ok_or_else(|| EngineError::new(format!("hq submit printed no id but {printed:?}")))
    }

    fn poll(&self, arrays: &[(&str, u32)]) -> Result<TaskStates, EngineError> {
        if arrays.is_empty() {
            return Ok(TaskStates::new());
        }
        let ids: Vec<_> = arrays.iter().map(|(id, _)| *id).collect();
        let printed = output(self.hq().args(["task", "list"]).arg(ids.join(",")))?;
        Ok(task_states(&parse(&printed)?))
    }

    fn still_ours(&self, arrays: &[(&str, &str)]) -> Result<BTreeSet<String>, EngineError> {
        let printed = output(self.hq().args(["job", "list", "--all"]))?;
        let jobs = parse(&printed)?;
        let is_ours = |job: &Value| {
            let id = job["id"].as_u64()?.to_string();
            let name = job["name"].as_str()?;
            let (_, label) = arrays.iter().find(|(array, _)| *array == id)?;
            name.ends_with(&job_name("", label)).then_some(id)
        };
        Ok(jobs.as_array().into_iter().flatten().filter_map(is_ours).collect())
    }

    fn may_lack_memory(&self, end: &TaskEnd) -> bool {
        matches!(end, TaskEnd::OutOfMemory | TaskEnd::Exited(_))
    }

    fn cancel(&self, arrays: &[&str]) -> Result<(), EngineError> {
        if arrays.is_empty() {
            return Ok(());
        }
        output(self.hq().args(["job", "cancel"]).arg(arrays.join(","))).map(drop)
    }
}

/// The name of a job: it tells what its id cannot, since a server that begins anew counts anew.
fn job_name(name: &str, label: &str) -> String {
    format!("{name}@{label}")
}

fn parse(printed: &str) -> Result<Value, EngineError> {
    let unreadable = |_| EngineError::new(format!("hq printed no JSON but {printed:?}"));
    serde_json::from_str(printed).map_err(unreadable)
}

/// `{"JOB": [{"id": TASK, "state": "running"}, ...], ...}`.
fn task_states(list: &Value) -> TaskStates {
    let jobs = list.as_object().into_iter().flatten();
    let tasks = jobs.flat_map(|(job, tasks)| {
        tasks.as_array().into_iter().flatten().map(move |task| (job, task))
    });
    let state = |(job, task): (&String, &Value)| {
        let number = u32::try_from(task["id"].as_u64()?).ok()?;
        Some(((job.clone(), number), task_state(task)?))
    };
    tasks.filter_map(state).collect()
}

fn task_state(task: &Value) -> Option<TaskState> {
    Some(match task["state"].as_str()? {
        "waiting" => TaskState::Waiting,
        "running" => TaskState::Running,
        "canceled" | "aborted" => TaskState::Ended(TaskEnd::Cancelled),
        "failed" => {
            let error = task["error"].as_str().unwrap_or_default();
            TaskState::Ended(match error.to_lowercase().contains("time limit") {
                true => TaskEnd::TimedOut,
                false if error.contains("worker") => TaskEnd::Lost(error.to_owned()),
                false => TaskEnd::Exited(error.to_owned()),
            })
        }
        state => TaskState::Ended(TaskEnd::Exited(state.to_owned())),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn states_come_from_json_and_not_from_exit_codes() {
        let states = task_states(&json!({ "7": [
            { "id": 0, "state": "finished" },
            { "id": 1, "state": "failed", "error": "Program terminated with exit code 7." },
            { "id": 2, "state": "failed", "error": "Time limit reached" },
            { "id": 3, "state": "running" },
            { "id": 4, "state": "waiting" },
            { "id": 5, "state": "canceled" },
            { "id": "x", "state": "running" },
        ]}));
        let state = |task| states.get(&("7".to_owned(), task));
        assert_eq!(states.len(), 6);
        assert_eq!(state(3), Some(&TaskState::Running));
        assert_eq!(state(4), Some(&TaskState::Waiting));
        assert_eq!(state(2), Some(&TaskState::Ended(TaskEnd::TimedOut)));
        assert_eq!(state(5), Some(&TaskState::Ended(TaskEnd::Cancelled)));
        assert!(matches!(state(1), Some(TaskState::Ended(TaskEnd::Exited(_)))));
    }
}
