//! From references to edges: match shared axes, gather those of the producer alone, broadcast
//! the rest.

use std::collections::BTreeSet;

use super::edits::add_axes;
use super::expand::World;
use super::points::{Table, written_point};
pub(crate) use super::resolve::{Resolved, Stages};
use crate::catalogue::{Arity, InputPort};
use crate::codes;
use crate::diagnostic::{Diagnostic, Fix};
use crate::files::Place;
use crate::index::{
    ActionIndex, AxisIndex, GroupIndex, IndexVec, InputIndex, KindIndex, PointIndex, VariantIndex,
    WrittenStageIndex,
};
use crate::names;
use crate::reference::Reference;
use crate::workflow::{Actions, Groups, Input, InputSource};

impl<'a> Stages<'a> {
    /// The inputs of a stage, joined; those with mistakes are reported and left out.
    pub fn join(
        &self,
        consumer: WrittenStageIndex,
        world: &World<'a>,
        found: &mut Vec<Diagnostic>,
    ) -> IndexVec<InputIndex, Input> {
        let written = &self.written[consumer];
        let mut inputs = IndexVec::new();
        let first_found = found.len();
        let mut mismatches: Vec<Mismatch<'_>> = Vec::new();
        for input in &written.inputs {
            let ports = self.ports(consumer, &input.port, world);
            let mut sources = Vec::new();
            for reference in &input.references {
                let Some(resolved) = self.resolve(reference, world, found) else { continue };
                let before = found.len();
                let wrong = ports.iter().find(|(_, port)| port.artifact != resolved.port.artifact);
                if let Some((kind, port)) = wrong {
                    found.push(self.wrong_type(consumer, reference, &resolved, *kind, port, world));
                    mismatches.push(Mismatch {
                        port: &port.name,
                        wanted: &port.artifact,
                        given: &resolved.port.artifact,
                        place: &reference.place,
                    });
                }
                if found.len() == before {
                    self.check_arity(consumer, reference, &resolved, &ports, world, found);
                }
                if found.len() == before
                    && let Some(source) =
                        self.source(consumer, &input.port, reference, &resolved, world, found)
                {
                    sources.push(source);
                }
            }
            if input.listed
                && let Some((kind, port)) = ports.iter().find(|(_, port)| port.arity == Arity::One)
            {
                let name = &world.catalogue.kinds()[*kind].name;
                let message =
                    format!("the input `{}` of `{name}` takes one artifact, not a list", port.name);
                found.push(Diagnostic::error(codes::PORT_ARITY, &input.place, message));
            }
            inputs.push(Input { port: input.port.clone(), place: input.place.clone(), sources });
        }
        if let Some((one, other)) = exchanged(&mismatches) {
            let at = [one.place, other.place];
            let mut index = 0..;
            found.retain(|found| {
                let is_of_stage = index.next().is_some_and(|index| index >= first_found);
                let is_of_pair = found.code == codes::PORT_TYPE && at.contains(&&found.place);
                !(is_of_stage && is_of_pair)
            });
            found.push(one.exchange(other));
        }
        inputs
    }

    /// The port of a name, in each kind of a stage that has it.
    fn ports(
        &self,
        stage: WrittenStageIndex,
        name: &str,
        world: &World<'a>,
    ) -> Vec<(KindIndex, &'a InputPort)> {
        let expanded = &self.expanded[stage];
        let port = |kind: &KindIndex| {
            let ports = expanded.inputs(*kind, world.catalogue)?;
            Some((*kind, ports.iter().find(|port| port.name == name)?))
        };
        expanded.kinds.iter().filter_map(port).collect()
    }

