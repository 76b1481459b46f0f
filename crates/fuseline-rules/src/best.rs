use fuseline_plugin::Batch;

/// The evidence of the available modality of the largest score, or the mean of those that share it,
/// so that nothing hangs on the order of modalities. False, and nothing written, where none is
/// available.
///
/// `row`: of the batch. `score`: of a modality, not NaN. `out`: a value a class.
pub fn best_evidence(
    batch: &Batch<'_>,
    row: usize,
    score: impl Fn(usize) -> f64,
    out: &mut [f64],
) -> bool {
    let (mut best, mut equals) = (f64::NEG_INFINITY, 0.0);
    for modality in batch.available_in(row) {
        let (evidence, score) = (batch.evidence_of(row, modality), score(modality));
        if equals == 0.0 || score > best {
            out.copy_from_slice(evidence);
            (best, equals) = (score, 1.0);
        } else if score == best {
            out.iter_mut().zip(evidence).for_each(|(sum, probability)| *sum += probability);
            equals += 1.0;
        }
    }
    if equals > 1.0 {
        out.iter_mut().for_each(|sum| *sum /= equals);
    }
    equals > 0.0
}
