//! Tokens to expressions, by operator precedence.

use std::ops::Range;

use serde_json::Value;

use super::lexer::{self, Token};
use super::{Binary, Expr, ExprKind, Mistake, Part, Unary};
use crate::codes;

/// Splits a text into literals and expressions.
pub(super) fn parse_text(text: &str) -> Result<Vec<Part>, Mistake> {
    let mut parts = Vec::new();
    let mut at = 0;
    while let Some(offset) = text[at..].find("${{") {
        let open = at + offset;
        if open > at {
            parts.push(Part::Text(text[at..open].to_owned()));
        }
        let mut parser = Parser::new(text, open)?;
        let expression = parser.expression(0)?;
        match parser.token {
            Token::Close => {}
            Token::End => {
                let message = "this expression is never closed";
                return Err(Mistake::new(codes::EXPRESSION_SYNTAX, &(open..open + 3), message)
                    .hint("close it with `}}`".to_owned()));
            }
            _ => return Err(parser.unexpected("an operator or `}}`")),
        }
        at = parser.span.end;
        parts.push(Part::Expression(expression));
    }
    if at < text.len() {
        parts.push(Part::Text(text[at..].to_owned()));
    }
    Ok(parts)
}

struct Parser<'a> {
    text: &'a str,
    token: Token,
    span: Range<usize>,
    /// End of the last consumed token.
    end: usize,
    depth: usize,
}

/// Greatest depth of the tree of one expression.
const MAX_DEPTH: usize = 128;

/// Left binding powers; a conditional binds least, then `or`, `and`, `not`, comparisons, sums,
/// products, signs.
const CONDITIONAL: u8 = 1;
const OR: u8 = 2;
const AND: u8 = 3;
const NOT: u8 = 4;
const COMPARISON: u8 = 5;
const SUM: u8 = 6;
const PRODUCT: u8 = 7;
const SIGN: u8 = 8;

impl<'a> Parser<'a> {
    fn new(text: &'a str, open: usize) -> Result<Self, Mistake> {
        let (token, span) = lexer::next(text, open + 3)?;
        Ok(Self { text, token, span, end: open + 3, depth: MAX_DEPTH })
    }

    /// Takes one level of the depth that the tree may have; readers of the tree recur that
    /// deep.
    fn deepen(&mut self) -> Result<(), Mistake> {
        self.depth = self.depth.checked_sub(1).ok_or_else(|| {
            Mistake::new(codes::LIMIT, &self.span, "the expression is too long or nests too deeply")
        })?;
        Ok(())
    }

    fn advance(&mut self) -> Result<Token, Mistake> {
        let (token, span) = lexer::next(self.text, self.span.end)?;
        self.end = self.span.end;
        self.span = span;
        Ok(std::mem::replace(&mut self.token, token))
    }

    fn is_symbol(&self, symbol: &str) -> bool {
        matches!(self.token, Token::Symbol(found) if found == symbol)
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(&self.token, Token::Word(found) if found == word)
    }

    fn expect(&mut self, symbol: &str) -> Result<(), Mistake> {
        if !self.is_symbol(symbol) {
            return Err(self.unexpected(&format!("`{symbol}`")));
        }
        self.advance().map(drop)
    }

    fn unexpected(&self, wanted: &str) -> Mistake {
        let found = match &self.token {
            Token::End => "the end of the text".to_owned(),
            Token::Close => "`}}`".to_owned(),
            _ => format!("`{}`", crate::names::short(&self.text[self.span.clone()])),
        };
        let hint = match &self.token {
            Token::Symbol("=") => Some("compare with `==`"),
            Token::Symbol("&&") => Some("write `and`"),
            Token::Symbol("||") => Some("write `or`"),
            Token::Symbol("!") => Some("write `not`"),
            Token::Symbol("**") => Some("there is no power; multiply"),
            Token::Word(name) => match name.as_str() {
                "OR" | "Or" => Some("write `or`"),
                "AND" | "And" => Some("write `and`"),
                "NOT" | "Not" => Some("write `not`"),
                _ => None,
            },
            _ => None,
        };
        let message = format!("expected {wanted}, found {found}");
        Mistake::new(codes::EXPRESSION_SYNTAX, &self.span, message).hint(hint.map(str::to_owned))
    }

    /// The operator at the current token, with its binding power.
    fn operator(&self) -> Option<(Binary, u8)> {
        Some(match &self.token {
            Token::Word(word) => match word.as_str() {
                "or" => (Binary::Or, OR),
                "and" => (Binary::And, AND),
                "in" => (Binary::In, COMPARISON),
                "not" => (Binary::NotIn, COMPARISON),
                _ => return None,
            },
            Token::Symbol(symbol) => match *symbol {
                "==" => (Binary::Equal, COMPARISON),
                "!=" => (Binary::Unequal, COMPARISON),
                "<" => (Binary::Less, COMPARISON),
                "<=" => (Binary::LessOrEqual, COMPARISON),
                ">" => (Binary::Greater, COMPARISON),
                ">=" => (Binary::GreaterOrEqual, COMPARISON),
                "+" => (Binary::Add, SUM),
                "-" => (Binary::Subtract, SUM),
                "*" => (Binary::Multiply, PRODUCT),
                "/" => (Binary::Divide, PRODUCT),
                "//" => (Binary::FloorDivide, PRODUCT),
                "%" => (Binary::Remainder, PRODUCT),
                _ => return None,
            },
            _ => return None,
        })
    }

