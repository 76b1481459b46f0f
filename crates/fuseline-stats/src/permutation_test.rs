//! The permutation test of the gap between Clean-Q and Broken-Q.

use thiserror::Error;

/// Broken values up to this far below the clean one count as ties: sums of counts differ by
/// rounding alone.
pub const TIE: f64 = 1e-12;

/// Why there is no test.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
pub enum PermutationTestError {
    /// There is no permutation.
    #[error("there are no permutations")]
    Empty,
    /// A value is NaN or infinite.
    #[error("the value of permutation {permutation} is not finite")]
    NotFinite {
        /// The permutation; -1 is Clean-Q.
        permutation: i64,
    },
    /// The level is outside 0 to 1.
    #[error("the level {alpha} is not between 0 and 1")]
    Level {
        /// The level.
        alpha: f64,
    },
}

/// Result of the permutation test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PermutationTest {
    /// The value under Clean-Q.
    pub clean: f64,
    /// Mean value under Broken-Q.
    pub broken: f64,
    /// clean - broken.
    pub gap: f64,
    /// Number of permutations, m.
    pub permutations: usize,
    /// Permutations whose value is at least the clean one, up to [`TIE`]: b.
    pub at_least: usize,
    /// (b + 1) / (m + 1).
    pub p_value: f64,
    /// Standard deviation of the values under Broken-Q, divisor m - 1; none for a single
    /// permutation.
    pub null_sd: Option<f64>,
}

/// One-sided permutation test, p = (b + 1) / (m + 1) (Phipson and Smyth 2010).
///
/// `clean`: the statistic as measured, larger is better. `broken`: the statistic under each of m
/// permutations. b counts broken >= clean - 1e-12. Errors when `broken` is empty or a value is not
/// finite.
pub fn permutation_test(
    clean: f64,
    broken: &[f64],
) -> Result<PermutationTest, PermutationTestError> {
    let mean = mean(broken)?;
    if !clean.is_finite() {
        return Err(PermutationTestError::NotFinite { permutation: -1 });
    }
    let permutations = broken.len();
    let at_least = broken.iter().filter(|&&value| value >= clean - TIE).count();
    let squares: f64 = broken.iter().map(|value| (value - mean) * (value - mean)).sum();
    Ok(PermutationTest {
        clean,
        broken: mean,
        gap: clean - mean,
        permutations,
        at_least,
        p_value: p_value(at_least, permutations),
        null_sd: (permutations > 1).then(|| (squares / (permutations - 1) as f64).sqrt()),
    })
}

/// Two-sided permutation p-value of a difference that was taken under the same permutations.
///
/// The share of all m + 1 values, the clean one among them, that lie at least as far from their
/// common mean as the clean one. The centre treats all values alike, so the level holds whenever
/// they are exchangeable. Errors as [`permutation_test`].
pub fn two_sided(clean: f64, broken: &[f64]) -> Result<f64, PermutationTestError> {
    let broken_mean = mean(broken)?;
    if !clean.is_finite() {
        return Err(PermutationTestError::NotFinite { permutation: -1 });
    }
    let all = (broken.len() + 1) as f64;
    let centre = broken_mean + (clean - broken_mean) / all;
    let own = (clean - centre).abs() - TIE;
    let far = broken.iter().filter(|value| (*value - centre).abs() >= own).count();
    Ok((far + 1) as f64 / all)
}

/// The gap above which this test would have given p <= alpha, had the permutations been the same.
///
/// With k the largest b for which (b + 1) / (m + 1) <= alpha, it is the k-th (from 0) largest
/// broken value less their mean: a clean value that lies above it by more than 1e-12 leaves at most
/// k broken values at or above itself. None when m permutations cannot give p <= alpha. Errors as
/// [`permutation_test`], and when alpha is not between 0 and 1.
pub fn detectable_gap(broken: &[f64], alpha: f64) -> Result<Option<f64>, PermutationTestError> {
    let mean = mean(broken)?;
    if !(alpha > 0.0 && alpha < 1.0) {
        return Err(PermutationTestError::Level { alpha });
    }
    let mut descending = broken.to_vec();
    descending.sort_by(|a, b| b.total_cmp(a));
    let allowed = (0..broken.len()).take_while(|&b| p_value(b, broken.len()) <= alpha).last();
    Ok(allowed.map(|b| descending[b] - mean))
}

