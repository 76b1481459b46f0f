//! The thread that owns the states of all actions. See [`ActionState`] for the states.

mod finish;
mod start;
pub(crate) mod stopwatch;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use fuseline_cache::{ActionKey, ActionRecord, Cache, CacheError, Index, Made, PreviousKeys};
use fuseline_workflow::{Execution as HowToExecute, IndexVec, StageIndex};
use rayon::prelude::*;

use crate::discovered::read_discovered;
use crate::error::StageError;
use crate::events::Event;
use crate::execute::{
    ActionFailure, ActionState, ExecuteError, Execution, Outcome, PreviousRun, RunOptions,
};
use crate::executor::Update;
use crate::inspect::{Lookup, look_up};
use crate::plan::{A_POOLS_WORTH, ActionId, NodeId, Plan};
use crate::resolve::{Resolver, outputs_of};
use start::Resources;
use stopwatch::Stopwatch;

/// Interval at which a lease that another run holds is requested again and an interrupt is checked
/// for.
pub(crate) const POLL: Duration = Duration::from_millis(50);

/// An action with its key, if its inputs are known, and its position in the index.
struct Asked {
    action: ActionId,
    key: Option<ActionKey>,
    found: Option<usize>,
}

/// An action that was submitted and has not ended.
struct InFlight {
    key: ActionKey,
    stop: Arc<AtomicBool>,
    stopwatch: Arc<Stopwatch>,
    /// The reason why it is executed.
    reason: String,
    has_started: bool,
    /// Time limit of its execution.
    timeout: Option<Duration>,
    timed_out: bool,
}

pub(crate) struct Coordinator<'r, 'p, 'a> {
    plan: &'p Plan<'a>,
    cache: &'r Cache,
    previous: PreviousRun<'r>,
    /// Flag per action of the index: true if it was reused.
    reused: Vec<bool>,
    /// Actions that were not reused.
    not_reused: Vec<ActionId>,
    previous_keys: Option<PreviousKeys>,
    options: RunOptions<'r>,
    stop: &'r AtomicBool,
    observe: &'r mut dyn FnMut(Event),
    resolver: Resolver<'p, 'a>,
    pending: IndexVec<NodeId, u32>,
    states: IndexVec<ActionId, ActionState>,
    keys: IndexVec<ActionId, Option<ActionKey>>,
    /// Nodes whose inputs are all known.
    ready: VecDeque<NodeId>,
    /// Actions to execute.
    queued: VecDeque<ActionId>,
    /// Actions to ask for again later: another run is executing them, or they failed and may be
    /// tried again.
    postponed: VecDeque<(ActionId, Instant)>,
    /// Actions whose output was damaged and is made again, with the actions that wait for it.
    remaking: BTreeMap<ActionId, Vec<ActionId>>,
    /// The lookups of queued actions that say more than that an action is unknown.
    misses: BTreeMap<ActionId, Lookup>,
    /// Actions that another run was found executing.
    waiting: BTreeSet<ActionId>,
    /// Number of retries after failures, by action.
    retries: BTreeMap<ActionId, u32>,
    /// Number of times that inputs of an action were made again.
    remakes: BTreeMap<ActionId, u32>,
    in_flight: BTreeMap<ActionId, InFlight>,
    /// The keys of the actions in flight: what one makes is found by others of the same key.
    keys_in_flight: BTreeSet<ActionKey>,
    updates: Sender<Update>,
    /// True if the inputs of a job are fetched before it is submitted.
    pub fetch_inputs: bool,
    /// True once the stop of the run has been reported.
    told: bool,
    /// True once the executor has been told to stop.
    has_stopped: bool,
    /// Resources of the actions in flight.
    used: Resources,
    failures: Vec<ActionFailure>,
    executed: BTreeMap<ActionId, Execution>,
    /// Number of executions of actions that another process executed at the same time.
    duplicates: usize,
    cached: BTreeMap<StageIndex, usize>,
}

