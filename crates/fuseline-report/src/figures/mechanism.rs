//! Mechanism of the use of quality: the gap under schemes that leave part of quality in place, as
//! slopes from the joint one.

use super::FigureSet;
use super::canvas::{
    Anchor, Figure, Scale, cut_label, label, legend, line, mark, path_points, tick_points,
};
use crate::arrange::label_without;
use crate::data::{Control, FindingRow, ReportData};
use crate::format::{finite, point_values, points_interval};
use crate::markup::element;
use crate::palette;
use crate::verdict::{scheme, significant};

/// Heading of the section.
pub const WHAT_FOR: &str = "What quality is used for";
const WIDTH: f64 = 400.0;
/// The schemes, each with its name below the axis on two lines.
const SCHEMES: [(&str, [&str; 2]); 4] = [
    ("joint", ["joint", ""]),
    ("conditional_residual", ["given the", "evidence"]),
    ("within_correct", ["experts", "right alike"]),
    ("within_class", ["one", "label"]),
];
/// More panels than this are a wall.
const PANELS: usize = 24;

/// True if there is anything to draw.
pub fn tells_what_for(data: &ReportData) -> bool {
    // Its figure shows accuracies.
    if data.settings.metric.is_some() {
        return false;
    }
    !scheme_names(data).is_empty()
}

/// The schemes that were run, by their places.
fn schemes(data: &ReportData) -> Vec<usize> {
    let of_scheme = |name: &str| {
        data.findings.iter().any(|row| row.value_of("scheme") == Some(name) && is_shown(row))
    };
    (0..SCHEMES.len()).filter(|&place| of_scheme(SCHEMES[place].0)).collect()
}

/// The schemes that were run of those that tell what quality is used for, the joint one first; none
/// where there is nothing to compare.
pub fn scheme_names(data: &ReportData) -> Vec<&'static str> {
    let schemes = schemes(data);
    let is_compared = schemes.len() >= 2 && schemes[0] == 0;
    schemes.into_iter().filter(|_| is_compared).map(|place| SCHEMES[place].0).collect()
}

/// One panel a rule, one line a condition, all over one range; nothing unless the joint scheme and
/// another were run.
pub fn slopes(data: &ReportData) -> FigureSet {
    let present = schemes(data);
    let mut figures = Vec::new();
    if tells_what_for(data) {
        let values = data.findings.iter().filter(|row| is_shown(row));
        let values = values.flat_map(|row| [row.gap, row.gap_low, row.gap_high]).flatten();
        let y = Scale::over(values.chain([0.0]), 236.0, 42.0);
        let mut panels: Vec<(String, Vec<&FindingRow>)> = Vec::new();
        for row in data.findings.iter().filter(|row| is_shown(row)) {
            let rule = row.value_of("rule").unwrap_or_default().to_owned();
            match panels.iter_mut().find(|(known, _)| *known == rule) {
                Some((_, rows)) => rows.push(row),
                None => panels.push((rule, vec![row])),
            }
        }
        let panels = panels.iter().take(PANELS).enumerate();
        figures = panels
            .map(|(place, (rule, rows))| panel(place + 1, rule, rows, &present, &y, data))
            .collect();
    }
    FigureSet {
        heading: WHAT_FOR,
        caption: "The gap of each condition under the joint scheme, and under those that hold \
            something of quality back. A gap that vanishes with what the evidence tells left in \
            place was in the evidence already; among examples whose experts are right alike, it \
            works through which expert is right; among examples of one label, through the label \
            itself. One range for all panels; filled marks are significant."
            .to_owned(),
        figures,
    }
}

fn is_shown(row: &FindingRow) -> bool {
    row.control != Control::Negative
        && finite(row.gap).is_some()
        && row.value_of("scheme").is_some()
}

