//! Gap and interval of every finding, against the equivalence margin.

use super::canvas::{
    Anchor, Figure, LETTER, Scale, cut_label, label, letters_in, line, mark, rectangle, tick_of,
    width_of_longest,
};
use crate::answer::Answer;
use crate::arrange::{Arrangement, Group, column_label};
use crate::data::{Control, FindingRow, ReportData};
use crate::format::{finite, p_number, point_values};
use crate::markup::Element;
use crate::numbers::Unit;
use crate::verdict::{decided, is_adjusted, significant};

/// For which width it is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One line a finding.
    Wide,
    /// Two lines a finding, for a phone.
    Narrow,
}

/// Names beside what is drawn take this at least and at most.
const NAMES: [f64; 2] = [196.0, 330.0];
/// Width of the columns of p-values.
const P_VALUES: f64 = 84.0;

struct Layout {
    shape: Shape,
    width: f64,
    left: f64,
    right: f64,
    row: f64,
    /// Right edges of the columns of p-values, raw and adjusted, in the wide shape.
    p_ends: [f64; 2],
}

impl Layout {
    /// `names`: width of the longest name beside what is drawn; `numbers`: that of the longest gap
    /// with its interval.
    fn arrange(shape: Shape, names: f64, numbers: f64) -> Self {
        match shape {
            Shape::Wide => {
                let left = (16.0 + names).clamp(NAMES[0], NAMES[1]);
                let right = 640.0;
                let raw = right + 18.0 + numbers.max(150.0) + 56.0;
                let p_ends = [raw, raw + P_VALUES];
                Self { shape, width: p_ends[1] + 12.0, left, right, row: 24.0, p_ends }
            }
            Shape::Narrow => {
                let (left, right) = (12.0, 338.0);
                Self { shape, width: 350.0, left, right, row: 46.0, p_ends: [right; 2] }
            }
        }
    }

    /// Letters of a group's heading at most: nothing is drawn beside it.
    fn heading(&self) -> usize {
        letters_in(self.right - 16.0)
    }
}

/// The forest plot; nothing where no finding has a gap.
pub fn forest(
    data: &ReportData,
    answer: &Answer,
    arrangement: &Arrangement,
    shape: Shape,
) -> Option<Figure> {
    named_forest(data, answer, arrangement, shape, "gaps", "Permutation gap of every finding")
}

/// The forest plot of the largest gaps, on the scale of all.
pub fn largest_gaps(
    data: &ReportData,
    answer: &Answer,
    arrangement: &Arrangement,
    shape: Shape,
    most: usize,
) -> Option<Figure> {
    let largest = arrangement.with_largest_gaps(data, most);
    named_forest(data, answer, &largest, shape, "gaps-largest", "The largest permutation gaps")
}

fn named_forest(
    data: &ReportData,
    answer: &Answer,
    arrangement: &Arrangement,
    shape: Shape,
    name: &str,
    title_of_all: &str,
) -> Option<Figure> {
    let unit = Unit::of_report(data);
    let rows = arrangement.groups.iter().flat_map(|group| &group.rows);
    let rows: Vec<&FindingRow> = rows.filter_map(|index| data.findings.get(*index)).collect();
    let names = rows.iter().map(|row| column_label(row, data));
    let headings = arrangement.groups.iter().map(title);
    let names: Vec<String> = names.chain(headings).collect();
    let numbers: Vec<String> = rows.iter().map(|row| numbers_of(row, unit)).collect();
    let layout = Layout::arrange(
        shape,
        width_of_longest(names.iter().map(String::as_str)),
        // The sign of the verdict stands before them.
        LETTER * 3.0 + width_of_longest(numbers.iter().map(String::as_str)),
    );
    let margin = finite(data.settings.equivalence_margin);
    let rows_with_gap =
        data.findings.iter().filter(|row| finite(row.gap).is_some()).collect::<Vec<_>>();
    if rows_with_gap.is_empty() {
        return None;
    }
    let values = rows_with_gap
        .iter()
        .flat_map(|row| [row.gap, row.gap_low, row.gap_high])
        .flatten()
        .chain([0.0])
        .chain(margin.into_iter().flat_map(|margin| [-margin, margin]));
    let scale = Scale::over(values, layout.left, layout.right);

    let mut rows = Vec::new();
    let top = 40.0;
    let mut y = top;
    for group in &arrangement.groups {
        let (shapes, height) = group_shapes(group, y, &scale, &layout, data, answer);
        rows.extend(shapes);
        y += height;
    }
    let bottom = y + 4.0;
    let mut shapes = ground(&scale, (margin, unit), top - 12.0, bottom, shape);
    if shape == Shape::Wide {
        let heads = [
            (Anchor::Start, layout.right + 34.0, unit.gap_head()),
            (Anchor::End, layout.p_ends[0], "p raw".to_owned()),
            (Anchor::End, layout.p_ends[1], "p adjusted".to_owned()),
        ];
        let head = |(anchor, x, text)| label("small heading", anchor, x, top - 4.0, text);
        shapes.extend(heads.map(head));
    }
    shapes.extend(rows);
    shapes.push(label(
        "axis-title",
        Anchor::Middle,
        f64::midpoint(layout.left, layout.right),
        bottom + 34.0,
        unit.gap_axis(),
    ));
    Some(Figure {
        name: match shape {
            Shape::Wide => name.to_owned(),
            Shape::Narrow => format!("{name}-narrow"),
        },
        title: title_of_all.to_owned(),
        description: description(data),
        width: layout.width,
        height: bottom + 46.0,
        shapes,
    })
}

