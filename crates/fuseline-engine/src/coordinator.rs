//! The thread that owns the states of all actions. See [`crate::execute`] for the states.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use fuseline_artifact::Digest;
use fuseline_cache::{ActionKey, Cache, Index, Lease, Made};
use fuseline_workflow::Execution as HowToExecute;

use crate::error::{Class, StageError};
use crate::events::Event;
use crate::execute::{
    ActionFailure, ActionState, ExecuteError, Execution, Outcome, Remembered, RunOptions,
};
use crate::explain::{last_record, reason};
use crate::inputs::Point;
use crate::job::{Executed, Executor, Job};
use crate::plan::{ActionId, Plan};
use crate::resolve::{Lookup, Resolver, look_up, made};

/// How often a lease that another run holds is asked for again, and how soon an interrupt is noticed.
pub(crate) const POLL: Duration = Duration::from_millis(50);

/// How long after its first failure an action is tried again; doubled each time.
const FIRST_RETRY: Duration = Duration::from_millis(500);

/// What actions ask for while they run.
#[derive(Debug, Clone, Copy, Default)]
struct Resources {
    cpu: f64,
    memory: u64,
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

/// An action that may start: its lease is held.
pub(crate) struct Ready {
    action: ActionId,
    job: Job,
    lease: Lease,
    stop: Arc<AtomicBool>,
}

/// An action that has ended.
pub(crate) struct Done {
    action: ActionId,
    result: Result<Executed, StageError>,
    seconds: f64,
}

/// Executes an action on the thread that calls, and tells the coordinator.
pub(crate) fn work(executor: &dyn Executor, ready: Ready, sender: &Sender<Done>) {
    let started = Instant::now();
    let result = executor.execute(&ready.job, &ready.stop);
    drop(ready.lease);
    // The coordinator outlives the scope's threads; should it be gone, nobody needs the answer.
    let _ = sender.send(Done {
        action: ready.action,
        result,
        seconds: started.elapsed().as_secs_f64(),
    });
}

/// An action that a thread executes.
struct Running {
    stop: Arc<AtomicBool>,
    /// Until when it may take, and how long that was.
    deadline: Option<(Instant, Duration)>,
    timed_out: bool,
}

pub(crate) struct Coordinator<'r, 'p, 'a> {
    plan: &'p Plan<'a>,
    cache: &'r Cache,
    /// What the run before used.
    index: &'r Index,
    /// Whether anything is not in the index.
    has_news: bool,
    remember: &'r dyn Fn() -> Remembered,
    remembered: Option<Remembered>,
    options: RunOptions,
    stop: &'r AtomicBool,
    observe: &'r mut dyn FnMut(Event),
    resolver: Resolver<'p, 'a>,
    pending: Vec<u32>,
    states: Vec<ActionState>,
    keys: Vec<Option<ActionKey>>,
    /// Nodes whose inputs are all known.
    ready: VecDeque<ActionId>,
    /// Actions to execute.
    queued: VecDeque<ActionId>,
    /// Actions to ask for again later: another run is executing them, or they failed and may be tried again.
    postponed: VecDeque<(ActionId, Instant)>,
    /// Actions whose output was damaged and is made again, with the actions that wait for it.
    remaking: BTreeMap<ActionId, Vec<ActionId>>,
    /// Actions that another run was found executing.
    waiting: BTreeSet<ActionId>,
    /// How often an action failed and was tried again.
    retries: BTreeMap<ActionId, u32>,
    /// How often an input of an action was made again.
    remakes: BTreeMap<ActionId, u32>,
    running: BTreeMap<ActionId, Running>,
    /// Whether it was said that the run stops.
    told: bool,
    /// What the running actions have asked for.
    used: Resources,
    failures: Vec<ActionFailure>,
    executed: BTreeMap<ActionId, Execution>,
    cached: BTreeMap<usize, usize>,
}

