//! The rules that are fitted by L-BFGS, beside scipy's L-BFGS-B from the same start
//! (tests/fixtures/solvers.py).
#![expect(clippy::unwrap_used, reason = "a helper of a test ends the test")]

mod common;

use common::{Numbers, Rows, defaults, rule};
use fuseline_host::StopSignal;
use fuseline_learn::calibration::Temperature;
use serde_json::Value;

/// By how much an objective may lie above scipy's.
const ABOVE: f64 = 1e-6;

/// The problem of a number, as solvers.py makes it: sums, products and quotients alone, in one
/// order.
fn problem(number: u64) -> Rows {
    let mut numbers = Numbers::new(number);
    let mut draw = || numbers.uniform();
    let (modalities, classes) = (2 + (number % 4) as usize, 2 + (number / 4 % 9) as usize);
    let rows = 40 + 10 * classes + (100.0 * draw()) as usize;
    let (squarings, knows) = ((4.0 * draw()) as usize, 3.0 * draw());
    let missing = if draw() < 0.5 { 0.2 } else { 0.0 };
    let mut made = Rows::new(0, modalities, classes, false, 0);
    let mut count = vec![0.0; classes];
    for row in 0..rows {
        let chance = draw();
        let drawn = (chance * chance * classes as f64) as usize;
        let label = if row < classes { row } else { drawn };
        made.row_id.push(row as u64);
        made.label.push(label as i32);
        count[label] += 1.0;
        for modality in 0..modalities {
            let reliability = draw();
            made.available.push(u8::from(draw() >= missing));
            made.quality.push((reliability + 0.3 * draw()) * (1.0 + 4.0 * modality as f64));
            let deceived = draw() < 0.3 * (1.0 - reliability);
            let meant = if deceived { (label + 1) % classes } else { label };
            let start = made.evidence.len();
            for class in 0..classes {
                let knows = if class == meant { knows * reliability } else { 0.0 };
                let score = 0.02 + draw() + knows;
                made.evidence.push((0..squarings).fold(score, |score, _| score * score));
            }
            let total: f64 = made.evidence[start..].iter().fold(0.0, |total, score| total + score);
            made.evidence[start..].iter_mut().for_each(|score| *score /= total);
        }
    }
    let weight = |label: &i32| rows as f64 / (classes as f64 * count[*label as usize]);
    made.weight = made.label.iter().map(weight).collect();
    made
}

/// The objective that a rule says it has reached.
fn objective(name: &str, rows: &Rows) -> f64 {
    let rule = rule(name);
    let fitted = rule.fit(&rows.training(), &defaults(&rule), 1, &StopSignal::new()).unwrap();
    assert_eq!(fitted.warnings().next(), None, "{name}");
    let said = fitted.messages.iter().find_map(|message| message.text.strip_prefix("objective "));
    said.unwrap().split(' ').next().unwrap().parse().unwrap()
}

/// The loss at the temperature of the first modality's evidence.
fn temperature_loss(rows: &Rows) -> f64 {
    let (modalities, classes) = (rows.modalities.len(), rows.classes.len());
    let available = || (0..rows.label.len()).filter(|row| rows.available[row * modalities] == 1);
    let labels: Vec<u32> = available().map(|row| rows.label[row] as u32).collect();
    let weights: Vec<f64> = available().map(|row| rows.weight[row]).collect();
    let mut evidence: Vec<f64> = available()
        .flat_map(|row| &rows.evidence[row * modalities * classes..][..classes])
        .copied()
        .collect();
    let fitted = Temperature::fit(&evidence, &labels, &weights, classes).unwrap();
    fitted.apply(&mut evidence, classes);
    let own = evidence.chunks(classes).zip(&labels).map(|(row, &label)| row[label as usize]);
    own.zip(&weights).map(|(p, weight)| -weight * libm::log(p)).sum()
}

/// The minima that scipy has found, of two hundred problems.
fn records() -> Vec<Value> {
    serde_json::from_str(include_str!("fixtures/solvers.json")).unwrap()
}

/// The fitted rules and calibrations, each with an objective of its own.
const FITTED: [&str; 4] = ["moe", "attention", "stacking", "temperature"];

/// Holds each objective against scipy's, shows those that differ, and expects 99 % to be no worse.
#[test]
fn minima_of_two_hundred_problems_are_no_worse_than_those_of_scipy() {
    let records = records();
    assert_eq!(records.len(), 200);
    for name in FITTED {
        let (mut compared, mut worse, mut better) = (0, 0, 0);
        for record in &records {
            let Some(expected) = record[name].as_f64() else { continue };
            let number = record["number"].as_u64().unwrap();
            let rows = problem(number);
            let reached = match name {
                "temperature" => temperature_loss(&rows),
                name => objective(name, &rows),
            };
            compared += 1;
            let above = reached - expected;
            if above.abs() > ABOVE {
                println!("{name}, problem {number}: {reached}, scipy {expected} ({above:+.2e})");
            }
            worse += usize::from(above > ABOVE);
            better += usize::from(above < -ABOVE);
            assert!(
                above <= 0.01 * expected.abs(),
                "{name}, problem {number}: {reached}, {expected}"
            );
        }
        println!("{name}: {compared} compared, {worse} above scipy's, {better} below");
        assert!(worse * 100 <= compared, "{name}: {worse} of {compared} are above scipy's minimum");
    }
}

/// The last ten: all of them take scipy two minutes.
#[test]
fn minima_that_stand_in_the_file_are_those_that_scipy_finds() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/solvers.py");
    let Some(found) = fuseline_tests::python("numpy, scipy", [script, "190"]) else { return };
    let found: Vec<Value> = serde_json::from_str(&found).unwrap();
    assert_eq!(found.len(), 10);
    for (found, record) in found.iter().zip(&records()[190..]) {
        for name in FITTED {
            let [found, stored] = [found, record].map(|of| of[name].as_f64());
            let close = |found: f64| (found - stored.unwrap()).abs() <= ABOVE;
            assert!(found.map_or(stored.is_none(), close), "{name}: {found:?}, {stored:?}");
        }
    }
}
