//! Values of the objects of a file of JSON lines under one name.

use std::borrow::Cow;

use super::json::Json;
use crate::load::notation::Notation;
use crate::load::numeric::number_text;
use crate::load::table::{Cell, TextColumn};

/// A column of a file of JSON lines. One that ends early is missing from there on.
#[derive(Default)]
pub(crate) enum JsonColumn {
    /// It is not read.
    #[default]
    Unread,
    /// Its values as numbers.
    Numbers(TextColumn),
    /// Its values as text, or as truth values.
    Values(Vec<Scalar>),
}

/// A value that is neither a list nor an object; numbers are text with all of their digits.
pub(crate) enum Scalar {
    Missing,
    Truth(bool),
    Text(Box<str>),
}

impl JsonColumn {
    pub fn numbers() -> Self {
        Self::Numbers(TextColumn::numbers())
    }

    pub fn values() -> Self {
        Self::Values(Vec::new())
    }

    pub fn cell(&self, row: usize) -> Cell<'_> {
        match self {
            Self::Unread => Cell::Missing,
            Self::Numbers(column) => column.cell(row),
            Self::Values(values) => match values.get(row) {
                None | Some(Scalar::Missing) => Cell::Missing,
                Some(Scalar::Truth(value)) => Cell::Truth(*value),
                Some(Scalar::Text(text)) => Cell::Text(Cow::Borrowed(text)),
            },
        }
    }

    /// Puts down the value of a row; rows before it that have none are missing.
    fn put(&mut self, row: usize, value: &Json<'_>, notation: &Notation) {
        match self {
            Self::Unread => {}
            Self::Numbers(column) => {
                column.fill(row);
                match value {
                    Json::Text(text) => column.push(text.trim(), notation),
                    value => column.push_number(number(value)),
                }
            }
            Self::Values(values) => {
                values.resize_with(row, || Scalar::Missing);
                values.push(scalar(value));
            }
        }
    }
}

fn scalar(value: &Json<'_>) -> Scalar {
    let text: Box<str> = match value {
        Json::Truth(value) => return Scalar::Truth(*value),
        Json::Text(text) => text.trim().into(),
        Json::Number("NaN") => "".into(),
        // A float is written as it is in every other format.
        Json::Number(text) if text.contains(['.', 'e', 'E', 'I']) => {
            number_text(number(value)).into()
        }
        Json::Number(text) => Box::from(*text),
        Json::Null | Json::List(_) | Json::Object => "".into(),
    };
    if text.is_empty() { Scalar::Missing } else { Scalar::Text(text) }
}

/// A number or a truth value as a number; NaN for everything else.
fn number(value: &Json<'_>) -> f64 {
    match value {
        Json::Truth(value) => f64::from(u8::from(*value)),
        Json::Number(text) => text.parse().unwrap_or(f64::NAN),
        _ => f64::NAN,
    }
}

/// Values under one name.
pub(super) struct Field {
    pub name: String,
    /// The line that named it last.
    pub line: u64,
    pub shape: Shape,
    /// One column, or one for each place of its lists; none before there is a value.
    pub columns: Vec<JsonColumn>,
    /// Why it can be no column: a lower-case fragment.
    pub fault: Option<String>,
}

/// Shape of the values, lists or not, and the first line that showed it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    Unknown,
    Scalar { line: u64 },
    List { line: u64, length: usize },
}

impl Field {
    pub fn new(name: String) -> Self {
        let columns = Vec::new();
        Self { name, line: 0, shape: Shape::Unknown, columns, fault: None }
    }

    /// Puts down the value of a row. `column` makes a column, given the place in a list.
    pub fn put(
        &mut self,
        row: usize,
        value: &Json<'_>,
        notation: &Notation,
        column: impl Fn(&str, Option<usize>) -> JsonColumn,
    ) {
        if self.fault.is_some() {
            return;
        }
        if let Err(fault) = self.try_put(row, value, notation, column) {
            self.columns = vec![JsonColumn::Unread];
            self.fault = Some(fault);
        }
    }

    fn try_put(
        &mut self,
        row: usize,
        value: &Json<'_>,
        notation: &Notation,
        column: impl Fn(&str, Option<usize>) -> JsonColumn,
    ) -> Result<(), String> {
        let here = self.line;
        match (value, self.shape) {
            (Json::Null, _) => return Ok(()),
            (Json::Object, _) => {
                return Err(format!("an object in line {here}, not numbers or text"));
            }
            (Json::List(items), shape) => {
                if let Some(what) = items.iter().find_map(|item| no_number(item, notation)) {
                    return Err(format!("a list with {what} in line {here}, not lists of numbers"));
                }
                match shape {
                    Shape::Scalar { line } => {
                        return Err(format!("a list in line {here} and none in line {line}"));
                    }
                    Shape::List { line, length } if length != items.len() => {
                        return Err(format!(
                            "lists of {length} values in line {line} and of {} in line {here}",
                            items.len()
                        ));
                    }
                    Shape::List { .. } => {}
                    Shape::Unknown => {
                        self.shape = Shape::List { line: here, length: items.len() };
                        let places = 0..items.len();
                        self.columns =
                            places.map(|place| column(&self.name, Some(place))).collect();
                    }
                }
            }
            (_, Shape::List { line, .. }) => {
                return Err(format!("a list in line {line} and none in line {here}"));
            }
            (_, Shape::Unknown) => {
                self.shape = Shape::Scalar { line: here };
                self.columns = vec![column(&self.name, None)];
            }
            (_, Shape::Scalar { .. }) => {}
        }
        let values = match value {
            Json::List(items) => items,
            value => std::slice::from_ref(value),
        };
        for (column, value) in self.columns.iter_mut().zip(values) {
            column.put(row, value, notation);
        }
        Ok(())
    }
}

/// Description of an item of a list that is neither a number nor missing.
fn no_number(item: &Json<'_>, notation: &Notation) -> Option<String> {
    match item {
        Json::Null | Json::Truth(_) | Json::Number(_) => None,
        Json::Text(text) if notation.number(text.trim()).is_some() => None,
        Json::Text(text) => Some(format!("the text {text:?}")),
        Json::List(_) => Some("a list in it".to_owned()),
        Json::Object => Some("an object in it".to_owned()),
    }
}
