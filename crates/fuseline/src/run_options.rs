//! The request for a run, its progress and its result.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use fuseline_cache::{Cache, LeaseKind};
use fuseline_engine::{Caution, Class, Event, Executor, JobFolder};
use fuseline_remote::{RemoteReport, RemoteSettings};
use fuseline_workflow::{Diagnostic, Files};

use crate::error::Error;
use crate::settings::ExecutorName;

/// Options for running a study.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The cache's folder; made when it is not there.
    pub cache: PathBuf,
    /// The leases that the cache is to have, with the time between two beats, whatever it has.
    pub leases: Option<(LeaseKind, Duration)>,
    /// A remote behind the cache.
    pub remote: Option<RemoteSettings>,
    /// The folder of the outputs; `results/NAME` by default.
    pub out: Option<PathBuf>,
    /// Stages to restrict the run to, with what they need; all when empty.
    pub only: Vec<String>,
    /// The most actions that run at once; the number of cores by default.
    pub jobs: Option<usize>,
    /// The most bytes that the running actions may ask for together; all memory by default.
    pub memory: Option<u64>,
    /// True to go on, after a failure, with what does not depend on it.
    pub keep_going: bool,
    /// True to keep the folders of programs that failed, under `failed` in the folder of the run.
    pub keep_failed: bool,
    /// True to read every source file, also those whose times say that they did not change.
    pub rehash: bool,
    /// Executor of the actions; as the settings say by default.
    pub executor: Option<ExecutorName>,
    /// Ends the run once it is raised: what is in flight is finished, nothing new is started.
    pub stop: Arc<AtomicBool>,
    /// Once it is raised, what an engine has in flight is cancelled, too.
    pub cancel: Arc<AtomicBool>,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            cache: PathBuf::from("cache"),
            leases: None,
            remote: None,
            out: None,
            only: Vec::new(),
            jobs: None,
            memory: None,
            keep_going: false,
            keep_failed: false,
            rehash: false,
            executor: None,
            stop: Arc::default(),
            cancel: Arc::default(),
        }
    }
}

/// Progress of a run, in this order: warnings, the plan, then events.
#[derive(Debug)]
pub enum RunProgress<'a> {
    /// Parts of the workflow that have no effect or are likely not meant.
    Warnings(&'a [Diagnostic], &'a Files),
    /// The stages that the run wants and their numbers of actions.
    Planned(&'a [(String, usize)]),
    /// An event of the run.
    Event(&'a Event),
    /// The run waits until the remote has taken the results of so many actions.
    Sending(usize),
}

/// Makes the executor of a run on a cache, which can write jobs down in the run's folder.
pub type MakeExecutor<'m> = dyn Fn(Arc<Cache>, JobFolder) -> Box<dyn Executor> + 'm;

/// The receiver of a run's progress; called on the thread that runs the study.
pub type Observer<'o> = dyn FnMut(RunProgress<'_>) + 'o;

/// Result of a run that ended, well or not.
#[derive(Debug)]
#[non_exhaustive]
pub struct RunSummary {
    /// The run's id.
    pub run: String,
    /// `ok`, `failed` or `interrupted`.
    pub status: &'static str,
    /// The actions that the run wanted.
    pub actions: usize,
    /// Actions that this run executed, failed ones included.
    pub executed: usize,
    /// Actions whose outputs were in the cache.
    pub cached: usize,
    /// Those of them that share their key with an action that this run executed: nothing that their
    /// points differ in enters their stage.
    pub shared: usize,
    /// Actions that failed.
    pub failed: usize,
    /// Actions that were not tried.
    pub skipped: usize,
    /// Executions of actions that another process executed at the same time, to the same outputs.
    pub duplicates: usize,
    /// Wall time.
    pub seconds: f64,
    /// True if the workflow has a report, and with it an answer: see [`crate::verdicts`].
    pub has_reports: bool,
    /// Traffic with the remote, when there is one.
    pub remote: Option<RemoteReport>,
    /// Cautions with which the results are to be read, of all actions that the run wanted.
    pub cautions: Vec<Caution>,
    /// Warnings that the executed actions logged, and of interpreters that are others than in the
    /// last run, a line each.
    pub action_warnings: Vec<String>,
    /// The files that were delivered, with their names in the workflow, in its order.
    pub outputs: Vec<(String, PathBuf)>,
    /// The failures, each at its place in the workflow.
    pub failures: Vec<Diagnostic>,
    /// The texts that the failures point into.
    pub files: Files,
    /// The reason why outputs could not be delivered.
    pub undelivered: Option<Error>,
    /// The class of the worst failure.
    pub class: Option<Class>,
}
