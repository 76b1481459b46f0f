use fuseline_artifact::Cohort;
use serde_json::{Value, json};

use super::*;
use crate::simulate::cohort::SimulateCohort;
use crate::testing::run;

fn cohort(seed: u64) -> Cohort {
    let options = json!({ "examples": 4000, "groups": 50, "classes": ["rest", "stress"] });
    run::<SimulateCohort>(options, seed, &[], |inputs| Ok(inputs)).unwrap().get("cohort").unwrap()
}

fn simulated(options: Value, seed: u64, modality: &str) -> (Cohort, Features) {
    let cohort = cohort(seed);
    let outputs = run::<SimulateFeatures>(options, seed, &[("modality", modality)], |inputs| {
        inputs.artifact("cohort", vec![], cohort.clone())
    });
    (cohort, outputs.unwrap().get("features").unwrap())
}

fn column<'f>(features: &'f Features, name: &str) -> &'f Float64Array {
    &features.columns.iter().find(|(column, _)| column == name).unwrap().1
}

fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len() as f64;
    let mean = |x: &[f64]| x.iter().sum::<f64>() / n;
    let (ma, mb) = (mean(a), mean(b));
    let sum = |x: &[f64], mx: f64, y: &[f64], my: f64| {
        x.iter().zip(y).map(|(x, y)| (x - mx) * (y - my)).sum::<f64>()
    };
    sum(a, ma, b, mb) / (sum(a, ma, a, ma) * sum(b, mb, b, mb)).sqrt()
}

#[test]
fn a_cohort_has_groups_of_even_size_ids_in_order_and_labels_of_the_seed() {
    let one = cohort(1);
    assert_eq!(one.example_id.len(), 4000);
    assert!(one.example_id.iter().is_sorted());
    assert_eq!(one.group.iter().filter(|group| *group == "g07").count(), 80);
    assert_eq!(one, cohort(1));
    assert_ne!(one.label, cohort(2).label);
    let stress = one.label.iter().sum::<u32>();
    assert!((1870..2130).contains(&stress), "{stress} of 4000 is four sd from even");
}

#[test]
fn shares_say_how_common_the_classes_are() {
    let options =
        json!({ "examples": 2000, "groups": 2, "classes": ["a", "b", "c"], "shares": [1, 2, 1] });
    let cohort: Cohort =
        run::<SimulateCohort>(options, 1, &[], |inputs| Ok(inputs)).unwrap().get("cohort").unwrap();
    let b = cohort.label.iter().filter(|label| **label == 1).count();
    assert!((910..1090).contains(&b), "{b}");
}

#[test]
fn the_observed_quality_follows_the_latent_one_as_closely_as_asked() {
    let quality = |fidelity: f64| {
        let (_, features) = simulated(json!({ "fidelity": fidelity }), 1, "audio");
        column(&features, "quality").values().to_vec()
    };
    let latent = quality(1.0);
    // Standard error of a correlation of 4000 pairs: 0.016 at most.
    assert!((correlation(&latent, &quality(0.6)) - 0.6).abs() < 0.05);
    assert!(correlation(&latent, &quality(0.0)).abs() < 0.07);
}

#[test]
fn fidelity_changes_nothing_but_the_observed_quality() {
    let (_, one) = simulated(json!({ "fidelity": 1.0 }), 1, "audio");
    let (_, other) = simulated(json!({ "fidelity": 0.2 }), 1, "audio");
    assert_eq!(column(&one, "x3"), column(&other, "x3"));
    assert_ne!(column(&one, "quality"), column(&other, "quality"));
}

#[test]
fn noise_falls_with_quality_as_the_spread_says() {
    let (_, features) = simulated(json!({ "strength": 0.0, "noise_spread": 0.5 }), 1, "audio");
    let quality = column(&features, "quality").values().to_vec();
    // ln |x| = -0.5 q + ln |n|, so its regression on q has slope -0.5; sd of ln |n| is 1.11.
    let logs: Vec<f64> =
        column(&features, "x0").values().iter().map(|value| libm::log(value.abs())).collect();
    let sd = |x: &[f64]| {
        let mean = x.iter().sum::<f64>() / x.len() as f64;
        (x.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / x.len() as f64).sqrt()
    };
    let slope = correlation(&quality, &logs) * sd(&logs) / sd(&quality);
    assert!((slope + 0.5).abs() < 4.0 * 1.11 / 63.0, "{slope}");
}

#[test]
fn classes_are_as_far_apart_as_the_strength_says() {
    let (cohort, features) =
        simulated(json!({ "strength": 2.0, "noise_spread": 0.0, "features": 5 }), 1, "audio");
    let mut square = 0.0;
    for at in 0..5 {
        let values = column(&features, &format!("x{at}")).values();
        let mean = |class: u32| {
            let of: Vec<f64> = values
                .iter()
                .zip(&cohort.label)
                .filter(|(_, label)| **label == class)
                .map(|(value, _)| *value)
                .collect();
            of.iter().sum::<f64>() / of.len() as f64
        };
        let difference = mean(0) - mean(1);
        square += difference * difference;
    }
    // Two classes at +-2 of their centre are 4 apart.
    assert!((square.sqrt() - 4.0).abs() < 0.2, "{}", square.sqrt());
}

#[test]
fn examples_and_cells_go_missing_at_the_rates_asked_for() {
    let (cohort, features) = simulated(json!({ "available": 0.7, "missing": 0.1 }), 1, "audio");
    let rows = features.example_id.len();
    assert!((rows as f64 / cohort.len() as f64 - 0.7).abs() < 0.03);
    let missing = arrow::array::Array::null_count(column(&features, "x0"));
    assert!((missing as f64 / rows as f64 - 0.1).abs() < 0.03);
    assert_eq!(arrow::array::Array::null_count(column(&features, "quality")), 0);
}

#[test]
fn modalities_are_independent_and_named_by_the_axis() {
    let (_, audio) = simulated(json!({}), 1, "audio");
    let (_, video) = simulated(json!({}), 1, "video");
    let (a, v) = (column(&audio, "quality").values(), column(&video, "quality").values());
    assert!(correlation(a, v).abs() < 0.07);
    let (_, named) = simulated(json!({ "modality": "audio" }), 1, "video");
    assert_eq!(audio, named);
}

#[test]
fn a_label_that_is_a_number_moves_the_features_along_one_direction() {
    let options = json!({ "examples": 3000, "groups": 30, "regression": true });
    let cohort: AnyCohort =
        run::<SimulateCohort>(options, 1, &[], |inputs| Ok(inputs)).unwrap().get("cohort").unwrap();
    let values = cohort.values.clone().unwrap();
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n;
    assert!(mean.abs() < 0.08 && (variance - 1.0).abs() < 0.12, "{mean} {variance}");
    let options = json!({ "strength": 2.0, "noise_spread": 0.0, "features": 5 });
    let features: Features = run::<SimulateFeatures>(options, 1, &[("modality", "a")], |inputs| {
        inputs.artifact("cohort", vec![], cohort)
    })
    .unwrap()
    .get("features")
    .unwrap();
    let slopes = (0..5).map(|at| {
        let column = column(&features, &format!("x{at}")).values();
        column.iter().zip(&values).map(|(x, y)| x * y).sum::<f64>() / (n * variance)
    });
    let length = slopes.map(|slope| slope * slope).sum::<f64>().sqrt();
    assert!((length - 2.0).abs() < 0.1, "{length}");
}
