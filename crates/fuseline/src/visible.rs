//! Texts of data, rules and programs as a terminal may show them.

use std::borrow::Cow;

pub use fuseline_artifact::is_unseen;

/// A text as a terminal shows it and nothing else: letters that move a cursor, set a title or turn
/// the direction of writing, wherever they come from, are shown by their numbers. Lines and
/// tabulators stay.
pub fn visible(text: &str) -> Cow<'_, str> {
    let is_shown = |c: char| matches!(c, '\n' | '\t') || !is_unseen(c);
    if text.chars().all(is_shown) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match is_shown(c) {
            true => shown.push(c),
            false => shown.extend(c.escape_default()),
        }
    }
    shown.into()
}

/// The first line and the last four of a text of many lines: of what a failed program said, the
/// end tells most.
pub fn excerpt(text: &str) -> Cow<'_, str> {
    const LAST_LINES: usize = 4;
    let lines: Vec<&str> = text.lines().collect();
    match lines.len() {
        0..=6 => text.into(),
        n => [&lines[..1], &["…"], &lines[n - LAST_LINES..]].concat().join("\n").into(),
    }
}

/// A text of as many bytes in which no letter does anything but begin lines, for where places count
/// bytes.
pub fn masked(text: &str) -> String {
    let mask = |c: char| match c.len_utf8() {
        _ if matches!(c, '\n' | '\t' | '\r') || !is_unseen(c) => c,
        1 => '?',
        2 => '\u{bf}',
        _ => char::REPLACEMENT_CHARACTER,
    };
    text.chars().map(mask).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_lines_the_first_and_the_end_are_kept() {
        assert_eq!(excerpt("a\nb\nc\nd\ne\nf"), "a\nb\nc\nd\ne\nf");
        assert_eq!(excerpt("a\nb\nc\nd\ne\nf\ng"), "a\n…\nd\ne\nf\ng");
    }

    #[test]
    fn what_does_something_to_a_terminal_is_shown_and_not_done() {
        let hostile = "a\u{1b}[2Jb\rc\u{9b}31md\u{202e}e\u{7}\n\tf";
        assert_eq!(visible(hostile), "a\\u{1b}[2Jb\\rc\\u{9b}31md\\u{202e}e\\u{7}\n\tf");
        assert!(matches!(visible("ä plain 文 text\n"), Cow::Borrowed(_)));
        let shown = masked(hostile);
        assert_eq!(shown.len(), hostile.len(), "places count bytes");
        assert!(!shown.contains(|c: char| is_unseen(c) && !"\n\t\r".contains(c)));
    }
}
