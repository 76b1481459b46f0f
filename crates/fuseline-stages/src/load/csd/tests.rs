use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;

const FILE: &[u8] = include_bytes!("../../../tests/fixtures/load/covarep.csd");

fn read(options: Value) -> Result<Features, StageError> {
    let mut all = json!({ "path": "/data/covarep.csd" });
    for (name, value) in options.as_object().unwrap() {
        all[name] = value.clone();
    }
    let stage: LoadCsd = serde_json::from_value(all).unwrap();
    stage.read(FILE.to_vec(), || Ok(()), &mut Outputs::default())
}

#[test]
fn the_rows_of_a_video_are_pooled_as_numpy_pools_them() {
    let features = read(json!({ "id": r"^([^\[]+)" })).unwrap();
    let names: Vec<_> = features.columns.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["f0.mean", "f0.sd", "vuv.mean", "vuv.sd", "naq.mean", "naq.sd"]);
    let expected: BTreeMap<String, Vec<f64>> =
        serde_json::from_str(include_str!("../../../tests/fixtures/load/covarep.json")).unwrap();
    let ids: Vec<_> = features.example_id.iter().collect();
    assert_eq!(ids, expected.keys().collect::<Vec<_>>(), "a video without rows is left out");
    for (row, id) in ids.iter().enumerate() {
        for ((name, column), expected) in features.columns.iter().zip(&expected[*id]) {
            let found = column.value(row);
            assert!((found - expected).abs() < 1e-12, "{id} {name}: {found}, not {expected}");
        }
    }
}

#[test]
fn rows_count_as_long_as_they_last_where_that_is_wanted() {
    let file = include_bytes!("../../../tests/fixtures/load/words.csd");
    let read = |weight: &str| {
        let options = json!({ "path": "/data/words.csd", "weight": weight });
        let stage: LoadCsd = serde_json::from_value(options).unwrap();
        stage.read(file.to_vec(), || Ok(()), &mut Outputs::default()).unwrap()
    };
    let expected: BTreeMap<String, Vec<f64>> =
        serde_json::from_str(include_str!("../../../tests/fixtures/load/words.json")).unwrap();
    let features = read("duration");
    for (row, expected) in expected.values().enumerate() {
        for ((name, column), expected) in features.columns.iter().zip(expected) {
            let found = column.value(row);
            assert!((found - expected).abs() < 1e-12, "{name}: {found}, not {expected}");
        }
    }
    assert_ne!(features, read("rows"));
}

#[test]
fn segments_stay_apart_without_a_pattern_and_other_pools_can_be_chosen() {
    let features = read(json!({ "pool": ["max"], "columns": { "exclude": ["vuv.max"] } })).unwrap();
    let ids: Vec<_> = features.example_id.iter().collect();
    assert_eq!(ids, ["vid_a[0]", "vid_a[1]", "vid_b", "vid_c"]);
    let names: Vec<_> = features.columns.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["f0.max", "naq.max"]);
}

#[test]
fn an_infinite_value_is_named_where_it_is_an_error_and_kept_where_it_is_wanted() {
    let error = read(json!({ "non_finite": "error" })).unwrap_err();
    assert_eq!(error.message, "inf in feature 0 of video vid_b of covarep.csd");
    assert_eq!(error.option.as_deref(), Some("non_finite"));
    let kept = read(json!({ "non_finite": "keep", "pool": ["min"] })).unwrap();
    assert_eq!(kept.columns[1].1.value(2), f64::NEG_INFINITY);
}

#[test]
fn a_sequence_that_is_not_there_and_a_file_that_is_not_hdf5_are_refused() {
    let error = read(json!({ "sequence": "OpenFace" })).unwrap_err();
    assert_eq!(error.message, "covarep.csd has no sequence OpenFace");
    assert_eq!(error.hint.as_deref(), Some("its sequences are COVAREP"));
    let stage: LoadCsd = serde_json::from_value(json!({ "path": "/data/x.csd" })).unwrap();
    let error = stage.read(b"video,a\n".to_vec(), || Ok(()), &mut Outputs::default()).unwrap_err();
    assert_eq!(error.message, "x.csd is text");
}

#[test]
fn a_damaged_file_is_an_error_wherever_it_is_cut() {
    let stage: LoadCsd = serde_json::from_value(json!({ "path": "/data/x.csd" })).unwrap();
    for length in (0..FILE.len() - 1).step_by(97) {
        // Cut in padding or in what is not read, the file may be whole; it must not panic, nor give
        // other numbers.
        if let Ok(features) =
            stage.read(FILE[..length].to_vec(), || Ok(()), &mut Outputs::default())
        {
            assert_eq!(features, read(json!({})).unwrap());
        }
    }
}
