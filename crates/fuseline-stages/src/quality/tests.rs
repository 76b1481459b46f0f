use std::collections::BTreeMap;

use arrow::array::Float64Array;
use fuseline_artifact::{Features, Texts};
use fuseline_engine::{Kind, StageKind};
use fuseline_stats::metrics::spearman;
use serde_json::{Value, json};

use super::*;
use crate::testing::{cohort, evidence, message, run};

mod out_of_fold;

const TRAIN: [(&str, f64); 3] = [("a", 0.9), ("b", 0.5), ("c", 0.2)];
const TEST: [(&str, f64); 2] = [("d", 0.25), ("e", 1.0)];

fn features() -> Features {
    Features {
        example_id: Texts::from_iter(["a", "b", "c", "d", "e"]),
        columns: vec![
            ("x".to_owned(), Float64Array::from(vec![Some(1.0), Some(3.0), None, Some(5.0), None])),
            ("y".to_owned(), Float64Array::from(vec![0.0, 0.0, 0.0, 2.0, f64::INFINITY])),
            ("quality".to_owned(), Float64Array::from(vec![0.1, 0.2, 0.3, 0.4, 0.5])),
        ],
    }
}

fn run_quality<K: StageKind>(options: Value, seed: u64) -> Result<[Quality; 2], StageError> {
    let rows: Vec<_> = [("a", 1), ("b", 0), ("c", 1), ("d", 0), ("e", 1)]
        .map(|(id, label)| (id.to_owned(), id.to_owned(), label))
        .into();
    let outputs = run::<K>(options, seed, &[], |inputs| {
        inputs
            .artifact("evidence_train", vec![], evidence("audio", &TRAIN))?
            .artifact("evidence_test", vec![], evidence("audio", &TEST))?
            .artifact("features", vec![], features())?
            .artifact("cohort", vec![], cohort(&rows))
    })?;
    Ok([outputs.get("train")?, outputs.get("test")?])
}

fn close(found: &[f64], expected: &[f64]) {
    within(1e-12, found, expected);
}

fn within(bound: f64, found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < bound, "{found} is not {expected}");
    }
}

#[test]
fn margin_is_the_first_choice_ahead_of_the_second_and_is_evidence_derived() {
    let [train, test] = run_quality::<margin::Margin>(json!({}), 1).unwrap();
    close(&train.quality, &[0.8, 0.0, 0.6]);
    close(&test.quality, &[0.5, 1.0]);
    assert!(train.evidence_derived && test.evidence_derived);
    assert_eq!((train.control, train.modality.as_str()), (Control::Native, "audio"));
    assert_eq!(test.example_id, Texts::from_iter(["d", "e"]));
}

#[test]
fn entropy_is_zero_for_equal_probabilities_and_one_for_certainty() {
    let [train, test] = run_quality::<entropy::Entropy>(json!({}), 1).unwrap();
    // scipy: 1 - entropy([0.1, 0.9]) / log(2), and so on.
    close(&train.quality, &[0.531004406410718, 0.0, 0.278071905112637]);
    close(&test.quality, &[0.188721875540867, 1.0]);
    assert!(test.evidence_derived);
}

#[test]
fn missingness_is_the_share_of_observed_features() {
    let options = json!({ "exclude": ["quality"] });
    let [train, test] = run_quality::<missingness::Missingness>(options, 1).unwrap();
    close(&train.quality, &[1.0, 1.0, 0.5]);
    close(&test.quality, &[1.0, 0.0]);
    assert!(!train.evidence_derived);
}

