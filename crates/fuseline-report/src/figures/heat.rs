//! Balanced accuracy over two axes of numbers, such as outage and degradation.

use super::FigureSet;
use super::canvas::{Anchor, Figure, cut_label, label, rectangle, tick_plain};
use crate::arrange::{label_without, numeric, numeric_axes};
use crate::data::{FindingRow, ReportData};
use crate::format::{finite, percent, point_values, points};
use crate::markup::{Element, element, number};

const LEFT: f64 = 64.0;
const TOP: f64 = 44.0;
/// Opacity of the strongest colour.
const STRONGEST: f64 = 0.45;

/// One map for each choice of the other axes; none unless exactly two axes hold numbers.
pub fn heat_maps(data: &ReportData) -> FigureSet {
    let axes = numeric_axes(data);
    let mut figures = Vec::new();
    if let [across, down] = axes[..] {
        let mut maps: Vec<(String, Vec<&FindingRow>)> = Vec::new();
        for row in data.findings.iter().filter(|row| finite(row.gap).is_some()) {
            let mut rest = row.clone();
            rest.point.retain(|(axis, _)| axis != across && axis != down);
            let title = label_without(&rest, None);
            match maps.iter_mut().find(|(known, _)| *known == title) {
                Some((_, rows)) => rows.push(row),
                None => maps.push((title, vec![row])),
            }
        }
        // One scale for all, so that panels can be compared.
        let gaps = maps.iter().flat_map(|(_, rows)| rows).filter_map(|row| finite(row.gap));
        let largest = gaps.fold(1e-9, |most: f64, gap| most.max(gap.abs()));
        for (title, rows) in &maps {
            figures.push(map(title, rows, (across, down), largest, figures.len() + 1));
        }
    }
    FigureSet {
        heading: "Two interventions at once",
        caption: "The permutation gap (pp) in each cell, and the balanced accuracy under Clean-Q \
            below it; the stronger the colour, the larger the gap (pp), on one scale in all \
            panels, as the strip below each says."
            .to_owned(),
        figures,
    }
}

fn map(
    title: &str,
    rows: &[&FindingRow],
    (across, down): (&str, &str),
    largest: f64,
    place: usize,
) -> Figure {
    let values = |axis: &str| -> Vec<f64> {
        let mut values: Vec<f64> = rows.iter().filter_map(|row| numeric(row, axis)).collect();
        values.sort_by(f64::total_cmp);
        values.dedup();
        values
    };
    let (columns, lines) = (values(across), values(down));
    let (wide, tall) = (62.0, 40.0);
    let mut shapes = vec![
        cut_label("heading", Anchor::Start, (8.0, 15.0), title, 40),
        cut_label(
            "axis-title",
            Anchor::Start,
            (8.0, TOP - 8.0),
            &format!("{down} ↓  {across} →"),
            40,
        ),
    ];
    let width = (LEFT + wide * columns.len() as f64 + 8.0).max(260.0);
    for (index, value) in lines.iter().enumerate() {
        let y = TOP + tall * index as f64 + tall / 2.0 + 4.0;
        shapes.push(label("tick", Anchor::End, LEFT - 8.0, y, tick_plain(*value)));
    }
    let bottom = TOP + tall * lines.len() as f64;
    for (index, value) in columns.iter().enumerate() {
        let x = LEFT + wide * index as f64 + wide / 2.0;
        shapes.push(label("tick", Anchor::Middle, x, bottom + 16.0, tick_plain(*value)));
    }
    for row in rows {
        let place = |axis: &str, values: &[f64]| {
            numeric(row, axis).and_then(|value| values.iter().position(|known| *known == value))
        };
        let (Some(column), Some(line)) = (place(across, &columns), place(down, &lines)) else {
            continue;
        };
        let Some(gap) = finite(row.gap) else { continue };
        let (x, y) = (LEFT + wide * column as f64, TOP + tall * line as f64);
        let class = if gap < 0.0 { "heat-down" } else { "heat-up" };
        shapes.push(
            rectangle(class, x, y, wide, tall)
                // Light enough for dark text, and for light text in the dark.
                .attr("opacity", number(STRONGEST * gap.abs() / largest)),
        );
        let tip = format!(
            "{}: gap {} pp, {}",
            point_values(&row.point),
            points(row.gap),
            percent(row.ba_clean)
        );
        shapes.push(rectangle("cell", x, y, wide, tall).child(element("title").text(tip)));
        shapes.push(label("", Anchor::Middle, x + wide / 2.0, y + 17.0, points(row.gap)));
        shapes.push(label(
            "small muted",
            Anchor::Middle,
            x + wide / 2.0,
            y + 33.0,
            percent(row.ba_clean),
        ));
    }
    shapes.extend(legend(largest, bottom + 30.0));
    Figure {
        name: format!("heat-{place}"),
        title: format!(
            "Gap over {across} and {down}{}{title}",
            if title.is_empty() { "" } else { ": " }
        ),
        description: rows
            .iter()
            .map(|row| format!("{}: {} pp", point_values(&row.point), points(row.gap)))
            .collect::<Vec<_>>()
            .join("; "),
        width,
        height: bottom + 66.0,
        shapes,
    }
}

/// Colour scale: from the largest loss over none to the largest gap of all panels.
fn legend(largest: f64, top: f64) -> Vec<Element> {
    const STEPS: i32 = 4;
    const STEP: f64 = 20.0;
    let mut shapes = Vec::new();
    for step in -STEPS..=STEPS {
        let share = f64::from(step) / f64::from(STEPS);
        let x = 40.0 + STEP * f64::from(step + STEPS);
        let class = if share < 0.0 { "heat-down" } else { "heat-up" };
        shapes.push(
            rectangle(class, x, top, STEP, 12.0).attr("opacity", number(STRONGEST * share.abs())),
        );
    }
    let end = 40.0 + STEP * f64::from(2 * STEPS + 1);
    shapes.push(rectangle("cell", 40.0, top, end - 40.0, 12.0));
    let middle = f64::midpoint(40.0, end);
    for (x, gap) in [(40.0, -largest), (middle, 0.0), (end, largest)] {
        shapes.push(label("tick", Anchor::Middle, x, top + 26.0, points(Some(gap))));
    }
    shapes
}
