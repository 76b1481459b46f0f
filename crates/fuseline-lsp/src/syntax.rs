//! Parse tree of a text that may not be valid YAML at the moment.
//!
//! The checker reads valid texts and reports invalid ones. An editor must know where the cursor is
//! while a bracket is open, a key is half written and a value is missing. So this reader takes any
//! text: it goes by indentation, and by brackets only up to a line that is indented no more than
//! the line on which they open. **Invariant:** every text gives a tree, in time linear in its
//! length but for nesting; spans lie within the text.

use std::ops::Range;

/// Brackets and indentation deeper than this are not followed.
const MAX_DEPTH: usize = 64;

/// A value with the bytes that it covers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    /// From its first byte to behind its last; its empty position when nothing is written.
    pub span: Range<usize>,
    pub data: Data,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Data {
    Mapping(Mapping),
    Sequence(Vec<Node>),
    Scalar(Scalar),
    /// Nothing is written.
    Absent,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mapping {
    pub entries: Vec<Entry>,
    /// True if it is in braces.
    pub flow: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scalar {
    /// Without quotes; escapes are left as they are.
    pub text: String,
    /// True if it is quoted, or a block behind `|` or `>`.
    pub quoted: bool,
    /// Byte offset of `text` in the file.
    pub start: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub key: String,
    /// With quotes, where it has some.
    pub key_span: Range<usize>,
    /// True if a colon follows.
    pub has_colon: bool,
    pub value: Node,
}

impl Entry {
    /// From the key to the end of the value.
    pub fn extent(&self) -> Range<usize> {
        self.key_span.start..self.key_span.end.max(self.value.span.end)
    }
}

impl Node {
    fn absent(at: usize) -> Self {
        Self { span: at..at, data: Data::Absent }
    }

    /// The entries of a mapping; none when it is another value.
    pub fn entries(&self) -> &[Entry] {
        match &self.data {
            Data::Mapping(mapping) => &mapping.entries,
            _ => &[],
        }
    }

    /// The items of a list; none when it is another value.
    pub fn items(&self) -> &[Self] {
        match &self.data {
            Data::Sequence(items) => items,
            _ => &[],
        }
    }

    pub fn scalar(&self) -> Option<&Scalar> {
        match &self.data {
            Data::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The entry of a key.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// Calls a function with every scalar below.
    pub fn for_each_scalar<'n>(&'n self, visit: &mut dyn FnMut(&'n Scalar)) {
        match &self.data {
            Data::Scalar(scalar) => visit(scalar),
            Data::Sequence(items) => items.iter().for_each(|item| item.for_each_scalar(visit)),
            Data::Mapping(mapping) => {
                mapping.entries.iter().for_each(|entry| entry.value.for_each_scalar(visit));
            }
            Data::Absent => {}
        }
    }
}

/// One step from the root towards a byte.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step<'t> {
    /// Into an entry of a mapping.
    Entry(&'t Mapping, &'t Entry),
    /// Into an item of a list.
    Item(usize),
}

/// Syntax element at a byte.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Spot<'t> {
    /// The key of the last step's entry.
    Key,
    /// The last step's value.
    Value(&'t Node),
}

/// The way from the root to a byte, and what is there.
#[derive(Debug, Clone)]
pub(crate) struct Location<'t> {
    pub steps: Vec<Step<'t>>,
    pub spot: Spot<'t>,
}

impl<'t> Location<'t> {
    /// The keys on the way, without the numbers of items.
    pub fn keys(&self) -> Vec<&'t str> {
        let key = |step: &Step<'t>| match step {
            Step::Entry(_, entry) => Some(entry.key.as_str()),
            Step::Item(_) => None,
        };
        self.steps.iter().filter_map(key).collect()
    }
}

/// The way to a byte: the innermost key or value that covers it or ends there.
pub(crate) fn locate(root: &Node, offset: usize) -> Location<'_> {
    let mut steps = Vec::new();
    let mut node = root;
    loop {
        let covers = |span: &Range<usize>| span.start <= offset && offset <= span.end;
        match &node.data {
            Data::Mapping(mapping) => {
                let Some(entry) = mapping.entries.iter().rfind(|entry| covers(&entry.extent()))
                else {
                    break;
                };
                steps.push(Step::Entry(mapping, entry));
                if covers(&entry.key_span) {
                    return Location { steps, spot: Spot::Key };
                }
                node = &entry.value;
            }
            Data::Sequence(items) => {
                let Some(at) = items.iter().rposition(|item| covers(&item.span)) else { break };
                steps.push(Step::Item(at));
                node = &items[at];
            }
            Data::Scalar(_) | Data::Absent => break,
        }
    }
    Location { steps, spot: Spot::Value(node) }
}

