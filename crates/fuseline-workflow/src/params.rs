//! Params: declared with a type, given a value by a default, a params file, or `--set`.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::check::Overrides;
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::document::{Definition, absolute, is_misspelt, unknown_keys};
use crate::expression::{ParamView, Type, equal, has_expression};
use crate::files::{Files, Place};
use crate::index::{IndexVec, ParamIndex};
use crate::limits::Limits;
use crate::names;
use crate::yaml::{self, Data, Node, Scalar, Style, describe, plain_value};

/// The type of a param.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ParamType {
    Path,
    Int,
    Float,
    Bool,
    String,
    List,
}

/// The types by the names that `type:` gives.
pub(crate) const TYPES: [(&str, ParamType); 6] = [
    ("path", ParamType::Path),
    ("int", ParamType::Int),
    ("float", ParamType::Float),
    ("bool", ParamType::Bool),
    ("string", ParamType::String),
    ("list", ParamType::List),
];

pub(crate) const KEYS: [&str; 6] = ["type", "default", "help", "choices", "min", "max"];

impl ParamType {
    fn from_value(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Bool(_) => Self::Bool,
            Value::Number(number) if number.is_f64() => Self::Float,
            Value::Number(_) => Self::Int,
            Value::String(_) => Self::String,
            Value::Array(_) => Self::List,
            Value::Null | Value::Object(_) => return None,
        })
    }

    fn words(self) -> &'static str {
        match self {
            Self::Path => "a path",
            Self::Int => "a whole number",
            Self::Float => "a number",
            Self::Bool => "true or false",
            Self::String => "text",
            Self::List => "a list",
        }
    }

    /// The value as this type, if it is of it; a whole number is a float too.
    fn accept(self, value: &Value) -> Option<Value> {
        let fits = match self {
            Self::Int => value.is_i64(),
            Self::Float => return value.as_f64().map(Value::from),
            Self::Bool => value.is_boolean(),
            Self::String => value.is_string(),
            Self::Path => value.as_str().is_some_and(|path| !path.is_empty()),
            Self::List => value
                .as_array()
                .is_some_and(|items| items.iter().all(|item| !item.is_object() && !item.is_null())),
        };
        fits.then(|| value.clone())
    }
}

/// A param with its value.
#[derive(Debug, Clone)]
pub(crate) struct Param {
    pub name: String,
    pub place: Place,
    pub included: bool,
    /// `None` when its declaration has a mistake.
    kind: Option<ParamType>,
    choices: Option<Vec<Value>>,
    min: Option<f64>,
    max: Option<f64>,
    /// `None` when there is none, or when it has a mistake.
    pub value: Option<Value>,
    /// Place of the value.
    pub value_place: Option<Place>,
    /// True if a value was tried: one that is missing then has been reported.
    tried: bool,
}

impl Param {
    /// Its value, when it is a path.
    pub fn path(&self) -> Option<PathBuf> {
        let value = self.value.as_ref().filter(|_| self.kind == Some(ParamType::Path));
        value.and_then(Value::as_str).map(PathBuf::from)
    }
}

/// Reads declarations, applies overrides, and reports missing values.
pub(crate) fn read(
    definitions: &[Definition],
    overrides: &Overrides,
    limits: &Limits,
    files: &mut Files,
    found: &mut Vec<Diagnostic>,
) -> Vec<Param> {
    let mut params: Vec<_> = definitions.iter().map(|item| declaration(item, found)).collect();
    if let Some(given) = &overrides.params_file {
        let path = absolute(&overrides.working_dir, &given.path);
        let file = files.add(given.path.clone(), given.text.clone());
        let blank = given.text.lines().all(|line| {
            let line = line.trim();
            line.is_empty() || line.starts_with('#')
        });
        if !blank && let Some(root) = yaml::parse(file, files, limits, found) {
            let folder = path.parent().unwrap_or(Path::new(""));
            for entry in root.mapping("a params file", found).unwrap_or_default() {
                let Some(param) = find(&mut params, &entry.key, &entry.key_place, found) else {
                    continue;
                };
                param.give_node(&entry.value, folder, found);
            }
        }
    }
    for (name, text) in &overrides.set {
        let file = files.add(crate::given::SET, format!("{name}={text}"));
        let name_place = Place::new(file, 0..name.len());
        let place = Place::new(file, name.len() + 1..name.len() + 1 + text.len());
        if let Some(param) = find(&mut params, name, &name_place, found) {
            param.give_text(text, &place, overrides, limits, files, found);
        }
    }
    for param in params.iter().filter(|param| param.kind.is_some() && !param.tried) {
        let what = param.kind.map_or("a value", ParamType::words);
        let message = format!("the param `{}` needs a value: {what}", param.name);
        found.push(
            Diagnostic::error(codes::MISSING_PARAM, &param.place, message)
                .label("has no default")
                .hint(format!("give it: --set {}=…", param.name)),
        );
    }
    params
}

