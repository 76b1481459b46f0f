//! JSON Schemas as a reader of documentation walks them: keys, values and their words.

use serde_json::{Map, Value};

/// References and branches are followed this deep.
const MAX_DEPTH: usize = 16;

/// The schemas that a value may have by itself: references followed, branches taken apart.
pub(crate) fn branches<'s>(root: &'s Value, schema: &'s Value) -> Vec<&'s Map<String, Value>> {
    let mut found = Vec::new();
    collect(root, schema, 0, &mut found);
    found
}

fn collect<'s>(
    root: &'s Value,
    schema: &'s Value,
    depth: usize,
    found: &mut Vec<&'s Map<String, Value>>,
) {
    let Some(fields) = schema.as_object().filter(|_| depth < MAX_DEPTH) else { return };
    found.push(fields);
    let target = fields.get("$ref").and_then(Value::as_str);
    if let Some(pointer) = target.and_then(|target| target.strip_prefix('#'))
        && let Some(schema) = root.pointer(pointer)
    {
        collect(root, schema, depth + 1, found);
    }
    for word in ["anyOf", "oneOf", "allOf"] {
        for branch in fields.get(word).and_then(Value::as_array).into_iter().flatten() {
            collect(root, branch, depth + 1, found);
        }
    }
}

/// The schemas of the value of a key.
pub(crate) fn under<'s>(root: &'s Value, schemas: &[&'s Value], key: &str) -> Vec<&'s Value> {
    let branches = schemas.iter().flat_map(|schema| branches(root, schema));
    let of_key = |fields: &'s Map<String, Value>| {
        let known = fields.get("properties").and_then(|known| known.get(key));
        known.or_else(|| fields.get("additionalProperties").filter(|others| others.is_object()))
    };
    branches.filter_map(of_key).collect()
}

/// The schemas of the items of a list.
pub(crate) fn items<'s>(root: &'s Value, schemas: &[&'s Value]) -> Vec<&'s Value> {
    let branches = schemas.iter().flat_map(|schema| branches(root, schema));
    branches.filter_map(|fields| fields.get("items")).collect()
}

/// The schemas at a path of keys.
pub(crate) fn at<'s>(root: &'s Value, path: &[&str]) -> Vec<&'s Value> {
    let mut schemas = vec![root];
    for key in path {
        let mut next = under(root, &schemas, key);
        // Items of a list have no key of their own.
        if next.is_empty() {
            next = under(root, &items(root, &schemas), key);
        }
        schemas = next;
    }
    schemas
}

/// True if a value names axes: as a text, in a list, or as the keys of a mapping to labels.
pub(crate) fn names_axes(root: &Value, schema: &Value) -> bool {
    let marked = |fields: &Map<String, Value>| fields.get("format").is_some_and(|of| of == "axis");
    branches(root, schema).into_iter().any(marked)
}

/// A key that a mapping may have.
#[derive(Debug, Clone)]
pub(crate) struct Key<'s> {
    pub name: &'s str,
    pub schema: &'s Value,
    pub required: bool,
}

/// The keys that a mapping may have.
pub(crate) fn keys<'s>(root: &'s Value, schemas: &[&'s Value]) -> Vec<Key<'s>> {
    let mut keys: Vec<Key<'s>> = Vec::new();
    for fields in schemas.iter().flat_map(|schema| branches(root, schema)) {
        let required = fields.get("required").and_then(Value::as_array);
        let properties = fields.get("properties").and_then(Value::as_object);
        for (name, schema) in properties.into_iter().flatten() {
            if !keys.iter().any(|key| key.name == name) {
                let required =
                    required.is_some_and(|all| all.iter().any(|one| one == name.as_str()));
                keys.push(Key { name, schema, required });
            }
        }
    }
    keys
}

/// A value that a schema lists.
#[derive(Debug, Clone)]
pub(crate) struct Choice<'s> {
    pub value: &'s Value,
    pub doc: Option<&'s str>,
}

/// The values that a schema lists; `true` and `false` where it takes these.
pub(crate) fn choices<'s>(root: &'s Value, schemas: &[&'s Value]) -> Vec<Choice<'s>> {
    static BOOLEANS: [Value; 2] = [Value::Bool(true), Value::Bool(false)];
    let mut choices: Vec<Choice<'s>> = Vec::new();
    for fields in schemas.iter().flat_map(|schema| branches(root, schema)) {
        let doc = fields.get("description").and_then(Value::as_str);
        if let Some(value) = fields.get("const") {
            choices.push(Choice { value, doc });
        }
        let listed = fields.get("enum").and_then(Value::as_array).into_iter().flatten();
        choices.extend(listed.map(|value| Choice { value, doc: None }));
        if types(fields).contains(&"boolean") {
            choices.extend(BOOLEANS.iter().map(|value| Choice { value, doc: None }));
        }
    }
    choices.retain(|choice| !choice.value.is_null());
    choices
}

fn types(fields: &Map<String, Value>) -> Vec<&str> {
    match fields.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// The description of a schema, or of what it refers to.
pub(crate) fn description<'s>(root: &'s Value, schema: &'s Value) -> Option<&'s str> {
    branches(root, schema)
        .into_iter()
        .find_map(|fields| fields.get("description").and_then(Value::as_str))
}

/// The type of a schema in words: `a whole number`, `text or nothing`, a list of values.
pub(crate) fn type_in_words(root: &Value, schema: &Value) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut add = |word: &str| {
        if !word.is_empty() && !words.iter().any(|known| known == word) {
            words.push(word.to_owned());
        }
    };
    for fields in branches(root, schema) {
        for name in types(fields) {
            add(match name {
                "boolean" => "true or false",
                "integer" => "a whole number",
                "number" => "a number",
                "string" if fields.get("format").is_some_and(|format| format == "path") => "a path",
                "string" if fields.contains_key("const") || fields.contains_key("enum") => "",
                "string" => "text",
                "array" => "a list",
                "object" => "a mapping",
                _ => "",
            });
        }
    }
    let choices = choices(root, &[schema]);
    for choice in choices.iter().filter(|choice| !choice.value.is_boolean()) {
        match choice.value {
            Value::String(text) => add(&format!("`{text}`")),
            other => add(&format!("`{other}`")),
        }
    }
    words.join(" or ")
}

/// Bounds and the default of a schema, such as `at least 2`, `1000 by default`.
pub(crate) fn bounds_in_words(root: &Value, schema: &Value) -> Vec<String> {
    let mut words = Vec::new();
    for fields in branches(root, schema) {
        for (word, side) in [
            ("minimum", "at least"),
            ("exclusiveMinimum", "more than"),
            ("maximum", "at most"),
            ("exclusiveMaximum", "less than"),
        ] {
            // Bounds that are those of the machine's numbers carry no information.
            if let Some(bound) = fields
                .get(word)
                .filter(|bound| bound.as_f64().is_some_and(|bound| bound.abs() < 4e9))
            {
                words.push(format!("{side} {bound}"));
            }
        }
    }
    let default = schema.get("default").filter(|default| !default.is_null());
    words.extend(default.map(|default| format!("`{default}` by default")));
    words.dedup();
    words
}
