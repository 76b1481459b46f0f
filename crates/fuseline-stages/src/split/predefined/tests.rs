use std::path::PathBuf;

use fuseline_artifact::Digest;
use serde_json::{Value, json};

use super::*;
use crate::testing::{cohort, message, run};

const TABLE: &str = "id,part,k\ne3,test,1\ne0,val,0\ne1,val,0\ne2,test,1\n";

fn split(more: Value, text: &str) -> Result<Folds, StageError> {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("parts.csv");
    std::fs::write(&path, text).unwrap();
    let mut options = json!({ "path": path, "id": { "column": "id" }, "column": "part" });
    for (name, value) in more.as_object().unwrap() {
        options[name] = value.clone();
    }
    let rows: Vec<_> =
        (0..4).map(|row| (format!("e{row}"), format!("g{}", row / 2), row % 2)).collect();
    let digest = Digest::of(text.as_bytes());
    run::<Predefined>(options, 1, &[], |inputs| {
        inputs.files(vec![(path, digest)]).artifact("cohort", vec![], cohort(&rows))
    })?
    .get("folds")
}

#[test]
fn texts_are_put_in_folds_and_numbers_are_folds() {
    let folds = json!({ "folds": [["val"], ["test"]] });
    assert_eq!(split(folds, TABLE).unwrap().fold, [0, 0, 1, 1]);
    assert_eq!(split(json!({ "column": "k" }), TABLE).unwrap().fold, [0, 0, 1, 1]);
}

#[test]
fn what_is_in_no_fold_and_a_group_in_two_are_refused() {
    let refused = |more, text: &str| message(&split(more, text).unwrap_err());
    assert_eq!(
        refused(json!({ "folds": [["val"], ["tests"]] }), TABLE),
        "\"test\" in line 5 of parts.csv is in no fold; did you mean tests"
    );
    assert_eq!(
        refused(json!({ "column": "k" }), "id,k\ne0,0\n"),
        "example e1 of the cohort is not in parts.csv; it lacks 3 of the 4 examples; its own are such as e0"
    );
    assert_eq!(
        refused(json!({}), TABLE),
        "\"val\" in line 3 of parts.csv is in no fold; folds are numbers from 0, or folds says which text is which"
    );
    let torn = TABLE.replace("e1,val,0", "e1,test,1");
    assert!(
        refused(json!({ "column": "k" }), &torn)
            .starts_with("group g0 is on both sides of the split")
    );
}
