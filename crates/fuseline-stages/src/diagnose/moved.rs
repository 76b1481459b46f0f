//! Amount by which a scheme changes quality: quality that it leaves in place is not tested.

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
        let value = |cell: usize| match fusable.available[cell] == 1 && chosen[cell % width] {
            true => bits(fusable.quality[cell]),
            false => 0,
        };
        let rows = fusable.available.chunks_exact(width).enumerate();
        let rows = rows.map(|(row, pattern)| {
            (pattern, (row * width..(row + 1) * width).map(value).collect::<Vec<u64>>())
        });
        let moved = broken.change_chances(fusable)?.iter().sum();
        Ok(Self { moved, movable: movable(rows) })
    }

    /// The share of what a joint permutation changes that the scheme changes.
    pub fn share(self) -> f64 {
        if self.moved > 0.0 { (self.moved / self.movable).min(1.0) } else { 1.0 }
    }
}

/// Number of rows whose quality a joint permutation changes, on average: a row of n that are alike
/// in availability changes in all permutations but the share of those with its quality.
///
/// `rows`: the availability of each row and its quality.
pub(crate) fn movable<P: Ord, Q: Ord>(rows: impl Iterator<Item = (P, Q)>) -> f64 {
    let mut rows: Vec<(P, Q)> = rows.collect();
    rows.sort_unstable();
    let of_pattern = |alike: &[(P, Q)]| -> f64 {
        let rows = alike.len() as f64;
        let equal = alike.chunk_by(|(_, one), (_, other)| one == other);
        equal.map(|of| of.len() as f64).map(|equal| equal * (1.0 - equal / rows)).sum()
    };
    rows.chunk_by(|(one, _), (other, _)| one == other).map(of_pattern).sum()
}

/// Bits of a value; the two zeros are one.
pub(crate) fn bits(value: f64) -> u64 {
    if value == 0.0 { 0 } else { value.to_bits() }
}

#[cfg(test)]
mod tests;
