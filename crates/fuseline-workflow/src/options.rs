//! Options against the JSON Schema of their stage kind, for the part of JSON Schema that typed
//! options need.
//!
//! `$ref`, `type`, `enum`, `const`, `properties`, `required`, `additionalProperties`, `items`,
//! `prefixItems`, `anyOf`, `oneOf`, `allOf`, bounds of numbers, lengths, `pattern` (with
//! `x-expected` for its words), and the format `path`. Other words are passed over.

use std::path::Path;

use regex::Regex;
use serde_json::{Map, Value};

use crate::codes;
use crate::diagnostic::Code;
use crate::expression::has_expression;
use crate::names;
use crate::params::path_value;
use crate::yaml::{Data, Node, describe, plain_value};

/// Something wrong with an option.
#[derive(Debug, Clone, PartialEq)]
pub struct OptionProblem {
    /// The dotted path under `with:`; empty for the whole.
    pub path: String,
    /// True if the key is wrong, not its value.
    pub at_key: bool,
    /// The sort of mistake.
    pub code: Code,
    /// A lower-case fragment.
    pub message: String,
    /// Advice.
    pub hint: Option<String>,
    /// The option of the stage kind that is not there.
    pub missing: Option<String>,
    /// The text written, and its replacement.
    pub fix: Option<(String, String)>,
}

/// Everything wrong with the options of a stage kind, or with any mapping against its schema.
/// `kind`: the name of the whole in messages.
pub fn check(kind: &str, schema: &Value, options: &Map<String, Value>) -> Vec<OptionProblem> {
    check_others(kind, schema, options, &[])
}

/// As [`check`], of options of which some have been found sound: their values are not looked at.
/// What is wrong with one option depends on no other, but for options that are missing.
pub(crate) fn check_others(
    kind: &str,
    schema: &Value,
    options: &Map<String, Value>,
    sound: &[&str],
) -> Vec<OptionProblem> {
    let mut walker = Walker { kind, root: schema, sound, problems: Vec::new() };
    walker.object(schema, options, "");
    walker.problems
}

/// True if a value is sound at a glance: a scalar whose schema is a type and bounds of numbers
/// alone, as most are. False says nothing.
fn is_plainly_sound(schema: &Value, value: &Value) -> bool {
    let holds =
        |bound: &Value, holds: fn(&f64, &f64) -> bool| match (value.as_f64(), bound.as_f64()) {
            (Some(value), Some(bound)) => holds(&value, &bound),
            _ => false,
        };
    let says = |(word, meaning): (&String, &Value)| match word.as_str() {
        "type" => match meaning {
            Value::String(name) => is_type(value, name),
            Value::Array(names) => {
                names.iter().filter_map(Value::as_str).any(|name| is_type(value, name))
            }
            _ => false,
        },
        "minimum" => holds(meaning, f64::ge),
        "maximum" => holds(meaning, f64::le),
        "exclusiveMinimum" => holds(meaning, f64::gt),
        "exclusiveMaximum" => holds(meaning, f64::lt),
        "format" => match (format_bounds(meaning), value.as_f64()) {
            (Some((least, most)), Some(value)) => (least..=most).contains(&value),
            (bounds, _) => bounds.is_none(),
        },
        "title" | "description" | "default" | "examples" => true,
        _ => false,
    };
    let is_scalar = !value.is_array() && !value.is_object();
    is_scalar && schema.as_object().is_some_and(|schema| schema.iter().all(says))
}

/// The bounds of a number that a schema leaves to its format.
fn format_bounds(format: &Value) -> Option<(f64, f64)> {
    match format.as_str()? {
        "int32" => Some((i32::MIN.into(), i32::MAX.into())),
        "uint32" => Some((0.0, u32::MAX.into())),
        _ => None,
    }
}

/// Makes the options of format `path` absolute; the options have been checked.
pub fn absolute_paths(schema: &Value, options: &mut Map<String, Value>, folder: &Path) {
    let mut whole = Value::Object(std::mem::take(options));
    let walker = Walker { kind: "", root: schema, sound: &[], problems: Vec::new() };
    walker.paths(schema, &mut whole, folder, 0);
    if let Value::Object(whole) = whole {
        *options = whole;
    }
}

/// True if any option of a schema is a path.
pub(crate) fn has_paths(schema: &Value) -> bool {
    match schema {
        Value::Object(fields) => {
            fields.get("format").is_some_and(|format| format == "path")
                || fields.values().any(has_paths)
        }
        Value::Array(items) => items.iter().any(has_paths),
        _ => false,
    }
}

