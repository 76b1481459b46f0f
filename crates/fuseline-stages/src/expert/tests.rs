//! Experts and calibrations beside scikit-learn and scipy, on `tests/fixtures/experts.py`.

use arrow::array::Float64Array;
use fuseline_artifact::{Cohort, Digest, Evidence, Features, Folds};
use fuseline_engine::{Outputs, StageError, StageKind};
use fuseline_learn::convergence::NotConverged;
use serde::Deserialize;
use serde_json::{Value, json};

use super::caution_of;
use super::gradient_boosting::BoostingExpert;
use super::linear_svm::LinearSvmExpert;
use super::logistic::LogisticExpert;
use super::precomputed::PrecomputedExpert;
use super::random_forest::ForestExpert;
use crate::testing::{cohort, message, run};

#[derive(Deserialize)]
struct Fixture {
    group: Vec<String>,
    label: Vec<u32>,
    fold: Vec<i32>,
    columns: Vec<Vec<Option<f64>>>,
    external: Vec<f64>,
    experts: std::collections::BTreeMap<String, Sides>,
}

#[derive(Deserialize)]
struct Sides {
    train: Vec<f64>,
    test: Vec<f64>,
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("../../tests/fixtures/experts.json")).unwrap()
}

fn cohort_of(case: &Fixture) -> Cohort {
    let rows: Vec<_> = case
        .group
        .iter()
        .zip(&case.label)
        .enumerate()
        .map(|(row, (group, label))| (format!("e{row:03}"), group.clone(), *label))
        .collect();
    cohort(&rows)
}

fn expert<K: StageKind>(
    case: &Fixture,
    seed: u64,
    more: &Value,
) -> Result<[Evidence; 2], StageError> {
    let cohort = cohort_of(case);
    let columns = case.columns.iter().enumerate();
    let features = Features {
        example_id: cohort.example_id.clone(),
        columns: columns
            .map(|(at, values)| (format!("f{at}"), Float64Array::from(values.clone())))
            .collect(),
    };
    let folds = Folds { example_id: cohort.example_id.clone(), fold: case.fold.clone() };
    let mut options = json!({ "test_fold": 1, "inner_folds": 3 });
    for (name, value) in more.as_object().unwrap() {
        options[name] = value.clone();
    }
    let outputs = run::<K>(options, seed, &[("modality", "audio")], |inputs| {
        inputs.artifact("features", vec![], features)?.artifact("cohort", vec![], cohort)?.artifact(
            "folds",
            vec![],
            folds,
        )
    })?;
    Ok([outputs.get("train")?, outputs.get("test")?])
}

/// Differences of the second class's probability from the fixture, training rows first.
fn differences(case: &Fixture, name: &str, found: &[Evidence; 2]) -> Vec<f64> {
    let expected = &case.experts[name];
    let mut differences = Vec::new();
    for (found, expected) in found.iter().zip([&expected.train, &expected.test]) {
        assert_eq!(found.probabilities.len(), 2 * expected.len());
        for (pair, expected) in found.probabilities.chunks(2).zip(expected) {
            assert!((pair[0] + pair[1] - 1.0).abs() < 1e-12);
            differences.push(pair[1] - expected);
        }
    }
    differences
}

#[track_caller]
fn assert_close(differences: &[f64], tolerance: f64) {
    let worst = differences.iter().fold(0.0_f64, |worst, next| worst.max(next.abs()));
    assert!(worst <= tolerance, "off by {worst:e}, {tolerance:e} is allowed");
}

#[test]
fn gradient_boosting_is_that_of_scikit_learn() {
    let case = fixture();
    let found = expert::<BoostingExpert>(&case, 1, &json!({ "min_rows_per_leaf": 10 })).unwrap();
    assert_close(&differences(&case, "boosting", &found), 1e-6);
}

#[test]
fn calibrated_evidence_is_that_of_scikit_learn_and_scipy() {
    let case = fixture();
    for calibration in ["temperature", "isotonic", "sigmoid"] {
        let found =
            expert::<LogisticExpert>(&case, 1, &json!({ "calibration": calibration })).unwrap();
        assert_close(&differences(&case, &format!("logistic, {calibration}"), &found), 1e-6);
    }
}

#[test]
fn support_vector_machines_are_those_of_scikit_learn_and_calibrated_on_rows_they_have_not_seen() {
    let case = fixture();
    let plain = expert::<LinearSvmExpert>(&case, 1, &json!({})).unwrap();
    assert_close(&differences(&case, "svm, sigmoid", &plain), 1e-6);
    for calibration in ["temperature", "isotonic"] {
        let found =
            expert::<LinearSvmExpert>(&case, 1, &json!({ "calibration": calibration })).unwrap();
        assert_close(&differences(&case, &format!("svm, {calibration}"), &found), 1e-6);
    }
}

