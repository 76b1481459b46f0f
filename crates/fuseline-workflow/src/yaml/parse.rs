//! Builds a tree from events; refuses parts of YAML that workflows do without.

use std::collections::BTreeMap;

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};

use super::slips::{self, Slip};
use super::{Data, Entry, Node, Scalar, Style};
use crate::codes;
use crate::diagnostic::{Code, Diagnostic, Fix};
use crate::files::{FileId, Files, Place};
use crate::limits::Limits;
use crate::names::NameMap;
use crate::{document, stage};

/// The tree of a text; `None`, with the reason, when there is none.
///
/// Of several syntax errors only the first is known. Duplicate keys are reported, and the first is
/// kept.
pub(crate) fn parse(
    file: FileId,
    files: &Files,
    limits: &Limits,
    found: &mut Vec<Diagnostic>,
) -> Option<Node> {
    let text = files.text(file);
    if text.len() > limits.max_text {
        let message =
            format!("the text has {} bytes; at most {} are read", text.len(), limits.max_text);
        found.push(Diagnostic::error(codes::LIMIT, &Place::new(file, 0..0), message));
        return None;
    }
    let mut options = granit_parser::options! {
        disallow_directives: true,
        flow_nesting_limit: limits.max_depth,
        block_nesting_limit: limits.max_depth,
    };
    options.set_emit_comments(false);
    let mut builder = Builder {
        file,
        text,
        budget: limits.max_values,
        limit: limits.max_values,
        alias_bytes_left: limits.max_alias_bytes,
        max_alias_bytes: limits.max_alias_bytes,
        stack: Vec::new(),
        anchors: BTreeMap::new(),
        root: None,
        found,
    };
    let whole = builder.read(Parser::new_from_str_with_options(text, options));
    match (whole, builder.root) {
        (true, Some(root)) => Some(root),
        (true, None) => {
            let place = Place::new(file, 0..0);
            found.push(
                Diagnostic::error(codes::YAML_SYNTAX, &place, "the file is empty")
                    .hint("a workflow starts with `fuseline: 1`".to_owned()),
            );
            None
        }
        (false, _) => None,
    }
}

/// The keys that the language knows, of workflows and of stages.
const KEYS: [&str; document::ROOT_KEYS.len() + stage::KEYS.len()] = {
    let mut keys = [""; document::ROOT_KEYS.len() + stage::KEYS.len()];
    let mut at = 0;
    while at < keys.len() {
        keys[at] = match at < stage::KEYS.len() {
            true => stage::KEYS[at],
            false => document::ROOT_KEYS[at - stage::KEYS.len()],
        };
        at += 1;
    }
    keys
};

struct Builder<'a> {
    file: FileId,
    text: &'a str,
    budget: usize,
    limit: usize,
    alias_bytes_left: usize,
    max_alias_bytes: usize,
    stack: Vec<Frame>,
    anchors: BTreeMap<usize, Node>,
    root: Option<Node>,
    found: &'a mut Vec<Diagnostic>,
}

/// A collection that is being read.
struct Frame {
    start: usize,
    anchor: usize,
    open: Open,
}

enum Open {
    Sequence(Vec<Node>),
    Mapping {
        entries: Vec<Entry>,
        /// Index of the keys of a mapping with more than a few entries.
        keys: NameMap<String, usize>,
        key: Option<(String, Place)>,
    },
}

/// Greatest number of entries that are searched linearly.
const FEW: usize = 16;

/// The entry of a key among those read so far.
fn entry_of<'e>(
    key: &str,
    entries: &'e [Entry],
    keys: &mut NameMap<String, usize>,
) -> Option<&'e Entry> {
    if entries.len() < FEW {
        return entries.iter().find(|entry| entry.key == key);
    }
    for (at, entry) in entries.iter().enumerate().skip(keys.len()) {
        keys.insert(entry.key.clone(), at);
    }
    entries.get(*keys.get(key)?)
}

