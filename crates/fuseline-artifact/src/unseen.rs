//! Letters that do something else than to be seen in their place.

/// True if a letter has an effect other than to be shown in its place: it moves a cursor, ends a
/// line, or turns the direction of writing.
#[must_use]
pub fn is_unseen(letter: char) -> bool {
    let is_mark = matches!(letter, '\u{200e}' | '\u{200f}');
    let turns = is_mark || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    letter.is_control() || turns || matches!(letter, '\u{2028}' | '\u{2029}')
}