/// Params as expressions see them.
pub(crate) fn views(params: &[Param]) -> IndexVec<ParamIndex, ParamView> {
    let view = |param: &Param| ParamView {
        name: param.name.clone(),
        gives: param.value.as_ref().map(Type::from_value),
    };
    params.iter().map(view).collect()
}

fn find<'p>(
    params: &'p mut [Param],
    name: &str,
    place: &Place,
    found: &mut Vec<Diagnostic>,
) -> Option<&'p mut Param> {
    let Some(index) = params.iter().position(|param| param.name == name) else {
        let message = format!("the workflow has no param `{}`", names::short(name));
        let names = params.iter().map(|param| param.name.as_str());
        let unknown = Diagnostic::error(codes::UNKNOWN_PARAM, place, message);
        found.push(match name.strip_prefix("params.") {
            _ if name == "seed" => unknown.hint("the seed of a run is given by --seed".to_owned()),
            Some(bare) if params.iter().any(|param| param.name == bare) => {
                unknown.hint(format!("write its name alone: {bare}"))
            }
            _ => unknown
                .hint("the workflow declares no params".to_owned())
                .suggest(name, "param", names),
        });
        return None;
    };
    params.get_mut(index)
}

fn declaration(definition: &Definition, found: &mut Vec<Diagnostic>) -> Param {
    let mut param = Param {
        name: definition.name.clone(),
        place: definition.name_place.clone(),
        included: definition.included,
        kind: None,
        choices: None,
        min: None,
        max: None,
        value: None,
        value_place: None,
        tried: false,
    };
    let Data::Mapping(entries) = &definition.value.data else {
        if definition.value.is_null() {
            let message = format!("the param `{}` has neither a type nor a default", param.name);
            found.push(
                Diagnostic::error(codes::PARAM_DECLARATION, &definition.value.place, message)
                    .hint("a param that must be set is `{ type: path }`".to_owned()),
            );
        } else if let Some(value) = constant(&definition.value, found) {
            param.kind = ParamType::from_value(&value);
            param.give(&value, &definition.value.place, &definition.folder, found);
        }
        return param;
    };
    unknown_keys(entries, "a param", &KEYS, found);
    let get = |key: &str| entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value);
    if let Some(help) = get("help") {
        help.text("`help`", found);
    }
    let default = get("default").and_then(|node| Some((node, constant(node, found)?)));
    param.kind = match get("type") {
        Some(node) => node.text("`type`", found).and_then(|text| {
            let known = TYPES.iter().find(|(name, _)| *name == text);
            if known.is_none() {
                let message = format!("there is no type `{}`", names::short(text));
                let names = TYPES.iter().map(|(name, _)| *name);
                found.push(
                    Diagnostic::error(codes::PARAM_DECLARATION, &node.place, message)
                        .suggest(text, "type", names),
                );
            }
            known.map(|(_, kind)| *kind)
        }),
        None => match &default {
            Some((_, value)) => ParamType::from_value(value),
            None if is_misspelt("type", entries, &KEYS)
                || is_misspelt("default", entries, &KEYS) =>
            {
                None
            }
            None if get("default").is_none() => {
                let message =
                    format!("the param `{}` has neither a type nor a default", param.name);
                let names: Vec<_> = TYPES.iter().map(|(name, _)| *name).collect();
                found.push(
                    Diagnostic::error(codes::PARAM_DECLARATION, &param.place, message)
                        .hint(format!("give `type`: {}", names::list(&names))),
                );
                None
            }
            None => None,
        },
    };
    let Some(kind) = param.kind else { return param };
    if let Some(node) = get("choices") {
        param.choices = choices(node, kind, found);
    }
    for (key, bound) in [("min", &mut param.min), ("max", &mut param.max)] {
        let Some(node) = get(key) else { continue };
        if !matches!(kind, ParamType::Int | ParamType::Float | ParamType::List) {
            let message = format!("`{key}` has no meaning for {}", kind.words());
            let hint = "it bounds a number, or the length of a list".to_owned();
            found
                .push(Diagnostic::error(codes::PARAM_DECLARATION, &node.place, message).hint(hint));
            continue;
        }
        if let Some(value) = constant(node, found) {
            *bound = value.as_f64();
            if bound.is_none() {
                found.push(node.not_a(&format!("`{key}`"), "a number"));
            }
        }
    }
    if let (Some(min), Some(max), Some(node)) = (param.min, param.max, get("max"))
        && min > max
    {
        let message = format!("`max` is smaller than `min`, {max} against {min}");
        found.push(Diagnostic::error(codes::PARAM_DECLARATION, &node.place, message));
        // No value fits.
        param.tried = true;
        return param;
    }
    match (default, get("default")) {
        (Some((node, value)), _) => param.give(&value, &node.place, &definition.folder, found),
        (None, Some(node)) => {
            param.tried = true;
            if node.is_yes_or_no() && kind != ParamType::Bool {
                // For true and false there is a fix, which this type does not take.
                found.retain(|known| {
                    known.code != codes::AMBIGUOUS_SCALAR || known.place != node.place
                });
                let what = format!("the param `{}`", param.name);
                let wrong = node.not_a(&what, kind.words());
                let wrong = Diagnostic { code: codes::PARAM_VALUE, ..wrong };
                found.push(match (kind, node.scalar()) {
                    (ParamType::String, Some(scalar)) => {
                        wrong.write(&format!("\"{}\"", scalar.text))
                    }
                    _ => wrong,
                });
            }
        }
        (None, None) => param.tried = is_misspelt("default", entries, &KEYS),
    }
    param
}

