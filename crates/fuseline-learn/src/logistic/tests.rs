use super::*;
use crate::weights::balanced;

/// Rows that need no library: a fixed linear congruence, uniform in -1 to 1.
fn noise(count: usize, seed: u64) -> Vec<f64> {
    let mut state = seed;
    (0..count)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
        })
        .collect()
}

/// Largest component of the gradient of the objective, written independently of the solver.
fn gradient_size(model: &Logistic, rows: &[f64], labels: &[u32], weights: &[f64], c: f64) -> f64 {
    let p = model.predict_proba(rows).unwrap();
    let (classes, width) = (model.classes(), model.width());
    let blocks = model.intercepts().len();
    let mut top = 0.0_f64;
    for block in 0..blocks {
        let class = if blocks == 1 { 1 } else { block };
        let residual = |i: usize| {
            c * weights[i]
                * (p[i * classes + class] - f64::from(u8::from(labels[i] as usize == class)))
        };
        top = top.max((0..labels.len()).map(residual).sum::<f64>().abs());
        for column in 0..width {
            let data: f64 = (0..labels.len()).map(|i| residual(i) * rows[i * width + column]).sum();
            top = top.max((model.coefficients()[block * width + column] + data).abs());
        }
    }
    top
}

#[test]
fn the_gradient_vanishes_whatever_the_shape() {
    for (count, width, classes, c) in [
        (60, 4, 2, 1.0),
        (40, 90, 2, 1.0),
        (60, 4, 4, 1.0),
        (30, 50, 3, 10.0),
        (9, 9, 2, 1e4),
        (50, 3, 2, 1e-6),
    ] {
        let rows = noise(count * width, 7);
        let labels: Vec<u32> =
            (0..count).map(|i| ((i * i + i / 3) % 11 % classes) as u32).collect();
        let weights = balanced(&labels, classes).unwrap();
        let options = Options { c, ..Options::default() };
        let model = Logistic::fit(&rows, width, &labels, &weights, classes, &options).unwrap();
        let size = gradient_size(&model, &rows, &labels, &weights, c);
        assert!(size <= 1e-8 * c.max(1.0), "{count} x {width}, {classes} classes, c {c}: {size:e}");
    }
}

#[test]
fn separable_classes_converge_even_with_hardly_any_penalty() {
    let rows: Vec<f64> = (0..40).map(|i| f64::from(i) - 19.5).collect();
    let labels: Vec<u32> = rows.iter().map(|&x| u32::from(x > 0.0)).collect();
    let options = Options { c: 1e8, ..Options::default() };
    let model = Logistic::fit(&rows, 1, &labels, &[1.0; 40], 2, &options).unwrap();
    assert!(model.coefficients()[0] > 10.0);
    assert!(model.intercepts()[0].abs() < 1e-6);
}

#[test]
fn two_classes_as_a_softmax_of_a_third_that_is_rare_stay_finite() {
    let rows = noise(600, 3);
    let labels: Vec<u32> = (0..300).map(|i| if i == 17 { 2 } else { i % 2 }).collect();
    let weights = balanced(&labels, 3).unwrap();
    let model = Logistic::fit(&rows, 2, &labels, &weights, 3, &Options::default()).unwrap();
    let probabilities = model.predict_proba(&rows).unwrap();
    for row in probabilities.chunks(3) {
        assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-14);
    }
    assert!(model.intercepts().iter().sum::<f64>().abs() < 1e-12);
}

#[test]
fn copied_and_constant_columns_share_or_take_nothing() {
    let x = noise(80, 5);
    let labels: Vec<u32> = x.iter().map(|&x| u32::from(x > 0.1)).collect();
    let rows: Vec<f64> = x.iter().flat_map(|&x| [x, x, 0.0]).collect();
    let model = Logistic::fit(&rows, 3, &labels, &[1.0; 80], 2, &Options::default()).unwrap();
    let [a, b, zero] = model.coefficients() else { panic!() };
    assert!((a - b).abs() < 1e-12 && *a > 1.0);
    assert_eq!(*zero, 0.0);
}

#[test]
fn weight_two_is_the_row_twice_and_weight_zero_is_no_row() {
    let rows = noise(60, 9);
    let labels: Vec<u32> = (0..30).map(|i| i / 3 % 2).collect();
    let mut weights = vec![1.0; 30];
    (weights[4], weights[9]) = (2.0, 0.0);
    let weighted = Logistic::fit(&rows, 2, &labels, &weights, 2, &Options::default()).unwrap();
    let order: Vec<usize> = (0..30).filter(|&i| i != 9).chain([4]).collect();
    let again: Vec<f64> = order.iter().flat_map(|&i| [rows[2 * i], rows[2 * i + 1]]).collect();
    let labels: Vec<u32> = order.iter().map(|&i| labels[i]).collect();
    let copied = Logistic::fit(&again, 2, &labels, &[1.0; 30], 2, &Options::default()).unwrap();
    for (a, b) in weighted.coefficients().iter().zip(copied.coefficients()) {
        assert!((a - b).abs() < 1e-10);
    }
}

