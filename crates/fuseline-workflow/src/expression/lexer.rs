//! Text to tokens.

use std::ops::Range;

use serde_json::Number;

use super::Mistake;
use crate::codes;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Int(i64),
    Float(Number),
    Text(String),
    /// A name or a word such as `and`.
    Word(String),
    Symbol(&'static str),
    /// `}}`
    Close,
    /// The text ended.
    End,
}

const SYMBOLS: [&str; 23] = [
    "==", "!=", "<=", ">=", "//", "&&", "||", "**", "<", ">", "+", "-", "*", "/", "%", "(", ")",
    "[", "]", ",", ".", "!", "=",
];

/// The token at a byte of the text, spaces skipped.
pub(super) fn next(text: &str, at: usize) -> Result<(Token, Range<usize>), Mistake> {
    let rest = text[at..].trim_start();
    let start = text.len() - rest.len();
    let Some(first) = rest.chars().next() else { return Ok((Token::End, start..start)) };
    if rest.starts_with("}}") {
        return Ok((Token::Close, start..start + 2));
    }
    if first.is_alphabetic() || first == '_' {
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        return Ok((Token::Word(rest[..end].to_owned()), start..start + end));
    }
    if first.is_ascii_digit() {
        return number(rest, start);
    }
    if first == '\'' || first == '"' {
        return quoted(rest, start, first);
    }
    match SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
        Some(symbol) => Ok((Token::Symbol(symbol), start..start + symbol.len())),
        None => {
            let span = start..start + first.len_utf8();
            let shown = first.escape_debug();
            let mistake = Mistake::new(
                codes::EXPRESSION_SYNTAX,
                &span,
                format!("`{shown}` has no meaning in an expression"),
            );
            Err(match first {
                '}' => mistake.hint("an expression ends with `}}`".to_owned()),
                '{' => mistake.hint("expressions have no mappings".to_owned()),
                _ => mistake,
            })
        }
    }
}

fn number(rest: &str, start: usize) -> Result<(Token, Range<usize>), Mistake> {
    let digits = |from: usize| {
        rest[from..].find(|c: char| !c.is_ascii_digit()).map_or(rest.len(), |end| from + end)
    };
    let mut end = digits(0);
    let mut whole = true;
    // `a.0.b` does not exist, so a dot after digits is a decimal point.
    if rest[end..].starts_with('.') && rest[end + 1..].starts_with(|c: char| c.is_ascii_digit()) {
        end = digits(end + 1);
        whole = false;
    }
    if rest[end..].starts_with(['e', 'E']) {
        let sign = usize::from(rest[end + 1..].starts_with(['+', '-']));
        let exponent = digits(end + 1 + sign);
        if exponent > end + 1 + sign {
            end = exponent;
            whole = false;
        }
    }
    let span = start..start + end;
    let out_of_range = || {
        Mistake::new(codes::EXPRESSION_VALUE, &span, format!("{} is out of range", &rest[..end]))
    };
    if rest[end..].starts_with(|c: char| c.is_alphanumeric() || c == '_') {
        let message = "a number and a name run into each other";
        return Err(Mistake::new(codes::EXPRESSION_SYNTAX, &(start..start + end + 1), message)
            .hint("separate them by a space or an operator".to_owned()));
    }
    if whole {
        let value = rest[..end].parse().map_err(|_| out_of_range())?;
        return Ok((Token::Int(value), span));
    }
    let value = rest[..end].parse::<f64>().ok().and_then(Number::from_f64);
    Ok((Token::Float(value.ok_or_else(out_of_range)?), span))
}

fn quoted(rest: &str, start: usize, quote: char) -> Result<(Token, Range<usize>), Mistake> {
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => return Ok((Token::Text(text), start..start + at + 1)),
            '\\' => match chars.next() {
                Some((_, 'n')) => text.push('\n'),
                Some((_, 't')) => text.push('\t'),
                Some((_, c @ ('\\' | '\'' | '"'))) => text.push(c),
                Some((end, c)) => {
                    let span = start + at..start + end + c.len_utf8();
                    let message = format!("`\\{}` is no escape", c.escape_debug());
                    return Err(Mistake::new(codes::EXPRESSION_SYNTAX, &span, message)
                        .hint(r"write `\\` for a backslash".to_owned()));
                }
                None => break,
            },
            c => text.push(c),
        }
    }
    let span = start..start + 1;
    Err(Mistake::new(codes::EXPRESSION_SYNTAX, &span, format!("this {quote} is never closed")))
}
