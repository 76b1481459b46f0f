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
//! One thread, the coordinator, owns all states, computes keys and looks them up; only executions go to the pool. A
//! lease that another run holds is asked for again by the coordinator: a pool thread never blocks on one, so two runs
//! cannot wait for each other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use fuseline_artifact::Digest;
use fuseline_cache::{ActionKey, ActionRecord, Cache, CacheError, Lease};
use fuseline_workflow::Execution;
use thiserror::Error;

use crate::error::{Class, StageError};
use crate::events::Event;
use crate::explain::{last_record, reason};
use crate::inputs::Point;
use crate::job::{Executor, Job};
use crate::key::Field;
use crate::plan::{ActionId, Plan};
use crate::provenance::site;
use crate::resolve::{Lookup, Resolver, look_up};

/// How a plan is run.
#[derive(Debug, Clone, Copy)]
pub struct RunOptions {
    /// How many actions run at once, and how many threads they share.
    pub jobs: usize,
    /// Go on with what does not depend on a failure.
    pub keep_going: bool,
    /// How many bytes the running actions may ask for together; `None` for no limit.
    pub memory: Option<u64>,
}

/// Where an action stands.
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
    /// Why.
    pub error: StageError,
}

/// What became of a plan.
pub struct Outcome {
    /// The state of every action.
    pub states: Vec<ActionState>,
    /// What failed, in the order of the plan.
    pub failures: Vec<ActionFailure>,
    /// Whether the run was told to stop.
    pub interrupted: bool,
    /// The key of every action that was reached.
    pub keys: Vec<Option<ActionKey>>,
    /// The digest of every output that is known; see [`Outcome::output`].
    digests: Vec<Option<Digest>>,
}

impl Outcome {
    /// How many actions are in a state.
    pub fn count(&self, state: ActionState) -> usize {
        self.states.iter().filter(|&&of| of == state).count()
    }

    /// The digest of one output of an action, if it was reached.
    pub fn output(&self, plan: &Plan<'_>, action: ActionId, output: usize) -> Option<Digest> {
        self.digests[plan.output_slot(action, output)]
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
}

/// The keys of the last runs, by `stage[axis=label]`: only to say what changed.
pub type Remembered = BTreeMap<String, ActionKey>;

/// Runs a plan. `observe` sees every event, in order, on the calling thread.
pub fn execute(
    plan: &Plan<'_>,
    cache: &Cache,
    executor: &dyn Executor,
    remembered: &dyn Fn() -> Remembered,
    options: RunOptions,
    stop: &AtomicBool,
    observe: &mut dyn FnMut(Event),
) -> Result<Outcome, ExecuteError> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(options.jobs.max(1)).build()?;
    pool.in_place_scope(|scope| {
        let (sender, receiver) = channel();
        let mut run = Coordinator::new(plan, cache, remembered, options, stop, observe);
        loop {
            run.settle()?;
            while let Some(ready) = run.next_to_start()? {
                let sender = sender.clone();
                scope.spawn(move |_| work(executor, ready, &sender));
            }
            if run.running == 0 && run.ready.is_empty() {
                if run.postponed.is_empty() {
                    break;
                }
                std::thread::sleep(POLL);
                continue;
            }
            match receiver.recv_timeout(POLL) {
                Ok(done) => run.finished(done),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
        }
        Ok(run.outcome())
    })
}

/// How often a lease that another run holds is asked for again, and how soon an interrupt is noticed.
const POLL: Duration = Duration::from_millis(50);

/// How long after its first failure an action is tried again; doubled each time.
const FIRST_RETRY: Duration = Duration::from_millis(500);

/// What actions ask for while they run.
#[derive(Debug, Clone, Copy, Default)]
struct Resources {
    cpu: f64,
    memory: u64,
}

impl Resources {
    fn of(execution: &Execution) -> Self {
        Self { cpu: execution.cpu.unwrap_or(1.0), memory: execution.memory.unwrap_or(0) }
    }

    /// Whether more fits beside what is used. What is larger than everything there is runs alone.
    fn fits(self, more: Self, options: &RunOptions) -> bool {
        self.cpu + more.cpu <= options.jobs.max(1) as f64
            && options.memory.is_none_or(|all| self.memory.saturating_add(more.memory) <= all)
    }
}

struct Ready {
    action: ActionId,
    job: Job,
    lease: Lease,
}

struct Done {
    action: ActionId,
    result: Result<ActionRecord, StageError>,
    seconds: f64,
}

fn work(executor: &dyn Executor, ready: Ready, sender: &Sender<Done>) {
    let started = Instant::now();
    let result = executor.execute(&ready.job);
    drop(ready.lease);
    // The coordinator outlives the scope's threads; should it be gone, nobody needs the answer.
    let _ = sender.send(Done {
        action: ready.action,
        result,
        seconds: started.elapsed().as_secs_f64(),
    });
}

struct Coordinator<'r, 'p, 'a> {
    plan: &'p Plan<'a>,
    cache: &'r Cache,
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
    /// How often an action failed.
    attempts: BTreeMap<ActionId, u32>,
    running: usize,
    /// What the running actions have asked for.
    used: Resources,
    failures: Vec<ActionFailure>,
    cached: BTreeMap<usize, usize>,
}

