//! Linear support vector machines and Platt's sigmoid beside scikit-learn, on the fixture that
//! `tests/fixtures/svm.py` wrote.

#![expect(clippy::unwrap_used, reason = "a fixture that cannot be read fails the test")]
#![expect(clippy::print_stdout, reason = "the distances are read with --nocapture")]

use fuseline_learn::sigmoid::Sigmoid;
use fuseline_learn::svm::{LinearSvm, Options};
use serde::Deserialize;

#[derive(Deserialize)]
struct Fixture {
    machines: Vec<Machine>,
    sigmoids: Vec<Platt>,
}

#[derive(Deserialize)]
struct Machine {
    name: String,
    width: usize,
    classes: usize,
    c: f64,
    rows: Vec<f64>,
    labels: Vec<u32>,
    weights: Vec<f64>,
    parameters: Vec<f64>,
    decision: Vec<f64>,
}

#[derive(Deserialize)]
struct Platt {
    name: String,
    scores: Vec<f64>,
    positive: Vec<bool>,
    weights: Vec<f64>,
    slope: f64,
    level: f64,
    at: Vec<f64>,
    values: Vec<f64>,
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("fixtures/svm.json")).unwrap()
}

#[track_caller]
fn assert_close(what: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let away = |(found, expected): (&f64, &f64)| (found - expected).abs() / expected.abs().max(1.0);
    let worst = found.iter().zip(expected).map(away).fold(0.0, f64::max);
    println!("{what}: {worst:.1e}");
    assert!(worst <= tolerance, "{what}: off by {worst:e}, {tolerance:e} is allowed");
}

#[test]
fn machines_are_those_of_scikit_learn() {
    for case in fixture().machines {
        let options = Options { c: case.c, ..Options::default() };
        let Machine { rows, labels, weights, .. } = &case;
        let found =
            LinearSvm::fit(rows, case.width, labels, weights, case.classes, &options).unwrap();
        // liblinear stops where rounding hides further progress; the gradient here vanishes (see
        // the unit tests).
        assert_close(&case.name, found.parameters(), &case.parameters, 1e-7);
        assert_close(&case.name, &found.decision_values(rows).unwrap(), &case.decision, 1e-7);
    }
}

#[test]
fn sigmoids_are_those_of_scikit_learn_taken_to_rounding() {
    for case in fixture().sigmoids {
        let found = Sigmoid::fit(&case.scores, &case.positive, &case.weights).unwrap();
        assert_close(&case.name, &[found.slope(), found.level()], &[case.slope, case.level], 1e-8);
        let values: Vec<f64> = case.at.iter().map(|&at| found.value(at)).collect();
        // scikit-learn's own minimiser stops at a gradient of 1e-6.
        assert_close(&case.name, &values, &case.values, 1e-5);
    }
}
