//! Balanced accuracy under every permutation, with the observed value.

use std::iter;

use super::canvas::{Anchor, Figure, Scale, cut_label, label, line, lines_of, rectangle, tick_of};
use crate::arrange::Arrangement;
use crate::data::{Control, FindingRow, NullDistribution, Point, ReportData};
use crate::format::{count, p_value, point_values};
use crate::markup::Element;
use crate::numbers::Unit;

const WIDTH: f64 = 240.0;
/// Height of the bars.
const TALL: f64 = 66.0;
/// More characters than this take another line.
const LINE: usize = 32;
/// Letters of a file's name that come from a point.
const LONGEST_SLUG: usize = 150;
/// Odd, so that a single value is in the middle.
const BINS: usize = 27;

/// Points whose decisions no permutation changed: their distribution is one value, and no figure.
pub fn unmoved(data: &ReportData, arrangement: &Arrangement) -> Vec<String> {
    let rows = arrangement.groups.iter().flat_map(|group| &group.rows);
    let rows = rows.filter_map(|index| data.findings.get(*index));
    let rows = rows.filter(|row| row.is_counted());
    rows.filter(|row| data.nulls.iter().any(|null| null.point == row.point && is_one_value(null)))
        .map(|row| point_values(&row.point))
        .collect()
}

/// True if every permutation gave one value, which is that of Clean-Q.
fn is_one_value(null: &NullDistribution) -> bool {
    !null.broken.is_empty() && null.broken.iter().all(|value| (value - null.clean).abs() <= 1e-12)
}

/// One panel a point, in the order of the groups; points without a null distribution have none,
/// nor have those of one value. Panels of positive controls have one range, all others have
/// another: gaps of tens of points would leave two bars of a native condition.
pub fn nulls(data: &ReportData, arrangement: &Arrangement) -> Vec<Figure> {
    let nulls: Vec<(&NullDistribution, &FindingRow)> = arrangement
        .groups
        .iter()
        .flat_map(|group| &group.rows)
        .filter_map(|index| data.findings.get(*index))
        // What is equal to another has its distribution.
        .filter(|row| row.is_counted())
        .filter_map(|row| Some((data.nulls.iter().find(|null| null.point == row.point)?, row)))
        .filter(|(null, _)| !is_one_value(null))
        .collect();
    let [positive, others] = [true, false].map(|wanted| {
        let nulls = nulls.iter().filter(|(_, row)| is_positive(row) == wanted);
        let values = nulls.flat_map(|(null, _)| null.broken.iter().chain([&null.clean]));
        Scale::over(values.copied(), 12.0, WIDTH - 12.0)
    });
    let lines = nulls.iter().map(|(null, _)| heading_lines(&null.point).len()).max().unwrap_or(1);
    let unit = Unit::of_report(data);
    let mut figures: Vec<Figure> = Vec::new();
    for (null, row) in nulls {
        let scale = if is_positive(row) { &positive } else { &others };
        let start = format!("null-{}", slug(&point_values(&null.point)));
        let is_taken = |name: &String| figures.iter().any(|figure| figure.name == *name);
        let further = (figures.len() + 1..).map(|number| format!("{start}-{number}"));
        let name = iter::once(start.clone()).chain(further).find(|name| !is_taken(name));
        let name = name.unwrap_or(start);
        figures.extend(panel(name, null, row.p_value, lines, (scale, unit)));
    }
    figures
}

fn is_positive(row: &FindingRow) -> bool {
    row.control == Control::Positive
}

/// A point as part of the name of a file that every system, shell and LaTeX takes:
/// "lr-margin-alpha-0_5". Systems take no name of more than 255 bytes.
fn slug(text: &str) -> String {
    let plain = |letter: char| match letter {
        '.' => '_',
        letter if letter.is_ascii_alphanumeric() || letter == '_' => letter,
        _ => ' ',
    };
    let plain: String = text.chars().map(plain).collect();
    let words = plain.split_whitespace().collect::<Vec<_>>().join("-");
    words.chars().take(LONGEST_SLUG).collect()
}

