//! A figure as a page of PDF.
//!
//! Written by hand instead of converted, since converters bring a tenth of a browser and the
//! machine's fonts.

use std::collections::BTreeSet;

use pdf_writer::types::{LineCapStyle, LineJoinStyle, TextRenderingMode};
use pdf_writer::{Content, Filter, Name, Pdf, Rect, Ref, Str, TextStr};

use super::canvas::Figure;
use super::font::Font;
use super::paint::{Segment, Surface, paint};
use super::style::Style;

/// Points in a pixel.
const SCALE: f32 = 0.75;

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
    paint(figure, &mut page);

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
}

impl Surface for Page {
    fn begin(&mut self, shift: Option<(f32, f32)>) {
        self.content.save_state();
        if let Some((x, y)) = shift {
            self.content.transform([1.0, 0.0, 0.0, 1.0, x, y]);
        }
    }

    fn end(&mut self) {
        self.content.restore_state();
    }

    fn shape(&mut self, outline: &[Segment], style: &Style) {
        self.prepare(style);
        let path = &mut self.content;
        for segment in outline {
            match *segment {
                Segment::Rect(x, y, width, height) => path.rect(x, y, width, height),
                Segment::Move(x, y) => path.move_to(x, y),
                Segment::Line(x, y) => path.line_to(x, y),
                Segment::Curve([a, b, c, d, x, y]) => path.cubic_to(a, b, c, d, x, y),
                Segment::Close => path.close_path(),
            };
        }
        match (style.fill().is_some(), style.stroke().is_some()) {
            (true, true) => path.fill_nonzero_and_stroke(),
            (true, false) => path.fill_nonzero(),
            (false, true) => path.stroke(),
            (false, false) => path.end_path(),
        };
    }

    fn text(&mut self, text: &str, (x, y): (f32, f32), style: &Style) {
        self.prepare(style);
        let bold = usize::from(style.bold);
        let (shown, width) = self.fonts[bold].set(text);
        let x = x - style.anchor * width * style.font_size;
        // Letters stand upright although the page is turned upside down.
        let place = [1.0, 0.0, 0.0, -1.0, x, y];
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

#[cfg(test)]
mod tests;
