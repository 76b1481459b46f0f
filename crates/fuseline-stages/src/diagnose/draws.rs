//! Permutations drawn once for all rules and qualities that are tested on the same rows.
//!
//! Rules and qualities see the same permutations, so that drawing them again for each would be most
//! of the work. What is kept is where each row's quality comes from, row by row, and how often it
//! comes from there: the effect of all permutations on a row is a sum over the rows that it can get
//! its quality from, each as often as it is drawn.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use fuseline_artifact::Digest;
use fuseline_engine::{SharedValues, StageError};
use fuseline_stats::permutation::Permuter;
use rayon::prelude::*;

/// Draws of a part: its places are 1 MiB.
const PART_DRAWS: usize = 1 << 19;
/// Permutations that are put row by row together.
const TILE: usize = 32;

/// The first permutations of one set of rows under a scheme that moves a row's qualities together.
pub(super) struct Draws {
    /// Every permutation, in order. Empty where they are too many to be kept.
    parts: Vec<Part>,
    /// rows x places of the largest stratum: number of permutations that give the row the quality
    /// of the row at that place of its stratum.
    frequency: Vec<u32>,
}

/// Some permutations that follow one another, row by row.
pub(super) struct Part {
    permutations: usize,
    /// rows x permutations: place, in the row's stratum, of the row whose quality it gets.
    places: Vec<u16>,
}

impl Draws {
    /// Looks at all permutations part by part, and gives what was seen in their order: those that
    /// are kept, or else drawn while they are looked at.
    ///
    /// The permuter has one column, and no stratum of more than 65,536 rows.
    pub fn visit<T: Send>(
        shared: &SharedValues,
        permuter: &Permuter,
        permutations: u32,
        look: impl Fn(&Part) -> Result<T, StageError> + Sync,
    ) -> Result<(Vec<T>, Arc<Self>), StageError> {
        let digest = digest(permuter, permutations, b"row by row");
        if let Some(draws) = shared.get::<Self>(&digest) {
            let seen = draws.parts.par_iter().map(&look).collect::<Result<_, _>>()?;
            return Ok((seen, draws));
        }
        let (rows, width) = (permuter.rows(), permuter.shifts());
        let bytes =
            rows * permutations as usize * size_of::<u16>() + rows * width * size_of::<u32>();
        let keep = bytes <= shared.limit_bytes();
        let places: Vec<u16> = permuter.places().iter().map(|place| place.at as u16).collect();
        let frequency = Mutex::new(vec![0; rows * width]);
        // As many as outweigh adding their frequencies to those of the others.
        let each = (PART_DRAWS / rows).max(width).min(permutations as usize);
        let starts: Vec<u32> = (0..permutations).step_by(each).collect();
        let drawn = starts.par_iter().map(|&start| {
            let which = start..permutations.min(start + each as u32);
            let part = Part::draw(permuter, which, &places);
            let seen = look(&part)?;
            let own = part.frequency(rows, width);
            let mut frequency = frequency.lock().unwrap_or_else(PoisonError::into_inner);
            frequency.iter_mut().zip(own).for_each(|(sum, add)| *sum += add);
            Ok((seen, keep.then_some(part)))
        });
        let drawn: Vec<(T, Option<Part>)> = drawn.collect::<Result<_, StageError>>()?;
        let (seen, parts): (Vec<T>, Vec<Option<Part>>) = drawn.into_iter().unzip();
        let parts = parts.into_iter().flatten().collect();
        let frequency = frequency.into_inner().unwrap_or_else(PoisonError::into_inner);
        let draws = Arc::new(Self { parts, frequency });
        if keep {
            shared.put(digest, draws.clone(), bytes);
        }
        Ok((seen, draws))
    }

    /// rows x places of the largest stratum: number of permutations that give the row the quality
    /// of the row at that place of its stratum.
    pub fn frequency(&self) -> &[u32] {
        &self.frequency
    }
}

/// Permutations as they are asked about: one after the other.
pub(crate) struct Index {
    /// Numbers of a permutation: columns x rows.
    width: usize,
    index: Vec<u32>,
}

impl Index {
    /// All permutations, drawn or drawn before; none where they are too many to be kept.
    pub fn draw(
        shared: &SharedValues,
        permuter: &Permuter,
        permutations: u32,
    ) -> Option<Arc<Self>> {
        let width = permuter.columns() * permuter.rows();
        let bytes = width * permutations as usize * size_of::<u32>();
        if bytes > shared.limit_bytes() {
            return None;
        }
        let digest = digest(permuter, permutations, b"one after the other");
        if let Some(known) = shared.get::<Self>(&digest) {
            return Some(known);
        }
        let mut index = vec![0; width * permutations as usize];
        let each = (PART_DRAWS / width.max(1)).max(1);
        let parts = index.par_chunks_mut(each * width.max(1));
        parts.enumerate().for_each(|(part, index)| {
            permuter.draw_range((part * each) as u32..permutations, index);
        });
        let drawn = Arc::new(Self { width, index });
        shared.put(digest, drawn.clone(), bytes);
        Some(drawn)
    }

    /// Some of them.
    pub fn range(&self, which: Range<u32>) -> &[u32] {
        &self.index[which.start as usize * self.width..which.end as usize * self.width]
    }
}

/// Digest of permutations in one form.
fn digest(permuter: &Permuter, permutations: u32, form: &[u8]) -> Digest {
    let mut key = permuter.digest().to_vec();
    key.extend(permutations.to_le_bytes());
    key.extend(form);
    Digest::hash(key)
}

impl Part {
    /// `place`: of each row in its stratum.
    fn draw(permuter: &Permuter, which: Range<u32>, place: &[u16]) -> Self {
        let (rows, permutations) = (permuter.rows(), which.len());
        let mut places = vec![0; rows * permutations];
        let mut index = vec![0; TILE * rows];
        for start in (0..permutations).step_by(TILE) {
            let count = TILE.min(permutations - start);
            let drawn = &mut index[..count * rows];
            for (number, index) in (which.start + start as u32..).zip(drawn.chunks_exact_mut(rows))
            {
                permuter.draw_into(number.into(), index);
            }
            for (row, places) in places.chunks_exact_mut(permutations).enumerate() {
                let from = drawn[row..].iter().step_by(rows);
                for (own, &from) in places[start..].iter_mut().zip(from) {
                    *own = place[from as usize];
                }
            }
        }
        Self { permutations, places }
    }

    /// Number of permutations.
    pub fn permutations(&self) -> usize {
        self.permutations
    }

    /// Place, in the row's stratum, of the row whose quality it gets, under each permutation.
    pub fn row(&self, row: usize) -> &[u16] {
        &self.places[row * self.permutations..][..self.permutations]
    }

    /// rows x width: as [`Draws::frequency`], of these permutations.
    fn frequency(&self, rows: usize, width: usize) -> Vec<u32> {
        let mut frequency = vec![0; rows * width];
        for (row, frequency) in frequency.chunks_exact_mut(width).enumerate() {
            for &place in self.row(row) {
                frequency[place as usize] += 1;
            }
        }
        frequency
    }
}
