//! The learners beside scikit-learn and scipy, on the fixtures that `tests/fixtures/make.py` wrote.

#![expect(clippy::unwrap_used, reason = "a fixture that cannot be read fails the test")]
#![expect(clippy::print_stdout, reason = "the distances are read with --nocapture")]

use std::path::Path;

use fuseline_learn::boosting::{self, Boosting};
use fuseline_learn::calibration::{Isotonic, Temperature};
use fuseline_learn::forest::{self, Forest};
use fuseline_learn::lbfgs;
use fuseline_learn::logistic::{self, Logistic};
use fuseline_learn::ridge::Ridge;
use fuseline_learn::standardise::Preprocessor;
use serde::Deserialize;
use serde::de::DeserializeOwned;

fn fixture<T: DeserializeOwned>(name: &str) -> T {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Largest difference of two lists, in units of max(1, |expected|).
fn distance(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    found
        .iter()
        .zip(expected)
        .map(|(found, expected)| (found - expected).abs() / expected.abs().max(1.0))
        .fold(0.0, |top: f64, next| if next > top || next.is_nan() { next } else { top })
}

#[track_caller]
fn assert_close(what: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    let distance = distance(found, expected);
    println!("{what}: {distance:.1e}");
    assert!(distance <= tolerance, "{what}: off by {distance:e}, {tolerance:e} is allowed");
}

#[derive(Deserialize)]
struct Standardised {
    rows: Vec<Vec<Option<f64>>>,
    mean: Vec<f64>,
    scale: Vec<f64>,
    transformed: Vec<Vec<f64>>,
}

#[test]
fn standardising_agrees_with_scikit_learn() {
    let case: Standardised = fixture("standardise.json");
    let rows: Vec<f64> =
        case.rows.iter().flatten().map(|value| value.unwrap_or(f64::NAN)).collect();
    let found = Preprocessor::fit(&rows, case.mean.len()).unwrap();
    assert_close("mean", found.mean(), &case.mean, 1e-14);
    assert_close("scale", found.scale(), &case.scale, 1e-13);
    let transformed = found.transform(&rows).unwrap();
    assert_close("transformed", &transformed, &case.transformed.concat(), 1e-10);
}

#[derive(Deserialize)]
struct LogisticCase {
    name: String,
    width: usize,
    classes: usize,
    c: f64,
    rows: Vec<f64>,
    labels: Vec<u32>,
    weights: Vec<f64>,
    coefficients: Vec<f64>,
    intercepts: Vec<f64>,
    probabilities: Vec<f64>,
}

#[test]
fn logistic_regression_agrees_with_scikit_learn() {
    for case in fixture::<Vec<LogisticCase>>("logistic.json") {
        let options = logistic::Options { c: case.c, ..logistic::Options::default() };
        let found = Logistic::fit(
            &case.rows,
            case.width,
            &case.labels,
            &case.weights,
            case.classes,
            &options,
        )
        .unwrap();
        let name = &case.name;
        assert_close(&format!("{name}, w"), found.coefficients(), &case.coefficients, 1e-6);
        assert_close(&format!("{name}, b"), found.intercepts(), &case.intercepts, 1e-6);
        let probabilities = found.predict_proba(&case.rows).unwrap();
        assert_close(&format!("{name}, p"), &probabilities, &case.probabilities, 1e-7);
    }
}

#[derive(Deserialize)]
struct BoostingCase {
    name: String,
    width: usize,
    classes: usize,
    min_rows_per_leaf: usize,
    rows: Vec<f64>,
    labels: Vec<u32>,
    weights: Vec<f64>,
    held_out: Vec<f64>,
    scores: Vec<f64>,
    probabilities: Vec<f64>,
    leaves: Vec<usize>,
}

#[test]
fn boosting_agrees_with_scikit_learn() {
    for case in fixture::<Vec<BoostingCase>>("boosting.json") {
        let options = boosting::Options {
            min_rows_per_leaf: case.min_rows_per_leaf,
            ..boosting::Options::default()
        };
        let found = Boosting::fit(
            &case.rows,
            case.width,
            &case.labels,
            &case.weights,
            case.classes,
            &options,
        )
        .unwrap();
        let name = &case.name;
        assert_close(name, &found.scores(&case.held_out).unwrap(), &case.scores, 1e-6);
        let probabilities = found.predict_proba(&case.held_out).unwrap();
        assert_close(name, &probabilities, &case.probabilities, 1e-6);
        let roots = found.trees().iter().map(|tree| tree.root as usize);
        let ends = roots.clone().skip(1).chain([found.nodes().len()]);
        let leaves: Vec<usize> = roots
            .zip(ends)
            .map(|(root, end)| {
                (root..end).filter(|&at| found.nodes()[at].left as usize == at).count()
            })
            .collect();
        assert_eq!(leaves, case.leaves, "{name}");
    }
}

#[derive(Deserialize)]
struct Regression {
    ridge: Vec<RidgeCase>,
    boosting: Vec<SquaredCase>,
}

#[derive(Deserialize)]
struct RidgeCase {
    name: String,
    width: usize,
    alpha: f64,
    rows: Vec<f64>,
    targets: Vec<f64>,
    held_out: Vec<f64>,
    coefficients: Vec<f64>,
    intercept: f64,
    predictions: Vec<f64>,
}

#[derive(Deserialize)]
struct SquaredCase {
    name: String,
    width: usize,
    min_rows_per_leaf: usize,
    rows: Vec<f64>,
    targets: Vec<f64>,
    held_out: Vec<f64>,
    predictions: Vec<f64>,
}

#[test]
fn ridge_regression_and_boosted_squared_errors_agree_with_scikit_learn() {
    let Regression { ridge, boosting } = fixture("regression.json");
    for case in ridge {
        let found = Ridge::fit(&case.rows, case.width, &case.targets, case.alpha).unwrap();
        assert_close(&case.name, found.coefficients(), &case.coefficients, 1e-11);
        assert_close(&case.name, &[found.intercept()], &[case.intercept], 1e-11);
        let predicted = found.predict(&case.held_out).unwrap();
        assert_close(&case.name, &predicted, &case.predictions, 1e-11);
    }
    for case in boosting {
        let options = boosting::Options {
            min_rows_per_leaf: case.min_rows_per_leaf,
            ..boosting::Options::default()
        };
        let found = Boosting::fit_squared(&case.rows, case.width, &case.targets, &options).unwrap();
        let predicted = found.scores(&case.held_out).unwrap();
        assert_close(&case.name, &predicted, &case.predictions, 1e-6);
    }
}

#[derive(Deserialize)]
struct Gate {
    rows: Vec<f64>,
    evidence: Vec<f64>,
    weights: Vec<f64>,
    width: usize,
    experts: usize,
    point: Vec<f64>,
    value: f64,
}

#[test]
fn lbfgs_agrees_with_scipy_on_the_gate_of_a_mixture_of_experts() {
    let Gate { rows, evidence, weights, width, experts, point, value } = fixture("gate.json");
    let slopes = experts * width;
    let objective = |theta: &[f64], gradient: &mut [f64]| {
        gradient.copy_from_slice(theta);
        let mut total = theta.iter().map(|x| x * x).sum::<f64>() / 2.0;
        for ((x, p), s) in rows.chunks(width).zip(evidence.chunks(experts)).zip(&weights) {
            let score = |m: usize| {
                let w = &theta[m * width..][..width];
                w.iter().zip(x).map(|(w, x)| w * x).sum::<f64>() + theta[slopes + m]
            };
            let mut share: Vec<f64> = (0..experts).map(score).collect();
            fuseline_learn::link::softmax(&mut share);
            let mix: f64 = share.iter().zip(p).map(|(share, p)| share * p).sum();
            total -= s * libm::log(mix);
            for m in 0..experts {
                let slope = -s / mix * share[m] * (p[m] - mix);
                gradient[slopes + m] += slope;
                for (gradient, x) in gradient[m * width..].iter_mut().zip(x) {
                    *gradient += slope * x;
                }
            }
        }
        total
    };
    let found =
        lbfgs::minimise(vec![0.0; point.len()], &lbfgs::Options::default(), objective).unwrap();
    println!("{:?} after {} steps, gradient {:e}", found.outcome, found.iterations, found.gradient);
    assert_eq!(found.outcome, lbfgs::Outcome::Converged);
    assert_close("point", &found.point, &point, 1e-6);
    assert_close("value", &[found.value], &[value], 1e-12);
}

#[derive(Deserialize)]
struct Calibration {
    probabilities: Vec<f64>,
    labels: Vec<u32>,
    weights: Vec<f64>,
    temperature: f64,
    scores: Vec<f64>,
    targets: Vec<f64>,
    score_weights: Vec<f64>,
    at: Vec<f64>,
    values: Vec<f64>,
}

#[test]
fn calibration_agrees_with_scipy_and_scikit_learn() {
    let case: Calibration = fixture("calibration.json");
    let fitted = Temperature::fit(&case.probabilities, &case.labels, &case.weights, 3).unwrap();
    // scipy minimises the loss itself, which is flat within the root of the rounding.
    assert_close("temperature", &[fitted.temperature()], &[case.temperature], 1e-6);
    let fitted = Isotonic::fit(&case.scores, &case.targets, &case.score_weights).unwrap();
    let values: Vec<f64> = case.at.iter().map(|&at| fitted.value(at)).collect();
    assert_close("isotonic", &values, &case.values, 1e-13);
}

#[derive(Deserialize)]
struct Forests {
    trees: Vec<TreeCase>,
    forest: ForestCase,
}

#[derive(Deserialize)]
struct TreeCase {
    name: String,
    width: usize,
    classes: usize,
    min_rows_per_leaf: usize,
    max_depth: usize,
    rows: Vec<f64>,
    labels: Vec<u32>,
    weights: Vec<f64>,
    held_out: Vec<f64>,
    leaves: usize,
    probabilities: Vec<f64>,
}

#[derive(Deserialize)]
struct ForestCase {
    width: usize,
    classes: usize,
    trees: usize,
    rows: Vec<f64>,
    labels: Vec<u32>,
    weights: Vec<f64>,
    held_out: Vec<f64>,
    mean: Vec<f64>,
    sd: Vec<f64>,
}

/// A stream of random numbers for each tree (splitmix64).
fn draws(tree: usize) -> impl FnMut(usize) -> usize {
    let mut state = (tree as u64).wrapping_mul(0xd134_2543_de82_ef95);
    move |bound| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % bound as u64).unwrap()
    }
}

