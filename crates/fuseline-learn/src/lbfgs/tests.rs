use super::*;

#[test]
fn the_valley_of_rosenbrock_is_followed_to_its_end() {
    let rosenbrock = |x: &[f64], gradient: &mut [f64]| {
        gradient.fill(0.0);
        let mut value = 0.0;
        for i in 0..x.len() - 1 {
            let (a, b) = (1.0 - x[i], x[i + 1] - x[i] * x[i]);
            value += a * a + 100.0 * b * b;
            gradient[i] += -2.0 * a - 400.0 * x[i] * b;
            gradient[i + 1] += 200.0 * b;
        }
        value
    };
    let found = minimise(vec![-1.2, 1.0, -1.0, 2.0], &Options::default(), rosenbrock).unwrap();
    assert_eq!(found.outcome, Outcome::Converged);
    assert!(found.gradient <= 1e-10);
    assert!(found.point.iter().all(|x| (x - 1.0).abs() < 1e-9), "{:?}", found.point);
}

#[test]
fn a_badly_scaled_bowl_is_solved_to_the_tolerance() {
    let scale = |i: usize| 10.0_f64.powi(i as i32 % 7 - 3);
    let bowl = |x: &[f64], gradient: &mut [f64]| {
        let mut value = 0.0;
        for (i, x) in x.iter().enumerate() {
            let off = x - i as f64;
            value += 0.5 * scale(i) * off * off;
            gradient[i] = scale(i) * off;
        }
        value
    };
    let found = minimise(vec![0.0; 40], &Options::default(), bowl).unwrap();
    assert_eq!(found.outcome, Outcome::Converged);
    for (i, x) in found.point.iter().enumerate() {
        assert!((x - i as f64).abs() < 1e-6, "{i}: {x}");
    }
}

#[test]
fn values_that_are_not_finite_are_uphill() {
    // x - ln x, undefined left of 0, from where the first full step would jump there.
    let barrier = |x: &[f64], gradient: &mut [f64]| {
        gradient[0] = 1.0 - 1.0 / x[0];
        if x[0] > 0.0 { x[0] - libm::log(x[0]) } else { f64::NAN }
    };
    let found = minimise(vec![30.0], &Options::default(), barrier).unwrap();
    assert_eq!(found.outcome, Outcome::Converged);
    assert!((found.point[0] - 1.0).abs() < 1e-10);
}

#[test]
fn a_floor_of_rounding_is_reported_as_stagnation() {
    // The constant hides every change of the value below 1e-4, and the gradient cannot reach 0 on
    // the grid.
    let drowned = |x: &[f64], gradient: &mut [f64]| {
        let off = x[0] - 0.1;
        gradient[0] = if off >= 0.0 { off + 1e-3 } else { off - 1e-3 };
        1e12 + 0.5 * off * off
    };
    let found = minimise(vec![1.0], &Options::default(), drowned).unwrap();
    assert_ne!(found.outcome, Outcome::Converged);
    assert!(found.gradient >= 1e-3);
    assert!(found.not_converged.is_some());
}

#[test]
fn the_allowed_steps_are_the_limit() {
    let options = Options { max_iterations: 2, ..Options::default() };
    let steep = |x: &[f64], gradient: &mut [f64]| {
        gradient[0] = 4.0 * x[0] * x[0] * x[0];
        x[0] * x[0] * x[0] * x[0]
    };
    let found = minimise(vec![5.0], &options, steep).unwrap();
    assert_eq!((found.outcome, found.iterations), (Outcome::IterationLimit, 2));
    let said = found.not_converged.unwrap().to_string();
    assert!(said.contains(" after 2 steps, 1.0e-10 was wanted"), "{said}");
}

#[test]
fn a_start_without_a_value_is_refused() {
    let nothing = |_: &[f64], gradient: &mut [f64]| {
        gradient[0] = 0.0;
        f64::NAN
    };
    assert_eq!(minimise(vec![0.0], &Options::default(), nothing), Err(LbfgsError::Start));
}

#[test]
fn the_first_step_has_length_one() {
    // Four equal components: scaled by the largest of them the step would have length 2.
    let mut tried = Vec::new();
    let plane = |x: &[f64], gradient: &mut [f64]| {
        tried.push(dot(x, x).sqrt());
        gradient.copy_from_slice(x);
        gradient.iter_mut().for_each(|g| *g -= 100.0);
        x.iter().map(|x| 0.5 * (x - 100.0) * (x - 100.0)).sum()
    };
    let options = Options { max_iterations: 1, ..Options::default() };
    minimise(vec![0.0; 4], &options, plane).unwrap();
    assert!((tried[1] - 1.0).abs() < 1e-15, "{tried:?}");
}

#[test]
fn a_search_that_is_told_to_stop_has_no_minimum() {
    let bowl = |x: &[f64], gradient: &mut [f64]| {
        gradient[0] = x[0];
        0.5 * x[0] * x[0]
    };
    let mut calls = 0;
    let stopped = minimise_while(vec![1e9], &Options::default(), bowl, &mut || {
        calls += 1;
        calls < 3
    });
    assert_eq!(stopped, Err(LbfgsError::Stopped));
}
