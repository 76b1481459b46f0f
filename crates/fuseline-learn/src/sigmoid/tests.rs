use super::*;

#[test]
fn scores_that_say_nothing_give_the_share_of_the_targets() {
    let found = Sigmoid::fit(&[2.5; 4], &[true, false, false, false], &[1.0; 4]).unwrap();
    // One positive and three others: targets 2/3 and 1/5, of mean 19/60.
    assert_eq!(found.slope(), 0.0);
    assert!((found.value(7.0) - 19.0 / 60.0).abs() < 1e-12, "{}", found.value(7.0));
}

#[test]
fn a_separable_sample_does_not_give_certainty() {
    let scores = [-3.0, -2.0, 2.0, 3.0];
    let found = Sigmoid::fit(&scores, &[false, false, true, true], &[1.0; 4]).unwrap();
    assert!((0.7..0.8).contains(&found.value(2.5)), "{}", found.value(2.5));
}

#[test]
fn the_scale_of_the_scores_does_not_matter() {
    let scores = [-1.0, 0.2, -0.4, 0.9, 1.5, -0.1];
    let positive = [false, false, true, true, true, false];
    let weights = [1.0, 2.0, 1.0, 0.5, 1.0, 1.0];
    let plain = Sigmoid::fit(&scores, &positive, &weights).unwrap();
    let moved: Vec<f64> = scores.iter().map(|f| 1e6 * f + 3e7).collect();
    let moved = Sigmoid::fit(&moved, &positive, &weights).unwrap();
    for score in scores {
        assert!((plain.value(score) - moved.value(1e6 * score + 3e7)).abs() < 1e-9);
    }
}

#[test]
fn what_cannot_be_fitted_is_refused() {
    assert!(Sigmoid::fit(&[], &[], &[]).is_err());
    assert!(Sigmoid::fit(&[1.0, 2.0], &[true, true], &[1.0; 2]).is_err());
    assert!(Sigmoid::fit(&[1.0, f64::NAN], &[true, false], &[1.0; 2]).is_err());
    assert!(Sigmoid::fit(&[1.0, 2.0], &[true, false], &[1.0, -1.0]).is_err());
}
