//! Frequent slips that cause a syntax error: the parser gives the place where it stopped, and this
//! the mistake and its place.
//!
//! Lines are read as a person reads them: by their indentation, their key and their first
//! letters.

use std::ops::Range;

/// A slip, at bytes of the text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Slip {
    pub span: Range<usize>,
    pub message: String,
    pub hint: String,
    /// The range to replace, its replacement, and a title of the fix.
    pub fix: Option<(Range<usize>, String, String)>,
}

/// Greatest number of lines above an error that are searched.
const MAX_LINES_ABOVE: usize = 2_000;

/// A line with something on it.
#[derive(Debug, Clone, Copy)]
struct Line<'t> {
    start: usize,
    /// Without the blanks around it.
    content: &'t str,
    indent: usize,
}

impl<'t> Line<'t> {
    fn at(&self) -> usize {
        self.start + self.indent
    }

    fn end(&self) -> usize {
        self.at() + self.content.len()
    }

    /// True if it is a key whose value stands on the lines below.
    fn opens(&self) -> bool {
        self.key().is_some_and(|(_, value)| value.is_empty())
    }

    /// The key that the line begins with, and the text after its colon.
    fn key(&self) -> Option<(&'t str, &'t str)> {
        let (key, rest) = self.content.split_at(word_length(self.content));
        let rest = rest.strip_prefix(':').filter(|_| !key.is_empty())?;
        let value = without_comment(rest).trim();
        (rest.is_empty() || rest.starts_with([' ', '\t'])).then_some((key, value))
    }
}

fn word_length(text: &str) -> usize {
    text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-')).unwrap_or(text.len())
}

/// A text up to its comment. A sign in a quotation that is closed begins none.
fn without_comment(text: &str) -> &str {
    let (mut at, mut before) = (0, ' ');
    while let Some(letter) = text[at..].chars().next() {
        if letter == '#' && before == ' ' {
            return &text[..at];
        }
        let begins = matches!(letter, '"' | '\'') && matches!(before, ' ' | '[' | '{' | ',');
        at += letter.len_utf8();
        if let Some(end) = text[at..].find(letter).filter(|_| begins) {
            at += end + 1;
        }
        before = letter;
    }
    text
}

fn plural(spaces: usize) -> String {
    if spaces == 1 { "1 space".to_owned() } else { format!("{spaces} spaces") }
}

/// Lines that are not blank, up to that of a byte and the one after it, last first.
fn lines(text: &str, at: usize) -> (Option<Line<'_>>, Vec<Line<'_>>) {
    let mut start = 0;
    let mut before = Vec::new();
    for whole in text.split('\n') {
        let content = whole.trim();
        let indent = whole.len() - whole.trim_start().len();
        let line = Line { start, content, indent };
        let is_blank = content.is_empty() || content.starts_with('#');
        if start > at {
            if !is_blank {
                before.reverse();
                before.truncate(MAX_LINES_ABOVE);
                return (Some(line), before);
            }
        } else if !is_blank || start + whole.len() >= at {
            before.push(line);
        }
        start += whole.len() + 1;
    }
    before.reverse();
    before.truncate(MAX_LINES_ABOVE);
    (None, before)
}

/// The slip that a syntax error at a byte likely comes from.
pub(super) fn find(text: &str, at: usize, keys: &[&str]) -> Option<Slip> {
    let (next, above) = lines(text, at);
    let (line, above) = above.split_first()?;
    tab(text, [Some(*line), next], above, keys)
        .or_else(|| typographic_quotes(line))
        .or_else(|| unknown_escape(line, at))
        .or_else(|| expression_without_dollar(line))
        .or_else(|| unclosed_quote(above))
        .or_else(|| unclosed_bracket(line, above))
        .or_else(|| unquoted_expression(line))
        .or_else(|| no_space(line, keys).or_else(|| no_space(above.first()?, keys)))
        .or_else(|| no_comma(text, line, at).or_else(|| two_commas(line, at)))
        .or_else(|| unquoted_brackets(line, at))
        .or_else(|| no_colon(line, keys))
        .or_else(|| equals_sign(line).or_else(|| equals_sign(above.first()?)))
        .or_else(|| dash(line, above))
        .or_else(|| indentation(line, above, next, keys))
}

