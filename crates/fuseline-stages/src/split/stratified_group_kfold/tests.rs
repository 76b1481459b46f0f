use fuseline_artifact::Folds;
use fuseline_stats::streams::Stream;
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

/// The folds of groups of these numbers of examples by class.
fn dealt(counts: &[Vec<u32>], folds: u32) -> Vec<i32> {
    let names: Vec<String> = (0..counts.len()).map(|group| format!("{group:03}")).collect();
    let groups = names.iter().map(String::as_str).zip(counts.iter().cloned()).collect();
    deal(groups, counts[0].len(), folds).into_values().collect()
}

#[test]
fn folds_that_are_alike_are_a_tie_to_the_last_bit() {
    // Each of these left a fold without an example:
    // https://github.com/scikit-learn/scikit-learn/issues/34828
    let four = [vec![2, 0, 1], vec![0, 1, 2], vec![1, 2, 0], vec![0, 0, 1]];
    let mut folds = dealt(&four, 4);
    folds.sort_unstable();
    assert_eq!(folds, [0, 1, 2, 3]);
}

#[test]
fn no_fold_is_empty_where_there_are_as_many_groups() {
    let mut stream = Stream::new(1, "random groups");
    for _ in 0..3000 {
        let classes = 2 + stream.below(4);
        let groups = 2 + stream.below(14);
        let folds = 2 + stream.below(groups - 1) as u32;
        let most = 1 + stream.below(8);
        let group = |stream: &mut Stream| {
            let mut counts: Vec<u32> =
                (0..classes).map(|_| stream.below(most + 1) as u32).collect();
            counts[0] += u32::from(counts.iter().sum::<u32>() == 0);
            counts
        };
        let counts: Vec<Vec<u32>> = (0..groups).map(|_| group(&mut stream)).collect();
        let found = dealt(&counts, folds);
        for fold in 0..folds.cast_signed() {
            assert!(found.contains(&fold), "fold {fold} of {folds} is empty: {counts:?}");
        }
    }
}
