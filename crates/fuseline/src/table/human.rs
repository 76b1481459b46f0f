//! A table for people: aligned, rounded, and cut to what fits.

use arrow::datatypes::DataType;

use super::{Cell, Table, cell};

/// Between columns.
const SPACE: usize = 2;
/// A longer text is cut.
const WIDEST: usize = 40;

/// Table as it is shown.
pub struct Shown {
    /// The lines.
    pub text: String,
    /// Omitted rows and columns, in words; empty when nothing was omitted.
    pub left_out: String,
}

impl Table {
    /// Aligned columns; too many for `width` go on in a second block under the first.
    ///
    /// `rows`: how many rows are shown at most, the first and the last of them. `columns`: how many
    /// columns at most.
    pub fn human(&self, rows: usize, columns: usize, width: Option<usize>) -> Shown {
        let count = self.rows();
        let head = if count > rows { rows.div_ceil(2) } else { count };
        let tail = if count > rows { rows - head } else { 0 };
        let picked: Vec<usize> = (0..head).chain(count - tail..count).collect();
        let gap = (count > rows).then_some(head);
        let names = self.names();
        let fitting = names.len().min(columns);
        let blocks: Vec<Block> =
            (0..fitting).map(|column| self.block(column, &names[column], &picked, gap)).collect();
        let mut text = String::new();
        let mut rest = &blocks[..];
        while !rest.is_empty() {
            // Later blocks begin with what names the rows.
            let keys = if text.is_empty() { &[][..] } else { keys(&blocks, width) };
            let mut used: usize = keys.iter().map(|key| key.width + SPACE).sum();
            let fits = |block: &&Block| {
                used += block.width + SPACE;
                width.is_none_or(|width| used <= width + SPACE)
            };
            let taken = rest.iter().take_while(fits).count().max(1);
            let (now, later) = rest.split_at(taken);
            if !text.is_empty() {
                text.push('\n');
            }
            text += &lines(&keys.iter().chain(now).collect::<Vec<_>>());
            rest = later;
        }
        let mut left_out = Vec::new();
        if count > rows {
            left_out.push(format!("{} of {count} rows", count - picked.len()));
        }
        if names.len() > fitting {
            left_out.push(format!("{} of {} columns", names.len() - fitting, names.len()));
        }
        Shown { text, left_out: left_out.join(" and ") }
    }

    /// One column as texts of one width.
    fn block(&self, column: usize, name: &str, picked: &[usize], gap: Option<usize>) -> Block {
        let array = self.batch.column(column);
        let right = matches!(array.data_type(), DataType::Int64 | DataType::Float64);
        let cells: Vec<Cell> = picked.iter().map(|&row| cell(array, row)).collect();
        let decimals = cells.iter().filter_map(decimals).max().unwrap_or(0);
        let mut texts = vec![short(name)];
        texts.extend(cells.into_iter().map(|cell| match cell {
            Cell::Missing => "·".to_owned(),
            Cell::Float(number) if is_plain(number) => format!("{number:.decimals$}"),
            Cell::Float(number) if number.is_finite() => format!("{number:.3e}"),
            Cell::Float(number) => number.to_string(),
            Cell::Integer(number) => number.to_string(),
            Cell::Truth(true) => "yes".to_owned(),
            Cell::Truth(false) => "no".to_owned(),
            Cell::Text(hex) if *array.data_type() == DataType::Binary => {
                format!("{} bytes", hex.len() / 2)
            }
            Cell::Text(text) => short(&text),
        }));
        if let Some(gap) = gap {
            texts.insert(1 + gap, "…".to_owned());
        }
        let width = texts.iter().map(|text| text.chars().count()).max().unwrap_or(0);
        Block { texts, width, right }
    }
}

/// A column that is ready to be put beside others.
struct Block {
    /// The name, then the cells.
    texts: Vec<String>,
    width: usize,
    right: bool,
}

/// The texts at the beginning that name a row, two at most, unless they leave no room for anything
/// else.
fn keys(blocks: &[Block], width: Option<usize>) -> &[Block] {
    let keys = blocks.iter().take(2).take_while(|block| !block.right).count();
    let keys = &blocks[..keys];
    let used: usize = keys.iter().map(|key| key.width + SPACE).sum();
    if width.is_some_and(|width| used > width / 2) { &[] } else { keys }
}

fn lines(blocks: &[&Block]) -> String {
    let count = blocks.first().map_or(0, |block| block.texts.len());
    let line = |row: usize| {
        let cells = blocks.iter().map(|Block { texts, width, right }| {
            let (text, width) = (&texts[row], *width);
            if *right { format!("{text:>width$}") } else { format!("{text:<width$}") }
        });
        let line = cells.collect::<Vec<_>>().join(&" ".repeat(SPACE));
        format!("{}\n", line.trim_end())
    };
    (0..count).map(line).collect()
}

/// True if a number reads well without an exponent.
fn is_plain(number: f64) -> bool {
    number == 0.0 || (1e-4..1e9).contains(&number.abs())
}

/// The decimals that a number needs to show six digits, without zeros at its end.
fn decimals(cell: &Cell) -> Option<usize> {
    let Cell::Float(number) = cell else { return None };
    if !is_plain(*number) {
        return None;
    }
    let before = format!("{:.0}", number.abs().trunc()).len();
    let text = format!("{number:.*}", 6_usize.saturating_sub(before));
    let (_, after) = text.split_once('.')?;
    Some(after.trim_end_matches('0').len())
}

/// A text on one line, cut where it gets long.
fn short(text: &str) -> String {
    let text = crate::visible(text).replace('\n', "\\n").replace('\t', "\\t");
    let clean: Vec<char> = text.chars().collect();
    if clean.len() <= WIDEST {
        return clean.into_iter().collect();
    }
    clean[..WIDEST - 1].iter().chain(&['…']).collect()
}
