//! The JSON Schema of workflow files, from the catalogue, for editors and independent validators.
//!
//! It refuses less than [`check`](crate::check()): references, axes and types of expressions are
//! beyond a schema.

use serde_json::{Map, Value, json};

use crate::axes::{WITHIN, ZIP};
use crate::catalogue::{Arity, Catalogue, KindSpec};
use crate::params;
use crate::stage::execution::{ISOLATION_KEYS, ISOLATIONS, LIMITS, SANDBOXES};
use crate::workflow::{MemoryRetry, SANDBOX_LAYERS};

/// Any text with an expression in it.
const EXPRESSION: &str = r"\$\{\{";
const IDENTIFIER: &str = "^[A-Za-z][A-Za-z0-9_]*$";
const NAME: &str = "^[A-Za-z][A-Za-z0-9_-]*$";

/// The schema (draft 2020-12) of a workflow that may use the kinds of a catalogue.
pub fn workflow_schema(catalogue: &Catalogue) -> Value {
    let mut definitions = Map::new();
    definitions.insert(
        "expression".to_owned(),
        json!({
            "type": "string",
            "pattern": EXPRESSION,
            "description": "A text with an expression ${{ … }} over params and axes.",
        }),
    );
    definitions.insert("reference".to_owned(), reference());
    definitions.insert("param".to_owned(), param());
    definitions.insert("axis".to_owned(), axis());
    definitions.insert("stage".to_owned(), stage(catalogue));
    for kind in catalogue.kinds() {
        let (options, inner) = options(kind);
        definitions.insert(format!("with.{}", kind.name), options);
        for (name, definition) in inner {
            definitions.insert(format!("with.{}.{name}", kind.name), definition);
        }
    }
    let isolation = isolation("How plugins run, unless a stage says otherwise.");
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "fuseline workflow",
        "description": "A workflow: params, axes, stages and outputs.",
        "type": "object",
        "required": ["fuseline", "name", "stages"],
        "additionalProperties": false,
        "properties": {
            "fuseline": { "const": 1, "description": "The version of the language." },
            "name": {
                "type": "string",
                "pattern": NAME,
                "description": "The name of the workflow, and of the folder of its results.",
            },
            "description": { "type": "string", "description": "What the workflow is for." },
            "seed": or_expression(json!({
                "type": "integer",
                "minimum": 0,
                "default": 0,
                "description": "The seed of everything random.",
            })),
            "include": {
                "type": "array",
                "items": { "type": "string" },
                "description": "Files whose params, axes and stages are taken in; relative to \
                    this file.",
            },
            "params": named(IDENTIFIER, "param", "What may be set from outside, by --set or \
                --params."),
            "axes": named(IDENTIFIER, "axis", "Named dimensions that stages run over."),
            "stages": {
                "type": "object",
                "minProperties": 1,
                "propertyNames": { "pattern": NAME },
                "additionalProperties": { "$ref": "#/$defs/stage" },
                "description": "The steps; what one gives another is said by `inputs`.",
            },
            "outputs": {
                "type": ["object", "null"],
                "additionalProperties": { "$ref": "#/$defs/reference" },
                "description": "Files to give out, each with a reference to an output of one \
                    action.",
            },
            "plugins": {
                "type": ["array", "object", "null"],
                "items": {
                    "type": ["string", "object"],
                    "additionalProperties": { "type": "string" },
                },
                "additionalProperties": { "type": "string" },
                "description": "Folders and files to search for plugins, relative to this file; \
                    and files by the ids that they must have, which then count in place of any \
                    other: { org.example.gate: gate.so }.",
            },
            "isolation": isolation,
            "sandbox": {
                "anyOf": [
                    sandbox("Confinement of the processes of rules."),
                    {
                        "type": "object",
                        "additionalProperties": sandbox("Confinement of the rule's processes."),
                    },
                ],
                "description": "Confinement of the processes of rules: a word for all, or one for \
                    each rule; \"*\" is every other.",
            },
            "limits": limits("Limits of the processes of rules and programs, unless a stage says \
                otherwise."),
            "env": variables("Variables of the environment that the rules and programs of all \
                stages see; their values are part of the keys."),
            "python": {
                "type": "string",
                "minLength": 1,
                "description": "The interpreter of Python rules and programs, or the folder of an \
                    environment; a path is relative to this file, a bare name is looked for on \
                    PATH.",
            },
        },
        "$defs": definitions,
    })
}

