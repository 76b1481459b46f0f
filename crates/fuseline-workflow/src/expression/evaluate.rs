//! Values of expressions.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::Range;

use serde_json::Value;

use super::number::Num;
use super::{Binary, Expr, ExprKind, Mistake, Unary, functions};
use crate::codes;
use crate::diagnostic::Code;
use crate::index::{AxisIndex, IndexVec, ParamIndex, PointIndex};
use crate::workflow::Axis;

/// Remaining work budget of all expressions together, so that no workflow keeps the check busy for
/// long.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    left: usize,
    longest: usize,
    /// Bytes of text that may still be made.
    text_left: usize,
}

/// Bytes that a text which an expression makes may have.
const MAX_TEXT_BYTES: usize = 1 << 20;
/// Bytes of text allowed for each step allowed.
const TEXT_BYTES_PER_STEP: usize = 16;

impl Work {
    /// `steps` that may be taken. `longest`: elements that a list may have.
    pub fn new(steps: usize, longest: usize) -> Self {
        Self { left: steps, longest, text_left: steps.saturating_mul(TEXT_BYTES_PER_STEP) }
    }

    /// What is left of this when a part of `whole` was spent as well; none where that is more than
    /// there is.
    pub fn less(self, whole: &Self, part: &Self) -> Option<Self> {
        Some(Self {
            left: self.left.checked_sub(whole.left - part.left)?,
            text_left: self.text_left.checked_sub(whole.text_left - part.text_left)?,
            ..self
        })
    }

    /// Making a text takes memory.
    pub(super) fn text(&mut self, bytes: usize) -> Result<(), Refusal> {
        if bytes > MAX_TEXT_BYTES {
            let message = format!("a text of {bytes} bytes is longer than {MAX_TEXT_BYTES}");
            return Err(Refusal::limit(message));
        }
        self.value(bytes)
    }

    /// So does a value that is made of texts.
    pub(super) fn value(&mut self, bytes: usize) -> Result<(), Refusal> {
        let message = "the values of this workflow are made of more text than fits; \
                       --max-actions raises the limit";
        let left = self.text_left.checked_sub(bytes);
        self.text_left = left.ok_or_else(|| Refusal::limit(message))?;
        Ok(())
    }

    fn step(&mut self) -> Result<(), Refusal> {
        let message =
            "the expressions of this workflow take too long; --max-actions raises the limit";
        self.left = self.left.checked_sub(1).ok_or_else(|| Refusal::limit(message))?;
        Ok(())
    }

    /// Visiting elements or bytes counts for several steps: a step of an expression that has
    /// neither is cheap.
    pub(super) fn visit(&mut self, elements: usize) -> Result<(), Refusal> {
        self.left = self.left.saturating_sub(elements.saturating_mul(4));
        self.step()
    }

    /// Making a list counts for more, since it takes memory too.
    pub(super) fn list(&mut self, elements: usize) -> Result<(), Refusal> {
        if elements > self.longest {
            let (longest, enough) = (self.longest, elements.saturating_mul(10));
            return Err(Refusal::limit(format!(
                "a list of {elements} elements is longer than {longest}; --max-actions {enough} \
                 raises the limit"
            )));
        }
        self.visit(elements.saturating_mul(2))
    }
}

/// Why there is no value, in words.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refusal {
    message: String,
    code: Code,
}

impl Refusal {
    fn limit(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: codes::LIMIT }
    }

    pub fn at(self, span: &Range<usize>) -> Mistake {
        Mistake::new(self.code, span, self.message)
    }
}

impl From<String> for Refusal {
    fn from(message: String) -> Self {
        Self { message, code: codes::EXPRESSION_VALUE }
    }
}

impl From<&str> for Refusal {
    fn from(message: &str) -> Self {
        Self::from(message.to_owned())
    }
}

/// No point of any axis.
pub(crate) static NO_POINT: IndexVec<AxisIndex, Option<PointIndex>> = IndexVec::new();

/// The values that names have at one combination of the axes.
pub(crate) struct Environment<'a> {
    /// By param; `None` for one with a mistake, which no expression that is evaluated mentions.
    pub params: &'a IndexVec<ParamIndex, Option<Value>>,
    pub axes: &'a IndexVec<AxisIndex, Axis>,
    /// The point by axis; `None` for an axis that the stage does not run over.
    pub coords: &'a IndexVec<AxisIndex, Option<PointIndex>>,
    pub work: &'a mut Work,
}

