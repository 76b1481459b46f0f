//! Meaning of an unquoted scalar, and the bytes of the file that a byte of a scalar comes from.

use std::ops::Range;

use serde_json::{Number, Value};

use super::{Node, Scalar, Style};
use crate::codes;
use crate::diagnostic::{Diagnostic, Fix};
use crate::files::{Files, Place};

/// Why an unquoted scalar is not accepted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ScalarProblem {
    /// Other readers of YAML take it for something else.
    Ambiguous { text: String, otherwise: &'static str, instead: Option<&'static str> },
    /// A number that does not fit.
    OutOfRange(String),
}

impl ScalarProblem {
    /// The value that other readers take it for, if that is true or false.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Ambiguous { instead, .. } => instead.and_then(|word| word.parse().ok()),
            Self::OutOfRange(_) => None,
        }
    }

    pub fn diagnostic(&self, place: &Place) -> Diagnostic {
        match self {
            Self::Ambiguous { text, otherwise, instead } => {
                let hint = match instead {
                    Some(instead) => format!("write {instead}, or \"{text}\" for the text"),
                    None => format!("write \"{text}\" for the text"),
                };
                let meant = match instead {
                    Some(word @ ("true" | "false")) => (*word).to_owned(),
                    _ => format!("\"{text}\""),
                };
                Diagnostic::error(
                    codes::AMBIGUOUS_SCALAR,
                    place,
                    format!("unquoted `{text}` is {otherwise} to some readers of YAML"),
                )
                .hint(hint)
                .fix(Fix::new(format!("write {meant}"), place.clone(), meant))
            }
            Self::OutOfRange(text) => Diagnostic::error(
                codes::NUMBER_RANGE,
                place,
                format!("the number {} is out of range", crate::names::short(text)),
            )
            .hint(format!("quote it if it is a text: \"{}\"", crate::names::short(text))),
        }
    }
}

/// The value of a scalar by the core schema of YAML 1.2; one that YAML 1.1 reads otherwise is
/// refused.
pub(crate) fn plain_value(scalar: &Scalar) -> Result<Value, ScalarProblem> {
    let text = scalar.text.as_str();
    if scalar.style != Style::Plain {
        return Ok(Value::String(text.to_owned()));
    }
    let ambiguous = |otherwise, instead| {
        Err(ScalarProblem::Ambiguous { text: text.to_owned(), otherwise, instead })
    };
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "true" | "True" | "TRUE" => return Ok(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(Value::Bool(false)),
        "yes" | "Yes" | "YES" | "on" | "On" | "ON" => return ambiguous("true", Some("true")),
        "no" | "No" | "NO" | "off" | "Off" | "OFF" => return ambiguous("false", Some("false")),
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "-.inf" => {
            return Err(ScalarProblem::OutOfRange(text.to_owned()));
        }
        _ => {}
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Ok(Value::String(text.to_owned()));
    }
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let out_of_range = || ScalarProblem::OutOfRange(text.to_owned());
    if digits(unsigned) {
        if unsigned.len() > 1 && unsigned.starts_with('0') {
            return ambiguous("octal", None);
        }
        let plain = text.strip_prefix('+').unwrap_or(text);
        let signed = plain.parse::<i64>().map(Value::from);
        return signed
            .or_else(|_| plain.parse::<u64>().map(Value::from))
            .map_err(|_| out_of_range());
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(rest) = text.strip_prefix(prefix)
            && !rest.is_empty()
            && rest.chars().all(|c| c.is_digit(radix))
        {
            return i64::from_str_radix(rest, radix).map(Value::from).map_err(|_| out_of_range());
        }
    }
    if digits(&unsigned.replace('_', "")) {
        return ambiguous("a number", Some("the number without `_`"));
    }
    if is_float(unsigned) {
        let number = text.parse::<f64>().ok().and_then(Number::from_f64);
        return number.map(Value::Number).ok_or_else(out_of_range);
    }
    Ok(Value::String(text.to_owned()))
}

/// `[digits][.digits][e[sign]digits]` with at least one digit before the exponent.
fn is_float(unsigned: &str) -> bool {
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let exponent = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    exponent && digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty())
}

/// The place in the file of some bytes of a scalar's text; the whole scalar when they cannot be
/// told apart.
pub(crate) fn content_place(node: &Node, content: Range<usize>, files: &Files) -> Place {
    let Some(scalar) = node.scalar() else { return node.place.clone() };
    let source = files.slice(&node.place);
    let base = node.place.span.start;
    // Most scalars stand in the file as they are.
    if source == scalar.text && content.end <= source.len() {
        return Place::new(node.place.file, base + content.start..base + content.end);
    }
    match (locate(source, scalar, content.start), locate(source, scalar, content.end)) {
        (Some(start), Some(end)) if start <= end => {
            Place::new(node.place.file, base + start..base + end)
        }
        _ => node.place.clone(),
    }
}

/// Walks the source and the text side by side up to a byte of the text.
fn locate(source: &str, scalar: &Scalar, until: usize) -> Option<usize> {
    let mut at = match scalar.style {
        Style::SingleQuoted | Style::DoubleQuoted => 1,
        Style::Plain => 0,
        // The place of a block starts after its `|` or `>`.
        Style::Block => 0,
    };
    for (offset, wanted) in scalar.text.char_indices() {
        loop {
            let rest = source.get(at..)?;
            let next = rest.chars().next()?;
            let (length, matches) = match (scalar.style, next) {
                (Style::DoubleQuoted, '\\') => escape(rest),
                (Style::SingleQuoted, '\'') if rest.starts_with("''") => (2, true),
                _ => (next.len_utf8(), next == wanted),
            };
            // A line break is folded to a space, and indentation is dropped.
            let folded = next == '\n' && wanted == ' ';
            if matches || folded {
                if offset >= until {
                    return Some(at);
                }
                at += length;
                break;
            }
            if !next.is_whitespace() && length == next.len_utf8() {
                return None;
            }
            at += length;
        }
    }
    Some(at)
}

/// The length of an escape sequence, and whether it stands for a character.
fn escape(rest: &str) -> (usize, bool) {
    match rest.as_bytes().get(1) {
        Some(b'x') => (rest.len().min(4), true),
        Some(b'u') => (rest.len().min(6), true),
        Some(b'U') => (rest.len().min(10), true),
        Some(b'\n' | b'\r') => (2, false),
        Some(_) => (1 + rest[1..].chars().next().map_or(0, char::len_utf8), true),
        None => (1, true),
    }
}