fn named(pattern: &str, definition: &str, description: &str) -> Value {
    json!({
        "type": ["object", "null"],
        "propertyNames": { "pattern": pattern },
        "additionalProperties": { "$ref": format!("#/$defs/{definition}") },
        "description": description,
    })
}

fn isolation(description: &str) -> Value {
    let names: Vec<_> = ISOLATIONS.iter().map(|(name, _)| *name).collect();
    let [mode, require] = ISOLATION_KEYS;
    json!({
        "anyOf": [
            { "enum": names },
            {
                "type": "object",
                "additionalProperties": false,
                "properties": {
                    mode: { "enum": names, "description": "How plugins run." },
                    require: {
                        "type": "array",
                        "items": { "enum": SANDBOX_LAYERS },
                        "description": "Layers of the sandbox without which nothing runs.",
                    },
                },
            },
        ],
        "description": description,
    })
}

fn sandbox(description: &str) -> Value {
    let names: Vec<_> = SANDBOXES.iter().map(|(name, _)| *name).collect();
    json!({ "enum": names, "description": description })
}

fn variables(description: &str) -> Value {
    json!({
        "type": ["array", "null"],
        "items": { "type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$" },
        "description": description,
    })
}

fn limits(description: &str) -> Value {
    let [amount, load, call] = LIMITS;
    json!({
        "type": ["object", "null"],
        "additionalProperties": false,
        "properties": {
            amount: memory("Memory that a rule or a program may use, its processes together."),
            load: time("The time that loading a rule may take."),
            call: time("The time that one call of a rule may take."),
        },
        "description": description,
    })
}

fn memory(description: &str) -> Value {
    json!({
        "type": "string",
        "pattern": r"^\s*[0-9.]+\s*([KMGTkmgt][Ii]?)?[Bb]\s*$",
        "description": description,
    })
}

fn reference() -> Value {
    json!({
        "type": "string",
        "pattern": r"^\s*[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z][A-Za-z0-9_-]*)?\s*(\[.*\]\s*)?$",
        "description": "stage, stage.port, or stage.port[axis=point|point].",
    })
}

fn param() -> Value {
    let types: Vec<_> = params::TYPES.iter().map(|(name, _)| *name).collect();
    let scalar = json!({ "type": ["string", "number", "boolean"] });
    json!({
        "description": "A default, which gives the type, or a declaration.",
        "anyOf": [
            { "type": ["string", "number", "boolean", "array"] },
            {
                "type": "object",
                "additionalProperties": false,
                "anyOf": [{ "required": ["type"] }, { "required": ["default"] }],
                "properties": {
                    "type": { "enum": types, "description": "The type of the value." },
                    "default": {
                        "type": ["string", "number", "boolean", "array"],
                        "description": "The value when none is given.",
                    },
                    "help": { "type": "string", "description": "What the param is for." },
                    "choices": {
                        "type": "array", "minItems": 1, "items": scalar,
                        "description": "The values allowed.",
                    },
                    "min": { "type": "number", "description": "The smallest value, or length of a \
                        list." },
                    "max": { "type": "number", "description": "The largest value, or length of a \
                        list." },
                },
            },
        ],
    })
}

fn axis() -> Value {
    let list = json!({ "type": "array", "items": { "type": ["string", "number", "boolean"] } });
    let points = json!({
        "type": "object",
        "additionalProperties": {
            "type": ["object", "null"],
            "propertyNames": { "pattern": IDENTIFIER },
        },
    });
    let mut some_points = points.clone();
    some_points["minProperties"] = json!(1);
    let mut some = list.clone();
    some["minItems"] = json!(1);
    json!({
        "description": "A list of scalars, an expression that gives one, points with fields, lists \
            that are zipped, or points within those of another axis.",
        "anyOf": [
            some,
            { "$ref": "#/$defs/expression" },
            some_points,
            {
                "type": "object",
                "required": [ZIP],
                "additionalProperties": false,
                "properties": {
                    ZIP: {
                        "type": "object",
                        "minProperties": 1,
                        "propertyNames": { "pattern": IDENTIFIER },
                        "additionalProperties": {
                            "anyOf": [list, { "$ref": "#/$defs/expression" }],
                        },
                        "description": "Lists of one length: each point takes one element of each, \
                            as a field.",
                    },
                },
            },
            {
                "type": "object",
                "required": [WITHIN],
                "properties": {
                    WITHIN: {
                        "type": "string",
                        "description": "Another axis: each of its points has points of its own \
                            here.",
                    },
                },
                "additionalProperties": {
                    "anyOf": [list, { "$ref": "#/$defs/expression" }, points],
                },
            },
        ],
    })
}

