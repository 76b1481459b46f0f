//! Syntactic context at a byte of a text, even if the text around it does not parse.
//!
//! A marker letter that no workflow contains is inserted at the cursor, and the text is parsed
//! again: the node that holds the marker is being written, and the path to it tells what is
//! possible there.

use std::ops::Range;
use std::path::PathBuf;

use crate::source::{Source, expressions};
use crate::syntax::{Mapping, Node, Scalar, Spot, Step, locate};

/// A letter of the private use area.
pub(crate) const MARK: char = '\u{e000}';

/// Syntactic target at the cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// A key of the mapping at the path.
    Key {
        /// The other keys of the mapping.
        others: Vec<String>,
        /// True if a colon follows.
        has_colon: bool,
    },
    /// The value at the path.
    Value {
        /// True if it is in quotes.
        quoted: bool,
        /// The other items, where it is an item of a list.
        items: Option<Vec<String>>,
        /// True if it is on a line below its key, where a new key may begin.
        own_line: bool,
    },
    /// An expression, with its text before the cursor.
    Expression { before: String },
}

/// The cursor in a text.
#[derive(Debug)]
pub(crate) struct Cursor {
    /// The text with a mark in it, for what is written around the cursor.
    pub source: Source,
    /// The keys on the way to what is being written.
    pub path: Vec<String>,
    pub target: Target,
    /// Part of the word before the cursor.
    pub typed: String,
    /// The word, in bytes of the text without the mark.
    pub word: Range<usize>,
    /// True if it is within braces or brackets.
    pub in_flow: bool,
}

impl Cursor {
    /// The cursor at a byte; `None` where nothing is written but comments.
    pub fn at(path: PathBuf, text: &str, offset: usize) -> Option<Self> {
        let marked = format!("{}{MARK}{}", &text[..offset], &text[offset..]);
        let source = Source::new(path, marked);
        let location = locate(&source.root, offset);
        let mut keys: Vec<String> = location.keys().into_iter().map(str::to_owned).collect();
        let is_flow = |step: &Step<'_>| matches!(step, Step::Entry(Mapping { flow: true, .. }, _));
        let last = location.steps.last();
        // In brackets on one line, the last mapping may still be a block.
        let in_flow = location.steps.iter().any(is_flow);
        match location.spot {
            Spot::Key => {
                let Some(Step::Entry(mapping, entry)) = last else { return None };
                let at = entry.key.find(MARK)?;
                let others = mapping.entries.iter().filter(|other| other.key != entry.key);
                let others = others.map(|other| other.key.clone()).collect();
                let typed = entry.key[..at].to_owned();
                let quote = (entry.key_span.len() - entry.key.len()) / 2;
                let start = entry.key_span.start + quote;
                let word = start..start + entry.key.len() - MARK.len_utf8();
                keys.pop();
                let has_colon = entry.has_colon;
                let target = Target::Key { others, has_colon };
                Some(Self { typed, word, in_flow, path: keys, target, source })
            }
            Spot::Value(node) => {
                let scalar = node.scalar()?;
                let at = scalar.text.find(MARK)?;
                let key_span = location.steps.iter().rev().find_map(|step| match step {
                    Step::Entry(_, entry) => Some(entry.key_span.clone()),
                    Step::Item(_) => None,
                });
                let begins = key_span.map_or(0, |span| span.end);
                let own_line = source.text[begins..node.span.start].contains('\n')
                    || location.steps.is_empty();
                let is_item = matches!(last, Some(Step::Item(_)));
                let items = is_item.then(|| siblings(&source.root, &location.steps));
                let (typed, word) = word(scalar, at, offset);
                let target = match expressions(&scalar.text)
                    .into_iter()
                    .find(|span| span.start <= at && at <= span.end)
                {
                    Some(span) => {
                        Target::Expression { before: scalar.text[span.start..at].to_owned() }
                    }
                    None => Target::Value { quoted: scalar.quoted, items, own_line },
                };
                Some(Self { typed, word, in_flow, path: keys, target, source })
            }
        }
    }
}

