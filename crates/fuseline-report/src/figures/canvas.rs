//! Drawing primitives of every figure.

use crate::data::Control;
use crate::markup::{Element, element, number};
use crate::numbers::Unit;
use crate::palette;

/// A taller figure, in pixels, would be too small to read on one page of paper.
const TALLEST_ON_ONE_PAGE: f64 = 2000.0;

/// One figure: shapes with a name, a title and a description.
#[derive(Debug, Clone)]
pub struct Figure {
    /// Name, unique in the report; also that of its file.
    pub name: String,
    /// Title of the figure.
    pub title: String,
    /// Text description, for those who cannot see the figure.
    pub description: String,
    /// Width in pixels at 100 %.
    pub width: f64,
    /// Height in pixels at 100 %.
    pub height: f64,
    /// The shapes, back to front.
    pub(crate) shapes: Vec<Element>,
}

impl Figure {
    /// The figure within a page, coloured by the page.
    pub(crate) fn inline(&self) -> Element {
        let title = format!("{}-title", self.name);
        let description = format!("{}-description", self.name);
        let is_tall = self.height > TALLEST_ON_ONE_PAGE;
        self.root_of_class(if is_tall { "figure tall" } else { "figure" })
            .attr("aria-labelledby", format!("{title} {description}"))
            .child(element("title").attr("id", title).text(self.title.clone()))
            .child(element("desc").attr("id", description).text(self.description.clone()))
            .children(self.shapes.iter().cloned())
    }

    /// The figure as a file of SVG, in light colours, without CSS variables: few converters know
    /// them.
    #[must_use]
    pub fn svg(&self) -> String {
        let mut out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
        self.root_of_class("figure")
            .attr("xmlns", "http://www.w3.org/2000/svg")
            .child(element("title").text(self.title.clone()))
            .child(element("desc").text(self.description.clone()))
            .child(element("style").text(palette::light_figure_style()))
            .child(
                element("rect")
                    .attr("width", "100%")
                    .attr("height", "100%")
                    .attr("fill", "#ffffff"),
            )
            .children(self.shapes.iter().cloned())
            .write(&mut out);
        out
    }

    /// The figure as one page of PDF, in light colours, with the letters that it uses embedded.
    #[must_use]
    pub fn pdf(&self) -> Vec<u8> {
        super::pdf::pdf(self)
    }

    /// The figure as PNG, in light colours on white, 288 pixels an inch.
    #[must_use]
    pub fn png(&self) -> Vec<u8> {
        super::png::png(self)
    }

    fn root_of_class(&self, class: &str) -> Element {
        element("svg")
            .class(class)
            .attr("role", "img")
            .attr("viewBox", format!("0 0 {} {}", number(self.width), number(self.height)))
            .num("width", self.width)
            .num("height", self.height)
    }
}

/// Maps values to pixels.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    low: f64,
    high: f64,
    start: f64,
    end: f64,
}

impl Scale {
    /// A scale over all values, widened a little; never of zero width.
    pub fn over(values: impl IntoIterator<Item = f64>, start: f64, end: f64) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.into_iter().filter(|value| value.is_finite()) {
            low = low.min(value);
            high = high.max(value);
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        let width = high - low;
        let room = if width > 0.0 { width * 0.04 } else { (low.abs() * 0.05).max(0.01) };
        Self { low: low - room, high: high + room, start, end }
    }