impl Builder<'_> {
    /// Reads all events; `false` when it had to stop.
    fn read<'t>(&mut self, parser: Parser<'t, StrInput<'t>>) -> bool {
        let mut documents = 0;
        for event in parser {
            let (event, span) = match event {
                Ok(event) => event,
                Err(error) => {
                    let diagnostic = self.syntax_error(&error);
                    self.found.push(diagnostic);
                    return false;
                }
            };
            let place = self.place(&span);
            let go_on = match event {
                Event::DocumentStart(..) => {
                    documents += 1;
                    documents == 1
                        || self.refuse(
                            &place,
                            "a workflow is one YAML document",
                            "remove the `---`",
                        )
                }
                Event::Scalar(text, style, anchor, tag) => {
                    self.tag(tag.as_deref(), &span) && {
                        let style = match style {
                            ScalarStyle::Plain => Style::Plain,
                            ScalarStyle::SingleQuoted => Style::SingleQuoted,
                            ScalarStyle::DoubleQuoted => Style::DoubleQuoted,
                            ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
                        };
                        // An absent value is reported as `~` with nothing written.
                        let absent = style == Style::Plain && place.span.is_empty();
                        let text = if absent { String::new() } else { text.into_owned() };
                        let data = Data::Scalar(Scalar { text, style });
                        self.node(Node { place, data }, anchor)
                    }
                }
                Event::SequenceStart(_, anchor, tag) => {
                    self.tag(tag.as_deref(), &span)
                        && self.open(&place, anchor, Open::Sequence(Vec::new()))
                }
                Event::MappingStart(_, anchor, tag) => {
                    let open =
                        Open::Mapping { entries: Vec::new(), keys: NameMap::new(), key: None };
                    self.tag(tag.as_deref(), &span) && self.open(&place, anchor, open)
                }
                Event::SequenceEnd | Event::MappingEnd => self.close(&place),
                Event::Alias(anchor) => self.alias(anchor, &place),
                _ => true,
            };
            if !go_on {
                return false;
            }
        }
        true
    }

    fn place(&self, span: &Span) -> Place {
        let range = span.byte_range().unwrap_or(0..0);
        Place::new(self.file, range)
    }

    fn refuse(&mut self, place: &Place, message: &str, hint: &str) -> bool {
        self.found
            .push(Diagnostic::error(codes::YAML_UNSUPPORTED, place, message).hint(hint.to_owned()));
        false
    }

    fn tag(&mut self, tag: Option<&Tag>, span: &Span) -> bool {
        if tag.is_none() {
            return true;
        }
        let place = self.place(&span.tag_span().unwrap_or(*span));
        self.refuse(&place, "YAML tags have no meaning here", "quote a text to keep it a text")
    }

    fn spend(&mut self, values: usize, place: &Place) -> bool {
        if let Some(left) = self.budget.checked_sub(values) {
            self.budget = left;
            return true;
        }
        let message = format!("the text has more than {} values, aliases expanded", self.limit);
        self.found.push(
            Diagnostic::error(codes::LIMIT, place, message)
                .hint("an axis of many points is shorter as `${{ range(n) }}`".to_owned()),
        );
        false
    }

    fn spend_alias(&mut self, bytes: usize, place: &Place) -> bool {
        if let Some(left) = self.alias_bytes_left.checked_sub(bytes) {
            self.alias_bytes_left = left;
            return true;
        }
        let message = format!("its aliases stand for more than {} bytes", self.max_alias_bytes);
        let hint = "make a param of a long text, and name the param".to_owned();
        self.found.push(Diagnostic::error(codes::LIMIT, place, message).hint(hint));
        false
    }

    fn open(&mut self, place: &Place, anchor: usize, open: Open) -> bool {
        let is_key =
            matches!(self.stack.last(), Some(Frame { open: Open::Mapping { key: None, .. }, .. }));
        if is_key && let Some(slip) = slips::without_dollar(self.text, place.span.start) {
            let diagnostic = self.slip(codes::YAML_UNSUPPORTED, slip);
            self.found.push(diagnostic);
            return false;
        }
        if is_key {
            return self.refuse(
                place,
                "a key must be text, not a list or a mapping",
                "quote a text that starts with a bracket; an expression `${{ }}` inside `{ }` or \
                 `[ ]` too",
            );
        }
        self.stack.push(Frame { start: place.span.start, anchor, open });
        self.spend(1, place)
    }

    fn close(&mut self, end: &Place) -> bool {
        let Some(frame) = self.stack.pop() else { return true };
        let (data, last) = match frame.open {
            Open::Sequence(items) => {
                let last = items.last().map(|item| item.place.span.end);
                (Data::Sequence(items), last)
            }
            Open::Mapping { entries, .. } => {
                let last = entries
                    .last()
                    .map(|entry| entry.value.place.span.end.max(entry.key_place.span.end));
                (Data::Mapping(entries), last)
            }
        };
        // A flow collection ends with its bracket, a block collection with its last value.
        let end = if end.span.is_empty() { last.unwrap_or(end.span.start) } else { end.span.end };
        let place = Place::new(self.file, frame.start..end.max(frame.start));
        self.node(Node { place, data }, frame.anchor)
    }

    fn alias(&mut self, anchor: usize, place: &Place) -> bool {
        match self.anchors.get(&anchor) {
            Some(node) => {
                let Size { values, bytes } = size(node);
                // Before anything is copied.
                if !self.spend(values, place) || !self.spend_alias(bytes, place) {
                    return false;
                }
                let node = self.anchors.get(&anchor).cloned();
                node.is_some_and(|node| self.node(node, 0))
            }
            None => {
                self.refuse(place, "an alias cannot stand inside of its own anchor", "remove it")
            }
        }
    }

    /// Puts a finished value where it belongs.
    fn node(&mut self, mut node: Node, anchor: usize) -> bool {
        let place = node.place.clone();
        if matches!(node.data, Data::Scalar(_)) && !self.spend(1, &place) {
            return false;
        }
        if anchor != 0 {
            let Size { values, bytes } = size(&node);
            if !self.spend(values, &place) || !self.spend_alias(bytes, &place) {
                return false;
            }
            self.anchors.insert(anchor, node.clone());
        }
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some(node);
            return true;
        };
        let (entries, keys, key) = match &mut frame.open {
            Open::Sequence(items) => {
                items.push(node);
                return true;
            }
            Open::Mapping { entries, keys, key } => (entries, keys, key),
        };
        match (key.take(), node.data) {
            (None, Data::Scalar(Scalar { text, .. })) if text == "<<" => self.refuse(
                &place,
                "merge keys are not part of YAML 1.2",
                "write the entries out, or share stages and axes with `include:`",
            ),
            (None, Data::Scalar(Scalar { text, .. })) => {
                *key = Some((text, place));
                true
            }
            (None, _) => self.refuse(&place, "a key must be text", "write the key out"),
            (Some((key, key_place)), data) => {
                node.data = data;
                if node.place.span.is_empty() {
                    node.place = key_place.clone();
                }
                match entry_of(&key, entries, keys) {
                    Some(first) => {
                        // The second stage of two, whose name is missing: all that follows from it
                        // is this mistake.
                        let is_stage = key == "uses";
                        let name = "remove one of the two, or write the name of the second stage \
                            on a line above it";
                        self.found.push(
                            Diagnostic::error(
                                codes::DUPLICATE_KEY,
                                &key_place,
                                format!("the key `{}` is given twice", crate::names::short(&key)),
                            )
                            .related(&first.key_place, "first given here")
                            .hint(is_stage.then(|| name.to_owned())),
                        );
                        return !is_stage;
                    }
                    None => entries.push(Entry { key, key_place, value: node }),
                }
                true
            }
        }
    }

    fn slip(&self, code: Code, slip: Slip) -> Diagnostic {
        let place = |span| Place::new(self.file, span);
        let fix = slip.fix.map(|(span, text, title)| Fix::new(title, place(span), text));
        Diagnostic::error(code, &place(slip.span), slip.message).hint(slip.hint).fix(fix)
    }

    fn syntax_error(&self, error: &ScanError) -> Diagnostic {
        let at = error.marker().byte_offset().unwrap_or(0).min(self.text.len());
        let is_syntax = !matches!(
            error.kind(),
            ErrorKind::RecursionLimitExceeded
                | ErrorKind::DirectiveDisallowed
                | ErrorKind::UnknownAnchor
        );
        if is_syntax && let Some(slip) = slips::find(self.text, at, &KEYS) {
            return self.slip(codes::YAML_SYNTAX, slip);
        }
        let next = self.text[at..].chars().next().filter(|c| !c.is_control());
        let place = Place::new(self.file, at..at + next.map_or(0, char::len_utf8));
        let line_start = self.text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let line = self.text[line_start..].lines().next().unwrap_or_default();
        let code = match error.kind() {
            ErrorKind::RecursionLimitExceeded => codes::LIMIT,
            ErrorKind::DirectiveDisallowed => codes::YAML_UNSUPPORTED,
            _ => codes::YAML_SYNTAX,
        };
        let hint = match error.kind() {
            _ if line.chars().take_while(|c| c.is_whitespace()).any(|c| c == '\t') => {
                Some("indent with spaces; YAML does not allow tabs there")
            }
            ErrorKind::UnknownAnchor => {
                Some("an anchor `&name` must stand before its alias `*name`")
            }
            ErrorKind::RecursionLimitExceeded => Some("workflows are never that deep"),
            ErrorKind::InvalidLowSurrogateHexEscape
            | ErrorKind::InvalidLowSurrogate
            | ErrorKind::MissingLowSurrogate
            | ErrorKind::UnpairedLowSurrogate => Some(
                "\\uD800 to \\uDFFF are halves of one character: write the character itself, or \
                 \\U and its eight digits",
            ),
            _ if line.contains("${{") => Some(
                "quote the expression: inside `{ }` and `[ ]`, and beside `: ` or ` #`, YAML \
                 needs \"${{ … }}\"",
            ),
            _ if line.contains('[') => Some("quote the text: \"stage[axis=point]\""),
            _ => None,
        };
        let message = match error.kind() {
            ErrorKind::RecursionLimitExceeded => "lists and mappings nest too deeply".to_owned(),
            kind => format!("this is not YAML: {kind}"),
        };
        Diagnostic::error(code, &place, message).hint(hint.map(str::to_owned))
    }
}

/// Size of a tree.
struct Size {
    values: usize,
    /// Of all of its texts.
    bytes: usize,
}

fn size(node: &Node) -> Size {
    let add = |one: Size, other: Size| Size {
        values: one.values + other.values,
        bytes: one.bytes + other.bytes,
    };
    let value = Size { values: 1, bytes: 0 };
    match &node.data {
        Data::Scalar(scalar) => Size { values: 1, bytes: scalar.text.len() },
        Data::Sequence(items) => items.iter().map(size).fold(value, add),
        Data::Mapping(entries) => {
            let entry = |entry: &Entry| {
                let Size { values, bytes } = size(&entry.value);
                Size { values, bytes: bytes + entry.key.len() }
            };
            entries.iter().map(entry).fold(value, add)
        }
    }
}
