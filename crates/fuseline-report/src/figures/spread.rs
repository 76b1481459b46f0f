//! Figure of the gap by fold or group.

use super::FigureSet;
use super::canvas::{
    Anchor, Figure, Scale, cut_label, label, letters_in, line, rectangle, tick_points,
    width_of_longest,
};
use crate::data::{ReportData, Spread};
use crate::format::{point_values, points};
use crate::markup::element;

/// Width of what is drawn, beside the names.
const PLOT: f64 = 450.0;
/// Names take no more than this.
const NAMES: f64 = 420.0;
const ROW: f64 = 26.0;

/// One figure for each sort of unit.
pub fn spreads(data: &ReportData) -> FigureSet {
    let mut units: Vec<&str> = Vec::new();
    for spread in &data.spreads {
        if !units.contains(&spread.unit.as_str()) {
            units.push(&spread.unit);
        }
    }
    FigureSet {
        heading: "Spread",
        caption: "The gap in each unit alone, one dot a unit and a bar at their mean: is it the \
            work of a few? Conditions whose gap is 0 in each unit are left out."
            .to_owned(),
        figures: units
            .iter()
            .enumerate()
            .filter_map(|(place, unit)| {
                let of_unit: Vec<&Spread> =
                    data.spreads.iter().filter(|spread| spread.unit == *unit).collect();
                figure(place + 1, unit, &of_unit)
            })
            .collect(),
    }
}

fn figure(place: usize, unit: &str, spreads: &[&Spread]) -> Option<Figure> {
    let finite = |spread: &Spread| -> Vec<(String, f64)> {
        spread.gaps.iter().filter(|(_, gap)| gap.is_finite()).cloned().collect()
    };
    let rows: Vec<(String, Vec<(String, f64)>)> = spreads
        .iter()
        .map(|spread| (point_values(&spread.point), finite(spread)))
        .filter(|(_, gaps)| gaps.iter().any(|(_, gap)| gap.abs() > 1e-12))
        .collect();
    if rows.is_empty() {
        return None;
    }
    let values = rows.iter().flat_map(|(_, gaps)| gaps.iter().map(|(_, gap)| *gap)).chain([0.0]);
    let left = (16.0 + width_of_longest(rows.iter().map(|(name, _)| name.as_str()))).min(NAMES);
    let width = left + PLOT;
    let scale = Scale::over(values, left, width - 16.0);
    let top = 30.0;
    let bottom = top + ROW * rows.len() as f64;
    let mut shapes =
        vec![cut_label("heading", Anchor::Start, (8.0, 16.0), &format!("by {unit}"), 40)];
    for index in (0..rows.len()).step_by(2) {
        shapes.push(rectangle("stripe", 0.0, top + ROW * index as f64, width, ROW));
    }
    for tick in scale.ticks(6) {
        shapes.push(line("grid", scale.at(tick), top, scale.at(tick), bottom));
        shapes.push(label(
            "tick",
            Anchor::Middle,
            scale.at(tick),
            bottom + 16.0,
            tick_points(tick),
        ));
    }
    shapes.push(line("zero", scale.at(0.0), top, scale.at(0.0), bottom));
    let mut said = Vec::new();
    for (index, (name, gaps)) in rows.iter().enumerate() {
        let y = top + ROW * index as f64 + ROW / 2.0;
        shapes.push(cut_label("", Anchor::Start, (8.0, y + 4.0), name, letters_in(left - 16.0)));
        let mean = gaps.iter().map(|(_, gap)| gap).sum::<f64>() / gaps.len() as f64;
        for (order, (unit_name, gap)) in gaps.iter().enumerate() {
            // A fixed pattern of heights, so that equal gaps stay visible.
            let offset = [0.0, -5.0, 5.0, -2.5, 2.5][order % 5];
            let tip = format!("{name}, {unit} {unit_name}: {} pp", points(Some(*gap)));
            shapes.push(
                element("circle")
                    .class("dot c0")
                    .num("cx", scale.at(*gap))
                    .num("cy", y + offset)
                    .num("r", 3.0)
                    .child(element("title").text(tip)),
            );
        }
        shapes.push(line("observed", scale.at(mean), y - 9.0, scale.at(mean), y + 9.0));
        let below = gaps.iter().filter(|(_, gap)| *gap < 0.0).count();
        said.push(format!(
            "{name}: mean {} pp, {below} of {} below 0",
            points(Some(mean)),
            gaps.len()
        ));
    }
    shapes.push(label(
        "axis-title",
        Anchor::Middle,
        f64::midpoint(left, width - 16.0),
        bottom + 34.0,
        "permutation gap in percentage points",
    ));
    Some(Figure {
        name: format!("spread-{place}"),
        title: format!("Permutation gap by {unit}"),
        description: said.join("; "),
        width,
        height: bottom + 44.0,
        shapes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nothing_but_rounding_has_no_row() {
        let spread = |rule: &str, gap: f64| Spread {
            point: vec![("rule".to_owned(), rule.to_owned())],
            unit: "fold".to_owned(),
            gaps: vec![("0".to_owned(), gap), ("1".to_owned(), -gap)],
        };
        let spreads = vec![spread("mean", 1.1e-16), spread("lr", 0.02)];
        let drawn = super::spreads(&ReportData { spreads, ..ReportData::default() });
        assert_eq!(drawn.figures[0].description, "lr: mean 0 pp, 1 of 2 below 0");
    }
}
