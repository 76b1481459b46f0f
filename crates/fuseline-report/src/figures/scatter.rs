//! Headroom against gap, and against the gain over the rule without quality.

use super::FigureSet;
use super::canvas::{
    Anchor, Figure, Frame, Scale, control_legend, label, legend, mark, tick_points,
};
use crate::arrange::{Arrangement, Group};
use crate::data::{Control, FindingRow, ReportData};
use crate::format::{finite, point_values, points_pp};
use crate::markup::Element;
use crate::palette;
use crate::verdict::significant;

const WIDTH: f64 = 420.0;

/// Both scatters; one is left out where its values are absent.
pub fn scatters(data: &ReportData, arrangement: &Arrangement) -> FigureSet {
    let headroom = Measure { name: "headroom (pp)", value: &|row| row.headroom };
    let gap = Measure { name: "permutation gap (pp)", value: &|row| row.gap };
    let gain =
        Measure { name: "gain over the rule without quality (pp)", value: &FindingRow::gain };
    let figures = [
        scatter(data, arrangement, "headroom-gap", &headroom, &gap),
        scatter(data, arrangement, "headroom-gain", &headroom, &gain),
        scatter(data, arrangement, "gap-gain", &gap, &gain),
    ];
    let figures: Vec<Figure> = figures.into_iter().flatten().collect();
    let both = if figures.len() == 3 {
        " In the last, a point to the right of 0 and at or below it is dependence without benefit."
    } else {
        ""
    };
    let left_out = if shown(arrangement).len() < arrangement.groups.len() {
        " Positive controls are left out: their gaps would squeeze the rest together."
    } else {
        ""
    };
    FigureSet {
        heading: "Headroom, gap and gain",
        caption: format!(
            "Headroom is what an oracle that picks the right modality for each example would add \
             to the fused decision. Little headroom leaves quality little to do.{both}{left_out}"
        ),
        figures,
    }
}

/// Measure on an axis.
struct Measure<'a> {
    name: &'static str,
    value: &'a dyn Fn(&FindingRow) -> Option<f64>,
}

impl Measure<'_> {
    /// Its name without its unit.
    fn plain(&self) -> &'static str {
        self.name.trim_end_matches(" (pp)")
    }
}

fn scatter(
    data: &ReportData,
    arrangement: &Arrangement,
    name: &str,
    across: &Measure<'_>,
    up: &Measure<'_>,
) -> Option<Figure> {
    let groups = &shown(arrangement);
    let mut points: Vec<(usize, &FindingRow, f64, f64)> = Vec::new();
    for (place, group) in groups.iter().enumerate() {
        for row in group.rows.iter().filter_map(|index| data.findings.get(*index)) {
            let (x, y) = ((across.value)(row), (up.value)(row));
            if let (Some(x), Some(y)) = (finite(x), finite(y)) {
                points.push((place, row, x, y));
            }
        }
    }
    if points.is_empty() {
        return None;
    }
    let (left, right, top, bottom) = (52.0, WIDTH - 12.0, 30.0, 270.0);
    let frame = Frame {
        x: Scale::over(points.iter().map(|point| point.2), left, right),
        y: Scale::over(points.iter().map(|point| point.3).chain([0.0]), bottom, top),
        x_title: across.name,
        y_title: up.name,
        x_text: &tick_points,
        y_text: &tick_points,
    };
    let mut shapes = frame.shapes();
    for (place, row, x, y) in &points {
        let tip = format!(
            "{}: {} {}, {} {}",
            point_values(&row.point),
            across.plain(),
            points_pp(Some(*x)),
            up.plain(),
            points_pp(Some(*y))
        );
        let class = palette::series(*place, groups.len());
        let at = (frame.x.at(*x), frame.y.at(*y));
        shapes.push(mark(row.control, &class, significant(row, &data.settings), at, tip));
    }
    let (keys, height) = legend(&entries(data, groups), (left, bottom + 48.0), WIDTH - left);
    shapes.extend(keys);
    shapes.push(label(
        "tick",
        Anchor::Start,
        left,
        bottom + 48.0 + height + 10.0,
        "filled: significant gap",
    ));
    Some(Figure {
        name: name.to_owned(),
        title: format!("{} against {}", capital(across.plain()), up.plain()),
        description: points
            .iter()
            .take(60)
            .map(|(_, row, x, y)| {
                format!(
                    "{}: {} against {}",
                    point_values(&row.point),
                    points_pp(Some(*x)),
                    points_pp(Some(*y))
                )
            })
            .collect::<Vec<_>>()
            .join("; "),
        width: WIDTH,
        height: bottom + 48.0 + height + 18.0,
        shapes,
    })
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map_or_else(String::new, |first| format!("{}{}", first.to_uppercase(), letters.as_str()))
}

/// All but the positive controls, whose gaps would squeeze the rest together; these only where
/// there is nothing else.
fn shown(arrangement: &Arrangement) -> Vec<Group> {
    let rest: Vec<Group> = arrangement
        .groups
        .iter()
        .filter(|group| group.control != Control::Positive)
        .cloned()
        .collect();
    if rest.is_empty() { arrangement.groups.clone() } else { rest }
}

fn entries(data: &ReportData, groups: &[Group]) -> Vec<(Element, String)> {
    let named = groups.iter().any(|group| !group.label.is_empty());
    if !named || palette::series(0, groups.len()) != "c0" {
        return control_legend()
            .into_iter()
            .zip([Control::Native, Control::Positive, Control::Negative])
            .filter(|(_, control)| data.findings.iter().any(|row| row.control == *control))
            .map(|(entry, _)| entry)
            .collect();
    }
    groups
        .iter()
        .enumerate()
        .map(|(place, group)| {
            let class = palette::series(place, groups.len());
            (
                mark(group.control, &class, true, (0.0, 0.0), group.label.clone()),
                group.label.clone(),
            )
        })
        .collect()
}
