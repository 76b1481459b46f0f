//! Accuracy at each level of what claims to tell it: an expert's quality, a probability.

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

/// One bin of a reliability diagram: sums, so that bins of several samples add up.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ConfidenceBin {
    /// Number of rows.
    pub rows: f64,
    /// Sum of their confidences.
    pub confidence: f64,
    /// Number of rows that are right.
    pub right: f64,
}

/// Cuts rows into `bins` bins of equal width by the probability of their decision, between 0 and 1;
/// one on a border counts to the bin above it. Bins may be empty. `bins` of 0 counts as 1.
///
/// Errors when the lengths differ or a confidence is NaN.
pub fn confidence_bins(
    confidence: &[f64],
    right: &[bool],
    bins: usize,
) -> Result<Vec<ConfidenceBin>, MetricError> {
    length("right", confidence.len(), right.len())?;
    let mut all = vec![ConfidenceBin::default(); bins.max(1)];
    for (row, (&confidence, &right)) in confidence.iter().zip(right).enumerate() {
        if confidence.is_nan() {
            return Err(MetricError::NotANumber { row });
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to bins")]
        let place = (confidence.clamp(0.0, 1.0) * all.len() as f64) as usize;
        let last = all.len() - 1;
        let bin = &mut all[place.min(last)];
        bin.rows += 1.0;
        bin.confidence += confidence;
        bin.right += f64::from(u8::from(right));
    }
    Ok(all)
}

/// Expected calibration error: the mean over rows of the distance between confidence and accuracy
/// of their bin (Naeini et al. 2015, Guo et al. 2017). NaN without rows.
#[must_use]
pub fn expected_calibration_error(bins: &[ConfidenceBin]) -> f64 {
    let rows: f64 = bins.iter().map(|bin| bin.rows).sum();
    bins.iter().map(|bin| (bin.confidence - bin.right).abs()).sum::<f64>() / rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calibration_error_is_the_distance_of_confidence_and_accuracy_by_bin() {
        let confidence = [0.55, 0.65, 0.95, 0.85, 1.0, 0.5];
        let right = [true, false, true, true, false, true];
        let bins = confidence_bins(&confidence, &right, 5).unwrap();
        let rows: Vec<f64> = bins.iter().map(|bin| bin.rows).collect();
        assert_eq!(rows, [0.0, 0.0, 2.0, 1.0, 3.0]);
        // (|1.05 - 2| + |0.65 - 0| + |2.8 - 2|) / 6.
        let found = expected_calibration_error(&bins);
        assert!((found - (0.95 + 0.65 + 0.8) / 6.0).abs() < 1e-12, "{found}");
        assert!(confidence_bins(&[f64::NAN], &[true], 5).is_err());
        assert!(expected_calibration_error(&[]).is_nan());
    }

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
