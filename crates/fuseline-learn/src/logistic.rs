//! Weighted logistic regression with an L2 penalty: two classes or a softmax over more.

use thiserror::Error;

use crate::convergence::NotConverged;
use crate::input::{InputError, Labelled, length, row_count};
use crate::linear::dot;
use crate::link;

mod curvature;
mod newton;

/// Options of the fit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// Weight of the losses against the penalty, above 0.
    pub c: f64,
    /// Converged when no component of the gradient is larger than this times max(1, the largest at
    /// the start).
    pub tolerance: f64,
    /// Newton steps at most.
    pub max_iterations: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { c: 1.0, tolerance: 1e-10, max_iterations: 200 }
    }
}

/// Why there is no model.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum LogisticError {
    /// The input cannot be fitted.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The caller asked to stop.
    #[error("stopped")]
    Stopped,
}

/// A fitted logistic regression.
///
/// Two classes have one block, the log odds of class 1; K > 2 classes have K blocks, whose softmax
/// is the prediction.
#[derive(Debug, Clone, PartialEq)]
pub struct Logistic {
    classes: usize,
    width: usize,
    coefficients: Vec<f64>,
    intercepts: Vec<f64>,
    not_converged: Option<NotConverged>,
}

impl Logistic {
    /// Minimises |w|^2 / 2 + c * sum_i s_i * loss_i over coefficients w and free intercepts.
    ///
    /// `rows`: n by `width`, row-major, finite. `labels`: n class numbers below `classes`.
    /// `weights`: the n s_i, at least 0. loss_i is minus the log likelihood of row i. For K > 2 the
    /// penalty covers all K rows of coefficients, and the intercepts, which are determined up to a
    /// constant, sum to 0. This is scikit-learn's `LogisticRegression`, solved by Newton's method
    /// to the rounding of the gradient, also when classes are separable or columns outnumber rows.
    ///
    /// Errors when a shape or value is wrong or a class has no weight. Check
    /// [`Self::not_converged`].
    pub fn fit(
        rows: &[f64],
        width: usize,
        labels: &[u32],
        weights: &[f64],
        classes: usize,
        options: &Options,
    ) -> Result<Self, LogisticError> {
        Self::fit_while(rows, width, labels, weights, classes, options, &mut || true)
    }

    /// As [`Self::fit`]; `go_on` is called before each step, and false ends the fit with
    /// [`LogisticError::Stopped`].
    pub fn fit_while(
        rows: &[f64],
        width: usize,
        labels: &[u32],
        weights: &[f64],
        classes: usize,
        options: &Options,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Self, LogisticError> {
        let data = Labelled::new(rows, width, labels, weights, classes)?;
        if !(options.c > 0.0 && options.c.is_finite()) {
            return Err(
                InputError::Option { option: "c", expected: "a finite number above 0" }.into()
            );
        }
        let (parameters, not_converged) = newton::minimise(&data, options, go_on)?;
        let mut coefficients = Vec::with_capacity(data.blocks() * width);
        let mut intercepts = Vec::with_capacity(data.blocks());
        for block in parameters.chunks_exact(width + 1) {
            coefficients.extend_from_slice(&block[..width]);
            intercepts.push(block[width]);
        }
        Ok(Self { classes, width, coefficients, intercepts, not_converged })
    }

    /// A model of known coefficients (blocks by `width`, row-major) and intercepts, as read back
    /// from a model.
    ///
    /// Errors when the lengths do not fit `classes` and `width`, or a number is not finite.
    pub fn from_parts(
        classes: usize,
        width: usize,
        coefficients: Vec<f64>,
        intercepts: Vec<f64>,
    ) -> Result<Self, InputError> {
        if classes < 2 {
            return Err(InputError::TooFewClasses { classes });
        }
        let blocks = if classes == 2 { 1 } else { classes };
        length("intercepts", blocks, intercepts.len())?;
        match blocks.checked_mul(width) {
            Some(expected) => length("coefficients", expected, coefficients.len())?,
            None => return Err(InputError::Width { values: coefficients.len(), width }),
        }
        let numbers = coefficients.iter().chain(&intercepts);
        if let Some((at, &value)) = numbers.enumerate().find(|(_, value)| !value.is_finite()) {
            return Err(InputError::NotFinite { row: 0, column: at, value });
        }
        Ok(Self { classes, width, coefficients, intercepts, not_converged: None })
    }

    /// Shortfall of a fit whose gradient stayed above 1e-8 times its scale.
    #[must_use]
    pub fn not_converged(&self) -> Option<NotConverged> {
        self.not_converged
    }

    /// Number of classes.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Number of columns.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Coefficients, blocks by width, row-major.
    #[must_use]
    pub fn coefficients(&self) -> &[f64] {
        &self.coefficients
    }

    /// Intercepts, one a block.
    #[must_use]
    pub fn intercepts(&self) -> &[f64] {
        &self.intercepts
    }

    /// Scores of n rows by width: n by blocks, row-major. Errors when the width does not divide the
    /// values.
    pub fn scores(&self, rows: &[f64]) -> Result<Vec<f64>, InputError> {
        let mut scores = Vec::with_capacity(row_count(rows, self.width)? * self.intercepts.len());
        for row in rows.chunks_exact(self.width) {
            let blocks = self.coefficients.chunks_exact(self.width).zip(&self.intercepts);
            scores.extend(blocks.map(|(weights, intercept)| dot(weights, row) + intercept));
        }
        Ok(scores)
    }

    /// Class probabilities of n rows by width: n by classes, row-major. Errors as [`Self::scores`].
    pub fn predict_proba(&self, rows: &[f64]) -> Result<Vec<f64>, InputError> {
        let scores = self.scores(rows)?;
        let blocks = self.intercepts.len();
        let mut out = vec![0.0; scores.len() / blocks * self.classes];
        link::probabilities(&scores, blocks, &mut out);
        Ok(out)
    }
}

#[cfg(test)]
mod tests;
