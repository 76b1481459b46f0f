//! Execution by engines that exist: Slurm, HyperQueue, or any other by its commands.
//!
//! A run hands ready actions over as batches ([`batch`]): the tasks of one job array, each of which
//! executes some actions, one after the other, by `fuseline exec` on the shared cache. A task notes
//! how each action ended in a file of its own ([`outcome`]), which the run reads; the engine is
//! asked only for what has begun and what is gone. The truth is the action's record. **Invariant:**
//! nothing that an engine says, loses or does twice changes a result.

mod array;
mod batch;
mod command;
mod durations;
pub(super) mod engine;
mod hyperqueue;
pub(crate) mod outcome;
mod slurm;
mod task;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use fuseline_cache::Cache;
use fuseline_engine::JobFolder;

use crate::error::Error;
use crate::settings::{ExecutorName, ExecutorSettings, LoadedSettings};
use engine::Engine;

pub use array::cancel_run;
pub(crate) use array::is_cancelled;
pub(crate) use batch::BatchExecutor;

/// Makes the executor of a run.
pub(crate) fn executor(
    name: ExecutorName,
    loaded: &LoadedSettings,
    cache: Arc<Cache>,
    jobs: JobFolder,
    run: &Path,
    cancel: Arc<AtomicBool>,
) -> Result<BatchExecutor, Error> {
    let settings = &loaded.settings.executor;
    let program = match &settings.program {
        Some(program) => program.as_ref().to_owned(),
        None => std::env::current_exe().map_err(|error| {
            Error::failed(format!("cannot find the program of this command: {error}"))
        })?,
    };
    let run = run.canonicalize().map_err(|source| Error::Read { path: run.to_owned(), source })?;
    Ok(BatchExecutor {
        engine: engine(name, settings)?,
        name,
        cache,
        jobs,
        run,
        program,
        settings_file: loaded.nearest.clone(),
        settings: settings.clone(),
        cancel,
        adopted: Mutex::default(),
    })
}

/// The engine of a name, by the settings.
fn engine(name: ExecutorName, settings: &ExecutorSettings) -> Result<Arc<dyn Engine>, Error> {
    Ok(match name {
        ExecutorName::Local => return Err(Error::failed("this machine is no engine")),
        ExecutorName::Slurm => Arc::new(slurm::Slurm::new(settings.slurm.clone())),
        ExecutorName::HyperQueue => {
            Arc::new(hyperqueue::HyperQueue::new(settings.hyperqueue.clone()))
        }
        ExecutorName::Command => {
            let command = settings.command.clone().ok_or_else(|| {
                Error::request("the executor `command` needs the settings [executor.command]")
                    .with_hint("docs/cluster.md has them for PBS and for LSF".to_owned())
            })?;
            Arc::new(command::Command::new(command))
        }
    })
}

/// A path as a word for the shell.
fn shell_path(path: &Path) -> String {
    shell_word(&path.to_string_lossy())
}

/// A text as one word for the shell.
fn shell_word(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The file of a batch's part, in a folder of the run.
fn part_path(run: &Path, folder: &str, batch: &str, task: u32, ending: &str) -> PathBuf {
    run.join(folder).join(format!("{batch}-{task}.{ending}"))
}