    /// The pixel of a value; values outside are drawn at the edge.
    pub fn at(&self, value: f64) -> f64 {
        let share = ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0);
        self.start + share * (self.end - self.start)
    }

    /// The value at the low end.
    pub fn low(&self) -> f64 {
        self.low
    }

    /// The value at the high end.
    pub fn high(&self) -> f64 {
        self.high
    }

    /// Round values, about `wanted` of them: two at least, since one says nothing of the scale.
    pub fn ticks(&self, wanted: usize) -> Vec<f64> {
        let finer = wanted..wanted.max(1) + 8;
        let mut tries = finer.map(|wanted| self.some_ticks(wanted));
        tries.find(|ticks| ticks.len() >= 2).unwrap_or_else(|| self.some_ticks(wanted))
    }

    fn some_ticks(&self, wanted: usize) -> Vec<f64> {
        let raw = (self.high - self.low) / wanted.max(1) as f64;
        let mut step = 1e-9;
        // 1, 2, 5, 10, 20, 50, ...: no logarithm, so the same on every machine.
        'search: loop {
            for factor in [1.0, 2.0, 5.0] {
                if step * factor >= raw {
                    step *= factor;
                    break 'search;
                }
            }
            step *= 10.0;
            if step > 1e12 {
                break;
            }
        }
        let first = (self.low / step).ceil();
        let last = (self.high / step).floor();
        let mut ticks = Vec::new();
        let mut index = first;
        while index <= last && ticks.len() < 50 {
            ticks.push(index * step);
            index += 1.0;
        }
        ticks
    }
}

/// A line.
pub fn line(class: &str, x1: f64, y1: f64, x2: f64, y2: f64) -> Element {
    element("line").class(class).num("x1", x1).num("y1", y1).num("x2", x2).num("y2", y2)
}

/// A rectangle; a negative size becomes 0.
pub fn rectangle(class: &str, x: f64, y: f64, width: f64, height: f64) -> Element {
    element("rect")
        .class(class)
        .num("x", x)
        .num("y", y)
        .num("width", width.max(0.0))
        .num("height", height.max(0.0))
}

/// Alignment of text at its position.
#[derive(Debug, Clone, Copy)]
pub enum Anchor {
    /// Its start is there.
    Start,
    /// Its middle is there.
    Middle,
    /// Its end is there.
    End,
}

/// Text.
pub fn label(class: &str, anchor: Anchor, x: f64, y: f64, text: impl Into<String>) -> Element {
    let anchor = match anchor {
        Anchor::Start => "start",
        Anchor::Middle => "middle",
        Anchor::End => "end",
    };
    element("text").class(class).attr("text-anchor", anchor).num("x", x).num("y", y).text(text)
}

/// Width in pixels that a letter takes at most times: digits and capitals of the widest system font.
pub const LETTER: f64 = 6.9;

/// Number of letters of which most texts fit a width.
pub fn letters_in(width: f64) -> usize {
    // The width of so many letters holds them, whatever its sum was rounded to.
    (width / LETTER + 1e-6).max(1.0) as usize
}

/// Width that the longest of some texts takes.
pub fn width_of_longest<'t>(texts: impl IntoIterator<Item = &'t str>) -> f64 {
    let longest = texts.into_iter().map(|text| text.chars().count()).max().unwrap_or(0);
    LETTER * longest as f64
}

/// Parts that stand between `separator`, joined into lines of so many letters where they can be.
pub fn lines_of(text: &str, separator: &str, letters: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for part in text.split(separator).filter(|part| !part.is_empty()) {
        let room = |line: &String| {
            line.chars().count() + separator.chars().count() + part.chars().count() <= letters
        };
        match lines.last_mut().filter(|line| room(line)) {
            Some(line) => {
                line.push_str(separator);
                line.push_str(part);
            }
            None => lines.push(part.to_owned()),
        }
    }
    lines
}

/// Text cut to a number of characters; the whole is kept as its tooltip.
pub fn cut_label(
    class: &str,
    anchor: Anchor,
    (x, y): (f64, f64),
    text: &str,
    most: usize,
) -> Element {
    if text.chars().count() <= most {
        return label(class, anchor, x, y, text);
    }
    let start: String = text.chars().take(most.saturating_sub(1)).collect();
    label(class, anchor, x, y, format!("{}…", start.trim_end())).child(element("title").text(text))
}

