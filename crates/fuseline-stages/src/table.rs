//! Tables that no artifact kind is made for: comma-separated text that pandas and R read as it is.

use std::borrow::Cow;

use fuseline_artifact::Report;
use fuseline_engine::StageError;

/// A table of texts.
pub(crate) struct Table {
    writer: csv::Writer<Vec<u8>>,
}

impl Table {
    /// A table with named columns and no row.
    pub fn new<S: AsRef<str>>(columns: impl IntoIterator<Item = S>) -> Result<Self, StageError> {
        let mut table = Self { writer: csv::Writer::from_writer(Vec::new()) };
        table.row(columns)?;
        Ok(table)
    }

    /// Adds a row; it has as many cells as there are columns. A text that a spreadsheet would run as
    /// a formula has a `'` before it.
    pub fn row<S: AsRef<str>>(
        &mut self,
        cells: impl IntoIterator<Item = S>,
    ) -> Result<(), StageError> {
        let cells: Vec<S> = cells.into_iter().collect();
        let cells = cells.iter().map(|cell| inert(cell.as_ref()));
        let written = self.writer.write_record(cells.map(|cell| cell.as_bytes().to_vec()));
        written.map_err(|error| StageError::failed(error.to_string()))
    }

    /// The table as an artifact.
    pub fn finish(self) -> Result<Report, StageError> {
        let bytes =
            self.writer.into_inner().map_err(|error| StageError::failed(error.to_string()))?;
        Ok(Report { media_type: "text/csv".to_owned(), bytes })
    }
}

fn is_formula(text: &str) -> bool {
    let begins = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    begins && text.len() > 1 && text.parse::<f64>().is_err()
}

/// A text that no spreadsheet takes for a formula: such a one, unless it is a number, gets a `'`
/// before it.
#[must_use]
pub fn inert(text: &str) -> Cow<'_, str> {
    if is_formula(text) { format!("'{text}").into() } else { text.into() }
}

/// The text of a cell that [`inert`] wrote.
pub(crate) fn cell_text(cell: &str) -> &str {
    cell.strip_prefix('\'').filter(|text| is_formula(text)).unwrap_or(cell)
}

/// A number so that it reads back as itself; nothing where it has no value.
pub(crate) fn number(value: f64) -> String {
    if value.is_finite() { value.to_string() } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formula_is_a_text_in_a_spreadsheet_and_itself_where_it_is_read() {
        let texts = ["=cmd()|calc", "+1+1", "-x", "@sum", "-0.5", "+2", "=", "a=b", "'=x", ""];
        let written = texts.map(|text| inert(text).into_owned());
        let expected =
            ["'=cmd()|calc", "'+1+1", "'-x", "'@sum", "-0.5", "+2", "=", "a=b", "'=x", ""];
        assert_eq!(written, expected);
        for (cell, text) in written.iter().zip(texts).filter(|(_, text)| *text != "'=x") {
            assert_eq!(cell_text(cell), text);
        }
        let mut table = Table::new(["=m()"]).unwrap();
        table.row(["@a,b"]).unwrap();
        assert_eq!(table.finish().unwrap().bytes, b"'=m()\n\"'@a,b\"\n");
    }
}
