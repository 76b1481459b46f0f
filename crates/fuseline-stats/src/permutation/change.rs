//! Probability that a permutation changes the quality of a row.

use super::{PermutationError, Permuter, Rows, Scheme, check_quality};

impl Permuter {
    /// The chance of each row to get another quality than its own, over all permutations of the
    /// scheme.
    ///
    /// `key`: the quality of a row in a column, as any value that is equal for equal qualities
    /// only. Rows that share a stratum with equal qualities only have chance 0: they cannot show
    /// what quality does, however many they are. The mean over rows is the share of qualities that
    /// a permutation changes.
    #[must_use]
    pub fn change_chances<K: Ord>(&self, key: impl Fn(usize, u32) -> K) -> Vec<f64> {
        let mut kept = vec![1.0; self.count];
        for (column, strata) in self.strata.iter().enumerate() {
            for rows in strata {
                let mut rows: Vec<(K, u32)> =
                    rows.iter().map(|&row| (key(column, row), row)).collect();
                rows.sort_unstable();
                // In a permutation every row of the stratum, itself included, is as likely to give
                // its quality; in a derangement every other row is.
                let own = usize::from(self.scheme == Scheme::Derangement && rows.len() > 1);
                let others = (rows.len() - own) as f64;
                for equal in rows.chunk_by(|(one, _), (other, _)| one == other) {
                    let keeps = (equal.len() - own) as f64 / others;
                    equal.iter().for_each(|(_, row)| kept[*row as usize] *= keeps);
                }
            }
        }
        kept.into_iter().map(|kept| 1.0 - kept).collect()
    }
}

/// The chance of each row that exchanging the qualities of its available modalities changes them,
/// over all orders.
///
/// `quality`: n rows by modalities, row-major. Errors when the lengths differ.
pub fn swap_change_chances(quality: &[f64], rows: &Rows<'_>) -> Result<Vec<f64>, PermutationError> {
    check_quality(quality, rows)?;
    let each = quality.chunks(rows.modalities).zip(rows.available.chunks(rows.modalities));
    Ok(each
        .map(|(quality, available)| {
            let mut own: Vec<f64> = quality
                .iter()
                .zip(available)
                .filter(|(_, there)| **there)
                .map(|(q, _)| *q)
                .collect();
            own.sort_by(f64::total_cmp);
            // Orders that leave the row as it is: those of equal values among themselves.
            let (mut kept, mut run) = (1.0, 0.0);
            for (at, value) in own.iter().enumerate() {
                run = if at > 0 && own[at - 1] == *value { run + 1.0 } else { 1.0 };
                kept *= run / (at + 1) as f64;
            }
            1.0 - kept
        })
        .collect())
}
