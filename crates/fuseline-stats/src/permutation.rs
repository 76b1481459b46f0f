//! Permutations of quality under Broken-Q: the row whose quality each row gets.

use std::collections::BTreeMap;
use std::ops::Range;

use thiserror::Error;

use crate::streams::Stream;

mod change;
mod replace;
mod residual;
mod scheme;
mod strata;

pub use change::swap_change_chances;
pub use replace::{constant, modality_swap};
pub use residual::Residuals;
pub use scheme::{Intervention, Scheme};
pub use strata::{confidence_strata, correct_strata};

/// Why rows cannot be permuted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PermutationError {
    /// A slice has the wrong length.
    #[error("{what}: {found} values where {expected} were expected")]
    Length {
        /// Name of the slice.
        what: &'static str,
        /// The length that the other arguments ask for.
        expected: usize,
        /// The length found.
        found: usize,
    },
    /// The scheme needs an input that the rows lack.
    #[error("the scheme {} needs {needed}", scheme.name())]
    Missing {
        /// The scheme.
        scheme: Scheme,
        /// The input that it needs.
        needed: &'static str,
    },
    /// Availability has no columns, or too many.
    #[error("{modalities} modalities are not between 1 and 64")]
    Modalities {
        /// Number of modalities.
        modalities: usize,
    },
    /// More rows than an index can name.
    #[error("more than 2^32 rows")]
    TooManyRows,
}

/// The test rows that quality is permuted across.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// Number of modalities.
    pub modalities: usize,
    /// n rows by modalities, row-major: whether the modality is there.
    pub available: &'a [bool],
    /// The group of each row, for [`Scheme::WithinGroup`] and [`Scheme::WholeGroups`].
    pub group: Option<&'a [u32]>,
    /// The stratum of each row: of confidence for [`Scheme::Conditional`] (see
    /// [`confidence_strata`]), its label for [`Scheme::WithinClass`], of right experts for
    /// [`Scheme::WithinCorrect`] (see [`correct_strata`]).
    pub stratum: Option<&'a [u32]>,
    /// Digest of the rows' identity: part of the stream, so that equal rows see equal permutations.
    pub digest: &'a [u8],
}

impl Rows<'_> {
    fn count(&self) -> Result<usize, PermutationError> {
        let modalities = self.modalities;
        if !(1..=64).contains(&modalities) {
            return Err(PermutationError::Modalities { modalities });
        }
        let found = self.available.len();
        let count = found / modalities;
        if count * modalities != found {
            let expected = (count + 1) * modalities;
            return Err(PermutationError::Length { what: "available", expected, found });
        }
        if u32::try_from(count).is_err() {
            return Err(PermutationError::TooManyRows);
        }
        Ok(count)
    }
}

/// Position of a row among those that it exchanges quality with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Number of them that come before it.
    pub at: u32,
    /// Their number.
    pub of: u32,
}

/// Draws the permutations of one scheme over one set of rows, any of them at any time.
#[derive(Debug, Clone)]
pub struct Permuter {
    scheme: Scheme,
    count: usize,
    /// Rows that exchange their quality, by column; ordered by their first row, rows ascending, but
    /// for whole groups: their first rows, their second rows and so on stand one after another,
    /// groups in one order.
    strata: Vec<Vec<Vec<u32>>>,
    /// Of whole groups, which strata are of second and later rows of the groups of the stratum
    /// before.
    second: Vec<bool>,
    stream: Stream,
}