/// The tree of a text.
pub(crate) fn parse(text: &str) -> Node {
    let mut parser = Parser { text, lines: lines(text), at: 0, depth: 0 };
    let mut root = parser.block(0);
    // The rest stands further left than the first line.
    while parser.skip_blank().is_some() {
        let more = parser.block(0);
        if let (Data::Mapping(root), Data::Mapping(more)) = (&mut root.data, more.data) {
            root.entries.extend(more.entries);
        }
    }
    root
}

struct Line {
    start: usize,
    /// Behind its last byte that is not blank.
    end: usize,
    indent: usize,
    /// Nothing is written but perhaps a comment.
    is_blank: bool,
}

impl Line {
    fn content(&self) -> usize {
        self.start + self.indent
    }
}

fn lines(text: &str) -> Vec<Line> {
    let mut start = 0;
    let mut lines = Vec::new();
    for line in text.split('\n') {
        let content = line.trim_start_matches([' ', '\t', '\u{feff}']);
        let indent = line.len() - content.len();
        let is_blank =
            content.trim().is_empty() || content.starts_with('#') || content.starts_with("---");
        let end = start + line.trim_end().len().max(indent);
        lines.push(Line { start, end, indent, is_blank });
        start += line.len() + 1;
    }
    lines
}

struct Parser<'a> {
    text: &'a str,
    lines: Vec<Line>,
    /// The line that is read next.
    at: usize,
    depth: usize,
}

/// A key at the beginning of a text: what it says, its length, and the length with its colon.
fn split_key(rest: &str) -> Option<(String, usize, usize)> {
    let is_end = |behind: &str| behind.is_empty() || behind.starts_with([' ', '\t', '\r']);
    if let Some(quote) = rest.chars().next().filter(|first| matches!(first, '"' | '\'')) {
        let end = quoted_end(rest, quote)?;
        let behind = rest[end..].trim_start();
        let colon = rest.len() - behind.len();
        let found = behind.strip_prefix(':').is_some_and(is_end);
        return found.then(|| (rest[1..end - 1].to_owned(), end, colon + 1));
    }
    if rest.starts_with(['{', '[', '#']) {
        return None;
    }
    let mut from = 0;
    while let Some(found) = rest[from..].find([':', '#', '$']) {
        let at = from + found;
        let behind = &rest[at + 1..];
        match rest.as_bytes()[at] {
            b':' if is_end(behind) => {
                let key = rest[..at].trim_end();
                return Some((key.to_owned(), key.len(), at + 1));
            }
            b'#' if rest[..at].ends_with([' ', '\t']) => return None,
            b'$' if behind.starts_with("{{") => {
                from = behind.find("}}").map_or(at + 3, |close| at + 1 + close + 2);
                continue;
            }
            _ => {}
        }
        from = at + 1;
    }
    None
}

