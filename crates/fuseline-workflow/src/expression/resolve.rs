//! Checks of an expression without values: names, fields, functions, and types where they are
//! known.

use std::collections::BTreeSet;
use std::ops::Range;

use serde_json::Value;

use super::functions::{self, Takes};
use super::types::Type;
use super::{Binary, Expr, ExprKind, Mistake, Unary, has_expression};
use crate::codes;
use crate::files::{FileId, Files};
use crate::index::{AxisIndex, IndexVec, ParamIndex};
use crate::names;
use crate::workflow::{Axis, AxisPoint};

/// Name and type of a param, as expressions see it.
#[derive(Debug, Clone)]
pub(crate) struct ParamView {
    pub name: String,
    /// `None` when the param has a mistake: its dependents are not checked.
    pub gives: Option<Type>,
}

/// Types of an axis's points, as expressions see them.
#[derive(Debug, Clone)]
pub(crate) enum AxisView {
    /// The axis has a mistake: its dependents are not checked.
    Unknown,
    Scalar(Type),
    Fields(Vec<(String, Type)>),
}

/// Names that are visible to an expression.
pub(crate) struct Scope<'a> {
    pub params: &'a IndexVec<ParamIndex, ParamView>,
    /// All axes of the workflow, by name.
    pub axes: &'a IndexVec<AxisIndex, (String, AxisView)>,
    /// The axes that are visible; `None` where no axis is, as in `axes:` itself.
    pub over: Option<&'a [AxisIndex]>,
    /// The points of the axes, where they are known.
    pub points: Option<Points<'a>>,
    /// The params that were mentioned.
    pub used: &'a mut BTreeSet<ParamIndex>,
}

/// The points of all axes.
pub(crate) struct Points<'a> {
    pub axes: &'a IndexVec<AxisIndex, Axis>,
    /// The texts that they stand in.
    pub files: &'a Files,
    /// The text of the expression.
    pub file: FileId,
}

pub(super) struct Resolver<'a, 's> {
    scope: &'a mut Scope<'s>,
    mistakes: &'a mut Vec<Mistake>,
    mentioned: &'a mut BTreeSet<AxisIndex>,
    /// Something that it depends on has a mistake of its own.
    pub poisoned: bool,
}

impl<'a, 's> Resolver<'a, 's> {
    pub fn new(
        scope: &'a mut Scope<'s>,
        mistakes: &'a mut Vec<Mistake>,
        mentioned: &'a mut BTreeSet<AxisIndex>,
    ) -> Self {
        Self { scope, mistakes, mentioned, poisoned: false }
    }

    fn mistake(&mut self, mistake: Mistake) -> Type {
        self.mistakes.push(mistake);
        Type::Any
    }

