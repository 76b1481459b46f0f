use proptest::prelude::*;
use serde_json::json;

use super::*;

/// A schema with the words that options have.
fn schema() -> Value {
    json!({
        "properties": {
            "count": { "type": "integer", "minimum": 1, "maximum": 9 },
            "name": { "type": ["string", "null"], "pattern": "^[a-z]+$", "maxLength": 4 },
            "rule": { "enum": ["mean", "product"] },
            "columns": { "type": "array", "items": { "type": "string" }, "uniqueItems": true },
            "label": {
                "type": "object",
                "properties": { "column": { "type": "string" } },
                "required": ["column"],
                "additionalProperties": false
            },
            "by": { "anyOf": [{ "$ref": "#/$defs/share" }, { "const": "all" }] }
        },
        "$defs": { "share": { "type": "number", "exclusiveMinimum": 0, "maximum": 1 } },
        "required": ["count", "rule"],
        "additionalProperties": false,
        "minProperties": 2,
        "maxProperties": 4
    })
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-2_i64..12).prop_map(Value::from),
        (-1.0..2.0).prop_map(Value::from),
        "[a-z1]{0,5}".prop_map(Value::from),
        prop::sample::select(vec!["mean", "product", "all"]).prop_map(Value::from),
    ];
    prop_oneof![
        leaf.clone(),
        prop::collection::vec(leaf.clone(), 0..3).prop_map(Value::from),
        leaf.prop_map(|column| json!({ "column": column })),
    ]
}

proptest! {
    #[test]
    fn options_that_were_found_sound_need_no_second_look(
        options in prop::collection::btree_map(
            prop::sample::select(vec!["count", "name", "rule", "columns", "label", "by", "naem"]),
            value(),
            0..6,
        ),
        known in any::<u8>(),
    ) {
        let options: Map<String, Value> =
            options.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let problems = check("kind", &schema(), &options);
        let is_sound = |name: &&str| {
            let is_about = |path: &str| path.split('.').next() == Some(name);
            problems.iter().all(|problem| !is_about(&problem.path))
        };
        let sound = options.keys().map(String::as_str).filter(is_sound).enumerate();
        let sound = sound.filter(|(at, _)| known >> at & 1 == 1);
        let sound: Vec<&str> = sound.map(|(_, name)| name).collect();
        prop_assert_eq!(check_others("kind", &schema(), &options, &sound), problems);
    }

    #[test]
    fn what_is_sound_at_a_glance_has_no_mistake(
        name in prop::sample::select(vec!["count", "name", "rule", "columns", "label", "by"]),
        value in value(),
    ) {
        let schema = schema();
        let known = &schema["properties"][name];
        if is_plainly_sound(known, &value) {
            let mut walker =
                Walker { kind: "kind", root: &schema, sound: &[], problems: Vec::new() };
            walker.value(known, &value, name);
            prop_assert_eq!(walker.problems, []);
        }
    }
}

#[test]
fn numbers_within_their_bounds_are_sound_at_a_glance_and_others_are_not() {
    let schema = schema();
    let count = |value: Value| is_plainly_sound(&schema["properties"]["count"], &value);
    assert!(count(json!(1)) && count(json!(9)));
    assert!(!count(json!(0)) && !count(json!(10)) && !count(json!(1.5)) && !count(json!("1")));
    assert!(!is_plainly_sound(&schema["properties"]["rule"], &json!("mean")), "it is composed");
}
