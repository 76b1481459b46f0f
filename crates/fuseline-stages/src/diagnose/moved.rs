//! Amount by which a scheme changes quality: quality that it leaves in place is not tested.

use std::collections::BTreeMap;

use fuseline_engine::StageError;

use crate::batch::Fusable;
use crate::diagnose::broken::Broken;

/// Examples whose quality changes, on average over permutations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Moved {
    /// Under the scheme.
    pub moved: f64,
    /// Under a joint permutation: among all examples with the same modalities available.
    pub movable: f64,
}

impl Moved {
    /// Sums the chances of the rows to get another quality, over all permutations of the scheme.
    ///
    /// `chosen`: for each modality, whether its quality is broken.
    pub fn count(broken: &Broken, fusable: &Fusable, chosen: &[bool]) -> Result<Self, StageError> {
        let width = fusable.modalities.len();
        let counts = |cell: usize| fusable.available[cell] == 1 && chosen[cell % width];
        let moved = broken.change_chances(fusable)?.iter().sum();
        Ok(Self { moved, movable: movable(fusable, counts) })
    }
}

/// A row of n that are alike in availability changes in all permutations but the share of those
/// with its quality.
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

/// Bits of a value; the two zeros are one.
fn bits(value: f64) -> u64 {
    if value == 0.0 { 0 } else { value.to_bits() }
}

#[cfg(test)]
mod tests;
