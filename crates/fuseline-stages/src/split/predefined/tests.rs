use std::path::PathBuf;

use fuseline_artifact::{Digest, Folds};
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
    let digest = Digest::hash(text.as_bytes());
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
        "example e1 of the cohort is not in parts.csv; it lacks 3 of the 4 examples; its own are \
         such as e0"
    );
    assert_eq!(
        refused(json!({}), TABLE),
        "\"val\" in line 3 of parts.csv is in no fold; folds are numbers from 0, or folds says \
         which text is which; -1, or a text of never_tested, is tested in no fold"
    );
    let torn = TABLE.replace("e1,val,0", "e1,test,1");
    assert!(
        refused(json!({ "column": "k" }), &torn)
            .starts_with("group g0 is on both sides of the split")
    );
}

#[test]
fn folds_may_be_numbered_from_1_and_written_as_floats() {
    let text = "id,k\ne0,1\ne1,1\ne2,2.0\ne3,2.0\n";
    assert_eq!(split(json!({ "column": "k" }), text).unwrap().fold, [1, 1, 2, 2]);
    let from_1 = json!({ "column": "k", "first": 1 });
    assert_eq!(split(from_1.clone(), text).unwrap().fold, [0, 0, 1, 1]);
    let error = split(from_1, &text.replace("e0,1", "e0,0")).unwrap_err();
    assert_eq!(error.message, "\"0\" in line 2 of parts.csv is in no fold");
    assert!(error.hint.unwrap().starts_with("folds are numbers from 1, "));
}

#[test]
fn examples_that_are_never_tested_are_training_examples() {
    let official = json!({ "folds": [["test"]], "never_tested": ["val"] });
    assert_eq!(split(official, TABLE).unwrap().fold, [-1, -1, 0, 0]);
    let numbers = TABLE.replace(",val,0", ",val,-1");
    assert_eq!(split(json!({ "column": "k" }), &numbers).unwrap().fold, [-1, -1, 1, 1]);
    let nobody = TABLE.replace(",val,0", ",val,-1").replace(",test,1", ",test,-1");
    assert_eq!(
        split(json!({ "column": "k" }), &nobody).unwrap_err().message,
        "no example of the cohort is tested in any fold by parts.csv"
    );
    // A group that is trained on and tested.
    let torn = TABLE.replace("e0,val,0", "e0,val,-1");
    let error = split(json!({ "column": "k" }), &torn).unwrap_err();
    assert!(error.message.starts_with("group g0 is on both sides of the split"), "{error}");
}

#[test]
fn the_folds_that_there_are_are_named_where_one_is_not() {
    let hint = |fold: &[i32]| crate::split::some_tested(7, fold).unwrap_err().hint.unwrap();
    assert_eq!(
        hint(&[1, 2, -1, 3]),
        "the folds are 1 to 3: let the axis be range(1, 4), or say first: 1 where the folds are \
         read"
    );
    assert_eq!(hint(&[1, 0, 1, 2]), "the folds are 0 to 2");
    assert_eq!(hint(&[1, 3, 6]), "the folds are 1, 3, 6");
    assert_eq!(hint(&[4, -1]), "the only fold is 4");
    assert!(crate::split::some_tested(-1, &[-1, 0]).is_err());
}
