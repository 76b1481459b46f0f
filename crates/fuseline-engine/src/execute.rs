//! Runs a plan: every action through one state machine.
//!
//! ```text
//! Waiting -> (inputs known) -> Cached
//!                           -> Queued -> Running -> Done
//!                                     -> Cached              another run made it meanwhile
//!                                     -> Running -> Queued      it failed and may be tried again, or an input was
//!                                                                damaged and is made again first
//!                                     -> Running -> Failed
//!         -> Skipped                                         an input failed, or the run stops
//! ```
//!
//! One thread, the coordinator, owns all states, computes keys and looks them up; only executions
//! go to the executor, which takes the lease. An action whose lease another run holds comes back
//! busy, and the coordinator submits it again: a pool thread never blocks on one, so two runs
//! cannot wait for each other.
//!
//! An action that takes longer than its stage's timeout is asked to stop through its own flag, and
//! has failed when it does; what it gives all the same is not kept. A run that is told to stop
//! finishes what is in flight.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};

use fuseline_artifact::Digest;
use fuseline_cache::{ActionKey, Cache, CacheError, Index, Made, PreviousKeys};
use fuseline_host::{Isolation, Sourced};
use fuseline_workflow::{IndexVec, OutputIndex};
use thiserror::Error;

use crate::cautions::{self, ActionCautions};
use crate::coordinator::{Coordinator, POLL};
use crate::discovered::DiscoveredFile;
use crate::error::StageError;
use crate::events::Event;
use crate::executor::{Executor, JobQueue, Update};
use crate::files::FileDigests;
use crate::files_read::{FileRead, files_of_actions};
use crate::inputs::Provenance;
use crate::plan::{ActionId, OutputSlot, Plan};
use crate::provenance;
use crate::resolve::{ResolvedInput, resolve_inputs};

/// Options of a run.
#[derive(Debug, Clone, Copy)]
pub struct RunOptions<'o> {
    /// Number of actions that run at once, and of the threads that they share.
    pub jobs: usize,
    /// Go on with what does not depend on a failure.
    pub keep_going: bool,
    /// Bytes that the running actions may request together; `None` for no limit.
    pub memory: Option<u64>,
    /// Bytes that one action may use for what it reads where neither stage nor workflow limits its
    /// memory, and what bounds them, in words.
    pub read_memory: Option<&'o Sourced<u64>>,
    /// Isolation of fusion rules, whatever stages and the workflow say.
    pub isolation: Option<Isolation>,
    /// The folders that are searched for fusion rules, for jobs that are executed elsewhere.
    pub plugin_path: &'o [PathBuf],
    /// Folder in which the folders of failed programs are kept; they are removed when there is
    /// none.
    pub keep_failed: Option<&'o Path>,
}

impl Default for RunOptions<'_> {
    /// One job at a time, and nothing after a failure.
    fn default() -> Self {
        Self {
            jobs: 1,
            keep_going: false,
            memory: None,
            read_memory: None,
            isolation: None,
            plugin_path: &[],
            keep_failed: None,
        }
    }
}

/// State of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActionState {
    /// Not all of its inputs are known. Does not mean that they are being made.
    Waiting,
    /// Its key is known and not in the cache; it waits for a thread or a lease.
    Queued,
    /// A thread of this run executes it.
    Running,
    /// Its outputs were in the cache. Does not mean that this run read them.
    Cached,
    /// This run executed it.
    Done,
    /// This run executed it and it failed. Nothing of it is in the cache.
    Failed,
    /// It was not tried.
    Skipped,
    /// This invocation does not want it.
    Unwanted,
}

impl ActionState {
    /// True if its outputs exist.
    pub fn is_made(self) -> bool {
        matches!(self, Self::Cached | Self::Done)
    }

    /// The word for it in manifests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Cached => "cached",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Unwanted => "unwanted",
        }
    }
}

/// An action that failed.
#[derive(Debug)]
pub struct ActionFailure {
    /// The action.
    pub action: ActionId,
    /// The error.
    pub error: StageError,
}

/// Outcome of a plan's execution.
pub struct Outcome {
    /// The state of every action.
    pub states: IndexVec<ActionId, ActionState>,
    /// Failures, in the order of the plan.
    pub failures: Vec<ActionFailure>,
    /// True if the run was told to stop.
    pub interrupted: bool,
    /// The key of every action that was reached.
    pub keys: IndexVec<ActionId, Option<ActionKey>>,
    /// Details of the actions that this run executed.
    pub executed: BTreeMap<ActionId, Execution>,
    /// Number of executions of actions that another process executed at the same time, to the same
    /// outputs.
    pub duplicates: usize,
    /// Error of the delivery of its outputs, if it failed; set by whoever delivers them.
    pub undelivered: Option<String>,
    /// Index for the next run, if it differs from the one that this run found.
    pub index_update: Option<Index>,
    /// The files that reached actions were found to have read.
    pub discovered: BTreeMap<ActionId, Vec<DiscoveredFile>>,
    /// The cautions of all actions whose outputs are there, in the order of the plan; see
    /// [`Outcome::read_cautions`].
    pub cautions: Vec<ActionCautions>,
    /// Every output that is known; see [`Outcome::output`].
    pub(crate) known: IndexVec<OutputSlot, Option<Made>>,
}

