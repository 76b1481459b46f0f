//! The part of JSON Schema 2020-12 in which rules declare their parameters.
//!
//! Objects and arrays, types, `enum`, `const`, bounds, lengths, `required`, `default`, and
//! annotations. A keyword that is not understood is a mistake of the descriptor, so that nothing is
//! declared and then silently not checked.

use serde_json::{Map, Value};

use crate::params::{ParamProblem, Params};

const ANNOTATIONS: [&str; 7] =
    ["title", "description", "examples", "$schema", "$comment", "deprecated", "default"];
const CHECKED: [&str; 17] = [
    "type",
    "enum",
    "const",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "items",
    "properties",
    "required",
    "additionalProperties",
    "format",
];
const TYPES: [&str; 7] = ["object", "array", "string", "number", "integer", "boolean", "null"];

/// An error when this is no schema of an object, or says what cannot be checked, or has a default
/// that it refuses itself.
pub(crate) fn check_schema(schema: &Value) -> Result<(), String> {
    if schema.get("type").and_then(Value::as_str) != Some("object") {
        return Err("params is not a JSON Schema of type object".to_owned());
    }
    check_keywords(schema, "params")?;
    let mut problems = Vec::new();
    let mut values = Map::new();
    fill(schema, &mut values);
    // A required parameter has no default, and is not missed here.
    check(schema, &Value::Object(values), "", &mut problems);
    match problems.iter().find(|problem| problem.message != MISSING) {
        Some(problem) => Err(format!("a default does not pass its own schema: {problem}")),
        None => Ok(()),
    }
}

const MISSING: &str = "the parameter is required";

fn check_keywords(schema: &Value, path: &str) -> Result<(), String> {
    let Some(keywords) = schema.as_object() else {
        return Err(format!("{path} is not an object"));
    };
    for (keyword, value) in keywords {
        let known = ANNOTATIONS.contains(&keyword.as_str()) || CHECKED.contains(&keyword.as_str());
        if !known {
            return Err(format!("{path} has the keyword {keyword}, which hosts do not check"));
        }
        let fits = match keyword.as_str() {
            "type" => match value {
                Value::String(name) => TYPES.contains(&name.as_str()),
                Value::Array(names) => {
                    names.iter().all(|name| name.as_str().is_some_and(|name| TYPES.contains(&name)))
                }
                _ => false,
            },
            "enum" | "required" => value.is_array(),
            "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => value.is_number(),
            "multipleOf" => value.as_f64().is_some_and(|number| number > 0.0),
            "minLength" | "maxLength" | "minItems" | "maxItems" => value.is_u64(),
            "properties" => value.is_object(),
            "additionalProperties" => value.is_boolean(),
            _ => true,
        };
        if !fits {
            return Err(format!("{path}.{keyword} is not what JSON Schema has there"));
        }
    }
    if let Some(properties) = keywords.get("properties").and_then(Value::as_object) {
        for (name, property) in properties {
            check_keywords(property, &format!("{path}.properties.{name}"))?;
        }
    }
    keywords.get("items").map_or(Ok(()), |items| check_keywords(items, &format!("{path}.items")))
}

/// Checks given parameters and fills the defaults. All problems are given, not only the first.
pub(crate) fn params(
    schema: &Value,
    given: &Map<String, Value>,
) -> Result<Params, Vec<ParamProblem>> {
    let mut values = given.clone();
    fill(schema, &mut values);
    let mut problems = Vec::new();
    let value = Value::Object(values);
    check(schema, &value, "", &mut problems);
    match value {
        Value::Object(values) if problems.is_empty() => Ok(Params::checked(values)),
        _ => Err(problems),
    }
}

/// Fills the defaults of absent properties, also of the objects inside.
fn fill(schema: &Value, values: &mut Map<String, Value>) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
    for (name, property) in properties {
        if !values.contains_key(name)
            && let Some(default) = property.get("default")
        {
            values.insert(name.clone(), default.clone());
        }
        if let Some(Value::Object(inner)) = values.get_mut(name) {
            fill(property, inner);
        }
    }
}

fn check(schema: &Value, value: &Value, path: &str, problems: &mut Vec<ParamProblem>) {
    let mut problem = |message: String| {
        let path = path.to_owned();
        problems.push(ParamProblem { path, message, hint: None, at_name: false, meant: None });
    };
    if let Some(types) = schema.get("type") {
        let names: Vec<_> = match types {
            Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
            other => other.as_str().into_iter().collect(),
        };
        if !names.iter().any(|name| has_type(value, name)) {
            return problem(format!("{value} is not of type {}", names.join(" or ")));
        }
    }
    if let Some(Value::Array(allowed)) = schema.get("enum")
        && !allowed.iter().any(|other| same(other, value))
    {
        let allowed: Vec<_> = allowed.iter().map(ToString::to_string).collect();
        problem(format!("{value} is none of {}", allowed.join(", ")));
    }
    if let Some(only) = schema.get("const")
        && !same(only, value)
    {
        problem(format!("{value} is not {only}"));
    }
    if let Some(number) = value.as_f64() {
        for (keyword, words, holds) in NUMBER_RULES {
            if let Some(bound) = schema.get(keyword).and_then(Value::as_f64)
                && !holds(number, bound)
            {
                problem(format!("{value} {words} {bound}"));
            }
        }
    }
    let length = match value {
        Value::String(text) => Some(("minLength", "maxLength", "characters", text.chars().count())),
        Value::Array(items) => Some(("minItems", "maxItems", "items", items.len())),
        _ => None,
    };
    if let Some((least, most, what, length)) = length {
        let bound = |keyword: &str| schema.get(keyword).and_then(Value::as_u64);
        if let Some(bound) = bound(least).filter(|&bound| (length as u64) < bound) {
            problem(format!("it has {length} {what}, at least {bound} are expected"));
        }
        if let Some(bound) = bound(most).filter(|&bound| (length as u64) > bound) {
            problem(format!("it has {length} {what}, at most {bound} are expected"));
        }
    }
    match value {
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                for (at, item) in items.iter().enumerate() {
                    check(schema, item, &join(path, &at.to_string()), problems);
                }
            }
        }
        Value::Object(object) => check_object(schema, object, path, problems),
        _ => {}
    }
}

