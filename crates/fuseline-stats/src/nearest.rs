//! Distance to the nearest of some rows.

/// The Euclidean distance of a row to the `k`-th nearest of some rows, row-major, `k` from 1; the
/// farthest where there are fewer, infinite where there are none.
///
/// `row`: as many finite values as each of `rows` has, at least one.
#[must_use]
pub fn kth_distance(rows: &[f64], row: &[f64], k: usize) -> f64 {
    let squared = |other: &[f64]| -> f64 {
        row.iter().zip(other).map(|(one, other)| (one - other) * (one - other)).sum()
    };
    let mut distances: Vec<f64> = rows.chunks_exact(row.len()).map(squared).collect();
    let Some(last) = distances.len().checked_sub(1) else { return f64::INFINITY };
    let place = k.saturating_sub(1).min(last);
    let (_, kth, _) = distances.select_nth_unstable_by(place, f64::total_cmp);
    kth.sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kth_nearest_row_counts_equal_rows_each_and_the_farthest_where_there_are_fewer() {
        let rows = [0.0, 0.0, 3.0, 4.0, 0.0, 1.0, 0.0, 1.0];
        let distances: Vec<f64> = (1..=6).map(|k| kth_distance(&rows, &[0.0, 0.0], k)).collect();
        assert_eq!(distances, [0.0, 1.0, 1.0, 5.0, 5.0, 5.0]);
        assert_eq!(kth_distance(&[], &[0.0], 1), f64::INFINITY);
    }
}
