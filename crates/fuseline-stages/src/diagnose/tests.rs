use fuseline_artifact::{
    Cohort, Control, Evidence, ExampleEffects, Findings, Model, Permutations, Quality, Texts,
};
use fuseline_engine::{Outputs, StageError};
use serde_json::{Value, json};

use super::permute_quality::PermuteQuality;
use super::summarize::Summarize;
use crate::fusion::fit::Fit;
use crate::testing::{cohort, evidence, message, quality, run};

mod agreement;

/// Forty examples in ten groups; each expert is right where its quality is high.
pub(super) struct Study {
    pub cohort: Cohort,
    pub evidence: Vec<Evidence>,
    pub quality: Vec<Quality>,
}

pub(super) fn study() -> Study {
    let rows: Vec<_> = (0..40)
        .map(|row| (format!("e{row:02}"), format!("g{}", row / 4), u32::from(row % 3 == 0)))
        .collect();
    let of = |shift: usize| {
        let good = |row: usize| (row + shift).is_multiple_of(2);
        let stress = |row: usize| {
            let towards = if good(row) == row.is_multiple_of(3) { 0.7 } else { 0.3 };
            towards + (row * 7 % 11) as f64 / 100.0
        };
        let high = |row: usize| f64::from(u8::from(good(row))) + (row * 5 % 13) as f64 / 26.0;
        let ids: Vec<&str> = rows.iter().map(|(id, _, _)| id.as_str()).collect();
        let stress: Vec<_> = ids.iter().enumerate().map(|(row, id)| (*id, stress(row))).collect();
        let high: Vec<_> = ids.iter().enumerate().map(|(row, id)| (*id, high(row))).collect();
        (stress, high)
    };
    let (audio, audio_quality) = of(0);
    let (video, video_quality) = of(1);
    Study {
        evidence: vec![evidence("audio", &audio), evidence("video", &video)],
        quality: vec![quality("audio", &audio_quality), quality("video", &video_quality)],
        cohort: cohort(&rows),
    }
}

/// The same rows under other example_ids and groups: no model may be asked about rows that it was
/// fitted on.
fn fitted_on(study: &Study) -> Study {
    let other = |ids: &Texts| ids.iter().map(|id| format!("fitted {id}")).collect();
    let Study { mut cohort, mut evidence, mut quality } = Study {
        cohort: study.cohort.clone(),
        evidence: study.evidence.clone(),
        quality: study.quality.clone(),
    };
    (cohort.example_id, cohort.group) = (other(&cohort.example_id), other(&cohort.group));
    evidence.iter_mut().for_each(|of| of.example_id = other(&of.example_id));
    quality.iter_mut().for_each(|of| of.example_id = other(&of.example_id));
    Study { cohort, evidence, quality }
}

/// Fits a rule, on [`fitted_on`].
pub(super) fn fit(study: &Study, rule: &str) -> Model {
    let Study { cohort, evidence, quality } = fitted_on(study);
    run::<Fit>(json!({ "rule": rule }), 1, &[], |mut inputs| {
        inputs = inputs.artifact("cohort", vec![], cohort)?;
        for (evidence, quality) in evidence.into_iter().zip(quality) {
            inputs = inputs.artifact("evidence", vec![], evidence)?.artifact(
                "quality",
                vec![],
                quality,
            )?;
        }
        Ok(inputs)
    })
    .unwrap()
    .get("model")
    .unwrap()
}

fn permute(
    study: &Study,
    rule: &str,
    options: Value,
) -> Result<(Permutations, ExampleEffects), StageError> {
    let outputs = permuted(study, rule, options)?;
    Ok((outputs.get("permutations")?, outputs.get("effects")?))
}

fn permuted(study: &Study, rule: &str, options: Value) -> Result<Outputs, StageError> {
    let model = fit(study, rule);
    let training = fitted_on(study);
    let mut cohort = study.cohort.clone();
    let both = |tested: &Texts, fitted: &Texts| tested.iter().chain(fitted.iter()).collect();
    cohort.example_id = both(&cohort.example_id, &training.cohort.example_id);
    cohort.group = both(&cohort.group, &training.cohort.group);
    cohort.label.extend(&training.cohort.label);
    run::<PermuteQuality>(options, 1, &[], |mut inputs| {
        inputs = inputs.artifact("model", vec![], model)?.artifact("cohort", vec![], cohort)?;
        for (evidence, quality) in study.evidence.iter().zip(&study.quality) {
            inputs = inputs.artifact("evidence", vec![], evidence.clone())?.artifact(
                "quality",
                vec![],
                quality.clone(),
            )?;
        }
        for (evidence, quality) in training.evidence.iter().zip(&training.quality) {
            inputs = inputs.artifact("evidence_train", vec![], evidence.clone())?.artifact(
                "quality_train",
                vec![],
                quality.clone(),
            )?;
        }
        Ok(inputs)
    })
}