impl<'r, 'p, 'a> Coordinator<'r, 'p, 'a> {
    pub fn new(
        plan: &'p Plan<'a>,
        cache: &'r Cache,
        previous: PreviousRun<'r>,
        options: RunOptions<'r>,
        stop: &'r AtomicBool,
        observe: &'r mut dyn FnMut(Event),
        updates: Sender<Update>,
    ) -> Self {
        let pending = plan.pending();
        let ready = pending.keys().filter(|&node| pending[node] == 0).collect();
        Self {
            plan,
            cache,
            previous,
            reused: vec![false; previous.index.len()],
            not_reused: Vec::new(),
            previous_keys: None,
            options,
            stop,
            observe,
            resolver: Resolver::new(plan),
            pending,
            states: vec![ActionState::Waiting; plan.len()].into(),
            keys: vec![None; plan.len()].into(),
            ready,
            queued: VecDeque::new(),
            postponed: VecDeque::new(),
            remaking: BTreeMap::new(),
            misses: BTreeMap::new(),
            waiting: BTreeSet::new(),
            retries: BTreeMap::new(),
            remakes: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            keys_in_flight: BTreeSet::new(),
            updates,
            fetch_inputs: false,
            told: false,
            has_stopped: false,
            used: Resources::default(),
            failures: Vec::new(),
            executed: BTreeMap::new(),
            duplicates: 0,
            cached: BTreeMap::new(),
        }
    }

