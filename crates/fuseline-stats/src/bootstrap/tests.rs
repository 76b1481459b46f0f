use std::sync::Mutex;

use super::*;

/// 12 groups of five rows, two classes.
fn sums() -> ClassSums {
    let group: Vec<u32> = (0..60).map(|row| row / 5).collect();
    let labels: Vec<u32> = (0..60).map(|row| row * 7 % 3 / 2).collect();
    let correct: Vec<f64> = (0..60).map(|row| f64::from(row * row % 5) / 4.0).collect();
    ClassSums::from_rows(&group, 12, &labels, 2, &correct).unwrap()
}

fn draw(stream: &Stream) -> Vec<Resampled> {
    let sums = sums();
    cluster_bootstrap(12, 300, stream, 2, |multiplicity, values| {
        values[0] = sums.balanced_accuracy(multiplicity);
        values[1] = 1.0 - values[0];
    })
    .unwrap()
}

#[test]
fn statistics_of_one_call_come_from_the_same_resample() {
    let [first, second] = <[Resampled; 2]>::try_from(draw(&Stream::new(1, "bootstrap"))).unwrap();
    assert_eq!(first.values.len(), 300);
    for (first, second) in first.values.iter().zip(&second.values) {
        assert_eq!(first + second, 1.0);
    }
}

#[test]
fn a_resample_depends_on_the_stream_and_its_number_alone() {
    let stream = Stream::new(1, "bootstrap");
    let sums = sums();
    let few = cluster_bootstrap(12, 20, &stream, 1, |multiplicity, values| {
        values[0] = sums.balanced_accuracy(multiplicity);
    })
    .unwrap();
    assert_eq!(few[0].values, draw(&stream)[0].values[..20]);
    assert_ne!(draw(&stream), draw(&Stream::new(2, "bootstrap")));
}

#[test]
fn as_many_groups_are_drawn_as_there_are_each_as_often_as_the_others() {
    let seen = Mutex::new([0_u32; 7]);
    cluster_bootstrap(7, 4_000, &Stream::new(1, "counts"), 1, |multiplicity, values| {
        assert_eq!(multiplicity.iter().sum::<u32>(), 7);
        seen.lock().unwrap().iter_mut().zip(multiplicity).for_each(|(seen, times)| *seen += times);
        values[0] = 0.0;
    })
    .unwrap();
    let seen = seen.into_inner().unwrap();
    // 4,000 of each in the resamples, 1 in the whole; sd about 59.
    assert!(seen.iter().all(|seen| seen.abs_diff(4_001) < 240), "{seen:?}");
}

#[test]
fn the_resampled_spread_of_a_mean_is_that_of_theory() {
    let groups: Vec<f64> = (0..40).map(|i| f64::from(i * 17 % 40)).collect();
    let mean = |weights: &[u32]| {
        let total: u32 = weights.iter().sum();
        weights.iter().zip(&groups).map(|(&w, x)| f64::from(w) * x).sum::<f64>() / f64::from(total)
    };
    let found = cluster_bootstrap(40, 4_000, &Stream::new(1, "mean"), 1, |weights, values| {
        values[0] = mean(weights);
    })
    .unwrap();
    let interval = found[0].percentile(0.95).unwrap();
    let sd = ((40.0_f64 * 40.0 - 1.0) / 12.0 / 40.0).sqrt();
    assert!((interval.low - (19.5 - 1.96 * sd)).abs() < 0.3, "{interval:?}");
    assert!((interval.high - (19.5 + 1.96 * sd)).abs() < 0.3, "{interval:?}");
}

#[test]
fn a_group_that_occurs_twice_is_its_rows_twice_and_an_absent_class_is_left_out() {
    let sums =
        ClassSums::from_rows(&[0, 0, 1, 1], 2, &[0, 0, 0, 1], 2, &[1.0, 0.0, 1.0, 0.5]).unwrap();
    assert_eq!(sums.balanced_accuracy(&[1, 1]), (2.0 / 3.0 + 0.5) / 2.0);
    assert_eq!(sums.balanced_accuracy(&[2, 1]), (3.0 / 5.0 + 0.5) / 2.0);
    assert_eq!(sums.balanced_accuracy(&[2, 0]), 0.5);
    assert!(sums.balanced_accuracy(&[0, 0]).is_nan());
}

#[test]
fn the_jackknife_leaves_out_one_group_after_the_other() {
    let sums = sums();
    let without = (0..12).map(|group| {
        let mut multiplicity = [1; 12];
        multiplicity[group] = 0;
        sums.balanced_accuracy(&multiplicity)
    });
    for (found, expected) in sums.without_each_group().into_iter().zip(without) {
        assert!((found - expected).abs() < 1e-15, "{found} {expected}");
    }
    let of_one = ClassSums::from_rows(&[0, 0, 1], 2, &[0, 1, 0], 2, &[1.0, 0.0, 0.5]).unwrap();
    assert_eq!(of_one.without_each_group(), [0.5, 0.5], "a class that is gone is left out");
}

#[test]
fn a_statistic_that_does_not_vary_has_an_interval_of_no_width() {
    let found =
        cluster_bootstrap(5, 100, &Stream::new(1, "flat"), 1, |_, values| values[0] = 0.5).unwrap();
    let expected = Interval { low: 0.5, high: 0.5, confidence: 0.9 };
    assert_eq!(
        (found[0].percentile(0.9), found[0].bca(&[0.5; 5], 0.9)),
        (Ok(expected), Ok(expected))
    );
}

#[test]
fn what_cannot_be_resampled_is_refused() {
    let stream = Stream::new(1, "none");
    let zero = |_: &[u32], values: &mut [f64]| values.fill(0.0);
    let groups = |groups, resamples| cluster_bootstrap(groups, resamples, &stream, 1, zero);
    assert_eq!(groups(1, 10), Err(BootstrapError::TooFewGroups { groups: 1 }));
    assert_eq!(groups(2, 0), Err(BootstrapError::Empty));
    let nan = cluster_bootstrap(2, 1, &stream, 2, |_, values| values[0] = 0.0);
    assert_eq!(nan, Err(BootstrapError::NotFinite { statistic: 1, resample: -1 }));
    let found = groups(2, 10).unwrap();
    assert!(matches!(found[0].percentile(1.0), Err(BootstrapError::Confidence { .. })));
    assert!(ClassSums::from_rows(&[2], 2, &[0], 1, &[0.0]).is_err());
    assert!(ClassSums::from_rows(&[0], 2, &[1], 1, &[0.0]).is_err());
    assert!(ClassSums::from_rows(&[0], 2, &[0, 0], 1, &[0.0, 0.0]).is_err());
}
