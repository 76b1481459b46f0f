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
        "the pattern ^(s[0-9]+)_ does not match 1 of the 2 ids of table.csv, such as \"oops\" in \
         line 3"
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
    assert_eq!(error.message, "line 2 of table.csv is not UTF-8 text at byte 8");
}

fn cautions(options: Value, text: &str) -> Vec<String> {
    let mut outputs = Outputs::default();
    stage(options).read(text.as_bytes(), &mut outputs).unwrap();
    outputs.cautions().to_vec()
}

#[test]
fn a_quotation_mark_that_is_never_closed_is_an_error_where_it_opens() {
    let exclude = json!({ "columns": { "exclude": ["note"] } });
    let text = "id,a,note\np,1,ok\nq,2,\"ok, but\nr,3,ok\n";
    let (message, _) = refused(exclude.clone(), text);
    assert_eq!(
        message,
        "the quotation mark that opens line 3, column 3 (note) of table.csv is never closed"
    );
    let (message, _) = refused(exclude, "id,a,note\nq,2,\"ok\nr,3,\"ok, too\"\n");
    assert_eq!(
        message,
        "the quotation mark that opens line 2, column 3 (note) of table.csv is closed in line 3, \
         and text follows where the cell should end"
    );
}

#[test]
fn a_cell_that_holds_what_look_like_rows_is_told() {
    let exclude = json!({ "columns": { "exclude": ["note"] } });
    let told = cautions(exclude.clone(), "id,a,note\np,1,\"ok\nq,2,ok\nr,3,fine\"\ns,4,ok\n");
    assert_eq!(
        told,
        ["one cell of table.csv, in column 3 (note), goes on from line 2 to line 4: if those are \
            rows, the quotation mark in line 2 is closed too late"]
    );
    let torn = "id,note,a\np,\"ok,1\nq,ok\",2\nr,ok,4\n";
    assert_eq!(cautions(exclude.clone(), torn).len(), 1);
    let tall = format!("id,a,note\np,1,\"{}\"\nq,2,ok\n", "a line\n".repeat(10));
    assert_eq!(cautions(exclude.clone(), &tall).len(), 1);
    assert!(cautions(exclude, "id,a,note\np,1,\"two\nlines\"\nq,2,ok\n").is_empty());
}

#[test]
fn a_decimal_comma_and_separated_thousands_are_read_by_options() {
    let values = |options: Value, text: &str| -> Vec<f64> {
        read(options, text).unwrap().columns[0].1.values().to_vec()
    };
    let german = json!({ "delimiter": ";", "decimal": ",", "thousands": "." });
    assert_eq!(values(german, "id;a\np;1.234,5\nq;-0,25\n"), [1234.5, -0.25]);
    let english = json!({ "thousands": "," });
    assert_eq!(values(english, "id,a\np,\"1,000\"\nq,2\n"), [1000.0, 2.0]);
    let error = read(json!({}), "id,a\nr,2\nq,\"1,000\"\np,\"2,000\"\n").unwrap_err();
    assert_eq!(
        error.message,
        "\"1,000\" in line 3, column 2 (a) of table.csv is not a number, nor is one other cell of \
         the column"
    );
    assert_eq!(
        error.hint.as_deref(),
        Some(
            "write thousands: \",\" where the comma separates thousands, or decimal: \",\" where \
             it is a decimal comma; or leave the column out with columns: { exclude: [a] }"
        )
    );
}

#[test]
fn options_that_cannot_be_are_found_before_anything_runs() {
    let problems = |options: Value| -> Vec<String> {
        let problems = stage(options).format().problems("");
        problems.into_iter().map(|problem| problem.option).collect()
    };
    assert!(problems(json!({ "delimiter": ";", "decimal": ",", "thousands": "." })).is_empty());
    assert_eq!(problems(json!({ "delimiter": "\"" })), ["delimiter"]);
    assert_eq!(problems(json!({ "delimiter": "é" })), ["delimiter"]);
    assert_eq!(problems(json!({ "decimal": ",", "thousands": "," })), ["thousands"]);
    let id = |id: Value| serde_json::from_value::<Id>(id).is_ok();
    assert!(id(json!({ "row": true })) && id(json!({ "column": 0, "row": false })));
    assert!(!id(json!({})) && !id(json!({ "row": true, "column": 0 })));
    assert!(!id(json!({ "row": true, "pattern": "(.)" })));
}

#[test]
fn the_number_of_the_row_can_be_the_id() {
    let features = read(json!({ "id": { "row": true } }), "a,b\n1,2\n3,4\n5,6\n").unwrap();
    assert_eq!(ids(&features), ["0", "1", "2"]);
    assert_eq!(features.columns.len(), 2);
}

