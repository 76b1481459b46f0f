use fuseline_artifact::Folds;
use serde_json::json;

use super::*;
use crate::testing::{cohort, message, run};

fn split(groups: u32) -> Result<Folds, StageError> {
    let rows: Vec<_> = ["b", "a", "b", "a", "C", "C"]
        .iter()
        .enumerate()
        .map(|(row, group)| {
            (format!("{row}"), (*group).to_owned(), u32::from(row >= 2 && row != 5))
        })
        .collect();
    run::<LeaveOneGroupOut>(json!({ "groups": groups }), 1, &[], |inputs| {
        inputs.artifact("cohort", vec![], cohort(&rows))
    })?
    .get("folds")
}

#[test]
fn each_group_is_the_fold_of_its_rank() {
    assert_eq!(split(3).unwrap().fold, [2, 1, 2, 1, 0, 0]);
}

#[test]
fn another_number_of_groups_is_refused_with_the_right_one() {
    assert_eq!(
        message(&split(4).unwrap_err()),
        "the cohort has 3 groups, not 4; write groups: 3, and an axis of folds that is range(3)"
    );
}
