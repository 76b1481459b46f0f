//! Balanced accuracy under every permutation, with the observed value.

use super::canvas::{Anchor, Figure, Scale, cut_label, label, line, rectangle, tick_points};
use crate::arrange::Arrangement;
use crate::data::{NullDistribution, ReportData};
use crate::format::{count, p_value, percent, point_values};
use crate::markup::Element;

const WIDTH: f64 = 240.0;
const HEIGHT: f64 = 132.0;
const TOP: f64 = 40.0;
const BASE: f64 = 106.0;
const BINS: usize = 28;

/// One panel a point, in the order of the groups; points without a null distribution have none.
pub fn nulls(data: &ReportData, arrangement: &Arrangement) -> Vec<Figure> {
    let mut figures = Vec::new();
    for index in arrangement.groups.iter().flat_map(|group| &group.rows) {
        let Some(row) = data.findings.get(*index) else { continue };
        let Some(null) = data.nulls.iter().find(|null| null.point == row.point) else { continue };
        if let Some(figure) = panel(figures.len() + 1, null, row.p_value) {
            figures.push(figure);
        }
    }
    figures
}

fn panel(number: usize, null: &NullDistribution, p: Option<f64>) -> Option<Figure> {
    let broken: Vec<f64> = null.broken.iter().copied().filter(|value| value.is_finite()).collect();
    if broken.is_empty() || !null.clean.is_finite() {
        return None;
    }
    let scale = Scale::over(broken.iter().copied().chain([null.clean]), 12.0, WIDTH - 12.0);
    let mean = broken.iter().sum::<f64>() / broken.len() as f64;
    let at_least = broken.iter().filter(|value| **value >= null.clean - 1e-12).count();
    let mut shapes =
        vec![cut_label("heading", Anchor::Start, (8.0, 15.0), &point_values(&null.point), 32)];
    shapes.extend(bars(&broken, &scale));
    shapes.push(line("zero", 12.0, BASE, WIDTH - 12.0, BASE));
    for tick in scale.ticks(3) {
        shapes.push(line("zero", scale.at(tick), BASE, scale.at(tick), BASE + 4.0));
        shapes.push(label("tick", Anchor::Middle, scale.at(tick), BASE + 17.0, tick_points(tick)));
    }
    let x = scale.at(null.clean);
    shapes.push(line("observed", x, TOP - 4.0, x, BASE));
    let (anchor, offset) = if x > WIDTH / 2.0 { (Anchor::End, 4.0) } else { (Anchor::Start, -4.0) };
    shapes.push(label(
        "small observed-text",
        anchor,
        x + offset,
        TOP - 9.0,
        percent(Some(null.clean)),
    ));
    let side = if x > WIDTH / 2.0 { (Anchor::Start, 8.0) } else { (Anchor::End, WIDTH - 8.0) };
    shapes.push(label("small muted", side.0, side.1, TOP - 9.0, p_value(p)));
    Some(Figure {
        name: format!("null-{number}"),
        title: format!("Null distribution: {}", point_values(&null.point)),
        description: format!(
            "Balanced accuracy under {} permutations has the mean {}; observed under Clean-Q: {}. {} of the \
             permutations do as well or better.",
            count(broken.len() as u64),
            percent(Some(mean)),
            percent(Some(null.clean)),
            count(at_least as u64)
        ),
        width: WIDTH,
        height: HEIGHT,
        shapes,
    })
}

fn bars(broken: &[f64], scale: &Scale) -> Vec<Element> {
    let width = (scale.high() - scale.low()) / BINS as f64;
    let mut heights = [0_usize; BINS];
    for value in broken {
        let bin = ((value - scale.low()) / width).floor().max(0.0) as usize;
        if let Some(height) = heights.get_mut(bin.min(BINS - 1)) {
            *height += 1;
        }
    }
    let most = heights.iter().copied().max().unwrap_or(1).max(1) as f64;
    let step = (WIDTH - 24.0) / BINS as f64;
    heights
        .iter()
        .enumerate()
        .filter(|(_, height)| **height > 0)
        .map(|(bin, height)| {
            let tall = (*height as f64 / most * (BASE - TOP)).max(1.0);
            rectangle("bar", 12.0 + bin as f64 * step, BASE - tall, step - 0.75, tall)
        })
        .collect()
}
