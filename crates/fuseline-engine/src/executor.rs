//! The seam between a run and whatever executes its actions.
//!
//! A run submits jobs, and hears of their beginning and end through updates: any number of jobs may
//! be in flight, and none of them needs a thread of the run. Whoever executes a job takes the lease
//! of its action, so that a process that was started for it never waits for the run that asked for
//! it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use fuseline_cache::{ActionRecord, CacheError};

use crate::coordinator::stopwatch::Stopwatch;
use crate::error::StageError;
use crate::execute::ExecuteError;
use crate::job::Job;
use crate::plan::ActionId;

/// Executes jobs: in this process, or by an engine of another.
pub trait Executor {
    /// Serves one run: calls `drive` once, with the queue that takes the run's jobs. When `drive`
    /// returns, no job is in flight that the run still waits for.
    ///
    /// `jobs`: how many jobs the run has in flight at most, and how many threads they share.
    fn serve(&self, jobs: usize, drive: &mut Drive<'_>) -> Result<(), ExecuteError>;

    /// True if jobs read their inputs through the cache of the run, and so fetch what the remote
    /// has of them. Elsewhere there may be no way to the remote: what a job reads is fetched before
    /// it is submitted.
    fn fetches_inputs(&self) -> bool {
        false
    }

    /// Number of executions so far of actions that another process executed at the same time, of
    /// those too that ended when nobody waited for them; none where completions tell all of them.
    fn count_duplicates(&self) -> Option<usize> {
        None
    }
}

/// The run's side of [`Executor::serve`].
pub type Drive<'d> = dyn FnMut(&dyn JobQueue) -> Result<(), ExecuteError> + 'd;

/// Takes jobs.
pub trait JobQueue {
    /// Takes jobs that may start, and returns at once.
    fn submit(&self, submissions: Vec<Submission>);

    /// Reports that the run stops: what has not begun need not begin, and may be answered as
    /// cancelled.
    fn stop(&self) {}
}

/// A job, with what its executor needs to answer.
pub struct Submission {
    /// The job.
    pub job: Job,
    /// Raised once the result is no longer wanted.
    pub stop: Arc<AtomicBool>,
    /// Channel to the run.
    pub reply: Reply,
}

/// Channel from an executor to the run that submitted a job.
pub struct Reply {
    action: ActionId,
    updates: Sender<Update>,
    since: Instant,
    stopwatch: Arc<Stopwatch>,
}

/// An update about a submitted job.
pub(crate) struct Update {
    pub action: ActionId,
    pub news: News,
}

/// Content of an [`Update`].
pub(crate) enum News {
    Started,
    /// Something about the engine, for people.
    Note(String),
    Ended(Completion, Duration),
}

/// The end of a job.
#[derive(Debug)]
pub enum Completion {
    /// It was executed; its outputs and its record are in the cache.
    Executed(Executed),
    /// Another run had made its outputs meanwhile.
    Cached(ActionRecord),
    /// Another process holds the lease of the action; a retry of the job may succeed.
    Busy(Option<String>),
    /// It failed.
    Failed(StageError),
    /// The cache cannot be used: the run cannot go on.
    CacheFailed(CacheError),
}

/// An action that was executed.
#[derive(Debug)]
pub struct Executed {
    /// Its record, as it is in the cache.
    pub record: ActionRecord,
    /// The processor time of the thread that executed it; of work that it shared with other threads
    /// only its part.
    pub cpu_seconds: Option<f64>,
    /// True if another process executed the action at the same time and ended first.
    pub is_duplicate: bool,
    /// Bytes of memory that it was given, when that was more than its stage asked for: it had run
    /// out of memory.
    pub memory: Option<u64>,
}

impl Reply {
    pub(crate) fn new(
        action: ActionId,
        updates: Sender<Update>,
        stopwatch: Arc<Stopwatch>,
    ) -> Self {
        Self { action, updates, since: Instant::now(), stopwatch }
    }

    /// The stopwatch that an executor in this process measures with.
    pub(crate) fn stopwatch(&self) -> Arc<Stopwatch> {
        self.stopwatch.clone()
    }

    /// Reports that the job has begun: its time counts from now on. May be left out.
    pub fn started(&mut self) {
        self.since = Instant::now();
        self.send(News::Started);
    }

    /// Sends a message about the engine that executes the job, for people.
    pub fn note(&self, message: String) {
        self.send(News::Note(message));
    }

    /// Reports the completion of the job.
    pub fn ended(self, completion: Completion) {
        let time = match self.stopwatch.elapsed() {
            Duration::ZERO => self.since.elapsed(),
            measured => measured,
        };
        self.ended_after(completion, time);
    }

    /// Reports the completion of the job, and its duration where it was executed.
    pub fn ended_after(self, completion: Completion, time: Duration) {
        self.send(News::Ended(completion, time));
    }

    fn send(&self, news: News) {
        // The run outlives what it waits for; should it be gone, nobody needs the answer.
        let _ = self.updates.send(Update { action: self.action, news });
    }
}
