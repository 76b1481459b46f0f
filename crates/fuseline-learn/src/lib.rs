//! Small deterministic learners: standardisation, logistic and ridge regression, L-BFGS, histogram
//! boosting, random forests, calibration.
//!
//! Knows arrays: matrices are row-major `&[f64]` of n rows by `width` columns, labels are `&[u32]`
//! class numbers. Knows nothing of files, stages, folds, quality or threads. Start at
//! [`standardise::Preprocessor`], [`logistic::Logistic`], [`boosting::Boosting`] and
//! [`lbfgs::minimise`].
//! **Invariant:** equal inputs give equal bits on every machine: `exp` and `log` come from libm,
//! every sum has one written order, random numbers are the caller's, and nothing reads a clock.

pub mod boosting;
pub mod calibration;
pub mod convergence;
pub mod forest;
pub mod input;
pub mod lbfgs;
mod linear;
pub mod link;
pub mod logistic;
pub mod odds;
pub mod ridge;
pub mod sigmoid;
pub mod standardise;
pub mod svm;
pub mod weights;