/// The lines of a heading, broken between values.
fn heading_lines(point: &Point) -> Vec<String> {
    lines_of(&point_values(point), " · ", LINE)
}

fn heading(point: &Point) -> Vec<Element> {
    let lines = heading_lines(point).into_iter().enumerate();
    lines
        .map(|(place, text)| {
            let y = 15.0 + 15.0 * place as f64;
            cut_label("heading", Anchor::Start, (8.0, y), &text, LINE)
        })
        .collect()
}

fn panel(
    name: String,
    null: &NullDistribution,
    p: Option<f64>,
    lines: usize,
    (scale, unit): (&Scale, Unit),
) -> Option<Figure> {
    let broken: Vec<f64> = null.broken.iter().copied().filter(|value| value.is_finite()).collect();
    if broken.is_empty() || !null.clean.is_finite() {
        return None;
    }
    let mean = broken.iter().sum::<f64>() / broken.len() as f64;
    let at_least = broken.iter().filter(|value| unit.is_as_good(**value, null.clean)).count();
    // Below the heading a line for the p-value and one for the observed value, which may stand
    // anywhere.
    let top = 39.0 + 15.0 * lines as f64;
    let base = top + TALL;
    let mut shapes = heading(&null.point);
    shapes.extend(bars(&broken, scale, base));
    shapes.push(line("zero", 12.0, base, WIDTH - 12.0, base));
    for tick in scale.ticks(3) {
        shapes.push(line("zero", scale.at(tick), base, scale.at(tick), base + 4.0));
        shapes.push(label(
            "tick",
            Anchor::Middle,
            scale.at(tick),
            base + 17.0,
            tick_of(unit, tick),
        ));
    }
    let x = scale.at(null.clean);
    shapes.push(line("observed", x, top - 4.0, x, base));
    let (anchor, offset) = if x > WIDTH / 2.0 { (Anchor::End, 4.0) } else { (Anchor::Start, -4.0) };
    shapes.push(label(
        "small observed-text",
        anchor,
        x + offset,
        top - 9.0,
        unit.value(Some(null.clean)),
    ));
    let raw = format!("raw {}", p_value(p));
    shapes.push(label("small muted", Anchor::Start, 8.0, top - 24.0, raw));
    shapes.push(label(
        "axis-title small",
        Anchor::Middle,
        WIDTH / 2.0,
        base + 33.0,
        unit.broken_axis(),
    ));
    Some(Figure {
        name,
        title: format!("Null distribution: {}", point_values(&null.point)),
        description: format!(
            "{} under {} permutations has the mean {}; observed under Clean-Q: {}. \
             {} of the permutations do as well or better.",
            unit.subject(),
            count(broken.len() as u64),
            unit.value(Some(mean)),
            unit.value(Some(null.clean)),
            count(at_least as u64)
        ),
        width: WIDTH,
        height: base + 42.0,
        shapes,
    })
}

fn bars(broken: &[f64], scale: &Scale, base: f64) -> Vec<Element> {
    let width = (scale.high() - scale.low()) / BINS as f64;
    let mut heights = [0_usize; BINS];
    for value in broken {
        let bin = ((value - scale.low()) / width).floor().max(0.0) as usize;
        if let Some(height) = heights.get_mut(bin.min(BINS - 1)) {
            *height += 1;
        }
    }
    let most = heights.iter().copied().max().unwrap_or(1).max(1) as f64;
    let step = (WIDTH - 24.0) / BINS as f64;
    heights
        .iter()
        .enumerate()
        .filter(|(_, height)| **height > 0)
        .map(|(bin, height)| {
            let tall = (*height as f64 / most * TALL).max(1.0);
            rectangle("bar", 12.0 + bin as f64 * step, base - tall, step - 0.75, tall)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_hold_nothing_that_a_shell_or_latex_minds() {
        assert_eq!(slug("lr · margin · alpha 0.5"), "lr-margin-alpha-0_5");
        assert_eq!(slug("</b> & 情 %"), "b");
        assert_eq!(slug(&"long · ".repeat(200)).len(), LONGEST_SLUG);
    }
}
