//! The beginning of a table, and a summary of each of its columns.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use fuseline::{FirstRows, Table};
use fuseline_cache::ObjectFile;

/// Maximum number of rows read.
pub const MOST_ROWS: usize = 100_000;
/// Maximum number of columns read; a list is one.
pub const MOST_COLUMNS: usize = 60;
/// Bars of a histogram at most.
const BARS: usize = 20;
/// Maximum number of different texts counted.
const MOST_TEXTS: usize = 10_000;
/// Approximate maximum of bytes of cells read.
const MOST_CELLS: usize = 4_000_000;

/// A table as far as it is shown.
pub struct TableView {
    /// The first rows, and what the file says.
    pub first: FirstRows,
    /// A summary of each column that was read.
    pub columns: Vec<ColumnSummary>,
}

/// A summary of a column.
pub struct ColumnSummary {
    /// Its name.
    pub name: String,
    /// Values that are missing.
    pub missing: usize,
    /// Summary of the other values.
    pub values: Values,
}

/// Summary of the values of a column.
pub enum Values {
    /// Numbers. None when there is none that is finite.
    Numbers(Option<Numbers>),
    /// Texts: how many different ones, and the most frequent with their counts. `None` when there
    /// are too many.
    Texts(Option<(usize, Vec<(String, usize)>)>),
    /// Truth values: how many are true, and how many there are.
    Truths(usize, usize),
    /// Bytes: of all values together.
    Bytes(usize),
}

/// A summary of finite numbers.
pub struct Numbers {
    /// The least.
    pub low: f64,
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation (population).
    pub sd: f64,
    /// The largest.
    pub high: f64,
    /// Numbers that are not finite.
    pub infinite: usize,
    /// Counts in bars of one width from the least to the largest.
    pub bars: Vec<usize>,
}

impl TableView {
    /// Reads an object; none when it is no table.
    pub fn read(object: ObjectFile) -> Result<Option<Self>, String> {
        // Wide tables get fewer rows, so that what is in memory stays bounded.
        let rows = MOST_CELLS / MOST_COLUMNS;
        let rows = rows.min(MOST_ROWS);
        let first = match object {
            ObjectFile::Open(file) => Table::first_rows(file, rows, MOST_COLUMNS),
            ObjectFile::Packed(bytes) => Table::first_rows(bytes, rows, MOST_COLUMNS),
        };
        let first = first.map_err(|error| format!("the table cannot be read: {error}"))?;
        Ok(first.map(|first| {
            let columns = first.table.columns().map(|(name, column)| summarise(name, column));
            Self { columns: columns.collect(), first }
        }))
    }
}

fn summarise(name: String, column: &ArrayRef) -> ColumnSummary {
    let values = match column.data_type() {
        DataType::Int64 => {
            let values = column.as_primitive::<Int64Type>().iter().flatten();
            Values::Numbers(numbers(values.map(|value| value as f64)))
        }
        DataType::Float64 => {
            Values::Numbers(numbers(column.as_primitive::<Float64Type>().iter().flatten()))
        }
        DataType::Boolean => {
            let column = column.as_boolean();
            Values::Truths(column.true_count(), column.len() - column.null_count())
        }
        DataType::Utf8 => Values::Texts(texts(column.as_string::<i32>().iter().flatten())),
        DataType::Binary => {
            Values::Bytes(column.as_binary::<i32>().iter().flatten().map(<[u8]>::len).sum())
        }
        _ => Values::Texts(None),
    };
    ColumnSummary { name, missing: column.null_count(), values }
}

fn numbers(values: impl Iterator<Item = f64> + Clone) -> Option<Numbers> {
    let finite = || values.clone().filter(|value| value.is_finite());
    let n = finite().count();
    if n == 0 {
        return None;
    }
    let (low, high) = finite().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    let mean = finite().map(|value| value / n as f64).sum::<f64>();
    let variance = finite().map(|value| (value - mean) * (value - mean) / n as f64).sum::<f64>();
    let mut bars = vec![0; if low < high { BARS } else { 1 }];
    for value in finite() {
        // Halves first: the range of large numbers is not finite.
        let share = (value / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0);
        let bar = if share.is_finite() { (share * bars.len() as f64) as usize } else { 0 };
        let last = bars.len() - 1;
        bars[bar.min(last)] += 1;
    }
    let infinite = values.clone().count() - n;
    // Of equal numbers, a mean that is rounded is none of them.
    let (mean, sd) = if low < high { (mean, variance.sqrt()) } else { (low, 0.0) };
    Some(Numbers { low, mean, sd, high, infinite, bars })
}

fn texts<'a>(values: impl Iterator<Item = &'a str>) -> Option<(usize, Vec<(String, usize)>)> {
    let mut counts = BTreeMap::<&str, usize>::new();
    for value in values {
        *counts.entry(value).or_default() += 1;
        if counts.len() > MOST_TEXTS {
            return None;
        }
    }
    let different = counts.len();
    let mut frequent: Vec<_> = counts.into_iter().map(|(text, n)| (text.to_owned(), n)).collect();
    frequent.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    frequent.truncate(4);
    Some((different, frequent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_summed_up_without_those_that_are_not_finite() {
        let found = numbers([1.0, 2.0, f64::NAN, 3.0, f64::INFINITY].into_iter()).unwrap();
        assert_eq!((found.low, found.mean, found.high, found.infinite), (1.0, 2.0, 3.0, 2));
        assert!((found.sd - (2.0_f64 / 3.0).sqrt()).abs() < 1e-12);
        assert_eq!((found.bars[0], found.bars[10], found.bars[19]), (1, 1, 1));
        assert!(numbers([f64::NAN].into_iter()).is_none());
        let wide = numbers([f64::MIN, f64::MAX].into_iter()).unwrap();
        assert_eq!((wide.bars[0], wide.bars[19]), (1, 1));
        let equal = numbers([0.1; 7].into_iter()).unwrap();
        assert_eq!((equal.bars, equal.mean, equal.sd), (vec![7], 0.1, 0.0));
    }

    #[test]
    fn texts_are_counted_the_most_frequent_first() {
        let (different, frequent) = texts(["b", "a", "b"].into_iter()).unwrap();
        assert_eq!((different, frequent), (2, vec![("b".to_owned(), 2), ("a".to_owned(), 1)]));
    }
}
