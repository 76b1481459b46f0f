//! Text that a worker writes to standard error: the beginning and the end of it.

use crate::message::plain_text;

/// Bytes of the beginning that are kept, and of the end.
const KEPT: [usize; 2] = [8192, 8192];
/// Lines of the beginning that are shown, and of the end.
const SHOWN: [usize; 2] = [12, 28];

/// The first and the last words; the middle is dropped.
#[derive(Debug, Default)]
pub struct Words {
    first: Vec<u8>,
    last: Vec<u8>,
    /// Bytes that were heard since the last answer.
    pub total: u64,
}

impl Words {
    pub fn hear(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let room = KEPT[0].saturating_sub(self.first.len()).min(bytes.len());
        let (first, rest) = bytes.split_at(room);
        self.first.extend_from_slice(first);
        self.last.extend_from_slice(rest);
        let surplus = self.last.len().saturating_sub(KEPT[1]);
        self.last.drain(..surplus);
    }

    /// The lines that are not empty; of many, the first and the last.
    pub fn lines(&self) -> Vec<String> {
        let text = [&self.first[..], &self.last[..]].concat();
        let text = String::from_utf8_lossy(&text);
        let mut lines: Vec<_> =
            text.lines().filter(|line| !line.trim().is_empty()).map(plain_text).collect();
        let between = lines.len().saturating_sub(SHOWN[0] + SHOWN[1]);
        if between > 0 {
            let left_out = format!("... {between} lines ...");
            lines.splice(SHOWN[0]..SHOWN[0] + between, [left_out]);
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_lines_the_first_and_the_last_are_shown() {
        let mut words = Words::default();
        (0..5000).for_each(|line| words.hear(format!("line {line}\n").as_bytes()));
        let lines = words.lines();
        assert_eq!(lines.len(), SHOWN[0] + SHOWN[1] + 1);
        assert_eq!((&*lines[0], &*lines[SHOWN[0] - 1]), ("line 0", "line 11"));
        assert!(lines[SHOWN[0]].starts_with("... "));
        assert_eq!(lines.last().unwrap(), "line 4999");
        assert!(words.total > 40_000);
    }
}
