//! A figure as a page of PDF.
//!
//! Knows the few elements that figures consist of. Knows no other SVG: a drawing that brings a new element fails the
//! tests here. Written by hand instead of converted, since converters bring a tenth of a browser and the machine's fonts.

use std::collections::BTreeSet;

use pdf_writer::types::{LineCapStyle, LineJoinStyle, TextRenderingMode};
use pdf_writer::{Content, Filter, Name, Pdf, Rect, Ref, Str, TextStr};

use super::canvas::Figure;
use super::font::Font;
use super::style::Style;
use crate::markup::Element;

/// Points in a pixel.
const SCALE: f32 = 0.75;
/// How far the handles of a Bézier curve lie on a quarter of a circle.
const ROUND: f32 = 0.552_285;

/// The page, in light colours.
pub fn pdf(figure: &Figure) -> Vec<u8> {
    let (width, height) = (figure.width as f32 * SCALE, figure.height as f32 * SCALE);
    let mut page = Page {
        content: Content::new(),
        fonts: [Font::new(false), Font::new(true)],
        opacities: BTreeSet::new(),
    };
    // From pixels downwards to points upwards.
    page.content.transform([SCALE, 0.0, 0.0, -SCALE, 0.0, height]);
    page.content.set_line_cap(LineCapStyle::ButtCap).set_line_join(LineJoinStyle::RoundJoin);
    for shape in &figure.shapes {
        page.draw(shape, &Style::default());
    }

    let mut pdf = Pdf::new();
    // All that is needed; LaTeX includes it without a warning.
    pdf.set_version(1, 4);
    let [catalog, pages, only, content, info] = [1, 2, 3, 4, 5].map(Ref::new);
    pdf.catalog(catalog).pages(pages).lang(TextStr("en"));
    pdf.pages(pages).kids([only]).count(1);
    let fonts = [("F0", Ref::new(10)), ("F1", Ref::new(20))];
    let used: Vec<_> = fonts.iter().zip(&page.fonts).filter(|(_, font)| font.is_used()).collect();
    let mut object = pdf.page(only);
    object.parent(pages).media_box(Rect::new(0.0, 0.0, width, height)).contents(content);
    let mut resources = object.resources();
    let mut names = resources.fonts();
    for ((name, at), _) in &used {
        names.pair(Name(name.as_bytes()), *at);
    }
    drop(names);
    let mut states = resources.ext_g_states();
    for opacity in &page.opacities {
        states.pair(Name(state(*opacity).as_bytes()), Ref::new(30 + i32::from(*opacity)));
    }
    drop(states);
    drop(resources);
    drop(object);
    for opacity in &page.opacities {
        let share = f32::from(*opacity) / 100.0;
        pdf.ext_graphics(Ref::new(30 + i32::from(*opacity)))
            .stroking_alpha(share)
            .non_stroking_alpha(share);
    }
    for ((_, at), font) in used {
        font.write(&mut pdf, *at);
    }
    compressed(&mut pdf, content, &page.content.finish());
    pdf.document_info(info)
        .title(TextStr(&figure.title))
        .subject(TextStr(&figure.description))
        .creator(TextStr("fuseline"));
    pdf.finish()
}

/// A stream, compressed the same way on every machine.
pub fn compressed(pdf: &mut Pdf, at: Ref, bytes: &[u8]) {
    let packed = miniz_oxide::deflate::compress_to_vec_zlib(bytes, 6);
    pdf.stream(at, &packed).filter(Filter::FlateDecode);
}

/// The name of a state of opacity, in per cent.
fn state(opacity: u8) -> String {
    format!("A{opacity}")
}

struct Page {
    content: Content,
    fonts: [Font; 2],
    /// In per cent.
    opacities: BTreeSet<u8>,
}

impl Page {
    fn draw(&mut self, element: &Element, around: &Style) {
        let style = around.within(element);
        match element.name() {
            "g" => {
                self.content.save_state();
                if let Some((x, y)) = translation(element) {
                    self.content.transform([1.0, 0.0, 0.0, 1.0, x, y]);
                }
                element.elements().for_each(|child| self.draw(child, &style));
                self.content.restore_state();
            }
            "text" => self.text(element, &style),
            // A tooltip.
            "title" => {}
            _ => self.shape(element, &style),
        }
    }