impl<'r, 'p, 'a> Coordinator<'r, 'p, 'a> {
    pub fn new(
        plan: &'p Plan<'a>,
        cache: &'r Cache,
        index: &'r Index,
        remember: &'r dyn Fn() -> Remembered,
        options: RunOptions,
        stop: &'r AtomicBool,
        observe: &'r mut dyn FnMut(Event),
    ) -> Self {
        let pending = plan.pending();
        let ready = (0..pending.len()).filter(|&node| pending[node] == 0);
        let ready = ready.map(|node| node as ActionId).collect();
        Self {
            plan,
            cache,
            index,
            has_news: false,
            remember,
            remembered: None,
            options,
            stop,
            observe,
            resolver: Resolver::new(plan),
            pending,
            states: vec![ActionState::Waiting; plan.len()],
            keys: vec![None; plan.len()],
            ready,
            queued: VecDeque::new(),
            postponed: VecDeque::new(),
            remaking: BTreeMap::new(),
            waiting: BTreeSet::new(),
            retries: BTreeMap::new(),
            remakes: BTreeMap::new(),
            running: BTreeMap::new(),
            told: false,
            used: Resources::default(),
            failures: Vec::new(),
            executed: BTreeMap::new(),
            cached: BTreeMap::new(),
        }
    }

