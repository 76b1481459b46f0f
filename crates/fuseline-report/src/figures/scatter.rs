//! Headroom, gap and the gain over quality that is left out, against each other.
//!
//! Colour tells the quality (or whatever else findings vary along), shape the rule; a mark is
//! filled where the gap is significant. Marks that would cover each other stand side by side.

use super::FigureSet;
use super::canvas::{
    Anchor, Figure, Frame, SHAPES, Scale, label, legend, shaped_mark, tick_points,
};
use crate::arrange::{Arrangement, Group};
use crate::data::{Control, FindingRow, ReportData};
use crate::format::{capital, finite, listed, point_values, points_pp};
use crate::markup::Element;
use crate::palette;
use crate::verdict::significant;

const WIDTH: f64 = 420.0;
/// Marks that are nearer than this, in pixels, would cover each other.
const NEAR: f64 = 5.0;
/// Distance in pixels of marks that stand side by side.
const ASIDE: f64 = 9.0;

/// Both scatters; one is left out where its values are absent.
pub fn scatters(data: &ReportData, arrangement: &Arrangement) -> FigureSet {
    let headroom = Measure { name: "headroom (pp)", value: &|row| row.headroom };
    let gap = Measure { name: "permutation gap (pp)", value: &|row| row.gap };
    let gain = format!("gain over {} (pp)", data.settings.short_reference());
    let gain = Measure { name: &gain, value: &FindingRow::gain };
    let figures = [
        scatter(data, arrangement, "headroom-gap", &headroom, &gap),
        scatter(data, arrangement, "headroom-gain", &headroom, &gain),
        scatter(data, arrangement, "gap-gain", &gap, &gain),
    ];
    let figures: Vec<Figure> = figures.into_iter().flatten().collect();
    let has = |name: &str| figures.iter().any(|figure| figure.name.starts_with(name));
    let headroom = match has("headroom") {
        true => {
            "Headroom is what an oracle that picks the right modality for each example would add \
             to the fused decision. Little headroom leaves quality little to do. "
        }
        false => "",
    };
    let both = match has("gap-gain") {
        true => {
            " In gain against gap, a point to the right of 0 and at or below it is dependence \
             without benefit."
        }
        false => "",
    };
    let left_out = if shown(arrangement).len() < arrangement.groups.len() {
        " Positive controls are left out: their gaps would squeeze the rest together."
    } else {
        ""
    };
    FigureSet {
        heading: "Headroom, gap and gain",
        caption: format!(
            "{headroom}Marks that would cover each other stand side by side; what each says is its \
             true value.{both}{left_out}"
        ),
        figures,
    }
}

/// Measure on an axis.
struct Measure<'a> {
    name: &'a str,
    value: &'a dyn Fn(&FindingRow) -> Option<f64>,
}

impl Measure<'_> {
    /// Its name without its unit.
    fn plain(&self) -> &str {
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
        let rows = group.rows.iter().filter_map(|index| data.findings.get(*index));
        for row in rows.filter(|row| row.is_counted()) {
            let (x, y) = ((across.value)(row), (up.value)(row));
            if let (Some(x), Some(y)) = (finite(x), finite(y)) {
                points.push((place, row, x, y));
            }
        }
    }
    // One point is against nothing.
    if points.len() < 2 {
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
    let mut taken: Vec<(f64, f64)> = Vec::new();
    for (place, row, x, y) in &points {
        let tip = format!(
            "{}: {} {}, {} {}",
            point_values(&row.point),
            across.plain(),
            points_pp(Some(*x)),
            up.plain(),
            points_pp(Some(*y))
        );
        let class = colour(&groups[*place], *place, groups.len());
        let at = aside((frame.x.at(*x), frame.y.at(*y)), &taken, (left, right, top, bottom));
        taken.push(at);
        let shape = shape(row, arrangement);
        shapes.push(shaped_mark(shape, class, significant(row, &data.settings), at, tip));
    }
    let mut top = bottom + 48.0;
    let drawn: Vec<(usize, usize)> =
        points.iter().map(|(place, row, ..)| (*place, shape(row, arrangement))).collect();
    for (heading, entries) in legends(data, arrangement, groups, &drawn) {
        shapes.push(label("tick", Anchor::Start, left, top + 10.0, heading));
        let (keys, height) = legend(&entries, (left, top + 16.0), WIDTH - left);
        shapes.extend(keys);
        top += height + 22.0;
    }
    shapes.push(label("tick", Anchor::Start, left, top + 10.0, "filled: significant gap"));
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
        height: top + 18.0,
        shapes,
    })
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

/// The colour of a group: its own, or that of its control where there are too many.
fn colour(group: &Group, place: usize, groups: usize) -> String {
    match (palette::has_series(groups), group.control) {
        (true, _) => palette::series(place, groups),
        (false, Control::Native) => "c0".to_owned(),
        (false, Control::Positive) => "c1".to_owned(),
        (false, Control::Negative) => "c6".to_owned(),
    }
}

/// The shape of a finding: that of its rule, or one for all where there are too many.
fn shape(row: &FindingRow, arrangement: &Arrangement) -> usize {
    let axis = arrangement.column_axis.as_deref();
    let value = axis.and_then(|axis| row.value_of(axis));
    let place = arrangement.columns.iter().position(|known| Some(known.as_str()) == value);
    place.filter(|_| arrangement.columns.len() <= SHAPES).unwrap_or(0)
}

