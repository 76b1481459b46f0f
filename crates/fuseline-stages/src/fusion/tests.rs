use fuseline_artifact::{Cohort, Evidence, FittedOn, Predictions, Quality, Texts};
use fuseline_engine::{CheckSite, Outputs, StageKind};
use serde_json::{Value, json};

use super::*;
use crate::testing::{cohort, evidence, message, quality, run, services};

/// Six examples; audio is there for all, video for the first four.
fn study() -> (Cohort, Vec<Evidence>, Vec<Quality>) {
    let rows: Vec<_> = ["a", "b", "c", "d", "e", "f"]
        .iter()
        .zip([0, 1, 0, 1, 0, 1])
        .map(|(id, label)| ((*id).to_owned(), (*id).to_owned(), label))
        .collect();
    let audio = [("a", 0.2), ("b", 0.6), ("c", 0.4), ("d", 0.9), ("e", 0.3), ("f", 0.7)];
    let video = [("a", 0.8), ("b", 0.3), ("c", 0.1), ("d", 0.5)];
    let audio_quality = [("a", 1.0), ("b", 3.0), ("c", 2.0), ("d", 0.5), ("e", 1.5), ("f", 1.0)];
    let video_quality = [("a", 0.0), ("b", 1.0), ("c", 4.0), ("d", 3.0)];
    (
        cohort(&rows),
        vec![evidence("audio", &audio), evidence("video", &video)],
        vec![quality("audio", &audio_quality), quality("video", &video_quality)],
    )
}

fn fit(
    options: Value,
    (cohort, evidence, quality): (Cohort, Vec<Evidence>, Vec<Quality>),
) -> Result<Model, StageError> {
    run::<fit::Fit>(options, 7, &[], |mut inputs| {
        inputs = inputs.artifact("cohort", vec![], cohort)?;
        for of in evidence {
            inputs = inputs.artifact("evidence", vec![], of)?;
        }
        for of in quality {
            inputs = inputs.artifact("quality", vec![], of)?;
        }
        Ok(inputs)
    })?
    .get("model")
}

/// Asks a model about the study as though it had been fitted on other people.
fn predict(mut model: Model) -> Result<Outputs, StageError> {
    model.fitted_on = FittedOn::default();
    ask(model, study())
}

fn ask(
    model: Model,
    (cohort, evidence, quality): (Cohort, Vec<Evidence>, Vec<Quality>),
) -> Result<Outputs, StageError> {
    run::<predict::Predict>(json!({}), 7, &[], |mut inputs| {
        inputs = inputs.artifact("model", vec![], model)?.artifact("cohort", vec![], cohort)?;
        for (evidence, quality) in evidence.into_iter().zip(quality) {
            inputs = inputs.artifact("evidence", vec![], evidence)?.artifact(
                "quality",
                vec![],
                quality,
            )?;
        }
        Ok(inputs)
    })
}

#[test]
fn the_mean_rule_averages_the_modalities_that_an_example_has() {
    let model = fit(json!({ "rule": "mean" }), study()).unwrap();
    assert_eq!(model.plugin_id, "org.fuseline.mean");
    let predictions: Predictions = predict(model).unwrap().get("predictions").unwrap();
    let stress: Vec<f64> = predictions.probabilities.chunks(2).map(|row| row[1]).collect();
    for (found, expected) in stress.iter().zip([0.5, 0.45, 0.25, 0.7, 0.3, 0.7]) {
        assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
    }
    assert_eq!(predictions.decision, [0, 0, 0, 1, 0, 1], "the lowest class wins a tie");
}

#[test]
fn weights_follow_the_quality_standardised_on_the_training_rows() {
    let model = fit(json!({ "rule": "weighted_mean" }), study()).unwrap();
    let predictions: Predictions = predict(model).unwrap().get("predictions").unwrap();
    // Audio: mean 1.5, population sd sqrt(2/3); video: mean 2, population sd sqrt(2.5).
    let audio = (1.0 - 1.5) / (2.0_f64 / 3.0).sqrt();
    let video = (0.0 - 2.0) / 2.5_f64.sqrt();
    let weight = 1.0 / (1.0 + libm::exp(video - audio));
    let expected = weight * 0.2 + (1.0 - weight) * 0.8;
    assert!((predictions.probabilities[1] - expected).abs() < 1e-12);
}

#[test]
fn a_model_is_the_same_bytes_whatever_the_order_in_which_evidence_rows_arrive() {
    let one = fit(json!({ "rule": "lr" }), study()).unwrap();
    let (cohort, mut evidence, quality) = study();
    evidence[0].example_id = evidence[0].example_id.take((0..evidence[0].example_id.len()).rev());
    evidence[0].probabilities =
        evidence[0].probabilities.chunks(2).rev().flatten().copied().collect();
    assert_eq!(one, fit(json!({ "rule": "lr" }), (cohort, evidence, quality)).unwrap());
}

