//! Balanced accuracy over two axes of numbers, such as outage and degradation.

use super::FigureSet;
use super::canvas::{Anchor, Figure, cut_label, label, rectangle};
use crate::arrange::{label_without, numeric, numeric_axes};
use crate::data::{FindingRow, ReportData};
use crate::format::{finite, percent, point_values, points};
use crate::markup::{element, number};

const LEFT: f64 = 64.0;
const TOP: f64 = 44.0;

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
        for (title, rows) in &maps {
            figures.push(map(title, rows, (across, down), figures.len() + 1));
        }
    }
    FigureSet {
        heading: "Two interventions at once",
        caption: "The permutation gap (pp) in each cell, and the balanced accuracy under Clean-Q below it; the stronger \
                  the colour, the larger the gap."
            .to_owned(),
        figures,
    }
}

fn map(title: &str, rows: &[&FindingRow], (across, down): (&str, &str), place: usize) -> Figure {
    let values = |axis: &str| -> Vec<f64> {
        let mut values: Vec<f64> = rows.iter().filter_map(|row| numeric(row, axis)).collect();
        values.sort_by(f64::total_cmp);
        values.dedup();
        values
    };
    let (columns, lines) = (values(across), values(down));
    let (wide, tall) = (62.0, 40.0);
    let largest = rows
        .iter()
        .filter_map(|row| finite(row.gap))
        .fold(1e-9, |most: f64, gap| most.max(gap.abs()));
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
    for (index, value) in lines.iter().enumerate() {
        let y = TOP + tall * index as f64 + tall / 2.0 + 4.0;
        shapes.push(label("tick", Anchor::End, LEFT - 8.0, y, number(*value)));
    }
    let bottom = TOP + tall * lines.len() as f64;
    for (index, value) in columns.iter().enumerate() {
        let x = LEFT + wide * index as f64 + wide / 2.0;
        shapes.push(label("tick", Anchor::Middle, x, bottom + 16.0, number(*value)));
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
                .attr("opacity", number(0.45 * gap.abs() / largest)),
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
        width: (LEFT + wide * columns.len() as f64 + 8.0).max(260.0),
        height: bottom + 26.0,
        shapes,
    }
}