#[test]
fn in_distribution_uses_mean_and_sd_of_the_fitting_rows_and_observed_features_only() {
    let options = json!({ "exclude": ["quality"], "inner_folds": 3 });
    let error = run_quality::<in_distribution::InDistribution>(options, 1).unwrap_err();
    assert_eq!(error.message, "example e has no observed feature in modality audio");

    let options = json!({ "inner_folds": 3 });
    let [train, test] = run_quality::<in_distribution::InDistribution>(options, 1).unwrap();
    // Of the two other rows. a: x and y are constant, so their sds count as 1, quality has mean
    // 0.25 and sd 0.05; b: x is constant, quality has mean 0.2; c: x is missing, quality has mean
    // 0.15 and sd 0.05.
    close(&train.quality, &[-(2.0 + 3.0) / 3.0, -2.0 / 3.0, -3.0 / 2.0]);
    // x: mean 2, sd of (1, 3, 2) is sqrt(2/3); y is constant, so its sd counts as 1; quality: mean
    // 0.2, sd sqrt(0.02/3).
    let (sx, sq) = ((2.0_f64 / 3.0).sqrt(), (0.02_f64 / 3.0).sqrt());
    close(&test.quality, &[-(3.0 / sx + 2.0 + 0.2 / sq) / 3.0, -0.3 / sq]);
}

#[test]
fn a_measured_column_is_native_quality() {
    let [train, test] = run_quality::<column::QualityColumn>(json!({}), 1).unwrap();
    close(&train.quality, &[0.1, 0.2, 0.3]);
    close(&test.quality, &[0.4, 0.5]);
    assert_eq!((train.control, train.evidence_derived), (Control::Native, false));
}

#[test]
fn a_measured_column_with_gaps_needs_a_fill_value() {
    let options = json!({ "column": "x" });
    let error = run_quality::<column::QualityColumn>(options, 1).unwrap_err();
    assert_eq!(error.message, "column x of modality audio has no value for example c");
    let options = json!({ "column": "x", "fill": -1.0 });
    let [train, test] = run_quality::<column::QualityColumn>(options, 1).unwrap();
    close(&train.quality, &[1.0, 3.0, -1.0]);
    close(&test.quality, &[5.0, -1.0]);
    let error = run_quality::<column::QualityColumn>(json!({ "column": "qualty" }), 1).unwrap_err();
    assert_eq!(message(&error), "the features have no column qualty; did you mean quality");
}

#[test]
fn constant_and_random_are_negative_controls_and_aligned_is_the_positive_one() {
    let [train, _] = run_quality::<constant::Constant>(json!({}), 1).unwrap();
    close(&train.quality, &[1.0, 1.0, 1.0]);
    assert_eq!(train.control, Control::Negative);
    let [train, _] = run_quality::<random::Random>(json!({}), 1).unwrap();
    assert_eq!(train.control, Control::Negative);
    let [train, _] = run_quality::<aligned::Aligned>(json!({}), 1).unwrap();
    assert_eq!((train.control, train.evidence_derived), (Control::Positive, false));
}

#[test]
fn aligned_is_the_same_noise_whatever_alpha_plus_alpha_where_the_expert_is_right() {
    let [noise, noise_test] = run_quality::<aligned::Aligned>(json!({ "alpha": 0.0 }), 1).unwrap();
    let [full, full_test] = run_quality::<aligned::Aligned>(json!({ "alpha": 2.0 }), 1).unwrap();
    let signal = |full: &Quality, noise: &Quality| -> Vec<f64> {
        full.quality.iter().zip(&noise.quality).map(|(full, noise)| full - noise).collect()
    };
    // Decisions: a stress (right), b rest by the tie (right), c rest (wrong); d rest (right), e
    // stress (right).
    close(&signal(&full, &noise), &[2.0, 2.0, 0.0]);
    close(&signal(&full_test, &noise_test), &[2.0, 2.0]);
}