const NULL: Value = Value::Null;

impl<'a> Environment<'a> {
    fn point(&self, axis: AxisIndex) -> Option<&'a crate::workflow::AxisPoint> {
        self.axes.get(axis)?.points.get((*self.coords.get(axis)?)?)
    }

    /// The value of an axis's point; of a nested axis, the one under the point of the other axis.
    fn axis_value(&self, axis: AxisIndex) -> Option<&'a Value> {
        let known = self.axes.get(axis)?;
        let point = (*self.coords.get(axis)?)?;
        let nested = known.within.as_ref().and_then(|within| {
            let outer = (*self.coords.get(within.axis)?)?;
            within.values.get(&(outer, point))
        });
        nested.or_else(|| Some(&known.points.get(point)?.value))
    }

    /// The field of an axis's point; a mistake of the point where it lacks the field.
    fn axis_field(
        &self,
        axis: AxisIndex,
        field: &str,
        span: &Range<usize>,
    ) -> Result<Option<&'a Value>, Mistake> {
        let Some(value) = self.axis_value(axis) else { return Ok(None) };
        if let Some(value) = value.get(field) {
            return Ok(Some(value));
        }
        let Some(point) = self.point(axis) else { return Ok(None) };
        let message = format!("the point `{}` lacks the field `{field}`", point.label);
        let own = value.as_object().into_iter().flat_map(|fields| fields.keys());
        let near = crate::names::suggest(field, own.map(String::as_str));
        let like = near.map(|near| format!("; it has `{near}`")).unwrap_or_default();
        Err(Mistake {
            lacking: Some(Box::new(point.place.clone())),
            ..Mistake::new(codes::AXIS_FIELDS, span, message)
                .hint(format!("give it the field `{field}`, which is read at this point{like}"))
        })
    }

    /// The value of a resolved expression.
    pub(super) fn evaluate<'e>(&mut self, expr: &'e Expr) -> Result<Cow<'e, Value>, Mistake>
    where
        'a: 'e,
    {
        let value = |message: String| Mistake::new(codes::EXPRESSION_VALUE, &expr.span, message);
        self.work.step().map_err(|refusal| refusal.at(&expr.span))?;
        match &expr.kind {
            ExprKind::Literal(value) => Ok(Cow::Borrowed(value)),
            ExprKind::Name(_) => Ok(Cow::Owned(NULL)),
            ExprKind::Param(index) => {
                let param = self.params.get(*index).and_then(Option::as_ref);
                Ok(param.map_or(Cow::Owned(NULL), Cow::Borrowed))
            }
            ExprKind::AxisValue(axis) => {
                Ok(self.axis_value(*axis).map_or(Cow::Owned(NULL), Cow::Borrowed))
            }
            ExprKind::AxisLabel(axis) => {
                let label = self.point(*axis).map(|point| Value::String(point.label.clone()));
                Ok(Cow::Owned(label.unwrap_or(NULL)))
            }
            ExprKind::AxisField(axis, field) => {
                let field = self.axis_field(*axis, field, &expr.span)?;
                Ok(field.map_or(Cow::Owned(NULL), Cow::Borrowed))
            }
            ExprKind::List(items) => {
                let values = items.iter().map(|item| Ok(self.evaluate(item)?.into_owned()));
                Ok(Cow::Owned(Value::Array(values.collect::<Result<_, _>>()?)))
            }
            ExprKind::Unary(operator, operand) => {
                let found = self.evaluate(operand)?;
                match operator {
                    Unary::Not => Ok(Cow::Owned(Value::Bool(!truth(&found, operand)?))),
                    Unary::Plus => number(&found, operand).map(|_| found),
                    Unary::Minus => {
                        let negated = number(&found, operand)?.negate();
                        Ok(Cow::Owned(negated.and_then(Num::value).map_err(value)?))
                    }
                }
            }
            ExprKind::Binary(operator, left, right) => self.binary(*operator, left, right, expr),
            ExprKind::Conditional { condition, then, otherwise } => {
                let found = self.evaluate(condition)?;
                if truth(&found, condition)? {
                    self.evaluate(then)
                } else {
                    self.evaluate(otherwise)
                }
            }
            ExprKind::Index(base, index) => {
                let base = self.evaluate(base)?;
                let index = self.evaluate(index)?;
                at(base, &index).map_err(value)
            }
            ExprKind::Field(base, field, span) => {
                let base = self.evaluate(base)?;
                let known = base.get(field).cloned();
                known.map(Cow::Owned).ok_or_else(|| {
                    let what = crate::yaml::describe(&base);
                    let message = format!("{what} has no field `{field}`");
                    Mistake::new(codes::UNKNOWN_FIELD, span, message)
                })
            }
            ExprKind::Call { name, arguments, .. } => {
                let values =
                    arguments.iter().map(|a| self.evaluate(a)).collect::<Result<Vec<_>, _>>()?;
                // A call of an unknown function was reported and is never evaluated.
                let Some(function) = functions::get(name) else { return Ok(Cow::Owned(NULL)) };
                for (place, value) in values.iter().enumerate() {
                    if let Some(message) = function.refuses(place, value) {
                        let span = &arguments[place].span;
                        return Err(Mistake::new(codes::EXPRESSION_TYPE, span, message));
                    }
                }
                let result = function.call(&values, self.work);
                result.map(Cow::Owned).map_err(|refusal| refusal.at(&expr.span))
            }
        }
    }

    fn binary<'e>(
        &mut self,
        operator: Binary,
        left: &'e Expr,
        right: &'e Expr,
        whole: &Expr,
    ) -> Result<Cow<'e, Value>, Mistake>
    where
        'a: 'e,
    {
        let a = self.evaluate(left)?;
        // Conditions short-circuit: `n > 0 and 1 / n > 2`.
        match operator {
            Binary::And if !truth(&a, left)? => return Ok(a),
            Binary::Or if truth(&a, left)? => return Ok(a),
            Binary::And | Binary::Or => {
                let b = self.evaluate(right)?;
                truth(&b, right)?;
                return Ok(b);
            }
            _ => {}
        }
        let b = self.evaluate(right)?;
        let type_mistake =
            |message: String| Mistake::new(codes::EXPRESSION_TYPE, &whole.span, message);
        let truth = |flag: bool| Ok(Cow::Owned(Value::Bool(flag)));
        match operator {
            Binary::Equal | Binary::Unequal => {
                let comparable = a.is_null() || b.is_null() || same_sort(&a, &b);
                if !comparable {
                    let (a, b) = (crate::yaml::describe(&a), crate::yaml::describe(&b));
                    return Err(type_mistake(format!("{a} never equals {b}")));
                }
                truth(equal(&a, &b) == (operator == Binary::Equal))
            }
            Binary::Less | Binary::LessOrEqual | Binary::Greater | Binary::GreaterOrEqual => {
                let order = compare(&a, &b).map_err(type_mistake)?;
                truth(match operator {
                    Binary::Less => order == Ordering::Less,
                    Binary::LessOrEqual => order != Ordering::Greater,
                    Binary::Greater => order == Ordering::Greater,
                    _ => order != Ordering::Less,
                })
            }
            Binary::In | Binary::NotIn => {
                let found = match (&*a, &*b) {
                    (a, Value::Array(items)) => {
                        self.work.visit(items.len()).map_err(|refusal| refusal.at(&whole.span))?;
                        items.iter().any(|item| equal(a, item))
                    }
                    (Value::String(a), Value::String(b)) => b.contains(a.as_str()),
                    (Value::String(a), Value::Object(fields)) => fields.contains_key(a),
                    (a, b) => {
                        let (a, b) = (crate::yaml::describe(a), crate::yaml::describe(b));
                        return Err(type_mistake(format!("{a} cannot be looked for in {b}")));
                    }
                };
                truth(found == (operator == Binary::In))
            }
            Binary::Add if a.is_string() && b.is_string() => {
                let texts = [a.as_str(), b.as_str()].into_iter().flatten();
                let bytes = texts.clone().map(str::len).sum();
                self.work.text(bytes).map_err(|refusal| refusal.at(&whole.span))?;
                let text = texts.collect::<String>();
                Ok(Cow::Owned(Value::String(text)))
            }
            Binary::Add if a.is_array() && b.is_array() => {
                let items = [&a, &b].into_iter().filter_map(|list| list.as_array()).flatten();
                let items: Vec<_> = items.cloned().collect();
                self.work.list(items.len()).map_err(|refusal| refusal.at(&whole.span))?;
                Ok(Cow::Owned(Value::Array(items)))
            }
            _ => {
                let (Some(x), Some(y)) = (Num::from_value(&a), Num::from_value(&b)) else {
                    let (a, b) = (crate::yaml::describe(&a), crate::yaml::describe(&b));
                    let symbol = operator.symbol();
                    return Err(type_mistake(format!("`{symbol}` cannot take {a} and {b}")));
                };
                let result = match operator {
                    Binary::Add => x.add(y),
                    Binary::Subtract => x.subtract(y),
                    Binary::Multiply => x.multiply(y),
                    Binary::Divide => x.divide(y),
                    Binary::FloorDivide => x.floor_divide(y),
                    _ => x.remainder(y),
                };
                let value = |message| Mistake::new(codes::EXPRESSION_VALUE, &whole.span, message);
                Ok(Cow::Owned(result.and_then(Num::value).map_err(value)?))
            }
        }
    }
}

