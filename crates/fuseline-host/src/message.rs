//! Messages of a rule while it works.

use std::cell::RefCell;

use fuseline_artifact::is_unseen;
use serde::{Deserialize, Serialize};

/// Messages of one call at most; later ones are dropped.
const MAX_MESSAGES: usize = 32;
/// Characters of a message at most; the rest is cut off.
const MAX_CHARS: usize = 1000;

thread_local! {
    /// Messages of the call that this thread is in, where somebody collects them.
    static COLLECTED: RefCell<Option<Vec<RuleMessage>>> = const { RefCell::new(None) };
}

/// Level of a message; the number is that of the ABI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "i32", into = "i32")]
pub enum MessageLevel {
    /// Something is wrong.
    Error,
    /// Whoever reads the results must know.
    Warning,
    /// Progress of the work.
    Information,
    /// More than that.
    Detail,
}

impl From<i32> for MessageLevel {
    fn from(level: i32) -> Self {
        match level {
            ..=0 => Self::Error,
            1 => Self::Warning,
            2 => Self::Information,
            _ => Self::Detail,
        }
    }
}

impl From<MessageLevel> for i32 {
    fn from(level: MessageLevel) -> Self {
        match level {
            MessageLevel::Error => 0,
            MessageLevel::Warning => 1,
            MessageLevel::Information => 2,
            MessageLevel::Detail => 3,
        }
    }
}

/// A line that a rule logged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleMessage {
    /// Its level.
    pub level: MessageLevel,
    /// One line, without control characters.
    pub text: String,
}

impl RuleMessage {
    /// A message with its text made fit for a terminal.
    pub(crate) fn new(level: MessageLevel, text: &str) -> Self {
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        let text: String = text.trim().chars().take(MAX_CHARS).map(plain).collect();
        Self { level, text }
    }
}

/// Characters of a text that a rule gives at most; of a longer one, the beginning and the end.
const MAX_TEXT: usize = 8000;

/// A text that a rule gives, fit to be shown: lines stay, every other control character and every
/// character that changes the direction of writing is written out, and what is too long is cut in
/// its middle.
pub(crate) fn plain_text(text: &str) -> String {
    let is_plain = |c: char| matches!(c, '\n' | '\t') || !is_unseen(c);
    let count = text.chars().count();
    let mut plain = String::new();
    for (at, c) in text.chars().enumerate() {
        if count > MAX_TEXT && at == MAX_TEXT / 2 {
            plain += &format!(" ... {} characters ... ", count - MAX_TEXT);
        }
        if count > MAX_TEXT && (MAX_TEXT / 2..count - MAX_TEXT / 2).contains(&at) {
            continue;
        }
        match c {
            c if is_plain(c) => plain.push(c),
            c => plain.extend(c.escape_unicode()),
        }
    }
    plain
}

/// Passes a message on: to whoever collects those of this thread's call, else to the log.
pub(crate) fn pass(message: RuleMessage) {
    let left = COLLECTED.with_borrow_mut(|collected| match collected {
        Some(messages) => {
            if messages.len() < MAX_MESSAGES && !messages.contains(&message) {
                messages.push(message);
            }
            None
        }
        None => Some(message),
    });
    if let Some(message) = left {
        write_to_log(&message);
    }
}

/// Writes a message to the log.
pub(crate) fn write_to_log(RuleMessage { level, text }: &RuleMessage) {
    match level {
        MessageLevel::Error => tracing::error!("a fusion rule says: {text}"),
        MessageLevel::Warning => tracing::warn!("a fusion rule says: {text}"),
        MessageLevel::Information => tracing::info!("a fusion rule says: {text}"),
        MessageLevel::Detail => tracing::debug!("a fusion rule says: {text}"),
    }
}

/// Runs a call and collects the messages of it, each once.
pub(crate) fn collect<T>(call: impl FnOnce() -> T) -> (T, Vec<RuleMessage>) {
    let outer = COLLECTED.replace(Some(Vec::new()));
    let result = call();
    (result, COLLECTED.replace(outer).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warning(text: &str) -> RuleMessage {
        RuleMessage::new(MessageLevel::Warning, text)
    }

    #[test]
    fn messages_are_collected_once_each_and_no_more_than_a_few() {
        let (_, messages) = collect(|| {
            for at in 0..100 {
                pass(warning("again"));
                pass(warning(&format!("number {at}")));
            }
        });
        assert_eq!(messages.len(), MAX_MESSAGES);
        assert_eq!(messages[..2], [warning("again"), warning("number 0")]);
    }

    #[test]
    fn a_text_of_a_rule_commands_no_terminal_and_is_cut_in_its_middle() {
        assert_eq!(plain_text("a\u{1b}[2Jb\r\nc\u{202e}d"), "a\\u{1b}[2Jb\\u{d}\nc\\u{202e}d");
        let long = plain_text(&format!("begin{}end", "E".repeat(900_000)));
        assert!(long.len() < 9000 && long.starts_with("beginE") && long.ends_with("Eend"));
        assert!(long.contains("characters"));
    }

    #[test]
    fn a_message_is_one_line_without_control_characters() {
        assert_eq!(warning(" one\ntwo\u{1b}[31m \n").text, "one two [31m");
        assert_eq!(warning(&"x".repeat(5000)).text.len(), MAX_CHARS);
    }
}