impl<'r, 'p, 'a> Coordinator<'r, 'p, 'a> {
    fn new(
        plan: &'p Plan<'a>,
        cache: &'r Cache,
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
            attempts: BTreeMap::new(),
            running: 0,
            used: Resources::default(),
            failures: Vec::new(),
            cached: BTreeMap::new(),
        }
    }

    /// Whether nothing new may start.
    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || (!self.options.keep_going && !self.failures.is_empty())
    }

    /// Looks up every action whose inputs are known.
    fn settle(&mut self) -> Result<(), ExecuteError> {
        while let Some(node) = self.ready.pop_front() {
            if node as usize >= self.plan.len() {
                self.release(node);
                continue;
            }
            if !self.plan.wants(node) {
                self.states[node as usize] = ActionState::Unwanted;
                continue;
            }
            let Some(key) = self.resolver.key(node, None) else {
                self.fail(node, StageError::failed("an input has no digest"));
                continue;
            };
            self.keys[node as usize] = Some(key);
            let reuse = self.execution(node).cache;
            match look_up(self.cache, &key)? {
                Lookup::Cached(record) if reuse => self.reuse(node, &record),
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

    fn reuse(&mut self, action: ActionId, record: &ActionRecord) {
        self.states[action as usize] = ActionState::Cached;
        *self.cached.entry(self.plan.stage_of(action).0).or_default() += 1;
        self.known(action, record);
    }

    /// Takes note of an action's outputs and tells those who wait for them.
    fn known(&mut self, action: ActionId, record: &ActionRecord) {
        self.resolver.learn(action, record);
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
    fn next_to_start(&mut self) -> Result<Option<Ready>, ExecuteError> {
        if self.stopping() {
            self.queued.clear();
            self.postponed.clear();
        }
        while self.postponed.front().is_some_and(|(_, due)| *due <= Instant::now()) {
            if let Some((action, _)) = self.postponed.pop_front() {
                self.queued.push_front(action);
            }
        }
        while self.running < self.options.jobs.max(1) {
            let fits = |&action: &ActionId| {
                self.running == 0 || self.used.fits(self.resources(action), &self.options)
            };
            let Some(at) = self.queued.iter().position(fits) else { break };
            let Some(action) = self.queued.remove(at) else { break };
            let Some(key) = self.keys[action as usize] else { continue };
            let Some(lease) = self.cache.try_lease(&key)? else {
                if self.waiting.insert(action) {
                    let site = self.site(action);
                    (self.observe)(Event::Waiting { action: site });
                }
                self.postponed.push_back((action, Instant::now() + POLL));
                continue;
            };
            let reuse = self.execution(action).cache;
            match look_up(self.cache, &key)? {
                // Made by another run between the first look and the lease.
                Lookup::Cached(record) if reuse => {
                    drop(lease);
                    self.reuse(action, &record);
                    self.settle()?;
                }
                found => return Ok(Some(self.start(action, key, lease, &found))),
            }
        }
        Ok(None)
    }

    fn execution(&self, action: ActionId) -> &'a Execution {
        &self.plan.workflow.stages[self.plan.stage_of(action).0].execution
    }

    fn resources(&self, action: ActionId) -> Resources {
        Resources::of(self.execution(action))
    }

    fn start(&mut self, action: ActionId, key: ActionKey, lease: Lease, found: &Lookup) -> Ready {
        let mut fields: Vec<Field> = Vec::new();
        self.resolver.key(action, Some(&mut fields));
        let site = self.site(action);
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
            kind: kind.spec.name.clone(),
            options: workflow.stages[stage].variants[workflow.stages[stage].actions.variant(index)]
                .options
                .clone(),
            seed: workflow.seed,
            point: if kind.reads_point { self.plan.point(action) } else { Point::new() },
            files: variant.files.clone(),
            provenance: kind.reads_provenance.then(|| self.resolver.provenance(action)),
            inputs: self.resolver.given(action),
            fields,
        };
        let resources = self.resources(action);
        self.used.cpu += resources.cpu;
        self.used.memory += resources.memory;
        self.running += 1;
        self.states[action as usize] = ActionState::Running;
        let stage = workflow.stages[stage].name.clone();
        (self.observe)(Event::Started { action: site, stage, reason });
        Ready { action, job, lease }
    }

    fn finished(&mut self, done: Done) {
        let action = done.action;
        let resources = self.resources(action);
        self.running -= 1;
        self.used.cpu -= resources.cpu;
        self.used.memory -= resources.memory;
        match done.result {
            Ok(record) => {
                self.states[action as usize] = ActionState::Done;
                self.known(action, &record);
                let (stage, site) = (self.stage_name(action), self.site(action));
                (self.observe)(Event::Finished { action: site, stage, seconds: done.seconds });
            }
            Err(error) => match error.lost {
                Some(lost) if self.remake(action, lost) => {}
                _ if self.retry(action, &error) => {}
                _ => self.fail(action, error),
            },
        }
    }

    /// Queues the producer of a lost input again, and the action behind it.
    fn remake(&mut self, action: ActionId, lost: Digest) -> bool {
        let attempts = self.attempts.entry(action).or_default();
        *attempts += 1;
        // An input that is lost again and again is not lost by accident.
        if *attempts > 3 {
            return false;
        }
        let Some(producer) = self.plan.needs(action).into_iter().find(|&producer| {
            let outputs = self.plan.stages[self.plan.stage_of(producer).0].outputs.len();
            (0..outputs).any(|output| self.resolver.digest(producer, output) == Some(lost))
        }) else {
            return false;
        };
        self.states[action as usize] = ActionState::Waiting;
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
        let attempts = self.attempts.entry(action).or_default();
        *attempts += 1;
        let attempts = *attempts;
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
        let (stage, _) = self.plan.stage_of(action);
        site(&self.plan.workflow.stages[stage].name, &self.plan.point(action))
    }

    /// Settles what was never reached and gives everything away.
    fn outcome(mut self) -> Outcome {
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
            digests: self.resolver.into_digests(),
        }
    }
}
