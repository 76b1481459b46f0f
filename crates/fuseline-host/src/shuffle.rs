//! Rows as a rule gets them: in another order, under other names, and with quality in places of its
//! own.
//!
//! Nothing but a row's own values may tell a rule which row it is: neither its place, which in a
//! cohort that is sorted carries the label, nor its `row_id`; and nothing but the values of quality
//! which permutation leaves them in their place.

use std::collections::BTreeMap;

use fuseline_artifact::Digest;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::batch::Batch;
use crate::rule::Permuted;

/// Source of orders that a rule cannot work out from what it gets: a digest of the rows in their
/// own order.
#[derive(Clone)]
pub(crate) struct Key(Digest);

impl Key {
    /// For rows that a frozen model is asked about.
    pub fn of_question(model: &Digest, batch: &Batch) -> Self {
        Self(Digest::of_pieces(|give| {
            give(b"fuseline rows of a question");
            give(model.as_bytes());
            batch.give_content(give);
        }))
    }

    /// Another key, of which nobody knows beforehand.
    pub fn with_chance(&self) -> Self {
        use std::hash::{BuildHasher, Hasher};
        // Keyed by the operating system's random numbers, anew for each.
        let chance = std::hash::RandomState::new().build_hasher().finish();
        self.with(&chance.to_le_bytes())
    }

    /// Another key for another purpose.
    pub fn with(&self, purpose: &[u8]) -> Self {
        Self(Digest::of_pieces(|give| {
            give(self.0.as_bytes());
            give(purpose);
        }))
    }

    pub fn draws(&self) -> Draws {
        Draws(ChaCha8Rng::from_seed(*self.0.as_bytes()))
    }

    /// The same rows in their order under other names: the numbers from 0, shuffled.
    pub fn rename_rows(&self, batch: &Batch) -> Batch {
        let mut row_id: Vec<u64> = (0..batch.rows() as u64).collect();
        self.with(b"names").draws().shuffle(&mut row_id);
        batch.with_row_ids(&row_id)
    }
}

/// Random numbers of a key.
pub(crate) struct Draws(ChaCha8Rng);

impl Draws {
    /// A number below `n`, which is at least 1.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.0.next_u64()) * n as u128) >> 64) as usize
    }

    pub fn shuffle<T>(&mut self, values: &mut [T]) {
        for end in (1..values.len()).rev() {
            values.swap(end, self.below(end + 1));
        }
    }

    /// The numbers below `n`, in a random order.
    pub fn order(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        self.shuffle(&mut order);
        order
    }

    /// Some of the numbers below `n`, each once, in a random order.
    pub fn some(&mut self, n: usize, count: usize) -> Vec<usize> {
        let mut numbers: Vec<usize> = (0..n).collect();
        let count = count.min(n);
        for at in 0..count {
            let other = at + self.below(n - at);
            numbers.swap(at, other);
        }
        numbers.truncate(count);
        numbers
    }
}

/// The rows of a batch in another order and under other names.
pub(crate) struct ShuffledRows {
    pub batch: Batch,
    /// For each place the row that stands there.
    pub order: Vec<usize>,
}

impl ShuffledRows {
    pub fn new(batch: &Batch, key: &Key) -> Self {
        let order = key.with(b"order").draws().order(batch.rows());
        Self { batch: key.rename_rows(&batch.take(&order)), order }
    }

    /// Puts predictions, one row of `classes` a place, back into the order of the batch.
    pub fn restore(&self, predictions: &mut [f64], classes: usize, scratch: &mut Vec<f64>) {
        scratch.clear();
        scratch.extend_from_slice(predictions);
        for (place, &row) in scratch.chunks_exact(classes).zip(&self.order) {
            predictions[row * classes..][..classes].copy_from_slice(place);
        }
    }
}

/// Shuffled rows whose permuted qualities are shuffled once more, so that an index that moves
/// nothing looks like any other.
pub(crate) struct ShuffledQuality {
    pub rows: ShuffledRows,
    /// Key of the question.
    pub key: Key,
    /// For each row of the batch its place.
    pub places: Vec<usize>,
    columns: usize,
    mask: u64,
    /// columns x rows: the place that has the quality of a row of the batch.
    place: Vec<u32>,
}

impl ShuffledQuality {
    pub fn new(batch: &Batch, key: Key, permuted: &Permuted<'_>) -> Self {
        let (columns, mask) = (permuted.columns, permuted.modality_mask);
        let mut rows = ShuffledRows::new(batch, &key);
        let (count, width) = (batch.rows(), batch.modalities().len());
        let mut quality = rows.batch.quality().to_vec();
        let mut place = vec![0; columns * count];
        for (column, place) in place.chunks_exact_mut(count.max(1)).enumerate() {
            let moves =
                |modality: usize| mask >> modality & 1 == 1 && (columns == 1 || modality == column);
            let source = sources(batch, &rows.order, &moves, &key.with(&column.to_le_bytes()));
            for (at, &row) in source.iter().enumerate() {
                place[row] = at as u32;
                for modality in (0..width).filter(|&modality| moves(modality)) {
                    quality[at * width + modality] = batch.quality()[row * width + modality];
                }
            }
        }
        rows.batch = rows.batch.with_gathered_quality(&quality);
        let mut places = vec![0; count];
        for (at, &row) in rows.order.iter().enumerate() {
            places[row] = at;
        }
        Self { rows, key, places, columns, mask, place }
    }

    pub fn fits(&self, permuted: &Permuted<'_>) -> bool {
        (self.columns, self.mask) == (permuted.columns, permuted.modality_mask)
    }

    /// The index of the same permutations of the shuffled rows.
    pub fn index(&self, index: &[u32]) -> Vec<u32> {
        let order = &self.rows.order;
        let count = order.len().max(1);
        let mut shuffled = Vec::with_capacity(index.len());
        for (number, index) in index.chunks_exact(count).enumerate() {
            let place = &self.place[number % self.columns * count..][..count];
            shuffled.extend(order.iter().map(|&row| place[index[row] as usize]));
        }
        shuffled
    }
}

/// For each place a row whose quality it shows: one with the same of the moved modalities, each row
/// once.
fn sources(batch: &Batch, order: &[usize], moves: &dyn Fn(usize) -> bool, key: &Key) -> Vec<usize> {
    let width = batch.modalities().len();
    let mut alike = BTreeMap::<u64, Vec<usize>>::new();
    for (place, row) in order.iter().enumerate() {
        let there = batch.available()[row * width..][..width].iter().enumerate();
        let there = there.filter(|(modality, there)| moves(*modality) && **there == 1);
        let pattern = there.map(|(modality, _)| 1 << modality).sum();
        alike.entry(pattern).or_default().push(place);
    }
    let mut draws = key.draws();
    let mut sources = vec![0; order.len()];
    for places in alike.into_values() {
        let mut other = places.clone();
        draws.shuffle(&mut other);
        places.into_iter().zip(other).for_each(|(place, other)| sources[place] = order[other]);
    }
    sources
}

#[cfg(test)]
mod tests;
