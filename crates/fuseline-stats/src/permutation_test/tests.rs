use super::*;
use crate::streams::Stream;

#[test]
fn ties_up_to_rounding_count_against_the_claim() {
    let test = permutation_test(0.3, &[0.1 + 0.2 - 4e-13, 0.1, 0.2]).unwrap();
    assert_eq!((test.at_least, test.p_value), (1, 0.5));
    assert_eq!(permutation_test(0.3, &[0.3 - 1e-11, 0.1, 0.2]).unwrap().at_least, 0);
}

#[test]
fn a_rule_that_ignores_quality_has_a_gap_of_exactly_zero() {
    let test = permutation_test(0.7, &[0.7; 1000]).unwrap();
    assert_eq!((test.gap, test.p_value, test.null_sd), (0.0, 1.0, Some(0.0)));
}

#[test]
fn one_permutation_has_no_standard_deviation() {
    let test = permutation_test(0.7, &[0.5]).unwrap();
    assert_eq!((test.p_value, test.null_sd), (0.5, None));
}

#[test]
fn the_detectable_gap_is_where_p_crosses_alpha() {
    let broken: Vec<f64> = (0..99).map(|i| f64::from(i * 37 % 99) / 99.0).collect();
    for alpha in [0.01, 0.05, 0.1, 0.5] {
        let gap = detectable_gap(&broken, alpha).unwrap().unwrap();
        let mean = permutation_test(0.0, &broken).unwrap().broken;
        let above = permutation_test(mean + gap + 1e-9, &broken).unwrap();
        assert!(above.p_value <= alpha, "{alpha}: {}", above.p_value);
        let at = permutation_test(mean + gap, &broken).unwrap();
        assert!(at.p_value > alpha, "{alpha}: {}", at.p_value);
    }
}

#[test]
fn a_gap_with_power_is_detected_as_often_as_it_says() {
    let mut stream = Stream::new(3, "power");
    let broken: Vec<f64> = (0..999).map(|_| stream.normal()).collect();
    let gap = gap_with_power(&broken, 0.05, 0.8).unwrap().unwrap();
    // A normal null: 1.645 to the critical value and 0.842 beyond it.
    assert!((gap - 2.486).abs() < 0.2, "{gap}");
    let trials = 4_000;
    let detected = (0..trials)
        .filter(|_| permutation_test(gap + stream.normal(), &broken).unwrap().p_value <= 0.05)
        .count();
    let share = detected as f64 / f64::from(trials);
    assert!((share - 0.8).abs() < 0.04, "{share}");
    assert_eq!(gap_with_power(&[0.5; 18], 0.05, 0.8), Ok(None));
    assert!(gap_with_power(&broken, 0.05, 1.0).is_err());
}

#[test]
fn a_gap_with_power_of_a_statistic_of_few_values_is_detected_as_often_as_it_says() {
    // With quantiles of the values as they are 75 and 67 in 100 are detected.
    for (step, seed) in [(0.3, 1), (0.6, 2)] {
        let mut stream = Stream::new(seed, "steps");
        let mut value = |shift: f64| ((shift + stream.normal()) / step).round() * step;
        let studies = 2_000;
        let broken: Vec<Vec<f64>> =
            (0..studies).map(|_| (0..199).map(|_| value(0.0)).collect()).collect();
        let stated = broken.iter().map(|of| gap_with_power(of, 0.05, 0.8).unwrap().unwrap());
        let stated = stated.sum::<f64>() / f64::from(studies);
        let detected = broken.iter().filter(|of| {
            let test = permutation_test(value(stated), of).unwrap();
            test.p_value <= 0.05
        });
        let share = detected.count() as f64 / f64::from(studies);
        assert!((share - 0.795).abs() < 0.03, "{step}: {share}");
    }
    // Of two values the larger is the critical one, and what lies above it is not seen.
    let mut two = vec![0.5; 90];
    two.extend([0.75; 10]);
    let gap = gap_with_power(&two, 0.05, 0.8).unwrap().unwrap();
    // 20 of the 90 lie below: 0.375 + 0.25 * 20 / 90.
    assert!((gap - (0.875 - 0.375 - 0.25 * 20.0 / 90.0)).abs() < 1e-12, "{gap}");
    assert_eq!(gap_with_power(&[0.5; 99], 0.05, 0.8), Ok(Some(0.0)));
}