fn stage(catalogue: &Catalogue) -> Value {
    let kinds = catalogue.kinds().iter();
    let mut uses: Vec<Value> =
        kinds.map(|kind| json!({ "const": kind.name, "description": kind.summary })).collect();
    uses.push(json!({ "$ref": "#/$defs/expression" }));
    let references = json!({
        "anyOf": [
            { "$ref": "#/$defs/reference" },
            { "type": "array", "minItems": 1, "items": { "$ref": "#/$defs/reference" } },
        ],
    });
    json!({
        "type": "object",
        "required": ["uses"],
        "additionalProperties": false,
        "properties": {
            "uses": { "anyOf": uses, "description": "The stage kind." },
            "description": { "type": "string", "description": "What the stage is for." },
            "over": {
                "type": ["array", "null"],
                "items": { "type": "string", "pattern": IDENTIFIER },
                "uniqueItems": true,
                "description": "The axes that the stage runs over: one action for each point.",
            },
            "where": {
                "anyOf": [{ "$ref": "#/$defs/expression" }, { "type": "null" }],
                "description": "Keeps the points for which it is true.",
            },
            "seed": or_expression(json!({
                "type": "integer",
                "minimum": 0,
                "description": "The seed of what this stage draws, in place of the workflow's.",
            })),
            "inputs": {
                "type": ["object", "null"],
                "additionalProperties": references,
                "description": "For each port a reference, or a list of them.",
            },
            "with": { "type": ["object", "null"], "description": "The options of the stage kind." },
            "retries": {
                "type": "integer",
                "minimum": 0,
                "maximum": 100,
                "description": "How often a failed action is tried again.",
            },
            "timeout": time("How long one try may take: 90s, 10min, 2h; a number counts seconds."),
            "resources": {
                "type": "object",
                "additionalProperties": false,
                "properties": {
                    "cpu": {
                        "type": "number",
                        "exclusiveMinimum": 0,
                        "description": "How many processors one action uses.",
                    },
                    "memory": {
                        "anyOf": [
                            memory("An amount: 512 MiB, 4 GB."),
                            {
                                "type": "object",
                                "required": ["request", "retry"],
                                "additionalProperties": false,
                                "properties": {
                                    "request": memory("The memory of the first try."),
                                    "retry": {
                                        "type": "string",
                                        "pattern": r"^\s*[0-9.]+[xX]\s*$",
                                        "description": "Factor of the memory of each further try \
                                                        of an action that ran out of it: 2x.",
                                    },
                                    "times": {
                                        "type": "integer",
                                        "minimum": 1,
                                        "maximum": 10,
                                        "default": MemoryRetry::DEFAULT_TIMES,
                                        "description": "Number of further tries.",
                                    },
                                },
                            },
                        ],
                        "description": "How much memory one action needs.",
                    },
                    "time": time("The time that a cluster is asked for, for one action."),
                    "gpus": {
                        "type": "integer",
                        "minimum": 0,
                        "maximum": 1024,
                        "description": "How many GPUs a cluster is asked for, for one action.",
                    },
                },
                "description": "What one action needs.",
            },
            "cache": {
                "type": "boolean",
                "default": true,
                "description": "Whether results may be taken from the cache.",
            },
            "isolation": isolation("How plugins run in this stage."),
            "sandbox": sandbox("Confinement of the processes of rules in this stage."),
            "limits": limits("Limits of the processes of rules and programs in this stage."),
            "env": variables("Variables of the environment that rules and programs of this stage \
                see, besides those of the workflow; their values are part of the keys."),
        },
        "allOf": catalogue.kinds().iter().map(rules).collect::<Vec<_>>(),
    })
}

/// A time: text with a unit, or a number of seconds.
fn time(description: &str) -> Value {
    json!({
        "anyOf": [
            { "type": "number", "exclusiveMinimum": 0 },
            { "type": "string", "pattern": r"^\s*[0-9.]+\s*(ms|s|m|min|h|d)\s*$" },
        ],
        "description": description,
    })
}