/// A mark whose shape tells what the condition is there for, hollow or filled, with a tooltip.
pub fn mark(
    control: Control,
    class: &str,
    filled: bool,
    (x, y): (f64, f64),
    tip: String,
) -> Element {
    let class = format!("{} {class}", if filled { "mark" } else { "mark hollow" });
    let shape = match control {
        Control::Native => element("circle").num("cx", x).num("cy", y).num("r", 4.5),
        Control::Positive => {
            let points = [(x, y - 5.5), (x + 5.5, y + 4.5), (x - 5.5, y + 4.5)];
            element("polygon").attr("points", path_points(&points))
        }
        Control::Negative => rectangle("", x - 4.25, y - 4.25, 8.5, 8.5),
    };
    element("g").class(class).child(shape).child(element("title").text(tip))
}

/// Number of shapes that [`shaped_mark`] tells apart.
pub const SHAPES: usize = 7;

/// A mark of one of [`SHAPES`] shapes, hollow or filled, with a tooltip.
pub fn shaped_mark(
    shape: usize,
    class: String,
    filled: bool,
    (x, y): (f64, f64),
    tip: String,
) -> Element {
    /// Corners of all but the circle, in pixels from the middle.
    const CORNERS: [&[(f64, f64)]; SHAPES - 1] = [
        &[(-4.25, -4.25), (4.25, -4.25), (4.25, 4.25), (-4.25, 4.25)],
        &[(0.0, -5.5), (5.5, 4.5), (-5.5, 4.5)],
        &[(0.0, -6.0), (6.0, 0.0), (0.0, 6.0), (-6.0, 0.0)],
        &[(-5.5, -4.5), (5.5, -4.5), (0.0, 5.5)],
        &[
            (-2.0, -5.5),
            (2.0, -5.5),
            (2.0, -2.0),
            (5.5, -2.0),
            (5.5, 2.0),
            (2.0, 2.0),
            (2.0, 5.5),
            (-2.0, 5.5),
            (-2.0, 2.0),
            (-5.5, 2.0),
            (-5.5, -2.0),
            (-2.0, -2.0),
        ],
        &[
            (-5.5, -5.5),
            (0.0, -2.0),
            (5.5, -5.5),
            (2.0, 0.0),
            (5.5, 5.5),
            (0.0, 2.0),
            (-5.5, 5.5),
            (-2.0, 0.0),
        ],
    ];
    let drawn = match shape.checked_sub(1).and_then(|place| CORNERS.get(place)) {
        None => element("circle").num("cx", x).num("cy", y).num("r", 4.5),
        Some(corners) => {
            let corners: Vec<_> = corners.iter().map(|(dx, dy)| (x + dx, y + dy)).collect();
            element("polygon").attr("points", path_points(&corners))
        }
    };
    let class = format!("{} {class}", if filled { "mark" } else { "mark hollow" });
    element("g").class(class).child(drawn).child(element("title").text(tip))
}

/// The value of a `points` attribute.
pub fn path_points(points: &[(f64, f64)]) -> String {
    points
        .iter()
        .map(|(x, y)| format!("{},{}", number(*x), number(*y)))
        .collect::<Vec<_>>()
        .join(" ")
}

/// A legend that flows within a width; gives its shapes and its height.
pub fn legend(
    entries: &[(Element, String)],
    (left, top): (f64, f64),
    width: f64,
) -> (Vec<Element>, f64) {
    let (mut x, mut y) = (left, top);
    let mut shapes = Vec::new();
    for (swatch, text) in entries {
        let most = letters_in(width - 24.0);
        let wide = 24.0 + LETTER * text.chars().count().min(most) as f64;
        if x > left && x + wide > left + width {
            x = left;
            y += 20.0;
        }
        shapes.push(
            element("g")
                .attr("transform", format!("translate({} {})", number(x + 6.0), number(y + 8.0)))
                .child(swatch.clone())
                .child(cut_label("", Anchor::Start, (10.0, 4.0), text, most)),
        );
        x += wide + 8.0;
    }
    (shapes, if entries.is_empty() { 0.0 } else { y - top + 20.0 })
}

/// The frame of a plot with its two axes of ticks.
pub struct Frame<'a> {
    /// Left to right.
    pub x: Scale,
    /// Bottom to top.
    pub y: Scale,
    /// Title of the x axis.
    pub x_title: &'a str,
    /// Title of the y axis.
    pub y_title: &'a str,
    /// Formatter of the ticks of x.
    pub x_text: &'a dyn Fn(f64) -> String,
    /// Formatter of the ticks of y.
    pub y_text: &'a dyn Fn(f64) -> String,
}

