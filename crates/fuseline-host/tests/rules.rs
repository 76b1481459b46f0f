//! The built-in rules, loaded as plugins.

mod common;

use common::{Numbers, RULES, Rows, defaults, file, library, rule, shuffled};
use fuseline_host::{HostError, Isolation, Lock, RuleCode, StopSignal};

const SHAPES: [(usize, usize, usize); 4] = [(240, 3, 2), (150, 2, 4), (90, 1, 2), (60, 5, 3)];

#[test]
fn the_plugin_path_lists_the_rules_in_the_box() {
    let mut found: Vec<_> = library().list().into_iter().map(|file| file.unwrap().id).collect();
    found.sort();
    for name in RULES {
        assert!(found.contains(&format!("org.fuseline.{name}")), "{name} in {found:?}");
    }
}

#[test]
fn a_rule_is_found_by_its_id_and_by_its_short_name() {
    let library = library();
    let short = library.find("lr").unwrap();
    assert_eq!(short, library.find("org.fuseline.lr").unwrap());
    assert_eq!(short, library.find_by_digest("org.fuseline.lr", &short.digest).unwrap());
    let unknown = library.find("weigthed_mean").unwrap_err().to_string();
    assert_eq!(unknown, "there is no fusion rule weigthed_mean; did you mean weighted_mean?");
}

#[test]
fn fitting_twice_gives_the_same_bytes_and_the_model_predicts_probabilities() {
    for name in RULES {
        let rule = rule(name);
        let params = defaults(&rule);
        for (rows, modalities, classes) in SHAPES {
            let rows = Rows::new(rows, modalities, classes, true, 7);
            let model = rule.fit(&rows.training(), &params, 1, &StopSignal::new()).unwrap().model;
            let again = rule.fit(&rows.training(), &params, 1, &StopSignal::new()).unwrap().model;
            assert_eq!(model, again, "{name}");
            let out = rule.open(&model).unwrap().predict(&rows.batch()).unwrap();
            let right = out
                .chunks_exact(classes)
                .zip(&rows.label)
                .filter(|(row, label)| row.iter().all(|p| *p <= row[**label as usize]))
                .count();
            assert!(right as f64 > 0.7 * rows.label.len() as f64, "{name}: {right} are right");
        }
    }
}

#[test]
fn permuted_prediction_equals_a_loop_of_predict_bit_for_bit() {
    let permutations = 5;
    for name in RULES {
        let rule = rule(name);
        let params = defaults(&rule);
        for (rows, modalities, classes) in SHAPES {
            let model = rule.fit(
                &Rows::new(rows, modalities, classes, true, 3).training(),
                &params,
                1,
                &StopSignal::new(),
            );
            let model = rule.open(&model.unwrap().model).unwrap();
            assert!(model.has_fast_path(), "{name}");
            let test = Rows::new(rows, modalities, classes, true, 4);
            let batch = test.batch();
            let mut numbers = Numbers::new(5);
            for (columns, mask) in
                [(1, u64::MAX), (modalities, u64::MAX), (1, 1), (modalities, 0b10)]
            {
                let index: Vec<u32> = (0..permutations * columns)
                    .flat_map(|_| shuffled(rows, &mut numbers))
                    .collect();
                let mut fast = vec![0.0; permutations * rows * classes];
                model
                    .predict_permuted(&batch, &index, permutations, columns, mask, &mut fast)
                    .unwrap();
                for permutation in 0..permutations {
                    let mut quality = vec![0.0; rows * modalities];
                    for row in 0..rows {
                        for modality in 0..modalities {
                            let column = if columns == 1 { 0 } else { modality };
                            let from = match mask >> modality & 1 {
                                0 => row,
                                _ => index[(permutation * columns + column) * rows + row] as usize,
                            };
                            let from = from * modalities + modality;
                            if test.available[from] == 1 {
                                quality[row * modalities + modality] = test.quality[from];
                            }
                        }
                    }
                    let slow = model.predict(&batch.with_quality(&quality).unwrap()).unwrap();
                    let fast = &fast[permutation * rows * classes..][..rows * classes];
                    let same =
                        fast.iter().zip(&slow).all(|(one, other)| one.to_bits() == other.to_bits());
                    assert!(
                        same,
                        "{name}, {columns} columns, mask {mask:b}, permutation {permutation}"
                    );
                }
            }
        }
    }
}