#[test]
fn what_cannot_be_fitted_is_refused() {
    let fit = |rows: &[f64], labels: &[u32], weights: &[f64], c: f64| {
        let options = Options { c, ..Options::default() };
        Logistic::fit(rows, 1, labels, weights, 2, &options).unwrap_err()
    };
    let input = LogisticError::Input;
    assert_eq!(fit(&[], &[], &[], 1.0), input(InputError::Empty));
    assert_eq!(
        fit(&[1.0, 2.0], &[0, 0], &[1.0, 1.0], 1.0),
        input(InputError::AbsentClass { class: 1 })
    );
    assert_eq!(
        fit(&[1.0, 2.0], &[0, 1], &[1.0, 0.0], 1.0),
        input(InputError::AbsentClass { class: 1 })
    );
    assert_eq!(
        fit(&[1.0, 2.0], &[0, 2], &[1.0, 1.0], 1.0),
        input(InputError::Label { row: 1, label: 2, classes: 2 })
    );
    assert_eq!(
        fit(&[1.0, 2.0], &[0, 1], &[1.0, -1.0], 1.0),
        input(InputError::Weight { row: 1, weight: -1.0 })
    );
    assert!(matches!(
        fit(&[1.0, f64::NAN], &[0, 1], &[1.0, 1.0], 1.0),
        LogisticError::Input(InputError::NotFinite { row: 1, column: 0, .. })
    ));
    assert!(matches!(
        fit(&[1.0, 2.0], &[0, 1], &[1.0, 1.0], 0.0),
        LogisticError::Input(InputError::Option { option: "c", .. })
    ));
}

#[test]
fn too_few_steps_give_a_model_that_says_how_far_it_got() {
    let rows = noise(100, 1);
    let labels: Vec<u32> = (0..50).map(|i| i % 2).collect();
    let options = Options { max_iterations: 0, ..Options::default() };
    let model = Logistic::fit(&rows, 2, &labels, &[1.0; 50], 2, &options).unwrap();
    let shortfall = model.not_converged().unwrap();
    assert!(shortfall.steps == 0 && shortfall.gradient > shortfall.wanted, "{shortfall}");
}

#[test]
fn parts_make_the_same_model_or_are_refused() {
    let rows = noise(80, 2);
    let labels: Vec<u32> = (0..40).map(|i| i % 3).collect();
    let model = Logistic::fit(&rows, 2, &labels, &[1.0; 40], 3, &Options::default()).unwrap();
    let (w, b) = (model.coefficients().to_vec(), model.intercepts().to_vec());
    assert_eq!(Logistic::from_parts(3, 2, w.clone(), b.clone()).unwrap(), model);
    assert!(Logistic::from_parts(2, 2, w.clone(), b.clone()).is_err());
    assert!(Logistic::from_parts(3, 3, w.clone(), b.clone()).is_err());
    assert!(Logistic::from_parts(3, usize::MAX, w.clone(), b.clone()).is_err());
    assert!(Logistic::from_parts(3, 2, vec![f64::NAN; 6], b).is_err());
}

#[test]
fn many_rows_take_no_more_steps_than_few() {
    // Of seeds at which the rounding of a plain sum of all losses is larger than what the last step
    // gains.
    let steps = |count: usize, seed: u64| {
        let tails = noise(count * 5, 100 + seed);
        let rows: Vec<f64> = noise(count * 5, 200 + seed)
            .iter()
            .zip(&tails)
            .map(|(x, tail)| x / (tail.abs() + 0.1))
            .collect();
        let luck = noise(count, 300 + seed);
        let side = |(row, luck): (&[f64], &f64)| u32::from(row[0] + row[1] > 3.0 * luck);
        let labels: Vec<u32> = rows.chunks(5).zip(&luck).map(side).collect();
        let (weights, options, mut steps) = (vec![1.0; count], Options::default(), 0);
        Logistic::fit_while(&rows, 5, &labels, &weights, 2, &options, &mut || {
            steps += 1;
            true
        })
        .unwrap();
        steps
    };
    for seed in [7, 12, 14] {
        let (few, many) = (steps(2_000, seed), steps(200_000, seed));
        assert!(many <= few + 3, "seed {seed}: {few} steps of few rows, {many} of many");
    }
}