    /// The diagnostic for an output of another artifact kind than its input takes.
    fn wrong_type(
        &self,
        consumer: WrittenStageIndex,
        reference: &Reference,
        resolved: &Resolved<'_>,
        kind: KindIndex,
        port: &InputPort,
        world: &World<'_>,
    ) -> Diagnostic {
        let name = &world.catalogue.kinds()[kind].name;
        let message = format!(
            "the input `{}` of `{name}` takes {}, and `{}` gives {}",
            port.name,
            port.artifact,
            reference.output(),
            resolved.port.artifact
        );
        // A stage with an output of the wanted kind is likely the one meant.
        let mut fitting = Vec::new();
        for (stage, written) in
            self.written.iter_enumerated().filter(|(stage, _)| *stage != consumer)
        {
            let Some(outputs) = self.expanded[stage].outputs(world.catalogue) else { continue };
            for output in outputs.iter().filter(|output| output.artifact == port.artifact) {
                fitting.push(match outputs.len() {
                    1 => written.name.clone(),
                    _ => format!("{}.{}", written.name, output.name),
                });
            }
        }
        fitting.truncate(4);
        let hint = match fitting.as_slice() {
            [] => format!("no stage gives {}", port.artifact),
            some => format!("{} comes from {}", port.artifact, names::list(some)),
        };
        Diagnostic::error(codes::PORT_TYPE, &reference.place, message).hint(hint)
    }

    /// The producer's axes that its consumer matches, and those that arrive together.
    fn split(
        &self,
        consumer: Option<WrittenStageIndex>,
        resolved: &Resolved<'_>,
    ) -> (BTreeSet<AxisIndex>, Vec<AxisIndex>) {
        let over = self.written[resolved.stage].over.as_deref().unwrap_or_default();
        let shared =
            consumer.and_then(|stage| self.written[stage].over.as_deref()).unwrap_or_default();
        // A selection takes the place of a match.
        let is_selected =
            |axis: &AxisIndex| resolved.selected.iter().any(|(selected, _)| selected == axis);
        let matched: BTreeSet<AxisIndex> = over
            .iter()
            .copied()
            .filter(|axis| shared.contains(axis) && !is_selected(axis))
            .collect();
        let gathered = over.iter().copied().filter(|axis| !matched.contains(axis)).collect();
        (matched, gathered)
    }

    fn check_arity(
        &self,
        consumer: WrittenStageIndex,
        reference: &Reference,
        resolved: &Resolved<'_>,
        ports: &[(KindIndex, &InputPort)],
        world: &World<'_>,
        found: &mut Vec<Diagnostic>,
    ) {
        let Some((kind, port)) = ports.iter().find(|(_, port)| port.arity == Arity::One) else {
            return;
        };
        let name = &world.catalogue.kinds()[*kind].name;
        let subject = || format!("the input `{}` of `{name}` takes one artifact", port.name);
        if let Some(diagnostic) = self.many(Some(consumer), reference, resolved, world, subject) {
            found.push(diagnostic);
        }
    }

    /// The diagnostic for a reference to many actions where one is wanted.
    fn many(
        &self,
        consumer: Option<WrittenStageIndex>,
        reference: &Reference,
        resolved: &Resolved<'_>,
        world: &World<'_>,
        subject: impl Fn() -> String,
    ) -> Option<Diagnostic> {
        let (_, gathered) = self.split(consumer, resolved);
        let chosen =
            |axis: AxisIndex| resolved.selected.iter().find(|(selected, _)| *selected == axis);
        let open: Vec<AxisIndex> = gathered
            .into_iter()
            .filter(|axis| chosen(*axis).is_none_or(|(_, points)| points.len() > 1))
            .collect();
        let first = *open.first()?;
        let axis_names: Vec<_> = open.iter().map(|axis| world.axes[*axis].name.as_str()).collect();
        let message = format!(
            "{}, and `{}` gives one for each point of {}",
            subject(),
            reference.stage,
            names::list(&axis_names)
        );
        let port = reference.port.as_ref().map_or(String::new(), |(port, _)| format!(".{port}"));
        // The points of an action that there is.
        let over = self.written[resolved.stage].over.as_deref().unwrap_or_default();
        let action = self.expanded[resolved.stage].actions.as_ref().filter(|all| !all.is_empty());
        let picks: Vec<_> = open
            .iter()
            .map(|axis| {
                let place = over.iter().position(|known| known == axis);
                let coord =
                    action.zip(place).map(|(all, place)| all.coords(ActionIndex::default())[place]);
                let axis = &world.axes[*axis];
                let point = axis.points.get(coord.unwrap_or_default());
                format!("{}={}", axis.name, point.map_or("…", |point| point.label.as_str()))
            })
            .collect();
        let pick = format!("`{}{port}[{}]`", reference.stage, picks.join(", "));
        let hint = match chosen(first) {
            Some(_) => "select one point".to_owned(),
            None if consumer.is_some() => {
                format!("add {} to `over`, or pick a point: {pick}", names::list(&axis_names))
            }
            None => format!("pick a point: {pick}"),
        };
        let mut diagnostic =
            Diagnostic::error(codes::PORT_ARITY, &reference.place, message).hint(hint);
        if let (Some(consumer), None) = (consumer, chosen(first)) {
            diagnostic = diagnostic.fix(add_axes(&self.written[consumer], &axis_names));
        }
        if let Some(place) = &self.written[resolved.stage].over_place {
            diagnostic =
                diagnostic.related(place, format!("`{}` runs over them here", reference.stage));
        }
        Some(diagnostic)
    }