#[test]
fn quality_changes_predictions_exactly_where_the_descriptor_says_so() {
    for name in RULES {
        let rule = rule(name);
        let rows = Rows::new(240, 3, 2, true, 11);
        let model =
            rule.fit(&rows.training(), &defaults(&rule), 1, &StopSignal::new()).unwrap().model;
        let model = rule.open(&model).unwrap();
        let clean = model.predict(&rows.batch()).unwrap();
        let reversed: Vec<f64> = rows.quality.iter().map(|q| -q).collect();
        let broken = model.predict(&rows.batch().with_quality(&reversed).unwrap()).unwrap();
        assert_eq!(clean != broken, rule.descriptor().capabilities.uses_quality, "{name}");
    }
}

#[test]
fn what_stands_where_a_modality_is_unavailable_influences_nothing() {
    for name in RULES {
        let rule = rule(name);
        let mut rows = Rows::new(240, 3, 2, true, 13);
        // One row without any modality.
        rows.available[..3].fill(0);
        let params = defaults(&rule);
        let model = rule.fit(&rows.training(), &params, 1, &StopSignal::new()).unwrap().model;
        let clean = rule.open(&model).unwrap().predict(&rows.batch()).unwrap();
        for (cell, _) in rows.available.iter().enumerate().filter(|(_, available)| **available == 0)
        {
            rows.quality[cell] = f64::NAN;
            rows.evidence[cell * 2..][..2].copy_from_slice(&[f64::INFINITY, -7.0]);
        }
        assert_eq!(
            rule.fit(&rows.training(), &params, 1, &StopSignal::new()).unwrap().model,
            model,
            "{name}"
        );
        assert_eq!(rule.open(&model).unwrap().predict(&rows.batch()).unwrap(), clean, "{name}");
    }
}

#[test]
fn extreme_evidence_and_quality_keep_the_output_law() {
    for name in RULES {
        let rule = rule(name);
        let mut rows = Rows::new(240, 3, 2, true, 17);
        let extremes = [f64::MAX, f64::MIN, 0.0, -0.0, f64::MIN_POSITIVE, 1e-320, 1e100, -1e308];
        for (cell, quality) in rows.quality.iter_mut().enumerate() {
            *quality = extremes[cell % extremes.len()];
        }
        for (cell, evidence) in rows.evidence.chunks_exact_mut(2).enumerate() {
            evidence.copy_from_slice(if cell % 3 == 0 { &[1.0, 0.0] } else { &[1e-310, 1.0] });
        }
        let model =
            rule.fit(&rows.training(), &defaults(&rule), 1, &StopSignal::new()).unwrap().model;
        rule.open(&model).unwrap().predict(&rows.batch()).unwrap();
        // And a model fitted on ordinary rows.
        let ordinary = Rows::new(240, 3, 2, true, 19).training();
        let model = rule.fit(&ordinary, &defaults(&rule), 1, &StopSignal::new()).unwrap().model;
        rule.open(&model).unwrap().predict(&rows.batch()).unwrap();
    }
}

#[test]
fn the_order_of_modalities_changes_no_prediction() {
    // Of splits of equal gain a tree takes the first column's.
    for name in RULES.into_iter().filter(|name| *name != "hgb") {
        let rule = rule(name);
        let mut rows = Rows::new(240, 3, 2, true, 37);
        // Experts that are equally sure, and equal qualities in every third row.
        for (cell, evidence) in rows.evidence.chunks_exact_mut(2).enumerate() {
            let sure = if evidence[0] > 0.5 { [0.9, 0.1] } else { [0.1, 0.9] };
            evidence.copy_from_slice(&sure);
            rows.quality[cell] = if cell / 3 % 3 == 0 { 1.0 } else { rows.quality[cell] };
        }
        let mut turned = rows.clone();
        turned.modalities.reverse();
        turned.available.chunks_exact_mut(3).for_each(<[_]>::reverse);
        turned.quality.chunks_exact_mut(3).for_each(<[_]>::reverse);
        turned.evidence.chunks_exact_mut(6).for_each(|row| {
            row.reverse();
            row.chunks_exact_mut(2).for_each(<[_]>::reverse);
        });
        // Standardised by modality, qualities that are all 1 are equal.
        for constant in [false, true] {
            let predict = |rows: &Rows| {
                let mut rows = rows.clone();
                if constant {
                    rows.quality.fill(1.0);
                }
                let (params, stop) = (defaults(&rule), StopSignal::new());
                let model = rule.fit(&rows.training(), &params, 1, &stop).unwrap().model;
                rule.open(&model).unwrap().predict(&rows.batch()).unwrap()
            };
            for (one, other) in predict(&rows).iter().zip(predict(&turned)) {
                assert!((one - other).abs() < 1e-6, "{name}: {one} and {other}");
            }
        }
    }
}

