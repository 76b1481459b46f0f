//! Accuracy of an expert at each level of its quality.

use crate::metrics::{MetricError, length};

/// One bin of a reliability curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bin {
    /// Mean quality in the bin.
    pub quality: f64,
    /// Share of its rows where the expert is right.
    pub accuracy: f64,
    /// Its rows.
    pub rows: usize,
}

/// Cuts n rows into `bins` of as equal size as ties allow, by the rank of their quality; equal
/// qualities share the bin of the first, and a bin without rows is left out. The lowest quality
/// comes first. `bins` of 0 counts as 1.
///
/// Errors when the lengths differ or a quality is NaN.
pub fn reliability_curve(
    quality: &[f64],
    right: &[bool],
    bins: usize,
) -> Result<Vec<Bin>, MetricError> {
    length("right", quality.len(), right.len())?;
    if let Some(row) = quality.iter().position(|quality| quality.is_nan()) {
        return Err(MetricError::NotANumber { row });
    }
    let bins = bins.max(1);
    let mut order: Vec<usize> = (0..quality.len()).collect();
    order.sort_by(|&a, &b| quality[a].total_cmp(&quality[b]));
    let mut sums = vec![(0.0, 0_u32, 0_usize); bins];
    let mut first = 0;
    for (rank, &row) in order.iter().enumerate() {
        if quality[row] > quality[order[first]] {
            first = rank;
        }
        let (sum, hits, rows) = &mut sums[first * bins / order.len()];
        *sum += quality[row];
        *hits += u32::from(right[row]);
        *rows += 1;
    }
    let filled = sums.into_iter().filter(|(_, _, rows)| *rows > 0);
    Ok(filled
        .map(|(sum, hits, rows)| Bin {
            quality: sum / rows as f64,
            accuracy: f64::from(hits) / rows as f64,
            rows,
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_are_of_equal_size_and_ordered_by_quality() {
        let quality = [0.4, 0.1, 0.3, 0.2];
        let curve = reliability_curve(&quality, &[true, false, true, true], 2).unwrap();
        let low = Bin { quality: (0.1 + 0.2) / 2.0, accuracy: 0.5, rows: 2 };
        let high = Bin { quality: (0.3 + 0.4) / 2.0, accuracy: 1.0, rows: 2 };
        assert_eq!(curve, [low, high]);
    }

    #[test]
    fn equal_qualities_are_never_parted_and_empty_bins_are_left_out() {
        let curve = reliability_curve(&[1.0; 5], &[true, false, false, false, false], 3).unwrap();
        assert_eq!(curve, [Bin { quality: 1.0, accuracy: 0.2, rows: 5 }]);
        assert!(reliability_curve(&[], &[], 3).unwrap().is_empty());
        assert!(reliability_curve(&[f64::NAN], &[true], 3).is_err());
    }
}