impl Permuter {
    /// Sorts the rows into strata that exchange quality among themselves.
    ///
    /// Permutation j of a scheme is a function of the seed, the scheme, `rows.digest` and j, and of
    /// which rows share a stratum; how groups and strata are numbered does not matter. Errors when
    /// a length is wrong, or the scheme needs groups or strata and there are none.
    pub fn new(scheme: Scheme, rows: &Rows<'_>, seed: u64) -> Result<Self, PermutationError> {
        let count = rows.count()?;
        let by_group = matches!(scheme, Scheme::WithinGroup | Scheme::WholeGroups);
        let given = if by_group { rows.group } else { rows.stratum };
        let inner = match (scheme.strata(), given) {
            (None, _) => None,
            (Some(needed), None) => return Err(PermutationError::Missing { scheme, needed }),
            (Some(what), Some(found)) if found.len() != count => {
                return Err(PermutationError::Length { what, expected: count, found: found.len() });
            }
            (Some(_), found) => found,
        };
        let mut second = Vec::new();
        let strata = if scheme == Scheme::PerModality {
            let of = |modality| {
                let own = rows.available.iter().skip(modality).step_by(rows.modalities);
                let there = (0_u32..).zip(own).filter(|&(_, available)| *available);
                Vec::from([there.map(|(row, _)| row).collect()])
            };
            (0..rows.modalities).map(of).collect()
        } else {
            let pattern =
                |row: &[bool]| row.iter().fold(0_u64, |bits, &bit| bits << 1 | u64::from(bit));
            let patterns = rows.available.chunks(rows.modalities).map(pattern);
            let inner = (0..count).map(|row| inner.map_or(0, |inner| inner[row]));
            if scheme == Scheme::WholeGroups {
                let alike = alike(together(inner), &patterns.collect::<Vec<_>>());
                let of = |groups: &Vec<Vec<u32>>| (0..groups[0].len()).map(|at| at > 0);
                second = alike.iter().flat_map(of).collect();
                Vec::from([alike.iter().flat_map(|groups| transposed(groups)).collect()])
            } else {
                Vec::from([together(patterns.zip(inner))])
            }
        };
        let stream =
            Stream::new(seed, "permutation").with(scheme.name().as_bytes()).with(rows.digest);
        Ok(Self { scheme, count, strata, second, stream })
    }

    /// Digest of all that the permutations are a function of.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        let mut number = |number: usize| {
            hasher.update(&(number as u64).to_le_bytes());
        };
        number(self.count);
        number(self.strata.len());
        for strata in &self.strata {
            number(strata.len());
            for (rows, second) in strata.iter().zip(self.second_rows()) {
                number(rows.len());
                number(usize::from(second));
                rows.iter().for_each(|&row| number(row as usize));
            }
        }
        hasher.update(&self.stream.digest());
        *hasher.finalize().as_bytes()
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.count
    }

    /// Index vectors a permutation: 1 when a row's qualities move together, else one a modality.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.strata.len()
    }

    /// Rows that exchange quality among themselves, by column.
    #[must_use]
    pub fn strata(&self) -> &[Vec<Vec<u32>>] {
        &self.strata
    }

    /// Number of rows that have another row to exchange quality with, in the column where they are
    /// most. [`Self::change_chances`] tells if the other row has another quality.
    #[must_use]
    pub fn movable_rows(&self) -> usize {
        let movable = |strata: &Vec<Vec<u32>>| {
            strata.iter().map(Vec::len).filter(|&rows| rows > 1).sum::<usize>()
        };
        self.strata.iter().map(movable).max().unwrap_or(0)
    }

    /// Number of shifts that bring every row together with every row that it can exchange quality
    /// with, in the first column.
    #[must_use]
    pub fn shifts(&self) -> usize {
        self.strata.first().into_iter().flatten().map(Vec::len).max().unwrap_or(0)
    }

    /// Position of each row among those that it exchanges quality with, in the first column.
    #[must_use]
    pub fn places(&self) -> Vec<Place> {
        let mut places = vec![Place { at: 0, of: 1 }; self.count];
        for rows in self.strata.first().into_iter().flatten() {
            #[expect(clippy::cast_possible_truncation, reason = "rows are fewer than 2^32")]
            let of = rows.len() as u32;
            for (&row, at) in rows.iter().zip(0..) {
                places[row as usize] = Place { at, of };
            }
        }
        places
    }

    /// The permutation of the first column that gives each row the quality of the row so many
    /// places further in its stratum, around its end. `index`: one place a row.
    pub fn shift_into(&self, by: usize, index: &mut [u32]) {
        for rows in self.strata.first().into_iter().flatten() {
            let further = rows.iter().cycle().skip(by % rows.len().max(1));
            for (&row, &other) in rows.iter().zip(further) {
                index[row as usize] = other;
            }
        }
    }

    fn second_rows(&self) -> impl Iterator<Item = bool> {
        self.second.iter().copied().chain(std::iter::repeat(false))
    }

    /// Permutation `number`: at `[column * rows + i]` the row whose quality row i gets.
    ///
    /// Rows where a modality is unavailable keep their own index in its column.
    #[must_use]
    pub fn draw(&self, number: u64) -> Vec<u32> {
        let mut index = vec![0; self.columns() * self.count];
        self.draw_into(number, &mut index);
        index
    }

    /// Some permutations, one after the other, as far as `index` goes.
    pub fn draw_range(&self, which: Range<u32>, index: &mut [u32]) {
        let each = self.columns() * self.count;
        for (number, index) in which.zip(index.chunks_exact_mut(each.max(1))) {
            self.draw_into(number.into(), index);
        }
    }

    /// [`Self::draw`] into a slice of columns * rows; columns beyond its end are left out.
    pub fn draw_into(&self, number: u64, index: &mut [u32]) {
        let stream = self.stream.clone().with_u64(number);
        let columns = index.chunks_mut(self.count.max(1)).zip(&self.strata);
        let mut shuffled = Vec::new();
        for (column, (index, strata)) in (0_u64..).zip(columns) {
            let mut shuffler = stream.clone().with_u64(column).shuffler();
            let mut before = shuffler.clone();
            for (own, row) in index.iter_mut().zip(0_u32..) {
                *own = row;
            }
            for (rows, second) in strata.iter().zip(self.second_rows()) {
                // An order depends on the number of rows and not on which rows they are, so that
                // all rows of a group go where its first does.
                match second {
                    true => shuffler.clone_from(&before),
                    false if self.scheme == Scheme::WholeGroups => before.clone_from(&shuffler),
                    false => {}
                }
                if rows.len() == index.len() && self.scheme != Scheme::Derangement {
                    // All rows, in their order, which the index holds already.
                    shuffler.shuffle(index);
                    continue;
                }
                shuffled.clone_from(rows);
                shuffler.shuffle(&mut shuffled);
                if self.scheme == Scheme::Derangement && rows.len() > 1 {
                    // One shuffle in e moves every row: those that do are all equally likely.
                    while rows.iter().zip(&shuffled).any(|(own, other)| own == other) {
                        shuffler.shuffle(&mut shuffled);
                    }
                }
                for (&row, &other) in rows.iter().zip(&shuffled) {
                    if let Some(own) = index.get_mut(row as usize) {
                        *own = other;
                    }
                }
            }
        }
    }
}

