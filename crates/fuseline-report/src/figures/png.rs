//! A figure as pixels, for slides.
//!
//! Painted without the vector instructions of the machine and packed here, so that the bytes are
//! the same everywhere.

use tiny_skia::{
    Color, FillRule, LineCap, LineJoin, Paint, Path, PathBuilder, Pixmap, Stroke, StrokeDash,
    Transform,
};
use ttf_parser::OutlineBuilder;

use super::canvas::Figure;
use super::font::Font;
use super::paint::{Segment, Surface, paint};
use super::style::{Colour, Style};

/// Pixels in a pixel of the page: 288 in an inch.
const SCALE: f32 = 3.0;
/// Pixels in a metre.
const DENSITY: u32 = 11_339;

/// The pixels, in light colours on white.
#[expect(clippy::expect_used, reason = "a figure has a size, and not that of a wall")]
pub fn png(figure: &Figure) -> Vec<u8> {
    let size = |pixels: f64| (pixels as f32 * SCALE).ceil() as u32;
    let mut pixels =
        Pixmap::new(size(figure.width), size(figure.height)).expect("a size that can be had");
    pixels.fill(Color::WHITE);
    let whole = Transform::from_scale(SCALE, SCALE);
    let fonts = [Font::new(false), Font::new(true)];
    let mut sheet = Sheet { pixels, place: vec![whole], fonts };
    paint(figure, &mut sheet);
    encode(&sheet.pixels)
}

struct Sheet {
    pixels: Pixmap,
    /// Transforms of the open groups, the innermost last.
    place: Vec<Transform>,
    fonts: [Font; 2],
}

impl Sheet {
    fn here(&self) -> Transform {
        self.place.last().copied().unwrap_or_default()
    }

    fn fill(&mut self, path: &Path, style: &Style) {
        if let Some(colour) = style.fill() {
            let (paint, here) = (ink(colour, style), self.here());
            self.pixels.fill_path(path, &paint, FillRule::Winding, here, None);
        }
    }

    fn stroke(&mut self, path: &Path, style: &Style) {
        let Some(colour) = style.stroke() else { return };
        let mut dashes = style.dashes.clone();
        if dashes.len() % 2 == 1 {
            // An odd choice is said twice.
            dashes.extend_from_within(..);
        }
        let stroke = Stroke {
            width: style.stroke_width,
            line_cap: LineCap::Butt,
            line_join: LineJoin::Round,
            dash: StrokeDash::new(dashes, 0.0),
            ..Stroke::default()
        };
        let here = self.here();
        self.pixels.stroke_path(path, &ink(colour, style), &stroke, here, None);
    }
}

fn ink([red, green, blue]: Colour, style: &Style) -> Paint<'static> {
    let mut paint = Paint::default();
    if let Some(colour) = Color::from_rgba(red, green, blue, style.opacity.clamp(0.0, 1.0)) {
        paint.set_color(colour);
    }
    paint
}

impl Surface for Sheet {
    fn begin(&mut self, shift: Option<(f32, f32)>) {
        let (x, y) = shift.unwrap_or_default();
        self.place.push(self.here().pre_translate(x, y));
    }

    fn end(&mut self) {
        self.place.pop();
    }

    fn shape(&mut self, outline: &[Segment], style: &Style) {
        let mut path = PathBuilder::new();
        for segment in outline {
            match *segment {
                Segment::Rect(x, y, width, height) => {
                    path.move_to(x, y);
                    path.line_to(x + width, y);
                    path.line_to(x + width, y + height);
                    path.line_to(x, y + height);
                    path.close();
                }
                Segment::Move(x, y) => path.move_to(x, y),
                Segment::Line(x, y) => path.line_to(x, y),
                Segment::Curve([a, b, c, d, x, y]) => path.cubic_to(a, b, c, d, x, y),
                Segment::Close => path.close(),
            }
        }
        if let Some(path) = path.finish() {
            self.fill(&path, style);
            self.stroke(&path, style);
        }
    }

    fn text(&mut self, text: &str, (x, y): (f32, f32), style: &Style) {
        let font = &self.fonts[usize::from(style.bold)];
        let mut pen = Pen { path: PathBuilder::new(), x: 0.0, units: font.units() };
        let width = font.outline(text, &mut pen, |pen, x| pen.x = x);
        let place = Transform::from_translate(x - style.anchor * width * style.font_size, y)
            .pre_scale(style.font_size, style.font_size);
        // Only letters that are none, such as spaces, have no outline.
        let Some(path) = pen.path.finish().and_then(|path| path.transform(place)) else { return };
        if style.halo {
            self.stroke(&path, style);
        }
        self.fill(&path, style);
    }
}

/// Draws letters at size 1, downwards.
struct Pen {
    path: PathBuilder,
    /// Left edge of the letter.
    x: f32,
    units: f32,
}

impl Pen {
    fn at(&self, x: f32, y: f32) -> (f32, f32) {
        (self.x + x / self.units, -y / self.units)
    }
}

