use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use arrow::array::Float64Array;
use fuseline_artifact::{Cohort, Digest, Evidence, Features, Folds, Texts};
use fuseline_tests::{Need, skip};
use serde_json::{Value, json};

use super::*;
use crate::testing::{self, message, run};

/// Eight groups of three examples; one feature that tells the classes apart but for noise, one
/// constant.
fn small() -> (Features, Cohort, Folds) {
    let rows: Vec<_> = (0..24)
        .map(|row| (format!("e{row:02}"), format!("g{}", row / 3), u32::from(row % 3 == 0)))
        .collect();
    let cohort = testing::cohort(&rows);
    let x: Vec<_> =
        (0..24).map(|row| f64::from(row % 3 == 0) + f64::from(row * 7 % 5) / 4.0).collect();
    let features = Features {
        example_id: cohort.example_id.clone(),
        columns: vec![
            ("x".to_owned(), Float64Array::from(x)),
            ("constant".to_owned(), Float64Array::from(vec![3.0; 24])),
        ],
    };
    let fold = (0..24).map(|row| row / 3 % 4).collect();
    let folds = Folds { example_id: cohort.example_id.clone(), fold };
    (features, cohort, folds)
}

fn expert(
    options: Value,
    (features, cohort, folds): (Features, Cohort, Folds),
) -> Result<[Evidence; 2], StageError> {
    let outputs = run::<LogisticExpert>(options, 1, &[("modality", "audio")], |inputs| {
        inputs.artifact("features", vec![], features)?.artifact("cohort", vec![], cohort)?.artifact(
            "folds",
            vec![],
            folds,
        )
    })?;
    Ok([outputs.get("train")?, outputs.get("test")?])
}

fn refused(options: Value, artifacts: (Features, Cohort, Folds)) -> String {
    message(&expert(options, artifacts).unwrap_err())
}

fn options() -> Value {
    json!({ "test_fold": 1, "inner_folds": 3 })
}

#[test]
fn the_test_fold_is_tested_and_the_rest_gets_out_of_fold_evidence() {
    let [train, test] = expert(options(), small()).unwrap();
    assert_eq!(test.example_id, Texts::from_iter(["e03", "e04", "e05", "e15", "e16", "e17"]));
    assert_eq!(train.example_id.len(), 18);
    assert_eq!((train.modality.as_str(), train.classes.len()), ("audio", 2));
    for pair in train.probabilities.chunks(2).chain(test.probabilities.chunks(2)) {
        assert!((pair[0] + pair[1] - 1.0).abs() < 1e-12 && pair[0] > 0.0);
    }
}

#[test]
fn evidence_of_a_row_does_not_depend_on_the_features_or_labels_of_its_own_group() {
    let [train, _] = expert(options(), small()).unwrap();
    let (mut features, mut cohort, folds) = small();
    // The first group: other labels, and a wild feature in its second row.
    cohort.label[0] = 0;
    cohort.label[1] = 1;
    let mut x: Vec<f64> = features.columns[0].1.values().to_vec();
    x[1] = 50.0;
    features.columns[0].1 = Float64Array::from(x);
    let [changed, _] = expert(options(), (features, cohort, folds)).unwrap();
    assert_eq!(
        train.probabilities[..2],
        changed.probabilities[..2],
        "its own group does not count"
    );
    assert_ne!(
        train.probabilities[12..],
        changed.probabilities[12..],
        "but it does for the others"
    );
}

#[test]
fn test_rows_change_nothing_that_is_fitted() {
    let [train, _] = expert(options(), small()).unwrap();
    let (mut features, mut cohort, folds) = small();
    let mut x: Vec<f64> = features.columns[0].1.values().to_vec();
    for row in [3, 4, 5, 15, 16, 17] {
        x[row] = -1e6;
        cohort.label[row] = 1;
    }
    features.columns[0].1 = Float64Array::from(x);
    let [changed, _] = expert(options(), (features, cohort, folds)).unwrap();
    assert_eq!(train, changed);
}

#[test]
fn examples_that_the_features_lack_get_no_evidence_and_the_inner_folds_stay() {
    let [train, test] = expert(options(), small()).unwrap();
    let (features, cohort, folds) = small();
    let keep: Vec<usize> = (0..24).filter(|row| ![3, 23].contains(row)).collect();
    let features = Features {
        example_id: Texts::from_iter(keep.iter().map(|&row| &cohort.example_id[row])),
        columns: features
            .columns
            .iter()
            .map(|(name, column)| {
                (name.clone(), keep.iter().map(|&row| Some(column.value(row))).collect())
            })
            .collect(),
    };
    let [fewer_train, fewer_test] = expert(options(), (features, cohort, folds)).unwrap();
    assert_eq!(fewer_test.example_id, test.example_id.take(1..test.example_id.len()));
    assert_eq!(fewer_train.example_id, train.example_id.take(0..17));
    // Group 7 has rank 5 of the training groups: inner fold 2, whose rows never met e23 while they
    // were asked about.
    let inner_2 = |evidence: &Evidence| evidence.probabilities[12..18].to_vec();
    assert_eq!(inner_2(&train), inner_2(&fewer_train));
}

