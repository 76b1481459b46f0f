//! Solvers that stop before their tolerance.

use thiserror::Error;

/// A fit whose gradient did not become small enough: its model is the best point found.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
#[error("the gradient is {gradient:.1e} after {steps} steps, {wanted:.1e} was wanted")]
pub struct NotConverged {
    /// Steps taken.
    pub steps: usize,
    /// Largest absolute component of the gradient.
    pub gradient: f64,
    /// Bound that it had to meet.
    pub wanted: f64,
}
