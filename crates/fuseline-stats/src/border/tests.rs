use super::*;
use crate::binomial::clopper_pearson;

/// Each row its own group, all of one class.
fn rows(values: &[f64]) -> ClassSums {
    let group: Vec<u32> = (0..).take(values.len()).collect();
    ClassSums::from_rows(&group, values.len(), &vec![0; values.len()], 1, values).unwrap()
}

fn interval(sums: &ClassSums, range: (f64, f64)) -> Interval {
    let stream = Stream::new(1, "border");
    let [found] = unseen_intervals([(sums, range.into())], 20_000, &stream, 0.95).unwrap();
    found
}

#[test]
fn of_counts_it_is_the_interval_of_clopper_and_pearson() {
    for (hits, trials) in [(0, 20), (1, 40), (7, 20), (20, 20), (3, 317)] {
        let values: Vec<f64> = (0..trials).map(|row| f64::from(u8::from(row < hits))).collect();
        let found = interval(&rows(&values), (0.0, 1.0));
        let (low, high) = clopper_pearson(hits, trials, 0.95);
        // 20,000 resamples: the quantile itself varies.
        assert!((found.low - low).abs() < 0.006, "{hits}/{trials}: {found:?}, {low}");
        assert!((found.high - high).abs() < 0.006, "{hits}/{trials}: {found:?}, {high}");
    }
}

#[test]
fn where_nothing_varies_the_smallest_class_and_the_number_of_groups_decide() {
    let one = |rows: usize| 1.0 - libm::pow(0.025, 1.0 / rows as f64);
    // 317 and 53 rows, each its own group: both classes may have lost as many.
    let labels: Vec<u32> = (0..370).map(|row| u32::from(row >= 317)).collect();
    let group: Vec<u32> = (0..370).collect();
    let sums = ClassSums::from_rows(&group, 370, &labels, 2, &[0.0; 370]).unwrap();
    let found = interval(&sums, (-1.0, 1.0));
    let expected = 0.5 * (one(317) + one(53));
    assert!((found.high - expected).abs() < 0.003, "{found:?}, {expected}");
    assert!((found.low + expected).abs() < 0.003, "{found:?}, {expected}");
    // Ten groups of 37 rows: 31 % of groups may lose everything.
    let group: Vec<u32> = (0..370).map(|row| row % 10).collect();
    let sums = ClassSums::from_rows(&group, 10, &labels, 2, &[0.0; 370]).unwrap();
    let found = interval(&sums, (-1.0, 1.0));
    assert!((found.high - one(10)).abs() < 0.02, "{found:?}, {}", one(10));
}

#[test]
fn more_groups_and_smaller_ranges_make_it_narrower() {
    let width = |rows: &ClassSums, range| {
        let found = interval(rows, range);
        found.high - found.low
    };
    let values =
        |n: usize| (0..n).map(|row| f64::from(u8::from(row % 10 == 0))).collect::<Vec<_>>();
    let (few, many) = (rows(&values(40)), rows(&values(400)));
    assert!(width(&many, (-1.0, 1.0)) < width(&few, (-1.0, 1.0)));
    assert!(width(&few, (0.0, 1.0)) < width(&few, (-1.0, 1.0)));
}

#[test]
fn what_cannot_be_bounded_is_refused() {
    let sums = rows(&[0.0, 1.0]);
    let stream = Stream::new(1, "border");
    let found = |resamples, confidence| {
        unseen_intervals([(&sums, [0.0, 1.0])], resamples, &stream, confidence)
    };
    assert_eq!(found(0, 0.95), Err(BootstrapError::Empty));
    let [one, other] =
        unseen_intervals([(&sums, [0.0, 1.0]), (&sums, [-1.0, 1.0])], 10, &stream, 0.9).unwrap();
    assert_eq!(Ok([one]), found(10, 0.9), "whatever is asked beside it");
    assert!(other.low < one.low);
    assert!(matches!(found(10, 1.0), Err(BootstrapError::Confidence { .. })));
}
