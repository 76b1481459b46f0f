//! `fuseline stages`: the reference of stage kinds, from the same source as the checks and the
//! schema.

use fuseline_workflow::{Arity, KindSpec, Role};
use serde_json::Value;

use crate::exit::{Exit, Failure};
use crate::print;

/// Arguments of `stages`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  fuseline stages                                      all of them
  fuseline stages expert.logistic                      ports, options and defaults of one")]
pub struct Args {
    /// A stage kind, such as `expert.logistic`
    pub kind: Option<String>,
}

pub fn run(args: &Args) -> Result<Exit, Failure> {
    let kinds = fuseline_stages::kinds();
    let catalogue = kinds.catalogue();
    match &args.kind {
        None => {
            let names: Vec<_> = catalogue.names().map(str::to_owned).collect();
            let width = names.iter().map(String::len).max().unwrap_or(0);
            let lines = names.iter().filter_map(|name| {
                Some(format!("{name:width$}  {}\n", catalogue.get(name)?.summary))
            });
            print::result(lines.collect::<String>());
        }
        Some(name) => match catalogue.get(name) {
            Some(kind) => print::result(reference(kind)),
            None => {
                let failure = Failure::wrong(format!("there is no stage kind {name}"));
                return Err(match catalogue.suggest(name) {
                    Some(near) => failure.hint(format!("did you mean {near}?")),
                    None => failure.hint("`fuseline stages` lists them"),
                });
            }
        },
    }
    Ok(Exit::Done)
}

/// Everything that a workflow author needs to know of one stage kind.
fn reference(kind: &KindSpec) -> String {
    let mut text = format!("{}\n\n{}\n", kind.name, kind.summary);
    let description = kind.options["description"].as_str().unwrap_or_default();
    if !description.is_empty() {
        text.push('\n');
        text.extend(description.lines().map(|line| format!("{}\n", line.trim_end())));
    }
    if !kind.inputs.is_empty() {
        text += "\ninputs:\n";
        for port in kind.inputs.iter().filter(|port| port.read) {
            let many = if port.arity == Arity::Many { ", one or more" } else { "" };
            let optional = if port.required { "" } else { ", optional" };
            let role = match port.role {
                Role::Fit => ", fitted on",
                Role::Apply => ", applied to",
                Role::Neutral => "",
            };
            text += &format!("  {}: {}{many}{optional}{role}\n", port.name, port.artifact);
            text += &paragraph(&port.doc, "      ");
        }
        let unread: Vec<_> =
            kind.inputs.iter().filter(|port| !port.read).map(|port| port.name.as_str()).collect();
        if !unread.is_empty() {
            text += &format!("  accepted for the family, not read: {}\n", unread.join(", "));
        }
    }
    if !kind.outputs.is_empty() {
        text += "\noutputs:\n";
        for port in &kind.outputs {
            text +=
                &format!("  {}: {}\n{}", port.name, port.artifact, paragraph(&port.doc, "      "));
        }
    }
    text + &options(&kind.options)
}

fn options(schema: &Value) -> String {
    match properties(schema, schema, "  ", 0) {
        text if text.is_empty() => text,
        text => format!("\noptions (under with:):\n{text}"),
    }
}

/// Maximum depth to which nested options are listed.
const DEPTH: usize = 3;

/// The options of a mapping, and those of the mappings in it.
fn properties(mapping: &Value, root: &Value, indent: &str, depth: usize) -> String {
    let required: Vec<_> =
        mapping["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut text = String::new();
    for (name, option) in mapping["properties"].as_object().into_iter().flatten() {
        text += &format!("{indent}{name}: {}", type_name(option, root));
        match option.get("default") {
            Some(default) if !default.is_null() => text += &format!(" = {default}"),
            _ if required.contains(&name.as_str()) => text += ", required",
            _ => {}
        }
        text.push('\n');
        let doc = option["description"].as_str().unwrap_or_default();
        text += &paragraph(doc, &format!("{indent}    "));
        if depth < DEPTH {
            let mut inner = Vec::new();
            mappings_in(option, root, &mut inner);
            for (which, mapping) in inner {
                let indent = format!("{indent}    ");
                let text_of_it = match which {
                    Which::Itself => properties(mapping, root, &indent, depth + 1),
                    Which::Named => {
                        let of_each =
                            properties(mapping, root, &format!("{indent}    "), depth + 1);
                        format!("{indent}NAME:\n{of_each}")
                    }
                };
                text += &text_of_it;
            }
        }
    }
    text
}

/// Place of a mapping with named options within the option that takes it.
#[derive(Clone, Copy, PartialEq)]
enum Which {
    /// It is the option's value, or an element of its list.
    Itself,
    /// It stands under a name that the user gives.
    Named,
}

/// The mappings with named options that an option takes: alone, in a list, as one of several forms,
/// or each under a name.
fn mappings_in<'v>(option: &'v Value, root: &'v Value, found: &mut Vec<(Which, &'v Value)>) {
    if let Some(target) = option["$ref"].as_str() {
        if let Some(target) = root.pointer(target.trim_start_matches('#')) {
            mappings_in(target, root, found);
        }
        return;
    }
    if option.get("properties").is_some() {
        found.push((Which::Itself, option));
        return;
    }
    let alternatives = ["oneOf", "anyOf"].iter().filter_map(|word| option[*word].as_array());
    for inner in alternatives.flatten().chain(option.get("items")) {
        mappings_in(inner, root, found);
    }
    if let Some(each) = option.get("additionalProperties").filter(|each| each.is_object()) {
        let mut inner = Vec::new();
        mappings_in(each, root, &mut inner);
        found.extend(inner.into_iter().map(|(_, mapping)| (Which::Named, mapping)));
    }
}

/// A type of the options' JSON Schema in words.
fn type_name(option: &Value, root: &Value) -> String {
    if let Some(target) = option["$ref"].as_str() {
        let pointer = target.trim_start_matches('#');
        return root.pointer(pointer).map_or_else(|| "any".to_owned(), |of| type_name(of, root));
    }
    if let Some(values) = option["enum"].as_array() {
        return values.iter().map(word).collect::<Vec<_>>().join(" | ");
    }
    if let Some(value) = option.get("const") {
        return word(value);
    }
    for alternatives in ["oneOf", "anyOf"] {
        if let Some(alternatives) = option[alternatives].as_array() {
            let names = alternatives.iter().map(|of| type_name(of, root));
            return names.filter(|name| name != "null").collect::<Vec<_>>().join(" | ");
        }
    }
    let plain = |name: &str| match (name, option["format"].as_str()) {
        ("string", Some("path")) => "path".to_owned(),
        ("integer", _) => "int".to_owned(),
        ("number", _) => "float".to_owned(),
        ("boolean", _) => "bool".to_owned(),
        ("array", _) => format!("list of {}", type_name(&option["items"], root)),
        ("object", _) => match type_name(&option["additionalProperties"], root).as_str() {
            "any" | "mapping" => "mapping".to_owned(),
            of => format!("mapping of names to {of}"),
        },
        (name, _) => name.to_owned(),
    };
    match &option["type"] {
        Value::String(name) => plain(name),
        Value::Array(names) => {
            let names = names.iter().filter_map(Value::as_str).filter(|name| *name != "null");
            names.map(plain).collect::<Vec<_>>().join(" | ")
        }
        _ => "any".to_owned(),
    }
}

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A documentation text, indented.
fn paragraph(doc: &str, indent: &str) -> String {
    doc.lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| format!("{indent}{}\n", line.trim()))
        .collect()
}