#[test]
fn a_rule_that_ignores_quality_is_not_moved_by_any_permutation() {
    let (permutations, effects) = permute(&study(), "mean", json!({ "permutations": 30 })).unwrap();
    for class in 0..2 {
        let of_class: Vec<i64> =
            permutations.correct.iter().skip(class).step_by(2).copied().collect();
        assert!(of_class.iter().all(|correct| *correct == of_class[0]));
    }
    assert!(effects.flips.iter().all(|flips| *flips == 0));
    assert!(effects.probability_shift.iter().all(|shift| *shift == 0.0));
}

#[test]
fn counts_by_permutation_and_effects_by_example_tell_the_same_story() {
    let study = study();
    let (permutations, effects) =
        permute(&study, "weighted_mean", json!({ "permutations": 300 })).unwrap();
    assert_eq!(permutations.permutation[..4], [-1, -1, 0, 0]);
    assert_eq!(permutations.permutation.len(), 2 * 301);
    for class in 0..2_u32 {
        let by_permutation: Vec<i64> =
            permutations.correct.iter().skip(class as usize).step_by(2).copied().collect();
        let rows = || (0..40).filter(|&row| study.cohort.label[row] == class);
        assert_eq!(permutations.n[class as usize], rows().count() as i64);
        let clean = rows().filter(|&row| effects.clean_correct[row]).count() as i64;
        assert_eq!(by_permutation[0], clean);
        let broken: i64 = rows().map(|row| effects.broken_correct[row]).sum();
        assert_eq!(by_permutation[1..].iter().sum::<i64>(), broken);
    }
    // Two classes: a decision flips exactly when it changes between right and wrong.
    for row in 0..40 {
        let wrong = 300 - effects.broken_correct[row];
        let expected = if effects.clean_correct[row] { wrong } else { effects.broken_correct[row] };
        assert_eq!(effects.flips[row], expected);
    }
    assert!(effects.flips.iter().sum::<i64>() > 0);
}

#[test]
fn the_same_bits_come_out_of_one_thread_and_of_many() {
    let study = study();
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| permute(&study, "lr", json!({ "permutations": 1000 })).unwrap())
    };
    assert_eq!(with(1), with(4));
}

#[test]
fn every_scheme_keeps_the_number_of_permutations_but_constant_has_one_outcome() {
    let study = study();
    for scheme in [
        "per_modality",
        "within_group",
        "whole_groups",
        "conditional",
        "derangement",
        "modality_swap",
        "within_class",
        "within_correct",
        "conditional_residual",
    ] {
        let options = json!({ "permutations": 12, "scheme": scheme, "bins": 2 });
        let (permutations, effects) = permute(&study, "weighted_mean", options).unwrap();
        assert_eq!((permutations.scheme.as_str(), effects.permutations), (scheme, 12));
        assert!(effects.probability_shift.iter().any(|shift| *shift > 0.0), "{scheme}");
    }
    let options = json!({ "permutations": 12, "scheme": "constant" });
    let (_, effects) = permute(&study, "weighted_mean", options).unwrap();
    assert_eq!(effects.permutations, 1);
}

#[test]
fn decisions_that_the_order_of_classes_makes_are_cautioned_of() {
    let mut study = study();
    let cautions = |study: &Study| {
        let options = json!({ "permutations": 2 });
        permuted(study, "weighted_mean", options).unwrap().cautions().to_vec()
    };
    assert_eq!(cautions(&study), [""; 0]);
    for of in &mut study.evidence {
        of.probabilities = [vec![0.5; 4 * 2], of.probabilities[4 * 2..].to_vec()].concat().into();
    }
    assert!(cautions(&study)[0].starts_with("4 of 40 decisions under Clean-Q"));
}

