//! Execution of single actions that a run has written down, without its workflow.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use fuseline_cache::{ActionKey, Cache, OutputRecord};
use fuseline_engine::{
    Completion, Job, Kinds, LocalExecutor, Services, StageError, batch_len, find_job, is_cautions,
    is_discovered, read_batch, read_cautions,
};
use fuseline_host::Isolation;

use crate::error::Error;
use crate::executors::outcome::{ActionEnd, ActionStatus, Line, OutcomeWriter};
use crate::open_cache;
use crate::plugin_path::{RulePath, nearest_lock, plugin_path, services};
use crate::settings::LoadedSettings;

/// Options for executing an action.
#[derive(Debug, Clone, Default)]
pub struct ExecOptions {
    /// Folders to search for fusion rules before those of the run.
    pub plugin_path: Vec<PathBuf>,
    /// True to execute an action whose outputs are in the cache.
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
    /// True if another process executed it at the same time and ended first.
    pub is_duplicate: bool,
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
    let (batch, cache) = cache_of_batch(batch)?;
    exec_job(&cache, batch_job(&cache, &batch, index)?, options)
}

/// Executes the i-th part of a batch, counted from 0, of so many actions each: one after the other,
/// also after a failure. `observe` sees each; the number of those that failed is given.
///
/// The result of each is noted in the folder of the run, beside the batch, for the run that
/// submitted it.
pub fn exec_chunk(
    batch: &Path,
    part: u64,
    size: u64,
    options: &ExecOptions,
    observe: &mut dyn FnMut(&Result<Execution, Error>),
) -> Result<usize, Error> {
    let (batch, cache) = cache_of_batch(batch)?;
    let length = batch_len(&batch).map_err(unreadable(&batch))?;
    let start = part.saturating_mul(size).min(length);
    let indices: Vec<u64> = (start..start.saturating_add(size).min(length)).collect();
    if indices.is_empty() {
        return Err(Error::request(format!("the batch {} has no part {part}", batch.display())));
    }
    let number = batch.file_name().unwrap_or_default().to_string_lossy();
    let run = batch.ancestors().nth(2).unwrap_or(&batch);
    let path = run.join("outcomes").join(format!("{number}-{part}.jsonl"));
    let unwritten = |source| Error::Write { path: path.clone(), source };
    // Several nodes of Slurm may share a machine.
    let machine = std::env::var("SLURMD_NODENAME")
        .unwrap_or_else(|_| rustix::system::uname().nodename().to_string_lossy().into_owned());
    let mut outcomes = OutcomeWriter::begin(&path, &machine).map_err(unwritten)?;
    let kinds = fuseline_stages::kinds();
    let mut failed = 0;
    let mut jobs = indices.into_iter().map(|index| batch_job(&cache, &batch, index)).peekable();
    while let Some(job) = jobs.next() {
        let job = job?;
        // Jobs of one stage share their services, and what they read and make.
        let surroundings = Surroundings::of_job(&job, options)?;
        let executor = LocalExecutor::new(&kinds, &surroundings.services, &cache);
        let mut next = Some(job);
        while let Some(job) = next.take() {
            let key = job.key;
            let result = run_job(&executor, &kinds, &surroundings.services, &cache, job);
            let line = Line::Ended(action_end(key, &result).into());
            outcomes.write(&line).map_err(unwritten)?;
            observe(&result);
            match result {
                Err(error @ Error::Cache(_)) => return Err(error),
                Err(_) => failed += 1,
                Ok(_) => {}
            }
            let fits =
                |job: &Result<Job, Error>| job.as_ref().is_ok_and(|job| surroundings.fit(job));
            next = jobs.next_if(fits).transpose()?;
        }
    }
    Ok(failed)
}

/// The line about the end of an action.
fn action_end(key: ActionKey, result: &Result<Execution, Error>) -> ActionEnd {
    let (status, error) = match result {
        Ok(Execution { seconds: Some(_), .. }) => (ActionStatus::Executed, None),
        Ok(_) => (ActionStatus::Cached, None),
        Err(Error::Action { error, .. }) => (ActionStatus::Failed, Some(error.as_ref().into())),
        Err(error) => (ActionStatus::Failed, Some((&StageError::failed(error.to_string())).into())),
    };
    let execution = result.as_ref().ok();
    ActionEnd {
        key,
        status,
        seconds: execution.and_then(|execution| execution.seconds),
        cpu_seconds: execution.and_then(|execution| execution.cpu_seconds),
        is_duplicate: execution.is_some_and(|execution| execution.is_duplicate),
        error,
    }
}

