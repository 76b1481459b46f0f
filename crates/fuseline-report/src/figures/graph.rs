//! The stages and what flows between them.
//!
//! One row a stage, each after what it reads. Every stage that is read has a lane, drawn from its
//! row down to its last reader; a dot on a lane is a reading. This stays readable where boxes and
//! arrows would cross, and on a phone. A box names kind, axes and what arrives at which port.

use super::canvas::{
    Anchor, Figure, cut_label, label, legend, line, lines_of, path_points, rectangle,
};
use crate::data::{ReportData, StageRun};
use crate::format::{count, listed};
use crate::markup::{Element, element};
use crate::palette;

/// Height of a line of small letters in a box.
const TEXT_LINE: f64 = 15.0;
const LANE: f64 = 16.0;
const BOX: f64 = 352.0;
/// Letters of a line of a box that fit.
const LINE: usize = 54;

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
    // Upper edge of each box, and of what stands below the last.
    let mut tops = vec![4.0];
    for stage in &stages {
        let top = tops[tops.len() - 1];
        let lines = text_lines(stage, &inputs(data, &stage.name));
        shapes.extend(row_shapes(top, stage, &lines, left));
        tops.push(top + box_height(lines.len()) + 6.0);
    }
    for row in 0..stages.len() {
        shapes.extend(reading(row, &tops, &lanes, left));
    }
    for (index, lane) in lanes.iter().enumerate() {
        shapes.extend(lane_shapes(index, lane, stages[lane.stage], &tops, left));
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
    let foot = tops[stages.len()] + 8.0;
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

/// Heights at which lines enter a box and leave it.
fn heights(top: f64) -> (f64, f64) {
    (top + 20.0, top + 37.0)
}

/// Height of a box of a name and so many lines.
fn box_height(lines: usize) -> f64 {
    26.0 + TEXT_LINE * lines.max(2) as f64
}

/// The lines below a stage's name: its kind and axes, side by side where both fit, and its inputs.
fn text_lines(stage: &StageRun, inputs: &str) -> Vec<(String, String)> {
    let alone = |text: String| (text, String::new());
    let axes = match stage.axes.is_empty() {
        true => String::new(),
        false => format!("× {}", stage.axes.join(", ")),
    };
    let mut lines = if stage.kind.chars().count() + axes.chars().count() + 3 <= LINE {
        vec![(stage.kind.clone(), axes)]
    } else {
        let axes = lines_of(&axes, ", ", LINE).into_iter();
        std::iter::once(stage.kind.clone()).chain(axes).map(alone).collect()
    };
    lines.extend(lines_of(inputs, " · ", LINE).into_iter().map(alone));
    lines
}

fn lane_x(place: usize, left: f64) -> f64 {
    left - 14.0 - LANE * place as f64
}

fn row_shapes(top: f64, stage: &StageRun, lines: &[(String, String)], left: f64) -> Vec<Element> {
    let actions = match stage.executed {
        None if stage.actions == 1 => "1 action".to_owned(),
        None => format!("{} actions", count(stage.actions)),
        Some(executed) => format!(
            "{} run, {} cached",
            count(executed),
            count(stage.actions.saturating_sub(executed))
        ),
    };
    let (start, end) = (left + 10.0, left + BOX - 10.0);
    let mut shapes = vec![
        element("rect")
            .class("box")
            .num("x", left)
            .num("y", top)
            .num("width", BOX)
            .num("height", box_height(lines.len()))
            .attr("rx", "6"),
        cut_label("heading", Anchor::Start, (start, top + 17.0), &stage.name, 24),
        label("small", Anchor::End, end, top + 17.0, actions),
    ];
    for (place, (text, aside)) in lines.iter().enumerate() {
        let y = top + 32.0 + TEXT_LINE * place as f64;
        shapes.push(cut_label("small muted", Anchor::Start, (start, y), text, LINE));
        if !aside.is_empty() {
            shapes.push(label("small muted", Anchor::End, end, y, aside.as_str()));
        }
    }
    shapes
}

/// The line on which a row reads: from the farthest lane that it reads to its box.
fn reading(row: usize, tops: &[f64], lanes: &[Lane], left: f64) -> Vec<Element> {
    let read = lanes.iter().filter(|lane| lane.readers.contains(&row));
    let Some(farthest) = read.map(|lane| lane.place).max() else { return Vec::new() };
    let (y, _) = heights(tops[row]);
    let head = [(left, y), (left - 7.0, y - 3.5), (left - 7.0, y + 3.5)];
    vec![
        line("arrow", lane_x(farthest, left), y, left - 6.0, y),
        element("polygon").class("arrow-head").attr("points", path_points(&head)),
    ]
}

fn lane_shapes(
    index: usize,
    lane: &Lane,
    stage: &StageRun,
    tops: &[f64],
    left: f64,
) -> Vec<Element> {
    let x = lane_x(lane.place, left);
    let (_, start) = heights(tops[lane.stage]);
    let end = lane.readers.iter().map(|row| heights(tops[*row]).0).fold(start, f64::max);
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
            .num("cy", heights(tops[*row]).0)
            .num("r", 3.5)
            .child(element("title").text(stage.name.clone()))
    }));
    shapes
}
