//! Trees evaluated without branches, for the rows of a tile side by side.

use fuseline_learn::boosting::Boosting;
use fuseline_plugin::tiles::{Lane, TILE};

/// Leaves of a tree, as bits of a byte each, that one byte a row holds.
const LEAVES: usize = u8::BITS as usize;
/// Leaves of a tree at most.
const MOST_LEAVES: usize = 64;
/// Thresholds of a column at most, so that their number is a byte.
const MOST_THRESHOLDS: usize = 255;
/// Parts of equal width that a column's range is cut into.
const PARTS: usize = 512;
/// Cuts that are made in one pass over a tile.
const ABREAST: usize = 4;

/// Leaves that are left for each row of a tile, eight of a tree.
pub type Leaves = [u8; TILE];

/// Number of a column's thresholds that are below the value of each row, less 128.
pub type Codes = [i8; TILE];

/// The trees (Lucchese et al., "QuickScorer", SIGIR 2015; in bytes: Ye et al., "RapidScorer", KDD
/// 2018).
///
/// The leaves of a tree are bits, from left to right. A decision for the right takes the leaves on
/// its left away; the lowest bit that is left, after all decisions, is the leaf. A decision is a
/// comparison of two bytes, since a value is known by how many of its column's thresholds are below
/// it; 32 rows go into a vector so.
#[derive(Debug)]
pub struct Forest {
    /// By column of the design.
    thresholds: Vec<Thresholds>,
    /// The first column that moves with quality.
    first_moving: usize,
    /// Decisions by evidence or availability.
    fixed: Cuts,
    /// Decisions by columns that move with quality, counted from the first of those.
    moving: Cuts,
    /// Ends of the bytes of each tree; they begin where those of the tree before end.
    ends: Vec<usize>,
    /// Values of the leaves, byte by byte.
    values: Vec<[f64; LEAVES]>,
}

/// Decisions, byte by byte of the leaves that they take away.
#[derive(Debug, Default)]
struct Cuts {
    /// For each byte of all trees where its cuts end; they begin where those of the byte before end.
    ends: Vec<usize>,
    cuts: Vec<Cut>,
}

#[derive(Clone, Copy, Debug)]
struct Cut {
    column: u32,
    /// The largest code that goes left.
    left: i8,
    /// The leaves that remain when it goes right.
    right: u8,
}

impl Cuts {
    /// Takes away the leaves of a byte that its cuts take away.
    #[inline(always)]
    fn take(&self, byte: usize, codes: &[Codes], leaves: &mut Leaves) {
        let begin = byte.checked_sub(1).map_or(0, |before| self.ends[before]);
        let (abreast, rest) = self.cuts[begin..self.ends[byte]].as_chunks::<ABREAST>();
        abreast.iter().for_each(|cuts| take(cuts, codes, leaves));
        rest.iter().for_each(|&cut| take(&[cut], codes, leaves));
    }
}

/// Makes some cuts at once.
#[inline(always)]
fn take<const N: usize>(cuts: &[Cut; N], codes: &[Codes], leaves: &mut Leaves) {
    // Read once, for all rows.
    let codes = cuts.map(|cut| &codes[cut.column as usize]);
    let left = cuts.map(|cut| cut.left);
    let right = cuts.map(|cut| cut.right);
    for at in 0..TILE {
        let mut own = leaves[at];
        for cut in 0..N {
            own &= if codes[cut][at] > left[cut] { right[cut] } else { u8::MAX };
        }
        leaves[at] = own;
    }
}

/// The thresholds of a column.
#[derive(Debug)]
struct Thresholds {
    /// In their order, then infinity.
    values: [f64; MOST_THRESHOLDS + 1],
    /// Number of thresholds before each part.
    before: [u8; PARTS],
    /// Thresholds of a part at most.
    most: usize,
    /// Start of the first part.
    lowest: f64,
    /// Parts a unit.
    scale: f64,
}

impl Thresholds {
    /// None when there are too many.
    fn new(mut found: Vec<f64>) -> Option<Self> {
        found.sort_by(f64::total_cmp);
        found.dedup();
        if found.len() > MOST_THRESHOLDS {
            return None;
        }
        let (lowest, highest) = (*found.first().unwrap_or(&0.0), *found.last().unwrap_or(&0.0));
        let scale = (PARTS - 1) as f64 / (highest - lowest);
        let scale = if scale.is_finite() { scale } else { 0.0 };
        let mut values = [f64::INFINITY; MOST_THRESHOLDS + 1];
        values[..found.len()].copy_from_slice(&found);
        let mut new = Self { values, before: [0; PARTS], most: 0, lowest, scale };
        let mut inside = [0; PARTS];
        found.iter().for_each(|&threshold| inside[new.part(threshold)] += 1);
        let mut sum = 0;
        for (before, inside) in new.before.iter_mut().zip(inside) {
            *before = sum;
            sum += inside;
        }
        new.most = inside.iter().copied().max().unwrap_or(0).into();
        Some(new)
    }

    /// Code of a threshold, which goes left; what is above goes right.
    fn code_of(&self, threshold: f64) -> i8 {
        code(self.values.partition_point(|&other| other < threshold) as u8)
    }

    /// The part of a value, which never falls from one value to a larger one.
    #[inline(always)]
    fn part(&self, value: f64) -> usize {
        // 2^52: added to a number that is not negative, it leaves the nearest integer in the low
        // bits.
        const ROUND: f64 = 4_503_599_627_370_496.0;
        let place = (value - self.lowest) * self.scale;
        let place = if place > 0.0 { place } else { 0.0 };
        let place = if place < (PARTS - 1) as f64 { place } else { (PARTS - 1) as f64 };
        (place + ROUND).to_bits() as usize % PARTS
    }

