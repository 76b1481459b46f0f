use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Value, json};

use super::*;

const PLAIN: &[u8] = include_bytes!("../../../tests/fixtures/load/table_none.parquet");
const FRAMES: &[u8] = include_bytes!("../../../tests/fixtures/load/frames.parquet");

fn read(bytes: &[u8], options: Value) -> Result<Features, StageError> {
    let mut all = json!({ "path": "/data/table.parquet", "id": { "column": "video" } });
    for (name, value) in options.as_object().unwrap() {
        all[name] = value.clone();
    }
    let stage: LoadParquet = serde_json::from_value(all).unwrap();
    stage.read(Bytes::copy_from_slice(bytes), &mut Outputs::default())
}

fn refused(bytes: &[u8], options: Value) -> String {
    crate::testing::message(&read(bytes, options).unwrap_err())
}

fn rows(features: &Features) -> BTreeMap<String, Vec<Option<f64>>> {
    let row = |row: usize| {
        let cells = features.columns.iter().map(|(_, column)| column.iter().nth(row).unwrap());
        (features.example_id[row].to_owned(), cells.collect())
    };
    (0..features.example_id.len()).map(row).collect()
}

#[test]
fn numbers_truth_values_and_lists_become_features_whatever_the_compression() {
    let without = json!({ "columns": { "exclude": ["when"] } });
    let features = read(PLAIN, without.clone()).unwrap();
    let names: Vec<_> = features.columns.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["single", "whole", "truth", "embedding.0", "embedding.1"]);
    let rows = rows(&features);
    assert_eq!(rows["a"], [None, Some(-4.0), Some(0.0), Some(3.0), None]);
    assert_eq!(rows["b"], [Some(1.5), Some(3.0), Some(1.0), Some(1.0), Some(2.0)]);
    assert_eq!(rows["c"], [Some(f64::NEG_INFINITY), None, None, None, None]);
    for packed in [
        include_bytes!("../../../tests/fixtures/load/table_snappy.parquet").as_slice(),
        include_bytes!("../../../tests/fixtures/load/table_gzip.parquet"),
        include_bytes!("../../../tests/fixtures/load/table_zstd.parquet"),
        include_bytes!("../../../tests/fixtures/load/table_lz4.parquet"),
    ] {
        assert_eq!(read(packed, without.clone()).unwrap(), features);
    }
}

#[test]
fn infinite_values_are_kept_made_missing_or_refused_as_the_option_says() {
    let options = |rule| json!({ "columns": { "include": ["single"] }, "non_finite": rule });
    assert_eq!(rows(&read(PLAIN, options("keep")).unwrap()).len(), 2);
    let missing = read(PLAIN, options("missing")).unwrap();
    assert_eq!(rows(&missing).keys().collect::<Vec<_>>(), ["b"], "no value is left of c");
    assert_eq!(
        refused(PLAIN, options("error")),
        "-inf in row 3, column 2 (single) of table.parquet; non_finite: missing makes a missing value of it"
    );
}

#[test]
fn rows_of_one_example_are_pooled_as_pandas_pools_them() {
    let features = read(FRAMES, json!({ "pool": ["mean", "sd", "min", "max"] })).unwrap();
    let names: Vec<_> = features.columns.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["a.mean", "a.sd", "a.min", "a.max", "b.mean", "b.sd", "b.min", "b.max"]);
    let expected: BTreeMap<String, Vec<Option<f64>>> =
        serde_json::from_str(include_str!("../../../tests/fixtures/load/frames.json")).unwrap();
    assert_eq!(rows(&features), expected);
}

#[test]
fn what_cannot_be_read_is_refused_in_words() {
    assert_eq!(
        refused(FRAMES, json!({})),
        "rows 1 and 3 of table.parquet are both v2; each example_id may stand in one row only; \
         pool: [mean, sd] makes one example of several rows, and long: { name: COLUMN, value: COLUMN } reads one feature a row"
    );
    assert_eq!(
        refused(PLAIN, json!({})),
        "column when of table.parquet holds Timestamp(ms) in row 2, not numbers or text; \
         leave the column out with columns: { exclude: [when] }"
    );
    assert_eq!(
        refused(PLAIN, json!({ "id": { "column": "vidoe" } })),
        "table.parquet has no column vidoe; did you mean video"
    );
    assert!(
        refused(b"video,a\n", json!({})).starts_with("table.parquet cannot be read as Parquet: ")
    );
}
