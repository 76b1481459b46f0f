//! The built-in rules against independent calculations by numpy, scipy and scikit-learn
//! (tests/fixtures/rules.py).
#![expect(clippy::unwrap_used, reason = "a helper of a test ends the test")]

mod common;

use common::{Rows, rule};
use fuseline_host::{Batch, StopSignal};
use serde_json::Value;

/// The rules whose fit is a search among several minima.
const SEARCHES: [&str; 3] = ["attention", "moe", "stacking"];

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn rows(case: &Value, part: &str) -> Rows {
    let part = &case[part];
    let names = |what: &str, count: &Value| -> Vec<String> {
        (0..count.as_u64().unwrap()).map(|at| format!("{what}{at}")).collect()
    };
    let label: Vec<i32> = numbers(&part["label"]).iter().map(|label| *label as i32).collect();
    Rows {
        modalities: names("modality", &case["modalities"]),
        classes: names("class", &case["classes"]),
        row_id: (0..label.len() as u64).collect(),
        evidence: numbers(&part["evidence"]),
        available: numbers(&part["available"]).iter().map(|value| *value as u8).collect(),
        quality: numbers(&part["quality"]),
        weight: vec![1.0; label.len()],
        label,
    }
}

/// The batch, with the embedding of the first modality where the case has one.
fn embedded(batch: Batch, case: &Value, part: &str) -> Batch {
    match case.get("embedding") {
        Some(embedding) => {
            batch.with_embedding("modality0", 2, &numbers(&embedding[part])).unwrap()
        }
        None => batch,
    }
}

#[test]
fn predictions_agree_with_independent_calculations() {
    let cases: Value = serde_json::from_str(include_str!("fixtures/rules.json")).unwrap();
    for case in cases.as_array().unwrap() {
        let mut train = rows(case, "train");
        train.weight = numbers(&case["weight"]);
        for (name, expected) in case["expected"].as_object().unwrap() {
            // A rule, or a rule and a parameter: `stacking calibration=isotonic`.
            let (id, param) = name.split_once(' ').unwrap_or((name, ""));
            let rule = rule(id);
            let given = param.split_once('=').map(|(key, value)| (key.to_owned(), value.into()));
            let params = rule.params(&given.into_iter().collect()).unwrap();
            let training = embedded(train.training(), case, "train");
            let model = rule.fit(&training, &params, 1, &StopSignal::new()).unwrap().model;
            let test = embedded(rows(case, "test").batch(), case, "test");
            let out = rule.open(&model).unwrap().predict(&test).unwrap();
            let expected = numbers(expected);
            assert_eq!(out.len(), expected.len());
            let worst = out
                .iter()
                .zip(&expected)
                .map(|(one, other)| (one - other).abs())
                .fold(0.0, f64::max);
            println!("{name}: largest difference {worst:e}");
            // Two optimisers stop at two places.
            let bound = if SEARCHES.contains(&id) { 1e-6 } else { 1e-9 };
            assert!(worst < bound, "{name}: {worst:e}");
        }
    }
}