/// Schema rules that apply to stages of a kind.
fn rules(kind: &KindSpec) -> Value {
    let mut then = Map::new();
    let mut properties = Map::new();
    let with = format!("#/$defs/with.{}", kind.name);
    properties.insert("with".to_owned(), json!({ "$ref": with }));
    let mut required = Vec::new();
    let has_required = |schema: &Value| {
        schema.get("required").and_then(Value::as_array).is_some_and(|names| !names.is_empty())
    };
    if has_required(&kind.options) {
        required.push("with");
    }
    if !kind.declared_ports {
        let mut ports = Map::new();
        for port in &kind.inputs {
            let many = if port.arity == Arity::Many { ", one or more" } else { "" };
            let read = if port.read { "" } else { " Not read by this kind." };
            let description = format!("{}{many}. {}{read}", port.artifact, port.doc);
            ports.insert(port.name.clone(), json!({ "description": description }));
        }
        let needed: Vec<_> = kind.inputs.iter().filter(|port| port.required && port.read).collect();
        if !needed.is_empty() {
            required.push("inputs");
        }
        let names: Vec<_> = needed.iter().map(|port| port.name.as_str()).collect();
        let inputs = json!({ "properties": ports, "required": names, "propertyNames": {
            "enum": kind.inputs.iter().map(|port| port.name.as_str()).collect::<Vec<_>>(),
        }});
        // A kind without inputs may still be given an empty section.
        properties.insert(
            "inputs".to_owned(),
            if kind.inputs.is_empty() { json!({ "maxProperties": 0 }) } else { inputs },
        );
    }
    then.insert("properties".to_owned(), Value::Object(properties));
    if !required.is_empty() {
        then.insert("required".to_owned(), json!(required));
    }
    json!({
        "if": { "properties": { "uses": { "const": kind.name } }, "required": ["uses"] },
        "then": then,
    })
}

/// The options of a kind with room for expressions, and the definitions that they refer to.
fn options(kind: &KindSpec) -> (Value, Map<String, Value>) {
    let prefix = format!("#/$defs/with.{}.", kind.name);
    let mut options = admit(&kind.options, &prefix);
    let mut inner = Map::new();
    if let Value::Object(fields) = &mut options {
        for word in ["$schema", "title", "$id"] {
            fields.shift_remove(word);
        }
        if let Some(Value::Object(definitions)) = fields.shift_remove("$defs") {
            inner = definitions;
        }
        let needs = fields.get("required").and_then(Value::as_array).is_some_and(|r| !r.is_empty());
        if !needs && fields.get("type").is_some_and(|name| name == "object") {
            fields.insert("type".to_owned(), json!(["object", "null"]));
        }
    }
    (options, inner)
}

/// A schema in which every value may also be an expression; references are renamed.
fn admit(schema: &Value, prefix: &str) -> Value {
    let Value::Object(fields) = schema else { return schema.clone() };
    let mut admitted = Map::new();
    for (word, value) in fields {
        let value = match (word.as_str(), value) {
            ("$ref", Value::String(target)) => {
                Value::String(target.replacen("#/$defs/", prefix, 1))
            }
            // Formats of numbers and paths mean nothing to other programs.
            ("format", _) => continue,
            ("properties", Value::Object(properties)) => Value::Object(
                properties
                    .iter()
                    .map(|(name, value)| (name.clone(), or_expression(admit(value, prefix))))
                    .collect(),
            ),
            ("$defs", Value::Object(definitions)) => Value::Object(
                definitions
                    .iter()
                    .map(|(name, value)| (name.clone(), admit(value, prefix)))
                    .collect(),
            ),
            ("items" | "additionalProperties", value @ Value::Object(_)) => {
                or_expression(admit(value, prefix))
            }
            ("prefixItems", Value::Array(items)) => {
                items.iter().map(|item| or_expression(admit(item, prefix))).collect()
            }
            ("anyOf" | "oneOf" | "allOf", Value::Array(branches)) => {
                branches.iter().map(|branch| admit(branch, prefix)).collect()
            }
            (_, value) => value.clone(),
        };
        admitted.insert(word.clone(), value);
    }
    Value::Object(admitted)
}

/// A schema that accepts an expression, too; descriptions stay outside.
fn or_expression(schema: Value) -> Value {
    let Value::Object(mut fields) = schema else { return schema };
    let free_text = fields.get("type").is_some_and(|name| name == "string")
        && !["enum", "const", "pattern", "minLength", "maxLength"]
            .iter()
            .any(|word| fields.contains_key(*word));
    if free_text || fields.is_empty() {
        return Value::Object(fields);
    }
    let mut outer = Map::new();
    for word in ["title", "description", "default", "examples"] {
        if let Some(value) = fields.shift_remove(word) {
            outer.insert(word.to_owned(), value);
        }
    }
    let branches = json!([Value::Object(fields), { "$ref": "#/$defs/expression" }]);
    outer.insert("anyOf".to_owned(), branches);
    Value::Object(outer)
}
