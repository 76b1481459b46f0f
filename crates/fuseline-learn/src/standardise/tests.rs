use super::*;

#[test]
fn missing_values_become_the_mean_and_widen_nothing() {
    let rows = [1.0, f64::NAN, 3.0, 4.0, f64::INFINITY, 8.0];
    let fitted = Preprocessor::fit(&rows, 2).unwrap();
    assert_eq!(fitted.mean(), [2.0, 6.0]);
    // Column 0: 1, 3 and a missing value at the mean; divisor 3.
    assert_eq!(fitted.scale(), [(2.0_f64 / 3.0).sqrt(), (8.0_f64 / 3.0).sqrt()]);
    let transformed = fitted.transform(&rows).unwrap();
    assert_eq!(transformed[1], 0.0);
    assert_eq!(transformed[4], 0.0);
}

#[test]
fn a_constant_column_is_left_at_scale_one() {
    let rows: Vec<f64> = (0..100).flat_map(|_| [0.1, 1e9]).collect();
    let fitted = Preprocessor::fit(&rows, 2).unwrap();
    assert_eq!(fitted.scale(), [1.0, 1.0]);
    assert!(fitted.transform(&rows).unwrap().iter().all(|value| *value == 0.0));
}

#[test]
fn a_column_that_varies_by_rounding_alone_counts_as_constant() {
    let fitted = Preprocessor::fit(&[1e6, 1e6 + 1e-9, 1e6 - 1e-9], 1).unwrap();
    assert_eq!(fitted.scale(), [1.0]);
    let fitted = Preprocessor::fit(&[1e6, 1e6 + 1e-4, 1e6 - 1e-4], 1).unwrap();
    assert!(fitted.scale()[0] < 1e-4);
}

#[test]
fn a_wholly_missing_column_has_mean_zero_and_scale_one() {
    let fitted = Preprocessor::fit(&[f64::NAN, 1.0, f64::NAN, 2.0], 2).unwrap();
    assert_eq!((fitted.mean()[0], fitted.scale()[0]), (0.0, 1.0));
}

#[test]
fn what_cannot_be_fitted_is_refused() {
    assert_eq!(Preprocessor::fit(&[], 2), Err(InputError::Empty));
    assert_eq!(Preprocessor::fit(&[1.0], 2), Err(InputError::Width { values: 1, width: 2 }));
    assert_eq!(Preprocessor::fit(&[1.0], 0), Err(InputError::Width { values: 1, width: 0 }));
}

#[test]
fn values_whose_sums_and_squares_overflow_are_standardised_as_any_others() {
    let plain = [3.0, -1.0, 4.0, 1.0, -5.0, 9.0];
    let expected = Preprocessor::fit(&plain, 1).unwrap();
    for power in [160, 300, 307] {
        let unit = 10.0_f64.powi(power);
        let large = plain.map(|value| value * unit);
        let fitted = Preprocessor::fit(&large, 1).unwrap();
        assert!((fitted.mean()[0] / unit / expected.mean()[0] - 1.0).abs() < 1e-14);
        assert!((fitted.scale()[0] / unit / expected.scale()[0] - 1.0).abs() < 1e-14);
        let close = |a: f64, b: f64| (a - b).abs() < 1e-14;
        let both =
            fitted.transform(&large).unwrap().into_iter().zip(expected.transform(&plain).unwrap());
        assert!(both.clone().all(|(a, b)| close(a, b)), "{:?}", both.collect::<Vec<_>>());
    }
    let ends = [f64::MAX, f64::MIN, f64::MAX, f64::MIN];
    let fitted = Preprocessor::fit(&ends, 1).unwrap();
    assert_eq!((fitted.mean()[0], fitted.scale()[0]), (0.0, f64::MAX));
    // The largest differs from the mean by more than a number can hold.
    let far = [f64::MIN, f64::MIN, f64::MIN, f64::MAX];
    let scores = Preprocessor::fit(&far, 1).unwrap().transform(&far).unwrap();
    assert!((scores[3] - 3.0_f64.sqrt()).abs() < 1e-14, "{scores:?}");
}

#[test]
fn the_standard_deviation_of_large_values_is_finite() {
    let sd = |values: &[f64]| standard_deviation(values.iter().copied());
    assert_eq!(sd(&[1.0, 3.0, 5.0, 7.0]), 5.0_f64.sqrt());
    assert!((sd(&[1e300, 3e300, 5e300, 7e300]) / 1e300 - 5.0_f64.sqrt()).abs() < 1e-14);
    assert_eq!(sd(&[]), 0.0);
}

#[test]
fn a_value_that_dwarfs_what_was_fitted_on_stays_finite() {
    let fitted = Preprocessor::fit(&[1e-9, -1e-9, 0.5, f64::MIN], 2).unwrap();
    let asked = fitted.transform(&[f64::MAX, f64::MAX, -1e300, 1e-300]).unwrap();
    assert!(asked.iter().all(|value| value.abs() <= 1e100), "{asked:?}");
}

#[test]
fn numbers_below_the_normal_ones_are_as_good_as_constant() {
    let fitted = Preprocessor::fit(&[5e-324, 1e-322, 0.0, 3e-310], 1).unwrap();
    assert_eq!(fitted.scale(), [1.0]);
}

#[test]
fn parts_make_the_same_preprocessor_or_are_refused() {
    let fitted = Preprocessor::fit(&[1.0, 2.0, 4.0, 8.0], 2).unwrap();
    let again = Preprocessor::from_parts(fitted.mean().to_vec(), fitted.scale().to_vec()).unwrap();
    assert_eq!(again, fitted);
    assert!(Preprocessor::from_parts(vec![0.0], vec![0.0]).is_err());
    assert!(Preprocessor::from_parts(vec![f64::NAN], vec![1.0]).is_err());
    assert!(Preprocessor::from_parts(vec![0.0], vec![1.0, 1.0]).is_err());
}

#[test]
fn rounding_errors_about_zero_are_not_blown_up() {
    let fitted = Preprocessor::fit(&[3e-17, -2e-17, 1e-16], 1).unwrap();
    assert_eq!(fitted.scale(), [1.0]);
}

#[test]
fn imputing_puts_the_mean_where_a_value_is_missing_and_changes_nothing_else() {
    let rows = [1.0, f64::NAN, 3.0, 4.0, f64::NEG_INFINITY, 8.0];
    let fill = Preprocessor::fit(&rows, 2).unwrap();
    let mut filled = rows;
    fill.impute(&mut filled).unwrap();
    assert_eq!(filled, [1.0, 6.0, 3.0, 4.0, 2.0, 8.0]);
    assert!(fill.impute(&mut [1.0]).is_err());
}
