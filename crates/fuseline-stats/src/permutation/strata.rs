//! Strata of evidence confidence.

use super::{PermutationError, Rows};

/// The stratum of each row, for [`super::Scheme::Conditional`].
///
/// `confidence`: n rows by modalities, row-major, for example the largest probability of each
/// expert; unavailable entries are not read. Each modality's available rows are cut into `bins` of
/// as equal size as ties allow (by the rank of their confidence; equal confidences share the bin of
/// the first); rows whose bins agree in every modality share a stratum. Strata are numbered in the
/// order of their first row. `bins` of 0 counts as 1.
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
    Ok(number(super::together(bin.chunks(rows.modalities)), confidence.len() / rows.modalities))
}

/// The stratum of each row, for [`super::Scheme::WithinCorrect`]: rows share one whose available
/// experts are right and wrong in the same modalities. Strata are numbered in the order of their
/// first row.
///
/// `correct`: n rows by modalities, row-major; unavailable entries are not read. Errors when the
/// lengths differ.
pub fn correct_strata(correct: &[bool], rows: &Rows<'_>) -> Result<Vec<u32>, PermutationError> {
    let expected = rows.count()? * rows.modalities;
    if correct.len() != expected {
        let found = correct.len();
        return Err(PermutationError::Length { what: "correct", expected, found });
    }
    let known: Vec<bool> =
        correct.iter().zip(rows.available).map(|(right, there)| *right && *there).collect();
    Ok(number(super::together(known.chunks(rows.modalities)), expected / rows.modalities))
}

/// The number of each row's stratum.
fn number(strata: Vec<Vec<u32>>, rows: usize) -> Vec<u32> {
    let mut stratum = vec![0; rows];
    for (number, rows) in (0_u32..).zip(strata) {
        for row in rows {
            stratum[row as usize] = number;
        }
    }
    stratum
}
