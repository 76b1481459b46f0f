//! Dependence of the rows of a group, and its effect on a test that exchanges rows one at a time.

/// The intraclass correlation of a value in groups: the share of its variance that lies between
/// them.
///
/// The one-way analysis of variance (Fisher 1925; ICC(1) of Shrout and Fleiss 1979) with the mean
/// group size of Donner and Koval (1980) where sizes differ; at most 1, and negative where groups
/// have less in common than chance gives. `group`: the number of each value's group; values that
/// are not numbers do not count. None where there are fewer than two groups or no group has two
/// rows, or where the value never varies.
#[must_use]
pub fn intraclass_correlation(values: &[f64], group: &[u32]) -> Option<f64> {
    let groups = group.iter().max().map_or(0, |last| *last as usize + 1);
    let (mut rows, mut sums) = (vec![0.0_f64; groups], vec![0.0_f64; groups]);
    let counted = || values.iter().zip(group).filter(|(value, _)| !value.is_nan());
    for (value, &group) in counted() {
        rows[group as usize] += 1.0;
        sums[group as usize] += value;
    }
    let total: f64 = rows.iter().sum();
    let used = rows.iter().filter(|rows| **rows > 0.0).count() as f64;
    if used < 2.0 || total <= used {
        return None;
    }
    let mean = sums.iter().sum::<f64>() / total;
    let means: Vec<f64> = sums.iter().zip(&rows).map(|(sum, rows)| sum / rows.max(1.0)).collect();
    let between: f64 =
        means.iter().zip(&rows).map(|(own, rows)| rows * (own - mean).powi(2)).sum::<f64>();
    let within: f64 =
        counted().map(|(value, &group)| (value - means[group as usize]).powi(2)).sum::<f64>();
    let (between, within) = (between / (used - 1.0), within / (total - used));
    let size = mean_size(&rows);
    let variance = between + (size - 1.0) * within;
    let varies = variance > 1e-24 * mean.abs().max(1.0).powi(2);
    varies.then(|| (between - within) / variance)
}

/// The size of groups that counts where sizes differ: (n - sum of n_i^2 / n) / (groups - 1).
fn mean_size(rows: &[f64]) -> f64 {
    let total: f64 = rows.iter().sum();
    let used = rows.iter().filter(|rows| **rows > 0.0).count() as f64;
    let squares: f64 = rows.iter().map(|rows| rows * rows).sum();
    (total - squares / total) / (used - 1.0)
}

/// Factor by which the variance of a product of two clustered values exceeds that of independent
/// rows (Moulton 1986): a test that exchanges rows one at a time works as if there were this many
/// times more rows than there are.
///
/// 1 + (size - 1) x the product of the intraclass correlations, negative ones as 0; `group`: the
/// number of each row's group. 1 where there are fewer than two groups.
#[must_use]
pub fn design_effect(one: f64, other: f64, group: &[u32]) -> f64 {
    let groups = group.iter().max().map_or(0, |last| *last as usize + 1);
    let mut rows = vec![0.0_f64; groups];
    group.iter().for_each(|&group| rows[group as usize] += 1.0);
    if rows.iter().filter(|rows| **rows > 0.0).count() < 2 {
        return 1.0;
    }
    1.0 + (mean_size(&rows) - 1.0) * one.max(0.0) * other.max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_correlation_is_that_of_a_one_way_analysis_of_variance() {
        // Means 2, 5 and 3 about 10/3: the mean square between groups is 3 * (42 / 9) / 2 = 7,
        // within them 1.
        let values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 2.0, 3.0, 4.0];
        let group = [0, 0, 0, 1, 1, 1, 2, 2, 2];
        let found = intraclass_correlation(&values, &group).unwrap_or(f64::NAN);
        assert!((found - (7.0 - 1.0) / (7.0 + 2.0 * 1.0)).abs() < 1e-12, "{found}");
        // Groups of 1, 2 and 3: the mean size is (6 - 14 / 6) / 2.
        assert!((mean_size(&[1.0, 2.0, 3.0]) - 11.0 / 6.0).abs() < 1e-12);
    }

    #[test]
    fn values_of_a_group_correlate_by_1_and_what_never_varies_not_at_all() {
        let group = [0, 0, 1, 1, 2, 2];
        let same = intraclass_correlation(&[3.0, 3.0, 1.0, 1.0, 7.0, 7.0], &group);
        assert_eq!(same, Some(1.0));
        assert_eq!(intraclass_correlation(&[0.1; 6], &group), None);
        assert_eq!(intraclass_correlation(&[1.0, 2.0], &[0, 1]), None);
        assert_eq!(intraclass_correlation(&[1.0, 2.0], &[0, 0]), None);
        let opposed = intraclass_correlation(&[0.0, 1.0, 0.0, 1.0, 0.0, 1.0], &group);
        assert!(opposed.is_some_and(|found| found < 0.0));
        let gaps = [3.0, f64::NAN, 1.0, 1.0, 7.0, 7.0];
        assert_eq!(intraclass_correlation(&gaps, &group), Some(1.0));
    }

    #[test]
    fn rows_that_are_one_value_a_group_count_as_one_row_a_group() {
        let group: Vec<u32> = (0..40).map(|row| row / 4).collect();
        assert!((design_effect(1.0, 1.0, &group) - 4.0).abs() < 1e-12);
        assert_eq!(design_effect(1.0, -0.2, &group), 1.0);
        assert_eq!(design_effect(1.0, 1.0, &[0, 0]), 1.0);
    }
}