impl Frame<'_> {
    /// Gridlines, ticks and titles.
    pub fn shapes(&self) -> Vec<Element> {
        let (left, right) = (self.x.start, self.x.end);
        let (bottom, top) = (self.y.start, self.y.end);
        let mut shapes = Vec::new();
        for tick in self.y.ticks(5) {
            let y = self.y.at(tick);
            shapes.push(line(if tick == 0.0 { "zero" } else { "grid" }, left, y, right, y));
            shapes.push(label("tick", Anchor::End, left - 6.0, y + 4.0, (self.y_text)(tick)));
        }
        for tick in self.x.ticks(5) {
            let x = self.x.at(tick);
            shapes.push(line("grid", x, bottom, x, top));
            shapes.push(label("tick", Anchor::Middle, x, bottom + 16.0, (self.x_text)(tick)));
        }
        shapes.push(label(
            "axis-title",
            Anchor::Middle,
            (left + right) / 2.0,
            bottom + 34.0,
            self.x_title,
        ));
        shapes.push(label(
            "axis-title",
            Anchor::Start,
            (left - 44.0).max(2.0),
            top - 10.0,
            self.y_title,
        ));
        shapes
    }
}

/// A tick in percentage points, without the unit.
pub fn tick_points(value: f64) -> String {
    tick_plain(value * 100.0)
}

/// A tick of gaps or values in the unit of a report.
pub fn tick_of(unit: Unit, value: f64) -> String {
    if unit == Unit::Points { tick_points(value) } else { tick_plain(value) }
}

/// A tick as it is, with all digits of its step: neighbours never read the same.
pub fn tick_plain(value: f64) -> String {
    // A multiple of a round step, but for rounding errors.
    let round: f64 = format!("{value:.11e}").parse().unwrap_or(value);
    let size = round.abs();
    let text = match size {
        0.0 => return "0".to_owned(),
        1e-5..1e7 => size.to_string(),
        _ => format!("{size:e}"),
    };
    if round < 0.0 { format!("−{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::{Scale, letters_in, tick_plain, tick_points, width_of_longest};

    #[test]
    fn a_text_fits_the_width_that_was_measured_for_it() {
        for letters in 1..200 {
            let left = 16.0 + width_of_longest(["x".repeat(letters).as_str()]);
            assert_eq!(letters_in(left - 16.0), letters);
        }
    }

    #[test]
    fn ticks_of_one_axis_are_told_apart() {
        for width in [3e-7, 0.0004, 0.02, 0.1, 1.0, 7.0, 3e5, 4e8] {
            for low in [-0.4 * width, 0.0, 3.0 * width] {
                let scale = Scale::over([low, low + width], 0.0, 240.0);
                for text in [tick_plain, tick_points] {
                    let mut texts: Vec<_> = scale.ticks(6).into_iter().map(text).collect();
                    let count = texts.len();
                    texts.dedup();
                    assert_eq!(texts.len(), count, "{texts:?}");
                    assert!(texts.iter().all(|text| text.chars().count() <= 9), "{texts:?}");
                }
            }
        }
        let texts = [0.005, -0.07, 0.30000000000000004, -0.0].map(tick_plain);
        assert_eq!(texts, ["0.005", "−0.07", "0.3", "0"]);
    }

    #[test]
    fn every_axis_has_two_ticks_at_least() {
        for low in 0..200 {
            for width in 1..120 {
                let low = f64::from(low) / 100.0;
                let scale = Scale::over([low, low + f64::from(width) / 500.0], 0.0, 240.0);
                for wanted in [3, 5, 6, 8] {
                    let ticks = scale.ticks(wanted);
                    let place = format!("{low} to {}: {ticks:?}", scale.high());
                    assert!((2..=wanted + 2).contains(&ticks.len()), "{wanted} of {place}");
                }
            }
        }
    }
}