fn panel(
    place: usize,
    rule: &str,
    rows: &[&FindingRow],
    present: &[usize],
    y: &Scale,
    data: &ReportData,
) -> Figure {
    let (left, right, bottom) = (48.0, WIDTH - 24.0, 236.0);
    let step = (right - left - 40.0) / (present.len() - 1) as f64;
    let x = |at: usize| left + 20.0 + step * at as f64;
    let mut shapes = vec![cut_label("heading", Anchor::Start, (8.0, 15.0), rule, 44)];
    for tick in y.ticks(6) {
        let class = if tick.abs() < 1e-12 { "zero" } else { "grid" };
        shapes.push(line(class, left, y.at(tick), right, y.at(tick)));
        shapes.push(label("tick", Anchor::End, left - 6.0, y.at(tick) + 4.0, tick_points(tick)));
    }
    shapes.push(label("axis-title small", Anchor::Start, 8.0, 33.0, "gap (pp)"));
    for (at, scheme) in present.iter().enumerate() {
        for (row, text) in
            SCHEMES[*scheme].1.iter().enumerate().filter(|(_, text)| !text.is_empty())
        {
            let down = bottom + 17.0 + 14.0 * row as f64;
            shapes.push(label("tick", Anchor::Middle, x(at), down, *text));
        }
    }
    // One line for each choice of the other axes.
    let mut lines: Vec<(String, Vec<&FindingRow>)> = Vec::new();
    for row in rows {
        let mut rest = (*row).clone();
        rest.point.retain(|(axis, _)| axis != "rule" && axis != "scheme");
        let name = label_without(&rest, None);
        match lines.iter_mut().find(|(known, _)| *known == name) {
            Some((_, rows)) => rows.push(row),
            None => lines.push((name, vec![row])),
        }
    }
    let mut entries = Vec::new();
    for (number, (name, rows)) in lines.iter().enumerate() {
        let class = palette::series(number, lines.len());
        // Beside each other, so that intervals do not hide one another.
        let aside = 5.0 * (number as f64 - (lines.len() - 1) as f64 / 2.0).clamp(-4.0, 4.0);
        let found = present.iter().enumerate().filter_map(|(at, wanted)| {
            let row = rows.iter().find(|row| scheme(row, &data.settings) == SCHEMES[*wanted].0)?;
            Some((x(at) + aside, *row))
        });
        let found: Vec<(f64, &FindingRow)> = found.collect();
        let path = found.iter().filter_map(|(x, row)| Some((*x, y.at(finite(row.gap)?))));
        let path: Vec<(f64, f64)> = path.collect();
        let curve = element("polyline").class(format!("curve {class}"));
        shapes.push(curve.attr("points", path_points(&path)));
        for (x, row) in found {
            let Some(gap) = finite(row.gap) else { continue };
            if let (Some(low), Some(high)) = (finite(row.gap_low), finite(row.gap_high)) {
                shapes.push(line(&format!("interval {class}"), x, y.at(low), x, y.at(high)));
            }
            let tip = format!(
                "{}: {}",
                point_values(&row.point),
                points_interval(row.gap, row.gap_low, row.gap_high)
            );
            let filled = significant(row, &data.settings);
            shapes.push(mark(row.control, &class, filled, (x, y.at(gap)), tip));
        }
        if let Some(first) = rows.first()
            && !name.is_empty()
        {
            entries
                .push((mark(first.control, &class, true, (0.0, 0.0), name.clone()), name.clone()));
        }
    }
    let (keys, height) = legend(&entries, (left, bottom + 52.0), WIDTH - left);
    shapes.extend(keys);
    Figure {
        name: format!("used-for-{place}"),
        title: format!("{WHAT_FOR}{}{rule}", if rule.is_empty() { "" } else { ": " }),
        description: rows
            .iter()
            .take(60)
            .map(|row| {
                let gap = points_interval(row.gap, row.gap_low, row.gap_high);
                format!("{}: {gap}", point_values(&row.point))
            })
            .collect::<Vec<_>>()
            .join("; "),
        width: WIDTH,
        height: bottom + 56.0 + height,
        shapes,
    }
}
