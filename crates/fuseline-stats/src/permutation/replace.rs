//! Breaks of quality that are no permutation across rows.

use super::{Intervention, PermutationError, Rows, check_quality};
use crate::streams::Stream;

/// Quality after each row's available modalities have exchanged theirs at random: draw `number`.
///
/// `quality`: n rows by modalities, row-major. Every order of a row's available modalities is
/// equally likely, independently by row, so the set of a row's qualities stays and which modality
/// each speaks of is lost. Errors when the lengths differ.
pub fn modality_swap(
    quality: &[f64],
    rows: &Rows<'_>,
    seed: u64,
    number: u64,
) -> Result<Vec<f64>, PermutationError> {
    check_quality(quality, rows)?;
    let mut stream = Stream::new(seed, "permutation")
        .with(Intervention::ModalitySwap.name().as_bytes())
        .with(rows.digest)
        .with_u64(number);
    let mut swapped = quality.to_vec();
    let mut own = Vec::new();
    for (row, available) in
        swapped.chunks_mut(rows.modalities).zip(rows.available.chunks(rows.modalities))
    {
        let there = || available.iter().enumerate().filter(|(_, there)| **there).map(|(at, _)| at);
        own.clear();
        own.extend(there().map(|at| row[at]));
        stream.shuffle(&mut own);
        for (at, &quality) in there().zip(&own) {
            row[at] = quality;
        }
    }
    Ok(swapped)
}

/// Quality with each modality's replaced by its mean over the rows where it is available, summed in
/// row order.
///
/// `quality`: n rows by modalities, row-major; where a modality is unavailable the value stays.
/// Errors when the lengths differ.
pub fn constant(quality: &[f64], rows: &Rows<'_>) -> Result<Vec<f64>, PermutationError> {
    check_quality(quality, rows)?;
    let mut levelled = quality.to_vec();
    for modality in 0..rows.modalities {
        let own = |at: &usize| rows.available[*at];
        let places = || (modality..quality.len()).step_by(rows.modalities).filter(own);
        let sum: f64 = places().map(|at| quality[at]).sum();
        let mean = sum / places().count().max(1) as f64;
        places().for_each(|at| levelled[at] = mean);
    }
    Ok(levelled)
}
