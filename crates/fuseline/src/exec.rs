//! Execution of single actions that a run has written down, without its workflow.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use fuseline_cache::{ActionKey, Cache, OutputRecord};
use fuseline_engine::{
    Executor, LocalExecutor, Lookup, StageError, find_job, is_cautions, peek, read_cautions,
};

use crate::error::Error;
use crate::plugin_path::{nearest_lock, plugin_path, services};

/// How an action is executed.
#[derive(Debug, Clone, Default)]
pub struct ExecOptions {
    /// Folders to search for fusion rules before all others.
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

/// Executes one action that a run has written down, unless the cache holds its outputs.
pub fn exec(cache: &Cache, key: &ActionKey, options: &ExecOptions) -> Result<Execution, Error> {
    let job = find_job(cache, key)?.ok_or_else(|| {
        Error::request(format!("no run that the cache keeps has written action {key} down"))
            .with_hint("a run writes an action down when it starts to execute it".to_owned())
    })?;
    let kinds = fuseline_stages::kinds();
    let lock = nearest_lock(Path::new("."));
    let path = plugin_path(&options.plugin_path, &[])?;
    let services = services(path, None, lock.as_deref())?;
    let failure = |error: StageError| Error::Action { action: job.site.clone(), error };
    job.check(&kinds, &services).map_err(failure)?;
    // Waits while another executes the same action; after that it may be there.
    let lease = cache.lease(&job.key)?;
    let (mut outputs, seconds, cpu_seconds) = match peek(cache, &job.key)? {
        Lookup::Cached(record) if !options.again => (record.outputs, None, None),
        _ => {
            let started = Instant::now();
            let executor = LocalExecutor::new(&kinds, &services, cache).for_one();
            let stop = Arc::new(AtomicBool::new(false));
            let executed = executor.execute(&job, &stop).map_err(failure)?;
            let seconds = Some(started.elapsed().as_secs_f64());
            (executed.record.outputs, seconds, executed.cpu_seconds)
        }
    };
    drop(lease);
    cache.flush()?;
    let cautions = match outputs.iter().find(|output| is_cautions(output)) {
        Some(output) => read_cautions(cache, &output.digest).map_err(failure)?,
        None => Vec::new(),
    };
    outputs.retain(|output| !is_cautions(output));
    let action = job.site.clone();
    Ok(Execution { action, key: job.key, seconds, cpu_seconds, cautions, outputs })
}