fn tab(
    text: &str,
    lines: [Option<Line<'_>>; 2],
    above: &[Line<'_>],
    keys: &[&str],
) -> Option<Slip> {
    let is_tabbed = |line: &Line<'_>| text[line.start..line.at()].contains('\t');
    let (line, previous, below) = match lines {
        [Some(line), next] if is_tabbed(&line) => {
            (line, above.first().copied(), next.filter(|next| !is_tabbed(next)))
        }
        [previous, next] => (next.filter(is_tabbed)?, previous, None),
    };
    let span = line.start..line.at();
    // Editors show a tab as wide as they like; two spaces a step is what workflows are written
    // with.
    let by_width = text[span.clone()].chars().map(|c| if c == '\t' { 2 } else { 1 }).sum();
    let spaces = match (previous.filter(Line::opens), below) {
        // The first of several keys stands where the others do.
        (Some(outer), Some(below)) if below.indent > outer.indent => below.indent,
        (Some(_), _) => by_width,
        // Others stand where the keys of the same sort above and below do.
        (None, _) => {
            let mut beside = previous.into_iter().chain(below);
            let likes = beside.find(|other| are_alike(&line, other, keys));
            likes.map_or(by_width, |other| other.indent)
        }
    };
    Some(Slip {
        message: "this line is indented with a tab".to_owned(),
        hint: "indent with spaces; YAML does not allow tabs there".to_owned(),
        fix: Some((span.clone(), " ".repeat(spaces), "indent with spaces".to_owned())),
        span,
    })
}

/// True if two lines are keys of the same sort, such as `uses` and `over`, or two names.
fn are_alike(line: &Line<'_>, other: &Line<'_>, keys: &[&str]) -> bool {
    let is_known = |line: &Line<'_>| line.key().map(|(key, _)| keys.contains(&key));
    is_known(line).is_some() && is_known(line) == is_known(other)
}

/// Span of an expression that a line opens, without the blanks.
fn braces(line: &Line<'_>, opening: &str) -> Option<Range<usize>> {
    let found = line.content.find(opening)?;
    let end = line.content[found..].find("}}").map(|close| found + close + 2)?;
    Some(line.at() + found..line.at() + end)
}

/// The slip of an expression without its dollar, with its correction.
pub(super) fn without_dollar(text: &str, at: usize) -> Option<Slip> {
    let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let whole = text[start..].lines().next()?;
    let indent = whole.len() - whole.trim_start().len();
    expression_without_dollar(&Line { start, content: whole.trim(), indent })
}

fn expression_without_dollar(line: &Line<'_>) -> Option<Slip> {
    let span = braces(line, "{{")?;
    let before = &line.content[..span.start - line.at()];
    if before.ends_with('$') || before.ends_with(['"', '\'']) {
        return None;
    }
    let inside =
        line.content[span.start - line.at()..span.end - line.at()].trim_matches(['{', '}']);
    let right = format!("\"${{{{ {} }}}}\"", inside.trim());
    Some(Slip {
        message: "an expression begins with `${{`".to_owned(),
        hint: format!("write {right}"),
        fix: Some((span.clone(), right.clone(), format!("write {right}"))),
        span,
    })
}

fn unquoted_expression(line: &Line<'_>) -> Option<Slip> {
    let span = braces(line, "${{")?;
    let before = &line.content[..span.start - line.at()];
    let is_quoted = before.matches('"').count() % 2 == 1 || before.matches('\'').count() % 2 == 1;
    if is_quoted || !before.contains(['{', '[']) {
        return None;
    }
    let right = format!("\"{}\"", &line.content[span.start - line.at()..span.end - line.at()]);
    Some(Slip {
        message: "an expression inside of `{ }` or `[ ]` must be quoted".to_owned(),
        hint: format!("write {right}"),
        fix: Some((span.clone(), right.clone(), format!("write {right}"))),
        span,
    })
}

/// A quotation that begins a value on a line above, and does not end there.
fn unclosed_quote(above: &[Line<'_>]) -> Option<Slip> {
    above.iter().find_map(|line| {
        let (key, value) = line.key()?;
        let quote = value.chars().next().filter(|first| matches!(first, '"' | '\''))?;
        if value[1..].contains(quote) {
            return None;
        }
        let start = line.at() + line.content.find(value)?;
        let end = start + value.len();
        Some(Slip {
            span: start..end,
            message: format!("the quotation behind `{key}` is not closed"),
            hint: format!("write {quote} at its end"),
            fix: Some((end..end, quote.to_string(), format!("close it with {quote}"))),
        })
    })
}

/// A bracket that is still open when a line comes that is a key beside that of the bracket.
fn unclosed_bracket(line: &Line<'_>, above: &[Line<'_>]) -> Option<Slip> {
    let mut until = line;
    for opening in above {
        let opens = opening.key().is_some_and(|(_, value)| value.starts_with(['[', '{']));
        if opens && until.indent <= opening.indent && until.key().is_some() {
            let mut open: Vec<(usize, char)> = Vec::new();
            let mut quote = None;
            let content = without_comment(opening.content);
            for (at, letter) in content.char_indices() {
                match (quote, letter) {
                    (Some((_, own)), letter) if own == letter => quote = None,
                    (Some(_), _) => {}
                    (None, '"' | '\'') => quote = Some((at, letter)),
                    (None, '[' | '{') => open.push((at, letter)),
                    (None, ']' | '}') => _ = open.pop(),
                    _ => {}
                }
            }
            if let Some((at, quote)) = quote {
                return Some(Slip {
                    span: opening.at() + at..opening.end(),
                    message: "the quotation that begins here is not closed".to_owned(),
                    hint: format!("write {quote} at its end"),
                    fix: None,
                });
            }
            let (at, letter) = open.pop()?;
            let close = if letter == '[' { "]" } else { " }" };
            let (start, end) = (opening.at() + at, opening.at() + content.trim_end().len());
            return Some(Slip {
                span: start..start + 1,
                message: format!("this `{letter}` is never closed"),
                hint: format!("write `{}` where it ends", close.trim()),
                fix: Some((
                    end..end,
                    close.to_owned(),
                    format!("close it with `{}`", close.trim()),
                )),
            });
        }
        if opens {
            return None;
        }
        until = opening;
    }
    None
}

/// `key:value`, which YAML takes for one word.
fn no_space(line: &Line<'_>, keys: &[&str]) -> Option<Slip> {
    let (key, rest) = line.content.split_at(word_length(line.content));
    let value = rest.strip_prefix(':')?;
    if !keys.contains(&key) || value.is_empty() || value.starts_with([' ', '\t']) {
        return None;
    }
    let colon = line.at() + key.len();
    Some(Slip {
        span: line.at()..line.end(),
        message: format!("a space is missing behind `{key}:`"),
        hint: format!("write `{key}: {value}`"),
        fix: Some((
            colon + 1..colon + 1,
            " ".to_owned(),
            "put a space behind the colon".to_owned(),
        )),
    })
}

/// `{ a: b c: d }`: the parser stops at the second colon.
fn no_comma(text: &str, line: &Line<'_>, at: usize) -> Option<Slip> {
    let before = line.content.get(..at.checked_sub(line.at())?)?;
    if !text[at..].starts_with(':') || !before.contains(['{', '[']) {
        return None;
    }
    let word = before.len() - before.rfind(|c: char| c.is_whitespace()).map(|blank| blank + 1)?;
    let start = at - word;
    let gap = before[..before.len() - word].trim_end();
    let comma = gap.trim_end_matches(';').len()..gap.len();
    if word == 0 || gap.ends_with([',', '{', '[', ':']) {
        return None;
    }
    Some(Slip {
        span: start..at,
        message: format!("a comma is missing before `{}`", &text[start..at]),
        hint: "entries in braces are parted by commas".to_owned(),
        fix: Some((
            line.at() + comma.start..line.at() + comma.end,
            ",".to_owned(),
            "put a comma there".to_owned(),
        )),
    })
}

/// `{ a: b,, c: d }`.
fn two_commas(line: &Line<'_>, at: usize) -> Option<Slip> {
    let first = line.content[..at.checked_sub(line.at())?].rfind(',')?;
    let gap = line.content[first + 1..].find(|c: char| !c.is_whitespace())?;
    let second = first + 1 + gap;
    let span = line.at() + second..line.at() + second + 1;
    line.content[second..].starts_with(',').then(|| Slip {
        message: "there are two commas".to_owned(),
        hint: "one comma parts two entries".to_owned(),
        fix: Some((line.at() + first + 1..span.end, String::new(), "remove it".to_owned())),
        span,
    })
}

/// Quotation marks of a word processor, which YAML takes for letters.
fn typographic_quotes(line: &Line<'_>) -> Option<Slip> {
    const MARKS: [char; 4] = ['\u{201c}', '\u{201d}', '\u{2018}', '\u{2019}'];
    let start = line.content.find(MARKS)?;
    let last = line.content.rfind(MARKS)?;
    let end = last + line.content[last..].chars().next().map_or(0, char::len_utf8);
    let right = line.content[start..end]
        .replace(['\u{201c}', '\u{201d}'], "\"")
        .replace(['\u{2018}', '\u{2019}'], "'");
    let span = line.at() + start..line.at() + end;
    Some(Slip {
        message: "these are typographic quotation marks".to_owned(),
        hint: format!("write {right}"),
        fix: Some((span.clone(), right.clone(), format!("write {right}"))),
        span,
    })
}

/// A backslash that begins no escape of YAML, such as one of a pattern, between double quotes.
fn unknown_escape(line: &Line<'_>, at: usize) -> Option<Slip> {
    let before = line.content.get(..at.checked_sub(line.at())?)?;
    let start = match line.content[before.len()..].starts_with('"') {
        true => before.len(),
        false => before.rfind('"')?,
    };
    let length = line.content[start + 1..].find('"')?;
    let inside = &line.content[start + 1..start + 1 + length];
    const ESCAPES: &str = "0abtnvfre \"/\\N_LPxuU";
    let mut letters = inside.split('\\').skip(1).filter_map(|rest| rest.chars().next());
    if letters.all(|letter| ESCAPES.contains(letter)) {
        return None;
    }
    let right = format!("'{inside}'");
    let span = line.at() + start..line.at() + start + length + 2;
    Some(Slip {
        message: "between double quotes a backslash begins an escape".to_owned(),
        hint: format!("write {right}"),
        fix: (!inside.contains('\''))
            .then(|| (span.clone(), right.clone(), format!("write {right}"))),
        span,
    })
}

/// A text with brackets, such as a reference with a selection or a pattern, inside of other
/// brackets.
fn unquoted_brackets(line: &Line<'_>, at: usize) -> Option<Slip> {
    let before = line.content.get(..at.checked_sub(line.at())?)?;
    let start = before.rfind(": ")? + 2;
    let value = &line.content[start..];
    if !before[..start].contains('{') || value.starts_with(['"', '\'', '[', '{', ' ']) {
        return None;
    }
    let mut depth = 0_usize;
    let end = value.char_indices().find_map(|(at, letter)| {
        match letter {
            '[' | '{' => depth += 1,
            ']' | '}' | ',' if depth == 0 => return Some(at),
            ']' | '}' => depth -= 1,
            _ => {}
        }
        None
    })?;
    let text = value[..end].trim_end();
    if !text.contains(['[', '{']) {
        return None;
    }
    let quote = if text.contains(['"', '\\']) { '\'' } else { '"' };
    let right = format!("{quote}{text}{quote}");
    let span = line.at() + start..line.at() + start + text.len();
    Some(Slip {
        message: "a text with brackets inside of `{ }` or `[ ]` must be quoted".to_owned(),
        hint: format!("write {right}"),
        fix: (!text.contains(quote))
            .then(|| (span.clone(), right.clone(), format!("write {right}"))),
        span,
    })
}

/// `key = value`.
fn equals_sign(line: &Line<'_>) -> Option<Slip> {
    let (key, rest) = line.content.split_at(word_length(line.content));
    let value = rest.trim_start().strip_prefix('=').filter(|_| !key.is_empty())?;
    let gap = line.at() + key.len()..line.end() - value.trim_start().len();
    Some(Slip {
        span: line.at()..line.end(),
        message: format!("`{key}` and its value are parted by a colon"),
        hint: format!("write `{key}: {}`", value.trim_start()),
        fix: Some((gap, ": ".to_owned(), "write a colon".to_owned())),
    })
}

/// A line that is a name alone, or a known key without its colon.
fn no_colon(line: &Line<'_>, keys: &[&str]) -> Option<Slip> {
    let (word, rest) = line.content.split_at(word_length(line.content));
    let is_alone = !word.is_empty() && rest.is_empty();
    let is_value = rest.trim_start().starts_with(['{', '[']) || !rest.contains(": ");
    let is_key = rest.starts_with(' ') && keys.contains(&word) && is_value;
    if !is_alone && !is_key {
        return None;
    }
    let end = line.at() + word.len();
    Some(Slip {
        span: line.at()..end,
        message: format!("a colon is missing behind `{word}`"),
        hint: format!("write `{word}:{rest}`"),
        fix: Some((end..end, ":".to_owned(), "put a colon there".to_owned())),
    })
}

/// A key beside an item of a list.
fn dash(line: &Line<'_>, above: &[Line<'_>]) -> Option<Slip> {
    let (key, _) = line.key()?;
    let mut beside = above.iter().take_while(|other| other.indent >= line.indent);
    let item =
        beside.find(|other| other.indent == line.indent && other.content.starts_with("- "))?;
    let name = item.content[1..].trim_start();
    let length = item.content.len() - name.len();
    let span = item.at()..item.at() + 1;
    Some(Slip {
        span,
        message: format!("`-` begins an item of a list, and `{key}` beside it is a key"),
        hint: format!("names are written without dashes: `{}`", without_comment(name)),
        fix: Some((item.at()..item.at() + length, String::new(), "remove the dash".to_owned())),
    })
}

/// A key that stands too far to the left between two others, or as the first below the key that
/// holds them.
fn too_little(odd: &Line<'_>, line: &Line<'_>, above: &[Line<'_>]) -> Option<Slip> {
    let nearest = above.iter().find(|other| other.indent <= line.indent)?;
    let is_first = above.first().is_some_and(|outer| outer.indent == odd.indent && outer.opens());
    if nearest.indent != line.indent && !is_first {
        return None;
    }
    beside(odd, line, "below")
}

/// A key that is the first below the key that holds it, and stands in another column than the two
/// that follow, or far to the right of the one that follows.
fn odd_first(line: &Line<'_>, above: &[Line<'_>], next: Option<Line<'_>>) -> Option<Slip> {
    let outer = above.iter().position(|other| other.indent < line.indent && other.opens())?;
    let (first, inside) = above[..outer].split_last()?;
    let is_alone = inside.iter().all(|other| other.indent > first.indent);
    let next = next.map(|next| next.indent);
    let far = first.indent.saturating_sub(above[outer].indent);
    let near = line.indent - above[outer].indent;
    let is_odd = first.indent != line.indent
        && (next == Some(line.indent) || far >= 2 * near && next != Some(first.indent));
    (is_alone && is_odd).then(|| beside(first, line, "below"))?
}

/// The slip of a key that must stand in the column of another one.
fn beside(odd: &Line<'_>, other: &Line<'_>, side: &str) -> Option<Slip> {
    let ((key, _), (neighbour, _)) = (odd.key()?, other.key()?);
    let spaces = plural(other.indent);
    Some(Slip {
        span: odd.at()..odd.at() + key.len(),
        message: format!(
            "`{key}` is indented by {}, and `{neighbour}` {side} it by {}",
            plural(odd.indent),
            other.indent
        ),
        hint: format!("the keys of one mapping stand in one column: indent it by {spaces}"),
        fix: Some((odd.start..odd.at(), " ".repeat(other.indent), format!("indent by {spaces}"))),
    })
}

/// A key in no column of those above it, or below a key that has a value already.
fn indentation(
    line: &Line<'_>,
    above: &[Line<'_>],
    next: Option<Line<'_>>,
    keys: &[&str],
) -> Option<Slip> {
    line.key()?;
    let previous = above.first()?;
    let mut columns: Vec<&Line<'_>> = Vec::new();
    for other in above {
        if columns.last().is_none_or(|last| other.indent < last.indent) {
            columns.push(other);
        }
    }
    let is_deeper = line.indent > previous.indent;
    if is_deeper && previous.opens() {
        // It stands well; something else is wrong with it.
        return None;
    }
    if !is_deeper && columns.iter().any(|other| other.indent == line.indent) {
        return None;
    }
    let left = above.iter().position(|other| other.indent < line.indent);
    if let Some(left) = left.filter(|left| is_deeper || are_alike(line, &above[*left], keys))
        && let Some(slip) = too_little(&above[left], line, &above[left + 1..])
    {
        return Some(slip);
    }
    if let Some(slip) = odd_first(line, above, next) {
        return Some(slip);
    }
    // The neighbour that is a key of the same sort, or else the nearest.
    let distance = |other: &Line<'_>| other.indent.abs_diff(line.indent);
    let likes = columns.iter().copied().filter(|other| are_alike(line, other, keys));
    let nearest = likes.min_by_key(|other| distance(other));
    let nearest = nearest.or_else(|| columns.iter().copied().min_by_key(|other| distance(other)));
    beside(line, nearest?, "above")
}