#[test]
fn quality_must_be_there_wherever_evidence_is() {
    let (cohort, evidence, mut quality) = study();
    quality[1].example_id = quality[1].example_id.take(0..quality[1].example_id.len() - 1);
    quality[1].quality = quality[1].quality.slice(0, quality[1].quality.len() - 1);
    let error = fit(json!({ "rule": "mean" }), (cohort, evidence, quality)).unwrap_err();
    assert_eq!(error.message, "example d has evidence but no quality in modality video");
    let (cohort, evidence, mut quality) = study();
    quality.pop();
    let error = fit(json!({ "rule": "mean" }), (cohort, evidence, quality)).unwrap_err();
    assert_eq!(error.message, "there is evidence of modality video but no quality");
    let (cohort, evidence, mut quality) = study();
    quality[0].quality = vec![1.0, 3.0, f64::NAN, 0.5, 1.5, 1.0].into();
    let refused = fit(json!({ "rule": "mean" }), (cohort, evidence, quality));
    assert!(refused.is_err());
}

#[test]
fn two_experts_of_one_name_are_told_how_to_differ() {
    let (cohort, mut evidence, quality) = study();
    evidence[1].modality = "audio".to_owned();
    let error = fit(json!({ "rule": "mean" }), (cohort, evidence, quality)).unwrap_err();
    assert!(
        message(&error)
            .starts_with("two evidence artifacts are of modality audio; give each expert a name")
    );
}

#[test]
fn a_class_without_training_rows_is_named() {
    let (mut cohort, evidence, quality) = study();
    cohort.label = vec![0; 6];
    let error = fit(json!({ "rule": "lr" }), (cohort, evidence, quality)).unwrap_err();
    assert_eq!(message(&error), "no training example is of class stress; use fewer folds");
}

#[test]
fn a_modality_without_training_rows_is_named() {
    let (cohort, mut evidence, mut quality) = study();
    evidence[1].example_id = evidence[1].example_id.take(0..0);
    evidence[1].probabilities = Vec::new().into();
    quality[1].example_id = quality[1].example_id.take(0..0);
    quality[1].quality = Vec::new().into();
    let error = fit(json!({ "rule": "lr" }), (cohort, evidence, quality)).unwrap_err();
    assert_eq!(error.message, "no training example of modality video");
}

#[test]
fn a_model_is_not_asked_about_other_modalities_than_it_was_fitted_on() {
    let (cohort, mut evidence, mut quality) = study();
    evidence.truncate(1);
    quality.truncate(1);
    let model = fit(json!({ "rule": "mean" }), (cohort, evidence, quality)).unwrap();
    let error = predict(model).err().unwrap();
    assert_eq!(error.message, "the model has the modalities audio and is asked about audio, video");
}

#[test]
fn parameters_that_a_rule_refuses_are_found_before_anything_runs() {
    let stage: fit::Fit =
        serde_json::from_value(json!({ "rule": "mean", "params": { "temprature": 1 } })).unwrap();
    let services = services();
    let mut site = CheckSite::new(&services, &[]);
    StageKind::check(&stage, &mut site);
    assert_eq!(site.problems.len(), 1);
    assert!(site.problems[0].option.starts_with("params"), "{}", site.problems[0].option);
}

#[test]
fn a_model_is_not_asked_about_rows_that_it_was_fitted_on() {
    let model = fit(json!({ "rule": "mean" }), study()).unwrap();
    let error = ask(model, study()).map(drop).unwrap_err();
    assert_eq!(error.code, Some(&codes::LEAK_MODEL_SAW_ROWS));
    assert!(error.message.contains("example a"), "{error}");
}

#[test]
fn a_model_is_not_asked_about_people_whom_it_was_fitted_on() {
    let (mut cohort, mut evidence, mut quality) = study();
    let train = (cohort.clone(), evidence.clone(), quality.clone());
    let model = fit(json!({ "rule": "mean" }), train).unwrap();
    // New recordings of people, one of whom was trained on; the cohort knows all recordings.
    let renamed = |ids: &Texts| ids.iter().map(|id| format!("new {id}")).collect::<Texts>();
    let both = |known: &Texts, new: &Texts| known.iter().chain(new.iter()).collect::<Texts>();
    let new = renamed(&cohort.example_id.take(0..6));
    cohort.example_id = both(&cohort.example_id, &new);
    let new = Texts::from_iter(["new 0", "new 1", "c", "new 3", "new 4", "new 5"]);
    cohort.group = both(&cohort.group, &new);
    cohort.label.extend_from_within(0..6);
    for modality in 0..2 {
        evidence[modality].example_id = renamed(&evidence[modality].example_id);
        quality[modality].example_id = renamed(&quality[modality].example_id);
    }
    let error = ask(model, (cohort, evidence, quality)).map(drop).unwrap_err();
    assert_eq!(error.code, Some(&codes::LEAK_GROUP));
    assert!(error.message.contains("group c is on both sides"), "{error}");
}
