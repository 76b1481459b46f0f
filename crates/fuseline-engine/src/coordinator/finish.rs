//! Completion of actions, successful or failed, and their retries.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use fuseline_artifact::Digest;

use super::Coordinator;
use crate::error::{Class, StageError};
use crate::events::Event;
use crate::execute::{ActionFailure, ActionState, ExecuteError};
use crate::executor::{Completion, News, Update};
use crate::inspect::look_up;
use crate::plan::ActionId;
use crate::resolve::outputs_of;

/// Delay between the first failure of an action and its retry; doubled each time.
const FIRST_RETRY: Duration = Duration::from_millis(500);

impl Coordinator<'_, '_, '_> {
    /// Asks actions that take too long to stop, and says once that the run was told to stop.
    pub fn watch(&mut self) {
        let mut late = Vec::new();
        for (&action, in_flight) in &mut self.in_flight {
            if let Some(timeout) = in_flight.timeout
                && in_flight.stopwatch.elapsed() >= timeout
                && !std::mem::replace(&mut in_flight.timed_out, true)
            {
                in_flight.stop.store(true, Ordering::Relaxed);
                late.push((action, timeout.as_secs_f64()));
            }
        }
        for (action, seconds) in late {
            let action = self.action_label(action);
            (self.observe)(Event::TimedOut { action, seconds });
        }
        if self.stop.load(Ordering::Relaxed) && !std::mem::replace(&mut self.told, true) {
            (self.observe)(Event::Stopping { running: self.in_flight.len() });
        }
    }

    /// Handles an update of an executor on an action.
    pub fn update(&mut self, Update { action, news }: Update) -> Result<(), ExecuteError> {
        match news {
            News::Started => self.started(action),
            News::Note(message) => (self.observe)(Event::Engine { message }),
            News::Ended(completion, time) => self.ended(action, completion, time.as_secs_f64())?,
        }
        Ok(())
    }

    fn ended(
        &mut self,
        action: ActionId,
        completion: Completion,
        seconds: f64,
    ) -> Result<(), ExecuteError> {
        if matches!(completion, Completion::Executed(_) | Completion::Failed(_)) {
            self.started(action);
        }
        let resources = self.resources(action);
        self.used.cpu -= resources.cpu;
        self.used.memory -= resources.memory;
        let in_flight = self.in_flight.remove(&action);
        if let Some(in_flight) = &in_flight {
            self.keys_in_flight.remove(&in_flight.key);
        }
        let timeout = in_flight.filter(|of| of.timed_out).and_then(|of| of.timeout);
        match completion {
            Completion::CacheFailed(error) => return Err(error.into()),
            Completion::Busy(holder) => self.wait_for(action, holder),
            Completion::Cached(record) => self.reuse_record(action, &record)?,
            Completion::Executed(executed) => {
                let execution = self.executed.entry(action).or_default();
                execution.seconds = seconds;
                execution.cpu_seconds = executed.cpu_seconds;
                execution.memory = executed.memory;
                self.duplicates += usize::from(executed.is_duplicate);
                self.states[action] = ActionState::Done;
                self.keys[action].iter().for_each(|key| self.cache.note_executed(key));
                self.discover(action, &executed.record)?;
                self.known(action, &outputs_of(&executed.record));
                let (stage, site) = (self.stage_name(action), self.action_label(action));
                let cpu_seconds = executed.cpu_seconds;
                (self.observe)(Event::Finished { action: site, stage, seconds, cpu_seconds });
            }
            Completion::Failed(error) => {
                self.executed.entry(action).or_default().seconds = seconds;
                let error = match timeout {
                    Some(timeout) => StageError::timed_out(timeout),
                    None => error,
                };
                match error.lost.as_deref() {
                    Some(&lost) if self.remake(action, lost) => {}
                    _ if self.retry(action, &error) => {}
                    _ => self.fail(action, error),
                }
            }
        }
        Ok(())
    }

    /// Queues the producer of a lost input again, and the action behind it.
    fn remake(&mut self, action: ActionId, lost: Digest) -> bool {
        let remakes = self.remakes.entry(action).or_default();
        *remakes += 1;
        // Each input may be lost once. One that is lost again and again is not lost by accident.
        if *remakes as usize > self.plan.needs(action).len() + 2 || self.stopping() {
            return false;
        }
        let producer = self.plan.needs(action).into_iter().find(|&producer| {
            let outputs = &self.plan.stages[self.plan.stage_of(producer).0].outputs;
            outputs.keys().any(|output| self.resolver.digest(producer, output) == Some(lost))
        });
        // Cautions are read from anywhere upstream.
        let Some(producer) = producer.or_else(|| {
            let upstream = self.plan.upstream(action);
            self.resolver.cautions_of(lost).find(|&of| upstream[of])
        }) else {
            return false;
        };
        self.states[action] = ActionState::Waiting;
        let (site, of) = (self.action_label(action), self.action_label(producer));
        let digest = lost.to_string();
        (self.observe)(Event::Remaking { action: site, producer: of, digest });
        let waiters = self.remaking.entry(producer).or_default();
        waiters.push(action);
        if waiters.len() == 1 {
            self.states[producer] = ActionState::Queued;
            if let Some(Ok(lookup)) = self.keys[producer]
                .map(|key| look_up(self.cache, &key, self.previous.files, &self.plan.installation))
            {
                self.misses.insert(producer, lookup);
            }
            // The new outputs may differ from those in the index.
            self.not_reused.push(producer);
            self.queued.push_front(producer);
        }
        true
    }

    /// Postpones a failed action when its stage asks for retries and it may go better next time.
    fn retry(&mut self, action: ActionId, error: &StageError) -> bool {
        let retries = self.retries.entry(action).or_default();
        *retries += 1;
        let attempts = *retries;
        if error.class != Class::Failed
            || attempts > self.execution(action).retries
            || self.stopping()
        {
            return false;
        }
        let wait = FIRST_RETRY.saturating_mul(1 << (attempts - 1).min(10));
        self.states[action] = ActionState::Queued;
        self.postponed.push_back((action, Instant::now() + wait));
        let (site, message) = (self.action_label(action), error.message.clone());
        (self.observe)(Event::Retrying { action: site, message, seconds: wait.as_secs_f64() });
        true
    }

    pub(super) fn fail(&mut self, action: ActionId, error: StageError) {
        if error.class == Class::Cancelled {
            self.states[action] = ActionState::Skipped;
            return;
        }
        self.states[action] = ActionState::Failed;
        let (stage, site) = (self.stage_name(action), self.action_label(action));
        let message = error.message.clone();
        (self.observe)(Event::Failed { action: site, stage, message });
        self.failures.push(ActionFailure { action, error });
    }
}