/// The length of a quoted text with both quotes, if it is closed.
fn quoted_end(rest: &str, quote: char) -> Option<usize> {
    let mut letters = rest.char_indices().skip(1);
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' if quote == '"' => _ = letters.next(),
            // Two single quotes are one of the text.
            '\'' if quote == '\'' && rest[at + 1..].starts_with('\'') => _ = letters.next(),
            letter if letter == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// The length of the part of a line before its comment and the blanks around it.
fn without_comment(rest: &str) -> usize {
    let comment =
        rest.match_indices('#').find(|(at, _)| *at == 0 || rest[..*at].ends_with([' ', '\t']));
    rest[..comment.map_or(rest.len(), |(at, _)| at)].trim_end().len()
}

impl Parser<'_> {
    /// Passes over blank lines; the next line that says something.
    fn skip_blank(&mut self) -> Option<&Line> {
        while self.lines.get(self.at).is_some_and(|line| line.is_blank) {
            self.at += 1;
        }
        self.lines.get(self.at)
    }

    fn is_item(&self, offset: usize) -> bool {
        let rest = &self.text[offset..];
        rest.strip_prefix('-')
            .is_some_and(|behind| behind.is_empty() || behind.starts_with([' ', '\n', '\r', '\t']))
    }

    /// Parses the following lines that are indented by at least `min`.
    fn block(&mut self, min: usize) -> Node {
        let Some(line) = self.skip_blank() else { return Node::absent(self.text.len()) };
        if line.indent < min {
            return Node::absent(line.start);
        }
        let (offset, indent) = (line.content(), line.indent);
        self.content(offset, indent, min)
    }

    /// Parses the node that begins at a byte of the current line; following lines are indented by
    /// at least `min`.
    fn content(&mut self, offset: usize, indent: usize, min: usize) -> Node {
        self.depth += 1;
        let end = self.lines[self.at].end;
        let rest = &self.text[offset.min(end)..end];
        let node = if self.depth > MAX_DEPTH {
            self.at += 1;
            Node::absent(offset)
        } else if self.is_item(offset) {
            self.sequence(offset, indent, min)
        } else if split_key(rest).is_some() {
            self.mapping(offset, min)
        } else {
            self.value(offset, min as isize - 1)
        };
        self.depth -= 1;
        node
    }

    fn mapping(&mut self, mut offset: usize, min: usize) -> Node {
        let start = offset;
        let mut entries = Vec::new();
        loop {
            let line = &self.lines[self.at];
            let indent = offset - line.start;
            if self.is_item(offset) {
                // A stray item is no entry; what stands in it is read, and left out.
                self.sequence(offset, indent, indent.max(min));
            } else {
                entries.push(self.entry(offset, indent));
            }
            match self.skip_blank() {
                Some(line) if line.indent >= min => offset = line.content(),
                _ => break,
            }
        }
        let end = entries.last().map_or(start, |entry: &Entry| entry.extent().end);
        Node { span: start..end, data: Data::Mapping(Mapping { entries, flow: false }) }
    }

    fn entry(&mut self, offset: usize, indent: usize) -> Entry {
        let end = self.lines[self.at].end;
        let rest = &self.text[offset..end];
        match split_key(rest) {
            Some((key, length, with_colon)) => {
                let value = self.value(offset + with_colon, indent as isize);
                Entry { key, key_span: offset..offset + length, has_colon: true, value }
            }
            None => {
                let length = without_comment(rest);
                self.at += 1;
                let key = rest[..length].to_owned();
                let key_span = offset..offset + length;
                Entry { key, key_span, has_colon: false, value: Node::absent(offset + length) }
            }
        }
    }

    fn sequence(&mut self, mut offset: usize, mut indent: usize, min: usize) -> Node {
        let start = offset;
        let mut items = Vec::new();
        let mut reached = offset + 1;
        loop {
            let end = self.lines[self.at].end;
            let behind = &self.text[(offset + 1).min(end)..end];
            let blanks = behind.len() - behind.trim_start().len();
            let content = offset + 1 + blanks;
            let item = if without_comment(behind.trim_start()) == 0 {
                self.at += 1;
                match self.skip_blank() {
                    Some(line) if line.indent > indent => self.block(indent + 1),
                    _ => Node::absent(offset + 1),
                }
            } else {
                self.content(content, indent + 1 + blanks, indent + 1)
            };
            reached = reached.max(item.span.end);
            items.push(item);
            let next = self.skip_blank().map(|line| (line.indent, line.content()));
            match next {
                Some((next, at)) if next >= min && self.is_item(at) => {
                    (indent, offset) = (next, at)
                }
                _ => break,
            }
        }
        Node { span: start..reached, data: Data::Sequence(items) }
    }

    /// The value that begins behind a colon or a dash on the current line; what belongs to it on
    /// further lines is indented more than `indent`.
    fn value(&mut self, from: usize, indent: isize) -> Node {
        let end = self.lines[self.at].end;
        let mut start = from.min(end);
        loop {
            let rest = &self.text[start..end];
            start += rest.len() - rest.trim_start().len();
            // Anchors and tags are passed over.
            if !self.text[start..end].starts_with(['&', '!']) {
                break;
            }
            let word = &self.text[start..end];
            start += word.find([' ', '\t']).unwrap_or(word.len());
        }
        let rest = &self.text[start..end];
        match rest.chars().next() {
            None | Some('#') => {
                self.at += 1;
                let next = self.skip_blank().map(|line| (line.indent, line.content()));
                match next {
                    Some((next, _)) if next as isize > indent => {
                        self.block((indent + 1).max(0) as usize)
                    }
                    Some((next, at)) if next as isize == indent && self.is_item(at) => {
                        self.content(at, next, next)
                    }
                    // One blank behind the colon is where a value would stand.
                    _ => Node::absent((from + 1).min(self.line_end_of(from))),
                }
            }
            Some('|' | '>') => self.block_scalar(start, indent),
            Some('{' | '[') => {
                let limit = self.flow_limit(indent);
                let (node, reached) = Flow { text: &self.text[..limit] }.node(start, 0);
                self.go_behind(reached);
                node
            }
            Some(quote @ ('"' | '\'')) => {
                let limit = self.flow_limit(indent);
                let (node, reached) = quoted(self.text, start, limit, end, quote);
                self.go_behind(reached);
                node
            }
            Some(_) => self.plain(start, indent),
        }
    }

    /// The end of the line of a byte, blanks and all.
    fn line_end_of(&self, offset: usize) -> usize {
        self.text[offset..].find(['\n', '\r']).map_or(self.text.len(), |end| offset + end)
    }

    /// Goes to the line behind that of the byte before an offset.
    fn go_behind(&mut self, offset: usize) {
        let line = self.lines.partition_point(|line| line.start < offset);
        self.at = line.max(self.at + 1);
    }

    /// Latest end of brackets and quotes that open on the current line: before the next
    /// line that is indented no more than theirs and does not begin with a closing bracket.
    fn flow_limit(&self, indent: isize) -> usize {
        let next = self.lines[self.at + 1..].iter().find(|line| {
            !line.is_blank
                && line.indent as isize <= indent
                && !self.text[line.content()..].starts_with(['}', ']'])
        });
        next.map_or(self.text.len(), |line| line.start)
    }

    fn block_scalar(&mut self, start: usize, indent: isize) -> Node {
        let mut end = self.lines[self.at].end;
        let body = self.line_end_of(start);
        self.at += 1;
        while let Some(line) = self.lines.get(self.at) {
            let is_empty = line.end <= line.content();
            if !is_empty && line.indent as isize <= indent {
                break;
            }
            if !is_empty {
                end = line.end;
            }
            self.at += 1;
        }
        let body = body.min(end);
        let text = self.text[body..end].to_owned();
        Node { span: start..end, data: Data::Scalar(Scalar { text, quoted: true, start: body }) }
    }

    fn plain(&mut self, start: usize, indent: isize) -> Node {
        let line_end = self.lines[self.at].end;
        let mut end = start + without_comment(&self.text[start..line_end]);
        self.at += 1;
        while let Some(line) = self.lines.get(self.at) {
            let (from, to) = (line.content(), line.end);
            let goes_on = !line.is_blank
                && line.indent as isize > indent
                && !self.is_item(from)
                && split_key(&self.text[from..to]).is_none();
            if !goes_on {
                break;
            }
            end = from + without_comment(&self.text[from..to]);
            self.at += 1;
        }
        let text = self.text[start..end].to_owned();
        Node { span: start..end, data: Data::Scalar(Scalar { text, quoted: false, start }) }
    }
}