    fn shape(&mut self, element: &Element, style: &Style) {
        self.prepare(style);
        let path = &mut self.content;
        let number = |name: &str| value(element.get(name).unwrap_or_default());
        match element.name() {
            "line" => {
                path.move_to(number("x1"), number("y1")).line_to(number("x2"), number("y2"));
            }
            "polyline" | "polygon" => {
                let points = element.get("points").unwrap_or_default().split(' ');
                for (place, (x, y)) in points.filter_map(|text| text.split_once(',')).enumerate() {
                    let (x, y) = (value(x), value(y));
                    if place == 0 {
                        path.move_to(x, y)
                    } else {
                        path.line_to(x, y)
                    };
                }
                if element.name() == "polygon" {
                    path.close_path();
                }
            }
            "rect" => {
                let (x, y, radius) = (number("x"), number("y"), number("rx"));
                rounded(path, (x, y), (x + number("width"), y + number("height")), radius);
            }
            "circle" => {
                let (x, y, radius) = (number("cx"), number("cy"), number("r"));
                rounded(path, (x - radius, y - radius), (x + radius, y + radius), radius);
            }
            other => debug_assert!(false, "figures have no {other}"),
        }
        match (style.fill().is_some(), style.stroke().is_some()) {
            (true, true) => path.fill_nonzero_and_stroke(),
            (true, false) => path.fill_nonzero(),
            (false, true) => path.stroke(),
            (false, false) => path.end_path(),
        };
    }

    /// Sets the state for what is drawn next.
    fn prepare(&mut self, style: &Style) {
        let opacity = (style.opacity.clamp(0.0, 1.0) * 100.0).round() as u8;
        self.opacities.insert(opacity);
        self.content.set_parameters(Name(state(opacity).as_bytes()));
        if let Some([red, green, blue]) = style.fill() {
            self.content.set_fill_rgb(red, green, blue);
        }
        if let Some([red, green, blue]) = style.stroke() {
            self.content.set_stroke_rgb(red, green, blue).set_line_width(style.stroke_width);
            self.content.set_dash_pattern(style.dashes.iter().copied(), 0.0);
        }
    }

    fn text(&mut self, element: &Element, style: &Style) {
        self.prepare(style);
        let bold = usize::from(style.bold);
        let (shown, width) = self.fonts[bold].set(&element.own_text());
        let number = |name: &str| value(element.get(name).unwrap_or_default());
        let x = number("x") - style.anchor * width * style.font_size;
        // Letters stand upright although the page is turned upside down.
        let place = [1.0, 0.0, 0.0, -1.0, x, number("y")];
        let content = &mut self.content;
        content.begin_text().set_font(Name([b"F0", b"F1"][bold]), style.font_size);
        if style.halo && style.stroke().is_some() {
            content.set_text_rendering_mode(TextRenderingMode::Stroke);
            content.set_text_matrix(place).show(Str(&shown));
            content.set_text_rendering_mode(TextRenderingMode::Fill);
        }
        content.set_text_matrix(place).show(Str(&shown));
        content.end_text();
    }
}

/// A rectangle with round corners; a circle where they meet.
fn rounded(path: &mut Content, (left, top): (f32, f32), (right, bottom): (f32, f32), radius: f32) {
    if radius == 0.0 {
        path.rect(left, top, right - left, bottom - top);
        return;
    }
    let handle = radius * (1.0 - ROUND);
    path.move_to(left + radius, top);
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
        path.line_to(from.0, from.1).cubic_to(one.0, one.1, other.0, other.1, to.0, to.1);
    }
    path.close_path();
}

/// What `translate(x y)` says.
fn translation(element: &Element) -> Option<(f32, f32)> {
    let inner = element.get("transform")?.strip_prefix("translate(")?.strip_suffix(')')?;
    let (x, y) = inner.split_once(' ')?;
    Some((value(x), value(y)))
}

fn value(text: &str) -> f32 {
    text.parse().unwrap_or(0.0)
}

#[cfg(test)]
mod tests;
