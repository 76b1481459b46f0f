//! The option `probabilities`: which column holds the probability of which class.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use fuseline_engine::StageError;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use crate::expert::class_names::{Binding, bind_classes, bind_columns};
use crate::load::table::Table;
use crate::pattern::{Column, closest};

/// Columns of probabilities.
#[derive(Debug)]
pub(super) enum Probabilities {
    /// One a class, to be bound by their names.
    Listed(Vec<Column>),
    /// That of each class.
    ByClass(BTreeMap<String, Column>),
}

/// The column of each class, and what the user must know about how it was found.
pub(super) struct Bound {
    pub columns: Vec<usize>,
    pub caution: Option<String>,
}

impl Probabilities {
    /// A column that is named twice.
    pub fn repeated(&self) -> Option<&Column> {
        let columns = self.columns();
        let mut pairs = columns.iter().enumerate();
        pairs.find_map(|(at, column)| columns[..at].contains(column).then_some(*column))
    }

    /// All columns.
    pub fn columns(&self) -> Vec<&Column> {
        match self {
            Self::Listed(columns) => columns.iter().collect(),
            Self::ByClass(columns) => columns.values().collect(),
        }
    }

    /// Binds the columns of a table to classes.
    pub fn bind(&self, table: &Table, classes: &[String]) -> Result<Bound, StageError> {
        let columns = self
            .columns()
            .into_iter()
            .map(|column| table.column(column, "probabilities"))
            .collect::<Result<Vec<_>, _>>()?;
        if let Some(at) = (0..columns.len()).find(|&at| columns[..at].contains(&columns[at])) {
            let name = &table.names[columns[at]];
            return Err(StageError::data(format!("column {name} is that of two classes"))
                .at("probabilities"));
        }
        match self {
            Self::Listed(_) => bind_listed(&columns, table, classes),
            Self::ByClass(by_class) => {
                let names: Vec<String> = by_class.keys().cloned().collect();
                let order =
                    bind_classes(&names, classes).ok_or_else(|| classes_differ(&names, classes))?;
                let columns = order.into_iter().map(|at| columns[at]).collect();
                Ok(Bound { columns, caution: None })
            }
        }
    }
}

/// Binds columns that are listed: by name, or else in order.
fn bind_listed(columns: &[usize], table: &Table, classes: &[String]) -> Result<Bound, StageError> {
    if columns.len() != classes.len() {
        return Err(StageError::data(format!(
            "{} columns of probabilities for {} classes: {}",
            columns.len(),
            classes.len(),
            classes.join(", ")
        ))
        .at("probabilities")
        .hint("name one column a class"));
    }
    let names: Vec<&str> = columns.iter().map(|&column| table.names[column].as_str()).collect();
    match bind_columns(&names, classes) {
        Binding::Named(order) => {
            let moved = order.iter().enumerate().any(|(class, name)| class != *name);
            let caution = moved.then(|| {
                let taken = pairs(order.iter().map(|&name| names[name]), classes, " for ");
                format!(
                    "the columns of {} are bound to the classes that they name, not in the order \
                     of \
                     probabilities: {taken}",
                    table.file
                )
            });
            let columns = order.into_iter().map(|name| columns[name]).collect();
            Ok(Bound { columns, caution })
        }
        Binding::Unnamed => {
            let taken = pairs(names.into_iter(), classes, " for ");
            let caution = Some(format!(
                "the columns of {} do not name the classes and are bound to them in order: \
                 {taken}; \
                 write probabilities as {{ class: column }} to say which is which",
                table.file
            ));
            Ok(Bound { columns: columns.to_vec(), caution })
        }
        Binding::Contradictory { name, class } => Err(StageError::data(format!(
            "column {} of {} is listed for class {} and named as {} is: order and names \
             contradict each other",
            names[name], table.file, classes[name], classes[class]
        ))
        .at("probabilities")
        .hint(format!(
            "say which is which: probabilities: {{ {}: {}, ... }}",
            classes[0], names[0]
        ))),
    }
}

/// `p0 for rest, p1 for stress`; of many classes the first few.
fn pairs<'n>(names: impl Iterator<Item = &'n str>, classes: &[String], between: &str) -> String {
    let first: Vec<String> = names
        .zip(classes)
        .take(MAX_PAIRS)
        .map(|(name, class)| format!("{name}{between}{class}"))
        .collect();
    let more = if classes.len() > MAX_PAIRS { ", ..." } else { "" };
    format!("{}{more}", first.join(", "))
}

/// Columns that a caution lists.
const MAX_PAIRS: usize = 8;

/// Error when the classes that have columns are not those of the cohort.
fn classes_differ(names: &[String], classes: &[String]) -> StageError {
    let absent = |of: &[String], among: &[String]| {
        of.iter().find(|name| !among.contains(name)).cloned().unwrap_or_default()
    };
    let (message, hint) = match names.len() < classes.len() {
        true => {
            let class = absent(classes, names);
            (format!("no column is named for class {class}"), None)
        }
        false => {
            let name = absent(names, classes);
            let close = closest(&name, classes.iter().map(String::as_str));
            let hint = close.map(|class| format!("did you mean {class}"));
            (format!("{name} is no class of the cohort"), hint)
        }
    };
    let hint = hint.unwrap_or_else(|| format!("the classes are {}", classes.join(", ")));
    StageError::data(message).at("probabilities").hint(hint)
}

impl Serialize for Probabilities {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Listed(columns) => columns.serialize(serializer),
            Self::ByClass(columns) => columns.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Probabilities {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ProbabilitiesVisitor;
        impl<'de> Visitor<'de> for ProbabilitiesVisitor {
            type Value = Probabilities;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping of classes to columns, or a list of columns")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Probabilities, A::Error> {
                let mut columns = Vec::new();
                while let Some(column) = seq.next_element()? {
                    columns.push(column);
                }
                Ok(Probabilities::Listed(columns))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Probabilities, A::Error> {
                let mut columns = BTreeMap::new();
                while let Some((class, column)) = map.next_entry()? {
                    columns.insert(class, column);
                }
                Ok(Probabilities::ByClass(columns))
            }
        }
        deserializer.deserialize_any(ProbabilitiesVisitor)
    }
}

impl JsonSchema for Probabilities {
    fn schema_name() -> Cow<'static, str> {
        "Probabilities".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let column = generator.subschema_for::<Column>();
        json_schema!({
            "anyOf": [
                { "type": "object", "additionalProperties": column, "minProperties": 2 },
                { "type": "array", "items": column, "minItems": 2 }
            ],
            "description": "The column of each class, or a list of columns."
        })
    }
}
