//! The stages of a run as a drawing: each after what it reads, with how far its actions are.
//!
//! Stages are in layers from left to right. The output of a stage passes the layers before its last
//! reader in a lane of its own, so that it runs between the boxes and not behind them, and not once
//! for every reader.

use fuseline::RunGraph;
use fuseline_report::markup::{Element, element};

use crate::event_log::StageProgress;
use crate::format::{count, cut};

const WIDTH: f64 = 176.0;
const HEIGHT: f64 = 62.0;
const GAP_X: f64 = 52.0;
const GAP_Y: f64 = 16.0;
/// The height of the place where an edge passes a layer.
const LANE: f64 = 10.0;
/// More stages make no drawing that anybody reads.
const MOST_STAGES: usize = 80;

/// A place in a layer.
#[derive(Clone, Copy, PartialEq)]
enum Node {
    Stage(usize),
    /// Pass-through of a stage's output to later layers.
    Pass(usize),
}

/// The drawing; none when there is nothing to draw, or too much. `address`: that of the run.
pub fn draw(graph: &RunGraph, progress: &[StageProgress], address: &str) -> Option<Element> {
    let stages = &graph.stages;
    if stages.is_empty() || stages.len() > MOST_STAGES {
        return None;
    }
    let mut edges: Vec<(usize, usize)> = stages
        .iter()
        .enumerate()
        .flat_map(|(to, stage)| stage.reads.iter().map(move |edge| (edge.stage, to)))
        .filter(|(from, to)| from != to)
        .collect();
    edges.sort_unstable();
    edges.dedup();
    let layers = arrange(stages.len(), &edges);
    let places = place(&layers);
    let height = places.iter().map(|(_, _, y, height)| y + height).fold(0.0, f64::max) + 8.0;
    let width = layers.len() as f64 * (WIDTH + GAP_X) - GAP_X + 8.0;
    let mut svg = element("svg")
        .class("figure")
        .attr("role", "group")
        .attr("aria-label", "Stages of the workflow and what they read")
        .attr("viewBox", format!("0 0 {width} {height}"))
        .num("width", width)
        .num("height", height)
        .child(element("defs").child(arrow_head()));
    for &(from, to) in &edges {
        svg = svg.child(edge(&places, from, to));
    }
    for &(node, x, y, _) in &places {
        if let Node::Stage(stage) = node {
            svg = svg.child(stage_box(graph, progress, stage, x, y, address));
        }
    }
    Some(svg)
}

