//! Letters of figures in PDF.
//!
//! The font comes with this crate and is embedded, cut to the letters used: journals ask for
//! embedded fonts, the fonts of a machine would give other bytes on each machine, and the 14 fonts
//! that every reader of PDF has lack most signs of the verdicts. DejaVu Sans Condensed has them,
//! may be passed on, and runs about as wide as the fonts of web pages.

use std::collections::BTreeMap;

use pdf_writer::types::{CidFontType, FontFlags, SystemInfo, UnicodeCmap};
use pdf_writer::{Finish as _, Name, Pdf, Rect, Ref, Str};
use subsetter::GlyphRemapper;
use ttf_parser::{Face, GlyphId, OutlineBuilder};

const REGULAR: &[u8] = include_bytes!("../assets/fonts/DejaVuSansCondensed.ttf");
const BOLD: &[u8] = include_bytes!("../assets/fonts/DejaVuSansCondensed-Bold.ttf");
const SYSTEM: SystemInfo<'_> =
    SystemInfo { registry: Str(b"Adobe"), ordering: Str(b"Identity"), supplement: 0 };

/// One font with the letters of it that were used so far.
pub struct Font {
    face: Face<'static>,
    file: &'static [u8],
    name: &'static str,
    glyphs: GlyphRemapper,
    /// The letter of each glyph of the embedded font.
    letters: BTreeMap<u16, (char, f32)>,
}

impl Font {
    /// The font of ordinary or of bold letters.
    #[expect(
        clippy::expect_used,
        reason = "the files are part of this crate, and every figure of every test is set in them"
    )]
    pub fn new(bold: bool) -> Self {
        let (file, name) = if bold {
            (BOLD, "DejaVuSansCondensed-Bold")
        } else {
            (REGULAR, "DejaVuSansCondensed")
        };
        let face = Face::parse(file, 0).expect("the font that comes with this crate is whole");
        Self { face, file, name, glyphs: GlyphRemapper::new(), letters: BTreeMap::new() }
    }

    /// True if a letter was used.
    pub fn is_used(&self) -> bool {
        !self.letters.is_empty()
    }

    /// The bytes that show a text, and its width at size 1.
    pub fn set(&mut self, text: &str) -> (Vec<u8>, f32) {
        let (mut bytes, mut width) = (Vec::new(), 0.0);
        for letter in text.chars() {
            let (letter, glyph, advance) = self.glyph(letter);
            let embedded = self.glyphs.remap(glyph.0);
            self.letters.entry(embedded).or_insert((letter, advance));
            bytes.extend(embedded.to_be_bytes());
            width += advance;
        }
        (bytes, width)
    }

    /// Draws a text at size 1 from its left end, upwards, and gives its width: `pen` receives the
    /// horizontal offset of each letter.
    pub fn outline<P: OutlineBuilder>(&self, text: &str, pen: &mut P, at: fn(&mut P, f32)) -> f32 {
        let mut width = 0.0;
        for letter in text.chars() {
            let (_, glyph, advance) = self.glyph(letter);
            at(pen, width);
            self.face.outline_glyph(glyph, pen);
            width += advance;
        }
        width
    }

    /// The glyph of a letter and its width at size 1. A letter that the font lacks becomes U+FFFD.
    fn glyph(&self, letter: char) -> (char, GlyphId, f32) {
        let (letter, glyph) = match self.face.glyph_index(letter) {
            Some(glyph) => (letter, glyph),
            None => ('\u{fffd}', self.face.glyph_index('\u{fffd}').unwrap_or_default()),
        };
        (letter, glyph, f32::from(self.face.glyph_hor_advance(glyph).unwrap_or(0)) / self.units())
    }

    /// Units of the font's outlines in its size.
    pub fn units(&self) -> f32 {
        f32::from(self.face.units_per_em())
    }

    /// Writes the font as objects of which `first` is what a page refers to and four more follow.
    #[expect(clippy::expect_used, reason = "a font that was parsed and glyphs that it has")]
    pub fn write(&self, pdf: &mut Pdf, first: Ref) {
        let [cid, descriptor, cmap, data] = [1, 2, 3, 4].map(|n| Ref::new(first.get() + n));
        let name = format!("{}+{}", self.tag(), self.name);
        let name = Name(name.as_bytes());
        pdf.type0_font(first)
            .base_font(name)
            .encoding_predefined(Name(b"Identity-H"))
            .descendant_font(cid)
            .to_unicode(cmap);

        let mut font = pdf.cid_font(cid);
        font.subtype(CidFontType::Type2)
            .base_font(name)
            .system_info(SYSTEM)
            .font_descriptor(descriptor)
            .default_width(0.0)
            .cid_to_gid_map_predefined(Name(b"Identity"));
        let mut widths = font.widths();
        for (glyph, (_, advance)) in &self.letters {
            widths.consecutive(*glyph, [advance * 1000.0]);
        }
        widths.finish();
        font.finish();

        let thousandths = |value: i16| f32::from(value) * 1000.0 / self.units();
        let bounds = self.face.global_bounding_box();
        pdf.font_descriptor(descriptor)
            .name(name)
            .flags(FontFlags::NON_SYMBOLIC)
            .bbox(Rect::new(
                thousandths(bounds.x_min),
                thousandths(bounds.y_min),
                thousandths(bounds.x_max),
                thousandths(bounds.y_max),
            ))
            .italic_angle(0.0)
            .ascent(thousandths(self.face.ascender()))
            .descent(thousandths(self.face.descender()))
            .cap_height(thousandths(self.face.capital_height().unwrap_or(0)))
            .stem_v(if self.file == BOLD { 150.0 } else { 80.0 })
            .font_file2(data);

        let mut unicode = UnicodeCmap::<u16>::new(Name(b"letters"), SYSTEM);
        for (glyph, (letter, _)) in &self.letters {
            unicode.pair(*glyph, *letter);
        }
        super::pdf::compressed(pdf, cmap, &unicode.finish());
        let file = subsetter::subset(self.file, 0, &self.glyphs).expect("the font can be cut");
        super::pdf::compressed(pdf, data, &file);
    }

    /// Six capitals that name this selection of letters.
    fn tag(&self) -> String {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for (letter, _) in self.letters.values() {
            hash = (hash ^ u64::from(u32::from(*letter))).wrapping_mul(0x100_0000_01b3);
        }
        (0..6).map(|place| char::from(b'A' + ((hash >> (8 * place + 16)) % 26) as u8)).collect()
    }
}