fn truth(value: &Value, expr: &Expr) -> Result<bool, Mistake> {
    value.as_bool().ok_or_else(|| {
        let message =
            format!("a condition must be true or false, not {}", crate::yaml::describe(value));
        Mistake::new(codes::EXPRESSION_TYPE, &expr.span, message)
    })
}

fn number(value: &Value, expr: &Expr) -> Result<Num, Mistake> {
    Num::from_value(value).ok_or_else(|| {
        let message = format!("only a number has a sign, not {}", crate::yaml::describe(value));
        Mistake::new(codes::EXPRESSION_TYPE, &expr.span, message)
    })
}

/// The element of a list or a text, counted from 0, or from the end when negative; the value of a
/// key.
fn at<'e>(base: Cow<'e, Value>, index: &Value) -> Result<Cow<'e, Value>, String> {
    let place = |length: usize| {
        let index = index.as_i64().ok_or("an index must be a whole number")?;
        let from_start =
            if index < 0 { index.checked_add_unsigned(length as u64) } else { Some(index) };
        let place = from_start.and_then(|index| usize::try_from(index).ok());
        place
            .filter(|place| *place < length)
            .ok_or(format!("there is no element {index} of {length}"))
    };
    match base {
        Cow::Borrowed(Value::Array(items)) => {
            place(items.len()).map(|at| Cow::Borrowed(&items[at]))
        }
        Cow::Owned(Value::Array(mut items)) => {
            place(items.len()).map(|at| Cow::Owned(items.swap_remove(at)))
        }
        base => match &*base {
            Value::String(text) => {
                let at = place(text.chars().count())?;
                Ok(Cow::Owned(text.chars().skip(at).take(1).collect::<String>().into()))
            }
            Value::Object(fields) => {
                let key = index.as_str().ok_or("a key must be text")?;
                let known = fields.get(key).cloned();
                known.map(Cow::Owned).ok_or_else(|| format!("there is no key `{key}`"))
            }
            other => Err(format!("{} cannot be indexed", crate::yaml::describe(other))),
        },
    }
}

fn same_sort(a: &Value, b: &Value) -> bool {
    std::mem::discriminant(a) == std::mem::discriminant(b)
}

/// True if two values are equal; a whole number equals the same float.
pub(crate) fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (Value::Number(_), Value::Number(_)) => matches!(compare(a, b), Ok(Ordering::Equal)),
        _ => a == b,
    }
}

/// The order of two numbers or two texts.
pub(super) fn compare(a: &Value, b: &Value) -> Result<Ordering, String> {
    let order = match (a, b) {
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        _ => match (Num::from_value(a), Num::from_value(b)) {
            (Some(a), Some(b)) => a.compare(b),
            _ => None,
        },
    };
    order.ok_or_else(|| {
        let (a, b) = (crate::yaml::describe(a), crate::yaml::describe(b));
        format!("{a} and {b} have no order")
    })
}

/// The bytes of the texts of a value.
pub(super) fn text_bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(text_bytes).sum(),
        Value::Object(fields) => {
            fields.iter().map(|(name, field)| name.len() + text_bytes(field)).sum()
        }
        _ => 0,
    }
}

/// A value as text; `None` for lists and mappings.
pub(crate) fn format_value(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        Value::Array(_) | Value::Object(_) => None,
    }
}