#[test]
fn a_class_cue_is_noise_plus_the_label_whichever_expert_is_right() {
    let of = |alpha: f64| run_quality::<class_cue::ClassCue>(json!({ "alpha": alpha }), 1).unwrap();
    let ([noise, noise_test], [full, full_test]) = (of(0.0), of(2.0));
    let signal = |full: &Quality, noise: &Quality| -> Vec<f64> {
        full.quality.iter().zip(&noise.quality).map(|(full, noise)| full - noise).collect()
    };
    close(&signal(&full, &noise), &[2.0, 0.0, 2.0]);
    close(&signal(&full_test, &noise_test), &[0.0, 2.0]);
    assert_eq!((full.control, full.source.as_str()), (Control::Positive, "class_cue"));
    let [aligned, _] = run_quality::<aligned::Aligned>(json!({ "alpha": 0.0 }), 1).unwrap();
    assert_ne!(aligned.quality, noise.quality, "each control has noise of its own");
}

#[test]
fn noise_belongs_to_the_example_and_differs_between_seeds_modalities_and_purposes() {
    let of = |seed, purpose, draw, modality: &str, ids: &[(&str, f64)]| -> BTreeMap<String, u64> {
        let evidence = evidence(modality, ids);
        let noise = noise(seed, purpose, draw, &evidence).map(f64::to_bits);
        evidence.example_id.iter().map(str::to_owned).zip(noise).collect()
    };
    let one = of(1, "p", 0, "audio", &[("a", 0.5), ("b", 0.5)]);
    let other = of(1, "p", 0, "audio", &[("b", 0.1), ("c", 0.1), ("a", 0.1)]);
    assert_eq!(
        (one["a"], one["b"]),
        (other["a"], other["b"]),
        "neither order nor neighbours matter"
    );
    assert_ne!(one["a"], one["b"]);
    for different in [
        of(2, "p", 0, "audio", &[("a", 0.5)]),
        of(1, "q", 0, "audio", &[("a", 0.5)]),
        of(1, "p", 0, "video", &[("a", 0.5)]),
        of(1, "p", 1, "audio", &[("a", 0.5)]),
    ] {
        assert_ne!(different["a"], one["a"]);
    }
}

#[test]
fn noise_is_standard_normal() {
    let ids: Vec<String> = (0..20_000).map(|row| format!("e{row}")).collect();
    let rows: Vec<_> = ids.iter().map(|id| (id.as_str(), 0.5)).collect();
    let evidence = evidence("audio", &rows);
    let noise: Vec<f64> = noise(3, "p", 0, &evidence).collect();
    let mean = noise.iter().sum::<f64>() / 20_000.0;
    let variance =
        noise.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / 20_000.0;
    // Four standard errors of mean and variance.
    assert!(mean.abs() < 4.0 / 141.0, "{mean}");
    assert!((variance - 1.0).abs() < 4.0 * 1.42 / 141.0, "{variance}");
}

#[test]
fn evidence_of_examples_that_the_features_lack_is_refused() {
    let outputs = run::<missingness::Missingness>(json!({}), 1, &[], |inputs| {
        inputs
            .artifact("evidence_train", vec![], evidence("audio", &[("z", 0.5)]))?
            .artifact("evidence_test", vec![], evidence("audio", &TEST))?
            .artifact("features", vec![], features())
    });
    let error = outputs.err().unwrap();
    assert_eq!(
        error.message,
        "example z has evidence of modality audio and is not in the features"
    );
}

#[test]
fn conformal_sets_are_calibrated_on_other_inner_folds_and_are_evidence_derived() {
    // Scores 1 - p(label) of a, b, c: 0.1, 0.5, 0.8; each an inner fold of its own. ceil(4 * 0.5) =
    // 2nd of three for test rows, ceil(3 * 0.5) = 2nd of the two others for training rows.
    let sizes = |coverage: f64| {
        let options = json!({ "coverage": coverage, "inner_folds": 3 });
        run_quality::<conformal_set_size::ConformalSetSize>(options, 1).unwrap()
    };
    let [train, test] = sizes(0.5);
    assert!(train.evidence_derived && test.evidence_derived);
    // a: threshold 0.8, 1 - p = 0.1 and 0.9; b: threshold 0.8, 0.5 twice; c: threshold 0.5, 0.8 and
    // 0.2.
    assert_eq!(train.quality, [-1.0, -2.0, -1.0]);
    assert_eq!(test.quality, [-1.0, -1.0]);
    let [train, test] = sizes(0.99);
    assert_eq!(train.quality, [-2.0; 3], "too few rows to promise so much: every class");
    assert_eq!(test.quality, [-2.0; 2]);
}

