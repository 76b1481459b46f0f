use fuseline_engine::{InputsBuilder, Kind};
use serde_json::{Value, json};

use super::*;
use crate::testing::{cohort, message, services};

/// Runs the kind on a file of this text.
fn keep(options: Value, text: &str) -> Result<(Metadata, Vec<String>), StageError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("people.csv");
    std::fs::write(&path, text).unwrap();
    let mut all = json!({ "path": path, "id": { "column": 0 }, "columns": ["sex"] });
    for (name, value) in options.as_object().unwrap() {
        all[name] = value.clone();
    }
    let stage: CohortMetadata = serde_json::from_value(all).unwrap();
    let services = services();
    let kind = Kind::new::<CohortMetadata>();
    let digest = fuseline_artifact::Digest::hash(text);
    let row = |id: &str, group: &str| (id.to_owned(), group.to_owned(), 0);
    let inputs = InputsBuilder::new(&services, 1)
        .ports_of(kind.spec())
        .files(vec![(path, digest)])
        .artifact("cohort", vec![], cohort(&[row("a1", "a"), row("a2", "a"), row("b1", "b")]))?
        .build();
    let mut outputs = Outputs::default();
    StageKind::run(&stage, &inputs, &mut outputs)?;
    Ok((outputs.get("metadata")?, outputs.cautions().to_vec()))
}

fn texts(metadata: &Metadata) -> Vec<Option<&str>> {
    metadata.columns[0].1.iter().collect()
}

#[test]
fn a_table_of_groups_says_the_same_of_all_their_examples() {
    let text = "who,sex,age\nb,f,31\na,NA,40\nc,m,2\n";
    let options = json!({ "by": "group", "missing": ["..."], "columns": ["sex", "age"] });
    let (metadata, cautions) = keep(options, text).unwrap();
    assert_eq!(texts(&metadata), [None, None, Some("f")]);
    let ages: Vec<_> = metadata.columns[1].1.iter().collect();
    assert_eq!(ages, [Some("40"), Some("40"), Some("31")]);
    assert_eq!(cautions, [] as [String; 0]);
}

#[test]
fn examples_without_a_row_are_not_known_and_said() {
    let (metadata, cautions) = keep(json!({}), "id,sex\na1,f\nb1,m\n").unwrap();
    assert_eq!(texts(&metadata), [Some("f"), None, Some("m")]);
    assert_eq!(
        cautions,
        [
            "nothing is known of 1 of the 3 examples, since people.csv has no row of their examples: \
          a2"
        ]
    );
    let error = keep(json!({}), "id,sex\nA1,f\n").unwrap_err();
    assert!(message(&error).contains("upper and lower case"), "{}", message(&error));
    let error = keep(json!({ "columns": ["seks"] }), "id,sex\na1,f\n").unwrap_err();
    assert_eq!(error.option.as_deref(), Some("columns.0"));
    let error = keep(json!({}), "id,sex\na1,f\na1,m\n").unwrap_err();
    assert!(message(&error).contains("one row only"), "{}", message(&error));
}
