use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray};
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
    let table = stage.table("table.parquet".to_owned(), Bytes::copy_from_slice(bytes))?;
    stage.features(table, &mut Outputs::default())
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
        "-inf in row 3, column 2 (single) of table.parquet; non_finite: missing makes a missing \
         value of it"
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
         pool: [mean, sd] makes one example of several rows, and long: { name: COLUMN, value: \
         COLUMN } reads one feature a row"
    );
    assert_eq!(
        refused(PLAIN, json!({})),
        "column when of table.parquet holds dates or times, not numbers; \
         leave the column out with columns: { exclude: [when] }"
    );
    assert_eq!(
        refused(PLAIN, json!({ "id": { "column": "vidoe" } })),
        "table.parquet has no column vidoe; did you mean video"
    );
    assert_eq!(
        refused(PLAIN, json!({ "id": { "column": "embedding" } })),
        "column embedding of table.parquet holds lists of 2 values; \
         one text or number a row is needed; a list may be a feature for each of its places"
    );
    assert_eq!(
        refused(b"video,a\n", json!({})),
        "table.parquet is text; load.csv reads text, and a table whose name ends in csv or tsv"
    );
    let cut = refused(&PLAIN[..PLAIN.len() / 2], json!({}));
    assert!(cut.starts_with("table.parquet cannot be read as Parquet: "), "{cut}");
}

#[test]
fn a_column_of_lists_is_taken_or_left_by_its_name_or_by_the_names_of_its_places() {
    let names = |columns: Value| {
        let features = read(PLAIN, json!({ "columns": columns })).unwrap();
        features.columns.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    assert_eq!(names(json!({ "include": ["embedding"] })), ["embedding.0", "embedding.1"]);
    assert_eq!(names(json!({ "include": ["embedding.1", "truth"] })), ["truth", "embedding.1"]);
    assert_eq!(names(json!({ "exclude": ["embedding", "when"] })), ["single", "whole", "truth"]);
    assert_eq!(
        names(json!({ "exclude": ["embedding.0", "when", "whole"] })),
        ["single", "truth", "embedding.1"]
    );
    assert_eq!(
        refused(PLAIN, json!({ "columns": { "include": ["embedding.2"] } })),
        "table.parquet has no column embedding.2; did you mean embedding.0"
    );
}

#[test]
fn files_of_one_folder_are_one_table_whatever_the_types_of_their_numbers() {
    let part = |name: &str, columns: Vec<(&str, ArrayRef)>| {
        let (names, columns): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
        let names = names.into_iter().map(str::to_owned).collect();
        Table::new(name.to_owned(), names, None, Cells::Arrow(columns))
    };
    let ids = |ids: &[&str]| Arc::new(StringArray::from(ids.to_vec())) as ArrayRef;
    let whole = Arc::new(Int64Array::from(vec![1])) as ArrayRef;
    let float = Arc::new(Float64Array::from(vec![0.5, 1.5])) as ArrayRef;
    let first = || part("f/0", vec![("id", ids(&["a"])), ("x", whole.clone())]);
    let second = part("f/1", vec![("id", ids(&["b", "c"])), ("x", float.clone())]);
    let missing = part("f/2", vec![("id", ids(&["d"])), ("x", new_null_array(&DataType::Null, 1))]);
    let second = parts::with_folder_columns(second, Path::new("site=a%20b/1.parquet")).unwrap();
    assert_eq!(second.names, ["id", "x", "site"]);
    assert_eq!(second.text(1, 2).unwrap().as_deref(), Some("a b"));

    let message = |tables| {
        parts::joined("f".to_owned(), tables)
            .map(|_| ())
            .map_err(|error| error.message)
            .unwrap_err()
    };
    assert_eq!(
        message(vec![first(), second]),
        "the files of f differ: f/1 has the column site, and f/0 has not"
    );
    let second = part("f/1", vec![("id", ids(&["b", "c"])), ("x", float)]);
    let table = parts::joined("f".to_owned(), vec![first(), second, missing]).unwrap();
    assert_eq!(table.rows(), 4);
    assert_eq!([1, 0, 3].map(|row| table.number(row, 1).unwrap()), [Some(0.5), Some(1.0), None]);
    let text = part("f/1", vec![("id", ids(&["b"])), ("x", ids(&["c"]))]);
    assert_eq!(
        message(vec![first(), text]),
        "column x holds text in one file of f and numbers in another"
    );
}

#[test]
fn a_page_that_says_it_is_larger_than_it_can_be_is_refused_before_it_is_read() {
    let dictionary = include_bytes!("../../../tests/fixtures/load/false_dictionary.parquet");
    assert_eq!(
        refused(dictionary, json!({ "id": { "column": "id" } })),
        "column a of table.parquet cannot be read: its dictionary says that it holds more values \
         than bytes; the file is cut short, damaged or of another format: copy it again, or write \
         it anew"
    );
}