fn unreadable(path: &Path) -> impl Fn(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Read { path: path.clone(), source }
}

/// The path of a batch, without links, and the cache that it lies in.
fn cache_of_batch(batch: &Path) -> Result<(PathBuf, Cache), Error> {
    let batch = batch.canonicalize().map_err(unreadable(batch))?;
    // CACHE/runs/ID/batches/N
    let folder = batch.ancestors().nth(4);
    let cache = folder.and_then(|folder| open_cache(folder).ok()).ok_or_else(|| {
        Error::request(format!("{} lies in no cache", batch.display())).with_hint(
            "a run that hands jobs to an engine writes batches into its cache".to_owned(),
        )
    })?;
    Ok((batch, cache))
}

fn batch_job(cache: &Cache, batch: &Path, index: u64) -> Result<Job, Error> {
    read_batch(cache, batch, index)
        .map_err(unreadable(batch))?
        .ok_or_else(|| Error::request(format!("the batch {} has no job {index}", batch.display())))
}

/// Context that jobs of one stage share.
struct Surroundings {
    plugin_path: Vec<PathBuf>,
    rule_files: Vec<(String, PathBuf)>,
    isolation: Option<Isolation>,
    services: Services,
}

impl Surroundings {
    fn of_job(job: &Job, options: &ExecOptions) -> Result<Self, Error> {
        let lock = nearest_lock(Path::new("."));
        // Folders of the run that are not there are no mistake of whoever executes one of its
        // actions.
        let of_job = job.plugin_path.iter().filter(|folder| folder.is_dir()).cloned();
        let folders: Vec<PathBuf> = options.plugin_path.iter().cloned().chain(of_job).collect();
        let loaded = LoadedSettings::load(Path::new("."))?;
        let search = plugin_path(&folders, &[], &loaded.settings)?;
        let path = RulePath { search, named: job.rule_files.clone() };
        let services = services(path, job.isolation, lock.as_deref(), &loaded)?;
        Ok(Self {
            plugin_path: job.plugin_path.clone(),
            rule_files: job.rule_files.clone(),
            isolation: job.isolation,
            services,
        })
    }

    fn fit(&self, job: &Job) -> bool {
        job.plugin_path == self.plugin_path
            && job.rule_files == self.rule_files
            && job.isolation == self.isolation
    }
}

fn exec_job(cache: &Cache, mut job: Job, options: &ExecOptions) -> Result<Execution, Error> {
    let kinds = fuseline_stages::kinds();
    let surroundings = Surroundings::of_job(&job, options)?;
    job.reuse = !options.again;
    let executor = LocalExecutor::new(&kinds, &surroundings.services, cache).for_one();
    run_job(&executor, &kinds, &surroundings.services, cache, job)
}

fn run_job(
    executor: &LocalExecutor<'_>,
    kinds: &Kinds,
    services: &Services,
    cache: &Cache,
    job: Job,
) -> Result<Execution, Error> {
    let action = job.site.clone();
    let failure = |error: StageError| Error::Action { action: action.clone(), error: error.into() };
    job.check(kinds, services).map_err(failure)?;
    // Waits while another executes the same action; after that it may be there.
    let lease = cache.lease(&job.key)?;
    let started = Instant::now();
    let completion =
        with_deadline(job.limits.timeout, |stop| executor.execute(&job, lease, stop, || {}));
    let (mut outputs, seconds, cpu_seconds, is_duplicate) = match completion {
        Completion::Executed(executed) => {
            let seconds = Some(started.elapsed().as_secs_f64());
            cache.note_executed(&job.key);
            (executed.record.outputs, seconds, executed.cpu_seconds, executed.is_duplicate)
        }
        Completion::Cached(record) => (record.outputs, None, None, false),
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
    outputs.retain(|output| !is_cautions(output) && !is_discovered(output));
    Ok(Execution { action, key: job.key, seconds, cpu_seconds, is_duplicate, cautions, outputs })
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
