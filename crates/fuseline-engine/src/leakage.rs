//! The leakage check at plan time: follows the rows through the plan and asks each stage whether it
//! is offered a leak.

use std::collections::{BTreeMap, BTreeSet};

use fuseline_artifact::ArtifactKind;
use fuseline_workflow::{
    ActionIndex, Code, Diagnostic, Fix, GroupIndex, IndexVec, InputIndex, OutputIndex, Related,
    Severity, StageIndex, VariantIndex,
};

use crate::codes;
use crate::plan::{ActionId, OutputSlot, Plan};
use crate::row_flow::{Flowed, Leak, Offered, RowFlow, RowState, Trace};

use self::cause::Exchange;

mod cause;

/// Every leak of a plan, as diagnostics; those that follow from one reference as one. Linear in the
/// actions and edges of the plan, where nothing leaks.
pub(crate) fn guard(plan: &Plan<'_>) -> Vec<Diagnostic> {
    let followed = Followed::new(plan);
    let causes = cause::causes(&followed);
    let Followed { guard, leaks } = followed;
    let mistakes = guard.mistakes.iter().map(|(stage, text)| mistake(plan, *stage, text));
    let leaks = leaks.iter().filter_map(|(key, (leak, actions))| {
        let cause = causes.iter().find(|cause| cause.leaks.contains(key));
        if cause.is_some_and(|cause| cause.shown() != Some(key)) {
            return None;
        }
        let diagnostic = guard.diagnostic(leak, actions);
        Some(match cause {
            Some(cause) => cause.explain(plan, diagnostic),
            None => diagnostic,
        })
    });
    mistakes.chain(leaks).collect()
}

/// A leak as it is told apart from others: where, which, and through which input.
type LeakKey = (StageIndex, Code, String);

/// Leaks of the plan, each with the actions that are offered it.
type Leaks = BTreeMap<LeakKey, (Leak, Vec<ActionId>)>;

/// Rows, followed through a plan.
struct Followed<'p, 'w> {
    guard: Guard<'p, 'w>,
    leaks: Leaks,
}

impl<'p, 'w> Followed<'p, 'w> {
    fn new(plan: &'p Plan<'w>) -> Self {
        let states = vec![RowState::default(); plan.outputs].into();
        let mut whole = Self { guard: Guard::new(plan, None, states), leaks: Leaks::new() };
        plan.workflow.stages.keys().for_each(|stage| whole.follow(stage));
        whole
    }

    /// Leaks of some stages where a reference takes another output. `reached`: all stages that
    /// this can make a difference to.
    fn with(&self, exchange: Exchange, reached: impl Iterator<Item = StageIndex>) -> Self {
        let guard = Guard::new(self.guard.plan, Some(exchange), self.guard.states.clone());
        let mut part = Self { guard, leaks: Leaks::new() };
        reached.for_each(|stage| part.follow(stage));
        part
    }

    fn follow(&mut self, stage: StageIndex) {
        let Self { guard, leaks } = self;
        let plan = guard.plan;
        let written = &plan.workflow.stages[stage];
        // Actions with the same options, to which the same arrives, differ in nothing that their
        // kind is told: the first without a leak speaks for all.
        let mut sound: BTreeMap<(VariantIndex, Vec<Option<GroupIndex>>), ActionId> =
            BTreeMap::new();
        let may_be_alike = written.variants.len() < written.actions.len();
        for action in plan.actions_of(stage) {
            let alike = may_be_alike.then(|| guard.arrivals(action));
            if let Some(first) = alike.as_ref().and_then(|alike| sound.get(alike)) {
                guard.repeat(*first, action);
                continue;
            }
            let (is_sound, found) = guard.follow(action);
            if let Some(alike) = alike.filter(|_| is_sound) {
                sound.insert(alike, action);
            }
            for leak in found {
                let key = (stage, leak.code, leak.port.clone());
                let (_, actions) = leaks.entry(key).or_insert((leak, Vec::new()));
                // A port may leak in two ways at once.
                if actions.last() != Some(&action) {
                    actions.push(action);
                }
            }
        }
    }
}

/// Artifacts at an input of an action.
struct Arriving<'p> {
    port: &'p str,
    /// The rows of all that arrives together.
    state: RowState,
    /// The producer, where there is one.
    producer: Option<ActionId>,
}

