//! One file of a workflow: its text, its lines, its tree, and what is defined and named in it.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use lsp_types as lsp;

use crate::position::{Encoding, LineStarts};
use crate::syntax::{self, Entry, Node, Scalar};

/// A text with everything that is known of it without the others.
#[derive(Debug)]
pub(crate) struct Source {
    pub path: PathBuf,
    pub text: Arc<str>,
    pub lines: LineStarts,
    pub root: Node,
}

impl Source {
    pub fn new(path: PathBuf, text: impl Into<Arc<str>>) -> Self {
        let text = text.into();
        let (lines, root) = (LineStarts::new(&text), syntax::parse(&text));
        Self { path, text, lines, root }
    }

    pub fn range(&self, span: &Range<usize>, encoding: Encoding) -> lsp::Range {
        self.lines.range(&self.text, span, encoding)
    }

    pub fn offset(&self, position: lsp::Position, encoding: Encoding) -> usize {
        self.lines.offset(&self.text, position, encoding)
    }

    /// The entries of a section such as `stages`.
    pub fn section(&self, name: &str) -> &[Entry] {
        self.root.get(name).map(Node::entries).unwrap_or_default()
    }

    /// The included files as written.
    pub fn includes(&self) -> impl Iterator<Item = &Scalar> {
        let items = self.root.get("include").map(Node::items).unwrap_or_default();
        items.iter().filter_map(Node::scalar)
    }

    /// True if the text is a workflow or a part of one, and no other YAML.
    pub fn is_workflow(&self) -> bool {
        let entries = self.root.entries();
        let has = |key: &str| entries.iter().any(|entry| entry.key == key);
        let uses = |stage: &Entry| stage.value.get("uses").is_some();
        // The slip may be in the line that says so: `fuseline:1`.
        let says_so = |line: &str| {
            let rest = line.strip_prefix("fuseline");
            rest.is_some_and(|rest| rest.trim_start().starts_with([':', '=', '1']))
        };
        has("fuseline") || self.section("stages").iter().any(uses) || self.text.lines().any(says_so)
    }
}

/// A piece of text with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word<'t> {
    pub text: &'t str,
    pub span: Range<usize>,
}

impl<'t> Word<'t> {
    /// A part of a scalar's text.
    fn within(scalar: &'t Scalar, part: Range<usize>) -> Self {
        let span = scalar.start + part.start..scalar.start + part.end;
        Self { text: &scalar.text[part], span }
    }

    /// The whole text of a scalar.
    pub fn whole(scalar: &'t Scalar) -> Self {
        Self::within(scalar, 0..scalar.text.len())
    }

    /// The key of an entry, without quotes.
    pub fn key(entry: &'t Entry) -> Self {
        let quote = (entry.key_span.len() - entry.key.len()) / 2;
        let start = entry.key_span.start + quote;
        Self { text: &entry.key, span: start..start + entry.key.len() }
    }

    pub fn covers(&self, offset: usize) -> bool {
        self.span.start <= offset && offset <= self.span.end
    }
}

/// `stage.port[axis=label|label, axis=label]`, as far as it is written.
#[derive(Debug, Clone)]
pub(crate) struct Reference<'t> {
    pub stage: Word<'t>,
    pub port: Option<Word<'t>>,
    pub selections: Vec<(Word<'t>, Vec<Word<'t>>)>,
}

impl<'t> Reference<'t> {
    pub fn read(scalar: &'t Scalar) -> Self {
        let text = scalar.text.as_str();
        let bracket = text.find('[').unwrap_or(text.len());
        let output = text[..bracket].trim_end();
        let lead = output.len() - output.trim_start().len();
        let dot = output.find('.');
        let stage = Word::within(scalar, lead..dot.unwrap_or(output.len()));
        let port = dot.map(|dot| Word::within(scalar, dot + 1..output.len()));
        let mut selections: Vec<(Word<'t>, Vec<Word<'t>>)> = Vec::new();
        let inside = text[bracket..].trim_end_matches(']').len() + bracket;
        let mut at = bracket + 1;
        // A label with commas, bars or brackets is quoted; such labels are left alone here.
        while at <= inside && bracket < text.len() {
            let end = text[at..inside].find(',').map_or(inside, |comma| at + comma);
            let part = &text[at..end];
            let trimmed = |from: usize, to: usize| {
                let piece = &text[from..to];
                let start = from + piece.len() - piece.trim_start().len();
                Word::within(scalar, start..start + piece.trim().len())
            };
            match part.find('=') {
                Some(equals) => {
                    let mut labels = Vec::new();
                    let mut from = at + equals + 1;
                    for label in text[from..end].split('|') {
                        labels.push(trimmed(from, from + label.len()));
                        from += label.len() + 1;
                    }
                    selections.push((trimmed(at, at + equals), labels));
                }
                None => selections.push((trimmed(at, end), Vec::new())),
            }
            at = end + 1;
        }
        Self { stage, port, selections }
    }
}

