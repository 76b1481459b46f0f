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
