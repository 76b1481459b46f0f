//! The odds that an expert is right, by one score.

use crate::convergence::NotConverged;
use crate::logistic::{Logistic, LogisticError, Options};

/// Log odds of being right at a score x: intercept + slope * x.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RightOdds {
    /// Log odds at a score of 0.
    pub intercept: f64,
    /// Change of the log odds with the score.
    pub slope: f64,
    /// Shortfall of the fit.
    pub not_converged: Option<NotConverged>,
}

impl RightOdds {
    /// A logistic regression with a penalty of slope^2 / 2, as [`Logistic::fit_while`]. Where all
    /// rows are right, or all wrong, or there are none, the slope is 0 and the odds are (weight of
    /// the right + 1) / (weight of the wrong + 1).
    ///
    /// `scores`, `right` and `weights`: one a row, scores finite, weights at least 0. Errors as
    /// [`Logistic::fit_while`].
    pub fn fit(
        scores: &[f64],
        right: &[bool],
        weights: &[f64],
        options: &Options,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Self, LogisticError> {
        let mut weight_of = [0.0, 0.0];
        for (&right, weight) in right.iter().zip(weights) {
            weight_of[usize::from(right)] += weight;
        }
        let [wrong_weight, right_weight] = weight_of;
        if wrong_weight == 0.0 || right_weight == 0.0 {
            let intercept = libm::log((right_weight + 1.0) / (wrong_weight + 1.0));
            return Ok(Self { intercept, slope: 0.0, not_converged: None });
        }
        let labels: Vec<u32> = right.iter().map(|&right| u32::from(right)).collect();
        let fitted = Logistic::fit_while(scores, 1, &labels, weights, 2, options, go_on)?;
        Ok(Self {
            intercept: fitted.intercepts()[0],
            slope: fitted.coefficients()[0],
            not_converged: fitted.not_converged(),
        })
    }
}
