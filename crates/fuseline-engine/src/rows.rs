//! Symbolic sets of examples, known by name before anything runs: unions of atoms, in canonical
//! form.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::plan::ActionId;

/// One fold of one split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fold {
    /// The action that made the split, where one arrives; folds of different splits have nothing
    /// to do with each other.
    pub split: Option<ActionId>,
    /// The fold's number.
    pub fold: i64,
}

/// A set of examples that has a name of its own. The order is that in which a union lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Atom {
    /// Examples of another study.
    External,
    /// Every example.
    All,
    /// The training rows of a fold.
    Train(Fold),
    /// The test rows of a fold.
    Test(Fold),
}

/// A set of examples: a union of the training rows of a fold, its test rows, all rows, and external
/// rows (those of another study).
///
/// Two equal sets are equal values: the training rows of two folds of a split, or both sides of one
/// fold, are all rows, and test rows of a fold are among the training rows of the split's others.
/// Nothing else is simplified. The atoms are sorted and shared, so that a clone costs nothing and a
/// gather of n sets n log n.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Rows(Atoms);

#[derive(Clone, Default, PartialEq, Eq)]
enum Atoms {
    #[default]
    None,
    One(Atom),
    /// Two or more.
    Many(Arc<[Atom]>),
}

impl Rows {
    /// No example.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Examples of another study.
    #[must_use]
    pub fn external() -> Self {
        Self(Atoms::One(Atom::External))
    }

    /// Every example.
    #[must_use]
    pub fn all() -> Self {
        Self(Atoms::One(Atom::All))
    }

    /// The training rows of a fold.
    #[must_use]
    pub fn train(fold: Fold) -> Self {
        Self(Atoms::One(Atom::Train(fold)))
    }

    /// The test rows of a fold.
    #[must_use]
    pub fn test(fold: Fold) -> Self {
        Self(Atoms::One(Atom::Test(fold)))
    }

    fn atoms(&self) -> &[Atom] {
        match &self.0 {
            Atoms::None => &[],
            Atoms::One(atom) => std::slice::from_ref(atom),
            Atoms::Many(atoms) => atoms,
        }
    }

    /// The atoms that are examples of this study.
    fn local(&self) -> &[Atom] {
        match self.atoms() {
            [Atom::External, local @ ..] => local,
            local => local,
        }
    }

    /// The canonical union of atoms in any order.
    fn canonical(mut atoms: Vec<Atom>) -> Self {
        atoms.sort_unstable();
        atoms.dedup();
        let trains = |atom: &Atom| match atom {
            Atom::Train(fold) => Some(*fold),
            _ => None,
        };
        let train: Vec<Fold> = atoms.iter().filter_map(trains).collect();
        let of_split = |split| {
            let place = train.binary_search_by_key(&split, |fold| fold.split);
            place.ok().map(|place| train[place])
        };
        let all = atoms.contains(&Atom::All)
            || train.windows(2).any(|pair| pair[0].split == pair[1].split)
            || atoms.iter().any(
                |atom| matches!(atom, Atom::Test(fold) if of_split(fold.split) == Some(*fold)),
            );
        if all {
            atoms.retain(|atom| *atom == Atom::External);
            atoms.push(Atom::All);
        } else {
            atoms
                .retain(|atom| !matches!(atom, Atom::Test(fold) if of_split(fold.split).is_some()));
        }
        Self(match atoms[..] {
            [] => Atoms::None,
            [atom] => Atoms::One(atom),
            _ => Atoms::Many(atoms.into()),
        })
    }

