use super::*;

#[test]
fn margin_is_the_lead_of_the_first_over_the_second() {
    assert!((margin(&[0.2, 0.5, 0.3]) - 0.2).abs() < 1e-15);
    assert_eq!(margin(&[0.5, 0.5]), 0.0);
    assert_eq!((margin(&[1.0]), margin(&[])), (1.0, 0.0));
    assert_eq!(confidence(&[0.2, 0.5, 0.3]), 0.5);
}

#[test]
fn certainty_runs_from_equal_probabilities_to_one_class() {
    assert!(certainty(&[0.25; 4]).abs() < 1e-15);
    assert_eq!(certainty(&[0.0, 1.0, 0.0]), 1.0);
    assert_eq!(certainty(&[1.0]), 1.0);
}

#[test]
fn closeness_to_the_training_rows_counts_observed_features_alone() {
    let row = [3.0, f64::NAN, -1.0];
    assert_eq!(in_distribution(&row, &[1.0, 0.0, 0.0], &[2.0, 1.0, 0.5]), Some(-1.5));
    assert_eq!(in_distribution(&[f64::NAN], &[0.0], &[1.0]), None);
    assert_eq!(observed_share(&row), 2.0 / 3.0);
}

#[test]
fn the_conformal_threshold_is_the_order_statistic_that_keeps_the_coverage() {
    let scores: Vec<f64> = (1..=9).map(|score| f64::from(score) / 10.0).collect();
    // ceil(10 * 0.8) = 8.
    assert_eq!(conformal_threshold(&scores, 0.8), 0.8);
    assert_eq!(conformal_threshold(&scores, 0.9), 0.9);
    assert_eq!(conformal_threshold(&scores, 0.95), f64::INFINITY);
    assert_eq!(conformal_threshold(&[], 0.5), f64::INFINITY);
}

#[test]
fn a_conformal_set_holds_the_likely_classes_and_at_least_one() {
    assert_eq!(conformal_set_size(&[0.5, 0.25, 0.25], 0.5), 1);
    assert_eq!(conformal_set_size(&[0.5, 0.25, 0.25], 0.75), 3);
    assert_eq!(conformal_set_size(&[0.5, 0.25, 0.25], 0.1), 1);
}

#[test]
fn minus_the_energy_is_0_of_log_probabilities_and_moves_with_all_logits() {
    let logs = [0.2_f64, 0.5, 0.3].map(libm::log);
    assert!(negative_energy(&logs, 1.0).abs() < 1e-15);
    let moved = logs.map(|log| log + 700.0);
    assert!((negative_energy(&moved, 1.0) - 700.0).abs() < 1e-12);
    assert_eq!(negative_energy(&[2.0, f64::NEG_INFINITY], 3.0), 2.0);
}

#[test]
fn vacuity_runs_from_1_without_evidence_towards_0() {
    assert_eq!(vacuity([0.0, 0.0, 0.0].into_iter()), 1.0);
    assert_eq!(vacuity([6.0, 0.0].into_iter()), 0.25);
    // Mean 0.5, variance 0.02: S = 0.5 / 0.04 - 1 = 11.5.
    let found = ensemble_vacuity(&[&[0.4, 0.6], &[0.6, 0.4]]);
    assert!((found - 2.0 / 11.5).abs() < 1e-15, "{found}");
    assert_eq!(ensemble_vacuity(&[&[0.4, 0.6], &[0.4, 0.6]]), 0.0);
    assert_eq!(ensemble_vacuity(&[&[1.0, 0.0], &[0.0, 1.0]]), 1.0, "S is 0, and at least K");
}

#[test]
fn mutual_information_is_0_of_members_that_agree_and_ln_2_of_two_that_exclude_each_other() {
    assert_eq!(mutual_information(&[&[0.3, 0.7], &[0.3, 0.7]]), 0.0);
    let found = mutual_information(&[&[1.0, 0.0], &[0.0, 1.0]]);
    assert!((found - std::f64::consts::LN_2).abs() < 1e-15);
}

#[test]
fn conflicts_run_from_agreement_to_exclusion() {
    assert_eq!(jensen_shannon(&[0.3, 0.7], &[0.3, 0.7]), 0.0);
    assert_eq!(jensen_shannon(&[1.0, 0.0], &[0.0, 1.0]), 1.0);
    // scipy.spatial.distance.jensenshannon([.9, .1], [.2, .8], 2)**2
    let found = jensen_shannon(&[0.9, 0.1], &[0.2, 0.8]);
    assert!((found - 0.397_312_609_749_486_5).abs() < 1e-12, "{found}");
    assert_eq!(dempster_conflict(&[1.0, 0.0], &[0.0, 1.0]), 1.0);
    assert!((dempster_conflict(&[0.9, 0.1], &[0.2, 0.8]) - 0.74).abs() < 1e-15);
}