#[test]
fn trees_agree_with_scikit_learn() {
    for case in fixture::<Forests>("forest.json").trees {
        let options = forest::Options {
            trees: 1,
            columns_per_split: case.width,
            min_rows_per_leaf: case.min_rows_per_leaf,
            max_depth: case.max_depth,
            bootstrap: false,
        };
        let TreeCase { rows, labels, weights, .. } = &case;
        let found =
            Forest::fit(rows, case.width, labels, weights, case.classes, &options, draws).unwrap();
        assert_eq!(found.leaves(), [case.leaves], "{}", case.name);
        let probabilities = found.predict_proba(&case.held_out).unwrap();
        assert_close(&case.name, &probabilities, &case.probabilities, 1e-12);
    }
}

#[test]
fn a_forest_differs_from_those_of_scikit_learn_as_they_differ_among_each_other() {
    let case = fixture::<Forests>("forest.json").forest;
    let options = forest::Options { trees: case.trees, ..forest::Options::default() };
    let ForestCase { rows, labels, weights, .. } = &case;
    let found =
        Forest::fit(rows, case.width, labels, weights, case.classes, &options, draws).unwrap();
    let found = found.predict_proba(&case.held_out).unwrap();
    let z: Vec<f64> = found
        .iter()
        .zip(&case.mean)
        .zip(&case.sd)
        .map(|((found, mean), sd)| (found - mean) / sd.max(0.004))
        .collect();
    let square = z.iter().map(|z| z * z).sum::<f64>() / z.len() as f64;
    let worst = z.iter().fold(0.0_f64, |worst, z| worst.max(z.abs()));
    println!("forest: mean square of z {square:.2}, largest {worst:.1}");
    assert!(square < 2.0 && worst < 5.0, "mean square {square}, largest {worst}");
}
