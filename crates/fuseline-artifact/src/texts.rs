//! A column of texts, such as the example_ids of a table.

use std::ops::Index;

use arrow::array::{Array, StringArray, StringBuilder};

/// The texts of a column, one a row, in one shared buffer: a clone and what is read from an
/// artifact cost no copy.
///
/// At most 2 GiB of text: collecting more panics.
#[derive(Debug, Clone, PartialEq)]
pub struct Texts(StringArray);

impl Texts {
    /// Number of texts.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text of a row, if there is such a row.
    pub fn get(&self, row: usize) -> Option<&str> {
        (row < self.len()).then(|| &self[row])
    }

    /// The text of every row.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        (0..self.len()).map(|row| self.0.value(row))
    }

    /// The texts of some rows; of all in their order without a copy.
    pub fn take(&self, rows: impl Iterator<Item = usize> + Clone) -> Self {
        if rows.clone().eq(0..self.len()) {
            return self.clone();
        }
        let sizes = rows.clone().map(|row| (1, self[row].len()));
        let (count, bytes) = sizes.fold((0, 0), |sum, size| (sum.0 + size.0, sum.1 + size.1));
        let mut taken = StringBuilder::with_capacity(count, bytes);
        rows.for_each(|row| taken.append_value(&self[row]));
        Self(taken.finish())
    }

    /// The rows in the order of their texts, by code point, equal ones in their order; none when
    /// all rows are sorted already.
    pub fn order(&self) -> Option<Vec<u32>> {
        if self.iter().is_sorted() {
            return None;
        }
        // No more rows than bytes of offsets, which are of 32 bits.
        let mut order: Vec<u32> = (0..self.len() as u32).collect();
        order.sort_by_key(|&row| &self[row as usize]);
        Some(order)
    }

    /// The text of every row in the order of the texts.
    pub fn sorted(&self) -> impl Iterator<Item = &str> {
        let order = self.order();
        (0..self.len())
            .map(move |place| &self[order.as_ref().map_or(place, |order| order[place] as usize)])
    }

    /// The rank of each row's text among the distinct ones, by code point, and their number.
    pub fn ranks(&self) -> (Vec<u32>, usize) {
        let order = self.order();
        let mut ranks = vec![0; self.len()];
        let (mut count, mut last) = (0, None);
        for place in 0..self.len() {
            let row = order.as_ref().map_or(place, |order| order[place] as usize);
            let text = Some(&self[row]);
            count += u32::from(text != last);
            ranks[row] = count - 1;
            last = text;
        }
        (ranks, count as usize)
    }

    /// The first text that repeats an earlier row.
    pub(crate) fn first_duplicate(&self) -> Option<&str> {
        // Most tables are in order, each text once.
        if self.iter().zip(self.iter().skip(1)).all(|(one, next)| one < next) {
            return None;
        }
        let order = self.order().unwrap_or_else(|| (0..self.len() as u32).collect());
        let text = |row: u32| &self[row as usize];
        let again = order.windows(2).filter(|pair| text(pair[0]) == text(pair[1]));
        again.map(|pair| pair[1]).min().map(text)
    }

    /// As Arrow has it.
    pub fn array(&self) -> &StringArray {
        &self.0
    }
}

/// Texts of a column without nulls; a null would read as an empty text.
impl From<StringArray> for Texts {
    fn from(array: StringArray) -> Self {
        Self(array)
    }
}

impl<T: AsRef<str>> FromIterator<T> for Texts {
    fn from_iter<I: IntoIterator<Item = T>>(texts: I) -> Self {
        Self(StringArray::from_iter_values(texts))
    }
}

impl Index<usize> for Texts {
    type Output = str;

    fn index(&self, row: usize) -> &str {
        self.0.value(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_and_duplicates_are_the_same_in_any_order() {
        let sorted = Texts::from_iter(["a", "a", "b", "c"]);
        assert_eq!((sorted.order(), sorted.ranks()), (None, (vec![0, 0, 1, 2], 3)));
        let mixed = Texts::from_iter(["c", "b", "a", "b", "a", "c"]);
        assert_eq!(mixed.order(), Some(vec![2, 4, 1, 3, 0, 5]));
        assert_eq!(mixed.ranks(), (vec![2, 1, 0, 1, 0, 2], 3));
        assert_eq!(mixed.first_duplicate(), Some("b"));
        assert_eq!(sorted.first_duplicate(), Some("a"));
        assert_eq!(mixed.take([0, 2, 1].into_iter()).first_duplicate(), None);
        assert_eq!(Texts::from_iter([""; 0]).ranks(), (vec![], 0));
    }
}
