//! One task of an array: some actions that are executed one after the other.

use std::time::{Duration, Instant};

use fuseline_cache::{ActionKey, Cache};
use fuseline_engine::{Class, Completion, Executed, Lookup, Reply, StageError, Submission, peek};
use fuseline_workflow::MemoryRetry;

use super::engine::{Resources, TaskEnd};
use super::outcome::{ActionEnd, ActionStatus, OutcomeReader};
use crate::settings::ExecutorSettings;

/// An action of the run that waits to be submitted, or for its task.
pub(super) struct WaitingAction {
    pub key: ActionKey,
    pub stage: String,
    pub resources: Resources,
    /// True if outputs that the cache holds already may be reused.
    pub reuse: bool,
    /// Number of times that its task was lost.
    pub losses: u32,
    /// `stage[axis=label]`.
    label: String,
    /// Further tries when it runs out of memory, and their number so far.
    memory_retry: Option<MemoryRetry>,
    memory_tries: u32,
    pub reply: Reply,
}

impl WaitingAction {
    /// Keeps of a submission what is needed once its job is written down.
    pub fn new(submission: Submission, settings: &ExecutorSettings) -> Self {
        let Submission { job, reply, .. } = submission;
        Self {
            key: job.key,
            stage: job.site.split('[').next().unwrap_or_default().to_owned(),
            resources: Resources::of_job(&job, settings),
            reuse: job.reuse,
            losses: 0,
            memory_retry: job.limits.memory_retry,
            memory_tries: 0,
            label: job.site,
            reply,
        }
    }

    /// Asks for more memory from now on: a message about it. None when its stage does not say so,
    /// or it has been tried often enough.
    ///
    /// `silent_engine`: the engine that does not tell whether memory ran out.
    pub fn raise_memory(&mut self, silent_engine: Option<&str>) -> Option<String> {
        let (before, asked) = (self.resources.memory?, self.resources.memory_mib()?);
        self.resources.memory = Some(self.memory_retry?.next(before, self.memory_tries)?);
        self.memory_tries += 1;
        let (label, raised) = (&self.label, self.resources.memory_mib()?);
        Some(match silent_engine {
            None => format!(
                "{label} needed more memory than the {asked} MiB that it asked for; it is submitted \
                 again with {raised} MiB"
            ),
            Some(engine) => format!(
                "{label}: its task ended in the middle of it, and {engine} does not tell why; it is \
                 submitted again with {raised} MiB of memory in place of {asked}"
            ),
        })
    }

    /// Number of further tries with more memory.
    pub fn memory_tries(&self) -> u32 {
        self.memory_tries
    }

    /// The memory that it asks for, if that was raised.
    fn raised_memory(&self) -> Option<u64> {
        self.resources.memory.filter(|_| self.memory_tries > 0)
    }

    /// Answers that the run does not want it any more.
    pub fn cancelled(self) {
        let error = StageError::failed("it was cancelled");
        self.reply.ended(Completion::Failed(StageError { class: Class::Cancelled, ..error }));
    }
}

/// One task of an array.
pub(super) struct Task {
    /// The keys of its actions, in their order.
    pub keys: Vec<ActionKey>,
    /// Those that the run waits for.
    pub actions: Vec<Option<WaitingAction>>,
    pub outcomes: OutcomeReader,
    /// The machine that it began on.
    pub machine: Option<String>,
    pub has_started: bool,
    /// Time at which its end was noticed, and the kind of end.
    pub ended: Option<(Instant, TaskEnd)>,
    /// Actions that were reported as done and whose records do not show yet.
    pub unconfirmed: Vec<(ActionEnd, Instant)>,
}

/// Delay with which a record written on another machine may appear here: a failed lookup is
/// remembered by network filesystems for a while.
const RECORD_DELAY: Duration = Duration::from_secs(90);

impl Task {
    /// A task of actions with these keys, none of which is waited for.
    pub fn new(keys: Vec<ActionKey>) -> Self {
        Self {
            actions: keys.iter().map(|_| None).collect(),
            keys,
            outcomes: OutcomeReader::default(),
            machine: None,
            has_started: false,
            ended: None,
            unconfirmed: Vec::new(),
        }
    }

