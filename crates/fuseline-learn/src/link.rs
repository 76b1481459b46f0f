//! From scores to probabilities.

/// The probabilities of classes 0 and 1 for a score z of class 1: 1 / (1 + e^z) and 1 / (1 + e^-z).
///
/// Neither loses digits when it is tiny; an infinite score gives 0 and 1, a NaN gives NaN.
#[must_use]
pub fn binary(score: f64) -> [f64; 2] {
    let small = libm::exp(-score.abs());
    let (low, high) = (small / (1.0 + small), 1.0 / (1.0 + small));
    if score >= 0.0 { [low, high] } else { [high, low] }
}

/// Replaces K scores by their softmax, summed in class order after the largest is subtracted.
///
/// Finite scores give probabilities that sum to 1 within K rounding errors.
pub fn softmax(scores: &mut [f64]) {
    let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut sum = 0.0;
    for score in scores.iter_mut() {
        *score = libm::exp(*score - top);
        sum += *score;
    }
    for score in scores.iter_mut() {
        *score /= sum;
    }
}

/// ln(1 + e^x) without overflow or loss of digits.
#[must_use]
pub fn log1p_exp(x: f64) -> f64 {
    x.max(0.0) + libm::log1p(libm::exp(-x.abs()))
}

/// Fills one row of class probabilities a row of scores; `blocks` is 1 (two classes) or the number
/// of classes.
pub(crate) fn probabilities(scores: &[f64], blocks: usize, out: &mut [f64]) {
    if blocks == 1 {
        for (out, &score) in out.chunks_exact_mut(2).zip(scores) {
            out.copy_from_slice(&binary(score));
        }
    } else {
        out.copy_from_slice(scores);
        out.chunks_exact_mut(blocks).for_each(softmax);
    }
}