    /// Resolves the names of an expression and finds its type.
    pub fn resolve(&mut self, expr: &mut Expr) -> Type {
        let span = expr.span.clone();
        match &mut expr.kind {
            ExprKind::Literal(value) => Type::from_value(value),
            ExprKind::Name(name) => {
                let name = name.clone();
                let (kind, gives) = self.name(&name, &span);
                expr.kind = kind;
                gives
            }
            ExprKind::Field(base, field, field_span) => {
                let (field, field_span) = (field.clone(), field_span.clone());
                if let ExprKind::Name(name) = &base.kind {
                    let name = name.clone();
                    let (kind, gives) = self.named_field(&name, &base.span, &field, &field_span);
                    expr.kind = kind;
                    return gives;
                }
                let base = self.resolve(base);
                if !base.may_be(&Type::Map) {
                    let message = format!("{} has no fields", base.words());
                    return self.mistake(Mistake::new(codes::UNKNOWN_FIELD, &field_span, message));
                }
                Type::Any
            }
            ExprKind::Index(base, index) => {
                let (base_type, index_type) = (self.resolve(base), self.resolve(index));
                match base_type {
                    Type::List(element) => {
                        self.want(&index_type, &Type::Int, &index.span, "an index of a list");
                        *element
                    }
                    Type::Text => {
                        self.want(&index_type, &Type::Int, &index.span, "an index of a text");
                        Type::Text
                    }
                    Type::Map => {
                        self.want(&index_type, &Type::Text, &index.span, "a key");
                        Type::Any
                    }
                    Type::Any => Type::Any,
                    other => {
                        let message = format!("{} cannot be indexed", other.words());
                        self.mistake(Mistake::new(codes::EXPRESSION_TYPE, &base.span, message))
                    }
                }
            }
            ExprKind::List(items) => {
                let types: Vec<_> = items.iter_mut().map(|item| self.resolve(item)).collect();
                Type::List(Box::new(Type::common(types)))
            }
            ExprKind::Unary(operator, operand) => {
                let found = self.resolve(operand);
                match operator {
                    Unary::Not => {
                        self.want(&found, &Type::Bool, &operand.span, "the operand of `not`");
                        Type::Bool
                    }
                    Unary::Minus | Unary::Plus => {
                        self.want(&found, &Type::Number, &operand.span, "what has a sign");
                        if found.is_number() { found } else { Type::Number }
                    }
                }
            }
            ExprKind::Binary(operator, left, right) => {
                let types = (self.resolve(left), self.resolve(right));
                match operator {
                    Binary::Equal | Binary::Unequal => {
                        self.check_point(left, right);
                        self.check_point(right, left);
                    }
                    Binary::In | Binary::NotIn => {
                        if let ExprKind::List(items) = &right.kind {
                            items.iter().for_each(|item| self.check_point(left, item));
                        }
                    }
                    _ => {}
                }
                match binary(*operator, &types.0, &types.1) {
                    Ok(gives) => gives,
                    Err((message, hint)) => {
                        let mistake = Mistake::new(codes::EXPRESSION_TYPE, &span, message);
                        self.mistake(mistake.hint(hint.map(str::to_owned)))
                    }
                }
            }
            ExprKind::Conditional { condition, then, otherwise } => {
                let found = self.resolve(condition);
                self.want(&found, &Type::Bool, &condition.span, "the condition of `if`");
                let then = self.resolve(then);
                Type::common([then, self.resolve(otherwise)])
            }
            ExprKind::Call { name, name_span, arguments } => {
                let types: Vec<_> =
                    arguments.iter_mut().map(|argument| self.resolve(argument)).collect();
                let (name, name_span) = (name.clone(), name_span.clone());
                let spans: Vec<_> =
                    arguments.iter().map(|argument| argument.span.clone()).collect();
                self.call(&name, &name_span, &types, &spans)
            }
            ExprKind::Param(_)
            | ExprKind::AxisLabel(_)
            | ExprKind::AxisValue(_)
            | ExprKind::AxisField(..) => Type::Any,
        }
    }

    /// Warns of a text with which an axis is compared, and which none of its points is. An axis
    /// that expressions make may have the point another time, as may one of another file, unless
    /// the text is nearly that of a point that is there.
    fn check_point(&mut self, compared: &Expr, with: &Expr) {
        let (axis, field) = match &compared.kind {
            ExprKind::AxisLabel(axis) | ExprKind::AxisValue(axis) => (*axis, None),
            ExprKind::AxisField(axis, field) => (*axis, Some(field)),
            _ => return,
        };
        let (Some(Points { axes, files, file }), ExprKind::Literal(Value::String(text))) =
            (&self.scope.points, &with.kind)
        else {
            return;
        };
        let axis = &axes[axis];
        let nested = axis.within.iter().flat_map(|within| within.values.values());
        let values = axis.points.iter().map(|point| &point.value).chain(nested);
        let texts: Vec<&str> = match field {
            Some(field) => values.filter_map(|value| value.get(field)?.as_str()).collect(),
            None => axis.points.iter().map(|point| point.label.as_str()).collect(),
        };
        let is_made = |point: &AxisPoint| has_expression(files.slice(&point.place));
        if texts.contains(&text.as_str()) || axis.points.iter().any(is_made) {
            return;
        }
        // Within the quotes, where the literal has no escapes.
        let is_plain = with.span.len() == text.len() + 2;
        let span =
            if is_plain { with.span.start + 1..with.span.end - 1 } else { with.span.clone() };
        let (name, text) = (&axis.name, names::short(text));
        let message = match field {
            Some(field) => format!("no point of the axis `{name}` has the {field} `{text}`"),
            None => format!("the axis `{name}` has no point `{text}`"),
        };
        let mistake = Mistake::new(codes::UNKNOWN_POINT, &span, message);
        let what = if field.is_some() { "value" } else { "point" };
        let mistake = Mistake { is_warning: true, ..mistake.suggest(&text, what, texts) };
        if mistake.is_suggested() || field.is_none() && axis.place.file == *file {
            self.mistakes.push(mistake);
        }
    }