#[test]
fn nineteen_permutations_can_show_one_in_twenty_and_eighteen_cannot() {
    assert!(detectable_gap(&[0.5; 19], 0.05).unwrap().is_some());
    assert_eq!(detectable_gap(&[0.5; 18], 0.05), Ok(None));
}

#[test]
fn what_cannot_be_tested_is_refused() {
    assert_eq!(permutation_test(0.5, &[]), Err(PermutationTestError::Empty));
    let nan = [0.5, f64::NAN];
    assert_eq!(
        permutation_test(0.5, &nan),
        Err(PermutationTestError::NotFinite { permutation: 1 })
    );
    let error = permutation_test(f64::NAN, &[0.5]);
    assert_eq!(error, Err(PermutationTestError::NotFinite { permutation: -1 }));
    assert_eq!(detectable_gap(&[0.5], 1.0), Err(PermutationTestError::Level { alpha: 1.0 }));
}

#[test]
fn exchangeable_values_are_called_a_gap_as_often_as_the_level_allows() {
    let mut stream = Stream::new(1, "exchangeable");
    let tests = 4_000;
    let mut found = [0_i32; 2];
    for _ in 0..tests {
        let values: Vec<f64> = (0..100).map(|_| stream.normal()).collect();
        let p_value = permutation_test(values[0], &values[1..]).unwrap().p_value;
        found[0] += i32::from(p_value <= 0.05);
        found[1] += i32::from(p_value <= 0.10);
    }
    // 99 permutations hold both levels exactly: 200 and 400, within 3.3 binomial sd.
    assert!((found[0] - 200).abs() <= 46 && (found[1] - 400).abs() <= 63, "{found:?}");
}

#[test]
fn a_two_sided_value_counts_both_tails_around_the_common_mean() {
    // Mean of all: 0; as far as 4: -4 and 4 itself.
    assert_eq!(two_sided(4.0, &[-4.0, 1.0, -1.0, 0.0]), Ok(2.0 / 5.0));
    assert_eq!(two_sided(-4.0, &[4.0, 1.0, -1.0, 0.0]), Ok(2.0 / 5.0));
    // About 31 / 12: all but 2.5 lie at least as far from it as 3.
    assert_eq!(two_sided(3.0, &[1.0, 2.0, 2.5, 5.5, 1.5]), Ok(5.0 / 6.0));
    assert_eq!(two_sided(0.0, &[0.0; 9]), Ok(1.0), "what never differs is no difference");
    assert_eq!(two_sided(1.0, &[]), Err(PermutationTestError::Empty));
}

#[test]
fn with_ties_ordered_at_random_the_level_is_used_up() {
    // Clean 2 among 2, 2, 1, 1, 1, 1, 1, 1, 1: first, second or third of ten, each alike.
    let broken = [2.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0];
    assert_eq!(permutation_test(2.0, &broken).unwrap().p_value, 0.3);
    assert_eq!(randomised_rejection(2.0, &broken, 0.1), Ok(1.0 / 3.0));
    assert_eq!(randomised_rejection(2.0, &broken, 0.2), Ok(2.0 / 3.0));
    assert_eq!(randomised_rejection(2.0, &broken, 0.3), Ok(1.0));
    // Whichever of the ten were the clean one: on average exactly the level.
    let all: Vec<f64> = broken.iter().copied().chain([2.0]).collect();
    let mean = (0..all.len()).map(|at| {
        let mut others = all.clone();
        let clean = others.swap_remove(at);
        randomised_rejection(clean, &others, 0.2).unwrap()
    });
    assert!((mean.sum::<f64>() / all.len() as f64 - 0.2).abs() < 1e-12);
    assert!(randomised_rejection(2.0, &broken, 1.0).is_err());
    assert!(randomised_rejection(2.0, &[], 0.1).is_err());
}

#[test]
fn the_spread_of_the_null_is_the_standard_deviation_of_the_sample() {
    // Python: statistics.stdev([0.2, 0.5, 0.1, 0.4, 0.35]).
    let test = permutation_test(0.5, &[0.2, 0.5, 0.1, 0.4, 0.35]).unwrap();
    let sd = test.null_sd.unwrap();
    assert!((sd - 0.159_687_194_226_713_13).abs() < 1e-15, "{sd}");
}
