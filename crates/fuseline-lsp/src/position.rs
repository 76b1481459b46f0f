//! Bytes of a text and the positions of the protocol.

use std::ops::Range;

use lsp_types as lsp;

/// The unit in which a client counts columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Encoding {
    /// Bytes.
    Utf8,
    /// Code units of UTF-16, which every client supports.
    #[default]
    Utf16,
}

impl Encoding {
    /// The unit that both sides support: bytes if the client offers them.
    pub fn negotiate(capabilities: &lsp::ClientCapabilities) -> Self {
        let offered =
            capabilities.general.as_ref().and_then(|general| general.position_encodings.as_ref());
        match offered {
            Some(offered) if offered.contains(&lsp::PositionEncodingKind::UTF8) => Self::Utf8,
            _ => Self::Utf16,
        }
    }

    /// The protocol's name of it.
    pub fn kind(self) -> lsp::PositionEncodingKind {
        match self {
            Self::Utf8 => lsp::PositionEncodingKind::UTF8,
            Self::Utf16 => lsp::PositionEncodingKind::UTF16,
        }
    }

    fn width(self, text: &str) -> usize {
        match self {
            Self::Utf8 => text.len(),
            Self::Utf16 => text.chars().map(char::len_utf16).sum(),
        }
    }
}

/// Starts of the lines of a text. A line ends with `\n`, `\r\n` or `\r`.
#[derive(Debug, Clone)]
pub(crate) struct LineStarts(Vec<usize>);

impl LineStarts {
    pub fn new(text: &str) -> Self {
        let bytes = text.as_bytes();
        let ends = bytes.iter().enumerate().filter(|(at, byte)| match byte {
            b'\n' => true,
            b'\r' => bytes.get(at + 1) != Some(&b'\n'),
            _ => false,
        });
        Self(std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect())
    }

    /// The byte at a position; a position behind the end of its line or of the text is that end.
    pub fn offset(&self, text: &str, position: lsp::Position, encoding: Encoding) -> usize {
        let Some(&start) = self.0.get(position.line as usize) else { return text.len() };
        let end = self.0.get(position.line as usize + 1).map_or(text.len(), |next| *next);
        let line = text[start..end].trim_end_matches(['\r', '\n']);
        let mut left = position.character as usize;
        for (at, letter) in line.char_indices() {
            let width = match encoding {
                Encoding::Utf8 => letter.len_utf8(),
                Encoding::Utf16 => letter.len_utf16(),
            };
            // Half a letter is none of it.
            if left < width {
                return start + at;
            }
            left -= width;
        }
        start + line.len()
    }

    /// The position of a byte.
    pub fn position(&self, text: &str, offset: usize, encoding: Encoding) -> lsp::Position {
        let offset = text.floor_char_boundary(offset);
        let line = self.0.partition_point(|start| *start <= offset) - 1;
        let character = encoding.width(&text[self.0[line]..offset]);
        lsp::Position::new(line as u32, character as u32)
    }

    /// The positions of a range of bytes.
    pub fn range(&self, text: &str, range: &Range<usize>, encoding: Encoding) -> lsp::Range {
        let position = |offset| self.position(text, offset, encoding);
        lsp::Range::new(position(range.start), position(range.end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_code_units_and_every_line_end_counts() {
        let text = "a: ä\r\nb: 𝔘x\rc\n";
        let lines = LineStarts::new(text);
        let byte = |needle: &str| text.find(needle).expect("it is there");
        for (needle, line, utf16, utf8) in [("ä", 0, 3, 3), ("b", 1, 0, 0), ("x", 1, 5, 7)] {
            let (sixteen, eight) = (Encoding::Utf16, Encoding::Utf8);
            let position = lines.position(text, byte(needle), sixteen);
            assert_eq!(position, lsp::Position::new(line, utf16), "{needle}");
            assert_eq!(lines.offset(text, position, sixteen), byte(needle));
            let position = lines.position(text, byte(needle), eight);
            assert_eq!(position, lsp::Position::new(line, utf8), "{needle}");
            assert_eq!(lines.offset(text, position, eight), byte(needle));
        }
        assert_eq!(lines.position(text, byte("c"), Encoding::Utf16), lsp::Position::new(2, 0));
        let end = |line, character| {
            lines.offset(text, lsp::Position::new(line, character), Encoding::Utf16)
        };
        assert_eq!(end(0, 99), byte("\r\n"), "behind the end of a line is its end");
        assert_eq!(end(99, 0), text.len());
        assert_eq!(end(1, 4), byte("𝔘"), "within a letter is before it");
    }
}
