use std::collections::BTreeSet;

use arrow::array::{Array, Float64Array};
use fuseline_artifact::{Cohort, Evidence, Features, Folds, Texts};
use fuseline_engine::StageError;
use serde_json::{Value, json};

use super::degrade::Degrade;
use super::outage::Outage;
use crate::testing::{cohort, message, run};

/// 40 groups of 25 examples.
fn large() -> Cohort {
    let rows: Vec<_> = (0..1000)
        .map(|row| (format!("e{row:04}"), format!("g{:02}", row / 25), u32::from(row % 2 == 0)))
        .collect();
    cohort(&rows)
}

fn evidence(modality: &str, cohort: &Cohort) -> Evidence {
    Evidence {
        modality: modality.to_owned(),
        classes: cohort.classes.clone(),
        example_id: cohort.example_id.clone(),
        probabilities: (0..cohort.len())
            .flat_map(|row| [row as f64 / 1e3, 1.0 - row as f64 / 1e3])
            .collect(),
        inner_fold: None,
        logits: None,
    }
}

/// The examples that lost the modality.
fn lost(modality: &str, options: Value) -> BTreeSet<String> {
    let cohort = large();
    let before = evidence(modality, &cohort);
    let after: Evidence = run::<Outage>(options, 7, &[], |inputs| {
        inputs.artifact("evidence", vec![], before.clone())?.artifact("cohort", vec![], cohort)
    })
    .unwrap()
    .get("evidence")
    .unwrap();
    let kept: BTreeSet<&str> = after.example_id.iter().collect();
    for (id, row) in after.example_id.iter().zip(after.probabilities.chunks(2)) {
        let was = before.example_id.iter().position(|known| known == id).unwrap();
        assert_eq!(row, &before.probabilities[2 * was..][..2], "evidence that is left stays");
    }
    before.example_id.iter().filter(|id| !kept.contains(id)).map(str::to_owned).collect()
}

#[test]
fn random_outages_hit_their_share_and_a_higher_rate_hits_more_of_the_same() {
    let (some, more) =
        (lost("audio", json!({ "rate": 0.2 })), lost("audio", json!({ "rate": 0.5 })));
    // Four binomial standard deviations.
    assert!((some.len() as f64 - 200.0).abs() < 51.0, "{}", some.len());
    assert!((more.len() as f64 - 500.0).abs() < 64.0, "{}", more.len());
    assert!(some.is_subset(&more));
    assert_ne!(some, lost("video", json!({ "rate": 0.2 })));
    assert!(lost("audio", json!({ "rate": 0.0 })).is_empty());
    assert_eq!(lost("audio", json!({ "rate": 1.0 })).len(), 1000);
    assert!(lost("audio", json!({ "rate": 1.0, "modalities": ["video"] })).is_empty());
}

#[test]
fn bursts_are_runs_within_groups_of_the_stated_mean_length() {
    let out = lost("audio", json!({ "pattern": "burst", "rate": 0.3, "length": 5 }));
    assert!((out.len() as f64 - 300.0).abs() < 120.0, "{}", out.len());
    let is_out: Vec<bool> = large().example_id.iter().map(|id| out.contains(id)).collect();
    // How often an outage goes on from one example of a group to the next: 1 - 1 / length.
    let pairs: Vec<[bool; 2]> = is_out
        .chunks(25)
        .flat_map(|group| group.windows(2).map(|pair| [pair[0], pair[1]]))
        .filter(|pair| pair[0])
        .collect();
    let on = pairs.iter().filter(|pair| pair[1]).count() as f64 / pairs.len() as f64;
    assert!((on - 0.8).abs() < 0.1, "{on}");
}

#[test]
fn one_of_the_spared_modalities_always_stays() {
    let spare = json!(["audio", "video"]);
    let of = |name, rate| lost(name, json!({ "rate": rate, "spare": spare }));
    let (audio, video) = (of("audio", 1.0), of("video", 1.0));
    assert!(audio.is_disjoint(&video));
    assert_eq!(audio.len() + video.len(), 1000);
    assert!((audio.len() as f64 - 500.0).abs() < 64.0);
    assert!(of("audio", 0.6).is_disjoint(&of("video", 0.6)));
}

#[test]
fn a_natural_outage_takes_the_whole_pattern_of_a_donor() {
    // Donors have audio or video, never both.
    let donors: Vec<_> = (0..50).map(|row| (format!("d{row:02}"), format!("d{row}"), 0)).collect();
    let left = |modality: &str, rest: usize| -> BTreeSet<String> {
        let ids = (0..50).filter(|row| row % 2 == rest).map(|row| format!("d{row:02}"));
        let features = Features {
            example_id: Texts::from_iter(ids),
            columns: vec![("x".to_owned(), Float64Array::from(vec![1.0; 25]))],
        };
        let after: Evidence = run::<Outage>(json!({ "pattern": "natural" }), 7, &[], |inputs| {
            inputs
                .artifact("evidence", vec![], evidence(modality, &large()))?
                .artifact("cohort", vec![], large())?
                .artifact("donors", vec![], cohort(&donors))?
                .artifact("donor_features", vec![], features)
        })
        .unwrap()
        .get("evidence")
        .unwrap();
        after.example_id.iter().map(str::to_owned).collect()
    };
    let (audio, video) = (left("audio", 0), left("video", 1));
    assert!(audio.is_disjoint(&video), "no donor has both");
    assert_eq!(audio.len() + video.len(), 1000, "every donor has one");
    let error = run::<Outage>(json!({ "pattern": "natural" }), 7, &[], |inputs| {
        inputs.artifact("evidence", vec![], evidence("audio", &large()))?.artifact(
            "cohort",
            vec![],
            large(),
        )
    })
    .map(|_| ())
    .unwrap_err();
    assert!(message(&error).starts_with("the pattern natural needs the input donors"));
}