    fn want(&mut self, found: &Type, wanted: &Type, span: &Range<usize>, what: &str) {
        if !found.may_be(wanted) {
            let message = format!("{what} must be {}, not {}", wanted.words(), found.words());
            self.mistakes.push(Mistake::new(codes::EXPRESSION_TYPE, span, message));
        }
    }

    /// A name without a field: an axis.
    fn name(&mut self, name: &str, span: &Range<usize>) -> (ExprKind, Type) {
        let unresolved = ExprKind::Literal(Value::Null);
        if name == "params" {
            let message = "`params` stands for all params; name one of them";
            let hint = self.scope.params.first().map(|param| format!("params.{}", param.name));
            self.mistake(Mistake::new(codes::UNKNOWN_NAME, span, message).hint(hint));
            return (unresolved, Type::Any);
        }
        let Some(axis) = self.axis(name, span) else { return (unresolved, Type::Any) };
        match &self.scope.axes[axis].1 {
            AxisView::Scalar(gives) => (ExprKind::AxisValue(axis), gives.clone()),
            AxisView::Fields(_) => (ExprKind::AxisLabel(axis), Type::Text),
            AxisView::Unknown => {
                self.poisoned = true;
                (unresolved, Type::Any)
            }
        }
    }

    /// The visible axis of a name.
    fn axis(&mut self, name: &str, span: &Range<usize>) -> Option<AxisIndex> {
        let (axes, over) = (self.scope.axes, self.scope.over);
        let axis = axes.position(|(axis, _)| axis == name);
        let mistake =
            Mistake::new(codes::UNKNOWN_NAME, span, format!("`{name}` is not defined here"));
        let mistake = match (axis, over) {
            (Some(axis), Some(over)) if over.contains(&axis) => {
                self.mentioned.insert(axis);
                return Some(axis);
            }
            (Some(_), Some(_)) => {
                let message = format!("`{name}` is an axis that this stage does not run over");
                let missing_axis = axis;
                Mistake { message, missing_axis, ..mistake }.hint(format!("add `{name}` to `over`"))
            }
            (Some(_), None) => {
                let message = format!("`{name}` is an axis, and no axis is visible here");
                Mistake { message, ..mistake }.hint("only `params` are".to_owned())
            }
            (None, _) if self.scope.params.iter().any(|param| param.name == name) => mistake
                .hint(format!("params are written `params.{name}`"))
                .meant(name, format!("params.{name}")),
            (None, _) if matches!(name, "axes" | "axis" | "matrix") => {
                mistake.hint("an axis is written by its name alone, such as `fold`".to_owned())
            }
            (None, _) if matches!(name, "env" | "environ" | "vars" | "inputs" | "secrets") => {
                mistake.hint(
                    "expressions see params, axes and functions alone: declare a param, and give \
                     it by --set"
                        .to_owned(),
                )
            }
            (None, _) if functions::get(name).is_some() => {
                let message = format!("`{name}` is a function and needs its arguments");
                Mistake { message, ..mistake }.hint(functions::signature(name))
            }
            (None, over) => {
                let visible = over.unwrap_or_default().iter().map(|axis| axes[*axis].0.as_str());
                let mistake = mistake.suggest(name, "visible name", visible.chain(["params"]));
                match &mistake.hint {
                    Some(hint) if !mistake.is_suggested() => {
                        let hint = format!("{hint}; a text is quoted: \"{name}\"");
                        mistake.hint(hint)
                    }
                    _ => mistake,
                }
            }
        };
        self.mistakes.push(mistake);
        None
    }

