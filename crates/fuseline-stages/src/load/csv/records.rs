//! Records of delimited text, each with its line.
//!
//! Quoting is that of RFC 4180, and what that does not allow is a fault: a quotation mark that is
//! never closed, and text behind the one that closes a cell. Lines end in `\n`, `\r\n` or `\r`;
//! blank ones are passed over.

use std::borrow::Cow;
use std::io::{self, BufRead};

/// Error in the text. Lines and bytes count from 1, columns from 0.
#[derive(Debug)]
pub(super) enum Fault {
    /// The file cannot be read.
    Unreadable(io::Error),
    /// No quotation mark closes the one that opens a cell.
    Unclosed { line: u64, column: usize },
    /// Text follows the quotation mark that closes a cell.
    TextAfterQuote { line: u64, column: usize, closed: u64 },
    /// Bytes that are no UTF-8.
    NotUtf8 { line: u64, byte: u64 },
    /// A NUL byte, which no text has; true if there are so many that this is UTF-16.
    Nul { line: u64, byte: u64, is_utf16: bool },
}

/// Position of a cell in the text of its record.
struct Span {
    start: usize,
    end: usize,
    /// True if it holds doubled quotation marks, each of which means one.
    is_doubled: bool,
    /// The lines in which it begins and ends.
    lines: (u64, u64),
}

/// Parser state: the part that the next byte belongs to.
#[derive(Clone, Copy)]
enum State {
    /// The blanks before a cell.
    Start,
    /// A cell without quotation marks around it.
    Plain,
    /// A cell behind its quotation mark.
    Quoted,
    /// The blanks behind a quoted cell.
    Closed,
}

/// Reads one record after the other.
pub(super) struct Records<R> {
    input: R,
    delimiter: u8,
    /// True if a byte ends a cell without quotation marks.
    ends_plain: [bool; 256],
    /// The line of the next byte.
    line: u64,
    /// Number of bytes before it.
    offset: u64,
    /// The byte before it.
    last: u8,
    /// The record, as in the file.
    raw: Vec<u8>,
    spans: Vec<Span>,
}

/// One record.
pub(super) struct Record<'r> {
    /// The line in which it begins.
    pub line: u64,
    text: &'r str,
    spans: &'r [Span],
}

impl<'r> Record<'r> {
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// The cells, without blanks around them.
    pub fn cells(&self) -> impl Iterator<Item = Cow<'r, str>> {
        let text = self.text;
        self.spans.iter().map(move |span| {
            let cell = text.get(span.start..span.end).unwrap_or_default().trim();
            match span.is_doubled {
                true => Cow::Owned(cell.replace("\"\"", "\"")),
                false => Cow::Borrowed(cell),
            }
        })
    }

    /// The cells that have several lines: their columns, and the lines in which they begin and end.
    pub fn tall_cells(&self) -> impl Iterator<Item = (usize, (u64, u64))> {
        let spans = self.spans.iter().enumerate().map(|(column, span)| (column, span.lines));
        spans.filter(|(_, (first, last))| first < last)
    }
}

impl<R: BufRead> Records<R> {
    pub fn new(input: R, delimiter: u8) -> Self {
        let (line, offset, last) = (1, 0, b'\n');
        let mut ends_plain = [false; 256];
        [delimiter, b'\n', b'\r'].into_iter().for_each(|end| ends_plain[usize::from(end)] = true);
        Self {
            input,
            delimiter,
            ends_plain,
            line,
            offset,
            last,
            raw: Vec::new(),
            spans: Vec::new(),
        }
    }

