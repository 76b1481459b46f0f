use fuseline_artifact::Texts;
use serde_json::Value;

use super::*;

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|cell| cell.as_f64().unwrap()).collect()
}

fn flags(value: &Value) -> Vec<bool> {
    value.as_array().unwrap().iter().map(|cell| cell.as_bool().unwrap()).collect()
}

/// The case as the stage pools it: what is unavailable has no evidence and no quality.
fn pooled(case: &Value) -> Pooled {
    let modalities = case["modalities"].as_u64().unwrap() as usize;
    let classes = case["classes"].as_u64().unwrap() as usize;
    let labels: Vec<u32> = numbers(&case["label"]).iter().map(|label| *label as u32).collect();
    let available = flags(&case["available"]);
    let (mut evidence, mut quality) = (numbers(&case["evidence"]), numbers(&case["quality"]));
    let right = |(cell, said): (usize, &[f64])| {
        available[cell] && decision(said) == labels[cell / modalities] as usize
    };
    let correct = evidence.chunks(classes).enumerate().map(right).collect();
    for cell in (0..available.len()).filter(|&cell| !available[cell]) {
        evidence[cell * classes..][..classes].fill(0.0);
        quality[cell] = f64::NAN;
    }
    let modalities = (0..modalities).map(|number| format!("m{number}")).collect();
    let controls = Vec::new();
    Pooled {
        modalities,
        labels,
        classes,
        available,
        correct,
        evidence,
        quality,
        controls,
        without_expert: Vec::new(),
    }
}

fn groups(case: &Value) -> Vec<u32> {
    let names = case["group"].as_array().unwrap().iter();
    names.map(|name| name.as_str().unwrap()).collect::<Texts>().ranks().0
}

#[test]
fn a_learned_router_agrees_with_scikit_learn() {
    let cases: Vec<Value> =
        serde_json::from_str(include_str!("../../../tests/fixtures/router.json")).unwrap();
    assert_eq!(cases.len(), 2);
    for case in &cases {
        let (pooled, group) = (pooled(case), groups(case));
        for (sees_quality, expected) in [(true, "routed"), (false, "routed_without_quality")] {
            let found = routed(&pooled, &group, 5, sees_quality).unwrap().unwrap().right;
            assert_eq!(found, flags(&case[expected]), "{expected}");
        }
    }
}

/// Thirty groups of four; one expert is right, and `tells` is where quality says which.
fn made_up(tells: bool) -> (Pooled, Vec<u32>) {
    let rows = 120;
    let labels: Vec<u32> = (0..rows).map(|row| row % 2).collect();
    let first = |row: u32| row.wrapping_mul(2_654_435_761) >> 31 == 0;
    let (mut evidence, mut correct, mut quality) = (Vec::new(), Vec::new(), Vec::new());
    for row in 0..rows {
        for modality in [true, false] {
            let right = first(row) == modality;
            let towards = if right == (row % 2 == 1) { 0.8 } else { 0.2 };
            evidence.extend([1.0 - towards, towards]);
            correct.push(right);
            quality.push(if tells { f64::from(u8::from(right)) } else { f64::from(row % 7) });
        }
    }
    let modalities = vec!["one".to_owned(), "other".to_owned()];
    let available = vec![true; correct.len()];
    let controls = Vec::new();
    let pooled = Pooled {
        modalities,
        labels,
        classes: 2,
        available,
        correct,
        evidence,
        quality,
        controls,
        without_expert: Vec::new(),
    };
    (pooled, (0..rows).map(|row| row / 4).collect())
}

#[test]
fn a_router_whose_quality_tells_reaches_the_oracle_and_without_it_chance() {
    let accuracy = |tells: bool, sees: bool| {
        let (pooled, group) = made_up(tells);
        let right = routed(&pooled, &group, 5, sees).unwrap().unwrap().right;
        right.iter().filter(|right| **right).count() as f64 / right.len() as f64
    };
    assert_eq!(accuracy(true, true), 1.0);
    // The experts contradict one another, so that evidence alone says nothing of which is right.
    assert!(accuracy(true, false) < 0.65 && accuracy(false, true) < 0.65);
}

#[test]
fn a_router_learns_nothing_of_the_group_that_it_is_asked_about() {
    let (mut pooled, group) = made_up(true);
    let before = routed(&pooled, &group, 30, true).unwrap().unwrap().right;
    // Turn the labels of the last group around: the same experts are chosen there, and are wrong
    // now.
    for row in 116..120 {
        pooled.labels[row] = 1 - pooled.labels[row];
        pooled.correct[row * 2] = !pooled.correct[row * 2];
        pooled.correct[row * 2 + 1] = !pooled.correct[row * 2 + 1];
    }
    let after = routed(&pooled, &group, 30, true).unwrap().unwrap().right;
    assert!(before[116..].iter().all(|right| *right) && after[116..].iter().all(|right| !right));
}

#[test]
fn one_group_alone_has_no_router() {
    let (pooled, group) = made_up(true);
    let same = vec![0; group.len()];
    assert_eq!(routed(&pooled, &same, 5, true).unwrap(), None);
}
