//! `${{ }}`: typed, pure expressions over params and axes.
//!
//! A text that is one expression keeps the expression's type; expressions within a text are
//! formatted. They are read ([`parse`](parser)), checked without values ([`check`](resolve)), and
//! then evaluated for each combination of the axes that they mention.

mod evaluate;
mod functions;
mod lexer;
mod number;
mod parser;
mod resolve;
mod types;

use std::collections::BTreeSet;
use std::ops::Range;

use serde_json::Value;

use crate::codes;
use crate::diagnostic::{Code, Diagnostic, Fix, Severity};
use crate::files::{Files, Place};
use crate::index::{AxisIndex, ParamIndex};
use crate::names;
use crate::yaml::{Node, content_place, plain_value};

pub use functions::{FunctionDoc, functions};

pub(crate) use evaluate::{Environment, NO_POINT, Work, equal, format_value};
pub(crate) use resolve::{AxisView, ParamView, Points, Scope};
pub(crate) use types::Type;

/// An expression with the bytes of the text that it covers.
#[derive(Debug, Clone)]
pub(crate) struct Expr {
    pub span: Range<usize>,
    pub kind: ExprKind,
}

#[derive(Debug, Clone)]
pub(crate) enum ExprKind {
    Literal(Value),
    /// A name that is not resolved yet.
    Name(String),
    /// A param.
    Param(ParamIndex),
    /// The label of an axis's point.
    AxisLabel(AxisIndex),
    /// The value of a scalar axis.
    AxisValue(AxisIndex),
    /// A field of a mapping axis.
    AxisField(AxisIndex, String),
    List(Vec<Expr>),
    Unary(Unary, Box<Expr>),
    Binary(Binary, Box<Expr>, Box<Expr>),
    Conditional {
        condition: Box<Expr>,
        then: Box<Expr>,
        otherwise: Box<Expr>,
    },
    Index(Box<Expr>, Box<Expr>),
    Field(Box<Expr>, String, Range<usize>),
    Call {
        name: String,
        name_span: Range<usize>,
        arguments: Vec<Expr>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unary {
    Not,
    Minus,
    Plus,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Binary {
    Or,
    And,
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    NotIn,
    Add,
    Subtract,
    Multiply,
    Divide,
    FloorDivide,
    Remainder,
}

impl Binary {
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Or => "or",
            Self::And => "and",
            Self::Equal => "==",
            Self::Unequal => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::In => "in",
            Self::NotIn => "not in",
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::FloorDivide => "//",
            Self::Remainder => "%",
        }
    }
}

/// A mistake in an expression, at bytes of the text around it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mistake {
    pub code: Code,
    pub span: Range<usize>,
    pub message: String,
    pub hint: Option<String>,
    /// The likely name for the one at the span, with the text written there.
    meant: Option<Box<(String, String)>>,
    /// An axis that the stage does not run over, and should.
    pub missing_axis: Option<AxisIndex>,
    /// The place of the point of an axis that lacks the field that is read.
    pub lacking: Option<Box<Place>>,
    /// The expression has a value all the same.
    pub is_warning: bool,
}

impl Mistake {
    pub fn new(code: Code, span: &Range<usize>, message: impl Into<String>) -> Self {
        Self {
            code,
            span: span.clone(),
            message: message.into(),
            hint: None,
            meant: None,
            missing_axis: None,
            lacking: None,
            is_warning: false,
        }
    }

    /// Suggests which of some names was likely meant; see [`Diagnostic::suggest`].
    pub fn suggest<'a>(
        mut self,
        written: &str,
        what: &str,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let (hint, near) = names::hint(written, what, names);
        self.hint = hint.or(self.hint);
        self.meant = near.map(|near| Box::new((written.to_owned(), near.to_owned())));
        self
    }

    pub fn hint(mut self, hint: impl Into<Option<String>>) -> Self {
        self.hint = hint.into();
        self
    }

    /// True if another text is offered for the one at the span.
    pub fn is_suggested(&self) -> bool {
        self.meant.is_some()
    }

    /// Offers another text for the one at the span.
    pub fn meant(mut self, written: &str, meant: String) -> Self {
        self.meant = Some(Box::new((written.to_owned(), meant)));
        self
    }

    pub fn diagnostic(self, node: &Node, files: &Files) -> Diagnostic {
        let place = content_place(node, self.span, files);
        if let Some(point) = self.lacking {
            return Diagnostic::error(self.code, &point, self.message)
                .hint(self.hint)
                .related(&place, "read here");
        }
        let meant = self.meant.map(|meant| Fix::word(&meant.0, &meant.1, &place));
        let fix = meant.or(self.missing_axis.map(|axis| Fix::axis(axis, &place)));
        let diagnostic =
            Diagnostic::error(self.code, &place, self.message).hint(self.hint).fix(fix);
        match self.is_warning {
            true => Diagnostic { severity: Severity::Warning, ..diagnostic },
            false => diagnostic,
        }
    }
}

