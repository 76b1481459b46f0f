//! The stages and what flows between them.
//!
//! One row a stage, each after what it reads. Every stage that is read has a lane, drawn from its
//! row down to its last reader; a dot on a lane is a reading. This stays readable where boxes and
//! arrows would cross, and on a phone. A box names kind, axes and what arrives at which port.

use super::canvas::{Anchor, Figure, cut_label, label, legend, line, path_points, rectangle};
use crate::data::{ReportData, StageRun};
use crate::format::{count, listed};
use crate::markup::{Element, element};
use crate::palette;

const ROW: f64 = 62.0;
const LANE: f64 = 16.0;
const BOX: f64 = 352.0;
/// Letters of a line of a box that fit.
const LINE: usize = 56;

/// A stage's output on its way: from its row to its last reader's.
struct Lane {
    stage: usize,
    readers: Vec<usize>,
    /// 0 is next to the boxes.
    place: usize,
}

/// The drawing; nothing without stages. Edges of unknown stages and edges that would close a cycle
/// are not drawn.
pub fn graph(data: &ReportData) -> Option<Figure> {
    let edges = known_edges(data);
    let order = order(data.provenance.stages.len(), &edges);
    let stages: Vec<&StageRun> =
        order.iter().filter_map(|stage| data.provenance.stages.get(*stage)).collect();
    if stages.is_empty() {
        return None;
    }
    let row_of = |stage: usize| order.iter().position(|known| *known == stage).unwrap_or(0);
    let edges: Vec<(usize, usize)> = edges
        .iter()
        .map(|(from, to)| (row_of(*from), row_of(*to)))
        .filter(|(a, b)| a < b)
        .collect();
    let lanes = lanes(stages.len(), &edges);
    let left = 14.0 + LANE * lanes.iter().map(|lane| lane.place + 1).max().unwrap_or(0) as f64;

    let mut shapes = Vec::new();
    for (row, stage) in stages.iter().enumerate() {
        shapes.extend(row_shapes(row, stage, &inputs(data, &stage.name), left));
    }
    for row in 0..stages.len() {
        shapes.extend(reading(row, &lanes, left));
    }
    for (index, lane) in lanes.iter().enumerate() {
        shapes.extend(lane_shapes(index, lane, stages[lane.stage], left));
    }
    let said: Vec<String> = stages
        .iter()
        .enumerate()
        .map(|(row, stage)| {
            let read: Vec<String> = edges
                .iter()
                .filter(|(_, to)| *to == row)
                .map(|(from, _)| stages[*from].name.clone())
                .collect();
            let reads =
                if read.is_empty() { String::new() } else { format!(" reads {}", listed(&read)) };
            let over = match stage.axes.is_empty() {
                true => String::new(),
                false => format!(" over {}", listed(&stage.axes)),
            };
            format!("{} ({}){over}{reads}", stage.name, stage.kind)
        })
        .collect();
    let foot = ROW * stages.len() as f64 + 12.0;
    let (keys, height) = legend(&entries(), (8.0, foot), left + BOX - 8.0);
    shapes.extend(keys);
    Some(Figure {
        name: "stages".to_owned(),
        title: "Stages of the workflow".to_owned(),
        description: said.join("; "),
        width: left + BOX + 8.0,
        height: foot + height + 4.0,
        shapes,
    })
}

/// Legend of the drawing.
fn entries() -> Vec<(Element, String)> {
    let part = |shapes: Vec<Element>, text: &str| (element("g").children(shapes), text.to_owned());
    let head = [(6.0, 0.0), (0.0, -3.5), (0.0, 3.5)];
    let dot = element("circle").class("mark neutral").num("cx", 0.0).num("cy", 0.0).num("r", 3.5);
    vec![
        part(vec![rectangle("box", -6.0, -5.0, 12.0, 10.0)], "stage, its kind, × its axes"),
        part(
            vec![
                line("arrow", -6.0, 0.0, 1.0, 0.0),
                element("polygon").class("arrow-head").attr("points", path_points(&head)),
            ],
            "reads",
        ),
        part(vec![dot], "from the stage of this line"),
        part(Vec::new(), "port ← stage.output"),
    ]
}

/// The ports of a stage with what arrives at each, as `port ← stage.output`.
fn inputs(data: &ReportData, stage: &str) -> String {
    let edges = data.provenance.ports.iter().filter(|edge| edge.to == stage);
    let each = edges.map(|edge| {
        // Names that are the same are said once.
        let source = match edge.output == edge.from || edge.output == edge.input {
            true => edge.from.clone(),
            false => format!("{}.{}", edge.from, edge.output),
        };
        match edge.input == source {
            true => source,
            false => format!("{} ← {source}", edge.input),
        }
    });
    each.collect::<Vec<_>>().join(" · ")
}

fn known_edges(data: &ReportData) -> Vec<(usize, usize)> {
    let place = |name: &String| data.provenance.stages.iter().position(|s| s.name == *name);
    let mut edges: Vec<(usize, usize)> = data
        .provenance
        .edges
        .iter()
        .filter_map(|(from, to)| Some((place(from)?, place(to)?)))
        .collect();
    edges.sort_unstable();
    edges.dedup();
    edges
}