/// The answer of an action's stage to what arrives at it.
fn ask(
    plan: &Plan<'_>,
    action: ActionId,
    arriving: &[Arriving<'_>],
) -> Result<Flowed, Vec<String>> {
    let (stage, index) = plan.stage_of(action);
    let outputs: Vec<&str> =
        plan.stages[stage].outputs.iter().map(|(port, _)| port.as_str()).collect();
    let offered = Offered {
        ports: plan.input_ports(stage, index),
        outputs: &outputs,
        inputs: arriving.iter().map(|input| (input.port, input.state.clone())).collect(),
        producers: arriving
            .iter()
            .filter_map(|input| Some((input.port, input.producer?)))
            .collect(),
        split_name: &|action| plan.action_label(action),
    };
    let mut flow = RowFlow::new(&offered);
    plan.variant(stage, index).stage.rows(&mut flow);
    flow.finish()
}

struct Guard<'p, 'w> {
    plan: &'p Plan<'w>,
    exchange: Option<Exchange>,
    /// Row state of each output.
    states: IndexVec<OutputSlot, RowState>,
    /// Combined row state of each shared group of producers.
    gathered: BTreeMap<(StageIndex, InputIndex, usize, GroupIndex), RowState>,
    /// Stages whose kinds do not say what they must, and what that is.
    mistakes: BTreeSet<(StageIndex, String)>,
}

impl<'p, 'w> Guard<'p, 'w> {
    fn new(
        plan: &'p Plan<'w>,
        exchange: Option<Exchange>,
        states: IndexVec<OutputSlot, RowState>,
    ) -> Self {
        Self { plan, exchange, states, gathered: BTreeMap::new(), mistakes: BTreeSet::new() }
    }

    /// The options of an action, and the set of producers at each source of the inputs that its
    /// kind reads.
    fn arrivals(&self, action: ActionId) -> (VariantIndex, Vec<Option<GroupIndex>>) {
        let plan = self.plan;
        let (stage, index) = plan.stage_of(action);
        let written = &plan.workflow.stages[stage];
        let inputs = plan.variant(stage, index).inputs.iter();
        let sources = inputs.flat_map(|input| &written.inputs[input.input].sources);
        let groups = sources.map(|source| source.group_of[index]).collect();
        (written.actions.variant(index), groups)
    }

    /// Records for an action the rows of the outputs of an earlier one.
    fn repeat(&mut self, earlier: ActionId, action: ActionId) {
        let (source, target) = (self.plan.output_slots(earlier), self.plan.output_slots(action));
        let (before, from) = self.states.raw.split_at_mut(target.start);
        from[..target.len()].clone_from_slice(&before[source]);
    }

    /// Records the rows of an action's outputs; returns the leaks in its inputs, and true if there
    /// was nothing to say of it.
    fn follow(&mut self, action: ActionId) -> (bool, Vec<Leak>) {
        let plan = self.plan;
        let (stage, index) = plan.stage_of(action);
        let mut arriving: Vec<Arriving<'_>> = Vec::new();
        for input in plan.variant(stage, index).inputs.iter() {
            let (state, producer) = self.arriving(stage, index, input.input);
            arriving.push(Arriving { port: input.port.as_str(), state, producer });
        }
        let mut flowed = ask(plan, action, &arriving);
        let mut leaks = Vec::new();
        if let Ok(Flowed { leaks: found, .. }) = &mut flowed
            && !found.is_empty()
        {
            // A consequence of a leak is no mistake of its own: from here on it is as if the leak
            // had not been there.
            leaks = std::mem::take(found);
            for leak in &leaks {
                for input in arriving.iter_mut().filter(|input| leak.comes_through(input.port)) {
                    input.state = input.state.without(leak.code);
                }
            }
            flowed = ask(plan, action, &arriving);
            // So is that two inputs have different rows where one of them is wrong.
            if leaks.iter().any(|leak| leak.code != codes::LEAK_ROWS_DIFFER) {
                leaks.retain(|leak| leak.code != codes::LEAK_ROWS_DIFFER);
            }
        }
        let is_sound = flowed.is_ok() && leaks.is_empty();
        match flowed {
            Ok(Flowed { outputs, .. }) => {
                let states = &mut self.states.raw[plan.output_slots(action)];
                states.iter_mut().zip(outputs).for_each(|(state, output)| *state = output);
            }
            Err(mistakes) => {
                let kind = plan.kind_name(action);
                let texts = mistakes.iter().map(|what| (stage, format!("{kind} {what}")));
                self.mistakes.extend(texts);
            }
        }
        (is_sound, leaks)
    }

    /// Combined row state of all that arrives at an input, and the producer where there is one.
    fn arriving(
        &mut self,
        stage: StageIndex,
        index: ActionIndex,
        input: InputIndex,
    ) -> (RowState, Option<ActionId>) {
        let plan = self.plan;
        let sources = &plan.workflow.stages[stage].inputs[input].sources;
        let mut whole: Option<RowState> = None;
        let mut only = None;
        for (number, source) in sources.iter().enumerate() {
            let Some(group) = source.group_of[index] else { continue };
            let action = |member: &ActionIndex| plan.action_of(source.stage, *member);
            let exchanged = self.exchange.filter(|other| other.is_of(stage, input, number));
            let output = exchanged.map_or(source.output, |other| other.output);
            let slot = |member| plan.output_slot(action(member), output);
            let members = source.groups.get(group);
            let state = match members {
                [member] => {
                    only = only.or(Some(action(member)));
                    &self.states[slot(member)]
                }
                _ => {
                    let states = members.iter().map(|member| &self.states[slot(member)]);
                    let together = || RowState::gathered(states);
                    &*self.gathered.entry((stage, input, number, group)).or_insert_with(together)
                }
            };
            whole = Some(match whole {
                None => state.clone(),
                Some(whole) => RowState::gathered([&whole, state].into_iter()),
            });
        }
        (whole.unwrap_or_default(), only)
    }

    /// The change that mends a leak: the two references exchanged, another output of the same stage
    /// with which nothing leaks at this input, or an axis of a stage that it comes through.
    fn fix(&self, leak: &Leak, action: ActionId) -> Option<Fix> {
        self.other_reference(leak, action).or_else(|| self.missing_axis(leak, action))
    }

    /// An axis of a stage on the way that gathers it, though the stages before and behind run over
    /// it: if only one stage lacks one axis.
    fn missing_axis(&self, leak: &Leak, action: ActionId) -> Option<Fix> {
        let plan = self.plan;
        let stage = |action: &ActionId| &plan.workflow.stages[plan.stage_of(*action).0];
        let path = self.path(action, &leak.port, &leak.trace);
        let reader = stage(&action);
        let mut missing = Vec::new();
        for (place, before) in path.iter().enumerate() {
            let lacking = path[place + 1..].iter().map(stage);
            for axis in stage(before).over.iter().filter(|axis| reader.over.contains(axis)) {
                let lacking = lacking.clone().filter(|stage| !stage.over.contains(axis));
                missing.extend(lacking.map(|stage| (stage, *axis)));
            }
        }
        missing.dedup_by(|a, b| a.0.name == b.0.name && a.1 == b.1);
        let [(stage, axis)] = missing.as_slice() else { return None };
        Some(Fix::over(&stage.name, &plan.workflow.axes[*axis].name, &stage.places))
    }

    fn other_reference(&self, leak: &Leak, action: ActionId) -> Option<Fix> {
        let plan = self.plan;
        let (stage, _) = plan.stage_of(action);
        let written = &plan.workflow.stages[stage];
        let only_source = |port: &str| {
            let input = written.inputs.position(|input| input.port == port)?;
            match written.inputs[input].sources.as_slice() {
                [only] => Some((input, only)),
                _ => None,
            }
        };
        let (input, source) = only_source(&leak.port)?;
        if let Some(other) = &leak.swapped_with {
            let (_, other) = only_source(other)?;
            let title = "exchange the two references";
            return Some(Fix::exchange(title, &source.place, &other.place));
        }
        let name = &plan.workflow.stages[source.stage].name;
        let outputs = &plan.stages[source.stage].outputs;
        let (port, kind) = &outputs[source.output];
        let fits = |(output, (_, other)): &(OutputIndex, &(String, ArtifactKind))| {
            *output != source.output
                && other == kind
                && self.is_sound_with(action, input, *output, &leak.port)
        };
        let (_, (other, _)) = outputs.iter_enumerated().find(fits)?;
        // A reference that does not name its output is no word that could be changed.
        Some(Fix::word(&format!("{name}.{port}"), &format!("{name}.{other}"), &source.place))
    }

    /// True if nothing leaks at a port where one of its inputs takes another output.
    fn is_sound_with(
        &self,
        action: ActionId,
        changed: InputIndex,
        output: OutputIndex,
        port: &str,
    ) -> bool {
        let plan = self.plan;
        let (stage, index) = plan.stage_of(action);
        let arriving: Vec<_> = plan
            .variant(stage, index)
            .inputs
            .iter()
            .map(|input| {
                let states = plan.producers(stage, index, input.input).map(|producer| {
                    let is_changed = input.input == changed;
                    let output = if is_changed { output } else { producer.source.output };
                    &self.states[plan.output_slot(producer.action, output)]
                });
                let states: Vec<_> = states.collect();
                let state = RowState::gathered(states.into_iter());
                let mut producers = plan.producers(stage, index, input.input);
                let producer = producers.next().map(|producer| producer.action);
                Arriving { port: input.port.as_str(), state, producer }
            })
            .collect();
        ask(plan, action, &arriving)
            .is_ok_and(|flowed| !flowed.leaks.iter().any(|leak| leak.comes_through(port)))
    }

    /// `actions`: those that are offered the leak, one at least.
    fn diagnostic(&self, leak: &Leak, actions: &[ActionId]) -> Diagnostic {
        let plan = self.plan;
        let action = actions.first().copied().unwrap_or_default();
        let stage = &plan.workflow.stages[plan.stage_of(action).0];
        let input = stage.inputs.iter().find(|input| input.port == leak.port);
        let place = input.map_or(&stage.places.name, |input| &input.place);
        let path = self.path(action, &leak.port, &leak.trace);
        let names: Vec<_> = path.iter().map(|&action| plan.action_label(action)).collect();
        let others = match actions.len() {
            0 | 1 => String::new(),
            2 => ", and so does 1 more of its actions".to_owned(),
            n => format!(", and so do {} more of its actions", n - 1),
        };
        let (_, before) = path.split_last().unwrap_or((&action, &[]));
        let mut related: Vec<_> = before
            .iter()
            .map(|&of| Related {
                place: plan.workflow.stages[plan.stage_of(of).0].places.name.clone(),
                message: format!("the leak comes through {}", plan.action_label(of)),
            })
            .collect();
        related.dedup_by(|a, b| a.place == b.place);
        let swapped = leak.swapped_with.as_ref();
        let swapped =
            swapped.and_then(|port| stage.inputs.iter().find(|input| input.port == *port));
        related.extend(swapped.map(|input| Related {
            place: input.place.clone(),
            message: "these two have changed places".to_owned(),
        }));
        Diagnostic {
            code: leak.code,
            severity: Severity::Error,
            message: format!(
                "{} {}{others} (path: {})",
                plan.action_label(action),
                leak.message,
                names.join(" -> ")
            ),
            place: place.clone(),
            label: None,
            hint: Some(leak.hint.to_owned()),
            related,
            fix: self.fix(leak, action),
        }
    }

    /// The actions through which a leak reaches an input of an action, which comes last.
    fn path(&self, action: ActionId, port: &str, trace: &Trace) -> Vec<ActionId> {
        let mut path = vec![action];
        let mut next = self.producer(action, Some(port), trace);
        while let Some(action) = next {
            path.push(action);
            next = self.producer(action, None, trace);
        }
        path.reverse();
        path
    }

    /// The first producer of an input of an action, or of any, whose output is on the way.
    fn producer(&self, action: ActionId, port: Option<&str>, trace: &Trace) -> Option<ActionId> {
        let plan = self.plan;
        let (stage, index) = plan.stage_of(action);
        let inputs = plan.variant(stage, index).inputs.iter();
        inputs
            .filter(|input| port.is_none_or(|port| input.port == port))
            .flat_map(|input| plan.producers(stage, index, input.input))
            .find(|producer| {
                let slot = plan.output_slot(producer.action, producer.source.output);
                trace.leads_through(&self.states[slot])
            })
            .map(|producer| producer.action)
    }
}

/// Diagnostic for a stage kind that does not declare its rows: the check fails closed.
fn mistake(plan: &Plan<'_>, stage: StageIndex, text: &str) -> Diagnostic {
    let stage = &plan.workflow.stages[stage];
    Diagnostic {
        code: codes::ROWS_UNKNOWN,
        severity: Severity::Error,
        message: format!("the stage kind {text}"),
        place: stage.places.name.clone(),
        label: None,
        hint: Some(
            "this is a mistake in the stage kind and not in the workflow: report it".to_owned(),
        ),
        related: Vec::new(),
        fix: None,
    }
}

#[cfg(test)]
pub(crate) mod tests;
