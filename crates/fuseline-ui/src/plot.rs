//! Small drawings: histograms, and gaps of several runs side by side.

use fuseline_report::markup::{Element, element};

use crate::format::number;

/// A histogram, with its range below it.
pub fn histogram(counts: &[usize], low: f64, high: f64) -> Element {
    const WIDTH: f64 = 160.0;
    const HEIGHT: f64 = 36.0;
    let most = counts.iter().copied().max().unwrap_or(0).max(1) as f64;
    let step = WIDTH / counts.len().max(1) as f64;
    let said =
        format!("{} values from {} to {}", counts.iter().sum::<usize>(), number(low), number(high));
    let mut svg = element("svg")
        .class("figure histogram")
        .attr("role", "img")
        .attr("viewBox", format!("0 0 {WIDTH} {HEIGHT}"))
        .num("width", WIDTH)
        .num("height", HEIGHT)
        .child(element("title").text(said))
        .child(line("zero", (0.0, HEIGHT - 0.5), (WIDTH, HEIGHT - 0.5)));
    for (place, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let height = (count as f64 / most * (HEIGHT - 2.0)).max(1.0);
        svg = svg.child(
            element("rect")
                .class("bar")
                .num("x", place as f64 * step + 0.5)
                .num("y", HEIGHT - 1.0 - height)
                .num("width", (step - 1.0).max(0.5))
                .num("height", height),
        );
    }
    svg
}

/// One row of a comparison: its name, and of each run that is compared a gap with its interval,
/// where it has one.
pub struct GapRow {
    /// Name of the row.
    pub name: String,
    /// Gap, lower and upper end of its interval, as shares.
    pub gaps: Vec<Option<(f64, f64, f64)>>,
}

/// Gaps with their intervals, in percentage points: one row a finding, one mark a run. Names stand
/// above their marks, so that a phone shows both.
/// `runs`: their places, which choose the marks.
pub fn gaps(rows: &[GapRow], runs: &[usize]) -> Element {
    /// Letters of a name that have room.
    const LETTERS: usize = 64;
    const LEFT: f64 = 16.0;
    const PLOT: f64 = 430.0;
    const NAME: f64 = 14.0;
    const STEP: f64 = 11.0;
    let row_height = NAME + STEP * runs.len() as f64 + 12.0;
    let all = || rows.iter().flat_map(|row| row.gaps.iter().flatten());
    let low = all().map(|(_, low, _)| low * 100.0).fold(0.0, f64::min);
    let high = all().map(|(_, _, high)| high * 100.0).fold(0.0, f64::max);
    let step = tick_step(high - low);
    let (low, high) = ((low / step).floor() * step, (high / step).ceil().max(1.0) * step);
    let x = |value: f64| LEFT + (value * 100.0 - low) / (high - low) * PLOT;
    let (width, height) = (LEFT + PLOT + 30.0, row_height * rows.len() as f64 + 44.0);
    let bottom = height - 40.0;
    let mut svg = element("svg")
        .class("figure")
        .attr("role", "img")
        .attr("viewBox", format!("0 0 {width} {height}"))
        .num("width", width)
        .num("height", height)
        .child(
            element("title").text("Gaps of the runs with their intervals, in percentage points"),
        );
    let ticks = ((high - low) / step).round() as usize;
    for tick in 0..=ticks {
        let value = low + tick as f64 * step;
        let at = x(value / 100.0);
        let class = if value.abs() < step / 1e6 { "zero" } else { "grid" };
        let text = element("text").class("tick").attr("text-anchor", "middle");
        svg = svg
            .child(line(class, (at, 4.0), (at, bottom)))
            .child(text.num("x", at).num("y", bottom + 15.0).text(number(value)));
    }
    let title = element("text").class("axis-title").attr("text-anchor", "middle");
    svg = svg.child(
        title.num("x", LEFT + PLOT / 2.0).num("y", bottom + 33.0).text("gap in percentage points"),
    );
    for (place, row) in rows.iter().enumerate() {
        let top = 4.0 + place as f64 * row_height;
        let name = crate::format::cut(&row.name, LETTERS);
        let text = element("text").class("halo").num("x", 4.0).num("y", top + NAME);
        svg = svg.child(text.text(name));
        for (place, (gap, &run)) in row.gaps.iter().zip(runs).enumerate() {
            let Some((gap, low, high)) = gap else { continue };
            let y = top + NAME + 8.0 + STEP * place as f64;
            svg = svg.child(
                element("g")
                    .class(series(run))
                    .child(line("interval", (x(*low), y), (x(*high), y)))
                    .child(mark(run, x(*gap), y)),
            );
        }
    }
    svg
}

/// A mark of a run: its shape tells as much as its colour.
fn mark(run: usize, x: f64, y: f64) -> Element {
    let class = if (run / 3).is_multiple_of(2) { "mark" } else { "mark hollow" };
    match run % 3 {
        0 => element("circle").class(class).num("cx", x).num("cy", y).num("r", 4.0),
        1 => element("rect")
            .class(class)
            .num("x", x - 3.5)
            .num("y", y - 3.5)
            .num("width", 7.0)
            .num("height", 7.0),
        _ => element("polygon").class(class).attr(
            "points",
            format!(
                "{:.1},{:.1} {:.1},{:.1} {:.1},{:.1}",
                x,
                y - 5.0,
                x - 4.5,
                y + 3.5,
                x + 4.5,
                y + 3.5
            ),
        ),
    }
}

/// A legend entry of a run.
pub fn key(run: usize) -> Element {
    element("svg")
        .class("figure key")
        .attr("aria-hidden", "true")
        .attr("viewBox", "0 0 14 14")
        .num("width", 14.0)
        .num("height", 14.0)
        .child(element("g").class(series(run)).child(mark(run, 7.0, 7.0)))
}

fn series(run: usize) -> String {
    format!("c{}", run % 7)
}

fn line(class: &str, from: (f64, f64), to: (f64, f64)) -> Element {
    element("line").class(class).num("x1", from.0).num("y1", from.1).num("x2", to.0).num("y2", to.1)
}

/// A step of 1, 2 or 5 times a power of ten that gives some six ticks.
fn tick_step(range: f64) -> f64 {
    let rough = (range / 6.0).max(1e-6);
    let power = 10_f64.powi(rough.log10().floor() as i32);
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|times| times * power)
        .find(|step| *step >= rough)
        .unwrap_or(power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        let steps = [0.5, 6.0, 30.0, 100.0].map(tick_step);
        assert_eq!(steps.map(number), ["0.1", "1", "5", "20"]);
    }

    #[test]
    fn long_names_take_no_room_from_the_marks() {
        let row = |name: String| GapRow { name, gaps: vec![Some((0.1, 0.05, 0.2))] };
        let width = |name: String| {
            gaps(&[row(name)], &[0]).get("width").and_then(|width| width.parse::<f64>().ok())
        };
        assert_eq!(width("lr".into()), width("weighted_mean ".repeat(5)));
        assert!(width("lr".into()) < Some(480.0));
    }

    #[test]
    fn one_run_without_a_gap_draws_nothing_of_it() {
        let rows = [GapRow { name: "lr".into(), gaps: vec![Some((0.1, 0.05, 0.2)), None] }];
        let mut svg = String::new();
        gaps(&rows, &[0, 1]).write(&mut svg);
        assert_eq!(svg.matches("class=\"interval\"").count(), 1, "{svg}");
        // Lines of the scale run behind the names.
        assert_eq!(svg.matches("class=\"halo\"").count(), 1, "{svg}");
    }
}