/// A name in an expression, with the field behind its dot.
#[derive(Debug, Clone)]
pub(crate) struct ExpressionName<'t> {
    pub name: Word<'t>,
    pub field: Option<Word<'t>>,
    /// True if a bracket follows: a function.
    pub is_call: bool,
}

/// The parts of a text that are expressions, without `${{` and `}}`; one that is not closed goes to
/// its end.
pub(crate) fn expressions(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(open) = text[at..].find("${{") {
        let start = at + open + 3;
        let end = text[start..].find("}}").map_or(text.len(), |close| start + close);
        found.push(start..end);
        at = end;
    }
    found
}

/// The names in the expressions of a scalar.
pub(crate) fn expression_names(scalar: &Scalar) -> Vec<ExpressionName<'_>> {
    let mut names = Vec::new();
    for span in expressions(&scalar.text) {
        let text = &scalar.text[..span.end];
        let mut at = span.start;
        while let Some(letter) = text[at..].chars().next() {
            let is_name = |c: char| c.is_alphanumeric() || c == '_';
            if letter == '"' || letter == '\'' {
                let rest = &text[at + 1..];
                at = rest.find(letter).map_or(text.len(), |close| at + 1 + close + 1);
                continue;
            }
            if !(letter.is_alphabetic() || letter == '_') {
                // A number with its exponent, or a symbol.
                let length = match letter.is_ascii_digit() {
                    true => text[at..]
                        .find(|c: char| !is_name(c) && c != '.')
                        .unwrap_or(text.len() - at),
                    false => letter.len_utf8(),
                };
                at += length;
                continue;
            }
            let word_end = |from: usize| {
                text[from..].find(|c| !is_name(c)).map_or(text.len(), |end| from + end)
            };
            let end = word_end(at);
            let name = Word::within(scalar, at..end);
            at = end;
            let mut field = None;
            if text[at..].starts_with('.') {
                let end = word_end(at + 1);
                field = Some(Word::within(scalar, at + 1..end));
                at = end;
            }
            let is_call = text[at..].trim_start().starts_with('(');
            names.push(ExpressionName { name, field, is_call });
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalar(text: &str) -> Scalar {
        Scalar { text: text.to_owned(), quoted: false, start: 100 }
    }

    #[test]
    fn references_are_taken_apart_with_their_places() {
        let text = scalar("expert.test[modality=audio|video, fold = 1]");
        let read = Reference::read(&text);
        assert_eq!((read.stage.text, read.stage.span.clone()), ("expert", 100..106));
        assert_eq!(read.port.map(|port| (port.text, port.span)), Some(("test", 107..111)));
        let selections: Vec<_> = read
            .selections
            .iter()
            .map(|(axis, labels)| (axis.text, labels.iter().map(|label| label.text).collect()))
            .collect();
        let expected: [(&str, Vec<&str>); 2] =
            [("modality", vec!["audio", "video"]), ("fold", vec!["1"])];
        assert_eq!(selections, expected);
        for half in ["", "a.", "a[", "a[m", "a[m=", "a.b[m=x,", "[", "]"] {
            Reference::read(&scalar(half));
        }
    }

    #[test]
    fn names_in_expressions_are_found_and_texts_are_not() {
        let text =
            scalar("a ${{ range(params.folds, 2e3) if m.x == 'no.name' else lower(n) }} b.c");
        let names: Vec<_> = expression_names(&text)
            .iter()
            .map(|found| {
                (
                    found.name.text.to_owned(),
                    found.field.as_ref().map(|f| f.text.to_owned()),
                    found.is_call,
                )
            })
            .collect();
        let name = |name: &str, field: Option<&str>, call| {
            (name.to_owned(), field.map(str::to_owned), call)
        };
        assert_eq!(
            names,
            [
                name("range", None, true),
                name("params", Some("folds"), false),
                name("if", None, false),
                name("m", Some("x"), false),
                name("else", None, false),
                name("lower", None, true),
                name("n", None, false),
            ]
        );
    }
}
