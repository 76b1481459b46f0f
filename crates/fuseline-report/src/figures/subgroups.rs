//! Figures of the gap by class and by metadata.

use super::FigureSet;
use super::canvas::{Anchor, Figure, Scale, cut_label, label, line, mark, rectangle, tick_points};
use crate::data::{Control, ReportData};
use crate::format::{p_number, point_values, points_interval};
use crate::markup::Element;
use crate::supplement_tables::SUBGROUPS;
use crate::supplements::Subgroup;

const WIDTH: f64 = 860.0;
const LEFT: f64 = 250.0;
const RIGHT: f64 = 600.0;
const ROW: f64 = 22.0;

/// One figure for each column that parts the examples. Conditions of which no subgroup is testable
/// are in the table alone.
pub fn subgroups(data: &ReportData) -> FigureSet {
    let all = &data.supplements.subgroups;
    let mut columns: Vec<&str> = Vec::new();
    for of in all {
        if !columns.contains(&of.by.as_str()) {
            columns.push(&of.by);
        }
    }
    let is_tested = |of: &Subgroup| {
        all.iter().any(|other| {
            other.by == of.by && other.point == of.point && other.not_testable.is_none()
        })
    };
    let figures = columns.iter().enumerate().filter_map(|(place, by)| {
        let rows: Vec<&Subgroup> = all.iter().filter(|of| of.by == *by && is_tested(of)).collect();
        figure(place + 1, by, &rows, data.settings.alpha)
    });
    FigureSet {
        heading: SUBGROUPS,
        caption: "The gap of each class (the fall of its recall) and of each value of the \
            metadata (the fall of balanced accuracy), with its interval over groups; the thin \
            line is the interval that holds together with those of all subgroups and conditions. \
            A filled mark is significant after Holm over all of them. That one subgroup's gap is \
            and another's is not significant does not make them differ: the table has the \
            difference from the other examples."
            .to_owned(),
        figures: figures.collect(),
    }
}

fn figure(place: usize, by: &str, rows: &[&Subgroup], alpha: f64) -> Option<Figure> {
    let ends = |of: &&Subgroup| of.gap.into_iter().chain(of.gap_adjusted).flatten();
    rows.iter().flat_map(ends).next()?;
    let scale = Scale::over(rows.iter().flat_map(ends).chain([0.0]), LEFT, RIGHT);
    let top = 44.0;
    let (mut stripes, mut drawn): (Vec<Element>, Vec<Element>) = (Vec::new(), Vec::new());
    let mut said = Vec::new();
    let mut y = top;
    let mut condition: Option<&crate::data::Point> = None;
    for of in rows {
        if condition != Some(&of.point) {
            condition = Some(&of.point);
            let name = point_values(&of.point);
            stripes.push(rectangle("stripe", 0.0, y, WIDTH, ROW));
            drawn.push(cut_label("heading halo", Anchor::Start, (8.0, y + 15.0), &name, 60));
            y += ROW;
        }
        let middle = y + ROW / 2.0;
        drawn.extend(row(of, middle, &scale, alpha));
        said.push(words(of));
        y += ROW;
    }
    let bottom = y + 4.0;
    let mut shapes = stripes;
    for tick in scale.ticks(6) {
        let x = scale.at(tick);
        shapes.push(line("grid", x, top, x, bottom));
        shapes.push(label("tick", Anchor::Middle, x, bottom + 16.0, tick_points(tick)));
    }
    shapes.push(line("zero", scale.at(0.0), top, scale.at(0.0), bottom));
    shapes.extend(drawn);
    shapes.push(cut_label("heading halo", Anchor::Start, (8.0, 16.0), &format!("by {by}"), 60));
    for (x, text) in [(RIGHT + 18.0, "gap [interval], pp"), (WIDTH - 8.0, "p adjusted")] {
        let anchor = if x > WIDTH - 20.0 { Anchor::End } else { Anchor::Start };
        shapes.push(label("small heading", anchor, x, top - 8.0, text));
    }
    shapes.push(label(
        "axis-title",
        Anchor::Middle,
        f64::midpoint(LEFT, RIGHT),
        bottom + 34.0,
        "permutation gap in percentage points",
    ));
    Some(Figure {
        name: format!("subgroups-{place}"),
        title: format!("Permutation gap by {by}"),
        description: said.join("; "),
        width: WIDTH,
        height: bottom + 44.0,
        shapes,
    })
}

fn words(of: &Subgroup) -> String {
    let [gap, low, high] = of.gap;
    let what = match &of.not_testable {
        Some(reason) => format!("not testable, {reason}"),
        None => points_interval(gap, low, high),
    };
    format!("{}, {} {}: {what}", point_values(&of.point), of.by, of.value)
}

fn row(of: &Subgroup, y: f64, scale: &Scale, alpha: f64) -> Vec<Element> {
    let name = format!("{} (n = {})", of.value, of.examples);
    let mut shapes = vec![cut_label("", Anchor::Start, (20.0, y + 4.0), &name, 34)];
    let [gap, low, high] = of.gap;
    let (Some(gap), None) = (gap, &of.not_testable) else {
        let reason = of.not_testable.clone().unwrap_or_default();
        let text = format!("not testable: {reason}");
        shapes.push(cut_label("muted halo", Anchor::Start, (LEFT + 8.0, y + 4.0), &text, 84));
        return shapes;
    };
    if let [Some(low), Some(high)] = of.gap_adjusted {
        shapes.push(line("curve c0", scale.at(low), y, scale.at(high), y));
    }
    if let (Some(low), Some(high)) = (low, high) {
        let (start, end) = (scale.at(low), scale.at(high));
        shapes.push(line("interval c0", start, y, end, y));
        shapes.push(line("interval c0", start, y - 4.0, start, y + 4.0));
        shapes.push(line("interval c0", end, y - 4.0, end, y + 4.0));
    }
    let is_significant = of.p_value[1].is_some_and(|p| p <= alpha);
    shapes.push(mark(Control::Native, "c0", is_significant, (scale.at(gap), y), words(of)));
    let numbers = points_interval(Some(gap), low, high).replace("\u{a0}pp", "");
    shapes.push(label("", Anchor::Start, RIGHT + 18.0, y + 4.0, numbers));
    shapes.push(label("", Anchor::End, WIDTH - 8.0, y + 4.0, p_number(of.p_value[1])));
    shapes
}
