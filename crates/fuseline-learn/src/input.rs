//! Input checks that every learner shares.

use thiserror::Error;

/// Why a learner refuses its input.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum InputError {
    /// There is no row to fit on.
    #[error("there are no rows to fit on")]
    Empty,
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
    /// The number of values is no multiple of the number of columns.
    #[error("{values} values do not make rows of {width} columns")]
    Width {
        /// Values in the matrix.
        values: usize,
        /// Columns of the matrix.
        width: usize,
    },
    /// A value is NaN or infinite.
    #[error("row {row}, column {column}: {value} is not a finite number")]
    NotFinite {
        /// Row of the value.
        row: usize,
        /// Column of the value.
        column: usize,
        /// The value.
        value: f64,
    },
    /// A label is no class number.
    #[error("row {row}: label {label} is outside the {classes} classes")]
    Label {
        /// Row of the label.
        row: usize,
        /// The label.
        label: u32,
        /// Number of classes.
        classes: usize,
    },
    /// A classifier needs two classes or more.
    #[error("{classes} classes are too few to tell apart")]
    TooFewClasses {
        /// Number of classes.
        classes: usize,
    },
    /// A class has no row of positive weight.
    #[error("class {class} has no row to learn from")]
    AbsentClass {
        /// The class number.
        class: usize,
    },
    /// A weight is negative or not finite.
    #[error("row {row}: weight {weight} is not a finite number of at least 0")]
    Weight {
        /// Row of the weight.
        row: usize,
        /// The weight.
        weight: f64,
    },
    /// An option is outside its range.
    #[error("{option} is out of range: {expected}")]
    Option {
        /// Name of the option.
        option: &'static str,
        /// The range.
        expected: &'static str,
    },
}

/// The number of rows of a row-major matrix of `width` columns.
pub(crate) fn row_count(values: &[f64], width: usize) -> Result<usize, InputError> {
    if width == 0 || !values.len().is_multiple_of(width) {
        return Err(InputError::Width { values: values.len(), width });
    }
    Ok(values.len() / width)
}

/// Fails unless `found` is `expected`.
pub(crate) fn length(what: &'static str, expected: usize, found: usize) -> Result<(), InputError> {
    if expected == found { Ok(()) } else { Err(InputError::Length { what, expected, found }) }
}

/// Training data of a classifier, checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Labelled<'a> {
    pub rows: &'a [f64],
    pub width: usize,
    pub labels: &'a [u32],
    pub weights: &'a [f64],
    pub classes: usize,
}

impl<'a> Labelled<'a> {
    /// Checks shapes and values; every class needs a row of positive weight.
    pub fn new(
        rows: &'a [f64],
        width: usize,
        labels: &'a [u32],
        weights: &'a [f64],
        classes: usize,
    ) -> Result<Self, InputError> {
        let count = row_count(rows, width)?;
        if count == 0 {
            return Err(InputError::Empty);
        }
        length("labels", count, labels.len())?;
        length("weights", count, weights.len())?;
        if classes < 2 {
            return Err(InputError::TooFewClasses { classes });
        }
        if let Some(at) = rows.iter().position(|value| !value.is_finite()) {
            return Err(InputError::NotFinite {
                row: at / width,
                column: at % width,
                value: rows[at],
            });
        }
        let mut present = vec![false; classes];
        for (row, (&label, &weight)) in labels.iter().zip(weights).enumerate() {
            if !(weight >= 0.0 && weight.is_finite()) {
                return Err(InputError::Weight { row, weight });
            }
            match present.get_mut(label as usize) {
                Some(seen) => *seen |= weight > 0.0,
                None => return Err(InputError::Label { row, label, classes }),
            }
        }
        match present.iter().position(|seen| !seen) {
            Some(class) => Err(InputError::AbsentClass { class }),
            None => Ok(Self { rows, width, labels, weights, classes }),
        }
    }

    /// Number of rows.
    pub fn count(&self) -> usize {
        self.labels.len()
    }

    /// The numbers that carry the model: one for two classes, else one a class.
    pub fn blocks(&self) -> usize {
        if self.classes == 2 { 1 } else { self.classes }
    }
}
