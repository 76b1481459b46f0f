//! JSON objects as programs write them, one a line: besides JSON itself the `NaN`, `Infinity` and
//! `-Infinity` of Python's `json`, and numbers with all of their digits.

use std::borrow::Cow;

/// Lists and objects that nest deeper are refused.
const MAX_DEPTH: usize = 128;

/// A value of an object, as in the line.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json<'l> {
    Null,
    Truth(bool),
    /// The text of a number, or NaN, Infinity or -Infinity.
    Number(&'l str),
    Text(Cow<'l, str>),
    List(Vec<Json<'l>>),
    Object,
}

/// Why a line is no object.
#[derive(Debug, PartialEq)]
pub(super) struct JsonError {
    /// A lower-case fragment.
    pub reason: String,
    /// The character of the line, counted from 1.
    pub column: usize,
    /// True if the line ends where something must follow.
    pub is_cut: bool,
}

/// The names and values of an object, in the order of the line.
pub(super) fn object(line: &str) -> Result<Vec<(Cow<'_, str>, Json<'_>)>, JsonError> {
    let mut scanner = Scanner { line, at: 0 };
    scanner.skip_blanks();
    if !scanner.next_is(b'{') {
        return Err(scanner.error("expected `{`"));
    }
    let fields = scanner.fields(0)?;
    scanner.skip_blanks();
    match scanner.at == line.len() {
        true => Ok(fields),
        false => Err(scanner.error("something follows the object")),
    }
}

struct Scanner<'l> {
    line: &'l str,
    at: usize,
}

impl<'l> Scanner<'l> {
    fn error(&self, reason: impl Into<String>) -> JsonError {
        let before = self.line.get(..self.at).unwrap_or(self.line);
        JsonError {
            reason: reason.into(),
            column: before.chars().count() + 1,
            is_cut: self.at >= self.line.len(),
        }
    }

    fn byte(&self) -> Option<u8> {
        self.line.as_bytes().get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while self.byte().is_some_and(|byte| b" \t\r\n".contains(&byte)) {
            self.at += 1;
        }
    }

    /// Goes past a byte when it comes next.
    fn next_is(&mut self, wanted: u8) -> bool {
        let is_next = self.byte() == Some(wanted);
        self.at += usize::from(is_next);
        is_next
    }

    /// Reads the fields after the `{` of an object, up to its end.
    fn fields(&mut self, depth: usize) -> Result<Vec<(Cow<'l, str>, Json<'l>)>, JsonError> {
        let mut fields = Vec::new();
        self.skip_blanks();
        if self.next_is(b'}') {
            return Ok(fields);
        }
        loop {
            self.skip_blanks();
            if self.byte() != Some(b'"') {
                return Err(self.error("expected a name in quotation marks"));
            }
            let name = self.text()?;
            self.skip_blanks();
            if !self.next_is(b':') {
                return Err(self.error("expected `:`"));
            }
            fields.push((name, self.value(depth)?));
            self.skip_blanks();
            if self.next_is(b'}') {
                return Ok(fields);
            }
            if !self.next_is(b',') {
                return Err(self.error("expected `,` or `}`"));
            }
        }
    }

    /// Reads the items after the `[` of a list, up to its end.
    fn items(&mut self, depth: usize) -> Result<Vec<Json<'l>>, JsonError> {
        let mut items = Vec::new();
        self.skip_blanks();
        if self.next_is(b']') {
            return Ok(items);
        }
        loop {
            items.push(self.value(depth)?);
            self.skip_blanks();
            if self.next_is(b']') {
                return Ok(items);
            }
            if !self.next_is(b',') {
                return Err(self.error("expected `,` or `]`"));
            }
        }
    }

    fn value(&mut self, depth: usize) -> Result<Json<'l>, JsonError> {
        if depth > MAX_DEPTH {
            return Err(self.error(format!("lists or objects nest more than {MAX_DEPTH} deep")));
        }
        self.skip_blanks();
        let rest = &self.line[self.at..];
        match self.byte() {
            Some(b'"') => self.text().map(Json::Text),
            Some(b'[') => {
                self.at += 1;
                self.items(depth + 1).map(Json::List)
            }
            Some(b'{') => {
                self.at += 1;
                self.fields(depth + 1).map(|_| Json::Object)
            }
            _ => {
                let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte);
                let length = rest.bytes().take_while(|byte| is_word(*byte)).count();
                let value = match &rest[..length] {
                    "null" => Json::Null,
                    "true" => Json::Truth(true),
                    "false" => Json::Truth(false),
                    number if is_number(number) => Json::Number(number),
                    "" => return Err(self.error("expected a value")),
                    word => {
                        let word = word.chars().take(40).collect::<String>();
                        return Err(self.error(format!("{word} is no value of JSON")));
                    }
                };
                self.at += length;
                Ok(value)
            }
        }
    }

    /// A text, the next byte being its quotation mark.
    fn text(&mut self) -> Result<Cow<'l, str>, JsonError> {
        let rest = &self.line[self.at..];
        let mut is_escaped = false;
        let end = rest.bytes().skip(1).position(|byte| {
            let ends = byte == b'"' && !is_escaped;
            is_escaped = byte == b'\\' && !is_escaped;
            ends
        });
        let Some(end) = end else {
            self.at = self.line.len();
            return Err(self.error("a text has no end"));
        };
        let (inside, quoted) = (&rest[1..=end], &rest[..end + 2]);
        let text = match inside.bytes().any(|byte| byte == b'\\' || byte < b' ') {
            false => Cow::Borrowed(inside),
            true => serde_json::from_str(quoted).map(Cow::Owned).map_err(|error| {
                let reason = error.to_string();
                let reason = reason.rsplit_once(" at line ").map_or(&*reason, |(reason, _)| reason);
                self.error(format!("a text holds an {reason}"))
            })?,
        };
        self.at += quoted.len();
        Ok(text)
    }
}