#[test]
fn a_search_that_falls_short_is_a_caution_that_says_how_far_it_came() {
    let mut outputs = Outputs::default();
    caution_of(&mut outputs, "of 5 fits", [].into_iter());
    assert!(outputs.cautions().is_empty());
    let shortfall = |gradient| NotConverged { steps: 200, gradient, wanted: 1e-10 };
    caution_of(&mut outputs, "of 5 fits", [shortfall(1e-3), shortfall(2.0)].into_iter());
    let said = "2 of 5 fits did not converge: in the worst the gradient is 2.0e0 after 200 steps, \
        1.0e-10 was wanted";
    assert_eq!(outputs.cautions(), [said]);
}

/// The evidence of the fixture's external model, from a table.
fn external(case: &Fixture, more: &Value) -> Result<[Evidence; 2], StageError> {
    let cohort = cohort_of(case);
    let mut text = "id,rest,stress\n".to_owned();
    for (id, stress) in cohort.example_id.iter().zip(&case.external) {
        text.push_str(&format!("{id},{},{stress}\n", 1.0 - stress));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("evidence.csv");
    std::fs::write(&path, &text).unwrap();
    let mut options = json!({
        "path": path, "id": { "column": "id" }, "probabilities": ["rest", "stress"],
        "test_fold": 1, "inner_folds": 3, "modality": "audio",
    });
    for (name, value) in more.as_object().unwrap() {
        options[name] = value.clone();
    }
    let folds = Folds { example_id: cohort.example_id.clone(), fold: case.fold.clone() };
    let outputs = run::<PrecomputedExpert>(options, 1, &[], |inputs| {
        let inputs = inputs.files(vec![(path, Digest::hash(text.as_bytes()))]);
        inputs.artifact("cohort", vec![], cohort)?.artifact("folds", vec![], folds)
    })?;
    Ok([outputs.get("train")?, outputs.get("test")?])
}

#[test]
fn evidence_from_elsewhere_is_calibrated_on_training_rows_of_other_groups() {
    let case = fixture();
    for calibration in ["temperature", "isotonic", "sigmoid"] {
        let found = external(&case, &json!({ "calibration": calibration })).unwrap();
        assert_close(&differences(&case, &format!("external, {calibration}"), &found), 1e-6);
    }
    // More inner folds than groups matter only to a calibration.
    assert!(external(&case, &json!({ "inner_folds": 50 })).is_ok());
    let many = json!({ "inner_folds": 50, "calibration": "isotonic" });
    let expected = "50 inner folds of 36 training groups: some would be empty; at most 36 inner \
        folds are possible";
    assert_eq!(message(&external(&case, &many).unwrap_err()), expected);
}

#[test]
fn a_forest_comes_close_to_the_mean_of_many_and_follows_the_seed() {
    let case = fixture();
    let options = json!({ "min_rows_per_leaf": 5 });
    let found = expert::<ForestExpert>(&case, 1, &options).unwrap();
    let differences = differences(&case, "forest", &found);
    // One forest of 300 trees scatters by about 0.012 around the mean of ten.
    let square = differences.iter().map(|d| d * d).sum::<f64>() / differences.len() as f64;
    let mean = differences.iter().sum::<f64>() / differences.len() as f64;
    assert!(square.sqrt() < 0.02 && mean.abs() < 0.003, "rms {}, mean {mean}", square.sqrt());
    // A share of 300 trees has a standard deviation of at most 0.029.
    assert_close(&differences, 0.1);
    assert_eq!(found, expert::<ForestExpert>(&case, 1, &options).unwrap());
    assert_ne!(found, expert::<ForestExpert>(&case, 2, &options).unwrap());
}

#[test]
fn calibrated_evidence_of_a_row_does_not_depend_on_the_labels_of_its_own_group() {
    let case = fixture();
    for (calibration, svm) in [("temperature", false), ("isotonic", false), ("sigmoid", true)] {
        let options = json!({ "calibration": calibration });
        let expert = |case: &Fixture| match svm {
            true => expert::<LinearSvmExpert>(case, 1, &options).unwrap(),
            false => expert::<LogisticExpert>(case, 1, &options).unwrap(),
        };
        let [train, _] = expert(&case);
        let mut changed = fixture();
        let group = changed.group[changed.fold.iter().position(|fold| *fold != 1).unwrap()].clone();
        let own: Vec<usize> = (0..240).filter(|&row| changed.group[row] == group).collect();
        for &row in &own {
            changed.label[row] = 1 - changed.label[row];
        }
        let [other, _] = expert(&changed);
        let mut moved = 0;
        for (at, id) in train.example_id.iter().enumerate() {
            let same = train.probabilities[2 * at] == other.probabilities[2 * at];
            match own.iter().any(|row| *id == format!("e{row:03}")) {
                true => assert!(same, "{calibration}: {id}"),
                false => moved += usize::from(!same),
            }
        }
        assert!(moved > 50, "but the labels do count for others: {moved}");
    }
}
