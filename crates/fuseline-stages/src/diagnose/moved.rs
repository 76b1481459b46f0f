//! How much a scheme changes quality: what it leaves in place is not tested.

use std::collections::BTreeMap;

use fuseline_engine::StageError;

use crate::batch::Fusable;
use crate::diagnose::broken::Broken;

/// Permutations that are looked at.
const DRAWS: u32 = 200;

/// Examples whose quality changes, on average over permutations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Moved {
    /// Under the scheme.
    pub moved: f64,
    /// Under a joint permutation: among all examples with the same modalities available.
    pub movable: f64,
}

impl Moved {
    /// Counts the rows whose quality differs from their own in a modality that is there and whose quality is broken.
    ///
    /// `chosen`: for each modality, whether its quality is broken. The scheme's permutations are the first that the test itself
    /// draws.
    pub fn count(broken: &Broken, fusable: &Fusable, chosen: &[bool]) -> Result<Self, StageError> {
        let width = fusable.modalities.len();
        let counts = |cell: usize| fusable.available[cell] == 1 && chosen[cell % width];
        let draws = broken.len().min(DRAWS);
        let mut moved = 0_u64;
        let mut quality = fusable.quality.clone();
        for number in 0..draws {
            broken.quality_into(number, &fusable.quality, &mut quality)?;
            let rows = quality.chunks_exact(width).zip(fusable.quality.chunks_exact(width));
            for (row, (new, own)) in rows.enumerate() {
                let differs = |m: usize| counts(row * width + m) && !same(new[m], own[m]);
                moved += u64::from((0..width).any(differs));
            }
        }
        let moved = moved as f64 / f64::from(draws.max(1));
        Ok(Self { moved, movable: movable(fusable, counts) })
    }
}

/// A row of n that are alike in availability changes in all permutations but the share of those with its quality.
fn movable(fusable: &Fusable, counts: impl Fn(usize) -> bool) -> f64 {
    let width = fusable.modalities.len();
    let mut patterns = BTreeMap::<&[u8], BTreeMap<Vec<u64>, f64>>::new();
    for (row, available) in fusable.available.chunks_exact(width).enumerate() {
        let cell = |m: usize| row * width + m;
        let value = |m: usize| if counts(cell(m)) { bits(fusable.quality[cell(m)]) } else { 0 };
        let alike = patterns.entry(available).or_default();
        *alike.entry((0..width).map(value).collect()).or_default() += 1.0;
    }
    let of_pattern = |alike: &BTreeMap<Vec<u64>, f64>| -> f64 {
        let rows: f64 = alike.values().sum();
        alike.values().map(|equal| equal * (1.0 - equal / rows)).sum()
    };
    patterns.values().map(of_pattern).sum()
}

fn same(one: f64, other: f64) -> bool {
    bits(one) == bits(other)
}

/// Bits of a value; the two zeros are one.
fn bits(value: f64) -> u64 {
    if value == 0.0 { 0 } else { value.to_bits() }
}

#[cfg(test)]
mod tests;
