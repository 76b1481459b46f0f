use super::*;

/// The gradient of the objective, written independently of the solver.
fn gradient(model: &LinearSvm, rows: &[f64], labels: &[u32], weights: &[f64], c: f64) -> Vec<f64> {
    let width = model.width;
    let mut gradient = model.parameters.clone();
    for ((x, &label), s) in rows.chunks(width).zip(labels).zip(weights) {
        let y = if label == 1 { 1.0 } else { -1.0 };
        let f: f64 = x.iter().zip(&model.parameters).map(|(x, w)| x * w).sum::<f64>()
            + model.parameters[width];
        let pull = -2.0 * c * s * y * (1.0 - y * f).max(0.0);
        for (gradient, x) in gradient.iter_mut().zip(x.iter().chain([&1.0])) {
            *gradient += pull * x;
        }
    }
    gradient
}

#[test]
fn two_points_are_parted_as_by_hand() {
    // Of x = -1 and 1 with weight 1: w minimises w^2 / 2 + 2 (1 - w)^2, so that w = 4/5, b = 0.
    let found =
        LinearSvm::fit(&[-1.0, 1.0], 1, &[0, 1], &[1.0; 2], 2, &Options::default()).unwrap();
    assert!((found.parameters()[0] - 0.8).abs() < 1e-15 && found.parameters()[1].abs() < 1e-15);
    let values = found.decision_values(&[0.0, 5.0]).unwrap();
    assert!(values[0].abs() < 1e-15 && (values[1] - 4.0).abs() < 1e-14, "{values:?}");
}

#[test]
fn the_gradient_vanishes_whatever_the_scale_of_columns_and_weights() {
    let mut state = 7_u64;
    let mut draw = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    };
    for (count, width, c) in [(40, 3, 1.0), (40, 3, 1e4), (12, 30, 1.0), (12, 30, 1e-4)] {
        let rows: Vec<f64> =
            (0..count * width).map(|at| draw() * [1.0, 1e3, 1e-3][at % width % 3]).collect();
        // A third of the rows has no weight.
        let labels: Vec<u32> = (0..count).map(|row| [0, 1, 0, 1, 0, 0][row % 6]).collect();
        let weights: Vec<f64> = (0..count).map(|row| [0.0, 1.0, 5.0][row % 3]).collect();
        let options = Options { c, ..Options::default() };
        let found = LinearSvm::fit(&rows, width, &labels, &weights, 2, &options).unwrap();
        let worst = max_abs(&gradient(&found, &rows, &labels, &weights, c));
        let scale = 1e4 * c.max(1.0) * count as f64;
        assert!(worst <= 1e-10 * scale, "{count} by {width}, c {c}: {worst:e}");
    }
}

#[test]
fn rows_without_weight_and_rows_beyond_the_margin_do_not_count() {
    let fit = |rows: &[f64], labels: &[u32], weights: &[f64]| {
        LinearSvm::fit(rows, 1, labels, weights, 2, &Options::default()).unwrap()
    };
    let plain = fit(&[-1.0, 1.0], &[0, 1], &[1.0; 2]);
    for other in [
        fit(&[-1.0, 1.0, 9.0], &[0, 1, 0], &[1.0, 1.0, 0.0]),
        fit(&[-1.0, 1.0, 9.0], &[0, 1, 1], &[1.0; 3]),
    ] {
        let pairs = plain.parameters().iter().zip(other.parameters());
        assert!(pairs.clone().all(|(a, b)| (a - b).abs() < 1e-14), "{plain:?} and {other:?}");
    }
}

#[test]
fn what_cannot_be_fitted_is_refused() {
    let fit = |c: f64, labels: &[u32]| {
        let options = Options { c, ..Options::default() };
        LinearSvm::fit(&[-1.0, 1.0], 1, labels, &[1.0; 2], 2, &options).unwrap_err().to_string()
    };
    assert_eq!(fit(0.0, &[0, 1]), "c is out of range: a finite number above 0");
    assert_eq!(fit(1.0, &[0, 0]), "class 1 has no row to learn from");
}

#[test]
fn too_few_steps_give_a_machine_that_says_how_far_it_got() {
    let options = Options { max_iterations: 0, ..Options::default() };
    let found = LinearSvm::fit(&[-1.0, 1.0], 1, &[0, 1], &[1.0; 2], 2, &options).unwrap();
    let shortfall = found.not_converged().unwrap();
    assert!(shortfall.steps == 0 && shortfall.gradient > shortfall.wanted, "{shortfall}");
}