    /// `params.name` or `axis.field`.
    fn named_field(
        &mut self,
        name: &str,
        name_span: &Range<usize>,
        field: &str,
        field_span: &Range<usize>,
    ) -> (ExprKind, Type) {
        let unresolved = ExprKind::Literal(Value::Null);
        if name == "params" {
            let params = self.scope.params;
            let Some(index) = params.position(|param| param.name == field) else {
                let names = params.iter().map(|param| param.name.as_str());
                let message = format!("there is no param `{field}`");
                let mistake = Mistake::new(codes::UNKNOWN_PARAM, field_span, message)
                    .hint("declare it under `params:`".to_owned());
                self.mistake(mistake.suggest(field, "param", names));
                return (unresolved, Type::Any);
            };
            self.scope.used.insert(index);
            self.poisoned |= params[index].gives.is_none();
            return (ExprKind::Param(index), params[index].gives.clone().unwrap_or(Type::Any));
        }
        let Some(axis) = self.axis(name, name_span) else { return (unresolved, Type::Any) };
        let fields = match &self.scope.axes[axis].1 {
            AxisView::Unknown => {
                self.poisoned = true;
                return (unresolved, Type::Any);
            }
            AxisView::Scalar(_) => &[][..],
            AxisView::Fields(fields) => fields,
        };
        if let Some((_, gives)) = fields.iter().find(|(known, _)| known == field) {
            return (ExprKind::AxisField(axis, field.to_owned()), gives.clone());
        }
        if field == "label" {
            return (ExprKind::AxisLabel(axis), Type::Text);
        }
        let names = fields.iter().map(|(known, _)| known.as_str()).chain(["label"]);
        let message = format!("the points of axis `{name}` have no field `{field}`");
        let mistake = Mistake::new(codes::UNKNOWN_FIELD, field_span, message);
        self.mistake(mistake.suggest(field, "field", names));
        (unresolved, Type::Any)
    }

    fn call(
        &mut self,
        name: &str,
        name_span: &Range<usize>,
        types: &[Type],
        spans: &[Range<usize>],
    ) -> Type {
        let Some(function) = functions::get(name) else {
            let message = format!("there is no function `{name}`");
            let mistake = Mistake::new(codes::UNKNOWN_FUNCTION, name_span, message);
            return self.mistake(mistake.suggest(name, "function", functions::names()));
        };
        if !function.arity().contains(&types.len()) {
            let (low, high) = (*function.arity().start(), *function.arity().end());
            let takes = match (low, high) {
                (1, 1) => "1 argument".to_owned(),
                (low, high) if low == high => format!("{low} arguments"),
                (low, usize::MAX) => format!("at least {low} arguments"),
                (low, high) if high == low + 1 => format!("{low} or {high} arguments"),
                (low, high) => format!("{low} to {high} arguments"),
            };
            let message = format!("`{name}` takes {takes}, not {}", types.len());
            let mistake = Mistake::new(codes::UNKNOWN_FUNCTION, name_span, message);
            return self.mistake(mistake.hint(functions::signature(name)));
        }
        for (place, (found, span)) in types.iter().zip(spans).enumerate() {
            let takes = function.takes(place);
            if !takes.may_take(found) {
                let message = takes.refusal(name, place, found.words());
                let mistake = Mistake::new(codes::EXPRESSION_TYPE, span, message);
                self.mistakes.push(mistake.hint(functions::signature(name)));
            }
        }
        function.gives(types)
    }
}

