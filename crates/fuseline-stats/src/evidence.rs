//! Measures of one row of class probabilities.

/// A feature that is farther than this from the mean, in standard deviations, counts as this.
const FARTHEST: f64 = 1e100;

/// The largest probability; 0 for an empty row.
#[must_use]
pub fn confidence(probabilities: &[f64]) -> f64 {
    probabilities.iter().copied().fold(0.0, f64::max)
}

/// The largest probability less the second largest; the largest when it is the only one, 0 for an
/// empty row.
#[must_use]
pub fn margin(probabilities: &[f64]) -> f64 {
    let (mut first, mut second) = (0.0_f64, 0.0_f64);
    for &probability in probabilities {
        if probability > first {
            (first, second) = (probability, first);
        } else if probability > second {
            second = probability;
        }
    }
    first - second
}

/// 1 - H(p) / ln K, with 0 ln 0 = 0: 0 for equal probabilities, 1 for certainty, 1 for a single
/// class.
#[must_use]
pub fn certainty(probabilities: &[f64]) -> f64 {
    if probabilities.len() < 2 {
        return 1.0;
    }
    let inside = probabilities.iter().filter(|&&p| p > 0.0);
    let entropy: f64 = inside.map(|&p| -p * libm::log(p)).sum();
    1.0 - entropy / libm::log(probabilities.len() as f64)
}

/// Minus the mean over the observed features of |(x - mean) / scale|; none when no feature is
/// observed. A feature farther than 1e100 counts as that far.
///
/// `row`, `mean` and `scale` have one number a feature; values that are not finite are not
/// observed.
#[must_use]
pub fn in_distribution(row: &[f64], mean: &[f64], scale: &[f64]) -> Option<f64> {
    let (mut sum, mut observed) = (0.0, 0_u32);
    for ((value, mean), scale) in row.iter().zip(mean).zip(scale) {
        if value.is_finite() {
            sum += ((value - mean) / scale).abs().min(FARTHEST);
            observed += 1;
        }
    }
    (observed > 0).then(|| -sum / f64::from(observed))
}

/// Share of features that are observed, that is finite; 0 for an empty row.
#[must_use]
pub fn observed_share(row: &[f64]) -> f64 {
    let observed = row.iter().filter(|value| value.is_finite()).count();
    observed as f64 / row.len().max(1) as f64
}

/// The threshold of a split-conformal prediction set (Vovk, Gammerman and Shafer 2005; the score of
/// Sadinle, Lei and Wasserman 2019): the ceil((n + 1) * coverage)-th smallest of n scores 1 -
/// p(label); infinite when n is too small.
#[must_use]
pub fn conformal_threshold(scores: &[f64], coverage: f64) -> f64 {
    let mut sorted = scores.to_vec();
    sorted.sort_by(f64::total_cmp);
    let wanted = ((scores.len() + 1) as f64 * coverage).ceil().max(1.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at least 1")]
    sorted.get(wanted as usize - 1).copied().unwrap_or(f64::INFINITY)
}

/// Number of classes that have 1 - p of at most the threshold; at least one, as a decision names
/// one.
#[must_use]
pub fn conformal_set_size(probabilities: &[f64], threshold: f64) -> u32 {
    let inside = probabilities.iter().filter(|&&probability| 1.0 - probability <= threshold);
    inside.fold(0, |size, _| size + 1).max(1)
}

#[cfg(test)]
mod tests;