/// Groups of the same size, with the same modalities available row by row.
fn alike(groups: Vec<Vec<u32>>, pattern: &[u64]) -> Vec<Vec<Vec<u32>>> {
    let shape = |rows: &Vec<u32>| rows.iter().map(|&row| pattern[row as usize]).collect::<Vec<_>>();
    let alike = together(groups.iter().map(shape));
    let of = |numbers: &Vec<u32>| numbers.iter().map(|&at| groups[at as usize].clone()).collect();
    alike.iter().map(of).collect()
}

/// The first rows of groups of one size, their second rows, and so on.
fn transposed(groups: &[Vec<u32>]) -> Vec<Vec<u32>> {
    (0..groups[0].len()).map(|at| groups.iter().map(|rows| rows[at]).collect()).collect()
}

/// Rows of equal key, ordered by their first row.
fn together<K: Ord>(keys: impl Iterator<Item = K>) -> Vec<Vec<u32>> {
    let mut place: BTreeMap<K, usize> = BTreeMap::new();
    let mut strata: Vec<Vec<u32>> = Vec::new();
    for (row, key) in (0_u32..).zip(keys) {
        let at = *place.entry(key).or_insert(strata.len());
        match strata.get_mut(at) {
            Some(rows) => rows.push(row),
            None => strata.push(vec![row]),
        }
    }
    strata
}

fn check_quality(quality: &[f64], rows: &Rows<'_>) -> Result<(), PermutationError> {
    let expected = rows.count()? * rows.modalities;
    if quality.len() == expected {
        return Ok(());
    }
    Err(PermutationError::Length { what: "quality", expected, found: quality.len() })
}

#[cfg(test)]
mod tests;