/// Details of an action that this run executed.
#[derive(Debug, Clone, Default)]
pub struct Execution {
    /// Reason why it was not reused.
    pub reason: String,
    /// Number of attempts.
    pub attempts: u32,
    /// Duration of the last attempt.
    pub seconds: f64,
    /// The processor time of the thread that executed it, where that is known.
    pub cpu_seconds: Option<f64>,
    /// Bytes of memory that it was given, when that was more than its stage asked for.
    pub memory: Option<u64>,
}

impl Outcome {
    /// The word for how the run ended, in its manifest and in what the command prints.
    pub fn status(&self) -> &'static str {
        if self.undelivered.is_some() {
            "failed"
        } else if self.interrupted {
            "interrupted"
        } else if self.failures.is_empty() {
            "ok"
        } else {
            "failed"
        }
    }

    /// Number of actions in a state.
    pub fn count(&self, state: ActionState) -> usize {
        self.states.iter().filter(|&&of| of == state).count()
    }

    /// This outcome as one of a run that began with another: what was executed before was not
    /// cached before the run.
    #[must_use]
    pub fn after(mut self, mut first: Self) -> Self {
        for (now, before) in self.states.iter_mut().zip(first.states) {
            if (*now, before) == (ActionState::Cached, ActionState::Done) {
                *now = ActionState::Done;
            }
        }
        first.executed.append(&mut self.executed);
        self.executed = first.executed;
        self.duplicates += first.duplicates;
        self
    }

    /// Reads the texts of the cautions from the cache.
    pub fn read_cautions(&mut self, cache: &Cache) -> Result<(), StageError> {
        cautions::read_all(cache, &mut self.cautions)
    }

    /// Every artifact that arrives at an action, also at ports that its kind does not read; none
    /// when one of them was not reached.
    pub fn inputs(&self, plan: &Plan<'_>, action: ActionId) -> Option<Vec<ResolvedInput>> {
        let inputs = plan.workflow.stages[plan.stage_of(action).0].inputs.iter_enumerated();
        let inputs = inputs.map(|(number, input)| (input.port.as_str(), number));
        let digest = |action, output| self.output(plan, action, output);
        resolve_inputs(plan, action, inputs, digest).collect()
    }

    /// The provenance of everything that the run wanted.
    pub fn provenance(&self, plan: &Plan<'_>) -> Provenance {
        let digest = |action, output| self.output(plan, action, output);
        let wants = |action| plan.wants(action);
        provenance::collect(plan, wants, digest, self.cautions.clone(), &self.discovered)
    }

    /// The files that the actions of the run read: those that keys name, and those that programs
    /// were found to have read.
    pub fn files_read(&self, plan: &Plan<'_>) -> Vec<FileRead> {
        files_of_actions(plan, |action| plan.wants(action), &self.discovered)
    }

    /// The digest of one output of an action, if it was reached.
    pub fn output(&self, plan: &Plan<'_>, action: ActionId, output: OutputIndex) -> Option<Digest> {
        self.known[plan.output_slot(action, output)].map(|made| made.digest)
    }
}

/// A run that could not go on at all.
#[derive(Debug, Error)]
pub enum ExecuteError {
    /// The cache could not be read or written.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The threads could not be started.
    #[error("cannot start the threads")]
    Threads(#[from] rayon::ThreadPoolBuildError),
    /// The executor could not begin or go on.
    #[error("{0}")]
    Executor(String),
}

/// Results that earlier runs left.
#[derive(Clone, Copy)]
pub struct PreviousRun<'r> {
    /// Index of the last run.
    pub index: &'r Index,
    /// The keys of the last ones, by `stage[axis=label]`, if it must be said what changed since.
    pub keys: &'r dyn Fn() -> PreviousKeys,
    /// Digests of the files that actions were found to have read.
    pub files: &'r FileDigests,
}

/// Runs a plan. `observe` sees every event, in order, on the calling thread.
pub fn execute(
    plan: &Plan<'_>,
    cache: &Cache,
    previous: PreviousRun<'_>,
    executor: &dyn Executor,
    options: RunOptions<'_>,
    stop: &AtomicBool,
    observe: &mut dyn FnMut(Event),
) -> Result<Outcome, ExecuteError> {
    let (sender, updates) = channel();
    let mut run = Coordinator::new(plan, cache, previous, options, stop, observe, sender);
    run.fetch_inputs = !executor.fetches_inputs();
    run.settle()?;
    if run.has_work() {
        // Threads and engines are started only when there is something to execute.
        let jobs = options.jobs.max(1);
        executor.serve(jobs, &mut |queue| drive(queue, &updates, &mut run))?;
    }
    Ok(run.outcome())
}

/// Submits what is to be executed, and looks up what follows.
fn drive(
    queue: &dyn JobQueue,
    updates: &Receiver<Update>,
    run: &mut Coordinator<'_, '_, '_>,
) -> Result<(), ExecuteError> {
    loop {
        run.settle()?;
        if run.begins_to_stop() {
            queue.stop();
        }
        let submissions = run.jobs_to_submit();
        if !submissions.is_empty() {
            queue.submit(submissions);
        }
        if run.is_idle() {
            if run.is_done() {
                return Ok(());
            }
            std::thread::sleep(POLL);
            continue;
        }
        match updates.recv_timeout(POLL) {
            Ok(update) => run.update(update)?,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
        while let Ok(update) = updates.try_recv() {
            run.update(update)?;
        }
        run.watch();
    }
}

#[cfg(test)]
mod tests;