/// 24 groups of 5; `x` tells the label, but for the test row `odd`, which is far on the wrong side
/// of everything known.
fn ensemble(options: Value) -> Result<[Quality; 2], StageError> {
    let ids: Vec<String> = (0..120).map(|row| format!("e{row:03}")).collect();
    let rows = ids
        .iter()
        .enumerate()
        .map(|(row, id)| (id.clone(), format!("g{:02}", row / 5), u32::from(row % 3 == 0)));
    let rows: Vec<_> = rows.collect();
    let column =
        |of: &dyn Fn(usize) -> f64| (0..120).map(|row| Some(of(row))).collect::<Float64Array>();
    let features = Features {
        example_id: Texts::from_iter(&ids),
        columns: vec![
            (
                "x".to_owned(),
                column(&|row| if row % 3 == 0 { 1.0 } else { -1.0 } + (row % 7) as f64 / 3.0),
            ),
            ("y".to_owned(), column(&|row| if row == 100 { 40.0 } else { (row % 5) as f64 / 5.0 })),
        ],
    };
    let of = |range: std::ops::Range<usize>| -> Vec<(&str, f64)> {
        range.map(|row| (ids[row].as_str(), 0.5)).collect()
    };
    let outputs = run::<ensemble_variance::EnsembleVariance>(options, 3, &[], |inputs| {
        inputs
            .artifact("evidence_train", vec![], evidence("audio", &of(0..100)))?
            .artifact("evidence_test", vec![], evidence("audio", &of(100..120)))?
            .artifact("features", vec![], features)?
            .artifact("cohort", vec![], cohort(&rows))
    })?;
    Ok([outputs.get("train")?, outputs.get("test")?])
}

#[test]
fn an_ensemble_disagrees_most_where_no_training_row_was() {
    let [train, test] = ensemble(json!({ "members": 12 })).unwrap();
    assert!(!train.evidence_derived);
    assert!(train.quality.iter().chain(&test.quality).all(|quality| *quality < 0.0));
    let (odd, others) = test.quality.split_first().unwrap();
    assert!(others.iter().all(|other| odd < other), "{odd} against {others:?}");
    assert_ne!(train.quality, ensemble(json!({ "members": 16 })).unwrap()[0].quality);
}

#[test]
fn a_modality_is_compared_with_others_that_arrive_and_with_no_control() {
    let conflict = |modalities: &[&str]| {
        let outputs = run::<conflict::Conflict>(json!({}), 1, &[], |mut inputs| {
            inputs = inputs
                .artifact("evidence_train", vec![], evidence("audio", &TRAIN))?
                .artifact("evidence_test", vec![], evidence("audio", &TEST))?;
            for (port, rows) in [("all_train", &TRAIN[..]), ("all_test", &TEST[..])] {
                for modality in modalities {
                    inputs = inputs.artifact(port, vec![], evidence(modality, rows))?;
                }
            }
            Ok(inputs)
        })?;
        outputs.get::<Quality>("test")
    };
    assert_eq!(conflict(&["audio", "video"]).unwrap().quality[..], [0.0, 0.0]);
    assert_eq!(
        message(&conflict(&["audio"]).unwrap_err()),
        "nothing but modality audio itself arrives at all_train; select all modalities, as in \
         `[modality=a|b]`: an axis that is shared is matched"
    );
    let relative = |change: &dyn Fn(&mut Quality)| {
        let outputs = run::<relative::Relative>(json!({}), 1, &[], |mut inputs| {
            inputs = inputs
                .artifact("evidence_train", vec![], evidence("audio", &TRAIN))?
                .artifact("evidence_test", vec![], evidence("audio", &TEST))?;
            for (port, rows) in [("qualities_train", &TRAIN[..]), ("qualities_test", &TEST[..])] {
                for modality in ["audio", "video"] {
                    let mut of = crate::testing::quality(modality, rows);
                    change(&mut of);
                    inputs = inputs.artifact(port, vec![], of)?;
                }
            }
            Ok(inputs)
        })?;
        outputs.get::<Quality>("test")
    };
    let found = relative(&|_| {}).unwrap();
    assert_eq!((&found.quality[..], found.evidence_derived), (&[0.0, 0.0][..], false));
    let control = relative(&|of| of.control = Control::Negative).unwrap_err();
    assert!(control.message.ends_with("would pass for an estimate"), "{control:?}");
    let other = |of: &mut Quality| of.source = format!("of {}", of.modality);
    assert_eq!(
        relative(&other).unwrap_err().message,
        "qualities by of audio and by of video have no common scale"
    );
}

