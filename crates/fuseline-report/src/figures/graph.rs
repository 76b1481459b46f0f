//! The stages and what flows between them, layered from left to right.

use super::canvas::{Anchor, Figure, cut_label, label, path_points};
use crate::data::ReportData;
use crate::format::count;
use crate::markup::{Element, element, number};

const BOX_WIDTH: f64 = 148.0;
const BOX_HEIGHT: f64 = 52.0;
const COLUMN: f64 = 190.0;
const ROW: f64 = 70.0;

/// The drawing; nothing without stages. Edges of unknown stages and edges that would close a cycle are not drawn.
pub fn graph(data: &ReportData) -> Option<Figure> {
    let stages = &data.provenance.stages;
    if stages.is_empty() {
        return None;
    }
    let edges: Vec<(usize, usize)> = data
        .provenance
        .edges
        .iter()
        .filter_map(|(from, to)| {
            let place = |name: &String| stages.iter().position(|stage| stage.name == *name);
            Some((place(from)?, place(to)?))
        })
        .collect();
    let layers = layers(stages.len(), &edges);
    let columns = ordered(&layers, &edges);
    let tallest = columns.iter().map(Vec::len).max().unwrap_or(1) as f64;
    let height = tallest * ROW + 20.0;
    let mut places = vec![(0.0, 0.0); stages.len()];
    for (column, members) in columns.iter().enumerate() {
        let top = (height - members.len() as f64 * ROW) / 2.0;
        for (row, stage) in members.iter().enumerate() {
            if let Some(place) = places.get_mut(*stage) {
                *place = (
                    8.0 + column as f64 * COLUMN,
                    top + row as f64 * ROW + (ROW - BOX_HEIGHT) / 2.0,
                );
            }
        }
    }
    let forward = |(from, to): &&(usize, usize)| layers[*from] < layers[*to];
    let mut shapes: Vec<Element> = edges
        .iter()
        .filter(forward)
        .flat_map(|(from, to)| arrow(places[*from], places[*to]))
        .collect();
    for (stage, (x, y)) in stages.iter().zip(&places) {
        let actions = match stage.executed {
            None => format!("{} actions", count(stage.actions)),
            Some(executed) => format!(
                "{} run, {} cached",
                count(executed),
                count(stage.actions.saturating_sub(executed))
            ),
        };
        let actions = if actions == "1 actions" { "1 action".to_owned() } else { actions };
        let frame = element("rect")
            .class("box")
            .num("x", *x)
            .num("y", *y)
            .num("width", BOX_WIDTH)
            .num("height", BOX_HEIGHT)
            .attr("rx", "6");
        shapes.push(frame);
        shapes.push(cut_label("heading", Anchor::Start, (x + 9.0, y + 17.0), &stage.name, 20));
        shapes.push(cut_label("small muted", Anchor::Start, (x + 9.0, y + 31.0), &stage.kind, 23));
        shapes.push(label("small", Anchor::Start, x + 9.0, y + 45.0, actions));
    }
    let said: Vec<String> = stages
        .iter()
        .enumerate()
        .map(|(index, stage)| {
            let from: Vec<String> = edges
                .iter()
                .filter(|(_, to)| *to == index)
                .map(|(from, _)| stages[*from].name.clone())
                .collect();
            let reads = if from.is_empty() {
                String::new()
            } else {
                format!(" reads {}", crate::format::listed(&from))
            };
            format!("{} ({}){reads}", stage.name, stage.kind)
        })
        .collect();
    Some(Figure {
        name: "stages".to_owned(),
        title: "Stages of the workflow".to_owned(),
        description: said.join("; "),
        width: columns.len() as f64 * COLUMN - (COLUMN - BOX_WIDTH) + 16.0,
        height,
        shapes,
    })
}

/// The longest way to each stage, in edges; a cycle, which a checked workflow has not, ends the search.
fn layers(stages: usize, edges: &[(usize, usize)]) -> Vec<usize> {
    let mut layers = vec![0_usize; stages];
    for _ in 0..stages {
        let mut changed = false;
        for (from, to) in edges {
            if from != to && layers[*to] < layers[*from] + 1 && layers[*from] + 1 < stages {
                layers[*to] = layers[*from] + 1;
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    layers
}

/// The stages of each layer, ordered by the mean place of what they read, then of what reads them.
fn ordered(layers: &[usize], edges: &[(usize, usize)]) -> Vec<Vec<usize>> {
    let mut columns = vec![Vec::new(); layers.iter().copied().max().unwrap_or(0) + 1];
    for (stage, layer) in layers.iter().enumerate() {
        columns[*layer].push(stage);
    }
    columns.retain(|column| !column.is_empty());
    let mut place = vec![0.0_f64; layers.len()];
    for sweep in 0..6 {
        for column in &mut columns {
            for (row, stage) in column.iter().enumerate() {
                place[*stage] = row as f64 - column.len() as f64 / 2.0;
            }
        }
        for column in &mut columns {
            let wish = |stage: &usize| -> f64 {
                let near: Vec<f64> = edges
                    .iter()
                    .filter_map(|(from, to)| match sweep % 2 == 0 {
                        true if to == stage => Some(place[*from]),
                        false if from == stage => Some(place[*to]),
                        _ => None,
                    })
                    .collect();
                if near.is_empty() {
                    place[*stage]
                } else {
                    near.iter().sum::<f64>() / near.len() as f64
                }
            };
            column.sort_by(|one, other| wish(one).total_cmp(&wish(other)));
            for (row, stage) in column.iter().enumerate() {
                place[*stage] = row as f64 - column.len() as f64 / 2.0;
            }
        }
    }
    columns
}

fn arrow((from_x, from_y): (f64, f64), (to_x, to_y): (f64, f64)) -> [Element; 2] {
    let (start_x, start_y) = (from_x + BOX_WIDTH, from_y + BOX_HEIGHT / 2.0);
    let (end_x, end_y) = (to_x - 1.0, to_y + BOX_HEIGHT / 2.0);
    // The bend is all in the gap before the next column and the one before the end, so long edges run level.
    let bend = (COLUMN - BOX_WIDTH) * 0.9;
    let path = format!(
        "M{} {}C{} {} {} {} {} {}",
        number(start_x),
        number(start_y),
        number(start_x + bend),
        number(start_y),
        number(end_x - bend - 6.0),
        number(end_y),
        number(end_x - 6.0),
        number(end_y)
    );
    let head = [(end_x, end_y), (end_x - 7.0, end_y - 3.5), (end_x - 7.0, end_y + 3.5)];
    [
        element("path").class("arrow").attr("d", path),
        element("polygon").class("arrow-head").attr("points", path_points(&head)),
    ]
}