    /// The rows of both.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        if self.covers(other) {
            self.clone()
        } else if other.covers(self) {
            other.clone()
        } else {
            Self::canonical([self.atoms(), other.atoms()].concat())
        }
    }

    /// True if each of the other's atoms is among these rows.
    fn covers(&self, other: &Self) -> bool {
        if let (Atoms::Many(own), Atoms::Many(others)) = (&self.0, &other.0)
            && Arc::ptr_eq(own, others)
        {
            return true;
        }
        let own = self.atoms();
        let has = |atom: &Atom| own.binary_search(atom).is_ok();
        // If all rows are in the union, no other atom of this study is.
        let all = own.last() == Some(&Atom::All);
        other.atoms().iter().all(|atom| match atom {
            Atom::External => has(atom),
            _ if all => true,
            Atom::Test(fold) => {
                let holds = |own: &Atom| match own {
                    Atom::Train(train) => train.split == fold.split && train != fold,
                    _ => false,
                };
                has(atom) || own.iter().take_while(|own| !matches!(own, Atom::Test(_))).any(holds)
            }
            _ => has(atom),
        })
    }

    /// True if there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.atoms().is_empty()
    }

    /// True if some example may be in both. Sets that cannot be told apart are said to overlap: all
    /// rows and any fold, folds of different splits.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let external = |rows: &Self| rows.atoms().first() == Some(&Atom::External);
        if external(self) && external(other) {
            return true;
        }
        let (own, others) = (self.local(), other.local());
        if own.is_empty() || others.is_empty() {
            return false;
        }
        match (only_split(own), only_split(others)) {
            (Some(split), Some(same)) if split == same => match (own, others) {
                ([Atom::Train(_)], [Atom::Train(_)]) => true,
                ([Atom::Train(train)], tests) | (tests, [Atom::Train(train)]) => {
                    tests != [Atom::Test(*train)]
                }
                (few, many) if few.len() > many.len() => {
                    many.iter().any(|atom| few.binary_search(atom).is_ok())
                }
                (few, many) => few.iter().any(|atom| many.binary_search(atom).is_ok()),
            },
            _ => true,
        }
    }

    /// True if they can be the same examples, as far as names tell: the test rows of several folds
    /// may be all rows.
    pub(crate) fn may_equal(&self, other: &Self) -> bool {
        let (own, others) = (self.atoms(), other.atoms());
        let is_all = |rows: &[Atom]| rows == [Atom::All];
        own == others || (is_all(own) && others.len() > 1) || (is_all(others) && own.len() > 1)
    }

    /// True if test rows of some fold are among them by name.
    #[must_use]
    pub fn hold_test_rows(&self) -> bool {
        matches!(self.atoms().last(), Some(Atom::Test(_)))
    }

    /// The fold whose training rows these are, external rows aside.
    #[must_use]
    pub fn training_fold(&self) -> Option<Fold> {
        match self.local() {
            [Atom::Train(fold)] => Some(*fold),
            _ => None,
        }
    }

    /// The rows that a stage fitted on these must not have seen.
    #[must_use]
    pub fn held_out(&self) -> Self {
        self.training_fold().map_or_else(Self::none, Self::test)
    }

    /// The set that remains where a program is given one side of a fold alone: what is one side of
    /// a fold stays as it is.
    #[must_use]
    pub fn cut_to(&self, side: Self) -> Self {
        match self.atoms() {
            [] | [Atom::Train(_) | Atom::Test(_)] => self.clone(),
            _ => side,
        }
    }

    /// Names the set. `split`: what the split of a fold is called; nothing where there is only one.
    pub(crate) fn words(&self, split: &dyn Fn(ActionId) -> Option<String>) -> String {
        let mut words: Vec<Cow<'static, str>> = Vec::new();
        let of = |of: Option<ActionId>| {
            of.and_then(split).map_or_else(String::new, |name| format!(" of {name}"))
        };
        let mut rest = self.atoms();
        while let [atom, more @ ..] = rest {
            rest = more;
            words.push(match atom {
                Atom::External => "external".into(),
                Atom::All => "all rows".into(),
                Atom::Train(fold) => format!("train(fold {}{})", fold.fold, of(fold.split)).into(),
                Atom::Test(first) => {
                    let others = more.iter().map_while(|atom| match atom {
                        Atom::Test(fold) if fold.split == first.split => Some(fold.fold),
                        _ => None,
                    });
                    let folds: Vec<i64> = std::iter::once(first.fold).chain(others).collect();
                    rest = &more[folds.len() - 1..];
                    format!("test({}{})", numbers(&folds), of(first.split)).into()
                }
            });
        }
        match &words[..] {
            [] => "no rows".to_owned(),
            [only] if only == "external" => "external rows".to_owned(),
            [only] => only.to_string(),
            _ => format!("{{{}}}", words.join(", ")),
        }
    }

    /// The splits of the folds that it names.
    pub(crate) fn splits(&self) -> impl Iterator<Item = Option<ActionId>> + '_ {
        self.atoms().iter().filter_map(|atom| match atom {
            Atom::Train(fold) | Atom::Test(fold) => Some(fold.split),
            Atom::External | Atom::All => None,
        })
    }
}

/// The split that all atoms are of; they are canonical and not external.
fn only_split(atoms: &[Atom]) -> Option<Option<ActionId>> {
    match atoms {
        [Atom::Train(fold)] => Some(fold.split),
        // Sorted: when the first and the last are of one split, so are all between.
        [Atom::Test(first), ..] => match atoms.last() {
            Some(Atom::Test(last)) if last.split == first.split => Some(first.split),
            _ => None,
        },
        _ => None,
    }
}

/// `fold 3`, `folds 0 to 4`, `folds 0, 2, 5 and 7 more`.
fn numbers(folds: &[i64]) -> String {
    const LISTED: usize = 5;
    match folds {
        [only] => format!("fold {only}"),
        [first, .., last] if *last - *first == folds.len() as i64 - 1 => {
            format!("folds {first} to {last}")
        }
        _ => {
            let listed: Vec<String> = folds.iter().take(LISTED).map(i64::to_string).collect();
            let listed = listed.join(", ");
            match folds.len().saturating_sub(LISTED) {
                0 => format!("folds {listed}"),
                more => format!("folds {listed} and {more} more"),
            }
        }
    }
}

impl<'r> FromIterator<&'r Rows> for Rows {
    /// The union of all of them.
    fn from_iter<I: IntoIterator<Item = &'r Rows>>(sets: I) -> Self {
        let mut whole = Self::none();
        let mut pending: Vec<Atom> = Vec::new();
        for rows in sets {
            if whole.covers(rows) {
                continue;
            }
            if whole.is_empty() {
                whole = rows.clone();
                continue;
            }
            pending.extend_from_slice(rows.atoms());
            // So that each atom is sorted a few times at most, and what repeats is soon covered.
            if pending.len() > whole.atoms().len() {
                pending.extend_from_slice(whole.atoms());
                whole = Self::canonical(std::mem::take(&mut pending));
            }
        }
        if pending.is_empty() {
            return whole;
        }
        pending.extend_from_slice(whole.atoms());
        Self::canonical(pending)
    }
}

impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words(&|_| None))
    }
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words(&|split| Some(usize::from(split).to_string())))
    }
}

#[cfg(test)]
mod tests;