    /// Whether nothing new may start.
    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || (!self.options.keep_going && !self.failures.is_empty())
    }

    /// Whether nothing is executed and nothing is to be looked up.
    pub fn is_idle(&self) -> bool {
        self.running.is_empty() && self.ready.is_empty()
    }

    /// Whether anything is to be executed.
    pub fn has_work(&self) -> bool {
        !self.queued.is_empty()
    }

    /// What the next run is to find in the index, when that is not what this one found there: what this run has
    /// reached, and when that is not all of the plan, what was there before too.
    pub fn news(&self) -> Option<Index> {
        if !self.has_news {
            return None;
        }
        let reached = (0..self.plan.actions)
            .filter_map(|of| Some((self.keys[of as usize]?, self.resolver.outputs(of)?)));
        let is_whole =
            self.states.iter().all(|of| matches!(of, ActionState::Cached | ActionState::Done));
        let before = self.index.iter().map(|(key, outputs)| (*key, outputs.to_vec()));
        Some(if is_whole { reached.collect() } else { reached.chain(before).collect() })
    }

    /// Whether, besides, nothing is to be asked for again later.
    pub fn is_done(&self) -> bool {
        self.postponed.is_empty()
    }

    /// Asks actions that take too long to stop, and says once that the run was told to stop.
    pub fn watch(&mut self) {
        let now = Instant::now();
        let mut late = Vec::new();
        for (&action, running) in &mut self.running {
            if let Some((deadline, timeout)) = running.deadline
                && deadline <= now
                && !std::mem::replace(&mut running.timed_out, true)
            {
                running.stop.store(true, Ordering::Relaxed);
                late.push((action, timeout.as_secs_f64()));
            }
        }
        for (action, seconds) in late {
            let action = self.site(action);
            (self.observe)(Event::TimedOut { action, seconds });
        }
        if self.stop.load(Ordering::Relaxed) && !std::mem::replace(&mut self.told, true) {
            (self.observe)(Event::Stopping { running: self.running.len() });
        }
    }

    /// Looks up every action whose inputs are known.
    pub fn settle(&mut self) -> Result<(), ExecuteError> {
        while let Some(node) = self.ready.pop_front() {
            if node as usize >= self.plan.len() {
                self.release(node);
                continue;
            }
            if !self.plan.wants(node) {
                self.states[node as usize] = ActionState::Unwanted;
                continue;
            }
            let Some(key) = self.resolver.key(node) else {
                self.fail(node, StageError::failed("an input has no digest"));
                continue;
            };
            self.keys[node as usize] = Some(key);
            let reuse = self.execution(node).cache;
            if reuse && let Some(outputs) = self.index.get(&key) {
                self.reuse(node, outputs);
                continue;
            }
            self.has_news = true;
            match look_up(self.cache, &key)? {
                Lookup::Cached(outputs) if reuse => self.reuse(node, &outputs),
                _ => {
                    self.states[node as usize] = ActionState::Queued;
                    self.queued.push_back(node);
                }
            }
        }
        for (stage, actions) in std::mem::take(&mut self.cached) {
            let stage = self.plan.workflow.stages[stage].name.clone();
            (self.observe)(Event::Cached { stage, actions });
        }
        Ok(())
    }

    fn reuse(&mut self, action: ActionId, outputs: &[Made]) {
        self.states[action as usize] = ActionState::Cached;
        *self.cached.entry(self.plan.stage_of(action).0).or_default() += 1;
        self.known(action, outputs);
    }

    /// Takes note of an action's outputs and tells those who wait for them.
    fn known(&mut self, action: ActionId, outputs: &[Made]) {
        self.resolver.learn(action, outputs);
        match self.remaking.remove(&action) {
            Some(waiters) => self.ready.extend(waiters),
            None => self.release(action),
        }
    }

    /// Tells the dependents of a node that it is done.
    fn release(&mut self, node: ActionId) {
        for dependent in self.plan.dependents(node) {
            self.pending[dependent as usize] -= 1;
            if self.pending[dependent as usize] == 0 {
                self.ready.push_back(dependent);
            }
        }
    }

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
                self.running.is_empty() || self.used.fits(self.resources(action), &self.options)
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
                Lookup::Cached(outputs) if reuse => {
                    drop(lease);
                    self.reuse(action, &outputs);
                    self.settle()?;
                }
                found => return Ok(Some(self.start(action, key, lease, &found))),
            }
        }
        Ok(None)
    }

    /// Another run executes the action: asks again soon.
    fn wait_for(&mut self, action: ActionId, key: &ActionKey) {
        if self.waiting.insert(action) {
            let (site, holder) = (self.site(action), self.cache.lease_holder(key));
            (self.observe)(Event::Waiting { action: site, holder });
        }
        self.postponed.push_back((action, Instant::now() + POLL));
    }

    fn execution(&self, action: ActionId) -> &'a HowToExecute {
        &self.plan.workflow.stages[self.plan.stage_of(action).0].execution
    }

    fn resources(&self, action: ActionId) -> Resources {
        Resources::of(self.execution(action))
    }

    fn start(&mut self, action: ActionId, key: ActionKey, lease: Lease, found: &Lookup) -> Ready {
        let fields = self.resolver.fields(action);
        let site = self.site(action);
        if self.waiting.remove(&action) {
            (self.observe)(Event::TakenOver { action: site.clone() });
        }
        let reason = match found {
            Lookup::ObjectMissing(port, digest) => {
                format!("object {digest} of output {port} is missing or damaged")
            }
            Lookup::Cached(_) => "its stage says cache: false".to_owned(),
            Lookup::Unknown => {
                let remembered = self.remembered.get_or_insert_with(self.remember);
                reason(&fields, last_record(self.cache, remembered.get(&site)).as_ref())
            }
        };
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
            isolation: self.execution(action).isolation.or(workflow.isolation).map(host_isolation),
            provenance: kind.reads_provenance.then(|| self.resolver.provenance(action)),
            inputs: self.resolver.given(action),
            fields,
        };
        let resources = self.resources(action);
        self.used.cpu += resources.cpu;
        self.used.memory += resources.memory;
        let execution = self.executed.entry(action).or_default();
        execution.attempts += 1;
        execution.reason.clone_from(&reason);
        let flag = Arc::new(AtomicBool::new(false));
        let timeout = self.execution(action).timeout;
        let deadline = timeout.and_then(|of| Some((Instant::now().checked_add(of)?, of)));
        let running = Running { stop: flag.clone(), deadline, timed_out: false };
        self.running.insert(action, running);
        self.states[action as usize] = ActionState::Running;
        let stage = workflow.stages[stage].name.clone();
        (self.observe)(Event::Started { action: site, stage, reason });
        Ready { action, job, lease, stop: flag }
    }

    /// Takes note of an action that has ended.
    pub fn finished(&mut self, done: Done) {
        let Done { action, result, seconds } = done;
        let resources = self.resources(action);
        self.used.cpu -= resources.cpu;
        self.used.memory -= resources.memory;
        let running = self.running.remove(&action);
        let timeout = running.filter(|of| of.timed_out).and_then(|of| of.deadline);
        let execution = self.executed.entry(action).or_default();
        execution.seconds = seconds;
        match result {
            Ok(executed) => {
                execution.cpu_seconds = executed.cpu_seconds;
                self.states[action as usize] = ActionState::Done;
                self.known(action, &made(&executed.record));
                let (stage, site) = (self.stage_name(action), self.site(action));
                let cpu_seconds = executed.cpu_seconds;
                (self.observe)(Event::Finished { action: site, stage, seconds, cpu_seconds });
            }
            Err(error) => {
                let error = match timeout {
                    Some((_, timeout)) => too_slow(timeout),
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
        let Some(producer) = self.plan.needs(action).into_iter().find(|&producer| {
            let outputs = self.plan.stages[self.plan.stage_of(producer).0].outputs.len();
            (0..outputs).any(|output| self.resolver.digest(producer, output) == Some(lost))
        }) else {
            return false;
        };
        self.states[action as usize] = ActionState::Waiting;
        let (site, of) = (self.site(action), self.site(producer));
        let digest = lost.to_string();
        (self.observe)(Event::Remaking { action: site, producer: of, digest });
        let waiters = self.remaking.entry(producer).or_default();
        waiters.push(action);
        if waiters.len() == 1 {
            self.states[producer as usize] = ActionState::Queued;
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
        let (site, message) = (self.site(action), error.message.clone());
        (self.observe)(Event::Retrying { action: site, message, seconds: wait.as_secs_f64() });
        true
    }

    fn fail(&mut self, action: ActionId, error: StageError) {
        if error.class == Class::Cancelled {
            self.states[action as usize] = ActionState::Skipped;
            return;
        }
        self.states[action as usize] = ActionState::Failed;
        let (stage, site) = (self.stage_name(action), self.site(action));
        let message = error.message.clone();
        (self.observe)(Event::Failed { action: site, stage, message });
        self.failures.push(ActionFailure { action, error });
    }

    fn stage_name(&self, action: ActionId) -> String {
        self.plan.workflow.stages[self.plan.stage_of(action).0].name.clone()
    }

    fn site(&self, action: ActionId) -> String {
        self.plan.site(action)
    }

    /// Settles what was never reached and gives everything away.
    pub fn outcome(mut self) -> Outcome {
        let mut skipped: BTreeMap<usize, usize> = BTreeMap::new();
        for action in 0..self.plan.len() {
            let state = self.states[action];
            if !matches!(state, ActionState::Waiting | ActionState::Queued) {
                continue;
            }
            let wanted = self.plan.wants(action as ActionId);
            self.states[action] = if wanted { ActionState::Skipped } else { ActionState::Unwanted };
            if wanted {
                *skipped.entry(self.plan.stage_of(action as ActionId).0).or_default() += 1;
            }
        }
        for (stage, actions) in skipped {
            let stage = self.plan.workflow.stages[stage].name.clone();
            (self.observe)(Event::Skipped { stage, actions });
        }
        self.failures.sort_by_key(|failure| failure.action);
        Outcome {
            states: self.states,
            failures: self.failures,
            interrupted: self.stop.load(Ordering::Relaxed),
            keys: self.keys,
            executed: self.executed,
            known: self.resolver.into_known(),
        }
    }
}

fn host_isolation(isolation: fuseline_workflow::Isolation) -> fuseline_host::Isolation {
    match isolation {
        fuseline_workflow::Isolation::Worker => fuseline_host::Isolation::Worker,
        fuseline_workflow::Isolation::InProcess => fuseline_host::Isolation::InProcess,
    }
}

fn too_slow(timeout: Duration) -> StageError {
    StageError::failed(format!("it took longer than its timeout of {} s", timeout.as_secs_f64()))
        .hint("raise the stage's `timeout`, or give it less to do")
}
