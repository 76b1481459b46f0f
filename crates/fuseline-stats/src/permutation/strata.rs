//! Strata of evidence confidence.

use super::{PermutationError, Rows};

/// The stratum of each row, for [`super::Scheme::Conditional`].
///
/// `confidence`: n rows by modalities, row-major, for example the largest probability of each expert; unavailable
/// entries are not read. Each modality's available rows are cut into `bins` of as equal size as ties allow (by the
/// rank of their confidence; equal confidences share the bin of the first); rows whose bins agree in every modality
/// share a stratum. Strata are numbered in the order of their first row. `bins` of 0 counts as 1.
///
/// Errors when a length is wrong. NaN sorts after every number.
pub fn confidence_strata(
    confidence: &[f64],
    rows: &Rows<'_>,
    bins: u32,
) -> Result<Vec<u32>, PermutationError> {
    super::check_quality(confidence, rows)?;
    let bins = bins.max(1) as usize;
    // Bin 0 is "unavailable".
    let mut bin = vec![0_usize; confidence.len()];
    for modality in 0..rows.modalities {
        let mut order: Vec<usize> = (modality..confidence.len())
            .step_by(rows.modalities)
            .filter(|&at| rows.available[at])
            .collect();
        order.sort_by(|&a, &b| confidence[a].total_cmp(&confidence[b]));
        let mut first = 0;
        for (rank, &at) in order.iter().enumerate() {
            if confidence[at].total_cmp(&confidence[order[first]]).is_gt() {
                first = rank;
            }
            bin[at] = 1 + first * bins / order.len();
        }
    }
    let mut stratum = vec![0; confidence.len() / rows.modalities];
    for (number, rows) in (0_u32..).zip(super::together(bin.chunks(rows.modalities))) {
        for row in rows {
            stratum[row as usize] = number;
        }
    }
    Ok(stratum)
}
