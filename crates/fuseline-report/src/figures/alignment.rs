//! Figure of how well quality predicts its expert's correctness.

use super::FigureSet;
use super::canvas::{
    Anchor, Figure, Scale, cut_label, label, legend, letters_in, line, mark, rectangle, tick_plain,
    width_of_longest,
};
use crate::data::{Control, FindingRow, ReportData};
use crate::format::{finite, plain, value_label};
use crate::palette;

/// Width of what is drawn, beside the names.
const PLOT: f64 = 440.0;
/// Names take no more than this.
const NAMES: f64 = 420.0;

/// AUROC by quality and modality; the rule plays no part in it, so axes along which nothing changes
/// are dropped.
pub fn alignments(data: &ReportData) -> FigureSet {
    FigureSet {
        heading: "Alignment",
        caption: "The AUROC of quality for \u{201c}this expert is right\u{201d}: 0.5 is chance, 1 \
            is quality that tells right from wrong without fail, below 0.5 it points the wrong \
            way."
            .to_owned(),
        figures: figure(data).into_iter().collect(),
    }
}

fn figure(data: &ReportData) -> Option<Figure> {
    let axes = telling_axes(data);
    let mut rows: Vec<(String, &FindingRow)> = Vec::new();
    for row in &data.findings {
        if row.alignment.iter().all(|(_, value)| finite(*value).is_none()) {
            continue;
        }
        let label = axes
            .iter()
            .filter_map(|axis| Some(value_label(axis, row.value_of(axis)?)))
            .collect::<Vec<_>>()
            .join(" · ");
        if !rows.iter().any(|(known, _)| *known == label) {
            rows.push((label, row));
        }
    }
    let modalities = modalities(data, &rows);
    if rows.is_empty() || modalities.is_empty() {
        return None;
    }
    let values =
        rows.iter().flat_map(|(_, row)| row.alignment.iter().filter_map(|(_, value)| *value));
    let left = (16.0 + width_of_longest(rows.iter().map(|(name, _)| name.as_str()))).min(NAMES);
    let width = left + PLOT;
    let scale = Scale::over(values.chain([0.5, 1.0]), left, width - 20.0);
    let top = 16.0;
    let bottom = top + 28.0 * rows.len() as f64;
    let mut shapes = Vec::new();
    for (place, _) in rows.iter().enumerate().filter(|(place, _)| place % 2 == 0) {
        shapes.push(rectangle("stripe", 0.0, top + 28.0 * place as f64, width, 28.0));
    }
    for tick in scale.ticks(6) {
        shapes.push(line("grid", scale.at(tick), top, scale.at(tick), bottom));
        shapes.push(label("tick", Anchor::Middle, scale.at(tick), bottom + 16.0, tick_plain(tick)));
    }
    shapes.push(line("zero", scale.at(0.5), top, scale.at(0.5), bottom));
    shapes.push(label("tick", Anchor::Middle, scale.at(0.5), top - 4.0, "chance"));
    let mut said = Vec::new();
    for (place, (name, row)) in rows.iter().enumerate() {
        let y = top + 28.0 * place as f64 + 14.0;
        shapes.push(cut_label("", Anchor::Start, (8.0, y + 4.0), name, letters_in(left - 16.0)));
        for (index, modality) in modalities.iter().enumerate() {
            let Some(value) = row
                .alignment
                .iter()
                .find(|(known, _)| known == modality)
                .and_then(|(_, value)| finite(*value))
            else {
                continue;
            };
            let tip = format!("{name}, {modality}: AUROC {}", plain(Some(value)));
            // Three heights, so that equal values do not hide each other.
            let at = (scale.at(value), y + 5.0 * (index % 3) as f64 - 5.0);
            let class = palette::series(index, modalities.len());
            shapes.push(mark(shape(index), &class, true, at, tip.clone()));
            said.push(tip);
        }
    }
    let entries: Vec<_> = modalities
        .iter()
        .enumerate()
        .map(|(index, modality)| {
            let class = palette::series(index, modalities.len());
            (mark(shape(index), &class, true, (0.0, 0.0), modality.clone()), modality.clone())
        })
        .collect();
    let middle = f64::midpoint(left, width - 20.0);
    let title = "AUROC of quality for its expert being right";
    shapes.push(label("axis-title", Anchor::Middle, middle, bottom + 34.0, title));
    let (keys, height) = legend(&entries, (left, bottom + 48.0), PLOT - 20.0);
    shapes.extend(keys);
    Some(Figure {
        name: "alignment".to_owned(),
        title: "Alignment of quality with its expert being right".to_owned(),
        description: said.join("; "),
        width,
        height: bottom + 54.0 + height,
        shapes,
    })
}

/// Here the shape tells the modality: three of them, so that colour is not alone.
fn shape(index: usize) -> Control {
    [Control::Native, Control::Positive, Control::Negative][index % 3]
}

fn modalities(data: &ReportData, rows: &[(String, &FindingRow)]) -> Vec<String> {
    let mut names = data.modalities.clone();
    for (name, _) in rows.iter().flat_map(|(_, row)| &row.alignment) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names.retain(|name| {
        rows.iter().any(|(_, row)| {
            row.alignment.iter().any(|(known, value)| known == name && finite(*value).is_some())
        })
    });
    names
}

/// The axes without which two rows of different alignment would fall together.
fn telling_axes(data: &ReportData) -> Vec<&str> {
    let mut axes: Vec<&str> = data.axes.iter().map(String::as_str).collect();
    for axis in &data.axes {
        let rest: Vec<&str> = axes.iter().copied().filter(|kept| kept != axis).collect();
        let key = |row: &FindingRow| -> Vec<Option<String>> {
            rest.iter().map(|axis| row.value_of(axis).map(str::to_owned)).collect()
        };
        let mut seen: std::collections::BTreeMap<_, &FindingRow> =
            std::collections::BTreeMap::new();
        let same = data
            .findings
            .iter()
            .all(|row| seen.entry(key(row)).or_insert(row).alignment == row.alignment);
        if same && !rest.is_empty() {
            axes = rest;
        }
    }
    axes
}