#[test]
fn held_is_the_mean_over_training_rows_and_over_test_rows_where_there_are_none() {
    let held = |train: &[(&str, f64)]| {
        let outputs = run::<held::Held>(json!({}), 1, &[], |inputs| {
            inputs
                .artifact("evidence_train", vec![], evidence("audio", train))?
                .artifact("evidence_test", vec![], evidence("audio", &TEST))?
                .artifact("qualities_train", vec![], crate::testing::quality("audio", train))?
                .artifact("qualities_test", vec![], crate::testing::quality("audio", &TEST))?
                .artifact("qualities_test", vec![], crate::testing::quality("video", &TRAIN))
        })
        .unwrap();
        let [train, test]: [Quality; 2] =
            [outputs.get("train").unwrap(), outputs.get("test").unwrap()];
        assert_eq!(test.control, Control::Negative);
        [train.quality.to_vec(), test.quality.to_vec()]
    };
    let [train, test] = held(&TRAIN);
    close(&train, &[1.6 / 3.0; 3]);
    close(&test, &[1.6 / 3.0; 2]);
    assert_eq!(held(&[]), [vec![], vec![0.625; 2]]);
}

#[test]
fn passes_are_named_by_a_pattern_and_hold_probabilities_of_every_class() {
    let with = |columns: &[(&str, f64)]| {
        let column =
            |(name, value): &(&str, f64)| ((*name).to_owned(), Float64Array::from(vec![*value; 5]));
        let features = Features {
            example_id: Texts::from_iter(["a", "b", "c", "d", "e"]),
            columns: columns.iter().map(column).collect(),
        };
        let options = json!({ "passes": "^p([0-9])_(.+)$" });
        let outputs = run::<mutual_information::MutualInformation>(options, 1, &[], |inputs| {
            inputs
                .artifact("evidence_train", vec![], evidence("audio", &TRAIN))?
                .artifact("evidence_test", vec![], evidence("audio", &TEST))?
                .artifact("features", vec![], features)
        })?;
        outputs.get::<Quality>("test")
    };
    let first = [("p0_rest", 1.0), ("p0_stress", 0.0), ("x", 3.0)];
    let found = with(&[&first[..], &[("p1_rest", 0.0), ("p1_stress", 1.0)]].concat()).unwrap();
    close(&found.quality, &[-std::f64::consts::LN_2; 2]);
    for (more, said) in [
        (&[][..], "the features of modality audio have columns of 1 passes, and disagreement"),
        (&[("p1_rest", 0.5)], "pass 1 has no column of class stress"),
        (&[("p1_calm", 0.5)], "column p1_calm is of class calm, which there is not"),
        (&[("p1_rest", 0.5), ("p1_stress", 0.6)], "[0.5, 0.6] of pass 1 for example a are no"),
    ] {
        let error = with(&[&first[..], more].concat()).unwrap_err();
        assert!(error.message.starts_with(said), "{error:?}");
    }
}
