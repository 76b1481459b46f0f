//! Walks the shapes of a figure and paints them on a surface: a page of PDF, or pixels.
//!
//! Knows the few elements that figures consist of. Knows no other SVG: a drawing that brings a new
//! element fails the tests.

use super::canvas::Figure;
use super::style::Style;
use crate::markup::Element;

/// Relative distance of the handles of a Bézier curve that draws a quarter of a circle.
const ROUND: f32 = 0.552_285;

/// A part of an outline.
#[derive(Debug, Clone, Copy)]
pub enum Segment {
    /// Left, top, width and height.
    Rect(f32, f32, f32, f32),
    /// To a point, without a line.
    Move(f32, f32),
    /// A line to a point.
    Line(f32, f32),
    /// A Bézier curve: two handles and a point.
    Curve([f32; 6]),
    /// Back to where it began.
    Close,
}

/// Surface that figures are painted on, in pixels from the upper left corner.
pub trait Surface {
    /// Begins a group, shifted if a shift is given.
    fn begin(&mut self, shift: Option<(f32, f32)>);
    /// The last group ends.
    fn end(&mut self);
    /// An outline to fill, to stroke, or both.
    fn shape(&mut self, outline: &[Segment], style: &Style);
    /// A text anchored at a place; `style` gives the anchor.
    fn text(&mut self, text: &str, place: (f32, f32), style: &Style);
}

/// Paints a figure in light colours.
pub fn paint(figure: &Figure, surface: &mut impl Surface) {
    for shape in &figure.shapes {
        draw(shape, &Style::default(), surface);
    }
}

fn draw(element: &Element, around: &Style, surface: &mut impl Surface) {
    let style = around.within(element);
    let number = |name: &str| value(element.get(name).unwrap_or_default());
    match element.name() {
        "g" => {
            surface.begin(translation(element));
            element.elements().for_each(|child| draw(child, &style, surface));
            surface.end();
        }
        "text" => surface.text(&element.own_text(), (number("x"), number("y")), &style),
        // A tooltip.
        "title" => {}
        _ => surface.shape(&outline(element), &style),
    }
}

fn outline(element: &Element) -> Vec<Segment> {
    let number = |name: &str| value(element.get(name).unwrap_or_default());
    match element.name() {
        "line" => vec![
            Segment::Move(number("x1"), number("y1")),
            Segment::Line(number("x2"), number("y2")),
        ],
        "polyline" | "polygon" => {
            let points = element.get("points").unwrap_or_default().split(' ');
            let points = points.filter_map(|text| text.split_once(',')).enumerate();
            let mut outline: Vec<Segment> = points
                .map(|(place, (x, y))| match place {
                    0 => Segment::Move(value(x), value(y)),
                    _ => Segment::Line(value(x), value(y)),
                })
                .collect();
            if element.name() == "polygon" {
                outline.push(Segment::Close);
            }
            outline
        }
        "rect" => {
            let (x, y, radius) = (number("x"), number("y"), number("rx"));
            rounded((x, y), (x + number("width"), y + number("height")), radius)
        }
        "circle" => {
            let (x, y, radius) = (number("cx"), number("cy"), number("r"));
            rounded((x - radius, y - radius), (x + radius, y + radius), radius)
        }
        other => {
            debug_assert!(false, "figures have no {other}");
            Vec::new()
        }
    }
}

/// A rectangle with round corners; a circle where they meet.
fn rounded((left, top): (f32, f32), (right, bottom): (f32, f32), radius: f32) -> Vec<Segment> {
    if radius == 0.0 {
        return vec![Segment::Rect(left, top, right - left, bottom - top)];
    }
    let handle = radius * (1.0 - ROUND);
    let mut outline = vec![Segment::Move(left + radius, top)];
    // From the end of one side to the start of the next, clockwise.
    for (from, corner, to) in [
        ((right - radius, top), (right, top), (right, top + radius)),
        ((right, bottom - radius), (right, bottom), (right - radius, bottom)),
        ((left + radius, bottom), (left, bottom), (left, bottom - radius)),
        ((left, top + radius), (left, top), (left + radius, top)),
    ] {
        let towards = |from: f32, corner: f32| corner + handle * (from - corner).signum();
        let near = |(x, y): (f32, f32)| {
            let along_x = if x == corner.0 { x } else { towards(x, corner.0) };
            let along_y = if y == corner.1 { y } else { towards(y, corner.1) };
            (along_x, along_y)
        };
        let (one, other) = (near(from), near(to));
        outline.push(Segment::Line(from.0, from.1));
        outline.push(Segment::Curve([one.0, one.1, other.0, other.1, to.0, to.1]));
    }
    outline.push(Segment::Close);
    outline
}

/// Shift given by `translate(x y)`.
fn translation(element: &Element) -> Option<(f32, f32)> {
    let inner = element.get("transform")?.strip_prefix("translate(")?.strip_suffix(')')?;
    let (x, y) = inner.split_once(' ')?;
    Some((value(x), value(y)))
}

fn value(text: &str) -> f32 {
    text.parse().unwrap_or(0.0)
}
