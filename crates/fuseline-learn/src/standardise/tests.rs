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
    assert_eq!(Preprocessor::fit(&[1e308, 1e308], 1), Err(InputError::Overflow { column: 0 }));
    assert_eq!(Preprocessor::fit(&[1e200, -1e200], 1), Err(InputError::Overflow { column: 0 }));
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
