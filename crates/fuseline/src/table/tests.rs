use std::collections::BTreeMap;

use arrow::array::{BooleanArray, DictionaryArray, FixedSizeListArray, Float64Array, Int64Array};
use arrow::datatypes::Int32Type;
use fuseline_artifact::ArtifactKind;

use super::*;

fn evidence() -> Table {
    let ids = StringArray::from(vec!["a,1", "b \"2\"", "c"]);
    let labels: DictionaryArray<Int32Type> = ["rest", "stress", "rest"].into_iter().collect();
    let lists = FixedSizeListArray::from_iter_primitive::<Float64Type, _, _>(
        [[0.25, 0.75], [1e-7, 1.0], [0.5, 0.5]].map(|row| Some(row.map(Some))),
        2,
    );
    let shift = Float64Array::from(vec![Some(0.1), None, Some(f64::INFINITY)]);
    let right = BooleanArray::from(vec![Some(true), Some(false), None]);
    let table = RecordBatch::try_from_iter_with_nullable([
        ("example_id", Arc::new(ids) as ArrayRef, false),
        ("label", Arc::new(labels), false),
        ("probabilities", Arc::new(lists), false),
        ("shift", Arc::new(shift), true),
        ("right", Arc::new(right), true),
    ]);
    let artifact = Artifact {
        kind: ArtifactKind::Evidence,
        payload: Payload::Table(table.unwrap()),
        metadata: BTreeMap::from([("classes".to_owned(), r#"["rest","stress"]"#.to_owned())]),
    };
    Table::from_artifact(&artifact).unwrap().unwrap()
}

fn text(table: &Table, form: Form) -> String {
    String::from_utf8(table.write(form).unwrap()).unwrap()
}

#[test]
fn csv_quotes_texts_spells_out_lists_and_rounds_nothing() {
    insta::assert_snapshot!(text(&evidence(), Form::Csv), @r#"
    example_id,label,probabilities_rest,probabilities_stress,shift,right
    "a,1",rest,0.25,0.75,0.1,true
    "b ""2""",stress,1e-7,1.0,,false
    c,rest,0.5,0.5,inf,
    "#);
}

#[test]
fn a_table_of_results_has_decimal_numbers_in_csv() {
    let table = RecordBatch::try_from_iter_with_nullable([
        ("measure", Arc::new(StringArray::from(vec!["a", "-b"])) as ArrayRef, false),
        ("n", Arc::new(Int64Array::from(vec![10, 2])), false),
        ("value", Arc::new(Float64Array::from(vec![Some(1.0), None])), true),
        ("p_value", Arc::new(Float64Array::from(vec![1e-7, 0.25])), false),
    ]);
    let artifact = Artifact {
        kind: ArtifactKind::Table,
        payload: Payload::Table(table.unwrap()),
        metadata: BTreeMap::new(),
    };
    let table = Table::from_artifact(&artifact).unwrap().unwrap();
    let point = [("alpha".to_owned(), "1.0".to_owned())];
    let table = Table::stack(vec![table.at(&point).unwrap()]).unwrap().unwrap();
    insta::assert_snapshot!(text(&table, Form::Csv), @r"
    alpha,measure,n,value,p_value
    1.0,a,10,1,0.0000001
    1.0,'-b,2,,0.25
    ");
}

#[test]
fn json_is_a_list_of_objects() {
    let rows: Value = serde_json::from_str(&text(&evidence(), Form::Json)).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 3);
    assert_eq!(rows[1]["probabilities_rest"], 1e-7);
    assert_eq!((&rows[1]["shift"], &rows[2]["shift"]), (&Value::Null, &Value::Null));
    assert_eq!((&rows[0]["right"], &rows[2]["right"]), (&Value::Bool(true), &Value::Null));
    let empty = Table { batch: evidence().batch.slice(0, 0), ..evidence() };
    assert_eq!(
        serde_json::from_str::<Value>(&text(&empty, Form::Json)).unwrap(),
        Value::Array(vec![])
    );
}

#[test]
fn people_see_aligned_columns_the_ends_of_long_tables_and_what_is_left_out() {
    let whole = evidence().human(10, 10, None);
    assert_eq!(whole.left_out, "");
    insta::assert_snapshot!(whole.text, @r#"
    example_id  label   probabilities_rest  probabilities_stress  shift  right
    a,1         rest                  0.25                  0.75    0.1  yes
    b "2"       stress            1.000e-7                  1.00      ·  no
    c           rest                  0.50                  0.50    inf  ·
    "#);
    let cut = evidence().human(2, 4, Some(44));
    assert_eq!(cut.left_out, "1 of 3 rows and 2 of 6 columns");
    insta::assert_snapshot!(cut.text, @r"
    example_id  label  probabilities_rest
    a,1         rest                 0.25
    …           …                       …
    c           rest                 0.50

    example_id  label  probabilities_stress
    a,1         rest                   0.75
    …           …                         …
    c           rest                   0.50
    ");
}

#[test]
fn points_become_columns_unless_the_table_says_them_already() {
    let point =
        [("fold", "1"), ("label", "rest")].map(|(axis, at)| (axis.to_owned(), at.to_owned()));
    let one = Table { batch: evidence().batch.slice(0, 1), ..evidence() }.at(&point).unwrap();
    assert_eq!(one.names()[..3], ["fold", "example_id", "label"]);
    let both = Table::stack(vec![one.clone(), one.clone()]).unwrap().unwrap();
    assert_eq!(both.rows(), 2);
    assert!(Table::stack(vec![one, evidence()]).unwrap().is_none());
}

#[test]
fn a_point_is_told_apart_from_a_column_of_its_name_that_says_something_else() {
    let point = |axis: &str, label: &str| [(axis.to_owned(), label.to_owned())];
    let table = evidence().at(&point("shift", "late")).unwrap();
    assert_eq!(table.names()[..2], ["axis_shift", "example_id"]);
    let said = Table { batch: evidence().batch.slice(0, 1), ..evidence() };
    assert_eq!(said.at(&point("label", "stress")).unwrap().names()[0], "axis_label");
}

/// Findings of one label of each axis a row, as an artifact has them.
fn points(axes: &[(&str, [&str; 2])]) -> Artifact {
    let columns = axes.iter().map(|(axis, labels)| {
        (*axis, Arc::new(StringArray::from(labels.to_vec())) as ArrayRef, false)
    });
    let names: Vec<&str> = axes.iter().map(|(axis, _)| *axis).collect();
    Artifact {
        kind: ArtifactKind::Findings,
        payload: Payload::Table(RecordBatch::try_from_iter_with_nullable(columns).unwrap()),
        metadata: BTreeMap::from([("axes".to_owned(), serde_json::to_string(&names).unwrap())]),
    }
}

#[test]
fn axes_whose_labels_are_numbers_are_numbers_in_every_form_and_names_stay_names() {
    let axes = [
        ("rate", ["0.0", "0.25"]),
        ("fold", ["0", "10"]),
        ("mixed", ["1", "0.5"]),
        ("subject", ["007", "012"]),
        ("rule", ["lr", "1"]),
    ];
    let artifact = points(&axes);
    let table = Table::from_artifact(&artifact).unwrap().unwrap();
    assert_eq!(
        text(&table, Form::Csv),
        "rate,fold,mixed,subject,rule\n0.0,0,1.0,007,lr\n0.25,10,0.5,012,1\n"
    );
    assert_eq!(
        text(&table, Form::Json),
        "[\n{\"rate\":0.0,\"fold\":0,\"mixed\":1.0,\"subject\":\"007\",\"rule\":\"lr\"},\n\
         {\"rate\":0.25,\"fold\":10,\"mixed\":0.5,\"subject\":\"012\",\"rule\":\"1\"}\n]\n"
    );
    let parquet = Table::typed(&artifact).unwrap().write(Form::Parquet).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(parquet)).unwrap();
    let types: Vec<DataType> =
        reader.schema().fields().iter().map(|field| field.data_type().clone()).collect();
    use DataType::{Float64, Int64, Utf8};
    assert_eq!(types, [Float64, Int64, Float64, Utf8, Utf8]);
    assert!(reader.schema().metadata().contains_key("axes"));
    // Columns of a file that are no axes stay as they are.
    let plain = Table::from_columns(vec![(
        "fold".to_owned(),
        Arc::new(StringArray::from(vec!["0"])) as ArrayRef,
    )]);
    assert_eq!(text(&plain.unwrap(), Form::Json), "[\n{\"fold\":\"0\"}\n]\n");
}

#[test]
fn metadata_of_a_file_are_read_without_any_column() {
    use std::io::{Seek as _, Write as _};
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&evidence().write(Form::Parquet).unwrap()).unwrap();
    file.rewind().unwrap();
    let first = Table::first_rows(file, 0, 0).unwrap().unwrap();
    assert_eq!((first.rows, first.names.len()), (3, evidence().names().len()));
    assert_eq!((first.table.rows(), first.table.names()), (0, Vec::new()));
}

#[test]
fn a_formula_is_a_text_in_a_spreadsheet() {
    let texts = ["=cmd()|calc", "+1+1", "-x", "@sum", "-0.5", "+2", "=", "a=b", "'=x", ""];
    let expected = ["'=cmd()|calc", "'+1+1", "'-x", "'@sum", "-0.5", "+2", "=", "a=b", "'=x", ""];
    assert_eq!(texts.map(|text| inert(text).into_owned()), expected);
}
