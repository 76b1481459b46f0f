//! Metrics of class probabilities.

use super::{MetricError, classes, length};

/// The class of the largest probability; the lowest of equals; 0 when there is none. NaN never
/// wins.
#[must_use]
pub fn decision(probabilities: &[f64]) -> u32 {
    let mut best = (0_u32, f64::NEG_INFINITY);
    for (class, &probability) in (0_u32..).zip(probabilities) {
        if probability > best.1 {
            best = (class, probability);
        }
    }
    best.0
}

/// The decision of each of n rows by `class_count`, row-major. Errors when rows are not whole.
pub fn decisions(probabilities: &[f64], class_count: usize) -> Result<Vec<u32>, MetricError> {
    let rows = probabilities.len() / class_count.max(1);
    length("probabilities", rows * class_count, probabilities.len())?;
    Ok(probabilities.chunks_exact(class_count.max(1)).map(decision).collect())
}

/// Checks n rows by classes against n labels and gives the number of classes.
fn check(probabilities: &[f64], labels: &[u32]) -> Result<usize, MetricError> {
    if labels.is_empty() {
        return Err(MetricError::Empty);
    }
    let class_count = probabilities.len() / labels.len();
    length("probabilities", labels.len() * class_count.max(1), probabilities.len())?;
    classes("label", labels, class_count)?;
    match probabilities.iter().position(|probability| probability.is_nan()) {
        Some(at) => Err(MetricError::NotANumber { row: at / class_count }),
        None => Ok(class_count),
    }
}

/// Mean of -ln p(label), in nats, with p of at least 2^-52 as in scikit-learn's `log_loss`.
///
/// `probabilities`: n rows by classes, row-major. Errors when there are no rows, a shape or label
/// is wrong, or a probability is NaN.
pub fn log_loss(probabilities: &[f64], labels: &[u32]) -> Result<f64, MetricError> {
    let class_count = check(probabilities, labels)?;
    let rows = probabilities.chunks_exact(class_count).zip(labels);
    let sum: f64 =
        rows.map(|(row, &label)| -libm::log(row[label as usize].clamp(f64::EPSILON, 1.0))).sum();
    Ok(sum / labels.len() as f64)
}

/// Mean over rows of sum_k (p_k - [label = k])^2, 0 to 2 (Brier 1950).
///
/// For two classes that is twice the one-sided score that some give. Shapes and errors as
/// [`log_loss`].
pub fn brier(probabilities: &[f64], labels: &[u32]) -> Result<f64, MetricError> {
    let class_count = check(probabilities, labels)?;
    let mut sum = 0.0;
    for (row, &label) in probabilities.chunks_exact(class_count).zip(labels) {
        for (class, probability) in (0_u32..).zip(row) {
            let off = probability - f64::from(u8::from(class == label));
            sum += off * off;
        }
    }
    Ok(sum / labels.len() as f64)
}

/// Total variation between two distributions over the same classes: half the sum of |p_k - q_k|, 0
/// to 1.
#[must_use]
pub fn total_variation(p: &[f64], q: &[f64]) -> f64 {
    0.5 * p.iter().zip(q).map(|(p, q)| (p - q).abs()).sum::<f64>()
}

/// Mean total variation of n rows by `class_count`. Errors when there are no rows or the shapes
/// differ.
pub fn mean_total_variation(
    before: &[f64],
    after: &[f64],
    class_count: usize,
) -> Result<f64, MetricError> {
    length("after", before.len(), after.len())?;
    let rows = before.len() / class_count.max(1);
    length("before", rows * class_count, before.len())?;
    if rows == 0 {
        return Err(MetricError::Empty);
    }
    let pairs = before.chunks_exact(class_count).zip(after.chunks_exact(class_count));
    Ok(pairs.map(|(before, after)| total_variation(before, after)).sum::<f64>() / rows as f64)
}
