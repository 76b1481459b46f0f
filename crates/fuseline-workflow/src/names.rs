//! Names, and suggestions for misspelt ones.

/// Values by name.
#[expect(clippy::disallowed_types, reason = "looked up by name and never iterated")]
pub(crate) type NameMap<K, V> = std::collections::HashMap<K, V>;

/// True if a text can name a param or an axis: a name that an expression can spell.
pub(crate) fn is_identifier(text: &str) -> bool {
    is_name(text) && !text.contains('-')
}

/// True if a text can name a workflow, a stage or a port.
pub(crate) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

/// Greatest number of names considered, and of those compared letter by letter: those that begin
/// and end most alike. So a file of thousands of mistakes among thousands of names is answered
/// soon.
const MAX_NAMES: usize = 400;
const MAX_COMPARED: usize = 8;

/// Number of letters that two texts share at their beginnings and at their ends, in any case.
fn shared_ends(one: &str, other: &str) -> usize {
    let alike = |(a, b): &(u8, u8)| a.eq_ignore_ascii_case(b);
    let start = one.bytes().zip(other.bytes()).take_while(alike).count();
    let end = one.bytes().rev().zip(other.bytes().rev()).take_while(alike).count();
    start + end
}

/// A word without the ending of its plural: `retries` is that of `retry`.
fn singular(word: &str) -> String {
    let word = word.to_lowercase();
    match word.strip_suffix("ies") {
        Some(stem) => format!("{stem}y"),
        None => word.trim_end_matches('s').to_owned(),
    }
}

/// The closest of some names, if it is close enough to have been meant.
pub(crate) fn suggest<'a>(
    written: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let lower = written.to_lowercase();
    let length = written.chars().count();
    let reach = match length {
        // Names of that length are not misspelt, and the distance of long texts takes long to
        // compute.
        100.. => return None,
        0..=4 => 1,
        5 => 2,
        n => n / 3 + 1,
    };
    let mut likely: Vec<_> = names
        .into_iter()
        .take(MAX_NAMES)
        .filter(|name| *name != written)
        // The distance is at least the difference of lengths, which is cheap to find.
        .filter(|name| name.chars().count().abs_diff(length) <= reach)
        .map(|name| (std::cmp::Reverse(shared_ends(written, name)), name))
        .collect();
    likely.sort_unstable();
    if let Some((_, name)) = likely.iter().find(|(_, name)| singular(name) == singular(&lower)) {
        return Some(name);
    }
    likely
        .into_iter()
        .take(MAX_COMPARED)
        .map(|(_, name)| name)
        .map(|name| (strsim::damerau_levenshtein(&lower, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= reach && *distance < name.chars().count())
        .min()
        .map(|(_, name)| name)
}

/// The closest of some names of files, if it differs by a slip of one letter, or two in a long
/// name. A name that differs by a digit is another file of a series.
pub fn suggest_file<'a>(
    written: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let digits = |name: &str| name.chars().filter(char::is_ascii_digit).collect::<String>();
    let length = written.chars().count();
    let reach = if length < 8 { 1 } else { 2 };
    let names = names.into_iter().filter(|name| {
        *name != written
            && name.chars().count().abs_diff(length) <= reach
            && digits(name) == digits(written)
    });
    let lower = written.to_lowercase();
    names
        .map(|name| (strsim::damerau_levenshtein(&lower, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= reach && *distance < name.chars().count())
        .min()
        .map(|(_, name)| name)
}

/// A hint for an unknown name, the closest or all when they are few, and the closest itself.
pub(crate) fn hint<'a>(
    written: &str,
    what: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> (Option<String>, Option<&'a str>) {
    let names: Vec<&str> = names.into_iter().collect();
    if let Some(near) = suggest(written, names.iter().copied()) {
        return (Some(format!("did you mean `{near}`?")), Some(near));
    }
    let all = match names.as_slice() {
        [] => None,
        [only] => Some(format!("the only {what} is `{only}`")),
        few if few.len() <= 12 => Some(format!("{} are {}", plural(what), list(few))),
        many => {
            Some(format!("{} are {}, … ({} in all)", plural(what), list(&many[..8]), many.len()))
        }
    };
    (all, None)
}

/// Names in backticks with commas.
pub(crate) fn list(names: &[impl AsRef<str>]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{}`", name.as_ref())).collect();
    quoted.join(", ")
}

fn plural(what: &str) -> String {
    match what.strip_suffix("axis") {
        Some(before) => format!("{before}axes"),
        None if what.ends_with("family") => what.replace("family", "families"),
        None => format!("{what}s"),
    }
}

/// A text cut to a length that fits into a message.
pub(crate) fn short(text: &str) -> String {
    let line: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(41).collect();
    match line.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_suggested_and_a_stranger_is_not() {
        let kinds = ["quality.margin", "quality.entropy", "load.csv"];
        assert_eq!(suggest("quality.margn", kinds), Some("quality.margin"));
        assert_eq!(suggest("Load.CSV", kinds), Some("load.csv"));
        assert_eq!(suggest("report.html", kinds), None);
        assert_eq!(suggest("retry", ["retries", "entry"]), Some("retries"));
        assert_eq!(suggest("a", ["b"]), None, "one letter for another is no slip");
    }

    #[test]
    fn a_file_of_nearly_that_name_is_suggested_and_the_next_of_a_series_is_not() {
        let files = ["voice.csv", "fold-1.csv"];
        assert_eq!(suggest_file("Voice.cvs", files), Some("voice.csv"));
        assert_eq!(suggest_file("fold-2.csv", files), None);
        assert_eq!(suggest_file("face.csv", files), None);
    }

    #[test]
    fn names_have_no_dots_brackets_or_spaces() {
        assert!(is_name("in_distribution") && is_name("fold-2") && is_name("R"));
        assert!(!is_name("") && !is_name("a.b") && !is_name("2a") && !is_name("a b"));
    }
}
