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

/// T ln sum_k exp(l_k / T): minus the energy of a row of logits at a temperature T above 0 (Liu,
/// Wang, Owens and Li 2020). A logit may be -inf, and not all of them.
#[must_use]
pub fn negative_energy(logits: &[f64], temperature: f64) -> f64 {
    let top = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|logit| libm::exp((logit - top) / temperature)).sum();
    top + temperature * libm::log(sum)
}

/// The vacuity K / S of a Dirichlet distribution with parameters 1 + e_k, S = K + sum_k e_k: 1
/// without evidence, towards 0 with much of it (Sensoy, Kaplan and Kandemir 2018).
///
/// `evidence`: the e_k of K classes, at least 0.
#[must_use]
pub fn vacuity(evidence: impl ExactSizeIterator<Item = f64>) -> f64 {
    let classes = evidence.len() as f64;
    classes / (classes + evidence.sum::<f64>())
}

/// The vacuity K / S of the Dirichlet distribution whose mean and summed variance are those of some
/// members' class probabilities, at most 1: S = sum_k m_k (1 - m_k) / sum_k v_k - 1, with mean m_k
/// and variance v_k (divisor: members - 1); 0 where the members agree.
///
/// `members`: at least two rows of equally many class probabilities.
#[must_use]
pub fn ensemble_vacuity(members: &[&[f64]]) -> f64 {
    let classes = members.first().map_or(0, |row| row.len());
    let (mut spread, mut variance) = (0.0, 0.0);
    for class in 0..classes {
        let (mean, own) = mean_and_variance(members, class);
        spread += mean * (1.0 - mean);
        variance += own;
    }
    if variance <= 0.0 {
        return 0.0;
    }
    let strength = spread / variance - 1.0;
    classes as f64 / strength.max(classes as f64)
}

/// The variance of each class's probability across members, divisor members - 1, averaged over
/// classes.
///
/// `members`: at least two rows of equally many class probabilities.
#[must_use]
pub fn ensemble_variance(members: &[&[f64]]) -> f64 {
    let classes = members.first().map_or(0, |row| row.len());
    (0..classes).map(|class| mean_and_variance(members, class).1).sum::<f64>() / classes as f64
}

fn mean_and_variance(members: &[&[f64]], class: usize) -> (f64, f64) {
    let count = members.len() as f64;
    let mean = members.iter().map(|row| row[class]).sum::<f64>() / count;
    let squares = members.iter().map(|row| (row[class] - mean) * (row[class] - mean));
    (mean, squares.sum::<f64>() / (count - 1.0))
}

/// Mutual information between the class and the member, in nats: the entropy of the mean of some
/// members' class probabilities less the mean of their entropies (Houlsby, Huszar, Ghahramani and
/// Lengyel 2011). At least 0, at most ln K.
///
/// `members`: at least one row of equally many class probabilities.
#[must_use]
pub fn mutual_information(members: &[&[f64]]) -> f64 {
    let count = members.len() as f64;
    let classes = members.first().map_or(0, |row| row.len());
    let mean = (0..classes).map(|class| members.iter().map(|row| row[class]).sum::<f64>() / count);
    let own = members.iter().map(|row| entropy(row.iter().copied())).sum::<f64>() / count;
    (entropy(mean) - own).max(0.0)
}

/// -sum_k p_k ln p_k in nats, with 0 ln 0 = 0.
fn entropy(probabilities: impl Iterator<Item = f64>) -> f64 {
    probabilities.filter(|&p| p > 0.0).map(|p| -p * libm::log(p)).sum()
}

/// The Jensen-Shannon divergence of two rows of class probabilities in bits: 0 where they are
/// equal, 1 where they exclude each other (Lin 1991).
#[must_use]
pub fn jensen_shannon(one: &[f64], other: &[f64]) -> f64 {
    let to_mean = |p: f64, q: f64| {
        if p > 0.0 { 0.5 * p * libm::log2(2.0 * p / (p + q)) } else { 0.0 }
    };
    let each = one.iter().zip(other).map(|(&p, &q)| to_mean(p, q) + to_mean(q, p));
    each.sum::<f64>().clamp(0.0, 1.0)
}

/// The mass that Dempster's rule puts on the empty set when two rows of class probabilities are
/// combined, 1 - sum_k p_k q_k (Shafer 1976).
#[must_use]
pub fn dempster_conflict(one: &[f64], other: &[f64]) -> f64 {
    1.0 - one.iter().zip(other).map(|(p, q)| p * q).sum::<f64>()
}

#[cfg(test)]
mod tests;