    /// True if nothing new may start.
    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || (!self.options.keep_going && !self.failures.is_empty())
    }

    /// True once, when the run begins to stop: nothing new may start from then on.
    pub fn begins_to_stop(&mut self) -> bool {
        self.stopping() && !std::mem::replace(&mut self.has_stopped, true)
    }

    /// True if nothing is executed and nothing is to be looked up.
    pub fn is_idle(&self) -> bool {
        self.in_flight.is_empty() && self.ready.is_empty()
    }

    /// True if anything is to be executed.
    pub fn has_work(&self) -> bool {
        !self.queued.is_empty()
    }

    /// Index for the next run, if it differs from the one that this run found: the actions that
    /// this run has reached, and when that is not all of the plan, what was there before too.
    fn index_update(&self) -> Option<Index> {
        if self.not_reused.is_empty() {
            return None;
        }
        let made = |of: &ActionId| Some((self.keys[*of]?, self.resolver.outputs(*of)?));
        // The index says nothing of files, and an action that depends on some is looked up by its
        // record.
        let lasting =
            self.not_reused.iter().filter(|of| !self.resolver.discovered().contains_key(of));
        let update: Index = lasting.filter_map(made).collect();
        let is_whole = self.states.iter().all(|of| of.is_made());
        Some(self.previous.index.with(&update, |at| !is_whole || self.reused[at]))
    }

    /// True if, besides, no lookup is postponed.
    pub fn is_done(&self) -> bool {
        self.postponed.is_empty()
    }

    /// Looks up every action whose inputs are known.
    pub fn settle(&mut self) -> Result<(), ExecuteError> {
        while !self.ready.is_empty() {
            let nodes = Vec::from(std::mem::take(&mut self.ready));
            for (node, asked) in nodes.iter().zip(self.ask(&nodes)) {
                self.settle_node(*node, asked)?;
            }
        }
        for (stage, actions) in std::mem::take(&mut self.cached) {
            let stage = self.plan.workflow.stages[stage].name.clone();
            (self.observe)(Event::Cached { stage, actions });
        }
        Ok(())
    }

    /// Index entries of nodes whose inputs are known; none for nodes that are no action, or not
    /// wanted.
    fn ask(&self, nodes: &[NodeId]) -> Vec<Option<Asked>> {
        let (plan, resolver, index) = (self.plan, &self.resolver, self.previous.index);
        let ask = |bytes: &mut Vec<u8>, &node: &NodeId| {
            let action = plan.as_action(node).filter(|action| plan.wants(*action))?;
            let key = resolver.key(action, bytes);
            Some(Asked { action, key, found: key.and_then(|key| index.find(&key)) })
        };
        match nodes.len() {
            A_POOLS_WORTH.. => nodes.par_iter().map_init(Vec::new, ask).collect(),
            _ => nodes.iter().scan(Vec::new(), |bytes, node| Some(ask(bytes, node))).collect(),
        }
    }

    fn settle_node(&mut self, node: NodeId, asked: Option<Asked>) -> Result<(), ExecuteError> {
        let Some(Asked { action, key, found }) = asked else {
            match self.plan.as_action(node) {
                Some(action) => self.states[action] = ActionState::Unwanted,
                None => self.release(node),
            }
            return Ok(());
        };
        let Some(key) = key else {
            self.fail(action, StageError::failed("an input has no digest"));
            return Ok(());
        };
        self.keys[action] = Some(key);
        let reuse = self.execution(action).cache;
        if reuse && let Some(at) = found {
            self.reused[at] = true;
            self.reuse(action, self.previous.index.outputs(at));
            return Ok(());
        }
        self.not_reused.push(action);
        match look_up(self.cache, &key, self.previous.files, &self.plan.installation)? {
            Lookup::Cached(record) if reuse => self.reuse_record(action, &record)?,
            lookup => {
                if !matches!(lookup, Lookup::Unknown) {
                    self.misses.insert(action, lookup);
                }
                self.states[action] = ActionState::Queued;
                self.queued.push_back(action);
            }
        }
        Ok(())
    }

    fn reuse_record(&mut self, action: ActionId, record: &ActionRecord) -> Result<(), CacheError> {
        self.discover(action, record)?;
        self.reuse(action, &outputs_of(record));
        Ok(())
    }

    /// Records the files that an action was found to have read.
    fn discover(&mut self, action: ActionId, record: &ActionRecord) -> Result<(), CacheError> {
        self.resolver.discover(action, read_discovered(self.cache, record)?);
        Ok(())
    }

    fn reuse(&mut self, action: ActionId, outputs: &[Made]) {
        self.states[action] = ActionState::Cached;
        *self.cached.entry(self.plan.stage_of(action).0).or_default() += 1;
        self.known(action, outputs);
    }

    /// Records an action's outputs and notifies its dependents.
    fn known(&mut self, action: ActionId, outputs: &[Made]) {
        self.resolver.learn(action, outputs);
        match self.remaking.remove(&action) {
            Some(waiters) => self.ready.extend(waiters.into_iter().map(NodeId::from)),
            None => self.release(action.into()),
        }
    }

    /// Notifies the dependents of a node that it is done.
    fn release(&mut self, node: NodeId) {
        for dependent in self.plan.dependents(node) {
            self.pending[dependent] -= 1;
            if self.pending[dependent] == 0 {
                self.ready.push_back(dependent);
            }
        }
    }

    fn execution(&self, action: ActionId) -> &'a HowToExecute {
        &self.plan.workflow.stages[self.plan.stage_of(action).0].execution
    }

    fn stage_name(&self, action: ActionId) -> String {
        self.plan.workflow.stages[self.plan.stage_of(action).0].name.clone()
    }

    fn action_label(&self, action: ActionId) -> String {
        self.plan.action_label(action)
    }

    /// Marks all actions that were not reached as skipped or unwanted, and returns the outcome.
    pub fn outcome(mut self) -> Outcome {
        let mut skipped: BTreeMap<StageIndex, usize> = BTreeMap::new();
        for action in self.plan.actions() {
            let state = self.states[action];
            if !matches!(state, ActionState::Waiting | ActionState::Queued) {
                continue;
            }
            let wanted = self.plan.wants(action);
            self.states[action] = if wanted { ActionState::Skipped } else { ActionState::Unwanted };
            if wanted {
                *skipped.entry(self.plan.stage_of(action).0).or_default() += 1;
            }
        }
        for (stage, actions) in skipped {
            let stage = self.plan.workflow.stages[stage].name.clone();
            (self.observe)(Event::Skipped { stage, actions });
        }
        self.failures.sort_by_key(|failure| failure.action);
        let (index_update, cautions) =
            (self.index_update(), self.resolver.cautions(|of| self.plan.wants(of)));
        let (known, discovered) = self.resolver.into_known();
        Outcome {
            index_update,
            states: self.states,
            failures: self.failures,
            interrupted: self.stop.load(Ordering::Relaxed),
            keys: self.keys,
            executed: self.executed,
            duplicates: self.duplicates,
            undelivered: None,
            discovered,
            cautions,
            known,
        }
    }
}