    /// The next record; none at the end of the file.
    pub fn next(&mut self) -> Result<Option<Record<'_>>, Fault> {
        let (mut line, mut offset);
        loop {
            self.end_line().map_err(Fault::Unreadable)?;
            (line, offset) = (self.line, self.offset);
            if !self.read()? {
                return Ok(None);
            }
            if self.spans.len() > 1 || !self.raw.iter().all(u8::is_ascii_whitespace) {
                break;
            }
        }
        let place = |at: usize| {
            let mut last = b'\0';
            let ends = self.raw[..at].iter().filter(|byte| {
                let is_end = **byte == b'\r' || **byte == b'\n' && last != b'\r';
                last = **byte;
                is_end
            });
            (line + ends.count() as u64, offset + at as u64 + 1)
        };
        if let Some(at) = self.raw.iter().position(|byte| *byte == 0) {
            let (line, byte) = place(at);
            let near = &self.raw[at.saturating_sub(1)..];
            let near = &near[..near.len().min(16)];
            let is_utf16 = 3 * near.iter().filter(|byte| **byte == 0).count() > near.len();
            return Err(Fault::Nul { line, byte, is_utf16 });
        }
        let text = std::str::from_utf8(&self.raw).map_err(|error| {
            let (line, byte) = place(error.valid_up_to());
            Fault::NotUtf8 { line, byte }
        })?;
        Ok(Some(Record { line, text, spans: &self.spans }))
    }

    /// Takes the second byte of a line end whose first ended the record before.
    fn end_line(&mut self) -> io::Result<()> {
        if self.last == b'\r' && self.input.fill_buf()?.first() == Some(&b'\n') {
            self.input.consume(1);
            self.offset += 1;
            self.last = b'\n';
        }
        Ok(())
    }

    /// Reads a record and its line end; false when there is nothing more.
    fn read(&mut self) -> Result<bool, Fault> {
        self.raw.clear();
        self.spans.clear();
        let mut state = State::Start;
        let (mut start, mut end, mut is_doubled, mut opened) = (0, 0, false, self.line);
        loop {
            let chunk = self.input.fill_buf().map_err(Fault::Unreadable)?;
            let (before, mut used, mut is_whole) = (self.raw.len(), 0, chunk.is_empty());
            if is_whole && before == 0 {
                return Ok(false);
            }
            while let Some(&byte) = chunk.get(used) {
                if matches!(state, State::Plain) && !self.ends_plain[usize::from(byte)] {
                    used += 1;
                    continue;
                }
                let (at, line) = (before + used, self.line);
                used += 1;
                let ends_line = byte == b'\n' || byte == b'\r';
                if ends_line {
                    self.line += u64::from(byte == b'\r' || self.last != b'\r');
                }
                self.last = byte;
                let ends_cell = ends_line || byte == self.delimiter;
                match state {
                    State::Start | State::Plain if ends_cell => {
                        let lines = (line, line);
                        self.spans.push(Span { start, end: at, is_doubled: false, lines });
                    }
                    State::Start => match byte {
                        b'"' => (state, start, opened) = (State::Quoted, at + 1, line),
                        b' ' | b'\t' => {}
                        _ => state = State::Plain,
                    },
                    State::Plain => {}
                    State::Quoted if byte == b'"' => (state, end) = (State::Closed, at),
                    State::Quoted => {}
                    State::Closed if ends_cell => {
                        self.spans.push(Span { start, end, is_doubled, lines: (opened, line) });
                    }
                    State::Closed if byte == b'"' && at == end + 1 => {
                        (state, is_doubled) = (State::Quoted, true);
                    }
                    State::Closed if byte == b' ' || byte == b'\t' => {}
                    State::Closed => {
                        let column = self.spans.len();
                        return Err(Fault::TextAfterQuote { line: opened, column, closed: line });
                    }
                }
                if ends_cell && !matches!(state, State::Quoted) {
                    (state, start, is_doubled) = (State::Start, at + 1, false);
                    if ends_line {
                        is_whole = true;
                        break;
                    }
                }
            }
            self.raw.extend_from_slice(&chunk[..used]);
            let is_end_of_file = chunk.is_empty();
            self.input.consume(used);
            self.offset += used as u64;
            if is_end_of_file {
                let (end, lines) = match state {
                    State::Quoted => {
                        let column = self.spans.len();
                        return Err(Fault::Unclosed { line: opened, column });
                    }
                    State::Closed => (end, (opened, self.line)),
                    State::Start | State::Plain => (self.raw.len(), (self.line, self.line)),
                };
                self.spans.push(Span { start, end, is_doubled, lines });
            }
            if is_whole {
                return Ok(true);
            }
        }
    }
}

#[cfg(test)]
mod tests;
