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
    /// A power of two of them, at most half of them taken. A free one is zero, so that a large table
    /// costs nothing before it is filled.
    slots: Vec<u64>,
    taken: usize,
}

impl Position {
    fn into_slot(self) -> u64 {
        (u64::from(self.segment) << 32 | u64::from(self.entry)) + 1
    }

    fn from_slot(slot: u64) -> Option<Self> {
        let position = slot.checked_sub(1)?;
        Some(Self { segment: (position >> 32) as u32, entry: position as u32 })
    }
}

impl Table {
    /// Makes room for so many more positions. `digest_of` gives the digests of those that are there.
    pub fn reserve(&mut self, more: usize, digest_of: impl Fn(Position) -> Digest) {
        let taken = self.taken + more;
        if self.slots.len() >= 2 * taken {
            return;
        }
        let larger = (2 * taken).next_power_of_two().max(64);
        let before = std::mem::replace(&mut self.slots, vec![0; larger]);
        for position in before.into_iter().filter_map(Position::from_slot) {
            self.place(&digest_of(position), position);
        }
    }

    /// Adds a position, for which there is room.
    pub fn insert(&mut self, digest: &Digest, position: Position) {
        self.place(digest, position);
        self.taken += 1;
    }

    fn place(&mut self, digest: &Digest, position: Position) {
        let mask = self.slots.len() - 1;
        let mut slot = head(digest) & mask;
        while self.slots[slot] != 0 {
            slot = (slot + 1) & mask;
        }
        self.slots[slot] = position.into_slot();
    }

    /// The positions that a digest may have, and some of others.
    pub fn candidates(&self, digest: &Digest) -> impl Iterator<Item = Position> {
        let mask = self.slots.len().wrapping_sub(1);
        let first = head(digest);
        let slots = (0..self.slots.len()).map(move |step| self.slots[(first + step) & mask]);
        slots.map_while(Position::from_slot)
    }
}

fn head(digest: &Digest) -> usize {
    // The rest of the bytes is not looked at: two digests that begin alike are neighbours.
    digest.as_bytes().first_chunk().map_or(0, |head| u64::from_le_bytes(*head)) as usize
}
