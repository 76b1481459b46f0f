//! Jobs that may start, and their beginning.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use fuseline_cache::ActionKey;
use fuseline_workflow::Execution as HowToExecute;

use super::{Coordinator, InFlight, POLL, Stopwatch};
use crate::conditions;
use crate::events::Event;
use crate::execute::{ActionState, RunOptions};
use crate::executor::{Reply, Submission};
use crate::explain::History;
use crate::inputs::Point;
use crate::inspect::Lookup;
use crate::job::{Job, JobLimits};
use crate::plan::ActionId;

/// Resources that running actions request.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Resources {
    pub cpu: f64,
    pub memory: u64,
}

impl Resources {
    fn needed(execution: &HowToExecute) -> Self {
        Self { cpu: execution.cpu.unwrap_or(1.0), memory: execution.memory.unwrap_or(0) }
    }

    /// True if more fits beside the resources in use. A request larger than all resources runs
    /// alone.
    fn fits(self, more: Self, options: &RunOptions<'_>) -> bool {
        self.cpu + more.cpu <= options.jobs.max(1) as f64
            && options.memory.is_none_or(|all| self.memory.saturating_add(more.memory) <= all)
    }
}

impl Coordinator<'_, '_, '_> {
    /// The jobs that may start now.
    pub fn jobs_to_submit(&mut self) -> Vec<Submission> {
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
        let mut submissions = Vec::new();
        while self.in_flight.len() < self.options.jobs.max(1) {
            let fits = |&action: &ActionId| {
                let is_free =
                    self.keys[action].is_none_or(|key| !self.keys_in_flight.contains(&key));
                let has_room = self.in_flight.is_empty()
                    || self.used.fits(self.resources(action), &self.options);
                is_free && has_room
            };
            let Some(position) = self.queued.iter().position(fits) else { break };
            let Some(action) = self.queued.remove(position) else { break };
            let Some(key) = self.keys[action] else { continue };
            submissions.push(self.submission(action, key));
        }
        if self.fetch_inputs {
            let objects = submissions.iter().flat_map(|submission| submission.job.objects());
            self.cache.fetch_objects(objects);
        }
        submissions
    }

    /// Postpones an action that another run executes, or another action of this run with the same
    /// key.
    pub(super) fn wait_for(&mut self, action: ActionId, holder: Option<String>) {
        self.states[action] = ActionState::Queued;
        let key = self.keys[action];
        let is_own = self.in_flight.values().any(|of| Some(of.key) == key);
        if !is_own && self.waiting.insert(action) {
            let action = self.action_label(action);
            (self.observe)(Event::Waiting { action, holder });
        }
        self.postponed.push_back((action, Instant::now() + POLL));
    }

    pub(super) fn resources(&self, action: ActionId) -> Resources {
        Resources::needed(self.execution(action))
    }

    fn submission(&mut self, action: ActionId, key: ActionKey) -> Submission {
        let fields = self.resolver.fields(action);
        let site = self.action_label(action);
        let lookup = self.misses.get(&action).unwrap_or(&Lookup::Unknown);
        let reason = lookup.miss_reason(|| {
            let previous = self.previous_keys.get_or_insert_with(self.previous.keys);
            History::recall(self.cache, previous, &site, key, fields.clone())
        });
        let (stage, index) = self.plan.stage_of(action);
        let variant = self.plan.variant(stage, index);
        let kind = self.plan.kinds.get(variant.kind);
        let workflow = self.plan.workflow;
        let execution = self.execution(action);
        let HowToExecute { timeout, cpu, memory, memory_retry, time, gpus, .. } = *execution;
        let isolation = conditions::isolation(workflow, execution);
        let mut conditions = conditions::conditions(workflow, execution);
        conditions.memory = conditions.memory.or_else(|| self.options.read_memory.cloned());
        let stage = &workflow.stages[stage];
        let job = Job {
            key,
            site,
            kind: kind.spec.name.clone(),
            options: stage.variants[stage.actions.variant(index)].options.clone(),
            seed: variant.seed,
            point: if kind.reads_point { self.plan.point(action) } else { Point::new() },
            files: variant.files.clone(),
            path_params: workflow.path_params.clone(),
            isolation: self.options.isolation.or(isolation),
            conditions,
            plugin_path: self.options.plugin_path.to_vec(),
            keep_failed: self.options.keep_failed.map(Path::to_owned),
            rule_files: workflow.rule_files.clone(),
            limits: JobLimits { timeout, cpu, memory, memory_retry, time, gpus },
            // An action repeated for its damaged object is looked up as any other.
            reuse: execution.cache,
            provenance: kind.reads_provenance.then(|| self.resolver.provenance(action)),
            inputs: self.resolver.inputs(action),
            fields,
        };
        let resources = self.resources(action);
        self.used.cpu += resources.cpu;
        self.used.memory += resources.memory;
        let stop = Arc::new(AtomicBool::new(false));
        let stopwatch = Arc::new(Stopwatch::default());
        let in_flight = InFlight {
            key,
            stop: stop.clone(),
            stopwatch: stopwatch.clone(),
            reason,
            has_started: false,
            timeout,
            timed_out: false,
        };
        self.in_flight.insert(action, in_flight);
        self.keys_in_flight.insert(key);
        Submission { job, stop, reply: Reply::new(action, self.updates.clone(), stopwatch) }
    }

    /// Records that an action has begun.
    pub(super) fn started(&mut self, action: ActionId) {
        let Some(in_flight) = self.in_flight.get_mut(&action) else { return };
        if std::mem::replace(&mut in_flight.has_started, true) {
            return;
        }
        let reason = in_flight.reason.clone();
        let label = self.action_label(action);
        if self.waiting.remove(&action) {
            (self.observe)(Event::TakenOver { action: label.clone() });
        }
        let execution = self.executed.entry(action).or_default();
        execution.attempts += 1;
        execution.reason.clone_from(&reason);
        self.states[action] = ActionState::Running;
        let stage = self.stage_name(action);
        (self.observe)(Event::Started { action: label, stage, reason });
    }
}
