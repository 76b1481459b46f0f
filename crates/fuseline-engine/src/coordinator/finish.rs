//! What has ended, well or badly, and what is tried again.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use fuseline_artifact::Digest;

use super::{Coordinator, Done};
use crate::error::{Class, StageError};
use crate::events::Event;
use crate::execute::{ActionFailure, ActionState};
use crate::plan::ActionId;
use crate::resolve::outputs_of;

/// How long after its first failure an action is tried again; doubled each time.
const FIRST_RETRY: Duration = Duration::from_millis(500);

impl Coordinator<'_, '_, '_> {
    /// Asks actions that take too long to stop, and says once that the run was told to stop.
    pub fn watch(&mut self) {
        let mut late = Vec::new();
        for (&action, running) in &mut self.running {
            if let Some(timeout) = running.timeout
                && running.stopwatch.elapsed() >= timeout
                && !std::mem::replace(&mut running.timed_out, true)
            {
                running.stop.store(true, Ordering::Relaxed);
                late.push((action, timeout.as_secs_f64()));
            }
        }
        for (action, seconds) in late {
            let action = self.action_label(action);
            (self.observe)(Event::TimedOut { action, seconds });
        }
        if self.stop.load(Ordering::Relaxed) && !std::mem::replace(&mut self.told, true) {
            (self.observe)(Event::Stopping { running: self.running.len() });
        }
    }

    /// Takes note of an action that has ended.
    pub fn finished(&mut self, done: Done) {
        let Done { action, result, seconds } = done;
        let resources = self.resources(action);
        self.used.cpu -= resources.cpu;
        self.used.memory -= resources.memory;
        let running = self.running.remove(&action);
        let timeout = running.filter(|of| of.timed_out).and_then(|of| of.timeout);
        let execution = self.executed.entry(action).or_default();
        execution.seconds = seconds;
        match result {
            Ok(executed) => {
                execution.cpu_seconds = executed.cpu_seconds;
                self.states[action as usize] = ActionState::Done;
                self.known(action, &outputs_of(&executed.record));
                let (stage, site) = (self.stage_name(action), self.action_label(action));
                let cpu_seconds = executed.cpu_seconds;
                (self.observe)(Event::Finished { action: site, stage, seconds, cpu_seconds });
            }
            Err(error) => {
                let error = match timeout {
                    Some(timeout) => too_slow(timeout),
                    None => error,
                };
                match error.lost.as_deref() {
                    Some(&lost) if self.remake(action, lost) => {}
                    _ if self.retry(action, &error) => {}
                    _ => self.fail(action, error),
                }
            }
        }
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
            let outputs = self.plan.stages[self.plan.stage_of(producer).0].outputs.len();
            (0..outputs).any(|output| self.resolver.digest(producer, output) == Some(lost))
        });
        // Cautions are read from anywhere upstream.
        let Some(producer) = producer.or_else(|| {
            let upstream = self.plan.upstream(action);
            self.resolver.cautions_of(lost).find(|&of| upstream[of as usize])
        }) else {
            return false;
        };
        self.states[action as usize] = ActionState::Waiting;
        let (site, of) = (self.action_label(action), self.action_label(producer));
        let digest = lost.to_string();
        (self.observe)(Event::Remaking { action: site, producer: of, digest });
        let waiters = self.remaking.entry(producer).or_default();
        waiters.push(action);
        if waiters.len() == 1 {
            self.states[producer as usize] = ActionState::Queued;
            // What comes out may be another than the index says.
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
        self.states[action as usize] = ActionState::Queued;
        self.postponed.push_back((action, Instant::now() + wait));
        let (site, message) = (self.action_label(action), error.message.clone());
        (self.observe)(Event::Retrying { action: site, message, seconds: wait.as_secs_f64() });
        true
    }

    pub(super) fn fail(&mut self, action: ActionId, error: StageError) {
        if error.class == Class::Cancelled {
            self.states[action as usize] = ActionState::Skipped;
            return;
        }
        self.states[action as usize] = ActionState::Failed;
        let (stage, site) = (self.stage_name(action), self.action_label(action));
        let message = error.message.clone();
        (self.observe)(Event::Failed { action: site, stage, message });
        self.failures.push(ActionFailure { action, error });
    }
}

fn too_slow(timeout: Duration) -> StageError {
    StageError::failed(format!("it took longer than its timeout of {} s", timeout.as_secs_f64()))
        .hint("raise the stage's `timeout`, or give it less to do")
}