/// Placeholder for an unknown value, in the skeleton of options that could not be evaluated.
pub(crate) const UNKNOWN: &str = "\u{0}unknown";

/// Options without the values of expressions, for the checks that do not need them.
pub(crate) fn skeleton(node: &Node) -> Value {
    match &node.data {
        Data::Scalar(scalar) if has_expression(&scalar.text) => Value::from(UNKNOWN),
        Data::Scalar(scalar) => {
            plain_value(scalar).unwrap_or_else(|problem| match problem.as_bool() {
                Some(flag) => Value::Bool(flag),
                None => Value::from(UNKNOWN),
            })
        }
        Data::Sequence(items) => items.iter().map(skeleton).collect(),
        Data::Mapping(entries) => {
            let entries = entries.iter().map(|entry| (entry.key.clone(), skeleton(&entry.value)));
            Value::Object(entries.collect())
        }
    }
}

/// References within a schema are followed this often before they count as a circle.
const MAX_REFERENCES: usize = 32;

struct Walker<'a> {
    kind: &'a str,
    root: &'a Value,
    /// Options of the whole that need no look.
    sound: &'a [&'a str],
    problems: Vec<OptionProblem>,
}

impl<'a> Walker<'a> {
    fn problem(&mut self, path: &str, code: Code, message: String) -> &mut OptionProblem {
        let path = path.to_owned();
        let (hint, missing, fix) = (None, None, None);
        let at_key = false;
        self.problems.push(OptionProblem { path, at_key, code, message, hint, missing, fix });
        let last = self.problems.len() - 1;
        &mut self.problems[last]
    }

    /// The words for a path in a message.
    fn subject(&self, path: &str) -> String {
        format!("`{}`", if path.is_empty() { self.kind } else { path })
    }