/// Part of a value before the cursor, and its bytes without the mark.
fn word(scalar: &Scalar, at: usize, offset: usize) -> (String, Range<usize>) {
    let before = &scalar.text[..at];
    // A text that goes on over lines is completed by its last line.
    let line = before.rfind('\n').map_or(before, |newline| before[newline..].trim_start());
    let behind = &scalar.text[at + MARK.len_utf8()..];
    let behind = behind.find('\n').map_or(behind, |newline| behind[..newline].trim_end());
    (line.to_owned(), offset - line.len()..offset + behind.len())
}

/// The other items of the list that the last step goes into.
fn siblings(root: &Node, steps: &[Step<'_>]) -> Vec<String> {
    let mut node = root;
    for step in &steps[..steps.len() - 1] {
        node = match step {
            Step::Entry(_, entry) => &entry.value,
            Step::Item(at) => match node.items().get(*at) {
                Some(item) => item,
                None => return Vec::new(),
            },
        };
    }
    let texts = node.items().iter().filter_map(Node::scalar).map(|scalar| scalar.text.clone());
    texts.filter(|text| !text.contains(MARK)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cursor at `^` in a text.
    fn at(text: &str) -> Cursor {
        let offset = text.find('^').expect("a cursor");
        Cursor::at(PathBuf::new(), &text.replacen('^', "", 1), offset)
            .expect("something is written")
    }

    fn key(others: &[&str], has_colon: bool) -> Target {
        let others = others.iter().map(|other| (*other).to_owned()).collect();
        Target::Key { others, has_colon }
    }

    #[test]
    fn the_cursor_knows_its_path_wherever_the_text_breaks_off() {
        let stage = |rest: &str| format!("stages:\n  a:\n    {rest}\n  b:\n    uses: x\n");
        let value = |items: Option<&[&str]>| Target::Value {
            quoted: false,
            items: items.map(|items| items.iter().map(|item| (*item).to_owned()).collect()),
            own_line: false,
        };
        for (rest, path, typed, target) in [
            ("us^", vec!["stages", "a"], "us", None),
            ("uses: ^", vec!["stages", "a", "uses"], "", Some(value(None))),
            ("uses: quality.ma^", vec!["stages", "a", "uses"], "quality.ma", Some(value(None))),
            ("uses: x\n    ^", vec!["stages", "a"], "", Some(key(&["uses"], false))),
            ("uses: x\n    o^ver: [f]", vec!["stages", "a"], "o", Some(key(&["uses"], true))),
            ("over: [fold, ^", vec!["stages", "a", "over"], "", Some(value(Some(&["fold"])))),
            ("over: [^]", vec!["stages", "a", "over"], "", Some(value(Some(&[])))),
            ("inputs: { f: g, ^", vec!["stages", "a", "inputs"], "", Some(key(&["f"], false))),
            ("inputs: { f: ^ }", vec!["stages", "a", "inputs", "f"], "", Some(value(None))),
            ("inputs: { f: s.t^, g: h }", vec!["stages", "a", "inputs", "f"], "s.t", None),
            (
                "with:\n      id: { ^ }",
                vec!["stages", "a", "with", "id"],
                "",
                Some(key(&[], false)),
            ),
            (
                "with: { p: \"${{ params.^\" }",
                vec!["stages", "a", "with", "p"],
                "${{ params.",
                Some(Target::Expression { before: " params.".to_owned() }),
            ),
        ] {
            let cursor = at(&stage(rest));
            assert_eq!(
                (cursor.path, cursor.typed.as_str()),
                (path.iter().map(|p| (*p).to_owned()).collect(), typed),
                "{rest}"
            );
            if let Some(target) = target {
                assert_eq!(cursor.target, target, "{rest}");
            }
        }
    }

    #[test]
    fn nothing_is_written_in_a_comment() {
        let text = "a: 1 # no";
        assert!(Cursor::at(PathBuf::new(), text, text.len()).is_none());
    }
}
