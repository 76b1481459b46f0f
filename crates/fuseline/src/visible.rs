//! Texts of data, rules and programs as a terminal may show them.

use std::borrow::Cow;

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

/// True if a letter has an effect other than to be shown in its place.
pub fn is_unseen(letter: char) -> bool {
    let is_mark = matches!(letter, '\u{200e}' | '\u{200f}');
    let turns = is_mark || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    letter.is_control() || turns || matches!(letter, '\u{2028}' | '\u{2029}')
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
    fn what_does_something_to_a_terminal_is_shown_and_not_done() {
        let hostile = "a\u{1b}[2Jb\rc\u{9b}31md\u{202e}e\u{7}\n\tf";
        assert_eq!(visible(hostile), "a\\u{1b}[2Jb\\rc\\u{9b}31md\\u{202e}e\\u{7}\n\tf");
        assert!(matches!(visible("ä plain 文 text\n"), Cow::Borrowed(_)));
        let shown = masked(hostile);
        assert_eq!(shown.len(), hostile.len(), "places count bytes");
        assert!(!shown.contains(|c: char| is_unseen(c) && !"\n\t\r".contains(c)));
    }
}