    /// The schema that references lead to.
    fn follow<'s>(&self, mut schema: &'s Value) -> &'s Value
    where
        'a: 's,
    {
        for _ in 0..MAX_REFERENCES {
            let target = schema.get("$ref").and_then(Value::as_str);
            let pointer = target.and_then(|target| target.strip_prefix('#'));
            match pointer.and_then(|pointer| self.root.pointer(pointer)) {
                Some(target) => schema = target,
                None => break,
            }
        }
        schema
    }

    fn value(&mut self, schema: &Value, value: &Value, path: &str) {
        if value == UNKNOWN {
            return;
        }
        let composed = is_composed(schema);
        let schema = if composed { self.follow(schema) } else { schema };
        if composed && let Some(allowed) = allowed(self, schema) {
            if !allowed.contains(&value) {
                self.not_allowed(&allowed, value, path);
            }
            return;
        }
        if let Some(types) = types(schema)
            && !types.iter().any(|name| is_type(value, name))
        {
            let wanted = in_words(&types);
            self.wrong_type(&[schema], &wanted, value, path);
            return;
        }
        if composed {
            for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
                self.value(part, value, path);
            }
            let branches = ["anyOf", "oneOf"].iter().find_map(|word| schema.get(*word)?.as_array());
            if let Some(branches) = branches {
                self.branches(branches, value, path);
            }
        }
        match value {
            Value::Object(fields) => self.object(schema, fields, path),
            Value::Array(items) => self.list(schema, items, path),
            Value::Number(number) => self.number(schema, number, path),
            Value::String(text) => self.text(schema, text, path),
            Value::Null | Value::Bool(_) => {}
        }
    }

    /// Replaces equal problems of two or more items of a list by one problem of the list.
    fn say_of_all(&mut self, before: usize, items: &[Value], path: &str) {
        let is_alike = |problem: &OptionProblem| {
            let is_item = problem.path.rsplit_once('.').map_or("", |(list, _)| list) == path;
            is_item && problem.code == codes::OPTION_TYPE && problem.fix.is_some()
        };
        let more = self.problems.len() - before;
        if more < 2 || !self.problems[before..].iter().all(is_alike) {
            return;
        }
        let is_text = |item: &Value| item.is_string();
        let written: Vec<_> = items
            .iter()
            .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned))
            .collect();
        let quoted: Vec<_> = items
            .iter()
            .zip(&written)
            .map(|(item, text)| if is_text(item) { text.clone() } else { format!("\"{text}\"") })
            .collect();
        let example = items.iter().find(|item| !is_text(item)).map(describe).unwrap_or_default();
        let message = format!(
            "{} must hold text: {example} is none, and {} more are not",
            self.subject(path),
            more - 1
        );
        self.problems.truncate(before);
        let problem = self.problem(path, codes::OPTION_TYPE, message);
        problem.hint = Some(format!("quote them: [{}, …]", quoted[..2].join(", ")));
        let list = |items: Vec<String>| format!("[{}]", items.join(", "));
        problem.fix = Some((list(written), list(quoted)));
    }

    /// True if a schema accepts a value.
    fn accepts(&self, schema: &Value, value: &Value) -> bool {
        let (kind, root) = (self.kind, self.root);
        let mut walker = Walker { kind, root, sound: &[], problems: Vec::new() };
        walker.value(schema, value, "");
        walker.problems.is_empty()
    }

    /// The mapping that was likely meant by a value in its place: `{ artifact: features }`, or
    /// `{ artifact: …, role: … }` of the options that it needs.
    fn meant_mapping(&self, schema: &Value, value: &Value) -> Option<(String, bool)> {
        let known = schema.get("properties")?.as_object()?;
        let needed = schema.get("required")?.as_array()?.iter().filter_map(Value::as_str);
        let needed: Vec<_> = needed.collect();
        if let ([only], Value::String(text)) = (&needed[..], value)
            && known.get(*only).is_some_and(|schema| self.accepts(schema, value))
        {
            return Some((format!("{{ {only}: {text} }}"), true));
        }
        let options: Vec<_> = needed.iter().map(|name| format!("{name}: …")).collect();
        (!options.is_empty()).then(|| (format!("{{ {} }}", options.join(", ")), false))
    }

    /// `schemas`: the alternatives, none of which is of the value's type.
    fn wrong_type(&mut self, schemas: &[&Value], wanted: &str, value: &Value, path: &str) {
        let subject = self.subject(path);
        let message = format!("{subject} must be {wanted}, not {}", describe(value));
        let write = |hint: String, written: String, right: String| {
            Some((Some(hint), Some((written, right))))
        };
        let without_quotes = |text: &str| {
            let quoted = Value::from(text).to_string();
            write(format!("write {text} without quotes"), quoted, text.to_owned())
        };
        // Hint and fix, where the value tells what was meant.
        let told = match value {
            Value::Number(_) | Value::Bool(_) if wanted.contains("text") => {
                let quoted = Value::from(value.to_string());
                if schemas.iter().any(|schema| self.accepts(schema, &quoted)) {
                    write(format!("quote it: {quoted}"), value.to_string(), quoted.to_string())
                } else {
                    let mut expected = schemas.iter().filter_map(|of| of.get("x-expected"));
                    let expected = expected.find_map(Value::as_str);
                    Some((expected.map(|expected| format!("write in quotes {expected}")), None))
                }
            }
            Value::String(text) if text.parse::<f64>().is_ok() && wanted.contains("number") => {
                without_quotes(text)
            }
            Value::Number(number)
                if wanted.contains("whole number")
                    && number.as_f64().is_some_and(|number| number.fract() == 0.0) =>
            {
                let whole = format!("{:.0}", number.as_f64().unwrap_or_default());
                write(format!("write {whole}"), number.to_string(), whole)
            }
            Value::String(text)
                if wanted.contains("number") && text.replace(',', "").parse::<u64>().is_ok() =>
            {
                let bare = text.replace(',', "");
                write(format!("write {bare}"), text.clone(), bare)
            }
            Value::String(text)
                if (text == "true" || text == "false") && wanted.contains("true") =>
            {
                without_quotes(text)
            }
            Value::String(text) => meant_expression(text).and_then(|right| {
                let hint = format!("an expression is written \"{right}\"");
                write(hint, text.clone(), right)
            }),
            _ => None,
        };
        let mapping = || schemas.iter().find_map(|schema| self.meant_mapping(schema, value));
        let (hint, fix) = told.unwrap_or_else(|| match mapping() {
            Some((mapping, is_whole)) => {
                let written = value.as_str().filter(|_| is_whole).map(str::to_owned);
                let hint = format!("write `{mapping}`");
                (Some(hint), written.map(|written| (written, mapping)))
            }
            None => (None, None),
        });
        let problem = self.problem(path, codes::OPTION_TYPE, message);
        (problem.hint, problem.fix) = (hint, fix);
    }

    fn not_allowed(&mut self, allowed: &[&Value], value: &Value, path: &str) {
        let texts: Vec<_> = allowed.iter().filter_map(|one| one.as_str()).collect();
        let subject = self.subject(path);
        match value {
            Value::String(text) => {
                let message = format!("{subject} cannot be `{}`", names::short(text));
                let (hint, near) = names::hint(text, "value", texts);
                let problem = self.problem(path, codes::OPTION_VALUE, message);
                problem.hint = hint;
                problem.fix = near.map(|near| (text.clone(), near.to_owned()));
            }
            _ => {
                let all: Vec<_> = allowed
                    .iter()
                    .map(|one| one.as_str().map_or_else(|| one.to_string(), str::to_owned))
                    .collect();
                let message = format!(
                    "{subject} must be one of {}, not {}",
                    names::list(&all),
                    describe(value)
                );
                self.problem(path, codes::OPTION_TYPE, message);
            }
        }
    }

    /// One of several schemas must accept the value; problems are those of the closest.
    fn branches(&mut self, branches: &[Value], value: &Value, path: &str) {
        // Constants beside a branch of another type are one enumeration.
        let of_type = |branch: &Value| {
            types(self.follow(branch))
                .is_none_or(|types| types.iter().any(|name| is_type(value, name)))
        };
        let fitting: Vec<&Value> = branches.iter().filter(|branch| of_type(branch)).collect();
        let constants: Option<Vec<_>> =
            fitting.iter().map(|branch| allowed(self, self.follow(branch))).collect();
        if let Some(constants) = constants.map(|lists| lists.concat())
            && constants.len() > 1
        {
            if !constants.contains(&value) {
                self.not_allowed(&constants, value, path);
            }
            return;
        }
        let mut best: Option<(usize, Vec<OptionProblem>)> = None;
        let mut wanted = Vec::new();
        for branch in branches {
            let (kind, root) = (self.kind, self.root);
            let mut walker = Walker { kind, root, sound: &[], problems: Vec::new() };
            walker.value(branch, value, path);
            if walker.problems.is_empty() {
                return;
            }
            let schema = self.follow(branch);
            let fits =
                types(schema).is_none_or(|types| types.iter().any(|name| is_type(value, name)));
            wanted.extend(types(schema).unwrap_or_default());
            if !fits {
                continue;
            }
            // A branch whose distinguishing constant agrees is the one that was meant.
            let agrees =
                discriminators(schema).any(|(name, constant)| value.get(name) == Some(constant));
            let distance = walker.problems.len() * 2 + if agrees { 0 } else { 1000 };
            if best.as_ref().is_none_or(|(least, _)| distance < *least) {
                best = Some((distance, walker.problems));
            }
        }
        match best {
            Some((_, problems)) => self.problems.extend(problems),
            None => {
                wanted.dedup();
                let wanted = in_words(&wanted);
                let branches: Vec<_> = branches.iter().map(|branch| self.follow(branch)).collect();
                self.wrong_type(&branches, &wanted, value, path);
            }
        }
    }

    fn object(&mut self, schema: &Value, fields: &Map<String, Value>, path: &str) {
        // In one go: looking for each word takes longer than to see all.
        let (mut properties, mut others, mut required) = (None, None, None);
        let mut is_counted = false;
        for (word, meaning) in schema.as_object().into_iter().flatten() {
            match word.as_str() {
                "properties" => properties = meaning.as_object(),
                "additionalProperties" => others = Some(meaning),
                "required" => required = meaning.as_array(),
                "minProperties" | "maxProperties" => is_counted = true,
                _ => {}
            }
        }
        // An option that is misspelt is not missing, too.
        let mut meant = Vec::new();
        for (name, value) in fields {
            if path.is_empty() && self.sound.contains(&name.as_str()) {
                continue;
            }
            match (properties.and_then(|known| known.get(name)), others) {
                (Some(known), _) if is_plainly_sound(known, value) => {}
                (Some(known), _) => self.value(known, value, &join(path, name)),
                (None, Some(Value::Bool(false))) => {
                    let known: Vec<_> =
                        properties.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
                    let (hint, near) = names::hint(name, "option", known.iter().copied());
                    let message =
                        format!("{} has no option `{}`", self.subject(path), names::short(name));
                    let inner = join(path, name);
                    let problem = self.problem(&inner, codes::UNKNOWN_OPTION, message);
                    problem.at_key = true;
                    problem.hint = hint;
                    meant.extend(near);
                    problem.fix = near.map(|near| (name.clone(), near.to_owned()));
                    if let Some((key, value)) = name.split_once([':', '=', ' '])
                        && known.contains(&key.trim())
                    {
                        let key = key.trim();
                        let right = format!("{key}: {}", value.trim());
                        problem.hint = Some(match name.contains(':') {
                            true => format!("put a space behind the colon: `{right}`"),
                            false => format!("write `{right}`"),
                        });
                        problem.fix = Some((name.clone(), right));
                        meant.push(key);
                    }
                }
                (None, Some(others)) if others.is_object() => {
                    self.value(others, value, &join(path, name));
                }
                (None, _) => {}
            }
        }
        for name in required.into_iter().flatten().filter_map(Value::as_str) {
            if !fields.contains_key(name) && !meant.contains(&name) {
                let message = format!("{} needs the option `{name}`", self.subject(path));
                let doc =
                    properties.and_then(|known| known.get(name)?.get("description")?.as_str());
                let hint = doc.and_then(|doc| doc.lines().next()).map(str::to_owned);
                let problem = self.problem(path, codes::MISSING_OPTION, message);
                problem.at_key = true;
                problem.hint = hint;
                problem.missing = path.is_empty().then(|| name.to_owned());
            }
        }
        if is_counted {
            self.bound(schema, "minProperties", fields.len() as f64, ("entry", "entries"), path);
            self.bound(schema, "maxProperties", fields.len() as f64, ("entry", "entries"), path);
        }
    }

    fn list(&mut self, schema: &Value, items: &[Value], path: &str) {
        let first = schema.get("prefixItems").and_then(Value::as_array);
        let before = self.problems.len();
        for (place, item) in items.iter().enumerate() {
            let known = first.and_then(|first| first.get(place)).or(schema.get("items"));
            if let Some(known) = known.filter(|known| known.is_object()) {
                self.value(known, item, &join(path, &place.to_string()));
            }
        }
        self.say_of_all(before, items, path);
        self.bound(schema, "minItems", items.len() as f64, ("element", "elements"), path);
        self.bound(schema, "maxItems", items.len() as f64, ("element", "elements"), path);
        let unique = schema.get("uniqueItems").is_some_and(|unique| unique == true);
        if unique
            && let Some(place) = (1..items.len()).find(|at| items[..*at].contains(&items[*at]))
        {
            let message = format!("{} has {} twice", self.subject(path), describe(&items[place]));
            self.problem(&join(path, &place.to_string()), codes::OPTION_VALUE, message);
        }
    }

    /// A bound on the size of something, by the word of JSON Schema.
    fn bound(
        &mut self,
        schema: &Value,
        word: &str,
        size: f64,
        (of, plural): (&str, &str),
        path: &str,
    ) {
        let Some(bound) = schema.get(word).and_then(Value::as_f64) else { return };
        let (broken, side) = match word.starts_with("min") {
            true => (size < bound, "at least"),
            false => (size > bound, "at most"),
        };
        if broken {
            let of = if bound == 1.0 { of } else { plural };
            let message =
                format!("{} must have {side} {bound} {of}, not {size}", self.subject(path));
            self.problem(path, codes::OPTION_VALUE, message);
        }
    }

    fn number(&mut self, schema: &Value, number: &serde_json::Number, path: &str) {
        let Some(value) = number.as_f64() else { return };
        let before = self.problems.len();
        for (word, bound) in schema.as_object().into_iter().flatten() {
            let (holds, side): (fn(&f64, &f64) -> bool, _) = match word.as_str() {
                "minimum" => (f64::ge, "at least"),
                "maximum" => (f64::le, "at most"),
                "exclusiveMinimum" => (f64::gt, "more than"),
                "exclusiveMaximum" => (f64::lt, "less than"),
                _ => continue,
            };
            let Some(bound) = bound.as_f64() else { continue };
            if !holds(&value, &bound) {
                let message =
                    format!("{} must be {side} {bound}, not {number}", self.subject(path));
                self.problem(path, codes::OPTION_VALUE, message);
            }
        }
        let bounds = schema.get("format").and_then(format_bounds);
        if let Some((least, most)) = bounds.filter(|_| self.problems.len() == before)
            && !(least..=most).contains(&value)
        {
            let (side, bound) = if value > most { ("at most", most) } else { ("at least", least) };
            let message = format!("{} must be {side} {bound}, not {number}", self.subject(path));
            self.problem(path, codes::OPTION_VALUE, message);
        }
    }

    fn text(&mut self, schema: &Value, text: &str, path: &str) {
        let length = text.chars().count() as f64;
        self.bound(schema, "minLength", length, ("character", "characters"), path);
        self.bound(schema, "maxLength", length, ("character", "characters"), path);
        let pattern = schema.get("pattern").and_then(Value::as_str);
        if let Some(pattern) = pattern
            && let Ok(regex) = Regex::new(pattern)
            && !regex.is_match(text)
        {
            let (subject, text) = (self.subject(path), names::short(text));
            let message = match schema.get("x-expected").and_then(Value::as_str) {
                Some(expected) => format!("{subject} must be {expected}, not \"{text}\""),
                None => format!("{subject} must match the pattern {pattern}, unlike \"{text}\""),
            };
            self.problem(path, codes::OPTION_VALUE, message);
        }
    }

    fn paths(&self, schema: &Value, value: &mut Value, folder: &Path, depth: usize) {
        if depth > 2 * MAX_REFERENCES {
            return;
        }
        let schema = self.follow(schema);
        if let Value::String(path) = value
            && schema.get("format").is_some_and(|format| format == "path")
        {
            *value = path_value(folder, path);
            return;
        }
        for word in ["anyOf", "oneOf", "allOf"] {
            for branch in schema.get(word).and_then(Value::as_array).into_iter().flatten() {
                let root = self.root;
                let mut walker = Walker { kind: "", root, sound: &[], problems: Vec::new() };
                walker.value(branch, value, "");
                if walker.problems.is_empty() {
                    self.paths(branch, value, folder, depth + 1);
                }
            }
        }
        match value {
            Value::Object(fields) => {
                for (name, value) in fields.iter_mut() {
                    let known = schema.get("properties").and_then(|known| known.get(name));
                    if let Some(known) = known.or(schema.get("additionalProperties")) {
                        self.paths(known, value, folder, depth + 1);
                    }
                }
            }
            Value::Array(items) => {
                for item in items {
                    if let Some(known) = schema.get("items") {
                        self.paths(known, item, folder, depth + 1);
                    }
                }
            }
            _ => {}
        }
    }
}

