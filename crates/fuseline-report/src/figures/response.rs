//! Figure of the gap along an axis of numbers, such as the strength of the positive control.

use super::FigureSet;
use super::canvas::{
    Anchor, Figure, Frame, Scale, label, legend, line, mark, path_points, tick_plain, tick_points,
};
use crate::arrange::{numeric, numeric_axes};
use crate::data::{Control, FindingRow, ReportData};
use crate::format::{finite, gap, p_value, point_values, points, value_label};
use crate::markup::element;
use crate::palette;
use crate::verdict::significant;

const WIDTH: f64 = 520.0;

/// One panel an axis of numbers and choice of the axes that are neither it nor the rule.
pub fn responses(data: &ReportData) -> FigureSet {
    let mut figures = Vec::new();
    let axes = numeric_axes(data);
    // Two such axes are a heat map's.
    for axis in axes.iter().copied().filter(|_| axes.len() != 2) {
        for (title, rows) in panels(data, axis) {
            figures.extend(panel(data, axis, &title, &rows, figures.len() + 1));
        }
    }
    FigureSet {
        heading: "Dose and response",
        caption: "The permutation gap along an axis of numbers, with its interval. Where the axis \
            is the strength of a control, the gap should rise with it."
            .to_owned(),
        figures,
    }
}

/// Findings by the values of all axes but the dose and the rule.
fn panels<'a>(data: &'a ReportData, axis: &str) -> Vec<(String, Vec<&'a FindingRow>)> {
    let mut panels: Vec<(String, Vec<&FindingRow>)> = Vec::new();
    for row in data.findings.iter().filter(|row| finite(row.gap).is_some()) {
        let title = without(row, &[axis, "rule"]);
        match panels.iter_mut().find(|(known, _)| *known == title) {
            Some((_, rows)) => rows.push(row),
            None => panels.push((title, vec![row])),
        }
    }
    panels
}

fn without(row: &FindingRow, left_out: &[&str]) -> String {
    row.point
        .iter()
        .filter(|(axis, _)| !left_out.contains(&axis.as_str()))
        .map(|(axis, value)| value_label(axis, value))
        .collect::<Vec<_>>()
        .join(" · ")
}

fn panel(
    data: &ReportData,
    axis: &str,
    title: &str,
    rows: &[&FindingRow],
    number: usize,
) -> Option<Figure> {
    let mut curves: Vec<(String, Vec<(f64, &FindingRow)>)> = Vec::new();
    for row in rows {
        let name = row.value_of("rule").unwrap_or("gap").to_owned();
        let Some(dose) = numeric(row, axis) else { continue };
        match curves.iter_mut().find(|(known, _)| *known == name) {
            Some((_, points)) => points.push((dose, row)),
            None => curves.push((name, vec![(dose, row)])),
        }
    }
    curves.retain(|(_, points)| points.len() >= 2);
    curves
        .iter_mut()
        .for_each(|(_, points)| points.sort_by(|one, other| one.0.total_cmp(&other.0)));
    if curves.is_empty() {
        return None;
    }
    let (left, right, top, bottom) = (52.0, WIDTH - 14.0, 48.0, 300.0);
    let all = || curves.iter().flat_map(|(_, points)| points);
    let values =
        all().flat_map(|(_, row)| [row.gap, row.gap_low, row.gap_high]).flatten().chain([0.0]);
    let frame = Frame {
        x: Scale::over(all().map(|(dose, _)| *dose), left, right),
        y: Scale::over(values, bottom, top),
        x_title: axis,
        y_title: "permutation gap (pp)",
        x_text: &tick_plain,
        y_text: &tick_points,
    };
    let mut shapes = vec![label("heading", Anchor::Start, 8.0, 15.0, title)];
    shapes.extend(frame.shapes());
    let mut entries = Vec::new();
    for (place, (name, points)) in curves.iter().enumerate() {
        let class = palette::series(place, curves.len());
        // Side by side, so that intervals at one dose do not cover each other.
        let aside = 3.0 * (place as f64 - (curves.len() - 1) as f64 / 2.0).clamp(-5.0, 5.0);
        let place_of = |dose: f64, value: f64| (frame.x.at(dose) + aside, frame.y.at(value));
        let path: Vec<(f64, f64)> = points
            .iter()
            .filter_map(|(dose, row)| Some(place_of(*dose, finite(row.gap)?)))
            .collect();
        shapes.push(
            element("polyline").class(format!("curve {class}")).attr("points", path_points(&path)),
        );
        for (dose, row) in points {
            let Some(value) = finite(row.gap) else { continue };
            let (x, y) = place_of(*dose, value);
            if let (Some(low), Some(high)) = (finite(row.gap_low), finite(row.gap_high)) {
                let class = format!("curve {class}");
                shapes.push(line(&class, x, frame.y.at(low), x, frame.y.at(high)));
            }
            let tip = format!(
                "{}: gap {}, {}",
                point_values(&row.point),
                gap(row),
                p_value(row.deciding_p())
            );
            let filled = significant(row, &data.settings);
            shapes.push(mark(row.control, &class, filled, (x, y), tip));
        }
        let control = points.first().map_or(Control::Native, |(_, row)| row.control);
        entries.push((mark(control, &class, true, (0.0, 0.0), name.clone()), name.clone()));
    }
    let (keys, height) = legend(&entries, (left, bottom + 46.0), WIDTH - left);
    shapes.extend(keys);
    Some(Figure {
        name: format!("response-{number}"),
        title: format!(
            "Permutation gap along {axis}{}{title}",
            if title.is_empty() { "" } else { ": " }
        ),
        description: all()
            .map(|(_, row)| format!("{}: {} pp", point_values(&row.point), points(row.gap)))
            .collect::<Vec<_>>()
            .join("; "),
        width: WIDTH,
        height: bottom + 50.0 + height,
        shapes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dose_is_drawn_and_the_numbers_of_repetitions_are_not() {
        let row = |dose: usize, not_counted: Option<String>| FindingRow {
            point: vec![("dose".to_owned(), dose.to_string())],
            gap: Some(0.01),
            not_counted,
            ..FindingRow::default()
        };
        let figures = |of: &dyn Fn(usize) -> Option<String>| {
            let findings = (0..3).map(|dose| row(dose, of(dose))).collect();
            let axes = vec!["dose".to_owned()];
            responses(&ReportData { findings, axes, ..ReportData::default() }).figures.len()
        };
        assert_eq!(figures(&|_| None), 1);
        assert_eq!(figures(&|dose| (dose > 0).then(|| format!("a repetition: {dose}"))), 0);
    }
}