/// A quoted text; one that is never closed ends with its line.
fn quoted(text: &str, start: usize, limit: usize, line_end: usize, quote: char) -> (Node, usize) {
    let (end, content_end) = match quoted_end(&text[start..limit], quote) {
        Some(length) => (start + length, start + length - 1),
        None => (line_end, line_end.max(start + 1)),
    };
    let content = text[start + 1..content_end.max(start + 1).min(text.len())].to_owned();
    let scalar = Scalar { text: content, quoted: true, start: start + 1 };
    (Node { span: start..end, data: Data::Scalar(scalar) }, end)
}

/// Values in brackets, up to the end of a text.
struct Flow<'a> {
    text: &'a str,
}

impl Flow<'_> {
    /// Passes over blanks, line ends and comments.
    fn skip(&self, mut at: usize) -> usize {
        loop {
            let rest = &self.text[at..];
            at += rest.len() - rest.trim_start().len();
            if !self.text[at..].starts_with('#') {
                return at;
            }
            at = self.text[at..].find('\n').map_or(self.text.len(), |end| at + end);
        }
    }

    fn starts_with(&self, at: usize, letters: &[char]) -> bool {
        self.text[at..].starts_with(letters)
    }

    /// The value at a byte, and the byte behind it.
    fn node(&self, at: usize, depth: usize) -> (Node, usize) {
        match self.text[at..].chars().next() {
            Some('{' | '[') if depth >= MAX_DEPTH => (Node::absent(at), self.text.len()),
            Some('{') => self.mapping(at, depth),
            Some('[') => self.sequence(at, depth),
            Some(quote @ ('"' | '\'')) => {
                let line_end = self.text[at..].find('\n').map_or(self.text.len(), |end| at + end);
                let line_end = at + self.text[at..line_end].trim_end().len();
                quoted(self.text, at, self.text.len(), line_end, quote)
            }
            _ => {
                let end = self.plain_end(at);
                let text = self.text[at..end].to_owned();
                let data = match text.is_empty() {
                    true => Data::Absent,
                    false => Data::Scalar(Scalar { text, quoted: false, start: at }),
                };
                (Node { span: at..end, data }, end)
            }
        }
    }

    /// The end of an unquoted text: before a comma, a bracket, a colon with a blank, a comment or
    /// the end of the line. Expressions, and points picked in brackets, are passed over as a whole,
    /// though YAML wants them quoted here.
    fn plain_end(&self, start: usize) -> usize {
        let mut at = start;
        while let Some(letter) = self.text[at..].chars().next() {
            let rest = &self.text[at..];
            if rest.starts_with("${{") {
                let line = rest.find('\n').unwrap_or(rest.len());
                at += rest[..line].find("}}").map_or(line, |close| close + 2);
                continue;
            }
            let behind = &rest[letter.len_utf8()..];
            let ends = match letter {
                ',' | '{' | '}' | ']' | '\n' | '\r' => true,
                '[' if at > start => {
                    let line = rest.find('\n').unwrap_or(rest.len());
                    if let Some(close) = rest[..line].find(']') {
                        at += close + 1;
                        continue;
                    }
                    true
                }
                '[' => true,
                ':' => {
                    behind.is_empty() || behind.starts_with([' ', '\n', '\r', ',', '}', ']', '\t'])
                }
                '#' => self.text[start..at].ends_with([' ', '\t']),
                _ => false,
            };
            if ends {
                break;
            }
            at += letter.len_utf8();
        }
        start + self.text[start..at].trim_end().len()
    }

    fn mapping(&self, start: usize, depth: usize) -> (Node, usize) {
        let mut entries = Vec::new();
        let mut at = start + 1;
        let end = loop {
            at = self.skip(at);
            if at >= self.text.len() {
                break at;
            }
            if self.starts_with(at, &['}']) {
                break at + 1;
            }
            if self.starts_with(at, &[',', ']', ':']) {
                at += 1;
                continue;
            }
            let (key_node, mut reached) = match self.starts_with(at, &['{', '[']) {
                // A key cannot be a list or a mapping.
                true => (Node::absent(at), self.node(at, depth + 1).1),
                false => self.node(at, depth + 1),
            };
            reached = reached.max(at + usize::from(key_node.span.is_empty()));
            let key = key_node.scalar().map(|scalar| scalar.text.clone()).unwrap_or_default();
            let colon = self.skip(reached);
            let has_colon = self.starts_with(colon, &[':']);
            let mut value = Node::absent(reached);
            if has_colon {
                let from = self.skip(colon + 1);
                // One blank behind the colon is where a value would stand.
                let blank = usize::from(self.text[colon + 1..].starts_with(' '));
                (value, reached) = match self.starts_with(from, &[',', '}', ']']) {
                    true => (Node::absent(colon + 1 + blank), colon + 1),
                    false if from >= self.text.len() => {
                        (Node::absent(colon + 1 + blank), self.text.len())
                    }
                    false => self.node(from, depth + 1),
                };
            }
            if !key_node.span.is_empty() {
                entries.push(Entry { key, key_span: key_node.span, has_colon, value });
            }
            at = reached;
        };
        let data = Data::Mapping(Mapping { entries, flow: true });
        (Node { span: start..end.min(self.text.len()), data }, end.min(self.text.len()))
    }

    fn sequence(&self, start: usize, depth: usize) -> (Node, usize) {
        let mut items = Vec::new();
        let mut at = start + 1;
        let end = loop {
            at = self.skip(at);
            if at >= self.text.len() {
                break at;
            }
            if self.starts_with(at, &[']']) {
                break at + 1;
            }
            if self.starts_with(at, &[',', '}', ':']) {
                at += 1;
                continue;
            }
            let (item, reached) = self.node(at, depth + 1);
            at = reached.max(at + usize::from(item.span.is_empty()));
            items.push(item);
        };
        let span = start..end.min(self.text.len());
        (Node { span, data: Data::Sequence(items) }, end.min(self.text.len()))
    }
}

#[cfg(test)]
mod tests;
