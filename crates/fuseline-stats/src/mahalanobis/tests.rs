use super::*;

const ROWS: [f64; 18] =
    [1.0, 2.0, 0.5, 2.0, 1.0, 0.0, 0.0, 0.0, 1.0, 3.0, 5.0, -1.0, -1.0, 0.5, 2.0, 0.3, 1.2, 0.1];

#[test]
fn distances_are_those_of_scikit_learns_ledoit_wolf() {
    // scikit-learn: LedoitWolf().fit(X), sqrt(mahalanobis(X)).
    let fitted = Mahalanobis::fit(&ROWS, 3).unwrap();
    assert!((fitted.shrinkage() - 0.5636952467362265).abs() < 1e-12);
    let expected = [
        0.29822547840666075,
        1.2029578578415612,
        1.1378120766573663,
        2.463463889780273,
        1.7062945739211348,
        0.6676310160074951,
    ];
    for (row, expected) in ROWS.chunks(3).zip(expected) {
        assert!((fitted.distance(row) - expected).abs() < 1e-12);
    }
    assert!((fitted.distance(&[10.0, -3.0, 4.0]) - 10.313071970172837).abs() < 1e-12);
}

#[test]
fn more_columns_than_rows_and_columns_that_do_not_vary_are_no_obstacle() {
    let rows = [1.0, 2.0, 7.0, 0.0, 3.0, 1.0, 7.0, 5.0];
    let fitted = Mahalanobis::fit(&rows, 4).unwrap();
    assert!(fitted.distance(&rows[..4]).is_finite());
    assert!(fitted.distance(&[1.0, 2.0, 100.0, 0.0]) > fitted.distance(&rows[..4]));
}

#[test]
fn what_cannot_be_fitted_is_refused() {
    assert_eq!(Mahalanobis::fit(&[], 3), Err(MetricError::Empty));
    assert!(matches!(Mahalanobis::fit(&[1.0; 6], 2), Err(MetricError::Undefined { .. })));
    assert_eq!(Mahalanobis::fit(&[1.0, f64::NAN], 1), Err(MetricError::NotANumber { row: 1 }));
}