    /// True if the run waits for any of its actions.
    pub fn is_open(&self) -> bool {
        self.actions.iter().any(Option::is_some)
    }

    /// Reports once that all its actions have begun.
    pub fn start(&mut self) {
        if !std::mem::replace(&mut self.has_started, true) {
            self.actions.iter_mut().flatten().for_each(|action| action.reply.started());
        }
    }

    /// Takes an action that the run waits for.
    fn take(&mut self, key: &ActionKey) -> Option<WaitingAction> {
        let is_it = |action: &&mut Option<WaitingAction>| {
            action.as_ref().is_some_and(|action| action.key == *key)
        };
        self.actions.iter_mut().find(is_it)?.take()
    }

    /// Records the end of an action. Its stage and time, when it was executed.
    ///
    /// `place`: where it was executed, with its log, for people.
    pub fn action_ended(
        &mut self,
        end: ActionEnd,
        since: Instant,
        place: &str,
        cache: &Cache,
    ) -> Option<(String, f64)> {
        let is_waited_for = self.actions.iter().flatten().any(|action| action.key == end.key);
        if !is_waited_for {
            return None;
        }
        if end.status == ActionStatus::Failed {
            let failure = end.error.map_or_else(|| StageError::failed("it failed"), Into::into);
            self.fail(&end.key, failure, place);
            return None;
        }
        match peek(cache, &end.key) {
            Ok(Lookup::Cached(record)) => {
                let action = self.take(&end.key)?;
                let memory = action.raised_memory();
                let (stage, seconds) = (action.stage, record.seconds);
                let was_executed = end.status == ActionStatus::Executed;
                let completion = match was_executed {
                    true => Completion::Executed(Executed {
                        record,
                        cpu_seconds: end.cpu_seconds,
                        is_duplicate: end.is_duplicate,
                        memory,
                    }),
                    false => Completion::Cached(record),
                };
                let time = Duration::try_from_secs_f64(seconds).unwrap_or_default();
                action.reply.ended_after(completion, time);
                was_executed.then_some((stage, seconds))
            }
            Ok(_) if since.elapsed() < RECORD_DELAY => {
                self.unconfirmed.push((end, since));
                None
            }
            Ok(_) => {
                let error = StageError::failed(
                    "it was executed, and its record does not show in the cache of the run",
                )
                .hint("the cache must lie on a filesystem that all machines share");
                self.fail(&end.key, error, place);
                None
            }
            Err(error) => {
                self.take(&end.key)?.reply.ended(Completion::CacheFailed(error));
                None
            }
        }
    }

    /// Takes the actions that have a record, though the task did not say so.
    pub fn settle_by_records(&mut self, cache: &Cache) {
        for action in &mut self.actions {
            let Some(waiting) = action.as_ref().filter(|action| action.reuse) else { continue };
            if let Ok(Lookup::Cached(record)) = peek(cache, &waiting.key)
                && let Some(waiting) = action.take()
            {
                let time = Duration::try_from_secs_f64(record.seconds).unwrap_or_default();
                let memory = waiting.raised_memory();
                let executed = Executed { record, cpu_seconds: None, is_duplicate: false, memory };
                waiting.reply.ended_after(Completion::Executed(executed), time);
            }
        }
    }

    /// The first action that is waited for: the one that was executed when the task ended.
    pub fn first_open(&self) -> Option<ActionKey> {
        self.actions.iter().flatten().map(|action| action.key).next()
    }

    /// The same action, to change what it asks for.
    pub fn first_open_mut(&mut self) -> Option<&mut WaitingAction> {
        self.actions.iter_mut().flatten().next()
    }

    /// Takes all actions that are still waited for.
    pub fn take_open(&mut self) -> Vec<WaitingAction> {
        self.actions.iter_mut().filter_map(Option::take).collect()
    }

    /// Reports that an action failed, with the place of its execution.
    pub fn fail(&mut self, key: &ActionKey, error: StageError, place: &str) {
        if let Some(action) = self.take(key) {
            // The message of a program may have lines of its own.
            let between = if error.message.contains('\n') { "\n" } else { "; " };
            let message = format!("{}{between}{place}", error.message.trim_end());
            action.reply.ended(Completion::Failed(StageError { message, ..error }));
        }
    }
}
