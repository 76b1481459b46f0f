//! What may start, and what it is given.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use fuseline_cache::{ActionKey, Lease};
use fuseline_workflow::Execution as HowToExecute;

use super::{Coordinator, POLL, Ready, Running, Stopwatch};
use crate::events::Event;
use crate::execute::{ActionState, ExecuteError, RunOptions};
use crate::explain::last_record;
use crate::inputs::Point;
use crate::inspect::{Lookup, look_up};
use crate::job::Job;
use crate::plan::ActionId;
use crate::resolve::outputs_of;

/// What actions ask for while they run.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Resources {
    pub cpu: f64,
    pub memory: u64,
}

impl Resources {
    fn of(execution: &HowToExecute) -> Self {
        Self { cpu: execution.cpu.unwrap_or(1.0), memory: execution.memory.unwrap_or(0) }
    }

    /// Whether more fits beside what is used. What is larger than everything there is runs alone.
    fn fits(self, more: Self, options: &RunOptions) -> bool {
        self.cpu + more.cpu <= options.jobs.max(1) as f64
            && options.memory.is_none_or(|all| self.memory.saturating_add(more.memory) <= all)
    }
}

impl<'a> Coordinator<'_, '_, 'a> {
    /// The next action to hand to a thread, if one is free.
    pub fn next_to_start(&mut self) -> Result<Option<Ready>, ExecuteError> {
        if self.stopping() {
            self.queued.clear();
            self.postponed.clear();
        }
        let now = Instant::now();
        for (action, due) in std::mem::take(&mut self.postponed) {
            match due <= now {
                true => self.queued.push_front(action),
                false => self.postponed.push_back((action, due)),
            }
        }
        while self.running.len() < self.options.jobs.max(1) {
            let fits = |&action: &ActionId| {
                let is_running = self.is_executed_here(action);
                let has_room = self.running.is_empty()
                    || self.used.fits(self.resources(action), &self.options);
                !is_running && has_room
            };
            let Some(at) = self.queued.iter().position(fits) else { break };
            let Some(action) = self.queued.remove(at) else { break };
            let Some(key) = self.keys[action as usize] else { continue };
            let Some(lease) = self.cache.try_lease(&key)? else {
                self.wait_for(action, &key);
                continue;
            };
            let reuse = self.execution(action).cache;
            match look_up(self.cache, &key)? {
                // Made by another run between the first look and the lease.
                Lookup::Cached(record) if reuse => {
                    drop(lease);
                    self.reuse(action, &outputs_of(&record));
                    self.settle()?;
                }
                found => return Ok(Some(self.start(action, key, lease, &found))),
            }
        }
        Ok(None)
    }

    /// Whether this run executes another action of the same key: what it makes is found when it is
    /// made.
    fn is_executed_here(&self, action: ActionId) -> bool {
        let key = self.keys[action as usize];
        key.is_some_and(|key| self.running.values().any(|running| running.key == key))
    }

    /// Another run executes the action: asks again soon.
    fn wait_for(&mut self, action: ActionId, key: &ActionKey) {
        if self.waiting.insert(action) {
            let (site, holder) = (self.action_label(action), self.cache.lease_holder(key));
            (self.observe)(Event::Waiting { action: site, holder });
        }
        self.postponed.push_back((action, Instant::now() + POLL));
    }

    pub(super) fn resources(&self, action: ActionId) -> Resources {
        Resources::of(self.execution(action))
    }

    fn start(&mut self, action: ActionId, key: ActionKey, lease: Lease, found: &Lookup) -> Ready {
        let fields = self.resolver.fields(action);
        let site = self.action_label(action);
        if self.waiting.remove(&action) {
            (self.observe)(Event::TakenOver { action: site.clone() });
        }
        let reason = found.miss_reason(|| {
            let previous = self.previous_keys.get_or_insert_with(self.previous.keys);
            (fields.clone(), last_record(self.cache, previous.get(&site)))
        });
        let (stage, index) = self.plan.stage_of(action);
        let variant = self.plan.variant(stage, index);
        let kind = self.plan.kinds.get(variant.kind);
        let workflow = self.plan.workflow;
        let job = Job {
            key,
            site: site.clone(),
            kind: kind.spec.name.clone(),
            options: workflow.stages[stage].variants[workflow.stages[stage].actions.variant(index)]
                .options
                .clone(),
            seed: workflow.seed,
            point: if kind.reads_point { self.plan.point(action) } else { Point::new() },
            files: variant.files.clone(),
            path_params: workflow.path_params.clone(),
            isolation: self.execution(action).isolation.or(workflow.isolation).map(host_isolation),
            provenance: kind.reads_provenance.then(|| self.resolver.provenance(action)),
            inputs: self.resolver.inputs(action),
            fields,
        };
        let resources = self.resources(action);
        self.used.cpu += resources.cpu;
        self.used.memory += resources.memory;
        let execution = self.executed.entry(action).or_default();
        execution.attempts += 1;
        execution.reason.clone_from(&reason);
        let flag = Arc::new(AtomicBool::new(false));
        let stopwatch = Arc::new(Stopwatch::default());
        let running = Running {
            key,
            stop: flag.clone(),
            stopwatch: stopwatch.clone(),
            timeout: self.execution(action).timeout,
            timed_out: false,
        };
        self.running.insert(action, running);
        self.states[action as usize] = ActionState::Running;
        let stage = workflow.stages[stage].name.clone();
        (self.observe)(Event::Started { action: site, stage, reason });
        Ready { action, job, lease, stop: flag, stopwatch }
    }
}

fn host_isolation(isolation: fuseline_workflow::Isolation) -> fuseline_host::Isolation {
    match isolation {
        fuseline_workflow::Isolation::Worker => fuseline_host::Isolation::Worker,
        fuseline_workflow::Isolation::InProcess => fuseline_host::Isolation::InProcess,
    }
}
