use arrow::array::Array;
use serde_json::{Value, json};

use super::*;

fn stage(options: Value) -> LoadCsv {
    let mut all = json!({ "path": "/data/table.csv", "id": { "column": 0 } });
    for (name, value) in options.as_object().unwrap() {
        all[name] = value.clone();
    }
    serde_json::from_value(all).unwrap()
}

fn read(options: Value, text: &str) -> Result<Features, StageError> {
    stage(options).read(text.as_bytes(), &mut Outputs::default())
}

fn refused(options: Value, text: &str) -> (String, Option<String>) {
    let error = read(options, text).unwrap_err();
    (error.message, error.option)
}

fn ids(features: &Features) -> Vec<&str> {
    features.example_id.iter().collect()
}

#[test]
fn rows_come_out_sorted_by_example_id() {
    let features = read(json!({}), "id,a,b\nz,1,2\nB,3,4\na,5,6\n").unwrap();
    assert_eq!(ids(&features), ["B", "a", "z"]);
    let (name, column) = &features.columns[0];
    assert_eq!((name.as_str(), column.values().as_ref()), ("a", [3.0, 5.0, 1.0].as_slice()));
}

#[test]
fn without_a_header_columns_are_called_by_their_place() {
    let options = json!({ "header": false, "id": { "column": 1 } });
    let features = read(options, "1,x,2\n3,y,4\n").unwrap();
    let names: Vec<_> = features.columns.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["c0", "c2"]);
    assert_eq!(ids(&features), ["x", "y"]);
}

#[test]
fn the_first_group_of_the_pattern_is_the_example_id() {
    let options = json!({ "id": { "column": "file", "pattern": "^(.+?)(?:[.]wav)?$" } });
    let features = read(options, "file,a\ns1_Math.wav,1\ns1_Read,2\n").unwrap();
    assert_eq!(ids(&features), ["s1_Math", "s1_Read"]);
}

#[test]
fn empty_and_na_cells_are_missing_and_infinite_ones_are_kept() {
    let features = read(json!({}), "id,a,b\np,,1\nq,NA,2\nr, nan ,3\ns,-inf,4\n").unwrap();
    let column = &features.columns[0].1;
    assert_eq!(column.null_count(), 3);
    assert!(column.is_valid(3) && column.value(3) == f64::NEG_INFINITY);
}

#[test]
fn a_row_without_any_value_is_left_out() {
    let features = read(json!({}), "id,a,b\np,,NA\nq,1,\n").unwrap();
    assert_eq!(ids(&features), ["q"]);
}

#[test]
fn quoted_cells_byte_order_mark_and_windows_line_ends_are_read() {
    let features = read(json!({}), "\u{feff}id,\"a, or b\"\r\n\"p\",\"1.5\"\r\n").unwrap();
    assert_eq!(features.columns[0].0, "a, or b");
    assert_eq!(features.columns[0].1.value(0).to_bits(), 1.5_f64.to_bits());
}

#[test]
fn another_delimiter_separates_the_cells() {
    let features = read(json!({ "delimiter": "\t" }), "id\ta\np\t2\n").unwrap();
    assert_eq!(ids(&features), ["p"]);
}

#[test]
fn include_and_exclude_choose_the_columns() {
    let text = "id,note,a,b\np,hello,1,2\n";
    let names = |options| {
        let features = read(options, text).unwrap();
        features.columns.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    assert_eq!(names(json!({ "columns": { "exclude": ["note"] } })), ["a", "b"]);
    assert_eq!(names(json!({ "columns": { "include": ["b"] } })), ["b"]);
}

#[test]
fn a_cell_that_is_not_a_number_is_named_by_line_and_column() {
    let (message, option) = refused(json!({}), "id,a,b\np,1,2\nq,3,high\n");
    assert_eq!(message, "\"high\" in line 3, column 3 (b) of table.csv is not a number");
    assert_eq!(option.as_deref(), Some("path"));
}

#[test]
fn lines_are_counted_through_quoted_line_breaks() {
    let (message, _) = refused(json!({}), "id,a\n\"p\nq\",1\nr,x\n");
    assert!(message.contains("in line 4,"), "{message}");
}

#[test]
fn a_duplicate_id_names_both_lines() {
    let (message, _) = refused(json!({}), "id,a\np,1\nq,2\np,3\n");
    assert_eq!(message, "lines 2 and 4 of table.csv are both p");
}

#[test]
fn an_id_that_the_pattern_does_not_match_is_named() {
    let options = json!({ "id": { "column": 0, "pattern": "^(s[0-9]+)_" } });
    let (message, option) = refused(options, "id,a\ns1_x,1\noops,2\n");
    assert_eq!(
        message,
        "the pattern ^(s[0-9]+)_ does not match 1 of the 2 ids of table.csv, such as \"oops\" in line 3"
    );
    assert_eq!(option.as_deref(), Some("id.pattern"));
}

#[test]
fn short_and_long_rows_are_refused() {
    for row in ["p,1", "p,1,2,3"] {
        let (message, _) = refused(json!({}), &format!("id,a,b\n{row}\n"));
        assert!(message.starts_with("line 2 of table.csv has "), "{message}");
    }
}

#[test]
fn an_unknown_column_comes_with_the_closest_name() {
    let error = read(json!({ "id": { "column": "subjct" } }), "subject,a\np,1\n").unwrap_err();
    assert_eq!(error.message, "table.csv has no column subjct");
    assert_eq!(error.hint.as_deref(), Some("did you mean subject"));
    assert_eq!(error.option.as_deref(), Some("id.column"));
    let (_, option) = refused(json!({ "columns": { "exclude": ["x"] } }), "id,a\np,1\n");
    assert_eq!(option.as_deref(), Some("columns.exclude"));
}

#[test]
fn two_columns_of_one_name_are_refused() {
    let (message, _) = refused(json!({}), "id,a,a\np,1,2\n");
    assert_eq!(message, "columns 2 and 3 of table.csv are both called a");
}

#[test]
fn a_file_without_rows_and_one_that_is_not_text_are_refused() {
    assert_eq!(refused(json!({}), "").0, "table.csv is empty");
    assert_eq!(refused(json!({}), "id,a\n").0, "table.csv holds no row");
    let error = stage(json!({})).read(&b"id,a\np,\xff\n"[..], &mut Outputs::default()).unwrap_err();
    assert_eq!(error.message, "line 2 of table.csv is not UTF-8 text");
}
