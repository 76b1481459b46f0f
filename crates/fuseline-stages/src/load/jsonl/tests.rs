use arrow::array::Array;
use serde_json::{Value, json};

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
    let text = "{\"id\": 12, \"a\": 1.5, \"e\": [1, null]}\n\n{\"id\": \"7\", \"b\": true, \"a\": \
        \"-inf\"}\r\n";
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
    let text = "{\"id\": \"q\", \"what\": \"z\", \"x\": 1}\n{\"id\": \"p\", \"what\": \"a\", \
        \"x\": 2}\n\
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

#[test]
fn what_python_writes_is_read() {
    let text = "\u{feff}{\"id\": 18446744073709551616, \"a\": NaN, \"e\": [1, \"NaN\", true]}\n\
                {\"id\": 2.0, \"a\": -Infinity, \"e\": [Infinity, \" 2.5 \", null]}\n\
                {\"id\": \"NA\", \"a\": \"0.5\", \"e\": null}\n";
    let features = read(json!({}), text).unwrap();
    let ids: Vec<_> = features.example_id.iter().collect();
    assert_eq!(ids, ["18446744073709551616", "2", "NA"]);
    let column = |at: usize| features.columns[at].1.iter().collect::<Vec<_>>();
    assert_eq!(column(0), [None, Some(f64::NEG_INFINITY), Some(0.5)]);
    assert_eq!(column(1), [Some(1.0), Some(f64::INFINITY), None]);
    assert_eq!(column(2), [None, Some(2.5), None]);
    assert_eq!(column(3), [Some(1.0), None, None]);
    let error = refused(json!({ "non_finite": "error" }), text);
    assert!(error.starts_with("-inf in line 2, column 2 (a) of table.jsonl"), "{error}");
}

#[test]
fn lists_that_are_no_column_are_refused_where_they_are_used_and_only_there() {
    let text = "{\"id\": 1, \"a\": 1, \"e\": [1, 2]}\n{\"id\": 2, \"a\": 2, \"e\": [1]}\n";
    assert_eq!(
        refused(json!({}), text),
        "column e of table.jsonl holds lists of 2 values in line 1 and of 1 in line 2; \
         leave the column out with columns: { exclude: [e] }"
    );
    for columns in [json!({ "exclude": ["e"] }), json!({ "include": ["a"] })] {
        assert_eq!(read(json!({ "columns": columns }), text).unwrap().columns.len(), 1);
    }
    let holds = |value: &str| {
        let text = format!("{{\"id\": 1, \"a\": [1]}}\n{{\"id\": 2, \"a\": {value}}}\n");
        let message = refused(json!({}), &text);
        message.split_once(" holds ").unwrap().1.split_once("; ").unwrap().0.to_owned()
    };
    assert_eq!(holds("2"), "a list in line 1 and none in line 2");
    assert_eq!(holds("[]"), "lists of 1 values in line 1 and of 0 in line 2");
    assert_eq!(holds("[\"x\"]"), "a list with the text \"x\" in line 2, not lists of numbers");
    assert_eq!(holds("[[1]]"), "a list with a list in it in line 2, not lists of numbers");
    assert_eq!(holds("{\"b\": 1}"), "an object in line 2, not numbers or text");
}

#[test]
fn a_name_stands_in_a_line_once_and_a_column_in_a_table() {
    assert_eq!(
        refused(json!({}), "{\"id\": 1, \"a\": 1}\n\n{\"id\": 2, \"a\": 1, \"a\": 2}\n"),
        "line 3 of table.jsonl names a twice; an object holds each name once: which of the values \
         is meant?"
    );
    let clash = refused(json!({}), "{\"id\": 1, \"e.0\": 5, \"e\": [1, 2]}\n");
    assert!(clash.starts_with("columns 2 and 3 of table.jsonl are both called e.0"), "{clash}");
    let without = json!({ "columns": { "exclude": ["e"] } });
    assert_eq!(read(without, "{\"id\": 1, \"e.0\": 5, \"e\": [1, 2]}\n").unwrap().columns.len(), 1);
}

#[test]
fn a_table_out_of_proportion_to_its_file_is_refused() {
    let lines = (0..20_000).map(|line| format!("{{\"id\":{line},\"k{line}\":1}}\n"));
    let message = refused(json!({}), &lines.collect::<String>());
    assert!(message.starts_with("the table of table.jsonl would take more memory"), "{message}");
}
