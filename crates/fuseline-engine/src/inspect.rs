//! Inspection of a cache: which actions of a plan it holds, and why it does not hold the others.
//!
//! Takes no lease and writes nothing, so that the cache of another user can be inspected too.

use fuseline_artifact::Digest;
use fuseline_cache::{
    ActionKey, ActionRecord, Cache, CacheError, Index, OutputRecord, PreviousKeys,
};
use fuseline_workflow::OutputIndex;

use crate::discovered;
use crate::explain::{History, reason};
use crate::files::FileDigests;
use crate::installed::Installation;
use crate::plan::{ActionId, Plan};
use crate::resolve::{Resolver, outputs_of};
use crate::run_record::previous_keys;

/// An action, and whether the cache holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionPreview {
    /// The action.
    pub action: ActionId,
    /// The reason why the action would be executed; none when it is cached.
    pub miss: Option<String>,
}

impl ActionPreview {
    /// True if the action's outputs are in the cache.
    pub fn is_cached(&self) -> bool {
        self.miss.is_none()
    }

    /// `cached`, or the reason why the action would be executed.
    pub fn reason(&self) -> &str {
        self.miss.as_deref().unwrap_or("cached")
    }
}

/// Result of [`inspect`].
pub struct Inspection<'p, 'a> {
    /// The actions that the plan wants, in its order.
    pub actions: Vec<ActionPreview>,
    resolver: Resolver<'p, 'a>,
}

impl Inspection<'_, '_> {
    /// The digest of one output of an action, if the action is cached.
    pub fn output(&self, action: ActionId, output: OutputIndex) -> Option<Digest> {
        self.resolver.digest(action, output)
    }
}

/// Looks every wanted action up in a cache; without a cache, none is cached.
///
/// An action whose input is still to be made counts as not cached; if that input comes out as it
/// was, a run will find it cached.
pub fn inspect<'p, 'a>(
    plan: &'p Plan<'a>,
    cache: Option<&Cache>,
) -> Result<Inspection<'p, 'a>, CacheError> {
    let mut resolver = Resolver::new(plan);
    let index = cache.map_or_else(Index::default, |cache| cache.peek_index(&plan.workflow.path));
    let mut previous: Option<PreviousKeys> = None;
    let mut bytes = Vec::new();
    let files = FileDigests::default();
    let mut actions = Vec::with_capacity(plan.wanted());
    // Stages are in topological order, and so are their actions.
    for action in plan.actions().filter(|&action| plan.wants(action)) {
        let reuse = plan.workflow.stages[plan.stage_of(action).0].execution.cache;
        let Some(key) = resolver.key(action, &mut bytes) else {
            actions.push(ActionPreview { action, miss: Some(missing_input(&resolver, action)) });
            continue;
        };
        let indexed = index.get(&key).filter(|_| reuse);
        if let Some(outputs) = indexed {
            resolver.learn(action, outputs);
            actions.push(ActionPreview { action, miss: None });
            continue;
        }
        let lookup = cache.map_or(Ok(Lookup::Unknown), |cache| {
            let record = cache.peek_action(&key)?;
            Lookup::from_record(cache, &key, record, &files, Some(&plan.installation))
        })?;
        let miss = match lookup {
            Lookup::Cached(record) if reuse => {
                if let Some(cache) = cache {
                    resolver.discover(action, discovered::read_discovered(cache, &record)?);
                }
                resolver.learn(action, &outputs_of(&record));
                None
            }
            lookup => Some(lookup.miss_reason(|| {
                let fields = resolver.fields(action);
                let Some(cache) = cache else {
                    return History { fields, last: None, failed: None, key };
                };
                let name = &plan.workflow.name;
                let previous = previous.get_or_insert_with(|| previous_keys(cache, name));
                History::recall(cache, previous, &plan.action_label(action), key, fields)
            })),
        };
        actions.push(ActionPreview { action, miss });
    }
    Ok(Inspection { actions, resolver })
}

/// The reason for an action of which not every input is known.
fn missing_input(resolver: &Resolver<'_, '_>, action: ActionId) -> String {
    let plan = resolver.plan;
    let (stage, index) = plan.stage_of(action);
    let inputs = plan.variant(stage, index).inputs.iter();
    let missing = inputs
        .flat_map(|input| plan.producers(stage, index, input.input))
        .find(|producer| resolver.digest(producer.action, producer.source.output).is_none())
        .map(|producer| plan.workflow.stages[producer.source.stage].name.as_str());
    format!("{} runs", missing.unwrap_or("what it needs"))
}

/// State of a key in the cache.
#[derive(Debug)]
pub enum Lookup {
    /// Executed, and every object is there.
    Cached(ActionRecord),
    /// Executed, but the object of this port is missing or has another size.
    ObjectMissing(String, Digest),
    /// Executed, and what it was found to have read has changed since: how, in words.
    ReadFileChanged(String),
    /// Never executed, as far as the cache knows.
    Unknown,
}

impl Lookup {
    fn from_record(
        cache: &Cache,
        key: &ActionKey,
        record: Option<ActionRecord>,
        files: &FileDigests,
        installation: Option<&Installation>,
    ) -> Result<Self, CacheError> {
        let Some(record) = record else { return Ok(Self::Unknown) };
        let record = match missing_output(cache, &record) {
            None => record,
            Some(missing) => {
                // Objects that went from here may still be with the remote.
                let remote = cache.find_remote_action(key);
                match remote.filter(|record| missing_output(cache, record).is_none()) {
                    Some(record) => record,
                    None => return Ok(Self::ObjectMissing(missing.port.clone(), missing.digest)),
                }
            }
        };
        Ok(match discovered::changed(cache, &record, files, installation)? {
            Some(words) => Self::ReadFileChanged(words),
            None => Self::Cached(record),
        })
    }

    /// The reason why an action with this key is executed.
    pub(crate) fn miss_reason(&self, history: impl FnOnce() -> History) -> String {
        match self {
            Self::ObjectMissing(port, digest) => {
                format!("object {digest} of output {port} is missing or damaged")
            }
            Self::ReadFileChanged(words) => words.clone(),
            Self::Cached(_) => "its stage says cache: false".to_owned(),
            Self::Unknown => reason(&history()),
        }
    }
}

/// The first output of a record whose object cannot be had.
fn missing_output<'r>(cache: &Cache, record: &'r ActionRecord) -> Option<&'r OutputRecord> {
    record.outputs.iter().find(|output| !cache.has_object(&output.digest, output.size))
}

/// Looks a key up for use: its record is renewed, so that a collection keeps it.
pub(crate) fn look_up(
    cache: &Cache,
    key: &ActionKey,
    files: &FileDigests,
    installation: &Installation,
) -> Result<Lookup, CacheError> {
    Lookup::from_record(cache, key, cache.get_action(key)?, files, Some(installation))
}

/// Looks a key up and writes nothing. Software counts as it is where the action was executed.
pub fn peek(cache: &Cache, key: &ActionKey) -> Result<Lookup, CacheError> {
    Lookup::from_record(cache, key, cache.peek_action(key)?, &FileDigests::default(), None)
}
