//! What a run would do, without doing it.

use fuseline_cache::{Cache, CacheError, Remembered};

use crate::explain::{last_record, reason};
use crate::plan::{ActionId, Plan};
use crate::provenance::site;
use crate::resolve::{Lookup, Resolver, look_up};

/// What will happen to an action.
#[derive(Debug)]
pub struct Foreseen {
    /// The action.
    pub action: ActionId,
    /// Whether its outputs are in the cache.
    pub cached: bool,
    /// Why it runs, or that it is cached.
    pub reason: String,
}

/// Foresees every wanted action, in the plan's order.
///
/// An action whose input is still to be made is said to run; if that input comes out as it was, it will not.
pub fn foresee(
    plan: &Plan<'_>,
    cache: &Cache,
    remember: &dyn Fn() -> Remembered,
) -> Result<Vec<Foreseen>, CacheError> {
    let mut resolver = Resolver::new(plan);
    let known = cache.index(&plan.workflow().path);
    let mut remembered: Option<Remembered> = None;
    let mut bytes = Vec::new();
    let mut foreseen = Vec::with_capacity(plan.len());
    // Stages are in topological order, and so are their actions.
    for action in (0..plan.actions).filter(|&action| plan.wants(action)) {
        let (stage, index) = plan.stage_of(action);
        let planned = &plan.workflow().stages[stage];
        let Some(key) = resolver.key(action, &mut bytes) else {
            let waits_for = plan
                .variant(stage, index)
                .inputs
                .iter()
                .flat_map(|input| plan.producers(stage, index, input.input))
                .find(|producer| resolver.digest(producer.action, producer.source.output).is_none())
                .map(|producer| plan.workflow().stages[producer.source.stage].name.as_str());
            let reason = format!("{} runs", waits_for.unwrap_or("what it needs"));
            foreseen.push(Foreseen { action, cached: false, reason });
            continue;
        };
        if planned.execution.cache
            && let Some(outputs) = known.get(&key)
        {
            resolver.learn(action, outputs);
            foreseen.push(Foreseen { action, cached: true, reason: "cached".to_owned() });
            continue;
        }
        let reason = match look_up(cache, &key)? {
            Lookup::Cached(outputs) if planned.execution.cache => {
                resolver.learn(action, &outputs);
                foreseen.push(Foreseen { action, cached: true, reason: "cached".to_owned() });
                continue;
            }
            Lookup::Cached(_) => "its stage says cache: false".to_owned(),
            Lookup::ObjectMissing(port, digest) => {
                format!("object {digest} of output {port} is missing or damaged")
            }
            Lookup::Unknown => {
                let fields = resolver.fields(action);
                let site = site(&planned.name, &plan.point(action));
                let remembered = remembered.get_or_insert_with(remember);
                reason(&fields, last_record(cache, remembered.get(&site)).as_ref())
            }
        };
        foreseen.push(Foreseen { action, cached: false, reason });
    }
    Ok(foreseen)
}