/// The type of an operation, or why there is none.
fn binary(
    operator: Binary,
    left: &Type,
    right: &Type,
) -> Result<Type, (String, Option<&'static str>)> {
    let symbol = operator.symbol();
    let (a, b) = (left.words(), right.words());
    let numbers = || {
        if left.may_be(&Type::Number) && right.may_be(&Type::Number) {
            return Ok(());
        }
        Err((format!("`{symbol}` takes numbers, not {a} and {b}"), None))
    };
    match operator {
        Binary::Or | Binary::And => {
            if left.may_be(&Type::Bool) && right.may_be(&Type::Bool) {
                return Ok(Type::Bool);
            }
            let hint = Some("a value for a condition is `a if condition else b`");
            Err((format!("`{symbol}` takes true or false, not {a} and {b}"), hint))
        }
        Binary::Equal | Binary::Unequal => {
            let comparable = left.may_be(right)
                || right.may_be(left)
                || *left == Type::Null
                || *right == Type::Null;
            if comparable {
                return Ok(Type::Bool);
            }
            let hint = Some("turn one into the other with str(…), int(…) or float(…)");
            Err((format!("{a} never equals {b}"), hint))
        }
        Binary::Less | Binary::LessOrEqual | Binary::Greater | Binary::GreaterOrEqual => {
            let both = |wanted: &Type| left.may_be(wanted) && right.may_be(wanted);
            if both(&Type::Number) || both(&Type::Text) {
                return Ok(Type::Bool);
            }
            Err((format!("`{symbol}` takes two numbers or two texts, not {a} and {b}"), None))
        }
        Binary::In | Binary::NotIn => match right {
            Type::Text if !left.may_be(&Type::Text) => {
                Err((format!("`{symbol}` looks for text in text, not for {a}"), None))
            }
            Type::Any | Type::List(_) | Type::Map | Type::Text => Ok(Type::Bool),
            _ => Err((
                format!("`{symbol}` looks in a list or a text, not in {b}"),
                Some("a list is written `[a, b]`"),
            )),
        },
        Binary::Add => match (left, right) {
            (Type::Int, Type::Int) => Ok(Type::Int),
            (a, b) if a.is_number() && b.is_number() => Ok(Type::Number),
            (Type::Text, Type::Text) => Ok(Type::Text),
            (Type::List(_), Type::List(_)) => Ok(Type::common([left.clone(), right.clone()])),
            (Type::Any, other) | (other, Type::Any)
                if *other == Type::Any
                    || other.is_number()
                    || matches!(other, Type::Text | Type::List(_)) =>
            {
                Ok(Type::Any)
            }
            _ => {
                let hint =
                    "an expression within a text is formatted: \"a ${{ b }}\"; or use str(…)";
                Err((format!("`+` cannot add {a} and {b}"), Some(hint)))
            }
        },
        Binary::Divide => numbers().map(|()| Type::Float),
        Binary::Subtract | Binary::Multiply | Binary::FloorDivide | Binary::Remainder => {
            numbers()?;
            Ok(if (left, right) == (&Type::Int, &Type::Int) { Type::Int } else { Type::Number })
        }
    }
}

impl Takes {
    /// True if a value of a type might be taken.
    pub fn may_take(self, found: &Type) -> bool {
        match self {
            Self::Anything => true,
            Self::Int => found.may_be(&Type::Int),
            Self::Number => found.may_be(&Type::Number),
            Self::Text => found.may_be(&Type::Text),
            Self::List => matches!(found, Type::Any | Type::List(_)),
            Self::Sized => matches!(found, Type::Any | Type::List(_) | Type::Text | Type::Map),
            Self::NumberOrList => {
                found.may_be(&Type::Number) || matches!(found, Type::Any | Type::List(_))
            }
            Self::Scalar => !matches!(found, Type::List(_) | Type::Map),
        }
    }
}
