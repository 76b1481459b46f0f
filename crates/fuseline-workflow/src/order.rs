//! The graph of stages: cycles, an order in which producers come first, and stages that lead to no
//! output.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use petgraph::algo::tarjan_scc;
use petgraph::graph::{DiGraph, NodeIndex};

use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::files::Place;
use crate::index::{IndexVec, StageIndex, WrittenStageIndex};
use crate::names::NameMap;
use crate::stage::WrittenStage;

/// An edge: producer, consumer, and where the consumer refers to the producer.
pub(crate) type Edge<'a> = (WrittenStageIndex, WrittenStageIndex, &'a Place);

/// All references between stages that exist.
pub(crate) fn edges<'a>(
    stages: &'a IndexVec<WrittenStageIndex, WrittenStage>,
    by_name: &NameMap<&str, WrittenStageIndex>,
) -> Vec<Edge<'a>> {
    let mut edges = Vec::new();
    for (consumer, stage) in stages.iter_enumerated() {
        for reference in stage.inputs.iter().flat_map(|input| &input.references) {
            let producer = by_name.get(reference.stage.as_str());
            edges.extend(producer.map(|producer| (*producer, consumer, &reference.place)));
        }
    }
    edges
}

/// Places of the edges of a cycle that was reported.
pub(crate) fn edge_places(cycle: &Diagnostic) -> impl Iterator<Item = Place> {
    cycle.related.iter().map(|edge| &edge.place).chain([&cycle.place]).cloned()
}

/// Reports every cycle once.
pub(crate) fn cycles(
    stages: &IndexVec<WrittenStageIndex, WrittenStage>,
    edges: &[Edge<'_>],
    found: &mut Vec<Diagnostic>,
) {
    let mut graph = DiGraph::<(), ()>::new();
    for _ in stages {
        graph.add_node(());
    }
    for (producer, consumer, _) in edges {
        let node = |stage: WrittenStageIndex| NodeIndex::new(stage.into());
        graph.add_edge(node(*producer), node(*consumer), ());
    }
    let own: BTreeMap<WrittenStageIndex, &Place> = edges
        .iter()
        .rev()
        .filter(|(producer, consumer, _)| producer == consumer)
        .map(|(producer, _, place)| (*producer, *place))
        .collect();
    for component in tarjan_scc(&graph) {
        let members: BTreeSet<WrittenStageIndex> =
            component.iter().map(|node| node.index().into()).collect();
        let Some(&start) = members.first() else { continue };
        if members.len() == 1 {
            if let Some(place) = own.get(&start) {
                let message = format!("the stage `{}` reads its own output", stages[start].name);
                found.push(Diagnostic::error(codes::CYCLE, place, message));
            }
            continue;
        }
        let path = shortest_cycle(start, &members, edges);
        let names: Vec<_> =
            path.iter().map(|(producer, ..)| stages[*producer].name.as_str()).collect();
        let message = format!("stages wait for each other: {} -> {}", names.join(" -> "), names[0]);
        let mut places: Vec<_> = path
            .iter()
            .map(|(producer, consumer, place)| {
                let text =
                    format!("`{}` reads `{}`", stages[*consumer].name, stages[*producer].name);
                (*place, text)
            })
            .collect();
        places.sort_by_key(|(place, _)| place.order());
        let mut diagnostic = Diagnostic::error(codes::CYCLE, places[0].0, message)
            .label(places[0].1.clone())
            .hint("cut one of these edges".to_owned());
        for (place, text) in &places[1..] {
            diagnostic = diagnostic.related(place, text.clone());
        }
        found.push(diagnostic);
    }
}

/// The edges of a shortest way from a stage back to itself; there is one.
fn shortest_cycle<'a>(
    start: WrittenStageIndex,
    members: &BTreeSet<WrittenStageIndex>,
    edges: &[Edge<'a>],
) -> Vec<Edge<'a>> {
    let mut reached: Vec<Edge<'a>> = Vec::new();
    let mut frontier = vec![start];
    loop {
        let mut next = Vec::new();
        for &from in &frontier {
            for edge in edges.iter().filter(|(p, c, _)| *p == from && p != c && members.contains(c))
            {
                if edge.1 == start {
                    let mut path = vec![*edge];
                    while path[0].0 != start {
                        let Some(before) = reached.iter().find(|(_, c, _)| *c == path[0].0) else {
                            break;
                        };
                        path.insert(0, *before);
                    }
                    return path;
                }
                if !reached.iter().any(|(_, c, _)| *c == edge.1) {
                    reached.push(*edge);
                    next.push(edge.1);
                }
            }
        }
        if next.is_empty() {
            return reached;
        }
        frontier = next;
    }
}

/// The stages with producers before consumers; among those that are free, as written. There is no
/// cycle.
pub(crate) fn topological(
    count: usize,
    edges: &[Edge<'_>],
) -> IndexVec<StageIndex, WrittenStageIndex> {
    let mut waits: IndexVec<WrittenStageIndex, _> = vec![0; count].into();
    let mut consumers: IndexVec<WrittenStageIndex, _> = vec![Vec::new(); count].into();
    for (producer, consumer, _) in edges {
        waits[*consumer] += 1;
        consumers[*producer].push(*consumer);
    }
    let mut free: BinaryHeap<_> =
        waits.keys().filter(|stage| waits[*stage] == 0).map(Reverse).collect();
    let mut order = IndexVec::new();
    while let Some(Reverse(stage)) = free.pop() {
        order.push(stage);
        for &consumer in &consumers[stage] {
            waits[consumer] -= 1;
            if waits[consumer] == 0 {
                free.push(Reverse(consumer));
            }
        }
    }
    order
}

/// For each stage, whether a path leads from it to one of some stages.
pub(crate) fn leads_to(
    targets: &[WrittenStageIndex],
    count: usize,
    edges: &[Edge<'_>],
) -> IndexVec<WrittenStageIndex, bool> {
    let mut producers: IndexVec<WrittenStageIndex, _> = vec![Vec::new(); count].into();
    for (producer, consumer, _) in edges {
        producers[*consumer].push(*producer);
    }
    let mut leads: IndexVec<WrittenStageIndex, _> = vec![false; count].into();
    let mut stack = targets.to_vec();
    while let Some(stage) = stack.pop() {
        if !std::mem::replace(&mut leads[stage], true) {
            stack.extend(&producers[stage]);
        }
    }
    leads
}