#[test]
fn quality_of_one_value_in_a_group_cannot_change_within_groups() {
    let mut study = study();
    for quality in &mut study.quality {
        quality.quality = (0..40).map(|row| f64::from(row / 4)).collect();
    }
    let moved = |scheme: &str| {
        let options = json!({ "permutations": 12, "scheme": scheme });
        permute(&study, "weighted_mean", options).unwrap().0.quality_moved.unwrap()
    };
    assert_eq!(moved("within_group"), 0.0);
    close(moved("joint"), 36.0);
}

#[test]
fn margins_are_evidence_and_leave_nothing_to_exchange() {
    let mut study = study();
    for (quality, evidence) in study.quality.iter_mut().zip(&study.evidence) {
        let margins = evidence.probabilities.chunks(2).map(|p| (p[0] - p[1]).abs());
        quality.quality = margins.collect();
    }
    let options = json!({ "permutations": 30, "scheme": "conditional_residual" });
    let (permutations, effects) = permute(&study, "lr", options).unwrap();
    assert_eq!(permutations.quality_moved, Some(0.0));
    assert_eq!((effects.flips, effects.probability_shift), (vec![0; 40], vec![0.0; 40]));
}

#[test]
fn one_modality_alone_can_be_broken() {
    let study = study();
    let of = |modalities| {
        let options = json!({ "permutations": 20, "modalities": modalities });
        permute(&study, "weighted_mean", options).map(|(_, effects)| effects.probability_shift)
    };
    let (audio, both) = (of(json!(["audio"])).unwrap(), of(json!(null)).unwrap());
    assert!(audio.iter().any(|shift| *shift > 0.0));
    assert_ne!(audio, both);
    let error = of(json!(["odour"])).unwrap_err();
    assert_eq!(message(&error), "there is no modality odour; the modalities are audio, video");
}

/// Two folds of four examples, one group each; fold 1 has no video.
fn two_folds(
    change: impl FnOnce(&mut Vec<Quality>, &mut Vec<ExampleEffects>),
) -> Result<Findings, StageError> {
    two_folds_with(&[], change)
}

/// `training`: training evidence, each with its fold.
fn two_folds_with(
    training: &[(&str, Evidence)],
    change: impl FnOnce(&mut Vec<Quality>, &mut Vec<ExampleEffects>),
) -> Result<Findings, StageError> {
    let rows: Vec<_> = [0, 1, 0, 1, 0, 1, 0, 1]
        .iter()
        .enumerate()
        .map(|(row, label)| (format!("e{row}"), format!("g{}", row / 4), *label))
        .collect();
    let cohort = cohort(&rows);
    let counts = |clean: [i64; 2], broken: [[i64; 2]; 2]| Permutations {
        classes: cohort.classes.clone(),
        model_digest: fuseline_artifact::Digest::hash(b"model"),
        plugin_id: "org.example.rule".to_owned(),
        scheme: "joint".to_owned(),
        reads_quality: None,
        quality_moved: None,
        quality_movable: None,
        permutation: vec![-1, -1, 0, 0, 1, 1],
        class: vec![0, 1, 0, 1, 0, 1],
        n: vec![2; 6],
        correct: [clean, broken[0], broken[1]].concat(),
    };
    let permutations = [counts([2, 1], [[1, 1], [0, 1]]), counts([2, 2], [[1, 2], [1, 1]])];
    let mut effects = vec![
        ExampleEffects {
            permutations: 2,
            example_id: Texts::from_iter(["e0", "e1", "e2", "e3"]),
            clean_correct: vec![true, true, true, false],
            broken_correct: vec![1, 2, 0, 0],
            flips: vec![1, 0, 2, 0],
            probability_shift: vec![0.1, 0.0, 0.3, 0.0],
        },
        ExampleEffects {
            permutations: 2,
            example_id: Texts::from_iter(["e4", "e5", "e6", "e7"]),
            clean_correct: vec![true, true, true, true],
            broken_correct: vec![2, 1, 0, 2],
            flips: vec![0, 1, 2, 0],
            probability_shift: vec![0.0, 0.2, 0.2, 0.0],
        },
    ];
    let audio_0 = [("e0", 0.1), ("e1", 0.9), ("e2", 0.8), ("e3", 0.1)];
    let audio_1 = [("e4", 0.1), ("e5", 0.2), ("e6", 0.2), ("e7", 0.9)];
    let video_0 = [("e0", 0.9), ("e1", 0.1), ("e2", 0.1), ("e3", 0.2)];
    let evidence =
        [evidence("audio", &audio_0), evidence("audio", &audio_1), evidence("video", &video_0)];
    // Audio is right on e0, e1, e4, e6, e7; its quality orders them so: e3 e0 e2 e5 e1 e4 e6 e7.
    let audio_quality_0 = [("e0", 2.0), ("e1", 5.0), ("e2", 3.0), ("e3", 1.0)];
    let audio_quality_1 = [("e4", 6.0), ("e5", 4.0), ("e6", 7.0), ("e7", 8.0)];
    let video_quality_0 = [("e0", 1.0), ("e1", 1.0), ("e2", 1.0), ("e3", 1.0)];
    let mut quality = vec![
        quality("audio", &audio_quality_0),
        quality("audio", &audio_quality_1),
        quality("video", &video_quality_0),
    ];
    change(&mut quality, &mut effects);
    let options = json!({ "bootstrap": 200, "alpha": 0.4 });
    run::<Summarize>(options, 1, &[("rule", "lr"), ("quality", "margin")], |mut inputs| {
        inputs = inputs.artifact("cohort", vec![], cohort)?;
        for (permutations, effects) in permutations.into_iter().zip(effects) {
            inputs = inputs.artifact("permutations", vec![], permutations)?.artifact(
                "effects",
                vec![],
                effects,
            )?;
        }
        for (evidence, fold) in evidence.into_iter().zip(["0", "1", "0"]) {
            inputs = inputs.artifact("evidence", in_fold(fold), evidence)?;
        }
        for (fold, evidence) in training {
            inputs = inputs.artifact("evidence_train", in_fold(fold), evidence.clone())?;
        }
        for quality in quality {
            inputs = inputs.artifact("quality", vec![], quality)?;
        }
        Ok(inputs)
    })?
    .get("findings")
}