/// The layers: each stage after all that it reads, and edges that pass.
fn arrange(stages: usize, edges: &[(usize, usize)]) -> Vec<Vec<Node>> {
    let mut depth = vec![0_usize; stages];
    // As many rounds as there are stages suffice without a cycle; with one they end all the same.
    for _ in 0..stages {
        let mut changed = false;
        for &(from, to) in edges {
            if depth[to] <= depth[from] && depth[from] + 1 < stages {
                depth[to] = depth[from] + 1;
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    let mut layers: Vec<Vec<Node>> = vec![Vec::new(); depth.iter().max().map_or(0, |max| max + 1)];
    for stage in 0..stages {
        layers[depth[stage]].push(Node::Stage(stage));
    }
    for from in 0..stages {
        let readers = edges.iter().filter(|(stage, _)| *stage == from);
        let last = readers.map(|&(_, to)| depth[to]).max().unwrap_or(0);
        for layer in layers.iter_mut().take(last).skip(depth[from] + 1) {
            layer.push(Node::Pass(from));
        }
    }
    // Each node towards the middle of what comes before it, then of what comes after it.
    for round in 0..4 {
        let order: Vec<usize> = match round % 2 {
            0 => (1..layers.len()).collect(),
            _ => (0..layers.len().saturating_sub(1)).rev().collect(),
        };
        for layer in order {
            let other = if round % 2 == 0 { layer - 1 } else { layer + 1 };
            let neighbours = layers[other].clone();
            let middle = |node: &Node| {
                let linked = neighbours.iter().enumerate().filter(|(_, near)| match round % 2 {
                    0 => is_linked(near, node, edges),
                    _ => is_linked(node, near, edges),
                });
                let (sum, n) = linked.fold((0, 0), |(sum, n), (place, _)| (sum + place, n + 1));
                (n > 0).then(|| f64::from(sum as u32) / f64::from(n))
            };
            let keys: Vec<_> = layers[layer]
                .iter()
                .enumerate()
                .map(|(place, node)| (middle(node).unwrap_or(place as f64), place, *node))
                .collect();
            let mut keys = keys;
            keys.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            layers[layer] = keys.into_iter().map(|(_, _, node)| node).collect();
        }
    }
    layers
}

/// True if an edge leads from a node to one in the next layer.
fn is_linked(before: &Node, after: &Node, edges: &[(usize, usize)]) -> bool {
    match (before, after) {
        (Node::Stage(a), Node::Stage(b)) => edges.contains(&(*a, *b)),
        (Node::Stage(a), Node::Pass(from)) => a == from,
        (Node::Pass(from), Node::Stage(b)) => edges.contains(&(*from, *b)),
        (a, b) => a == b,
    }
}

/// Every node with its left upper corner and its height.
fn place(layers: &[Vec<Node>]) -> Vec<(Node, f64, f64, f64)> {
    let height = |node: &Node| if matches!(node, Node::Stage(_)) { HEIGHT } else { LANE };
    let total =
        |layer: &Vec<Node>| layer.iter().map(|node| height(node) + GAP_Y).sum::<f64>() - GAP_Y;
    let tallest = layers.iter().map(total).fold(0.0, f64::max);
    let mut places = Vec::new();
    for (number, layer) in layers.iter().enumerate() {
        let mut y = 4.0 + (tallest - total(layer)) / 2.0;
        for node in layer {
            places.push((*node, 4.0 + number as f64 * (WIDTH + GAP_X), y, height(node)));
            y += height(node) + GAP_Y;
        }
    }
    places
}

fn edge(places: &[(Node, f64, f64, f64)], from: usize, to: usize) -> Element {
    let spot = |wanted: Node| places.iter().find(|(node, ..)| *node == wanted);
    let begin = spot(Node::Stage(from)).map_or((0.0, 0.0), |(_, x, y, h)| (x + WIDTH, y + h / 2.0));
    let end = spot(Node::Stage(to)).map_or((0.0, 0.0), |(_, x, y, h)| (x - 6.0, y + h / 2.0));
    let passes = places.iter().filter(|(node, x, ..)| *node == Node::Pass(from) && *x < end.0);
    let mut path = format!("M{:.1} {:.1}", begin.0, begin.1);
    let mut at = begin;
    let mut curve = |x: f64, y: f64| {
        let middle = (at.0 + x) / 2.0;
        path += &format!(" C{middle:.1} {:.1} {middle:.1} {y:.1} {x:.1} {y:.1}", at.1);
        at = (x, y);
    };
    for (_, x, y, height) in passes {
        let middle = y + height / 2.0;
        curve(*x, middle);
        curve(x + WIDTH, middle);
    }
    curve(end.0, end.1);
    element("path").class("arrow").attr("d", path).attr("marker-end", "url(#head)")
}

fn arrow_head() -> Element {
    element("marker")
        .attr("id", "head")
        .attr("viewBox", "0 0 8 8")
        .attr("refX", "2")
        .attr("refY", "4")
        .attr("markerWidth", "7")
        .attr("markerHeight", "7")
        .attr("orient", "auto-start-reverse")
        .child(element("path").class("arrow-head").attr("d", "M0 0 L8 4 L0 8 z"))
}

fn stage_box(
    graph: &RunGraph,
    progress: &[StageProgress],
    number: usize,
    x: f64,
    y: f64,
    address: &str,
) -> Element {
    let stage = &graph.stages[number];
    let label = |text: String, dy: f64, class: &str| {
        element("text").class(class.to_owned()).num("x", x + 10.0).num("y", y + dy).text(text)
    };
    let kinds = match stage.kinds.as_slice() {
        [kind] => kind.clone(),
        [first, ..] => {
            format!("{}, {} kinds", first.split('.').next().unwrap_or(first), stage.kinds.len())
        }
        [] => String::new(),
    };
    let of = progress.iter().enumerate().find(|(_, of)| of.name == stage.name);
    let mut shape = element("g")
        .child(
            element("rect")
                .class("box")
                .num("x", x)
                .num("y", y)
                .num("width", WIDTH)
                .num("height", HEIGHT)
                .num("rx", 6.0),
        )
        .child(label(cut(&stage.name, 22), 19.0, "heading"))
        .child(label(cut(&kinds, 26), 35.0, "small muted"));
    let mut told = format!("{} ({kinds})", stage.name);
    let Some((place, of)) = of else {
        return shape.child(element("title").text(told));
    };
    let axes = stage.axes.join(" × ");
    let over = if axes.is_empty() { String::new() } else { format!(" · {axes}") };
    let ready = of.cached + of.done;
    let counts = match (of.failed, ready == of.total) {
        (0, true) => count(of.total),
        (0, false) => format!("{} of {}", count(ready), count(of.total)),
        (failed, _) => format!("{} failed, {} of {}", count(failed), count(ready), count(of.total)),
    };
    shape = shape.child(label(cut(&format!("{counts}{over}"), 28), 50.0, "small"));
    told += &format!(": {counts} actions{over}");
    let share = |n: usize| if of.total == 0 { 0.0 } else { n as f64 / of.total as f64 * WIDTH };
    let bars =
        [(of.cached, "cached"), (of.done, "done"), (of.failed, "failed"), (of.running, "running")];
    let mut from = x;
    for (n, class) in bars.into_iter().filter(|(n, _)| *n > 0) {
        let length = share(n).min(x + WIDTH - from);
        shape = shape.child(
            element("rect")
                .class(format!("bar-{class}"))
                .num("x", from)
                .num("y", y + HEIGHT - 5.0)
                .num("width", length)
                .num("height", 5.0),
        );
        from += length;
    }
    element("a")
        .attr("href", format!("{address}/stages/{place}"))
        .child(shape.child(element("title").text(told)))
}

/// The colours of the bars in words.
pub fn legend() -> Element {
    let entries = [
        ("cached", "found in the cache"),
        ("done", "executed"),
        ("failed", "failed"),
        ("running", "in flight"),
    ];
    element("ul").class("legend").children(entries.map(|(class, text)| {
        element("li").child(element("span").class(format!("swatch bar-{class}"))).text(text)
    }))
}
