//! Figure of the gap over repetitions of a study.

use super::FigureSet;
use super::canvas::{
    Anchor, Figure, Scale, cut_label, label, letters_in, line, rectangle, tick_points,
    width_of_longest,
};
use crate::data::ReportData;
use crate::format::{point_values, points, points_interval};
use crate::markup::element;
use crate::supplement_tables::REPEATS;
use crate::supplements::Repeated;

/// Width of what is drawn, beside the names.
const PLOT: f64 = 450.0;
/// Names take no more than this.
const NAMES: f64 = 420.0;
const ROW: f64 = 28.0;

/// One row a condition.
pub fn repeats(data: &ReportData) -> FigureSet {
    FigureSet {
        heading: REPEATS,
        caption: "The gap in each repetition of the study, such as another split or seed: a dot \
            each, a bar at the mean, and the line is the interval of the mean by the corrected \
            resampled t-test (Nadeau and Bengio 2003), which knows that repetitions of one data \
            set are not independent. Without it, no split was given."
            .to_owned(),
        figures: figure(&data.supplements.repeats).into_iter().collect(),
    }
}

fn figure(repeats: &[Repeated]) -> Option<Figure> {
    let rows: Vec<&Repeated> = repeats.iter().filter(|of| of.mean.is_some()).collect();
    if rows.is_empty() {
        return None;
    }
    let ends = |of: &&Repeated| {
        let gaps: Vec<f64> = of.gaps.iter().map(|(_, gap)| *gap).collect();
        [of.least, of.most, of.low, of.high].into_iter().flatten().chain(gaps)
    };
    let names: Vec<String> = rows.iter().map(|of| point_values(&of.point)).collect();
    let left = (16.0 + width_of_longest(names.iter().map(String::as_str))).clamp(60.0, NAMES);
    let width = left + PLOT;
    let scale = Scale::over(rows.iter().flat_map(ends).chain([0.0]), left, width - 16.0);
    let top = 14.0;
    let bottom = top + ROW * rows.len() as f64;
    let mut shapes = Vec::new();
    for index in (0..rows.len()).step_by(2) {
        shapes.push(rectangle("stripe", 0.0, top + ROW * index as f64, width, ROW));
    }
    for tick in scale.ticks(6) {
        let x = scale.at(tick);
        shapes.push(line("grid", x, top, x, bottom));
        shapes.push(label("tick", Anchor::Middle, x, bottom + 16.0, tick_points(tick)));
    }
    shapes.push(line("zero", scale.at(0.0), top, scale.at(0.0), bottom));
    for (index, of) in rows.iter().enumerate() {
        let y = top + ROW * index as f64 + ROW / 2.0;
        let name = &names[index];
        shapes.push(cut_label("", Anchor::Start, (8.0, y + 4.0), name, letters_in(left - 16.0)));
        if let (Some(low), Some(high)) = (of.low, of.high) {
            shapes.push(line("interval c1", scale.at(low), y + 7.0, scale.at(high), y + 7.0));
        }
        if let (true, Some(least), Some(most)) = (of.gaps.is_empty(), of.least, of.most) {
            shapes.push(line("curve c0", scale.at(least), y, scale.at(most), y));
        }
        for (order, (repetition, gap)) in of.gaps.iter().enumerate() {
            // A fixed pattern of heights, so that equal gaps stay visible.
            let offset = [0.0, -4.0, 4.0, -2.0, 2.0][order % 5] - 2.0;
            let tip = format!("{name}, {repetition}: {} pp", points(Some(*gap)));
            shapes.push(
                element("circle")
                    .class("dot c0")
                    .num("cx", scale.at(*gap))
                    .num("cy", y + offset)
                    .num("r", 3.0)
                    .child(element("title").text(tip)),
            );
        }
        if let Some(mean) = of.mean {
            shapes.push(line("observed", scale.at(mean), y - 9.0, scale.at(mean), y + 9.0));
        }
    }
    shapes.push(label(
        "axis-title",
        Anchor::Middle,
        f64::midpoint(left, width - 16.0),
        bottom + 34.0,
        "permutation gap in percentage points",
    ));
    let said = rows.iter().map(|of| {
        let mean = points_interval(of.mean, of.low, of.high);
        format!("{}: mean {mean} over {}", point_values(&of.point), of.repetitions)
    });
    Some(Figure {
        name: "repeats".to_owned(),
        title: "Permutation gap over repetitions".to_owned(),
        description: said.collect::<Vec<_>>().join("; "),
        width,
        height: bottom + 44.0,
        shapes,
    })
}
