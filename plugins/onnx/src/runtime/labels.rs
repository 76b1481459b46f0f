//! The class names that an ONNX file holds: of its classifier, of its label output, in its
//! metadata.

use serde_json::Value;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, StringStringEntryProto};

use super::graph::{attribute, constant, integers, origin, producer, texts};
use fuseline_onnx::are_places;

/// The distinct lists of class names that a model gives for an output, those nearest to the output
/// first. A list of another length than `count` may be that of another output, and is left out
/// unless it is that of the output itself.
pub(super) fn class_names(model: &ModelProto, output: &str, count: usize) -> Vec<Vec<String>> {
    let Some(graph) = &model.graph else { return Vec::new() };
    let mut lists: Vec<Vec<String>> = Vec::new();
    if let Some((node, _)) = producer(graph, output)
        && node.op_type == "ZipMap"
    {
        lists.extend(labels_of(node));
    }
    lists.extend(origin(graph, output).and_then(|(node, _)| labels_of(node)));
    let mut others: Vec<Vec<String>> = graph
        .output
        .iter()
        .filter(|other| other.name != output)
        .filter_map(|other| labels_of_output(graph, &other.name))
        .collect();
    others.extend(model.metadata_props.iter().filter_map(labels_of_entry));
    others.retain(|names| names.len() == count);
    lists.extend(others);
    let mut distinct: Vec<Vec<String>> = Vec::new();
    for names in lists {
        if !distinct.contains(&names) {
            distinct.push(names);
        }
    }
    if distinct.iter().any(|names| !are_places(names)) {
        distinct.retain(|names| !are_places(names));
    }
    distinct
}

/// The class names of a classifier, or of a `ZipMap`.
fn labels_of(node: &NodeProto) -> Option<Vec<String>> {
    const ATTRIBUTES: [&str; 3] = ["classlabels_strings", "classlabels_int64s", "classlabels_ints"];
    ATTRIBUTES.iter().find_map(|name| {
        let labels = attribute(node, name)?;
        let mut names = texts(&labels.strings);
        names.extend(labels.ints.iter().map(ToString::to_string));
        (!names.is_empty()).then_some(names)
    })
}

/// The names among which a graph picks the one of an output, by the place of the largest
/// probability.
fn labels_of_output(graph: &GraphProto, output: &str) -> Option<Vec<String>> {
    let (node, result) = origin(graph, output)?;
    match node.op_type.as_str() {
        "LinearClassifier" | "TreeEnsembleClassifier" | "SVMClassifier" if result == 0 => {
            labels_of(node)
        }
        "ArrayFeatureExtractor" | "Gather" => {
            let tensor = constant(graph, node.input.first()?)?;
            let mut names = texts(&tensor.string_data);
            names.extend(integers(tensor).iter().map(ToString::to_string));
            (!names.is_empty()).then_some(names)
        }
        "LabelEncoder" => {
            let keys = &attribute(node, "keys_int64s")?.ints;
            let values = texts(&attribute(node, "values_strings")?.strings);
            (0..keys.len())
                .map(|place| {
                    let key = keys.iter().position(|key| usize::try_from(*key) == Ok(place))?;
                    values.get(key).cloned()
                })
                .collect()
        }
        _ => None,
    }
}

/// The class names in an entry of the metadata whose name says that it holds them.
fn labels_of_entry(entry: &StringStringEntryProto) -> Option<Vec<String>> {
    const KEYS: [&str; 8] = [
        "classes",
        "classnames",
        "classlabels",
        "labels",
        "labelnames",
        "names",
        "id2label",
        "label2id",
    ];
    let letters = entry.key.chars().filter(|char| char.is_alphanumeric());
    let key: String = letters.flat_map(char::to_lowercase).collect();
    KEYS.contains(&key.as_str()).then(|| names_in_text(&entry.value)).flatten()
}

/// Names that a text lists: as JSON, as Python writes it, or between commas, semicolons or line
/// breaks.
pub(super) fn names_in_text(text: &str) -> Option<Vec<String>> {
    let value = serde_json::from_str(text).or_else(|_| serde_json::from_str(&from_python(text)));
    if let Ok(value) = value {
        return names_in_value(&value);
    }
    let separator = ['\n', ';', ','].into_iter().find(|separator| text.contains(*separator))?;
    let names = text.split(separator).map(|name| name.trim().to_owned());
    Some(names.filter(|name| !name.is_empty()).collect()).filter(|names: &Vec<_>| names.len() > 1)
}

fn names_in_value(value: &Value) -> Option<Vec<String>> {
    let name = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let place = |value: &Value| match value {
        Value::String(text) => text.parse::<usize>().ok(),
        value => value.as_u64().and_then(|place| usize::try_from(place).ok()),
    };
    match value {
        Value::Array(names) if names.len() > 1 => names.iter().map(name).collect(),
        Value::Object(entries) if entries.len() > 1 => {
            // `{0: a, 1: b}`, or `{a: 0, b: 1}`.
            let by_place = |wanted: usize| {
                entries.iter().find_map(|(key, value)| match key.parse::<usize>() {
                    Ok(key) => (key == wanted).then(|| name(value)).flatten(),
                    Err(_) => (place(value) == Some(wanted)).then(|| key.clone()),
                })
            };
            (0..entries.len()).map(by_place).collect()
        }
        _ => None,
    }
}

/// Converts a list or a dictionary as Python writes it to JSON: other quotation marks, and keys
/// that are numbers.
fn from_python(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 16);
    let mut quote = None;
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match (quote, char) {
            (None, '\'' | '"') => {
                quote = Some(char);
                json.push('"');
            }
            (Some(open), _) if char == open => {
                quote = None;
                json.push('"');
            }
            (Some(_), '"') => json.push_str("\\\""),
            (None, '(') => json.push('['),
            (None, ')') => json.push(']'),
            (None, '0'..='9') => {
                let mut number = String::from(char);
                while let Some(digit) = chars.next_if(char::is_ascii_digit) {
                    number.push(digit);
                }
                let is_key = chars.peek() == Some(&':');
                json.push_str(&if is_key { format!("\"{number}\"") } else { number });
            }
            _ => json.push(char),
        }
    }
    json
}