/// The gap that this test would detect with a stated power, p <= alpha, were the clean value only
/// shifted.
///
/// The clean value is taken to scatter about its expectation as the broken values do about theirs.
/// A statistic of few values is taken as a rounded one: each value stands for what lies nearer to
/// it than to its neighbours, its share of the broken values spread evenly there. The gap is the
/// distance from the (1 - power) quantile of that distribution up to the least value that is
/// rounded to one above the critical value of [`detectable_gap`]. None as there. Errors as there,
/// and when the power is not between 0 and 1.
pub fn gap_with_power(
    broken: &[f64],
    alpha: f64,
    power: f64,
) -> Result<Option<f64>, PermutationTestError> {
    if !(power > 0.0 && power < 1.0) {
        return Err(PermutationTestError::Level { alpha: power });
    }
    let Some(critical) = detectable_gap(broken, alpha)? else { return Ok(None) };
    let critical = critical + mean(broken)?;
    let cells = cells(broken);
    let count = broken.len() as f64;
    let mut below = 0.0;
    let low = cells.iter().find_map(|cell| {
        let share = cell.count as f64 / count;
        let part = (1.0 - power - below) / share;
        below += share;
        (part <= 1.0).then_some(cell.low + part * (cell.high - cell.low))
    });
    let rejected = cells.iter().rev().find(|cell| cell.value <= critical + TIE);
    Ok(rejected.zip(low).map(|(cell, low)| cell.high - low))
}

/// A value, and the ends of what is rounded to it.
struct Cell {
    value: f64,
    low: f64,
    high: f64,
    count: usize,
}

/// The distinct values in rising order, each with how often it occurs; the ends lie half way to the
/// neighbours.
fn cells(values: &[f64]) -> Vec<Cell> {
    let mut ascending = values.to_vec();
    ascending.sort_by(f64::total_cmp);
    let same = ascending.chunk_by(|one, other| other - one <= TIE);
    let mut cells: Vec<Cell> = same
        .map(|same| Cell { value: same[0], low: same[0], high: same[0], count: same.len() })
        .collect();
    for place in 1..cells.len() {
        let middle = 0.5 * (cells[place - 1].value + cells[place].value);
        (cells[place - 1].high, cells[place].low) = (middle, middle);
    }
    // The outer ends lie as far off as the inner ones.
    if let [first, .., last] = cells.as_mut_slice() {
        first.low = 2.0 * first.value - first.high;
        last.high = 2.0 * last.value - last.low;
    }
    cells
}

/// The chance that the test rejects at a level when values that tie with the clean one are ordered
/// at random.
///
/// [`permutation_test`] counts every tie against the clean value, which makes it conservative where
/// the statistic takes few values. With ties ordered at random the rank of the clean value is
/// uniform under exchangeability, so that the mean of this chance over nulls is floor(level * (m +
/// 1)) / (m + 1) exactly (Lehmann and Romano 2005, 15.2): it tells the effect of ties apart from a
/// wrong null. Errors as [`permutation_test`], and when the level is not between 0 and 1.
pub fn randomised_rejection(
    clean: f64,
    broken: &[f64],
    level: f64,
) -> Result<f64, PermutationTestError> {
    if !(level > 0.0 && level < 1.0) {
        return Err(PermutationTestError::Level { alpha: level });
    }
    let test = permutation_test(clean, broken)?;
    let above = broken.iter().filter(|&&value| value > clean + TIE).count();
    let ties = test.at_least - above;
    let places = (0..=ties).filter(|tie| p_value(above + tie, test.permutations) <= level).count();
    Ok(places as f64 / (ties + 1) as f64)
}

fn p_value(at_least: usize, permutations: usize) -> f64 {
    (at_least + 1) as f64 / (permutations + 1) as f64
}

/// The mean of finite values, in order; equal values have exactly their own value as mean.
fn mean(broken: &[f64]) -> Result<f64, PermutationTestError> {
    let Some(&first) = broken.first() else { return Err(PermutationTestError::Empty) };
    if let Some((permutation, _)) = (0_i64..).zip(broken).find(|(_, value)| !value.is_finite()) {
        return Err(PermutationTestError::NotFinite { permutation });
    }
    Ok(first + broken.iter().map(|value| value - first).sum::<f64>() / broken.len() as f64)
}

#[cfg(test)]
mod tests;
