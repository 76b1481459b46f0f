use std::path::PathBuf;

use fuseline_artifact::{Digest, Evidence, Folds, Texts};
use serde_json::{Value, json};

use super::*;
use crate::testing::{cohort, message, run};

/// Examples with training and with test evidence, and cautions.
fn with_files(
    more: Value,
    text: &str,
    files: Vec<(PathBuf, Digest)>,
) -> Result<(Texts, Texts, Vec<String>), StageError> {
    let outputs = outputs(more, text, files)?;
    let [train, test]: [Evidence; 2] = [outputs.get("train")?, outputs.get("test")?];
    Ok((train.example_id, test.example_id, outputs.cautions().to_vec()))
}

fn expert(more: Value, text: &str) -> Result<[Evidence; 2], StageError> {
    let outputs = outputs(more, text, Vec::new())?;
    Ok([outputs.get("train")?, outputs.get("test")?])
}

/// Six examples of three groups, two of them tested in fold 0.
fn outputs(
    more: Value,
    text: &str,
    mut files: Vec<(PathBuf, Digest)>,
) -> Result<Outputs, StageError> {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("evidence.csv");
    std::fs::write(&path, text).unwrap();
    let mut options = json!({
        "path": path, "id": { "column": "id" }, "probabilities": ["rest", "stress"], "test_fold": 0,
    });
    for (name, value) in more.as_object().unwrap() {
        options[name] = value.clone();
    }
    let rows: Vec<_> =
        (0..6).map(|row| (format!("e{row}"), format!("g{}", row / 2), row % 2)).collect();
    let cohort = cohort(&rows);
    let folds = Folds { example_id: cohort.example_id.clone(), fold: vec![0, 0, 1, 1, 1, 1] };
    files.push((path, Digest::of(text.as_bytes())));
    run::<PrecomputedExpert>(options, 1, &[("modality", "audio")], |inputs| {
        inputs.files(files).artifact("cohort", vec![], cohort)?.artifact("folds", vec![], folds)
    })
}

#[test]
fn rows_are_put_in_the_order_of_the_cohort_and_on_their_side_of_the_split() {
    let text = "id,stress,rest\ne5,0.25,0.75\ne0,1,0\nelsewhere,0.5,0.5\ne3,0.5,0.5\n";
    let [train, test] = expert(json!({}), text).unwrap();
    assert_eq!(train.modality, "audio");
    assert_eq!(
        (train.example_id, train.probabilities),
        (Texts::from_iter(["e3", "e5"]), vec![0.5, 0.5, 0.75, 0.25].into())
    );
    assert_eq!(
        (test.example_id, test.probabilities),
        (Texts::from_iter(["e0"]), vec![0.0, 1.0].into())
    );
}

#[test]
fn with_a_fold_column_only_the_rows_of_the_tested_fold_count() {
    let text = "id,rest,stress,fold\ne0,0.1,0.9,0\ne2,0.2,0.8,0\ne0,0.3,0.7,1\ne2,0.4,0.6,1\n";
    let [train, test] = expert(json!({ "fold": "fold" }), text).unwrap();
    assert_eq!(
        (train.probabilities, test.probabilities),
        (vec![0.2, 0.8].into(), vec![0.1, 0.9].into())
    );
    assert_eq!(
        message(&expert(json!({}), text).unwrap_err()),
        "lines 2 and 4 of evidence.csv are both e0; \
         where each fold has evidence of its own, say which column is the fold"
    );
}

#[test]
fn training_rows_that_the_model_saw_get_no_evidence_and_test_rows_stop_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let list = |ids: &str| {
        let path = folder.path().join("seen.txt");
        std::fs::write(&path, ids).unwrap();
        (json!({ "fitted_on": { "ids": path } }), vec![(path, Digest::of(ids.as_bytes()))])
    };
    let text = "id,rest,stress\ne0,0.5,0.5\ne2,0.5,0.5\ne4,0.5,0.5\n";
    let (options, files) = list("far\ne4\n");
    let (train, test, cautions) = with_files(options, text, files).unwrap();
    assert_eq!((train, test), (Texts::from_iter(["e2"]), Texts::from_iter(["e0"])));
    assert_eq!(
        cautions,
        [
            "1 of 4 training examples get no evidence, since seen.txt has them or their groups: e4",
            "evidence.csv has no evidence for 3 of the 6 examples, which count as unavailable: e1, e3, e5",
        ]
    );
    // Whoever fits nothing may still test.
    let (options, files) = list("e2\ne3\ne4\ne5\n");
    let (train, test, _) = with_files(options, text, files).unwrap();
    assert_eq!((train.len(), test.len()), (0, 1));
    let (options, files) = list("e1\n");
    let error = with_files(options, text, files).unwrap_err();
    assert_eq!(error.message, "seen.txt has 1 of the 2 test examples of fold 0: e1");
}

#[test]
fn what_are_no_probabilities_is_refused() {
    for row in ["e0,0.5,0.6", "e0,1.5,-0.5", "e0,,1"] {
        let error = expert(json!({}), &format!("id,rest,stress\n{row}\n")).unwrap_err();
        assert!(
            error.message.contains("in line 2 of evidence.csv are no probabilities"),
            "{error}"
        );
    }
    let error =
        expert(json!({ "probabilities": ["rest", "stress", "rest"] }), "id,rest,stress\ne0,1,0\n");
    assert_eq!(
        error.unwrap_err().message,
        "3 columns of probabilities for 2 classes: rest, stress"
    );
    let error = expert(json!({}), "id,rest,stress\ne0,1,0\n").unwrap_err();
    assert_eq!(
        error.message,
        "evidence.csv has evidence for none of the 4 train examples of fold 0"
    );
}