#[test]
fn a_column_without_a_name_is_no_feature_unless_it_is_asked_for() {
    let names = |options: Value, text: &str| -> Vec<String> {
        let mut outputs = Outputs::default();
        let features = stage(options).read(text.as_bytes(), &mut outputs).unwrap();
        let names = features.columns.into_iter().map(|(name, _)| name);
        names.chain(outputs.cautions().iter().cloned()).collect()
    };
    let id = json!({ "id": { "column": "id" } });
    let text = ",id,a\n0,p,5\n1,q,6\n2,r,8\n";
    assert_eq!(
        names(id.clone(), text),
        [
            "a",
            "column 1 of table.csv has no name and is no feature (it counts the rows, as an index \
             does that pandas or R wrote): columns: { include: [\"c0\", ...] } makes it one"
        ]
    );
    let asked = json!({ "id": { "column": "id" }, "columns": { "include": ["c0"] } });
    assert_eq!(names(asked, text), ["c0"]);
    let shuffled = "Unnamed: 0,Unnamed: 0.1,id,a,\n7,0,p,5,\n1,1,q,6,\n";
    assert_eq!(
        names(id.clone(), shuffled),
        [
            "a",
            "column 1 (Unnamed: 0), column 2 (Unnamed: 0.1) of table.csv have no names and are no \
             features: columns: { include: [\"Unnamed: 0\", ...] } makes it one"
        ]
    );
    let named = "index,trial,id,a\n0,1,p,5\n1,2,q,6\n2,3,r,8\n";
    assert_eq!(
        names(id, named),
        [
            "trial",
            "a",
            "column 1 (index) of table.csv counts the rows, as the index of a table does, and is \
             no feature: columns: { include: [index, ...] } makes it one",
            "column 2 (trial) of table.csv counts the rows and is a feature: where rows are \
             sorted by label it gives the label away; columns: { exclude: [trial] } leaves it out"
        ]
    );
}

#[test]
fn a_first_line_that_looks_like_a_row_is_told_where_columns_go_by_place() {
    let told = |text: &str| cautions(json!({}), text).len();
    assert_eq!(told("p1,0.5,2\np2,0.25,3\n"), 1);
    assert_eq!(told("s01_a,x\ns02_b,3\n"), 1, "the id looks like the next");
    assert_eq!(told("id,0,1\np,5,7\nq,6,8\n"), 0, "columns that pandas counted");
    assert_eq!(told("id,f1,f2\np1,5,7\n"), 0);
    assert_eq!(cautions(json!({ "id": { "column": "p1" } }), "p1,0.5\np2,0.25\n").len(), 0);
}

#[test]
fn names_that_are_twice_there_or_reserved_are_refused() {
    let by_name = json!({ "id": { "column": "id" } });
    let (message, option) = refused(by_name, "id,a,id\np,1,q\n");
    assert_eq!(message, "columns 1 and 3 of table.csv are both called id");
    assert_eq!(option.as_deref(), Some("id.column"));
    assert_eq!(
        refused(json!({}), "id,a,id\np,1,2\n").0,
        "columns 1 and 3 of table.csv are both called id"
    );
    let excluded = json!({ "columns": { "exclude": ["note"] } });
    assert_eq!(read(excluded, "id,note,note,a\np,x,y,1\n").unwrap().columns.len(), 1);
    assert_eq!(
        refused(json!({}), "id,example_id\np,1\n").0,
        "column 2 of table.csv is called example_id, as ids are in every table that is made here"
    );
}

#[test]
fn gzip_and_utf16_are_read_and_other_packings_are_named() {
    use std::io::Write;
    let text = "id,a\np,1\nMüller,2\n";
    let plain = read(json!({}), text).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    let packed = gzip.finish().unwrap();
    let read = |bytes: &[u8]| stage(json!({})).read(bytes, &mut Outputs::default());
    assert_eq!(read(&packed).unwrap(), plain);
    let message = |bytes: &[u8]| read(bytes).unwrap_err().message;
    assert!(message(&packed[..packed.len() / 2]).starts_with("table.csv cannot be read: "));
    for (mark, unit) in
        [([0xff, 0xfe], u16::to_le_bytes as fn(u16) -> [u8; 2]), ([0xfe, 0xff], u16::to_be_bytes)]
    {
        let mut utf16 = mark.to_vec();
        utf16.extend(text.encode_utf16().flat_map(unit));
        assert_eq!(read(&utf16).unwrap(), plain);
        assert_eq!(
            message(&utf16[..utf16.len() - 1]),
            "table.csv begins as UTF-16 text and is none further on"
        );
        assert!(message(&utf16[2..]).contains("it looks like UTF-16 without a byte order mark"));
    }
    assert_eq!(message(b"PK\x03\x04 and so on"), "table.csv is a zip archive or an Excel workbook");
    assert_eq!(message(b"PAR1\x15\x04 and so on"), "table.csv is a Parquet file");
}

#[test]
fn a_line_with_another_number_of_cells_comes_with_its_likely_cause() {
    let hint = |text: &str| read(json!({}), text).unwrap_err().hint.unwrap();
    assert_eq!(
        hint("id;a\np;1,5\n"),
        "if another character separates the cells, write delimiter: \";\""
    );
    assert!(hint("id,a\n1,p,1\n2,q,2\n").starts_with("the first line names one column too few"));
    let excel = read(json!({ "delimiter": ";" }), "sep=;\nid;a;b\np;1;2\n").unwrap_err();
    assert_eq!(excel.hint.as_deref(), Some("the first line is a note to Excel: take it out"));
    assert!(hint("id,a\np,1\nid,a\nq,1\n").starts_with("the names of the columns stand there"));
    assert!(hint("id,a\np,1\nq,1,2\n").starts_with("each line holds as many cells"));
}
