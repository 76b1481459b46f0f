//! Counting predictions of 64 rows side by side.

use fuseline_plugin::vector::{Work, wide};

use super::{Each, fixed_point};

/// Rows of a tile: a bit of a word for each.
const TILE: usize = u64::BITS as usize;

/// One number a row of a tile; beyond the last row, of no meaning.
type Lane<T> = [T; TILE];

/// Data of the rows of a tile.
pub(super) struct Tile {
    label: Lane<u64>,
    /// The decision under Clean-Q.
    before: Lane<u64>,
    /// Probabilities under Clean-Q, one lane a class.
    clean: Vec<Lane<f64>>,
    /// Bits of the rows that are of a class, a word a class.
    of_class: Vec<u64>,
}

impl Tile {
    /// Cuts rows into tiles, in this order. `clean`: rows x classes.
    pub fn cut(
        order: &[usize],
        labels: &[u32],
        decisions: &[u32],
        clean: &[f64],
        classes: usize,
    ) -> Vec<Self> {
        let tile = |order: &[usize]| {
            let mut tile = Self {
                label: [0; TILE],
                before: [0; TILE],
                clean: vec![[0.0; TILE]; classes],
                of_class: vec![0; classes],
            };
            for (at, &row) in order.iter().enumerate() {
                (tile.label[at], tile.before[at]) = (labels[row].into(), decisions[row].into());
                tile.of_class[labels[row] as usize] |= 1 << at;
                for (lane, &p) in tile.clean.iter_mut().zip(&clean[row * classes..]) {
                    lane[at] = p;
                }
            }
            tile
        };
        order.chunks(TILE).map(tile).collect()
    }
}

/// Counts predictions of at most 2,048 permutations, whose distances fit into 64 bits: permutations
/// x rows x classes, rows in the order of the tiles. `correct`: permutations x classes.
///
/// True if every row keeps the output law of the host: no probability below 0, their sum within
/// 1e-9 of 1.
pub(super) fn count(
    tiles: &[Tile],
    predictions: &[f64],
    correct: &mut [i64],
    each: &mut Each,
) -> bool {
    let rows = each.correct.len();
    let mut room = vec![[0.0; TILE]; tiles.first().map_or(0, |tile| tile.clean.len())];
    // Lanes beyond the last row keep the law.
    room.iter_mut().take(1).for_each(|lane| *lane = [1.0; TILE]);
    let counts = each.correct.chunks_mut(TILE).zip(each.flips.chunks_mut(TILE));
    let counts = counts.zip(each.shift.chunks_mut(TILE));
    let mut keeps_law = true;
    for ((tile, ((right, flips), shift)), first) in
        tiles.iter().zip(counts).zip((0..).step_by(TILE))
    {
        let broken = &mut room;
        keeps_law &= wide(Permutations {
            tile,
            predictions,
            rows,
            first,
            correct,
            right,
            flips,
            shift,
            broken,
        });
    }
    keeps_law
}

/// The rows of a tile under some permutations.
struct Permutations<'a> {
    tile: &'a Tile,
    /// permutations x rows x classes.
    predictions: &'a [f64],
    rows: usize,
    /// The tile's first row.
    first: usize,
    /// permutations x classes.
    correct: &'a mut [i64],
    right: &'a mut [u32],
    flips: &'a mut [u32],
    /// In units of 2^-52.
    shift: &'a mut [u128],
    /// Room for one lane a class.
    broken: &'a mut [Lane<f64>],
}

impl Work for Permutations<'_> {
    /// True if every row keeps the output law.
    type Output = bool;

    #[inline(always)]
    fn run(self) -> bool {
        let Self { tile, rows, first, broken, .. } = self;
        let (count, classes) = (self.shift.len(), tile.clean.len());
        let (mut right, mut flips, mut shift) = ([0_u64; TILE], [0_u64; TILE], [0_u64; TILE]);
        let (mut least, mut lawful) = ([0.0_f64; TILE], [1_u64; TILE]);
        let permutations = self.predictions.chunks_exact(rows * classes);
        for (predictions, correct) in permutations.zip(self.correct.chunks_exact_mut(classes)) {
            side_by_side(&predictions[first * classes..][..count * classes], broken);
            let (mut decision, mut top, mut moved) = ([0_u64; TILE], broken[0], [0.0; TILE]);
            let mut sum = [0.0; TILE];
            for ((broken, clean), class) in broken.iter().zip(&tile.clean).zip(0..) {
                for at in 0..TILE {
                    // The lowest class wins a tie.
                    let better = broken[at] > top[at];
                    decision[at] = if better { class } else { decision[at] };
                    top[at] = if better { broken[at] } else { top[at] };
                    moved[at] += (broken[at] - clean[at]).abs();
                    sum[at] += broken[at];
                    least[at] = if broken[at] < least[at] { broken[at] } else { least[at] };
                }
            }
            let mut which = 0;
            for at in 0..TILE {
                let is_right = u64::from(decision[at] == tile.label[at]);
                right[at] += is_right;
                which |= is_right << at;
                flips[at] += u64::from(decision[at] != tile.before[at]);
                shift[at] += fixed_point(moved[at] / 2.0);
                // A NaN or an infinity shows in the sum.
                lawful[at] &= u64::from((sum[at] - 1.0).abs() <= 1e-9);
            }
            for (correct, of_class) in correct.iter_mut().zip(&tile.of_class) {
                *correct += i64::from((which & of_class).count_ones());
            }
        }
        for (sum, add) in self.right.iter_mut().zip(right) {
            *sum += add as u32;
        }
        for (sum, add) in self.flips.iter_mut().zip(flips) {
            *sum += add as u32;
        }
        for (sum, add) in self.shift.iter_mut().zip(shift) {
            *sum += u128::from(add);
        }
        least.iter().all(|&least| least >= 0.0) && lawful == [1; TILE]
    }
}

/// One lane a class, from rows of all classes.
#[inline(always)]
fn side_by_side(rows: &[f64], lanes: &mut [Lane<f64>]) {
    let classes = lanes.len();
    let (abreast, rest) = lanes.as_chunks_mut::<4>();
    let taken = 4 * abreast.len();
    for (lanes, first) in abreast.iter_mut().zip((0..).step_by(4)) {
        take(rows, classes, first, lanes);
    }
    for (lane, first) in rest.iter_mut().zip(taken..) {
        take(rows, classes, first, std::array::from_mut(lane));
    }
}

/// Some classes, from the first of them.
#[inline(always)]
fn take<const N: usize>(rows: &[f64], classes: usize, first: usize, lanes: &mut [Lane<f64>; N]) {
    for (row, at) in rows.chunks_exact(classes).zip(0..TILE) {
        for (lane, &p) in lanes.iter_mut().zip(&row[first..][..N]) {
            lane[at] = p;
        }
    }
}
