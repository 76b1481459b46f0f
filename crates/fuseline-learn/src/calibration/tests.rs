use super::*;

#[test]
fn a_temperature_never_changes_a_decision_and_one_changes_nothing() {
    let mut p = [0.7, 0.2, 0.1, 0.1, 0.5, 0.4];
    let before = p;
    Temperature::new(1.0).unwrap().apply(&mut p, 3);
    assert!(p.iter().zip(before).all(|(a, b)| (a - b).abs() < 1e-15));
    Temperature::new(5.0).unwrap().apply(&mut p, 3);
    assert!(p[0] < 0.5 && p[0] > p[1] && p[1] > p[2] && p[4] > p[5]);
}

#[test]
fn overconfident_evidence_is_cooled_to_its_accuracy() {
    // Certain to 0.99, right three times in four: with two classes one temperature can say exactly
    // 0.75.
    let p = [0.99, 0.01].repeat(4);
    let p = [p.clone(), p.iter().rev().copied().collect()].concat();
    let labels = [0, 0, 0, 1, 1, 1, 1, 0];
    let fitted = Temperature::fit(&p, &labels, &[1.0; 8], 2).unwrap();
    let mut calibrated = vec![0.99, 0.01];
    fitted.apply(&mut calibrated, 2);
    assert!((calibrated[0] - 0.75).abs() < 1e-12, "{calibrated:?}");
}

#[test]
fn evidence_without_a_mistake_and_evidence_that_is_always_wrong_end_at_the_bounds() {
    let p = [0.9, 0.1, 0.1, 0.9];
    let right = Temperature::fit(&p, &[0, 1], &[1.0; 2], 2).unwrap();
    let wrong = Temperature::fit(&p, &[1, 0], &[1.0; 2], 2).unwrap();
    assert_eq!((right.temperature(), wrong.temperature()), (1e-3, 1e3));
}

#[test]
fn neighbours_that_fall_are_pooled() {
    let fitted = Isotonic::fit(&[1.0, 2.0, 3.0, 4.0], &[0.0, 1.0, 0.5, 2.0], &[1.0; 4]).unwrap();
    assert_eq!(fitted.knots(), (&[1.0, 2.0, 3.0, 4.0][..], &[0.0, 0.75, 0.75, 2.0][..]));
    assert_eq!((fitted.value(0.0), fitted.value(1.5), fitted.value(9.0)), (0.0, 0.375, 2.0));
    assert!(fitted.value(f64::NAN).is_nan());
    let falling = Isotonic::fit(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0], &[1.0; 3]).unwrap();
    assert_eq!(falling.value(1.7), 2.0);
}

#[test]
fn a_function_is_made_again_of_its_knots() {
    let fitted = Isotonic::fit(&[1.0, 2.0, 3.0], &[0.0, 1.0, 0.5], &[1.0; 3]).unwrap();
    let (x, y) = fitted.knots();
    assert_eq!(Isotonic::from_knots(x.to_vec(), y.to_vec()).unwrap(), fitted);
    for (x, y) in
        [(vec![], vec![]), (vec![1.0, 1.0], vec![0.0, 1.0]), (vec![1.0, 2.0], vec![1.0, 0.0])]
    {
        assert!(Isotonic::from_knots(x, y).is_err());
    }
    assert!(Isotonic::from_knots(vec![1.0], vec![f64::NAN]).is_err());
}

#[test]
fn what_cannot_be_calibrated_is_refused() {
    assert!(Isotonic::fit(&[], &[], &[]).is_err());
    assert!(Isotonic::fit(&[1.0], &[1.0], &[0.0]).is_err());
    assert!(Isotonic::fit(&[1.0], &[f64::NAN], &[1.0]).is_err());
    assert!(Isotonic::fit(&[1.0], &[1.0, 2.0], &[1.0]).is_err());
    assert!(Temperature::new(0.0).is_err());
    assert!(Temperature::fit(&[0.5; 4], &[0, 0], &[1.0; 2], 2).is_err());
}
