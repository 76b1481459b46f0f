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

/// The logits of a class each behind some scores: `blocks` is 1 (the log odds z of the second of
/// two classes, whose logits are -z/2 and z/2, those of least norm) or the number of classes (the
/// scores themselves).
#[must_use]
pub fn logits(scores: &[f64], blocks: usize) -> Vec<f64> {
    match blocks {
        1 => scores.iter().flat_map(|score| [-0.5 * score, 0.5 * score]).collect(),
        _ => scores.to_vec(),
    }
}

/// The logits of least norm behind a row of probabilities: ln p_k less its mean over the classes. A
/// probability below `least` counts as that.
pub fn centred_logs(probabilities: &[f64], least: f64, logits: &mut [f64]) {
    let mut sum = 0.0;
    for (logit, probability) in logits.iter_mut().zip(probabilities) {
        *logit = libm::log(probability.max(least));
        sum += *logit;
    }
    let mean = sum / probabilities.len() as f64;
    logits.iter_mut().for_each(|logit| *logit -= mean);
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

/// By how much a probability may leave 0 to 1, and a sum of some 1, for what arithmetic does to the
/// last digits.
pub const EXACT: f64 = 1e-6;

/// By how much a sum may leave 1 for each of its terms, when they were rounded to two decimals.
const ROUNDING: f64 = 0.005;

/// The sum that values have as probabilities, up to rounding: 1, or 100 of percentages. Nothing if
/// they are neither.
#[must_use]
pub fn shares_of(values: &[f64]) -> Option<f64> {
    let rounding = ROUNDING * values.len() as f64 + EXACT;
    [1.0, 100.0].into_iter().find(|total| {
        let shares = || values.iter().map(|value| value / total);
        shares().all(|p| (-EXACT..=1.0 + EXACT).contains(&p))
            && (shares().sum::<f64>() - 1.0).abs() <= rounding
    })
}