impl OutlineBuilder for Pen {
    fn move_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.path.move_to(x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.path.line_to(x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let ((x1, y1), (x, y)) = (self.at(x1, y1), self.at(x, y));
        self.path.quad_to(x1, y1, x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let ((x1, y1), (x2, y2), (x, y)) = (self.at(x1, y1), self.at(x2, y2), self.at(x, y));
        self.path.cubic_to(x1, y1, x2, y2, x, y);
    }

    fn close(&mut self) {
        self.path.close();
    }
}

/// A file of PNG, 8 bits a colour; nothing is transparent.
fn encode(pixels: &Pixmap) -> Vec<u8> {
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut head = [pixels.width().to_be_bytes(), pixels.height().to_be_bytes()].concat();
    head.extend([8, 2, 0, 0, 0]);
    chunk(&mut file, b"IHDR", &head);
    let mut density = [DENSITY.to_be_bytes(), DENSITY.to_be_bytes()].concat();
    density.push(1);
    chunk(&mut file, b"pHYs", &density);
    let row = pixels.width() as usize * 4;
    let mut lines = Vec::with_capacity(pixels.data().len());
    for line in pixels.data().chunks_exact(row) {
        // As it is, without a filter: areas of one colour pack well so.
        lines.push(0);
        for pixel in line.chunks_exact(4) {
            lines.extend_from_slice(&pixel[..3]);
        }
    }
    chunk(&mut file, b"IDAT", &miniz_oxide::deflate::compress_to_vec_zlib(&lines, 6));
    chunk(&mut file, b"IEND", &[]);
    file
}

fn chunk(file: &mut Vec<u8>, name: &[u8; 4], bytes: &[u8]) {
    file.extend((bytes.len() as u32).to_be_bytes());
    let start = file.len();
    file.extend(name);
    file.extend(bytes);
    let sum = checksum(&file[start..]);
    file.extend(sum.to_be_bytes());
}

/// CRC-32, as PNG requires.
fn checksum(bytes: &[u8]) -> u32 {
    let step = |sum: u32, _| if sum & 1 == 0 { sum >> 1 } else { sum >> 1 ^ 0xEDB8_8320 };
    !bytes.iter().fold(!0, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), step))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn the_checksum_is_that_of_the_standard() {
        assert_eq!(checksum(b"123456789"), 0xCBF4_3926);
        let mut end = Vec::new();
        chunk(&mut end, b"IEND", &[]);
        assert_eq!(end, *b"\0\0\0\0IEND\xae\x42\x60\x82");
    }

    /// The colours of a file's pixels, row by row, with its width.
    fn pixels(file: &[u8]) -> (usize, Vec<u8>) {
        let number = |at: usize| u32::from_be_bytes(file[at..at + 4].try_into().unwrap()) as usize;
        let (width, mut at) = (number(16), 8);
        while &file[at + 4..at + 8] != b"IDAT" {
            at += 12 + number(at);
        }
        let packed = &file[at + 8..at + 8 + number(at)];
        (width, miniz_oxide::inflate::decompress_to_vec_zlib(packed).unwrap())
    }

    #[test]
    fn every_figure_has_letters_and_colours_where_its_shapes_are() {
        for figure in crate::figures(&fixture::stressid()) {
            let file = figure.png();
            assert_eq!(file, figure.png(), "{}", figure.name);
            let (width, found) = pixels(&file);
            assert_eq!(width, (figure.width * 3.0).ceil() as usize);
            let rows = found.chunks_exact(1 + 3 * width);
            assert_eq!(rows.len(), (figure.height * 3.0).ceil() as usize);
            let inked = rows.flat_map(|row| row[1..].chunks_exact(3));
            let (mut dark, mut all) = (0, 0);
            for pixel in inked {
                dark += usize::from(pixel.iter().all(|part| *part < 0x80));
                all += 1;
            }
            // Letters and axes are dark, and most of a figure is not.
            assert!(dark > all / 1000 && dark < all / 3, "{}: {dark} of {all}", figure.name);
        }
    }

    #[test]
    fn a_shape_is_painted_where_it_lies_and_in_its_colour() {
        use crate::markup::element;
        let square =
            element("rect").num("x", 2.0).num("y", 1.0).num("width", 2.0).num("height", 2.0);
        let group = element("g").attr("transform", "translate(1 0)").child(square);
        let figure = Figure {
            name: "square".to_owned(),
            title: String::new(),
            description: String::new(),
            width: 6.0,
            height: 4.0,
            shapes: vec![group],
        };
        let (width, found) = pixels(&figure.png());
        for (y, row) in found.chunks_exact(1 + 3 * width).enumerate() {
            for (x, pixel) in row[1..].chunks_exact(3).enumerate() {
                let inside = (9..15).contains(&x) && (3..9).contains(&y);
                assert_eq!(pixel, if inside { [0; 3] } else { [255; 3] }, "{x}, {y}");
            }
        }
    }
}