    /// The one action that an output of the workflow names.
    pub fn single(
        &self,
        reference: &Reference,
        resolved: &Resolved<'_>,
        world: &World<'_>,
        found: &mut Vec<Diagnostic>,
    ) -> Option<ActionIndex> {
        let subject = || "an output is one artifact".to_owned();
        if let Some(diagnostic) = self.many(None, reference, resolved, world, subject) {
            found.push(diagnostic);
            return None;
        }
        let producer = self.expanded[resolved.stage].actions.as_ref()?;
        let over = self.written[resolved.stage].over.as_deref()?;
        let action = producer
            .keys()
            .find(|action| passes(over, producer.coords(*action), &resolved.selected));
        if action.is_none() {
            let message = format!("`where` dropped this point of the stage `{}`", reference.stage);
            let mut diagnostic = Diagnostic::error(codes::DROPPED_POINT, &reference.place, message);
            if let Some(filter) = &self.written[resolved.stage].filter {
                diagnostic = diagnostic.related(&filter.place, "dropped here");
            }
            found.push(diagnostic);
        }
        action
    }

    /// The sets of producers, and which of them each action of the consumer gets.
    fn source(
        &self,
        consumer: WrittenStageIndex,
        port: &str,
        reference: &Reference,
        resolved: &Resolved<'_>,
        world: &World<'_>,
        found: &mut Vec<Diagnostic>,
    ) -> Option<InputSource> {
        let (matched, gathered_axes) = self.split(Some(consumer), resolved);
        let producer = self.expanded[resolved.stage].actions.as_ref()?;
        let actions = self.expanded[consumer].actions.as_ref()?;
        let producer_over = self.written[resolved.stage].over.as_deref()?;
        let consumer_over = self.written[consumer].over.as_deref()?;
        let (groups, group_of_slot) =
            group(producer, producer_over, &matched, &resolved.selected, world);
        let table = Table::new(consumer_over, &matched, world.axes);
        let reads: IndexVec<VariantIndex, bool> = self.expanded[consumer]
            .variants
            .iter()
            .map(|variant| {
                variant.as_ref().is_some_and(|variant| {
                    let ports = self.expanded[consumer].inputs(variant.kind, world.catalogue);
                    ports.is_some_and(|ports| ports.iter().any(|p| p.name == port && p.read))
                })
            })
            .collect();
        let mut group_of = Vec::with_capacity(actions.len());
        let mut dropped: Option<(ActionIndex, usize)> = None;
        for action in actions.keys() {
            if !reads[actions.variant(action)] {
                group_of.push(None);
                continue;
            }
            let group = group_of_slot[table.slot(actions.coords(action))];
            if group.is_none() {
                dropped = Some(dropped.map_or((action, 1), |(first, count)| (first, count + 1)));
            }
            group_of.push(group);
        }
        if let Some((first, count)) = dropped {
            let at =
                written_point(consumer_over, actions.coords(first), world.axes, Some(&matched));
            let (at, hint) = if at.is_empty() {
                ("the points selected".to_owned(), "select points that exist".to_owned())
            } else {
                let name = &self.written[consumer].name;
                let more =
                    if count > 1 { format!(" and {} more", count - 1) } else { String::new() };
                let hint = format!("give `{name}` the same `where`, or select points that exist");
                (format!("{at}{more}"), hint)
            };
            let message = format!("`{}` has no action for {at}", reference.stage);
            let mut diagnostic =
                Diagnostic::error(codes::DROPPED_POINT, &reference.place, message).hint(hint);
            if let Some(filter) = &self.written[resolved.stage].filter {
                diagnostic = diagnostic.related(&filter.place, "dropped here");
            }
            let asked = &self.written[consumer];
            if let Some(place) =
                asked.filter.as_ref().map(|f| &f.place).or(asked.over_place.as_ref())
            {
                diagnostic = diagnostic.related(place, "asked for here");
            }
            found.push(diagnostic);
            return None;
        }
        Some(InputSource {
            stage: self.indices[resolved.stage],
            output: resolved.output,
            gathered_axes,
            groups,
            group_of: group_of.into(),
            place: reference.place.clone(),
        })
    }
}

