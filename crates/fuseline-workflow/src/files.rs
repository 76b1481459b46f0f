//! The texts that diagnostics point into.

use std::ops::Range;
use std::path::{Path, PathBuf};

/// One text that was read: the workflow, an included file, a params file, or a `--set` argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(u32);

/// A range of bytes in one of the [`Files`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The text.
    pub file: FileId,
    /// Its byte range; the end is exclusive.
    pub span: Range<usize>,
}

impl Place {
    /// A range of bytes in a file.
    pub fn new(file: FileId, span: Range<usize>) -> Self {
        Self { file, span }
    }

    /// True if another place lies within this one.
    pub(crate) fn contains(&self, other: &Self) -> bool {
        let (outer, inner) = (&self.span, &other.span);
        self.file == other.file && outer.start <= inner.start && inner.end <= outer.end
    }

    /// Sort key of places.
    pub fn order(&self) -> (FileId, usize, usize) {
        (self.file, self.span.start, self.span.end)
    }
}

/// A line and a column, both counted from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineColumn {
    /// The line.
    pub line: usize,
    /// The character within the line.
    pub column: usize,
}

/// Every text that was read, with the path that names it to the reader.
#[derive(Debug, Clone, Default)]
pub struct Files {
    files: Vec<File>,
}

#[derive(Debug, Clone)]
struct File {
    path: PathBuf,
    text: String,
    lines: Vec<usize>,
}

impl Files {
    /// Adds a text. A `--set` argument is a text of its own, with `--set` for its path.
    pub fn add(&mut self, path: impl Into<PathBuf>, text: impl Into<String>) -> FileId {
        let text = text.into();
        let starts = text.match_indices('\n').map(|(newline, _)| newline + 1);
        let lines = std::iter::once(0).chain(starts).collect();
        self.files.push(File { path: path.into(), text, lines });
        FileId(self.files.len() as u32 - 1)
    }

    /// The paths of all texts, in the order in which they were read.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|file| file.path.as_path())
    }

    /// The path that names a text.
    pub fn path(&self, file: FileId) -> &Path {
        &self.files[file.0 as usize].path
    }

    /// A text.
    pub fn text(&self, file: FileId) -> &str {
        &self.files[file.0 as usize].text
    }

    /// The part of the text that a place covers; empty when the place is outside of the text.
    pub fn slice(&self, place: &Place) -> &str {
        self.text(place.file).get(place.span.clone()).unwrap_or_default()
    }

    /// The first character of a place.
    pub fn line_column(&self, place: &Place) -> LineColumn {
        self.position(place.file, place.span.start)
    }

    /// A place in words: the path that names its text, and the line.
    pub fn origin(&self, place: &Place) -> String {
        format!("{}:{}", self.path(place.file).display(), self.line_column(place).line)
    }

    /// The character after a place.
    pub fn end_line_column(&self, place: &Place) -> LineColumn {
        self.position(place.file, place.span.end)
    }

    fn position(&self, file: FileId, byte: usize) -> LineColumn {
        let File { text, lines, .. } = &self.files[file.0 as usize];
        let mut byte = byte.min(text.len());
        while !text.is_char_boundary(byte) {
            byte -= 1;
        }
        let line = lines.partition_point(|start| *start <= byte);
        let start = lines[line - 1];
        LineColumn { line, column: text[start..byte].chars().count() + 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_start_at_one() {
        let mut files = Files::default();
        let file = files.add("a.yaml", "ä: 1\nb: ü2\n");
        let at = |start, end| {
            let place = Place::new(file, start..end);
            let (start, end) = (files.line_column(&place), files.end_line_column(&place));
            (start.line, start.column, end.line, end.column)
        };
        assert_eq!(at(0, 2), (1, 1, 1, 2));
        assert_eq!(at(6, 12), (2, 1, 2, 6));
        assert_eq!(at(13, 13), (3, 1, 3, 1));
        assert_eq!(at(99, 99), (3, 1, 3, 1), "a place behind the end is the end");
    }
}
