//! The leakage guard at plan time: follows the rows through the plan and asks each stage whether it is offered a leak.

use std::collections::{BTreeMap, VecDeque};

use fuseline_workflow::{Code, Diagnostic, Related, Severity};

use crate::plan::{ActionId, Plan};
use crate::provenance::site;
use crate::rows::{Leak, RowFlow, RowState, Rows};

/// Every leak of a plan, as diagnostics. Linear in the actions and edges of the plan.
pub(crate) fn guard(plan: &Plan<'_>) -> Vec<Diagnostic> {
    let mut states = vec![RowState::of(Rows::None); plan.outputs];
    // One summary for each shared group of producers.
    let mut shared: BTreeMap<(usize, usize, usize, u32), RowState> = BTreeMap::new();
    let mut found: BTreeMap<(usize, Code, String), (Leak, ActionId, usize)> = BTreeMap::new();
    for action in 0..plan.actions {
        let (stage, index) = plan.stage_of(action);
        let variant = plan.variant(stage, index);
        let (mut inputs, mut splits) = (Vec::new(), Vec::new());
        for input in &variant.inputs {
            let sources = &plan.workflow.stages[stage].inputs[input.input].sources;
            let mut whole = RowState::of(Rows::None);
            for (number, source) in sources.iter().enumerate() {
                let group = source.group_of[index];
                if group == u32::MAX {
                    continue;
                }
                let first = plan.stages[source.stage].first;
                let members = source.groups.get(group);
                if let [only] = members {
                    splits.push((input.port.as_str(), first + only));
                }
                let summarise = || {
                    let slots = members
                        .iter()
                        .map(|member| plan.output_slot(first + member, source.output));
                    slots.map(|slot| states[slot]).fold(RowState::of(Rows::None), RowState::and)
                };
                whole = whole.and(match members {
                    [_] => summarise(),
                    _ => {
                        *shared.entry((stage, input.input, number, group)).or_insert_with(summarise)
                    }
                });
            }
            inputs.push((input.port.as_str(), whole));
        }
        let mut flow = RowFlow::new(action, &inputs, &splits);
        variant.stage.rows(&mut flow);
        let leaks = std::mem::take(&mut flow.leaks);
        if !leaks.is_empty() {
            // What follows from a leak is no mistake of its own: from here on it is as if it had not been there.
            for leak in &leaks {
                for (_, state) in inputs.iter_mut().filter(|(port, _)| *port == leak.port) {
                    *state = state.without(leak.code);
                }
            }
            flow = RowFlow::new(action, &inputs, &splits);
            variant.stage.rows(&mut flow);
        }
        let passed = if inputs.is_empty() { RowState::of(Rows::All) } else { flow.all_inputs() };
        for (output, (port, _)) in plan.stages[stage].outputs.iter().enumerate() {
            let said = flow.outputs.iter().find(|(name, _)| name == port);
            states[plan.output_slot(action, output)] = said.map_or(passed, |(_, state)| *state);
        }
        for leak in leaks {
            let key = (stage, leak.code, leak.port.clone());
            found.entry(key).and_modify(|(.., times)| *times += 1).or_insert((leak, action, 1));
        }
    }
    found.into_values().map(|(leak, action, times)| diagnostic(plan, leak, action, times)).collect()
}

fn diagnostic(plan: &Plan<'_>, leak: Leak, action: ActionId, times: usize) -> Diagnostic {
    let (number, _) = plan.stage_of(action);
    let stage = &plan.workflow.stages[number];
    let place = stage
        .inputs
        .iter()
        .find(|input| input.port == leak.port)
        .map_or(&stage.places.name, |input| &input.place);
    let path = leak.origin.map_or_else(|| vec![action], |origin| path(plan, origin, action));
    let names: Vec<_> = path.iter().map(|&action| name(plan, action)).collect();
    let others = match times {
        1 => String::new(),
        2 => ", and so does 1 more of its actions".to_owned(),
        n => format!(", and so do {} more of its actions", n - 1),
    };
    let related = path.iter().filter(|&&of| of != action).map(|&of| Related {
        place: plan.workflow.stages[plan.stage_of(of).0].places.name.clone(),
        message: format!("the leak comes through {}", name(plan, of)),
    });
    let mut related: Vec<_> = related.collect();
    related.dedup_by(|a, b| a.place == b.place);
    Diagnostic {
        code: leak.code,
        severity: Severity::Error,
        message: format!(
            "{} {}{others} (path: {})",
            name(plan, action),
            leak.message,
            names.join(" -> ")
        ),
        place: place.clone(),
        label: None,
        hint: Some(leak.hint.to_owned()),
        related,
    }
}

fn name(plan: &Plan<'_>, action: ActionId) -> String {
    site(&plan.workflow.stages[plan.stage_of(action).0].name, &plan.point(action))
}

/// The shortest way by which an action's output reaches another action.
fn path(plan: &Plan<'_>, from: ActionId, to: ActionId) -> Vec<ActionId> {
    let mut next: BTreeMap<ActionId, ActionId> = BTreeMap::new();
    let mut queue = VecDeque::from([to]);
    while let Some(action) = queue.pop_front() {
        if action == from {
            let mut path = vec![from];
            let mut at = from;
            while let Some(&step) = next.get(&at) {
                path.push(step);
                at = step;
            }
            return path;
        }
        for needed in plan.needs(action) {
            if needed != to && !next.contains_key(&needed) {
                next.insert(needed, action);
                queue.push_back(needed);
            }
        }
    }
    vec![to]
}