/// The expression that was likely meant by a text such as `{{ fold }}`, `${ fold }` or `$fold`.
pub(crate) fn meant_expression(text: &str) -> Option<String> {
    let inner = text.trim().trim_start_matches('$');
    let bare = inner.trim_matches(['{', '}']).trim();
    let is_braced = inner.starts_with('{') && inner.ends_with('}');
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    let is_meant = is_braced || (text.trim().starts_with('$') && bare.chars().all(is_name));
    (is_meant && !bare.is_empty()).then(|| format!("${{{{ {bare} }}}}"))
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// The values of an enumeration, which may be written as `enum`, `const`, or as branches of these.
fn allowed<'s>(walker: &Walker<'s>, schema: &'s Value) -> Option<Vec<&'s Value>> {
    if let Some(constant) = schema.get("const") {
        return Some(vec![constant]);
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return Some(values.iter().collect());
    }
    let branches = schema.get("oneOf").or(schema.get("anyOf"))?.as_array()?;
    let values = branches.iter().map(|branch| allowed(walker, walker.follow(branch)));
    Some(values.collect::<Option<Vec<_>>>()?.concat())
}

/// True if a schema holds more than a type and bounds, or refers to another. Most do not, and most
/// of the time goes into looking for words that are not there.
fn is_composed(schema: &Value) -> bool {
    let says = |word: &String| {
        matches!(word.as_str(), "$ref" | "const" | "enum" | "allOf" | "anyOf" | "oneOf")
    };
    schema.as_object().is_some_and(|schema| schema.keys().any(says))
}

fn types(schema: &Value) -> Option<Vec<&str>> {
    match schema.get("type")? {
        Value::String(name) => Some(vec![name]),
        Value::Array(names) => Some(names.iter().filter_map(Value::as_str).collect()),
        _ => None,
    }
}

fn is_type(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => true,
    }
}

fn in_words(types: &[&str]) -> String {
    let mut words: Vec<&str> = Vec::new();
    for name in types {
        let word = match *name {
            "boolean" => "true or false",
            "integer" => "a whole number",
            "number" => "a number",
            "string" => "text",
            "array" => "a list",
            "object" => "a mapping",
            _ => continue,
        };
        if !words.contains(&word) {
            words.push(word);
        }
    }
    match words.split_last() {
        None => "left out".to_owned(),
        Some((only, [])) => (*only).to_owned(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
    }
}

/// The constants that discriminate branches of mappings.
fn discriminators(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    properties.filter_map(|(name, schema)| Some((name, schema.get("const")?)))
}

#[cfg(test)]
mod tests;