fn choices(node: &Node, kind: ParamType, found: &mut Vec<Diagnostic>) -> Option<Vec<Value>> {
    let items = node.sequence("`choices`", found)?;
    let mut choices = Vec::new();
    for item in items {
        let Some(value) = constant(item, found) else { continue };
        // The choices of a list are those of its elements, which may be any scalar.
        let accepted = match kind {
            ParamType::List => Some(value.clone()),
            kind => kind.accept(&value),
        };
        match accepted {
            Some(value) => choices.push(value),
            None => found.push(item.not_a("a choice", kind.words())),
        }
    }
    if items.is_empty() {
        let message = "there is nothing to choose from";
        found.push(Diagnostic::error(codes::PARAM_DECLARATION, &node.place, message));
        return None;
    }
    Some(choices)
}

/// A value in which expressions have no meaning, because params are known before everything else.
fn constant(node: &Node, found: &mut Vec<Diagnostic>) -> Option<Value> {
    let with_expression = |node: &Node| {
        node.scalar().is_some_and(|scalar| has_expression(&scalar.text)).then(|| {
            let message = "a param cannot depend on an expression";
            Diagnostic::error(codes::EXPRESSION_PLACE, &node.place, message)
                .hint("compute with `params` where the value is used".to_owned())
        })
    };
    let items = match &node.data {
        Data::Sequence(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let expressions: Vec<_> = items.iter().filter_map(with_expression).collect();
    if expressions.is_empty() {
        return node.to_value(found);
    }
    found.extend(expressions);
    None
}

impl Param {
    fn give_node(&mut self, node: &Node, folder: &Path, found: &mut Vec<Diagnostic>) {
        self.tried = true;
        self.value = None;
        if let Some(value) = constant(node, found) {
            self.give(&value, &node.place, folder, found);
        }
    }

    /// Reads the text of `--set name=text` by the type of the param.
    fn give_text(
        &mut self,
        text: &str,
        place: &Place,
        overrides: &Overrides,
        limits: &Limits,
        files: &mut Files,
        found: &mut Vec<Diagnostic>,
    ) {
        self.tried = true;
        self.value = None;
        let Some(kind) = self.kind else { return };
        let value = match kind {
            // A shell does not expand `~` behind `=`.
            ParamType::Path => Value::String(match (text.strip_prefix("~/"), &overrides.home) {
                (Some(rest), Some(home)) => home.join(rest).to_string_lossy().into_owned(),
                _ => text.to_owned(),
            }),
            ParamType::String => Value::String(text.to_owned()),
            ParamType::Bool => match text {
                "true" | "True" => Value::Bool(true),
                "false" | "False" => Value::Bool(false),
                _ => Value::String(text.to_owned()),
            },
            ParamType::Int | ParamType::Float => {
                let scalar = Scalar { text: text.trim().to_owned(), style: Style::Plain };
                plain_value(&scalar).unwrap_or_else(|_| Value::String(text.to_owned()))
            }
            ParamType::List => {
                let trimmed = text.trim();
                let bracketed = match trimmed.starts_with('[') {
                    true => trimmed.to_owned(),
                    false => format!("[{trimmed}]"),
                };
                let file = files.add(crate::given::SET, bracketed);
                let mut unread = Vec::new();
                let node = yaml::parse(file, files, limits, &mut unread);
                match node.and_then(|node| node.to_value(&mut unread)) {
                    Some(value) => value,
                    // Its mistakes are reported at the argument itself.
                    None => Value::String(text.to_owned()),
                }
            }
        };
        self.give(&value, place, &overrides.working_dir, found);
    }

    /// Takes a value that is of the type and within its bounds; reports it otherwise.
    fn give(&mut self, value: &Value, place: &Place, folder: &Path, found: &mut Vec<Diagnostic>) {
        self.tried = true;
        self.value = None;
        let Some(kind) = self.kind else { return };
        let name = &self.name;
        let refuse = |message: String| Diagnostic::error(codes::PARAM_VALUE, place, message);
        let Some(accepted) = kind.accept(value) else {
            let wanted = match (kind, value) {
                (ParamType::Int, Value::Number(number)) if number.is_u64() => {
                    &*format!("at most {}", i64::MAX)
                }
                (ParamType::List, Value::Array(_)) => "a list without mappings and nulls",
                _ => kind.words(),
            };
            let found_value = match value {
                Value::Array(_) => names::short(&value.to_string()),
                _ => describe(value),
            };
            let message = format!("the param `{name}` must be {wanted}, not {found_value}");
            let quote = match (kind, value) {
                (ParamType::String | ParamType::Path, Value::Number(_) | Value::Bool(_)) => {
                    Some(format!("quote it: \"{value}\""))
                }
                (ParamType::List, _) => Some("write [a, b]".to_owned()),
                _ => None,
            };
            found.push(refuse(message).hint(quote));
            return;
        };
        let single = std::slice::from_ref(&accepted);
        let elements = accepted.as_array().map_or(single, Vec::as_slice);
        if let Some(choices) = &self.choices
            && let Some(stranger) =
                elements.iter().find(|element| !choices.iter().any(|choice| equal(choice, element)))
        {
            let message = format!("{} is no choice of the param `{name}`", describe(stranger));
            let choices: Vec<_> =
                choices.iter().filter_map(crate::expression::format_value).collect();
            let written = crate::expression::format_value(stranger).unwrap_or_default();
            let choices = choices.iter().map(String::as_str);
            found.push(refuse(message).suggest(&written, "choice", choices));
            return;
        }
        let (measure, what) = match accepted.as_array() {
            Some(items) => (Some(items.len() as f64), "the length of "),
            None => (accepted.as_f64(), ""),
        };
        if let Some(measure) = measure {
            let bound = match (self.min, self.max) {
                (Some(min), _) if measure < min => Some(format!("at least {min}")),
                (_, Some(max)) if measure > max => Some(format!("at most {max}")),
                _ => None,
            };
            if let Some(bound) = bound {
                let message = format!("{what}the param `{name}` must be {bound}, not {measure}");
                found.push(refuse(message));
                return;
            }
        }
        self.value_place = Some(place.clone());
        self.value = Some(match (kind, accepted) {
            (ParamType::Path, Value::String(path)) => path_value(folder, &path),
            (_, accepted) => accepted,
        });
    }
}

/// An absolute path as a value.
pub(crate) fn path_value(folder: &Path, path: &str) -> Value {
    let path: PathBuf = absolute(folder, Path::new(path));
    Value::String(path.to_string_lossy().into_owned())
}