/// An input that is given an output of another artifact kind.
struct Mismatch<'m> {
    port: &'m str,
    wanted: &'m str,
    given: &'m str,
    place: &'m Place,
}

impl Mismatch<'_> {
    /// The diagnostic for two inputs of which each is given what the other takes.
    fn exchange(&self, other: &Self) -> Diagnostic {
        let message = format!(
            "the inputs `{}` and `{}` are exchanged: they take {} and {}",
            self.port, other.port, self.wanted, other.wanted
        );
        let title = format!("exchange `{}` and `{}`", self.port, other.port);
        Diagnostic::error(codes::PORT_TYPE, self.place, message)
            .hint(format!("give `{}` what `{}` is given", self.port, other.port))
            .related(other.place, format!("this is {}", other.given))
            .fix(Fix::exchange(title, self.place, other.place))
    }
}

/// The first two inputs of which each is given what the other takes.
fn exchanged<'m>(mismatches: &'m [Mismatch<'m>]) -> Option<(&'m Mismatch<'m>, &'m Mismatch<'m>)> {
    mismatches.iter().enumerate().find_map(|(at, one)| {
        let fits = |other: &&Mismatch<'_>| one.wanted == other.given && other.wanted == one.given;
        Some((one, mismatches[at + 1..].iter().find(fits)?))
    })
}

/// True if a point is among those selected.
fn passes(
    over: &[AxisIndex],
    coords: &[PointIndex],
    selected: &[(AxisIndex, Vec<PointIndex>)],
) -> bool {
    selected.iter().all(|(axis, chosen)| {
        let at = over.iter().position(|known| known == axis);
        at.is_some_and(|at| chosen.binary_search(&coords[at]).is_ok())
    })
}

/// Groups a producer's actions by the axes that are matched: the groups, and the group of each
/// combination of the matched axes. Linear in the actions.
fn group(
    producer: &Actions,
    over: &[AxisIndex],
    matched: &BTreeSet<AxisIndex>,
    selected: &[(AxisIndex, Vec<PointIndex>)],
    world: &World<'_>,
) -> (Groups, Vec<Option<GroupIndex>>) {
    let table = Table::new(over, matched, world.axes);
    let mut group_of_slot = vec![None; table.size];
    let mut groups = 0;
    let mut group_of_action = Vec::with_capacity(producer.len());
    for action in producer.keys() {
        let coords = producer.coords(action);
        if !passes(over, coords, selected) {
            group_of_action.push(None);
            continue;
        }
        let group = &mut group_of_slot[table.slot(coords)];
        if group.is_none() {
            *group = Some(GroupIndex::from(groups));
            groups += 1;
        }
        group_of_action.push(*group);
    }
    (Groups::collect(groups, group_of_action.into_iter()), group_of_slot)
}
