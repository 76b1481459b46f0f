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

#[test]
fn a_whole_number_beyond_its_format_is_refused_once_and_in_words() {
    let draw = json!({ "type": "integer", "format": "uint32", "minimum": 0, "maximum": 4e9 });
    let schema = json!({ "properties": { "draw": draw, "free": { "format": "int32" } } });
    let said = |name: &str, value: i64| -> Vec<String> {
        let options = Map::from_iter([(name.to_owned(), Value::from(value))]);
        check("it", &schema, &options).into_iter().map(|problem| problem.message).collect()
    };
    assert_eq!(said("draw", 1 << 40), ["`draw` must be at most 4000000000, not 1099511627776"]);
    assert_eq!(said("draw", -1), ["`draw` must be at least 0, not -1"]);
    assert_eq!(said("free", 1 << 31), ["`free` must be at most 2147483647, not 2147483648"]);
    assert!(said("free", i64::from(i32::MIN)).is_empty());
}
