use super::*;

#[test]
fn a_dot_product_of_any_length_is_the_sum_of_products() {
    for length in 0..40_usize {
        let a: Vec<f64> = (0..length).map(|i| i as f64 - 3.0).collect();
        let b: Vec<f64> = (0..length).map(|i| 2.0 * i as f64 + 1.0).collect();
        let expected: f64 = a.iter().zip(&b).map(|(a, b)| a * b).sum();
        assert_eq!(dot(&a, &b), expected, "length {length}"); // small integers: exact in any order
    }
}

#[test]
fn the_largest_size_is_nan_when_one_value_is() {
    assert_eq!(max_abs(&[1.0, -3.0, 2.0]), 3.0);
    assert_eq!(max_abs(&[]), 0.0);
    assert!(max_abs(&[1.0, f64::NAN, 9.0]).is_nan());
}

#[test]
fn a_factored_system_is_solved() {
    // A = B B' + 1, from a B of small integers.
    let size = 13;
    let b: Vec<f64> = (0..size * size).map(|at| (at * at % 7) as f64 - 3.0).collect();
    let mut matrix = vec![0.0; size * size];
    for i in 0..size {
        for j in 0..size {
            matrix[i * size + j] = dot(&b[i * size..][..size], &b[j * size..][..size]);
        }
        matrix[i * size + i] += 1.0;
    }
    let wanted: Vec<f64> = (0..size).map(|i| i as f64 / 3.0 - 1.0).collect();
    let mut x: Vec<f64> = matrix.chunks(size).map(|row| dot(row, &wanted)).collect();
    Cholesky::factor(matrix, size).solve(&mut x);
    for (x, wanted) in x.iter().zip(&wanted) {
        assert!((x - wanted).abs() < 1e-11, "{x} is not {wanted}");
    }
}

#[test]
fn a_singular_matrix_still_has_a_factor() {
    let factor = Cholesky::factor(vec![1.0, 1.0, 1.0, 1.0], 2);
    let mut x = [2.0, 2.0];
    factor.solve(&mut x);
    assert!(x.iter().all(|x| x.is_finite()));
    assert!((x[0] + x[1] - 2.0).abs() < 1e-9);
}
