//! Any engine, by the commands of `[executor.command]`.
//!
//! Its state is that of whole arrays: one goes on while `poll` says so. How its actions ended is
//! known by what its tasks leave, as with every engine.

use std::process;

use super::engine::{ArrayRequest, Engine, EngineError, TaskEnd, TaskState, TaskStates, output};
use super::{shell_path, shell_word};
use crate::settings::CommandSettings;

pub(super) struct Command {
    settings: CommandSettings,
}

impl Command {
    pub fn new(settings: CommandSettings) -> Self {
        Self { settings }
    }
}

/// A line for the shell with `{name}` replaced.
fn fill(template: &str, values: &[(&str, String)]) -> String {
    values.iter().fold(template.to_owned(), |line, (name, value)| {
        line.replace(&format!("{{{name}}}"), value)
    })
}

fn shell(line: &str) -> Result<String, EngineError> {
    let printed = output(process::Command::new("sh").args(["-c", line]));
    printed.map_err(|error| EngineError {
        message: format!("`{line}`: {}", error.message.trim_start_matches("sh ")),
        ..error
    })
}

impl Engine for Command {
    fn name(&self) -> &'static str {
        "the engine of [executor.command]"
    }

    fn array_max(&self) -> u32 {
        self.settings.array_max
    }

    fn task_number(&self) -> String {
        let CommandSettings { task, first, .. } = &self.settings;
        format!("$((${{{task}}} - {first}))")
    }

    fn submit(&self, array: &ArrayRequest<'_>) -> Result<String, EngineError> {
        let CommandSettings { submit, id, first, .. } = &self.settings;
        let resources = array.resources;
        let (logs, log) = array.log;
        let minutes = resources.time.map_or(0.0, |time| (time.as_secs_f64() / 60.0).ceil());
        let line = fill(
            submit,
            &[
                ("script", shell_path(array.script)),
                ("name", shell_word(array.name)),
                ("log", shell_path(&logs.join(format!("{log}.out")))),
                ("first", first.to_string()),
                ("last", (first + array.tasks - 1).to_string()),
                ("tasks", array.tasks.to_string()),
                ("cpus", resources.cpus.to_string()),
                ("memory_mb", resources.memory_mib().unwrap_or(0).to_string()),
                ("minutes", minutes.to_string()),
                ("gpus", resources.gpus.to_string()),
            ],
        );
        let printed = shell(&line)?;
        let found = match id {
            Some(pattern) => {
                let found = pattern.regex().captures(&printed);
                found.and_then(|found| Some(found.get(1).or(found.get(0))?.as_str().to_owned()))
            }
            None => printed.split_whitespace().next().map(str::to_owned),
        };
        found.filter(|id| !id.is_empty()).ok_or_else(|| {
            EngineError::new(format!("`{line}` printed {printed:?}, in which there is no id"))
        })
    }

    fn poll(&self, arrays: &[(&str, u32)]) -> Result<TaskStates, EngineError> {
        let mut states = TaskStates::new();
        for (id, tasks) in arrays {
            let printed = shell(&fill(&self.settings.poll, &[("id", (*id).to_owned())]));
            let goes_on = match (printed, &self.settings.alive) {
                (Ok(printed), Some(alive)) => {
                    printed.lines().any(|line| alive.regex().is_match(line))
                }
                (Ok(_), None) => true,
                (Err(error), _) if error.is_transient => return Err(error),
                (Err(_), _) => false,
            };
            if goes_on {
                states.extend((0..*tasks).map(|task| {
                    let task = ((*id).to_owned(), task);
                    (task, TaskState::Waiting)
                }));
            }
        }
        Ok(states)
    }

    fn may_lack_memory(&self, end: &TaskEnd) -> bool {
        matches!(end, TaskEnd::OutOfMemory | TaskEnd::Lost(_))
    }

    fn cancel(&self, arrays: &[&str]) -> Result<(), EngineError> {
        for id in arrays {
            shell(&fill(&self.settings.cancel, &[("id", (*id).to_owned())]))?;
        }
        Ok(())
    }
}
