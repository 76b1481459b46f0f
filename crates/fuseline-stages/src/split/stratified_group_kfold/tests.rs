use serde::Deserialize;
use serde_json::json;

use super::*;
use crate::testing::{cohort, message, run};

#[derive(Deserialize)]
struct Case {
    folds: u32,
    group: Vec<String>,
    label: Vec<u32>,
    fold: Vec<i32>,
}

fn split(
    options: serde_json::Value,
    seed: u64,
    group: &[String],
    label: &[u32],
) -> Result<Folds, StageError> {
    let rows: Vec<_> = group
        .iter()
        .zip(label)
        .enumerate()
        .map(|(row, (group, label))| (format!("{row:04}"), group.clone(), *label))
        .collect();
    run::<StratifiedGroupKFold>(options, seed, &[], |inputs| {
        inputs.artifact("cohort", vec![], cohort(&rows))
    })?
    .get("folds")
}

#[test]
fn folds_are_those_of_scikit_learn() {
    let cases: Vec<Case> =
        serde_json::from_str(include_str!("../../../tests/fixtures/stratified_folds.json"))
            .unwrap();
    assert_eq!(cases.len(), 6);
    for Case { folds, group, label, fold } in cases {
        let found = split(json!({ "folds": folds }), 1, &group, &label).unwrap();
        assert_eq!(found.fold, fold, "{folds} folds of {} rows", group.len());
    }
}

#[test]
fn repeats_are_other_splits_that_keep_groups_whole() {
    let group: Vec<String> = (0..60).map(|row| format!("g{:02}", row / 3)).collect();
    let label: Vec<u32> = (0..60).map(|row| u32::from(row % 4 == 0)).collect();
    let repeat = |repeat| {
        let options = json!({ "folds": 4, "shuffle": true, "repeat": repeat });
        split(options, 9, &group, &label).unwrap().fold
    };
    assert_eq!(repeat(1), repeat(1));
    assert_ne!(repeat(0), repeat(1));
    assert_ne!(repeat(1), repeat(2));
    assert!(repeat(2).chunks(3).all(|rows| rows[0] == rows[1] && rows[1] == rows[2]));
}

#[test]
fn a_class_that_one_group_has_alone_is_refused() {
    let group: Vec<String> = ["a", "a", "b", "b", "c", "c"].map(str::to_owned).to_vec();
    let error = split(json!({ "folds": 3 }), 1, &group, &[1, 1, 0, 0, 0, 0]).unwrap_err();
    assert!(
        message(&error).starts_with("all examples of class stress are tested in fold "),
        "{error}"
    );
}
