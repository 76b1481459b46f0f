//! One reference that many leaks follow from: with another output in its place they are gone.

use std::collections::BTreeSet;

use fuseline_workflow::{Diagnostic, Fix, InputIndex, OutputIndex, Related, StageIndex};

use super::{Followed, LeakKey, Leaks};
use crate::plan::Plan;
use crate::plan_builder;

/// Actions that are followed, and outputs that are noted, at most while a cause is looked for.
/// Each leak is reported by itself if there would be more.
const MOST_WORK: usize = 2_000_000;

/// A reference, and another output of the stage that it names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exchange {
    stage: StageIndex,
    input: InputIndex,
    /// Number of the reference among those of the input.
    source: usize,
    /// The output that is taken instead.
    pub(super) output: OutputIndex,
}

impl Exchange {
    pub(super) fn is_of(&self, stage: StageIndex, input: InputIndex, source: usize) -> bool {
        (self.stage, self.input, self.source) == (stage, input, source)
    }
}

/// A reference without which several leaks were not.
pub(super) struct Cause {
    exchange: Exchange,
    /// The leaks that follow from it, two at least.
    pub(super) leaks: BTreeSet<LeakKey>,
}

impl Cause {
    /// The leak that speaks for all: one at the reference itself, or else the first.
    pub(super) fn shown(&self) -> Option<&LeakKey> {
        let own = self.leaks.iter().find(|(stage, ..)| *stage == self.exchange.stage);
        own.or_else(|| self.leaks.first())
    }

    /// The diagnostic of the leak that speaks for all, with the reference and its fix.
    pub(super) fn explain(&self, plan: &Plan<'_>, mut diagnostic: Diagnostic) -> Diagnostic {
        let Exchange { stage, input, source, output } = self.exchange;
        let written = &plan.workflow.stages[stage];
        let reference = &written.inputs[input].sources[source];
        let name = &plan.workflow.stages[reference.stage].name;
        let outputs = &plan.stages[reference.stage].outputs;
        let (taken, other) = (&outputs[reference.output].0, &outputs[output].0);
        let others = match self.leaks.len() - 1 {
            1 => "another leak follows".to_owned(),
            n => format!("{n} other leaks follow"),
        };
        let (of, port) = (&written.name, &written.inputs[input].port);
        diagnostic.hint =
            Some(format!("let `{port}` of `{of}` take `{name}.{other}`: {others} from the same"));
        diagnostic.related.push(Related {
            place: reference.place.clone(),
            message: format!("with `{name}.{other}` here, nothing of it leaks"),
        });
        diagnostic.fix = Some(Fix::word(
            &format!("{name}.{taken}"),
            &format!("{name}.{other}"),
            &reference.place,
        ));
        diagnostic
    }
}

/// The references that several leaks follow from, each leak with one at most: those first that most
/// follow from, of these the ones nearest to the leaks.
pub(super) fn causes(whole: &Followed<'_, '_>) -> Vec<Cause> {
    let (plan, leaks) = (whole.guard.plan, &whole.leaks);
    if leaks.len() < 2 || !whole.guard.mistakes.is_empty() {
        return Vec::new();
    }
    let mut candidates = Vec::new();
    let mut work = 0;
    for exchange in exchanges(plan, leaks) {
        let reached = reached(plan, exchange.stage);
        if leaks.keys().filter(|(stage, ..)| reached.contains(stage)).count() > 1 {
            let stages = reached.iter().map(|stage| &plan.workflow.stages[*stage]);
            work += plan.outputs + stages.map(|stage| stage.actions.len()).sum::<usize>();
            candidates.push((exchange, reached));
        }
    }
    if work > MOST_WORK {
        return Vec::new();
    }
    let mut found: Vec<Cause> = Vec::new();
    for (exchange, reached) in candidates {
        let part = whole.with(exchange, reached.iter().copied());
        let is_new = |key| !leaks.contains_key(key);
        if !part.guard.mistakes.is_empty() || part.leaks.keys().any(is_new) {
            continue;
        }
        let is_gone = |key: &&LeakKey| reached.contains(&key.0) && !part.leaks.contains_key(*key);
        found.push(Cause { exchange, leaks: leaks.keys().filter(is_gone).cloned().collect() });
    }
    // Stable: of those with as many leaks the last come first.
    found.reverse();
    found.sort_by_key(|cause| std::cmp::Reverse(cause.leaks.len()));
    let mut told = BTreeSet::new();
    found.retain_mut(|cause| {
        cause.leaks.retain(|key| !told.contains(key));
        let is_cause = cause.leaks.len() > 1;
        if is_cause {
            told.extend(cause.leaks.iter().cloned());
        }
        is_cause
    });
    found
}

/// A stage with all that depend on it, in the order of the stages.
fn reached(plan: &Plan<'_>, from: StageIndex) -> BTreeSet<StageIndex> {
    let mut reached = BTreeSet::from([from]);
    for (stage, written) in plan.workflow.stages.iter_enumerated() {
        let mut sources = written.inputs.iter().flat_map(|input| &input.sources);
        if sources.any(|source| reached.contains(&source.stage)) {
            reached.insert(stage);
        }
    }
    reached
}

/// References of the stages that leak and of those before them which could name another output of
/// the same kind, in the order of the stages.
fn exchanges(plan: &Plan<'_>, leaks: &Leaks) -> Vec<Exchange> {
    let leaking: Vec<StageIndex> = leaks.keys().map(|(stage, ..)| *stage).collect();
    let before = plan_builder::wanted(plan.workflow, &leaking);
    let stages = plan.workflow.stages.iter_enumerated();
    let mut found = Vec::new();
    for (stage, written) in stages.filter(|(stage, _)| before[*stage]) {
        for (input, written) in written.inputs.iter_enumerated() {
            for (source, reference) in written.sources.iter().enumerate() {
                let outputs = &plan.stages[reference.stage].outputs;
                let kind = outputs[reference.output].1;
                let others = outputs
                    .iter_enumerated()
                    .filter(|(output, (_, other))| *output != reference.output && *other == kind);
                found.extend(others.map(|(output, _)| Exchange { stage, input, source, output }));
            }
        }
    }
    found
}
