//! Options as read once, evaluated many times, and where they are written.

use std::collections::BTreeSet;

use serde_json::Value;

use super::WrittenStage;
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::expression::{Environment, Mistake, Scope, Template, has_expression};
use crate::files::Files;
use crate::index::AxisIndex;
use crate::workflow::OptionPlaces;
use crate::yaml::{Data, Node};

/// Options as read: constants, and templates with their nodes.
pub(super) enum Compiled<'n> {
    Scalar(Template, &'n Node),
    List(Vec<Self>),
    Map(Vec<(&'n str, Self)>),
}

/// Reads a tree of options; `None` when any part has a mistake or depends on something that has.
pub(super) fn compile<'n>(
    node: &'n Node,
    scope: &mut Scope<'_>,
    files: &Files,
    found: &mut Vec<Diagnostic>,
) -> Option<Compiled<'n>> {
    match &node.data {
        Data::Scalar(_) => Some(Compiled::Scalar(Template::read(node, scope, files, found)?, node)),
        Data::Sequence(items) => {
            let items: Vec<_> =
                items.iter().map(|item| compile(item, scope, files, found)).collect();
            Some(Compiled::List(items.into_iter().collect::<Option<_>>()?))
        }
        Data::Mapping(entries) => {
            let mut map = Vec::with_capacity(entries.len());
            let mut whole = true;
            for entry in entries {
                if has_expression(&entry.key) {
                    let message = "an expression has no meaning in a key";
                    found.push(Diagnostic::error(
                        codes::EXPRESSION_PLACE,
                        &entry.key_place,
                        message,
                    ));
                    whole = false;
                }
                match compile(&entry.value, scope, files, found) {
                    Some(value) => map.push((entry.key.as_str(), value)),
                    None => whole = false,
                }
            }
            whole.then_some(Compiled::Map(map))
        }
    }
}

impl Compiled<'_> {
    /// True if it is one expression and nothing else.
    pub(super) fn is_expression(&self) -> bool {
        matches!(self, Self::Scalar(template, _) if template.is_whole())
    }

    /// True if no expression is in it: it has one value at all points.
    pub(super) fn is_constant(&self) -> bool {
        match self {
            Self::Scalar(template, _) => template.is_constant(),
            Self::List(items) => items.iter().all(Self::is_constant),
            Self::Map(entries) => entries.iter().all(|(_, value)| value.is_constant()),
        }
    }

    pub(super) fn mentions(&self, axes: &mut BTreeSet<AxisIndex>) {
        match self {
            Self::Scalar(template, _) => axes.extend(&template.axes),
            Self::List(items) => items.iter().for_each(|item| item.mentions(axes)),
            Self::Map(entries) => entries.iter().for_each(|(_, value)| value.mentions(axes)),
        }
    }

    pub(super) fn evaluate<'s>(
        &'s self,
        environment: &mut Environment<'_>,
        mistakes: &mut Vec<(Mistake, &'s Node)>,
    ) -> Value {
        match self {
            Self::Scalar(template, node) => match template.evaluate(environment) {
                Ok(value) => value,
                Err(mistake) => {
                    mistakes.push((mistake, node));
                    Value::Null
                }
            },
            Self::List(items) => {
                items.iter().map(|item| item.evaluate(environment, mistakes)).collect()
            }
            Self::Map(entries) => {
                let entries = entries.iter();
                let evaluated = entries
                    .map(|(key, value)| ((*key).to_owned(), value.evaluate(environment, mistakes)));
                Value::Object(evaluated.collect())
            }
        }
    }
}

pub(super) fn option_places(stage: &WrittenStage) -> OptionPlaces {
    let uses = stage.uses.as_ref().map(|node| &node.place);
    let whole = stage.with_key.as_ref().or(uses).unwrap_or(&stage.name_place).clone();
    OptionPlaces { with: stage.with.clone(), whole }
}
