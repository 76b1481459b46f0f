//! Tables that no artifact kind is made for: comma-separated text that pandas and R read as it is.

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

    /// Adds a row; it has as many cells as there are columns.
    pub fn row<S: AsRef<str>>(
        &mut self,
        cells: impl IntoIterator<Item = S>,
    ) -> Result<(), StageError> {
        let cells: Vec<S> = cells.into_iter().collect();
        let written = self.writer.write_record(cells.iter().map(|cell| cell.as_ref().as_bytes()));
        written.map_err(|error| StageError::failed(error.to_string()))
    }

    /// The table as an artifact.
    pub fn finish(self) -> Result<Report, StageError> {
        let bytes =
            self.writer.into_inner().map_err(|error| StageError::failed(error.to_string()))?;
        Ok(Report { media_type: "text/csv".to_owned(), bytes })
    }
}

/// A number so that it reads back as itself; nothing where it has no value.
pub(crate) fn number(value: f64) -> String {
    if value.is_finite() { value.to_string() } else { String::new() }
}