#[test]
fn excluded_columns_are_not_seen() {
    let (mut features, cohort, folds) = small();
    features.columns[1].1 = Float64Array::from((0..24).map(f64::from).collect::<Vec<_>>());
    let exclude = json!({ "test_fold": 1, "inner_folds": 3, "exclude": ["constant"] });
    let [_, test] = expert(exclude, (features, cohort, folds)).unwrap();
    let [_, plain] = expert(options(), small()).unwrap();
    for (excluded, constant) in test.probabilities.iter().zip(&plain.probabilities) {
        assert!((excluded - constant).abs() < 1e-9, "a constant column adds nothing");
    }
}

#[test]
fn the_modality_is_named_by_the_option_before_the_axis() {
    let named = json!({ "test_fold": 1, "inner_folds": 3, "modality": "voice" });
    assert_eq!(expert(named, small()).unwrap()[0].modality, "voice");
}

#[test]
fn what_cannot_be_fitted_is_refused_in_words() {
    assert_eq!(
        refused(json!({ "test_fold": 7 }), small()),
        "no example is tested in fold 7; the folds are 0 to 3"
    );
    assert_eq!(
        refused(json!({ "test_fold": 1, "inner_folds": 7 }), small()),
        "7 inner folds of 6 training groups: some would be empty; at most 6 inner folds are \
         possible"
    );
    assert_eq!(
        refused(json!({ "test_fold": 1, "exclude": ["y"] }), small()),
        "the features have no column y; its columns begin x, constant"
    );
    let (features, cohort, mut folds) = small();
    folds.fold[3] = 2;
    assert_eq!(
        refused(options(), (features, cohort, folds)),
        "group g1 is on both sides of the split: e03 is a training example and e05 is a test \
         example; split by group, for example with split.group_kfold"
    );
    let (features, mut cohort, folds) = small();
    for row in 6..24 {
        cohort.label[row] = 0;
    }
    assert_eq!(
        refused(options(), (features, cohort, folds)),
        "no training example of class stress in fold 1, inner fold 0 of modality audio; \
         use fewer folds, or fewer inner_folds, or split.stratified_group_kfold"
    );
}

/// The folder with the StressID files, or a loud word that the test did not run.
fn stressid() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/stressid");
    if !folder.is_dir() {
        skip(Need::Data, &format!("the StressID files are not at {}", folder.display()));
        return None;
    }
    Some(folder)
}

fn load(folder: &Path, file: &str, header: bool) -> Features {
    let path = folder.join(file);
    let options = json!({
        "path": path, "header": header,
        "id": { "column": 0, "pattern": "^(.+?)(?:[.]wav)?$" },
    });
    let digest = Digest::hash(std::fs::read(&path).unwrap());
    run::<crate::load::csv::LoadCsv>(options, 1, &[], |inputs| {
        Ok(inputs.files(vec![(path, digest)]))
    })
    .unwrap()
    .get("features")
    .unwrap()
}

#[test]
fn evidence_on_stressid_is_that_of_scikit_learn() {
    let Some(folder) = stressid() else { return };
    let modalities = [
        ("physio", load(&folder, "all_physiological_features.csv", true)),
        ("video", load(&folder, "video11tasks_aus_gaze_mean_std.csv", true)),
        ("audio", load(&folder, "HCfeatures.csv", false)),
    ];
    let options = json!({
        "group": { "pattern": "^([^_]+)_" },
        "label": { "pattern": "_([^_.]+)", "classes": {
            "rest": ["Reading"],
            "stress": ["Counting1", "Counting2", "Counting3", "Math", "Speaking", "Stroop"],
        } },
    });
    let cohort: Cohort =
        run::<crate::cohort::define::DefineCohort>(options, 1, &[], |mut inputs| {
            for (modality, features) in &modalities {
                let point = vec![("modality".to_owned(), (*modality).to_owned())];
                inputs = inputs.artifact("features", point, features.clone())?;
            }
            Ok(inputs)
        })
        .unwrap()
        .get("cohort")
        .unwrap();
    assert_eq!((cohort.len(), cohort.group.ranks().1), (370, 53));

    let folds: Folds =
        run::<crate::split::group_kfold::GroupKFold>(json!({ "folds": 5 }), 1, &[], |inputs| {
            inputs.artifact("cohort", vec![], cohort.clone())
        })
        .unwrap()
        .get("folds")
        .unwrap();

    let expected = include_str!("../../../tests/fixtures/stressid_evidence.csv");
    let expected: BTreeMap<(&str, &str, &str), f64> = expected
        .lines()
        .skip(1)
        .map(|line| {
            let cells: Vec<&str> = line.split(',').collect();
            ((cells[0], cells[1], cells[2]), cells[3].parse().unwrap())
        })
        .collect();
    let mut compared = 0;
    for (modality, features) in modalities {
        let options = json!({ "test_fold": 0, "inner_folds": 4, "modality": modality });
        let [train, test] = expert(options, (features, cohort.clone(), folds.clone())).unwrap();
        for (part, evidence) in [("train", train), ("test", test)] {
            for (id, row) in evidence.example_id.iter().zip(evidence.probabilities.chunks(2)) {
                let expected = expected[&(modality, part, id)];
                assert!(
                    (row[1] - expected).abs() < 1e-6,
                    "{modality} {part} {id}: {} is not {expected}",
                    row[1]
                );
                compared += 1;
            }
        }
    }
    assert_eq!(compared, expected.len());
}