/// Each stage after what it reads, else in the order given; stages of a cycle, which a checked
/// workflow has not, come last.
fn order(stages: usize, edges: &[(usize, usize)]) -> Vec<usize> {
    let mut order = Vec::with_capacity(stages);
    let mut waiting: Vec<usize> = (0..stages).collect();
    loop {
        let next = waiting.iter().position(|stage| {
            edges.iter().all(|(from, to)| to != stage || from == stage || order.contains(from))
        });
        match next {
            Some(place) => order.push(waiting.remove(place)),
            None => break,
        }
    }
    order.extend(waiting);
    order
}

/// One lane for each row that is read; short ones next to the boxes, and a place is used again once
/// it is free.
fn lanes(rows: usize, edges: &[(usize, usize)]) -> Vec<Lane> {
    let mut lanes: Vec<Lane> = (0..rows)
        .map(|stage| Lane {
            stage,
            readers: edges.iter().filter(|(from, _)| *from == stage).map(|(_, to)| *to).collect(),
            place: 0,
        })
        .filter(|lane| !lane.readers.is_empty())
        .collect();
    let end = |lane: &Lane| lane.readers.iter().copied().max().unwrap_or(lane.stage);
    lanes.sort_by_key(|lane| (end(lane) - lane.stage, lane.stage));
    let mut taken: Vec<(usize, usize, usize)> = Vec::new();
    for lane in &mut lanes {
        let (start, end) = (lane.stage, end(lane));
        let free = |place: &usize| {
            taken.iter().all(|(used, from, to)| used != place || *to < start || *from > end)
        };
        lane.place = (0..rows).find(free).unwrap_or(0);
        taken.push((lane.place, start, end));
    }
    lanes.sort_by_key(|lane| lane.stage);
    lanes
}

/// Heights at which lines enter a row and leave it.
fn heights(row: usize) -> (f64, f64) {
    let middle = 4.0 + ROW * row as f64 + (ROW - 6.0) / 2.0;
    (middle - 8.0, middle + 9.0)
}

fn lane_x(place: usize, left: f64) -> f64 {
    left - 14.0 - LANE * place as f64
}

fn row_shapes(row: usize, stage: &StageRun, inputs: &str, left: f64) -> Vec<Element> {
    let top = 4.0 + ROW * row as f64;
    let actions = match stage.executed {
        None if stage.actions == 1 => "1 action".to_owned(),
        None => format!("{} actions", count(stage.actions)),
        Some(executed) => format!(
            "{} run, {} cached",
            count(executed),
            count(stage.actions.saturating_sub(executed))
        ),
    };
    let axes = match stage.axes.is_empty() {
        true => String::new(),
        false => format!("× {}", stage.axes.join(", ")),
    };
    // Both stand on one line.
    let axes_room = (LINE - 4).saturating_sub(stage.kind.chars().count().min(28)).max(8);
    vec![
        element("rect")
            .class("box")
            .num("x", left)
            .num("y", top)
            .num("width", BOX)
            .num("height", ROW - 6.0)
            .attr("rx", "6"),
        cut_label("heading", Anchor::Start, (left + 10.0, top + 17.0), &stage.name, 24),
        cut_label("small muted", Anchor::Start, (left + 10.0, top + 32.0), &stage.kind, 28),
        label("small", Anchor::End, left + BOX - 10.0, top + 17.0, actions),
        cut_label("small muted", Anchor::End, (left + BOX - 10.0, top + 32.0), &axes, axes_room),
        cut_label("small muted", Anchor::Start, (left + 10.0, top + 47.0), inputs, LINE),
    ]
}

/// The line on which a row reads: from the farthest lane that it reads to its box.
fn reading(row: usize, lanes: &[Lane], left: f64) -> Vec<Element> {
    let read = lanes.iter().filter(|lane| lane.readers.contains(&row));
    let Some(farthest) = read.map(|lane| lane.place).max() else { return Vec::new() };
    let (y, _) = heights(row);
    let head = [(left, y), (left - 7.0, y - 3.5), (left - 7.0, y + 3.5)];
    vec![
        line("arrow", lane_x(farthest, left), y, left - 6.0, y),
        element("polygon").class("arrow-head").attr("points", path_points(&head)),
    ]
}

fn lane_shapes(index: usize, lane: &Lane, stage: &StageRun, left: f64) -> Vec<Element> {
    let x = lane_x(lane.place, left);
    let (_, start) = heights(lane.stage);
    let end = lane.readers.iter().map(|row| heights(*row).0).fold(start, f64::max);
    let class = palette::series(index % 7, 7);
    let path = [(left, start), (x, start), (x, end)];
    let mut shapes = vec![
        element("polyline")
            .class(format!("interval {class}"))
            .attr("points", path_points(&path))
            .child(element("title").text(stage.name.clone())),
    ];
    shapes.extend(lane.readers.iter().map(|row| {
        element("circle")
            .class(format!("mark {class}"))
            .num("cx", x)
            .num("cy", heights(*row).0)
            .num("r", 3.5)
            .child(element("title").text(stage.name.clone()))
    }));
    shapes
}
