//! Typed indices, and vectors that nothing else indexes: an index of a stage is none of an axis.

use std::iter::Map;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut, Index, IndexMut, Range};

use serde::{Deserialize, Serialize};

/// A vector that is indexed by one type of index alone. Serialised as a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IndexVec<I, T> {
    /// The elements, without their type of index.
    pub raw: Vec<T>,
    index: PhantomData<fn(I)>,
}

/// Indices in ascending order.
pub type Keys<I> = Map<Range<usize>, fn(usize) -> I>;

impl<I, T> IndexVec<I, T> {
    /// Makes an empty vector.
    pub const fn new() -> Self {
        Self { raw: Vec::new(), index: PhantomData }
    }
}

impl<I: From<usize>, T> IndexVec<I, T> {
    /// The indices of its elements.
    pub fn keys(&self) -> Keys<I> {
        (0..self.raw.len()).map(I::from)
    }

    /// The index that the next element will have.
    pub fn next_key(&self) -> I {
        I::from(self.raw.len())
    }

    /// Elements, each with its index.
    pub fn iter_enumerated(&self) -> impl ExactSizeIterator<Item = (I, &T)> + DoubleEndedIterator {
        self.raw.iter().enumerate().map(|(index, element)| (I::from(index), element))
    }

    /// The index of the first element that meets a condition.
    pub fn position(&self, is_wanted: impl FnMut(&T) -> bool) -> Option<I> {
        self.raw.iter().position(is_wanted).map(I::from)
    }

    /// Appends an element, and returns its index.
    pub fn push(&mut self, element: T) -> I {
        self.raw.push(element);
        I::from(self.raw.len() - 1)
    }
}

impl<I: Into<usize>, T> IndexVec<I, T> {
    /// An element, if it exists.
    pub fn get(&self, index: I) -> Option<&T> {
        self.raw.get(index.into())
    }
}

impl<I, T> Deref for IndexVec<I, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.raw
    }
}

impl<I, T> DerefMut for IndexVec<I, T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.raw
    }
}

impl<I: Into<usize>, T> Index<I> for IndexVec<I, T> {
    type Output = T;

    fn index(&self, index: I) -> &T {
        &self.raw[index.into()]
    }
}

impl<I: Into<usize>, T> IndexMut<I> for IndexVec<I, T> {
    fn index_mut(&mut self, index: I) -> &mut T {
        &mut self.raw[index.into()]
    }
}

impl<I, T> Default for IndexVec<I, T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<I, T> From<Vec<T>> for IndexVec<I, T> {
    fn from(raw: Vec<T>) -> Self {
        Self { raw, index: PhantomData }
    }
}

impl<I, T> FromIterator<T> for IndexVec<I, T> {
    fn from_iter<E: IntoIterator<Item = T>>(elements: E) -> Self {
        Vec::from_iter(elements).into()
    }
}

impl<I, T> IntoIterator for IndexVec<I, T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.raw.into_iter()
    }
}

impl<'a, I, T> IntoIterator for &'a IndexVec<I, T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.raw.iter()
    }
}

/// Defines index types over `u32`.
#[doc(hidden)]
#[macro_export]
macro_rules! index_types {
    ($($(#[$doc:meta])* $visibility:vis $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        $visibility struct $name(pub u32);

        impl From<usize> for $name {
            fn from(index: usize) -> Self {
                Self(index as u32)
            }
        }

        impl From<$name> for usize {
            fn from(index: $name) -> Self {
                index.0 as Self
            }
        }
    )+};
}

index_types! {
    /// Index of a param among those that its workflow declares.
    pub(crate) ParamIndex;
    /// Index of an axis in its workflow.
    pub AxisIndex;
    /// Index of a point among those of its axis.
    pub PointIndex;
    /// Index of a stage in its workflow: producers before consumers.
    pub StageIndex;
    /// Index of a stage in the order in which stages are written.
    pub(crate) WrittenStageIndex;
    /// Index of an action among those of its stage.
    pub ActionIndex;
    /// Index of a variant among those of its stage.
    pub VariantIndex;
    /// Index of an input among those that its stage is given.
    pub InputIndex;
    /// Index of an output port among those of its stage.
    pub OutputIndex;
    /// Index of a set of actions among those that an input gathers.
    pub GroupIndex;
    /// Index of a stage kind in its catalogue.
    pub KindIndex;
}