/// A free place for a mark within a frame (left, right, top, bottom): where it belongs, or beside
/// those that are there.
fn aside(
    (x, y): (f64, f64),
    taken: &[(f64, f64)],
    (left, right, top, bottom): (f64, f64, f64, f64),
) -> (f64, f64) {
    const STEPS: [(f64, f64); 8] = [
        (1.0, 0.0),
        (-1.0, 0.0),
        (0.0, 1.0),
        (0.0, -1.0),
        (1.0, 1.0),
        (-1.0, -1.0),
        (1.0, -1.0),
        (-1.0, 1.0),
    ];
    let is_free = |(x, y): &(f64, f64)| {
        (left..=right).contains(x)
            && (top..=bottom).contains(y)
            && taken.iter().all(|of| (of.0 - x).abs() >= NEAR || (of.1 - y).abs() >= NEAR)
    };
    let rings = (1..4).map(|ring| ASIDE * f64::from(ring));
    let places = rings.flat_map(|ring| STEPS.map(|step| (x + ring * step.0, y + ring * step.1)));
    std::iter::once((x, y)).chain(places).find(is_free).unwrap_or((x, y))
}

/// Legend of the colours and shapes that are drawn: groups and shapes of the marks.
fn legends(
    data: &ReportData,
    arrangement: &Arrangement,
    groups: &[Group],
    marks: &[(usize, usize)],
) -> Vec<(String, Vec<(Element, String)>)> {
    let mut legends = Vec::new();
    let entry = |shape: usize, class: &str, text: &str| {
        let mark = shaped_mark(shape, class.to_owned(), true, (0.0, 0.0), text.to_owned());
        (mark, text.to_owned())
    };
    let axes: Vec<String> = data
        .axes
        .iter()
        .filter(|axis| Some(*axis) != arrangement.column_axis.as_ref())
        .cloned()
        .collect();
    if palette::has_series(groups.len()) {
        let named = groups.iter().enumerate().filter(|(_, group)| !group.label.is_empty());
        let named = named.filter(|(place, _)| marks.iter().any(|(group, _)| group == place));
        let entries = named.map(|(place, group)| {
            let control = match group.control {
                Control::Native => "",
                Control::Positive => " (positive control)",
                Control::Negative => " (negative control)",
            };
            entry(0, &palette::series(place, groups.len()), &format!("{}{control}", group.label))
        });
        legends.push((format!("colour: {}", listed(&axes)), entries.collect::<Vec<_>>()));
    } else {
        let kinds = [
            (Control::Native, "c0", "native condition"),
            (Control::Positive, "c1", "positive control"),
            (Control::Negative, "c6", "negative control"),
        ];
        let drawn =
            |control: Control| marks.iter().any(|(group, _)| groups[*group].control == control);
        let entries = kinds.iter().filter(|(control, ..)| drawn(*control));
        let entries = entries.map(|(_, class, name)| entry(0, class, name));
        legends.push(("colour".to_owned(), entries.collect()));
    }
    if let Some(axis) = &arrangement.column_axis
        && (2..=SHAPES).contains(&arrangement.columns.len())
    {
        let entries = arrangement.columns.iter().enumerate();
        let entries = entries.filter(|(place, _)| marks.iter().any(|(_, shape)| shape == place));
        let entries = entries.map(|(place, value)| entry(place, "neutral", value.as_str()));
        legends.push((format!("shape: {axis}"), entries.collect()));
    }
    legends.retain(|(_, entries)| !entries.is_empty());
    legends
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_that_would_cover_each_other_stand_side_by_side() {
        let mut taken = Vec::new();
        for _ in 0..12 {
            let at = aside((100.0, 50.0), &taken, (0.0, 400.0, 0.0, 100.0));
            taken.push(at);
        }
        assert_eq!(taken[0], (100.0, 50.0));
        for (place, one) in taken.iter().enumerate() {
            for other in &taken[place + 1..] {
                let apart = (one.0 - other.0).abs().max((one.1 - other.1).abs());
                assert!(apart >= NEAR, "{one:?} covers {other:?}");
            }
        }
        assert_eq!(
            aside((200.0, 50.0), &taken, (0.0, 400.0, 0.0, 100.0)),
            (200.0, 50.0),
            "what is free stays in its place"
        );
    }

    #[test]
    fn every_rule_has_a_shape_and_every_quality_a_colour() {
        let data = crate::fixture::stressid();
        let arrangement = crate::arrange::arrange(&data);
        let groups = shown(&arrangement);
        let all: Vec<(usize, usize)> = (0..groups.len()).zip((0..5).cycle()).collect();
        let drawn = legends(&data, &arrangement, &groups, &all);
        let [colours, shapes] = drawn.as_slice() else { panic!("two legends") };
        assert_eq!(colours.0, "colour: quality");
        let names: Vec<&str> = colours.1.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(names.len(), groups.len());
        assert!(names.contains(&"margin") && names.contains(&"random (negative control)"));
        assert_eq!((shapes.0.as_str(), shapes.1.len()), ("shape: rule", 5));
        // Of what is not drawn nothing is said.
        let some = legends(&data, &arrangement, &groups, &[(0, 1), (0, 2)]);
        assert_eq!(some.iter().map(|(_, of)| of.len()).collect::<Vec<_>>(), [1, 2]);
    }
}
