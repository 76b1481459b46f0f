//! Execution of single actions that a run has written down, without its workflow.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use fuseline_cache::{ActionKey, Cache, OutputRecord};
use fuseline_engine::{
    Completion, Job, LocalExecutor, StageError, find_job, is_cautions, read_batch, read_cautions,
};

use crate::error::Error;
use crate::open_cache;
use crate::plugin_path::{nearest_lock, plugin_path, services};
use crate::settings::LoadedSettings;

/// How an action is executed.
#[derive(Debug, Clone, Default)]
pub struct ExecOptions {
    /// Folders to search for fusion rules before those of the run.
    pub plugin_path: Vec<PathBuf>,
    /// Whether to execute an action whose outputs are in the cache.
    pub again: bool,
}

/// Result of [`exec`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Execution {
    /// `stage[axis=label]`.
    pub action: String,
    /// Its key.
    pub key: ActionKey,
    /// Wall time; none when the action was cached.
    pub seconds: Option<f64>,
    /// Processor time of the thread that executed it, where that is known.
    pub cpu_seconds: Option<f64>,
    /// The cautions of its results.
    pub cautions: Vec<String>,
    /// Its outputs.
    pub outputs: Vec<OutputRecord>,
}

/// Executes the action of a key that a run has written down, unless the cache holds its outputs.
pub fn exec(cache: &Cache, key: &ActionKey, options: &ExecOptions) -> Result<Execution, Error> {
    let job = find_job(cache, key)?.ok_or_else(|| {
        Error::request(format!("no run that the cache keeps has written action {key} down"))
            .with_hint("a run writes an action down when it starts to execute it".to_owned())
    })?;
    exec_job(cache, job, options)
}

/// Executes the i-th action of a batch, counted from 0, as [`exec`] does. The cache is the one that
/// the batch lies in.
pub fn exec_batch(batch: &Path, index: u64, options: &ExecOptions) -> Result<Execution, Error> {
    let unreadable = |source| Error::Read { path: batch.to_owned(), source };
    let batch = batch.canonicalize().map_err(unreadable)?;
    // CACHE/runs/ID/batches/N
    let folder = batch.ancestors().nth(4);
    let cache = folder.and_then(|folder| open_cache(folder).ok()).ok_or_else(|| {
        Error::request(format!("{} lies in no cache", batch.display())).with_hint(
            "a run that hands jobs to an engine writes batches into its cache".to_owned(),
        )
    })?;
    let job = read_batch(&batch, index).map_err(unreadable)?.ok_or_else(|| {
        Error::request(format!("the batch {} has no job {index}", batch.display()))
    })?;
    exec_job(&cache, job, options)
}

fn exec_job(cache: &Cache, mut job: Job, options: &ExecOptions) -> Result<Execution, Error> {
    let kinds = fuseline_stages::kinds();
    let lock = nearest_lock(Path::new("."));
    // Folders of the run that are not there are no mistake of whoever executes one of its actions.
    let of_job = job.plugin_path.iter().filter(|folder| folder.is_dir()).cloned();
    let folders: Vec<PathBuf> = options.plugin_path.iter().cloned().chain(of_job).collect();
    let settings = LoadedSettings::load(Path::new("."))?.settings;
    let path = plugin_path(&folders, &[], &settings)?;
    let services = services(path, job.isolation, lock.as_deref(), &settings)?;
    let action = job.site.clone();
    let failure = |error: StageError| Error::Action { action: action.clone(), error };
    job.check(&kinds, &services).map_err(failure)?;
    job.reuse = !options.again;
    let executor = LocalExecutor::new(&kinds, &services, cache).for_one();
    // Waits while another executes the same action; after that it may be there.
    let lease = cache.lease(&job.key)?;
    let started = Instant::now();
    let completion =
        with_deadline(job.limits.timeout, |stop| executor.execute(&job, lease, stop, || {}));
    let (mut outputs, seconds, cpu_seconds) = match completion {
        Completion::Executed(executed) => {
            let seconds = Some(started.elapsed().as_secs_f64());
            (executed.record.outputs, seconds, executed.cpu_seconds)
        }
        Completion::Cached(record) => (record.outputs, None, None),
        Completion::Failed(error) => return Err(failure(error)),
        Completion::CacheFailed(error) => return Err(error.into()),
        // The lease is held.
        Completion::Busy(_) => return Err(Error::failed(format!("{action} is busy"))),
    };
    cache.flush()?;
    let cautions = match outputs.iter().find(|output| is_cautions(output)) {
        Some(output) => read_cautions(cache, &output.digest).map_err(failure)?,
        None => Vec::new(),
    };
    outputs.retain(|output| !is_cautions(output));
    Ok(Execution { action, key: job.key, seconds, cpu_seconds, cautions, outputs })
}

/// Executes with a flag that is raised when the time is over; what fails then has failed for that.
fn with_deadline(
    timeout: Option<Duration>,
    execute: impl FnOnce(&Arc<AtomicBool>) -> Completion,
) -> Completion {
    let stop = Arc::new(AtomicBool::new(false));
    let Some(timeout) = timeout else { return execute(&stop) };
    let (running, ended) = channel::<()>();
    let completion = std::thread::scope(|scope| {
        let flag = &stop;
        scope.spawn(move || {
            if ended.recv_timeout(timeout) == Err(RecvTimeoutError::Timeout) {
                flag.store(true, Ordering::Relaxed);
            }
        });
        let completion = execute(&stop);
        drop(running);
        completion
    });
    match completion {
        Completion::Failed(_) if stop.load(Ordering::Relaxed) => {
            Completion::Failed(StageError::timed_out(timeout))
        }
        completion => completion,
    }
}