/// A scalar of the workflow in which expressions have a meaning.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    body: Body,
    /// The axes that it mentions.
    pub axes: BTreeSet<AxisIndex>,
    /// Type of the result, as far as that is known without values.
    pub gives: Type,
}

#[derive(Debug, Clone)]
enum Body {
    Constant(Value),
    Whole(Expr),
    Text(Vec<Part>),
}

#[derive(Debug, Clone)]
enum Part {
    Text(String),
    Expression(Expr),
}

/// True if a text has an expression in it.
pub(crate) fn has_expression(text: &str) -> bool {
    text.contains("${{")
}

impl Template {
    /// Reads and checks a scalar. `None` when it has mistakes, which are reported, or when it
    /// depends on something that has.
    pub fn read(
        node: &Node,
        scope: &mut Scope<'_>,
        files: &Files,
        found: &mut Vec<Diagnostic>,
    ) -> Option<Self> {
        let scalar = node.scalar()?;
        if !has_expression(&scalar.text) {
            return match plain_value(scalar) {
                Ok(value) => Some(Self {
                    gives: Type::from_value(&value),
                    body: Body::Constant(value),
                    axes: BTreeSet::new(),
                }),
                Err(problem) => {
                    found.push(problem.diagnostic(&node.place));
                    None
                }
            };
        }
        let mut parts = match parser::parse_text(&scalar.text) {
            Ok(parts) => parts,
            Err(mistake) => {
                found.push(mistake.diagnostic(node, files));
                return None;
            }
        };
        let mut mistakes = Vec::new();
        let mut axes = BTreeSet::new();
        let mut sound = true;
        let mut gives = Type::Text;
        for part in &mut parts {
            if let Part::Expression(expression) = part {
                let mut resolver = resolve::Resolver::new(scope, &mut mistakes, &mut axes);
                gives = resolver.resolve(expression);
                sound &= !resolver.poisoned;
            }
        }
        sound &= mistakes.iter().all(|mistake| mistake.is_warning);
        found.extend(mistakes.into_iter().map(|mistake| mistake.diagnostic(node, files)));
        let body = match parts.as_slice() {
            [Part::Expression(whole)] => Body::Whole(whole.clone()),
            _ => {
                gives = Type::Text;
                Body::Text(parts)
            }
        };
        sound.then_some(Self { body, axes, gives })
    }

    /// True if it is one expression and nothing else.
    pub fn is_whole(&self) -> bool {
        matches!(self.body, Body::Whole(_))
    }

    /// True if it has no expression in it.
    pub fn is_constant(&self) -> bool {
        matches!(self.body, Body::Constant(_))
    }

    /// The value at one combination of the axes.
    pub fn evaluate(&self, environment: &mut Environment<'_>) -> Result<Value, Mistake> {
        let value = self.value(environment)?;
        let kept = environment.work.value(evaluate::text_bytes(&value));
        kept.map_err(|refusal| refusal.at(&(0..0)))?;
        Ok(value)
    }

    fn value(&self, environment: &mut Environment<'_>) -> Result<Value, Mistake> {
        match &self.body {
            Body::Constant(value) => Ok(value.clone()),
            Body::Whole(expression) => Ok(environment.evaluate(expression)?.into_owned()),
            Body::Text(parts) => {
                let mut text = String::new();
                for part in parts {
                    match part {
                        Part::Text(part) => text.push_str(part),
                        Part::Expression(expression) => {
                            let value = environment.evaluate(expression)?;
                            text.push_str(&format_value(&value).ok_or_else(|| {
                                let what = crate::yaml::describe(&value);
                                Mistake::new(
                                    codes::EXPRESSION_TYPE,
                                    &expression.span,
                                    format!("{what} cannot be written into a text"),
                                )
                                .hint("join a list with join(list, \",\")".to_owned())
                            })?);
                            let fits = environment.work.text(text.len());
                            fits.map_err(|refusal| refusal.at(&expression.span))?;
                        }
                    }
                }
                Ok(Value::String(text))
            }
        }
    }
}
