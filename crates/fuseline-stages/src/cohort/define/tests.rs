use arrow::array::{Float64Array, StringArray};
use serde_json::{Value, json};

use super::*;

fn stage(options: Value) -> DefineCohort {
    let mut all = json!({
        "group": { "pattern": "^([^_]+)_" },
        "label": { "pattern": "_([^_.]+)", "classes": { "stress": ["Math", "Stroop"], "rest": ["Reading"] } },
    });
    for (name, value) in options.as_object().unwrap() {
        all[name] = value.clone();
    }
    serde_json::from_value(all).unwrap()
}

fn features(modality: &str, ids: &[&str]) -> Labelled<Features> {
    Labelled {
        point: vec![("modality".to_owned(), modality.to_owned())],
        artifact: Features {
            example_id: StringArray::from_iter_values(ids),
            columns: vec![("a".to_owned(), Float64Array::from(vec![1.0; ids.len()]))],
        },
    }
}

fn two_modalities() -> Vec<Labelled<Features>> {
    vec![
        features("physio", &["b_Math", "b_Reading", "b_Relax", "a_Stroop"]),
        features("audio", &["a_Stroop", "b_Math", "b_Reading", "b_Relax", "c_Reading"]),
    ]
}

#[test]
fn complete_keeps_what_every_modality_has_ordered_by_example_id() {
    let stage = stage(json!({}));
    let features = two_modalities();
    let cohort = stage.define(&stage.join(&features).unwrap()).unwrap();
    assert_eq!(cohort.example_id, ["a_Stroop", "b_Math", "b_Reading"]);
    assert_eq!(cohort.group, ["a", "b", "b"]);
    assert_eq!(
        cohort.classes,
        ["stress", "rest"],
        "classes keep the order in which they were written"
    );
    assert_eq!(cohort.label, [0, 0, 1]);
}

#[test]
fn any_keeps_what_at_least_one_modality_has() {
    let stage = stage(json!({ "require": "any" }));
    let features = two_modalities();
    let cohort = stage.define(&stage.join(&features).unwrap()).unwrap();
    assert_eq!(cohort.example_id, ["a_Stroop", "b_Math", "b_Reading", "c_Reading"]);
}

#[test]
fn without_a_group_each_example_stands_alone() {
    let stage = stage(json!({ "group": null }));
    let cohort = stage.define(&["b_Math", "b_Reading"]).unwrap();
    assert_eq!(cohort.group, cohort.example_id);
}

#[test]
fn an_empty_join_says_what_each_modality_has() {
    let features = vec![features("physio", &["a_Math"]), features("audio", &["a_Math.wav"])];
    let error = stage(json!({})).join(&features).unwrap_err();
    assert_eq!(error.message, "no example is in every modality");
    assert_eq!(
        error.hint.as_deref(),
        Some(
            "compare the example_ids: physio has 1, such as a_Math; audio has 1, such as a_Math.wav"
        )
    );
}

#[test]
fn a_class_without_examples_is_an_error_that_lists_the_unused_label_texts() {
    let error = stage(json!({})).define(&["a_Math", "a_Relax"]).unwrap_err();
    assert_eq!(error.message, "no example is of class rest");
    assert_eq!(error.hint.as_deref(), Some("label texts in no class: Relax"));
    assert_eq!(error.option.as_deref(), Some("label.classes.rest"));
}

#[test]
fn an_example_id_that_a_pattern_does_not_match_is_named() {
    let error = stage(json!({})).define(&["aMath"]).unwrap_err();
    assert_eq!(error.message, "the pattern _([^_.]+) does not match the example_id aMath");
    assert_eq!(error.option.as_deref(), Some("label.pattern"));
}