fn in_fold(fold: &str) -> fuseline_engine::Point {
    vec![("fold".to_owned(), fold.to_owned())]
}

fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
}

#[test]
fn folds_pool_by_counts_into_one_finding() {
    let findings = two_folds(|_, _| ()).unwrap();
    assert_eq!(findings.axes, ["rule", "quality"]);
    assert_eq!(findings.modalities, ["audio", "video"]);
    let finding = &findings.rows[0];
    assert_eq!(finding.point, ["lr", "margin"]);
    assert_eq!((finding.n_examples, finding.n_groups, finding.n_permutations), (8, 2, 2));
    // Clean: (4/4 + 3/4) / 2. Broken: (2/4 + 3/4) / 2 and (1/4 + 2/4) / 2.
    close(finding.ba_clean, 0.875);
    close(finding.ba_broken, 0.5);
    close(finding.gap, 0.375);
    close(finding.p_value, 1.0 / 3.0);
    close(finding.null_sd, 0.25 / 2.0_f64.sqrt());
    close(finding.detectable_gap, 0.125);
    close(finding.flip_rate, 6.0 / 16.0);
    close(finding.probability_shift, 0.1);
    assert!(finding.gap_low <= finding.gap && finding.gap <= finding.gap_high);
    // Audio alone: rest 3/4 (e2 wrong), stress 2/4. Video alone: e2 right, absent is wrong: rest
    // 1/4, stress 0.
    close(finding.ba_best_unimodal, 0.625);
    // The oracle adds e2.
    close(finding.ba_oracle, 0.75);
    close(finding.headroom, -0.125);
    // Labels alternate: audio of stress has the qualities 5, 1, 4, 8 and wins 8 of 16 pairs against
    // 2, 3, 6, 7.
    close(finding.quality_label_auroc[0].unwrap(), 0.5);
    close(finding.quality_label_auroc[1].unwrap(), 0.5);
    assert_eq!(finding.quality_from_evidence[1], None, "quality of video has one value");
    // Of the 5 x 3 pairs, e0 loses against e2 and e5, and nobody else loses: 13 won.
    close(finding.alignment[0].unwrap(), 13.0 / 15.0);
    close(finding.alignment[1].unwrap(), 0.5);
}