type NumberRule = (&'static str, &'static str, fn(f64, f64) -> bool);
const NUMBER_RULES: [NumberRule; 5] = [
    ("minimum", "is below the minimum", |number, bound| number >= bound),
    ("maximum", "is above the maximum", |number, bound| number <= bound),
    ("exclusiveMinimum", "is not above", |number, bound| number > bound),
    ("exclusiveMaximum", "is not below", |number, bound| number < bound),
    ("multipleOf", "is not a multiple of", |number, unit| (number / unit).fract() == 0.0),
];

fn check_object(
    schema: &Value,
    object: &Map<String, Value>,
    path: &str,
    problems: &mut Vec<ParamProblem>,
) {
    let none = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
    // Unlike JSON Schema, an unknown name is refused unless the schema says otherwise: it is a slip
    // of the pen, most often.
    let open = schema.get("additionalProperties").and_then(Value::as_bool) == Some(true);
    for (name, value) in object {
        match properties.get(name) {
            Some(property) => check(property, value, &join(path, name), problems),
            None if open => {}
            None => problems.push(ParamProblem {
                path: join(path, name),
                message: "there is no such parameter".to_owned(),
                hint: hint(name, properties),
                at_name: true,
                meant: closest(name, properties.keys().map(String::as_str))
                    .map(|near| (name.clone(), near.to_owned())),
            }),
        }
    }
    for name in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
        if let Some(name) = name.as_str()
            && !object.contains_key(name)
        {
            problems.push(ParamProblem {
                path: join(path, name),
                message: MISSING.to_owned(),
                hint: None,
                at_name: false,
                meant: None,
            });
        }
    }
}

fn hint(name: &str, properties: &Map<String, Value>) -> Option<String> {
    let known: Vec<_> = properties.keys().map(String::as_str).collect();
    match closest(name, known.iter().copied()) {
        Some(close) => Some(format!("did you mean {close}?")),
        None if known.is_empty() => Some("the rule has no parameters".to_owned()),
        None => Some(format!("the parameters are {}", known.join(", "))),
    }
}

/// The closest of some names, when it is close enough to be a slip of the pen.
pub(crate) fn closest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    known
        .map(|other| (strsim::damerau_levenshtein(name, other), other))
        .filter(|(distance, _)| *distance <= name.chars().count().max(3) / 3)
        .min()
        .map(|(_, other)| other)
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn has_type(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => {
            value.is_i64()
                || value.is_u64()
                || value.as_f64().is_some_and(|number| number.fract() == 0.0)
        }
        _ => false,
    }
}

/// Equality in which 1 and 1.0 are the same number.
fn same(one: &Value, other: &Value) -> bool {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Value {
        json!({
            "type": "object",
            "properties": {
                "penalty": { "type": "number", "minimum": 0, "default": 1.0 },
                "rounds": { "type": "integer", "exclusiveMinimum": 0, "default": 50 },
                "kernel": { "type": "string", "enum": ["linear", "rbf"] },
                "tree": {
                    "type": "object", "default": {},
                    "properties": { "depth": { "type": "integer", "maximum": 9, "default": 3 } }
                }
            },
            "required": ["kernel"]
        })
    }

    fn problems(given: Value) -> Vec<String> {
        let found = params(&schema(), given.as_object().unwrap()).unwrap_err();
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn defaults_are_filled_and_the_json_is_canonical() {
        let given = json!({ "rounds": 7, "kernel": "rbf" });
        let params = params(&schema(), given.as_object().unwrap()).unwrap();
        assert_eq!(
            params.json(),
            r#"{"kernel":"rbf","penalty":1.0,"rounds":7,"tree":{"depth":3}}"#
        );
        assert_eq!(params.get("tree.depth"), Some(&json!(3)));
        assert_eq!(params.get("tree.width"), None);
    }

    #[test]
    fn every_problem_is_given_with_its_path() {
        let found = problems(
            json!({ "penalty": -1, "rounds": 2.5, "kernel": "rbg", "tree": { "depth": 10 } }),
        );
        assert_eq!(
            found,
            [
                "penalty: -1 is below the minimum 0",
                "rounds: 2.5 is not of type integer",
                "kernel: \"rbg\" is none of \"linear\", \"rbf\"",
                "tree.depth: 10 is above the maximum 9",
            ]
        );
    }

    #[test]
    fn unknown_and_missing_names_are_problems_with_a_suggestion() {
        assert_eq!(
            problems(json!({ "penaltiy": 2 })),
            [
                "penaltiy: there is no such parameter (did you mean penalty?)",
                "kernel: the parameter is required",
            ]
        );
    }

    #[test]
    fn a_schema_that_cannot_be_checked_is_refused() {
        assert!(check_schema(&schema()).is_ok());
        for wrong in [
            json!({ "type": "string" }),
            json!({ "type": "object", "properties": { "a": { "anyOf": [] } } }),
            json!({ "type": "object", "properties": { "a": { "type": "float" } } }),
            json!({ "type": "object", "properties": { "a": { "type": "number", "maximum": 1, "default": 2 } } }),
        ] {
            assert!(check_schema(&wrong).is_err(), "{wrong}");
        }
    }
}
