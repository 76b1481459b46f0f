use fuseline_artifact::Folds;
use serde_json::{Value, json};

use super::*;
use crate::testing::{cohort, message, run};

fn folds(options: Value, groups: &[&str], seed: u64) -> Result<Folds, StageError> {
    let rows: Vec<_> = groups
        .iter()
        .enumerate()
        .map(|(row, group)| (format!("{row}"), (*group).to_owned(), (row % 2) as u32))
        .collect();
    let outputs = run::<GroupKFold>(options, seed, &[], |inputs| {
        inputs.artifact("cohort", vec![], cohort(&rows))
    })?;
    outputs.get("folds")
}

#[test]
fn the_group_of_rank_r_in_code_point_order_is_tested_in_fold_r_mod_k() {
    let groups = ["b", "é", "a", "b", "Z", "c"];
    let folds = folds(json!({ "folds": 2 }), &groups, 1).unwrap();
    // Z, a, b, c, é have ranks 0 to 4.
    assert_eq!(folds.fold, [0, 0, 1, 0, 0, 1]);
}

#[test]
fn a_shuffled_split_depends_on_the_seed_and_keeps_groups_whole_and_folds_even() {
    let groups: Vec<String> = (0..40).map(|row| format!("g{:02}", row / 2)).collect();
    let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
    let options = json!({ "folds": 4, "shuffle": true });
    let one = folds(options.clone(), &groups, 1).unwrap().fold;
    assert_eq!(one, folds(options.clone(), &groups, 1).unwrap().fold);
    assert_ne!(one, folds(options, &groups, 2).unwrap().fold);
    assert!(one.chunks(2).all(|pair| pair[0] == pair[1]));
    for fold in 0..4 {
        assert_eq!(one.iter().filter(|of| **of == fold).count(), 10);
    }
}

#[test]
fn more_folds_than_groups_are_refused() {
    let error = folds(json!({ "folds": 3 }), &["a", "b", "a"], 1).unwrap_err();
    assert_eq!(
        message(&error),
        "3 folds of 2 groups: fold 2 would be empty, since no group is ever split; at most 2 \
         folds are possible"
    );
    assert_eq!(error.option.as_deref(), Some("folds"));
}

#[test]
fn a_fold_of_one_class_is_refused_unless_that_is_allowed() {
    let split = |options: Value| {
        let rows: Vec<_> = [("a", 0), ("b", 1), ("c", 0), ("d", 1), ("d", 0)]
            .iter()
            .enumerate()
            .map(|(row, (group, label))| (format!("{row}"), (*group).to_owned(), *label))
            .collect();
        run::<GroupKFold>(options, 1, &[], |inputs| {
            inputs.artifact("cohort", vec![], cohort(&rows))
        })
    };
    let error = split(json!({ "folds": 4 })).map(drop).unwrap_err();
    assert_eq!(
        error.message,
        "fold 0 tests 1 example, of class rest, and 2 more folds test one class alone"
    );
    let outputs = split(json!({ "folds": 4, "one_class": "allow" })).unwrap();
    assert_eq!(outputs.get::<Folds>("folds").unwrap().fold, [0, 1, 2, 3, 3]);
    assert!(outputs.cautions()[0].starts_with(&error.message), "{:?}", outputs.cautions());
}

#[test]
fn a_fold_that_lacks_a_class_is_a_caution_that_says_why() {
    let rows: Vec<_> = [("a", 0), ("a", 1), ("b", 2), ("b", 0), ("b", 1), ("c", 2), ("c", 1)]
        .iter()
        .enumerate()
        .map(|(row, (group, label))| (format!("{row}"), (*group).to_owned(), *label))
        .collect();
    let mut cohort = cohort(&rows);
    cohort.classes.push("calm".to_owned());
    let outputs = run::<GroupKFold>(json!({ "folds": 3 }), 1, &[], |inputs| {
        inputs.artifact("cohort", vec![], cohort)
    });
    assert_eq!(
        outputs.unwrap().cautions(),
        ["fold 0 tests no example of class calm, which 2 of 3 groups have, in 3 folds; so is 1 \
            more pair of fold and class"]
    );
}
