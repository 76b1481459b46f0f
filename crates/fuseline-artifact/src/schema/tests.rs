use std::path::Path;

use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray};

use super::*;

fn table(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    // Built by hand: `try_from_iter` makes a column nullable only when it holds nulls.
    let fields: Vec<_> = columns
        .iter()
        .map(|(name, array)| Field::new(*name, array.data_type().clone(), true))
        .collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

fn ids() -> ArrayRef {
    Arc::new(StringArray::from(vec!["a", "b"]))
}

fn numbers() -> ArrayRef {
    Arc::new(Float64Array::from(vec![0.0, 1.0]))
}

fn quality_metadata() -> BTreeMap<String, String> {
    [
        ("modality", "audio"),
        ("source", "margin"),
        ("control", "native"),
        ("evidence_derived", "true"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

fn refusal(columns: Vec<(&str, ArrayRef)>, metadata: &BTreeMap<String, String>) -> String {
    let schema = ArtifactKind::Quality.schema().unwrap();
    schema.check(&table(columns), metadata).unwrap_err().to_string()
}

#[test]
fn names_types_order_and_nulls_are_enforced() {
    let metadata = quality_metadata();
    let schema = ArtifactKind::Quality.schema().unwrap();
    let checked = schema
        .check(&table(vec![("example_id", ids()), ("quality", numbers())]), &metadata)
        .unwrap();
    assert!(checked.schema_ref().fields().iter().all(|field| !field.is_nullable()));

    let refused = |columns| refusal(columns, &metadata);
    assert_eq!(refused(vec![("example_id", ids())]), "quality have no column quality");
    assert_eq!(refused(vec![("quality", numbers())]), "quality have no column example_id");
    assert_eq!(
        refused(vec![("quality", numbers()), ("example_id", ids())]),
        "quality cannot have column quality at place 0"
    );
    assert_eq!(
        refused(vec![("example_id", ids()), ("quality", numbers()), ("more", numbers())]),
        "quality cannot have column more at place 2"
    );
    assert_eq!(
        refused(vec![("example_id", ids()), ("quality", numbers()), ("quality", numbers())]),
        "quality have two columns quality"
    );
    let integers: ArrayRef = Arc::new(Int64Array::from(vec![0, 1]));
    assert_eq!(
        refused(vec![("example_id", ids()), ("quality", integers)]),
        "column quality of quality is Int64, not float64"
    );
    let sparse: ArrayRef = Arc::new(Float64Array::from(vec![Some(0.0), None]));
    assert_eq!(
        refused(vec![("example_id", ids()), ("quality", sparse)]),
        "column quality of quality has 1 missing values and may have none"
    );
}

#[test]
fn metadata_is_enforced_key_by_key() {
    let refused = |change: &dyn Fn(&mut BTreeMap<String, String>)| {
        let mut metadata = quality_metadata();
        change(&mut metadata);
        refusal(vec![("example_id", ids()), ("quality", numbers())], &metadata)
    };
    assert_eq!(
        refused(&|metadata| drop(metadata.remove("source"))),
        "quality have no metadata source"
    );
    assert_eq!(
        refused(&|metadata| drop(metadata.insert("mood".to_owned(), String::new()))),
        "quality cannot have metadata mood"
    );
    assert_eq!(
        refused(&|metadata| drop(metadata.insert("control".to_owned(), "maybe".to_owned()))),
        "metadata control of quality is \"maybe\", where one of the words of its schema is expected"
    );
    for (of, good, bad) in [
        (MetadataType::Names, "[\"a\"]", "a"),
        (MetadataType::Digest, &Digest::hash(b"").to_string(), "af13"),
        (MetadataType::Count, "12", "-1"),
        (MetadataType::Boolean, "false", "no"),
    ] {
        assert!(of.holds(good, 2) && !of.holds(bad, 2), "{of:?}");
    }
    let per_row = MetadataType::CountPerRow;
    assert!(per_row.holds("[0,3]", 2) && !per_row.holds("[0,3]", 1) && !per_row.holds("[-1]", 1));
}

#[test]
fn columns_with_open_names_stand_where_the_schema_puts_them() {
    let schema = ArtifactKind::Features.schema().unwrap();
    let check = |columns| schema.check(&table(columns), &BTreeMap::new());
    assert!(check(vec![("example_id", ids())]).is_ok());
    assert!(check(vec![("example_id", ids()), ("any", numbers()), ("", numbers())]).is_ok());
    assert!(check(vec![("any", numbers()), ("example_id", ids())]).is_err());
    assert!(check(vec![("example_id", ids()), ("text", ids())]).is_err());
}

#[test]
fn the_schema_files_say_what_is_enforced() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/arrow");
    let mut expected = BTreeSet::new();
    for schema in ArtifactKind::ALL.into_iter().filter_map(ArtifactKind::schema) {
        let name = format!("{}.json", schema.kind);
        let text = format!("{}\n", serde_json::to_string_pretty(&schema.to_json()).unwrap());
        let path = folder.join(&name);
        if std::env::var_os("FUSELINE_UPDATE_SCHEMAS").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, &text).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(found, text, "{name} is stale: run this test with FUSELINE_UPDATE_SCHEMAS=1");
        expected.insert(name);
    }
    let files = std::fs::read_dir(&folder).unwrap();
    let found: BTreeSet<_> =
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(found, expected);
}
