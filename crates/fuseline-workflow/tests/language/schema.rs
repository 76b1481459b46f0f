//! The JSON Schema for editors.

use fuseline_workflow::schema::workflow_schema;
use serde_json::Value;

use crate::fixture::catalogue;

/// Every `$ref` of a schema.
fn references<'a>(schema: &'a Value, found: &mut Vec<&'a str>) {
    match schema {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn every_reference_of_the_schema_leads_somewhere() {
    let schema = workflow_schema(&catalogue());
    let mut found = Vec::new();
    references(&schema, &mut found);
    assert!(found.contains(&"#/$defs/with.load.csv.Id"), "inner definitions are renamed");
    for reference in found {
        let pointer = reference.strip_prefix('#').expect("a reference within the schema");
        assert!(schema.pointer(pointer).is_some(), "{reference}");
    }
}

#[test]
fn every_kind_has_its_options_and_ports_and_room_for_expressions() {
    let catalogue = catalogue();
    let schema = workflow_schema(&catalogue);
    for kind in catalogue.kinds() {
        let with = &schema["$defs"][format!("with.{}", kind.name)];
        assert_eq!(with["additionalProperties"], kind.options["additionalProperties"]);
        assert!(with.get("$schema").is_none());
    }
    let header = &schema["$defs"]["with.load.csv"]["properties"]["header"];
    assert_eq!(header["anyOf"][0]["type"], "boolean");
    assert_eq!(header["anyOf"][1]["$ref"], "#/$defs/expression");
    assert_eq!(header["default"], true, "words for the reader stay outside");
    let rules = schema["$defs"]["stage"]["allOf"].as_array().expect("rules");
    let split =
        rules.iter().find(|rule| rule["if"]["properties"]["uses"]["const"] == "split.group_kfold");
    let then = &split.expect("the rule of the kind")["then"];
    assert_eq!(then["required"], serde_json::json!(["with", "inputs"]));
    assert_eq!(then["properties"]["inputs"]["required"], serde_json::json!(["cohort"]));
}

/// For validators that are not written in Rust: `FUSELINE_SCHEMA=FILE` writes the schema of the
/// test catalogue.
#[test]
fn the_schema_can_be_written_for_an_independent_validator() {
    let text = serde_json::to_string_pretty(&workflow_schema(&catalogue())).expect("a text");
    assert!(text.len() > 1000);
    if let Some(path) = std::env::var_os("FUSELINE_SCHEMA") {
        std::fs::write(path, text).expect("a written schema");
    }
}
