//! Estimates of a probability from counts.

/// The exact interval of Clopper and Pearson (1934) for the chance of which `hits` of `trials` are
/// a sample.
///
/// Each tail holds at most (1 - confidence) / 2. Hits above the trials count as all; without trials
/// it is 0 to 1.
#[must_use]
pub fn clopper_pearson(hits: u64, trials: u64, confidence: f64) -> (f64, f64) {
    let hits = hits.min(trials);
    let tail = (1.0 - confidence) / 2.0;
    let low = if hits == 0 {
        0.0
    } else {
        // P(X >= hits) rises with the chance.
        root(|chance| 1.0 - at_most(hits - 1, trials, chance) > tail)
    };
    let high =
        if hits == trials { 1.0 } else { root(|chance| at_most(hits, trials, chance) < tail) };
    (low, high)
}

/// P(X <= hits) of a binomial X with 0 < chance < 1, summed from 0 up.
#[must_use]
pub fn at_most(hits: u64, trials: u64, chance: f64) -> f64 {
    let (log_chance, log_rest) = (libm::log(chance), libm::log1p(-chance));
    let gamma = |count: u64| libm::lgamma(count as f64 + 1.0);
    (0..=hits.min(trials))
        .map(|x| {
            let ways = gamma(trials) - gamma(x) - gamma(trials - x);
            libm::exp(ways + x as f64 * log_chance + (trials - x) as f64 * log_rest)
        })
        .sum::<f64>()
        .min(1.0)
}

/// P(X >= hits) of a binomial X with 0 < chance < 1, summed over the tail itself so that a small
/// one keeps its digits.
#[must_use]
pub fn at_least(hits: u64, trials: u64, chance: f64) -> f64 {
    let (log_chance, log_rest) = (libm::log(chance), libm::log1p(-chance));
    let gamma = |count: u64| libm::lgamma(count as f64 + 1.0);
    (hits..=trials)
        .map(|x| {
            let ways = gamma(trials) - gamma(x) - gamma(trials - x);
            libm::exp(ways + x as f64 * log_chance + (trials - x) as f64 * log_rest)
        })
        .sum::<f64>()
        .min(1.0)
}

/// The point where a condition that is false at 0 and true at 1 begins to hold.
fn root(holds: impl Fn(f64) -> bool) -> f64 {
    let (mut below, mut above) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = 0.5 * (below + above);
        if holds(middle) { above = middle } else { below = middle }
    }
    0.5 * (below + above)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_those_of_scipy() {
        // scipy.stats.binomtest(hits, trials).proportion_ci(0.95, "exact").
        for (hits, trials, low, high) in SCIPY {
            let found = clopper_pearson(hits, trials, 0.95);
            assert!((found.0 - low).abs() < 1e-9 && (found.1 - high).abs() < 1e-9, "{found:?}");
        }
        assert_eq!(clopper_pearson(0, 0, 0.95), (0.0, 1.0));
    }

    #[test]
    fn upper_tails_are_those_of_scipy() {
        // scipy.stats.binom.sf(hits - 1, trials, chance).
        for (hits, trials, chance, tail) in [
            (0, 18, 0.05, 1.0),
            (1, 1, 0.05, 0.05),
            (3, 18, 0.05, 0.05812892908522134),
            (60, 1000, 0.05, 0.08673217838486103),
            (20, 24, 0.05, 8.337340682744986e-23),
        ] {
            let found = at_least(hits, trials, chance);
            assert!((found - tail).abs() <= 1e-10 * tail, "{hits}/{trials}: {found}, {tail}");
        }
        assert_eq!(at_least(3, 2, 0.5), 0.0);
    }

    const SCIPY: [(u64, u64, f64, f64); 4] = [
        (0, 20, 0.0, 0.16843347098308548),
        (7, 20, 0.1539092047845412, 0.5921885345328283),
        (52, 1000, 0.039076534943979946, 0.06763501405052164),
        (1000, 1000, 0.9963179161033608, 1.0),
    ];
}