#[test]
fn damaged_models_are_refused() {
    for name in RULES {
        let rule = rule(name);
        let rows = Rows::new(90, 2, 2, true, 23);
        let model =
            rule.fit(&rows.training(), &defaults(&rule), 1, &StopSignal::new()).unwrap().model;
        let mut flipped = model.clone();
        flipped[model.len() / 2] ^= 4;
        for bytes in [&model[..0], &model[..model.len() - 1], &flipped] {
            let error = rule.open(bytes).unwrap_err();
            assert!(
                matches!(&error, HostError::Rule { error, .. } if error.code == RuleCode::Data),
                "{name}: {error}"
            );
        }
    }
}

#[test]
fn a_model_refuses_other_modalities() {
    let rule = rule("lr");
    let rows = Rows::new(90, 2, 2, true, 29);
    let model = rule.fit(&rows.training(), &defaults(&rule), 1, &StopSignal::new()).unwrap().model;
    let mut other = Rows::new(90, 2, 2, true, 29);
    other.modalities.reverse();
    let error = rule.open(&model).unwrap().predict(&other.batch()).unwrap_err().to_string();
    assert_eq!(
        error,
        "org.fuseline.lr failed to predict: wrong data: the model was fitted with modalities \
         modality0, modality1 and classes class0, class1, which are not the batch's"
    );
}

#[test]
fn no_rows_give_no_predictions() {
    for name in RULES {
        let rule = rule(name);
        let rows = Rows::new(90, 2, 3, true, 31);
        let model =
            rule.fit(&rows.training(), &defaults(&rule), 1, &StopSignal::new()).unwrap().model;
        let none = Rows::new(0, 2, 3, true, 31);
        let model = rule.open(&model).unwrap();
        assert_eq!(model.predict(&none.batch()).unwrap(), [0.0; 0]);
        model.predict_permuted(&none.batch(), &[], 3, 1, u64::MAX, &mut []).unwrap();
    }
}

#[test]
fn the_mean_rule_is_the_mean_of_what_is_available() {
    let mut rows = Rows::new(2, 2, 2, true, 1);
    rows.evidence = vec![0.8, 0.2, 0.4, 0.6, 0.9, 0.1, 0.3, 0.7];
    rows.available = vec![1, 1, 1, 0];
    let rule = rule("mean");
    let model = rule.fit(&rows.training(), &defaults(&rule), 1, &StopSignal::new()).unwrap().model;
    let out = rule.open(&model).unwrap().predict(&rows.batch()).unwrap();
    for (found, expected) in out.iter().zip([0.6, 0.4, 0.9, 0.1]) {
        assert!((found - expected).abs() < 1e-15, "{out:?}");
    }
}

#[test]
fn a_stopped_fit_says_that_it_was_cancelled() {
    let rule = rule("moe");
    let stop = StopSignal::new();
    stop.stop();
    let error = rule
        .fit(&Rows::new(240, 3, 2, true, 1).training(), &defaults(&rule), 1, &stop)
        .unwrap_err();
    assert!(error.is_cancelled(), "{error}");
}

#[test]
fn a_file_that_has_changed_is_not_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("libfuseline_rule_mean.so");
    let original = file("mean").path;
    std::fs::copy(&original, &path).unwrap();
    let library = fuseline_host::PluginLibrary::new(vec![folder.path().to_owned()]);
    let file = library.find("mean").unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.push(0);
    std::fs::write(&path, bytes).unwrap();
    let error = library.load(&file, Isolation::InProcess).unwrap_err();
    assert!(matches!(error, HostError::DigestChanged { expected, .. } if expected == file.digest));
}

#[test]
fn a_plugin_that_is_not_as_locked_is_refused_with_both_digests() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fuseline.lock");
    let mean = file("mean");
    std::fs::write(&path, Lock::pin([(&mean, "1.0.0".to_owned())], None).text()).unwrap();
    let lock = Lock::read(&path).unwrap().unwrap();
    assert_eq!(lock, Lock::pin([(&mean, "1.0.0".to_owned())], None));
    assert_eq!(library().with_lock(lock).find("mean").unwrap(), mean);

    let moe = file("moe").digest;
    let changed = fuseline_host::PluginFile { digest: moe, ..mean.clone() };
    let changed = Lock::pin([(&changed, "1.0.0".to_owned())], None);
    let error = library().with_lock(changed.clone()).find("mean").unwrap_err().to_string();
    assert!(
        error.contains(&moe.to_string()) && error.contains(&mean.digest.to_string()),
        "{error}"
    );
    assert!(library().with_lock(changed).load(&mean, Isolation::InProcess).is_err());
    assert!(Lock::read(&folder.path().join("absent.lock")).unwrap().is_none());
}