#[test]
fn the_best_expert_is_chosen_on_the_training_evidence_of_each_fold() {
    // Labels alternate. Video is right on the training rows of fold 0, audio on those of fold 1.
    let ends = [("e4", 0.1), ("e5", 0.9), ("e6", 0.2), ("e7", 0.8)];
    let starts = [("e0", 0.3), ("e1", 0.6), ("e2", 0.4), ("e3", 0.9)];
    let wrong = |rows: &[(&'static str, f64)]| -> Vec<(&'static str, f64)> {
        rows.iter().map(|(id, stress)| (*id, 1.0 - stress)).collect()
    };
    let training = [
        ("0", evidence("audio", &wrong(&ends))),
        ("1", evidence("audio", &starts)),
        ("0", evidence("video", &ends)),
        ("1", evidence("video", &wrong(&starts))),
    ];
    let findings = two_folds_with(&training, |_, _| ()).unwrap();
    // Video in fold 0: right on e2 alone. Audio in fold 1: on e4, e6 and e7. Rest 3/4, stress 1/4.
    close(findings.rows[0].ba_best_unimodal, 0.5);
    assert!(findings.settings.contains(&"best_expert=on_training".to_owned()));
    close(findings.rows[0].ba_oracle, 0.75);
    let without = two_folds(|_, _| ()).unwrap();
    assert!(!without.settings.iter().any(|setting| setting.starts_with("best_expert")));

    let mut leaking = training.clone();
    leaking[0].1 = evidence("audio", &[&ends[..], &[("e0", 0.5)]].concat());
    let error = two_folds_with(&leaking, |_, _| ()).unwrap_err();
    assert_eq!(
        error.message,
        "example e0 is tested, and among the training examples of the same fold"
    );
    let [first, _, second, _] = training;
    let error = two_folds_with(&[first, second, ("2", evidence("audio", &starts))], |_, _| ());
    assert_eq!(
        message(&error.unwrap_err()),
        "the training evidence is of other folds than the test evidence; give evidence_train the \
         output `train` of the experts of `evidence`"
    );
}

/// The cautions of the finding of a study under a scheme.
fn cautions(study: &Study, scheme: &str) -> Vec<String> {
    let options = json!({ "permutations": 20, "scheme": scheme });
    let (permutations, effects) = permute(study, "weighted_mean", options).unwrap();
    let outputs = run::<Summarize>(json!({ "bootstrap": 50 }), 1, &[], |mut inputs| {
        inputs = inputs
            .artifact("cohort", vec![], study.cohort.clone())?
            .artifact("permutations", vec![], permutations)?
            .artifact("effects", vec![], effects)?;
        for (evidence, quality) in study.evidence.iter().zip(&study.quality) {
            inputs = inputs.artifact("evidence", vec![], evidence.clone())?;
            inputs = inputs.artifact("quality", vec![], quality.clone())?;
        }
        Ok(inputs)
    });
    outputs.unwrap().cautions().to_vec()
}

#[test]
fn groups_that_are_alike_and_qualities_that_are_related_are_told_where_the_scheme_breaks_them() {
    let mut alike = study();
    alike.cohort.label = (0..40).map(|row| u32::from(row / 4 % 3 == 0)).collect();
    for (modality, quality) in alike.quality.iter_mut().enumerate() {
        let of = |row: usize| f64::from((row / 4 * (modality + 3) % 7) as u32);
        quality.quality = (0..40).map(of).collect();
    }
    let told = cautions(&alike, "joint").concat();
    assert!(told.contains("alike in quality and in labels"), "{told}");
    assert!(told.contains("1.00 and 1.00, 10 groups"), "{told}");
    assert!(told.contains("as if there were 4.0 times more of them"), "{told}");
    assert!(!cautions(&alike, "whole_groups").concat().contains("one at a time"));

    let mut related = study();
    related.quality[1].quality = related.quality[0].quality.clone();
    let told = cautions(&related, "per_modality").concat();
    assert!(told.contains("audio and video are related (Spearman 1.00)"), "{told}");
    assert!(!cautions(&related, "joint").concat().contains("related"));
}

#[test]
fn what_does_not_belong_together_is_not_pooled() {
    let refused = |error: Result<Findings, StageError>| error.unwrap_err().message;
    assert_eq!(
        refused(two_folds(|_, effects| {
            effects[1].example_id = Texts::from_iter(["e0", "e5", "e6", "e7"]);
        })),
        "example e0 was tested twice"
    );
    assert_eq!(
        refused(two_folds(|_, effects| effects[1].permutations = 3)),
        "the effects count 3 permutations and the permutations are 2"
    );
    assert!(
        refused(two_folds(|quality, _| quality[1].control = Control::Positive))
            .starts_with("qualities of different nature meet in one finding")
    );
    assert_eq!(
        refused(two_folds(|quality, _| {
            quality[2].example_id = quality[2].example_id.take(0..3);
            quality[2].quality = quality[2].quality.slice(0, 3);
        })),
        "example e3 has evidence but no quality in modality video"
    );
}
