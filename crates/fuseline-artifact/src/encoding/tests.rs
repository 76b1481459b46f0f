use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int32Array, StringArray};
use arrow::datatypes::Field;

use super::*;
use crate::kind::ArtifactKind;
use crate::sequence::Held;
use crate::{Artifact, Features, Typed, samples};

fn features(values: Vec<Option<f64>>) -> Features {
    Features {
        example_id: (0..values.len()).map(|row| format!("{row:07}")).collect(),
        columns: vec![("x".to_owned(), Float64Array::from(values))],
    }
}

fn bytes(features: Features) -> Vec<u8> {
    features.into_artifact().unwrap().encode().unwrap()
}

#[test]
fn how_a_table_was_put_together_does_not_show_in_its_bytes() {
    let whole = features((0..1000).map(|row| (row % 7 > 0).then_some(f64::from(row))).collect());
    let expected = bytes(whole.clone());
    // A slice of a longer table.
    let mut longer =
        features((0..1500).map(|row| (row % 7 > 0).then_some(f64::from(row))).collect());
    longer.example_id = longer.example_id.array().slice(0, 1000).into();
    longer.columns[0].1 = longer.columns[0].1.slice(0, 1000);
    assert_eq!(bytes(longer), expected);
    // Other values hidden under the nulls.
    let nulls = whole.columns[0].1.nulls().cloned();
    let hidden: Vec<f64> =
        (0..1000).map(|row| if row % 7 > 0 { f64::from(row) } else { 1e9 }).collect();
    let mut other = whole.clone();
    other.columns[0].1 = Float64Array::new(hidden.into(), nulls);
    assert_eq!(bytes(other), expected);
    // Fields that say nullable, and metadata on the schema.
    let mut artifact = whole.into_artifact().unwrap();
    let crate::Payload::Table(table) = &artifact.payload else { panic!() };
    let fields: Vec<_> = table
        .schema_ref()
        .fields()
        .iter()
        .map(|field| Field::new(field.name(), field.data_type().clone(), true))
        .collect();
    let schema = Schema::new(fields).with_metadata([("pandas".to_owned(), "x".to_owned())]);
    let table = RecordBatch::try_new(Arc::new(schema), table.columns().to_vec()).unwrap();
    artifact.payload = crate::Payload::Table(table);
    assert_eq!(artifact.encode().unwrap(), expected);
}

#[test]
fn every_nan_is_the_same_nan() {
    let other = f64::from_bits(f64::NAN.to_bits() | 1 << 63 | 5);
    assert!(other.is_nan());
    assert_eq!(
        bytes(features(vec![Some(other), None])),
        bytes(features(vec![Some(f64::NAN), None]))
    );
    assert_ne!(bytes(features(vec![Some(-0.0)])), bytes(features(vec![Some(0.0)])));
}

#[test]
fn a_table_of_several_row_groups_comes_back_whole() {
    let rows = ROW_GROUP_ROWS * 2 + 17;
    let table = features((0..rows).map(|row| Some(row as f64)).collect());
    let read = Artifact::decode(ArtifactKind::Features, None, bytes(table.clone())).unwrap();
    assert_eq!(Features::from_artifact(&read).unwrap(), table);
}

#[test]
fn every_table_is_the_same_in_one_piece_and_column_by_column() {
    let rows = ROW_GROUP_ROWS * 2 + 17;
    let sparse = (0..rows).map(|row| (row % 3 > 0).then_some(row as f64));
    let large = features(sparse.collect()).into_artifact().unwrap();
    for artifact in samples::all().into_iter().chain([large]) {
        let Some(schema) = artifact.kind.schema() else { continue };
        let bytes = artifact.encode().unwrap();
        let read = read(schema, None, &mut Held::new(bytes.clone())).unwrap();
        assert_eq!(read, decode(schema, bytes.into()).unwrap(), "{}", artifact.kind);
    }
}

#[test]
fn named_columns_are_read_alone() {
    let features = samples::features().into_artifact().unwrap();
    let (schema, bytes) = (features.kind.schema().unwrap(), features.encode().unwrap());
    let names = |columns: &[&str]| {
        let (table, _) = read(schema, Some(columns), &mut Held::new(bytes.clone())).unwrap();
        assert_eq!(table.num_rows(), 3);
        let fields = table.schema_ref().fields().iter();
        fields.map(|field| field.name().clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(&["energy"]), ["energy"]);
    // In the order of the table, and a dot in a name is nothing special.
    assert_eq!(names(&["pitch.mean", "example_id"]), ["example_id", "pitch.mean"]);
    assert_eq!(names(&["pitch"]), [""; 0]);
}

#[test]
fn a_file_says_its_kind_its_version_and_a_constant_writer() {
    let bytes = Bytes::from(samples::quality().into_artifact().unwrap().encode().unwrap());
    let file = ArrowReaderMetadata::load(&bytes, ArrowReaderOptions::new()).unwrap();
    let metadata = file.metadata().file_metadata();
    assert_eq!(metadata.created_by(), Some("fuseline"));
    let entries: Vec<_> = metadata
        .key_value_metadata()
        .unwrap()
        .iter()
        .map(|entry| (entry.key.as_str(), entry.value.as_deref().unwrap()))
        .filter(|(key, _)| *key != "ARROW:schema")
        .collect();
    assert_eq!(
        entries,
        [
            ("kind", "quality"),
            ("version", "1"),
            ("control", "native"),
            ("evidence_derived", "true"),
            ("modality", "audio"),
            ("source", "margin"),
        ]
    );
}

#[test]
fn a_parquet_file_of_someone_else_is_refused() {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("example_id", Arc::new(StringArray::from(vec!["a"]))),
        ("fold", Arc::new(Int32Array::from(vec![0]))),
    ];
    let table = RecordBatch::try_from_iter(columns).unwrap();
    let write = |entries: &[(&str, &str)]| {
        let entries = entries
            .iter()
            .map(|(key, value)| KeyValue::new((*key).to_owned(), (*value).to_owned()));
        let properties =
            WriterProperties::builder().set_key_value_metadata(Some(entries.collect())).build();
        let mut writer =
            ArrowWriter::try_new(Vec::new(), table.schema(), Some(properties)).unwrap();
        writer.write(&table).unwrap();
        writer.into_inner().unwrap()
    };
    let read = |entries| Artifact::decode(ArtifactKind::Folds, None, write(entries));
    let refused = |entries| read(entries).unwrap_err().to_string();
    assert_eq!(refused(&[]), "folds are expected and a Parquet file of no kind were given");
    assert_eq!(
        refused(&[("kind", "folds"), ("version", "2")]),
        "these folds are of version 2, and this fuseline reads version 1"
    );
    assert_eq!(
        refused(&[("kind", "folds"), ("version", "1"), ("mood", "good")]),
        "folds cannot have metadata mood"
    );
    assert!(read(&[("kind", "folds"), ("version", "1")]).is_ok());
}