/// True if a word is a number of JSON, or one of those that Python writes besides.
fn is_number(word: &str) -> bool {
    if ["NaN", "Infinity", "-Infinity"].contains(&word) {
        return true;
    }
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = word.strip_prefix('-').unwrap_or(word);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent
            .is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_what_stands_in_the_line() {
        let line = r#" {"a": 1e-5, "é\u0041": [NaN, null, -Infinity, "x\n"], "t": true, "o": {"n": [{}]}, "": 12345678901234567890} "#;
        let fields = object(line).unwrap();
        let names: Vec<_> = fields.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["a", "éA", "t", "o", ""]);
        let items =
            [Json::Number("NaN"), Json::Null, Json::Number("-Infinity"), Json::Text("x\n".into())];
        assert_eq!(fields[0].1, Json::Number("1e-5"));
        assert_eq!(fields[1].1, Json::List(items.into()));
        assert_eq!(fields[2].1, Json::Truth(true));
        assert_eq!(fields[3].1, Json::Object);
        assert_eq!(fields[4].1, Json::Number("12345678901234567890"));
    }

    #[test]
    fn a_line_that_is_no_object_is_refused_at_the_character() {
        let refused = |line: &str| {
            let JsonError { reason, column, is_cut } = object(line).unwrap_err();
            format!("{reason} at {column}{}", if is_cut { ", cut" } else { "" })
        };
        assert_eq!(refused("[1]"), "expected `{` at 1");
        assert_eq!(refused(r#"{"é": 01}"#), "01 is no value of JSON at 7");
        assert_eq!(refused(r#"{"a": nan}"#), "nan is no value of JSON at 7");
        assert_eq!(refused(r#"{"a": +1}"#), "+1 is no value of JSON at 7");
        assert_eq!(refused(r#"{"a": 1,}"#), "expected a name in quotation marks at 9");
        assert_eq!(refused(r#"{"a": 1} x"#), "something follows the object at 10");
        assert_eq!(refused(r#"{"a": "\q"}"#), "a text holds an invalid escape at 7");
        assert_eq!(refused(r#"{"a": [1, 2"#), "expected `,` or `]` at 12, cut");
        assert_eq!(refused(r#"{"a": "bc"#), "a text has no end at 10, cut");
        assert_eq!(refused(r#"{"a":"#), "expected a value at 6, cut");
        let deep = format!("{{\"a\": {}", "[".repeat(100_000));
        assert!(refused(&deep).starts_with("lists or objects nest more than 128 deep"));
    }

    #[test]
    fn numbers_are_those_of_json_and_of_python() {
        for number in ["0", "-0", "10", "1.5", "-2.50e+10", "1E5", "NaN", "Infinity", "-Infinity"] {
            assert!(is_number(number), "{number}");
        }
        for other in ["", "-", "00", "1.", ".5", "1e", "1e+", "--1", "-NaN", "inf", "0x10", "1_000"]
        {
            assert!(!is_number(other), "{other}");
        }
    }
}
