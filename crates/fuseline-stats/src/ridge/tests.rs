use super::*;

#[test]
fn a_line_is_found_again_and_a_column_that_does_not_vary_does_not_count() {
    let rows: Vec<f64> = (0..20).flat_map(|row| [f64::from(row), 7.0]).collect();
    let targets: Vec<f64> = (0..20).map(|row| 3.0 - 2.0 * f64::from(row)).collect();
    let fitted = Ridge::fit(rows.chunks_exact(2), 2, &targets).unwrap();
    assert_eq!(fitted.penalty(), 1e-6);
    assert!((fitted.predict(&[4.5, 7.0]) + 6.0).abs() < 1e-6);
    assert_eq!(fitted.predict(&[4.5, 7.0]), fitted.predict(&[4.5, 9.0]));
}

#[test]
fn noise_is_shrunk_towards_its_mean() {
    let rows: Vec<f64> = (0..30).map(|row| f64::from(row * 17 % 30)).collect();
    let targets: Vec<f64> = (0..30).map(|row| f64::from(row * 7 % 13)).collect();
    assert!(Ridge::fit(rows.chunks_exact(1), 1, &targets).unwrap().penalty() >= 100.0);
}

#[test]
fn what_cannot_be_fitted_is_refused_and_one_row_gives_its_value() {
    let fit = |rows: &[&'static [f64]], width, targets: &[f64]| {
        Ridge::fit(rows.iter().copied(), width, targets)
    };
    assert_eq!(fit(&[], 2, &[]), Err(MetricError::Empty));
    assert!(matches!(fit(&[&[1.0]], 2, &[1.0]), Err(MetricError::Length { .. })));
    assert!(matches!(fit(&[&[1.0]], 1, &[1.0, 2.0]), Err(MetricError::Length { .. })));
    let nan = fit(&[&[1.0], &[f64::NAN]], 1, &[1.0, 2.0]);
    assert_eq!(nan, Err(MetricError::NotANumber { row: 1 }));
    assert_eq!(fit(&[&[1.0, 2.0]], 2, &[5.0]).unwrap().predict(&[8.0, 8.0]), 5.0);
    assert_eq!(fit(&[&[], &[]], 0, &[5.0, 7.0]).unwrap().predict(&[]), 6.0);
}

#[test]
fn rows_side_by_side_are_solved_for_as_each_alone() {
    let lower = [2.0, 0.0, 0.0, 0.3, 1.7, 0.0, -0.9, 0.4, 3.1];
    let alone: Vec<[f64; 3]> =
        (0..LANES).map(|lane| [0.1, 1.3, -0.7].map(|value| value * (lane as f64 + 0.3))).collect();
    let mut beside: Vec<[f64; LANES]> =
        (0..3).map(|column| std::array::from_fn(|lane| alone[lane][column])).collect();
    forward(&lower, &mut beside);
    for (lane, mut x) in alone.into_iter().enumerate() {
        forward(&lower, x.as_chunks_mut::<1>().0);
        assert_eq!(x.map(f64::to_bits), std::array::from_fn(|at| beside[at][lane].to_bits()));
    }
}
