//! Table of where digests are: open addressing by the first bytes of a digest, which are as good as
//! any hash.

use fuseline_artifact::Digest;

/// Position of an entry: of its segment, and within the index of that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    pub segment: u32,
    pub entry: u32,
}

/// Positions by digest. A digest may have several.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// A power of two of them, at most half of them taken.
    slots: Vec<Option<Position>>,
    taken: usize,
}

impl Table {
    /// Adds a position. `digest_of` gives the digests of those that are there.
    pub fn insert(
        &mut self,
        digest: &Digest,
        position: Position,
        digest_of: impl Fn(Position) -> Digest,
    ) {
        if self.slots.len() < 2 * (self.taken + 1) {
            let larger = (4 * (self.taken + 1)).next_power_of_two().max(64);
            let before = std::mem::replace(&mut self.slots, vec![None; larger]);
            for position in before.into_iter().flatten() {
                self.place(&digest_of(position), position);
            }
        }
        self.place(digest, position);
        self.taken += 1;
    }

    fn place(&mut self, digest: &Digest, position: Position) {
        let mask = self.slots.len() - 1;
        let mut slot = head(digest) & mask;
        while self.slots[slot].is_some() {
            slot = (slot + 1) & mask;
        }
        self.slots[slot] = Some(position);
    }

    /// The positions that a digest may have, and some of others.
    pub fn candidates(&self, digest: &Digest) -> impl Iterator<Item = Position> {
        let mask = self.slots.len().wrapping_sub(1);
        let first = head(digest);
        (0..self.slots.len()).map_while(move |step| self.slots[(first + step) & mask])
    }
}

fn head(digest: &Digest) -> usize {
    // The rest of the bytes is not looked at: two digests that begin alike are neighbours.
    digest.as_bytes().first_chunk().map_or(0, |head| u64::from_le_bytes(*head)) as usize
}