    /// The code of each row.
    #[inline(always)]
    fn code(&self, values: &Lane, codes: &mut Codes) {
        let mut below = [0_u8; TILE];
        for at in 0..TILE {
            below[at] = self.before[self.part(values[at])];
        }
        // Thresholds of earlier parts are below the value, those of later ones above it.
        for _ in 0..self.most {
            for at in 0..TILE {
                below[at] += u8::from(values[at] > self.values[usize::from(below[at])]);
            }
        }
        for at in 0..TILE {
            codes[at] = code(below[at]);
        }
    }
}

/// A number of thresholds as what vectors compare: signed.
#[inline(always)]
fn code(below: u8) -> i8 {
    (below ^ 0x80) as i8
}

/// A decision of a tree.
struct Decision {
    column: usize,
    threshold: f64,
    /// The leaves on its left.
    left: u64,
}

impl Forest {
    /// `first_moving`: the first column that moves with quality. None when a tree has too many
    /// leaves, or a column too many thresholds.
    pub fn new(boosting: &Boosting, first_moving: usize) -> Option<Self> {
        let mut found = vec![Vec::new(); boosting.width()];
        for node in boosting.nodes().iter().filter(|node| node.threshold.is_finite()) {
            found[node.feature as usize].push(node.threshold);
        }
        let thresholds = found.into_iter().map(Thresholds::new).collect::<Option<Vec<_>>>()?;
        let (fixed, moving) = (Cuts::default(), Cuts::default());
        let (ends, values) = (Vec::new(), Vec::new());
        let mut forest = Self { thresholds, first_moving, fixed, moving, ends, values };
        for tree in boosting.trees() {
            if tree.depth as usize >= MOST_LEAVES {
                return None;
            }
            let (mut decisions, mut values) = (Vec::new(), Vec::new());
            below(boosting, tree.root, &mut decisions, &mut values);
            if values.len() > MOST_LEAVES {
                return None;
            }
            forest.push(&decisions, &mut values);
        }
        Some(forest)
    }

    fn push(&mut self, decisions: &[Decision], values: &mut Vec<f64>) {
        values.resize(values.len().next_multiple_of(LEAVES), 0.0);
        let bytes = values.as_chunks().0;
        for byte in 0..bytes.len() {
            for decision in decisions {
                let away = (decision.left >> (byte * LEAVES)) as u8;
                if away == 0 {
                    continue;
                }
                let moving = decision.column.checked_sub(self.first_moving);
                let cuts = if moving.is_some() { &mut self.moving } else { &mut self.fixed };
                cuts.cuts.push(Cut {
                    column: moving.unwrap_or(decision.column) as u32,
                    left: self.thresholds[decision.column].code_of(decision.threshold),
                    right: !away,
                });
            }
            self.fixed.ends.push(self.fixed.cuts.len());
            self.moving.ends.push(self.moving.cuts.len());
        }
        self.values.extend(bytes);
        self.ends.push(self.values.len());
    }

    /// Takes the decisions by evidence and availability, once for all permutations: the leaves that
    /// are left, byte by byte.
    #[inline(always)]
    pub fn decide<'t>(&self, column: impl Fn(usize) -> &'t Lane) -> Vec<Leaves> {
        let mut codes = vec![[0; TILE]; self.first_moving];
        for (place, codes) in codes.iter_mut().enumerate() {
            self.thresholds[place].code(column(place), codes);
        }
        let mut open = vec![[u8::MAX; TILE]; self.values.len()];
        for (byte, open) in open.iter_mut().enumerate() {
            self.fixed.take(byte, &codes, open);
        }
        open
    }

    /// Adds the trees' values to the scores, tree by tree in their order; tree t belongs to block t
    /// mod blocks. `codes`: scratch space, one place a moving column.
    #[inline(always)]
    pub fn add(&self, open: &[Leaves], moving: &[Lane], codes: &mut [Codes], scores: &mut [Lane]) {
        let thresholds = &self.thresholds[self.first_moving..];
        for ((thresholds, values), codes) in thresholds.iter().zip(moving).zip(&mut *codes) {
            thresholds.code(values, codes);
        }
        let blocks = scores.len();
        let mut begin = 0;
        for (tree, &end) in self.ends.iter().enumerate() {
            // The lowest byte of which any leaf is left, and its first leaf.
            let (mut first, mut start) = ([1_u8; TILE], [0_u8; TILE]);
            for byte in (begin..end).rev() {
                let before = ((byte - begin) * LEAVES) as u8;
                let mut left = open[byte];
                self.moving.take(byte, codes, &mut left);
                for at in 0..TILE {
                    let any = left[at] != 0;
                    first[at] = if any { left[at] } else { first[at] };
                    start[at] = if any { before } else { start[at] };
                }
            }
            for at in 0..TILE {
                start[at] += first[at].trailing_zeros() as u8;
            }
            let values = self.values[begin..end].as_flattened();
            for (score, &leaf) in scores[tree % blocks].iter_mut().zip(&start) {
                *score += values[usize::from(leaf)];
            }
            begin = end;
        }
    }
}

/// Adds the decisions and leaves below a node; returns its leaves.
fn below(
    boosting: &Boosting,
    at: u32,
    decisions: &mut Vec<Decision>,
    values: &mut Vec<f64>,
) -> u64 {
    let node = &boosting.nodes()[at as usize];
    if node.left == at {
        values.push(boosting.values()[at as usize]);
        return 1_u64.checked_shl((values.len() - 1) as u32).unwrap_or(0);
    }
    let left = below(boosting, node.left, decisions, values);
    let right = below(boosting, node.left + 1, decisions, values);
    let (column, threshold) = (node.feature as usize, node.threshold);
    decisions.push(Decision { column, threshold, left });
    left | right
}

#[cfg(test)]
mod tests;
