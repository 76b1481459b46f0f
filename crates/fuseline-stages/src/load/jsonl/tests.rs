use arrow::array::Array;
use serde_json::json;

use super::*;

fn read(options: Value, text: &str) -> Result<Features, StageError> {
    let mut all = json!({ "path": "/data/table.jsonl", "id": { "column": "id" } });
    for (name, value) in options.as_object().unwrap() {
        all[name] = value.clone();
    }
    let stage: LoadJsonl = serde_json::from_value(all).unwrap();
    stage.read(text.as_bytes(), &mut Outputs::default())
}

fn refused(options: Value, text: &str) -> String {
    crate::testing::message(&read(options, text).unwrap_err())
}

#[test]
fn a_line_is_an_example_and_a_list_a_feature_for_each_place() {
    let text = "{\"id\": 12, \"a\": 1.5, \"e\": [1, null]}\n\n{\"id\": \"7\", \"b\": true, \"a\": \"-inf\"}\r\n";
    let features = read(json!({}), text).unwrap();
    let ids: Vec<_> = features.example_id.iter().collect();
    assert_eq!(ids, ["12", "7"]);
    let names: Vec<_> = features.columns.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["a", "e.0", "e.1", "b"]);
    let column = |at: usize| features.columns[at].1.iter().collect::<Vec<_>>();
    assert_eq!(column(0), [Some(1.5), Some(f64::NEG_INFINITY)]);
    assert_eq!(column(1), [Some(1.0), None]);
    assert_eq!(features.columns[2].1.null_count(), 2);
    assert_eq!(column(3), [None, Some(1.0)]);
}

#[test]
fn a_long_table_becomes_a_wide_one_with_features_sorted_by_name() {
    let text = "{\"id\": \"q\", \"what\": \"z\", \"x\": 1}\n{\"id\": \"p\", \"what\": \"a\", \"x\": 2}\n\
                {\"id\": \"q\", \"what\": \"a\", \"x\": 3}\n";
    let long = json!({ "name": "what", "value": "x" });
    let features = read(json!({ "long": long }), text).unwrap();
    let names: Vec<_> = features.columns.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["a", "z"]);
    assert_eq!(features.columns[1].1.iter().collect::<Vec<_>>(), [None, Some(1.0)]);

    let twice = format!("{text}{{\"id\": \"q\", \"what\": \"z\", \"x\": 5}}\n");
    assert!(
        refused(json!({ "long": long }), &twice)
            .starts_with("lines 1 and 4 of table.jsonl are both q")
    );
    let pooled = read(json!({ "long": long, "pool": ["mean"] }), &twice).unwrap();
    assert_eq!(pooled.columns[1].0, "z.mean");
    assert_eq!(pooled.columns[1].1.iter().collect::<Vec<_>>(), [None, Some(3.0)]);
    assert_eq!(
        refused(json!({ "long": long, "columns": { "include": ["y"] } }), text),
        "table.jsonl has no feature y; its first feature is z"
    );
}

#[test]
fn what_cannot_be_read_is_refused_in_words() {
    assert!(
        refused(json!({}), "{\"id\": 1, \"a\": 1}\n[1]\n")
            .starts_with("line 2 of table.jsonl is no JSON object: ")
    );
    assert_eq!(
        refused(json!({}), "\n"),
        r#"table.jsonl is empty; each line holds one object, such as {"id": "e1", "a": 0.5}"#
    );
    assert!(
        refused(json!({}), "{\"id\": 1, \"a\": {}}\n")
            .starts_with("column a of table.jsonl holds an object in line 1")
    );
}
