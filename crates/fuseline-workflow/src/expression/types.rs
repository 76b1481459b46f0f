//! Types of expressions, as far as they are known without values.

use serde_json::Value;

/// The type of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Type {
    /// Not known, or not always the same.
    Any,
    Null,
    Bool,
    Int,
    /// A float.
    Float,
    /// An int or a float.
    Number,
    Text,
    List(Box<Type>),
    Map,
}

impl Type {
    /// The type of a value. Only the first elements of a list are read.
    pub fn from_value(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Bool,
            Value::Number(number) if number.is_f64() => Self::Float,
            Value::Number(_) => Self::Int,
            Value::String(_) => Self::Text,
            Value::Array(items) => {
                Self::List(Box::new(Self::common(items.iter().map(Self::from_value))))
            }
            Value::Object(_) => Self::Map,
        }
    }

    /// The type that covers all of some types.
    pub fn common(types: impl IntoIterator<Item = Self>) -> Self {
        let mut types = types.into_iter();
        let Some(first) = types.next() else { return Self::Any };
        types.fold(first, |a, b| match (a, b) {
            (a, b) if a == b => a,
            (a, b) if a.is_number() && b.is_number() => Self::Number,
            (Self::List(a), Self::List(b)) => Self::List(Box::new(Self::common([*a, *b]))),
            _ => Self::Any,
        })
    }

    /// True if it is surely a number.
    pub fn is_number(&self) -> bool {
        matches!(self, Self::Int | Self::Float | Self::Number)
    }

    /// True if a value of this type may be of another.
    pub fn may_be(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) | (_, Self::Any) => true,
            (Self::List(_), Self::List(_)) => true,
            (a, b) if a.is_number() && b.is_number() => !matches!((a, b), (Self::Float, Self::Int)),
            (a, b) => a == b,
        }
    }

    /// In words.
    pub fn words(&self) -> &'static str {
        match self {
            Self::Any => "a value",
            Self::Null => "nothing",
            Self::Bool => "true or false",
            Self::Int => "a whole number",
            Self::Float | Self::Number => "a number",
            Self::Text => "text",
            Self::List(_) => "a list",
            Self::Map => "a mapping",
        }
    }
}