/// The features of 1,000 examples before and after, tested in fold 1: the odd groups. `x` has sd 2
/// over the training rows, and 100 over the test rows.
fn degraded(options: Value) -> Result<(Features, Features, Vec<bool>), StageError> {
    let cohort = large();
    let tested: Vec<bool> = (0..1000).map(|row| row / 25 % 2 == 1).collect();
    let value = |row: usize| {
        let side = if row.is_multiple_of(2) { 1.0 } else { -1.0 };
        side * if tested[row] { 100.0 } else { 2.0 }
    };
    let before = Features {
        example_id: cohort.example_id.clone(),
        columns: vec![
            ("x".to_owned(), (0..1000).map(|row| (row != 30).then(|| value(row))).collect()),
            ("quality".to_owned(), Float64Array::from(vec![1.0; 1000])),
        ],
    };
    let folds = Folds {
        example_id: cohort.example_id.clone(),
        fold: tested.iter().map(|tested| i32::from(*tested)).collect(),
    };
    let after = run::<Degrade>(options, 7, &[("modality", "audio")], |inputs| {
        inputs
            .artifact("features", vec![], before.clone())?
            .artifact("cohort", vec![], cohort)?
            .artifact("folds", vec![], folds)
    })?
    .get("features")?;
    Ok((before, after, tested))
}

/// Values added to each test row that is still there.
fn added(options: Value) -> Vec<f64> {
    let (before, after, tested) = degraded(options).unwrap();
    assert_eq!(before.example_id, after.example_id);
    assert_eq!(before.columns[1], after.columns[1], "an excluded column stays");
    let (before, after) = (&before.columns[0].1, &after.columns[0].1);
    let mut added = Vec::new();
    for (row, tested) in tested.into_iter().enumerate() {
        if !tested {
            assert_eq!(before.value(row), after.value(row), "a training row stays");
        } else if after.is_valid(row) {
            assert!(before.is_valid(row), "what is missing stays missing");
            added.push(after.value(row) - before.value(row));
        }
    }
    added
}

fn rms(values: &[f64]) -> f64 {
    (values.iter().map(|value| value * value).sum::<f64>() / values.len() as f64).sqrt()
}

#[test]
fn noise_has_the_stated_size_in_training_sds_and_touches_test_rows_alone() {
    let of =
        |severity| added(json!({ "test_fold": 1, "severity": severity, "exclude": ["quality"] }));
    let (one, two) = (of(1.0), of(2.0));
    assert_eq!(one.len(), 499);
    // 2 per sd of x over the training rows; its own sampling error is 2 / sqrt(2 * 499).
    assert!((rms(&one) - 2.0).abs() < 0.26, "{}", rms(&one));
    for (one, two) in one.iter().zip(&two) {
        assert!((2.0 * one - two).abs() < 1e-9, "the same noise, twice as large");
    }
    assert!(of(0.0).iter().all(|added| *added == 0.0));
}

#[test]
fn dropout_takes_the_stated_share_of_the_values() {
    let left =
        added(json!({ "test_fold": 1, "by": "dropout", "severity": 0.4, "exclude": ["quality"] }));
    assert!((left.len() as f64 - 299.4).abs() < 44.0, "{}", left.len());
    assert!(left.iter().all(|added| *added == 0.0));
}

#[test]
fn drift_starts_at_nothing_and_grows_evenly_within_a_group() {
    let added =
        added(json!({ "test_fold": 1, "by": "drift", "severity": 3.0, "exclude": ["quality"] }));
    // The first tested group lacks row 30, so look at the others.
    let groups: Vec<&[f64]> = added[24..].chunks(25).collect();
    let ends: Vec<f64> = groups.iter().map(|group| group[24]).collect();
    for (group, end) in groups.iter().zip(&ends) {
        assert_eq!(group[0], 0.0);
        assert!((group[12] - end / 2.0).abs() < 1e-9);
    }
    assert!((rms(&ends) - 6.0).abs() < 4.0, "{}", rms(&ends));
}

#[test]
fn a_modality_that_is_not_hit_and_an_unknown_column_are_told_apart() {
    let options = json!({ "test_fold": 1, "severity": 1.0, "modalities": ["video"] });
    let (before, after, _) = degraded(options).unwrap();
    assert_eq!(before, after);
    let error =
        degraded(json!({ "test_fold": 1, "severity": 1.0, "exclude": ["qualty"] })).unwrap_err();
    assert_eq!(message(&error), "the features have no column qualty; did you mean quality");
}