fn ground(
    scale: &Scale,
    (margin, unit): (Option<f64>, Unit),
    top: f64,
    bottom: f64,
    shape: Shape,
) -> Vec<Element> {
    let mut shapes = Vec::new();
    if let Some(margin) = margin {
        let (start, end) = (scale.at(-margin), scale.at(margin));
        shapes.push(rectangle("band", start, top, end - start, bottom - top));
        shapes.push(line("band-edge", start, top, start, bottom));
        shapes.push(line("band-edge", end, top, end, bottom));
        shapes.push(label(
            "tick",
            Anchor::Middle,
            scale.at(0.0).max(60.0),
            top - 6.0,
            format!("margin ±{}", tick_of(unit, margin)),
        ));
    }
    for tick in scale.ticks(if shape == Shape::Wide { 8 } else { 5 }) {
        let x = scale.at(tick);
        shapes.push(line("grid", x, top, x, bottom));
        shapes.push(label("tick", Anchor::Middle, x, bottom + 16.0, tick_of(unit, tick)));
    }
    shapes.push(line("zero", scale.at(0.0), top, scale.at(0.0), bottom));
    shapes
}

/// The gap of a row with its interval, without a unit.
fn numbers_of(row: &FindingRow, unit: Unit) -> String {
    unit.interval(row.gap, row.gap_low, row.gap_high).replace("\u{a0}pp", "")
}

fn title(group: &Group) -> String {
    match group.control {
        Control::Native => group.label.clone(),
        Control::Positive => format!("{} (positive control)", group.label),
        Control::Negative => format!("{} (negative control)", group.label),
    }
}

fn group_shapes(
    group: &Group,
    top: f64,
    scale: &Scale,
    layout: &Layout,
    data: &ReportData,
    answer: &Answer,
) -> (Vec<Element>, f64) {
    let mut shapes = Vec::new();
    let mut y = top;
    let title = title(group);
    if !group.label.is_empty() {
        shapes.push(cut_label(
            "heading halo",
            Anchor::Start,
            (8.0, y + 16.0),
            &title,
            layout.heading(),
        ));
        y += 24.0;
    }
    for index in &group.rows {
        let Some(row) = data.findings.get(*index) else { continue };
        let Some(verdict) = answer.verdicts.get(*index) else { continue };
        let name = column_label(row, data);
        let (raw, adjusted) = (p_number(row.p_value), p_number(row.p_adjusted));
        let sign = verdict.reading.sign();
        let numbers = format!("{sign} {}", numbers_of(row, Unit::of_report(data)));
        let middle = match layout.shape {
            Shape::Wide => {
                let middle = y + layout.row / 2.0;
                let most = letters_in(layout.left - 28.0);
                shapes.push(cut_label("", Anchor::Start, (20.0, middle + 4.0), &name, most));
                shapes.push(label("", Anchor::Start, layout.right + 18.0, middle + 4.0, numbers));
                shapes.push(label("", Anchor::End, layout.p_ends[0], middle + 4.0, raw));
                shapes.push(label("", Anchor::End, layout.p_ends[1], middle + 4.0, adjusted));
                middle
            }
            Shape::Narrow => {
                shapes.push(cut_label("halo", Anchor::Start, (12.0, y + 16.0), &name, 15));
                // The one that decides.
                let decides = match is_adjusted(row, &data.settings) && row.p_adjusted.is_some() {
                    true => format!("{numbers}, p adj. {adjusted}"),
                    false => format!("{numbers}, p raw {raw}"),
                };
                shapes.push(label("small halo", Anchor::End, layout.right, y + 16.0, decides));
                y + 30.0
            }
        };
        let tone = verdict.reading.tone();
        shapes.extend(interval(row, tone, middle, scale, data, &verdict.words));
        y += layout.row;
    }
    (shapes, y - top + 8.0)
}

fn interval(
    row: &FindingRow,
    tone: &str,
    y: f64,
    scale: &Scale,
    data: &ReportData,
    words: &str,
) -> Vec<Element> {
    let Some(gap) = finite(row.gap) else { return Vec::new() };
    let mut shapes = Vec::new();
    if let (Some(low), Some(high)) = (finite(row.gap_low), finite(row.gap_high)) {
        let (start, end) = (scale.at(low), scale.at(high));
        let class = format!("interval {tone}");
        shapes.push(line(&class, start, y, end, y));
        shapes.push(line(&class, start, y - 4.0, start, y + 4.0));
        shapes.push(line(&class, end, y - 4.0, end, y + 4.0));
    }
    let tip = format!("{}: {words}", point_values(&row.point));
    shapes.push(mark(row.control, tone, significant(row, &data.settings), (scale.at(gap), y), tip));
    shapes
}

fn description(data: &ReportData) -> String {
    let unit = Unit::of_report(data);
    let rows: Vec<String> = data
        .findings
        .iter()
        .take(60)
        .map(|row| {
            let gap = unit.interval(row.gap, row.gap_low, row.gap_high);
            format!("{}: gap {gap}, {}", point_values(&row.point), decided(row, data))
        })
        .collect();
    let rest = data.findings.len().saturating_sub(rows.len());
    let more = if rest > 0 {
        format!(" {rest} more are in the table of findings.")
    } else {
        String::new()
    };
    format!("{}.{more}", rows.join("; "))
}