    /// An expression whose operators all bind tighter than `power`.
    fn expression(&mut self, power: u8) -> Result<Expr, Mistake> {
        let depth = self.depth;
        self.deepen()?;
        let mut left = self.prefix()?;
        loop {
            if self.is_word("if") && power < CONDITIONAL {
                left = self.conditional(left)?;
                continue;
            }
            let Some((operator, binding)) = self.operator() else { break };
            if binding <= power {
                break;
            }
            // A chain nests to the left: no recursion here, but in readers of the tree.
            self.deepen()?;
            self.advance()?;
            if operator == Binary::NotIn {
                if !self.is_word("in") {
                    return Err(self.unexpected("`in`"));
                }
                self.advance()?;
            }
            let right = self.expression(binding)?;
            let span = left.span.start..right.span.end;
            left = Expr { span, kind: ExprKind::Binary(operator, Box::new(left), Box::new(right)) };
            if binding == COMPARISON
                && let Some((_, COMPARISON)) = self.operator()
            {
                return Err(Mistake::new(
                    codes::EXPRESSION_SYNTAX,
                    &self.span,
                    "comparisons cannot be chained",
                )
                .hint("write `a < b and b < c`".to_owned()));
            }
        }
        self.depth = depth;
        Ok(left)
    }

    fn conditional(&mut self, then: Expr) -> Result<Expr, Mistake> {
        self.advance()?;
        let condition = self.expression(CONDITIONAL)?;
        if !self.is_word("else") {
            return Err(self.unexpected("`else`"));
        }
        self.advance()?;
        let otherwise = self.expression(0)?;
        let span = then.span.start..otherwise.span.end;
        let (condition, then, otherwise) =
            (Box::new(condition), Box::new(then), Box::new(otherwise));
        Ok(Expr { span, kind: ExprKind::Conditional { condition, then, otherwise } })
    }

    fn prefix(&mut self) -> Result<Expr, Mistake> {
        let start = self.span.start;
        let (operator, power) = match &self.token {
            Token::Word(word) if word == "not" => (Unary::Not, NOT),
            Token::Symbol("-") => (Unary::Minus, SIGN),
            Token::Symbol("+") => (Unary::Plus, SIGN),
            _ => {
                let primary = self.primary()?;
                return self.postfix(primary);
            }
        };
        self.advance()?;
        let operand = self.expression(power)?;
        let span = start..operand.span.end;
        Ok(Expr { span, kind: ExprKind::Unary(operator, Box::new(operand)) })
    }

    fn primary(&mut self) -> Result<Expr, Mistake> {
        let span = self.span.clone();
        let kind = match &self.token {
            Token::Int(value) => ExprKind::Literal(Value::from(*value)),
            Token::Float(value) => ExprKind::Literal(Value::Number(value.clone())),
            Token::Text(text) => ExprKind::Literal(Value::String(text.clone())),
            Token::Word(word) => match word.as_str() {
                "true" | "True" => ExprKind::Literal(Value::Bool(true)),
                "false" | "False" => ExprKind::Literal(Value::Bool(false)),
                "null" | "None" => ExprKind::Literal(Value::Null),
                "if" | "else" | "and" | "or" | "in" => return Err(self.unexpected("a value")),
                _ => ExprKind::Name(word.clone()),
            },
            Token::Symbol("(") => {
                self.advance()?;
                let inner = self.expression(0)?;
                self.expect(")")?;
                return Ok(Expr { span: span.start..self.end, kind: inner.kind });
            }
            Token::Symbol("[") => {
                self.advance()?;
                let items = self.items("]")?;
                return Ok(Expr { span: span.start..self.end, kind: ExprKind::List(items) });
            }
            _ => return Err(self.unexpected("a value")),
        };
        self.advance()?;
        Ok(Expr { span, kind })
    }

    fn postfix(&mut self, mut left: Expr) -> Result<Expr, Mistake> {
        loop {
            self.deepen()?;
            let start = left.span.start;
            if self.is_symbol(".") {
                self.advance()?;
                let field_span = self.span.clone();
                let Token::Word(field) = self.token.clone() else {
                    return Err(self.unexpected("a field"));
                };
                self.advance()?;
                let kind = ExprKind::Field(Box::new(left), field, field_span.clone());
                left = Expr { span: start..field_span.end, kind };
            } else if self.is_symbol("[") {
                self.advance()?;
                let index = self.expression(0)?;
                self.expect("]")?;
                let kind = ExprKind::Index(Box::new(left), Box::new(index));
                left = Expr { span: start..self.end, kind };
            } else if self.is_symbol("(") {
                let ExprKind::Name(name) = left.kind else {
                    return Err(self.unexpected("an operator or `}}`").hint(
                        "only functions can be called, such as `len(params.list)`".to_owned(),
                    ));
                };
                self.advance()?;
                let arguments = self.items(")")?;
                let kind = ExprKind::Call { name, name_span: left.span, arguments };
                left = Expr { span: start..self.end, kind };
            } else {
                return Ok(left);
            }
        }
    }

    /// Expressions with commas up to a closing symbol; a last comma is allowed.
    fn items(&mut self, close: &str) -> Result<Vec<Expr>, Mistake> {
        let mut items = Vec::new();
        while !self.is_symbol(close) {
            items.push(self.expression(0)?);
            if !self.is_symbol(close) {
                if !self.is_symbol(",") {
                    return Err(self.unexpected(&format!("`,` or `{close}`")));
                }
                self.advance()?;
            }
        }
        self.advance()?;
        Ok(items)
    }
}
