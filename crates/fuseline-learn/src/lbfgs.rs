//! Limited-memory BFGS with the line search of More and Thuente.
//!
//! An objective that is not convex has more than one minimum, and the first steps decide which one
//! is reached. Step lengths, scaling, memory and line search are therefore those of the unbounded
//! case of L-BFGS-B (Zhu, Byrd, Lu and Nocedal 1997), as scipy has it: from the same start both
//! take the same way, but for rounding.
//!
//! Sources: Nocedal and Wright, Numerical Optimization (2nd ed.), algorithms 7.4 and 7.5; More and
//! Thuente, "Line search algorithms with guaranteed sufficient decrease", ACM TOMS 20(3), 1994.

use std::collections::VecDeque;
use std::fmt;

use thiserror::Error;

use crate::convergence::NotConverged;
use crate::linear::{add_scaled, dot, max_abs};

mod line_search;

use line_search::{Search, Trial, Verdict};

/// Function calls of one line search.
const TRIALS: usize = 20;
/// A gradient that rounding keeps from the tolerance is accepted below this times its scale.
const FLOOR: f64 = 1e-8;

/// Options of the search.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// Converged when no component of the gradient is larger in size.
    pub tolerance: f64,
    /// Steps at most.
    pub max_iterations: usize,
    /// Pairs of steps and gradient differences that are kept.
    pub memory: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { tolerance: 1e-10, max_iterations: 10_000, memory: 10 }
    }
}

/// Why the search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The gradient is within the tolerance.
    Converged,
    /// No step along the steepest descent lowers the value any more: rounding is the floor.
    Stagnated,
    /// The allowed steps are used up.
    IterationLimit,
}

/// Result of the search.
#[derive(Debug, Clone, PartialEq)]
pub struct Minimum {
    /// The point of the lowest value found.
    pub point: Vec<f64>,
    /// The value there.
    pub value: f64,
    /// Largest absolute component of the gradient there.
    pub gradient: f64,
    /// Steps taken.
    pub iterations: usize,
    /// Why the search ended.
    pub outcome: Outcome,
    /// Shortfall of a gradient that is neither within the tolerance nor down to its rounding.
    pub not_converged: Option<NotConverged>,
}

impl fmt::Display for Minimum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { value, iterations, gradient, .. } = self;
        write!(f, "objective {value:e} after {iterations} steps, gradient {gradient:e}")
    }
}

/// Why there is no minimum to speak of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum LbfgsError {
    /// The function or its gradient is not finite at the start.
    #[error("the function or its gradient is not finite at the starting point")]
    Start,
    /// The caller asked to stop.
    #[error("stopped")]
    Stopped,
}

/// A point with its value and gradient.
#[derive(Debug, Clone)]
struct Place {
    point: Vec<f64>,
    value: f64,
    gradient: Vec<f64>,
}

impl Place {
    fn is_finite(&self) -> bool {
        self.value.is_finite() && self.gradient.iter().all(|component| component.is_finite())
    }
}

/// Minimises a smooth function from `start`.
///
/// `function(x, gradient)` returns the value at x and writes all components of the gradient. Values
/// that are not finite are taken as uphill. The search is a function of its arguments alone: the
/// same calls in the same order. Check [`Minimum::not_converged`]. Errors when the function is not
/// finite at the start.
pub fn minimise(
    start: Vec<f64>,
    options: &Options,
    function: impl FnMut(&[f64], &mut [f64]) -> f64,
) -> Result<Minimum, LbfgsError> {
    minimise_while(start, options, function, &mut || true)
}

/// As [`minimise`]; `go_on` is called before each call of the function, and false ends the search
/// with [`LbfgsError::Stopped`].
pub fn minimise_while(
    start: Vec<f64>,
    options: &Options,
    mut function: impl FnMut(&[f64], &mut [f64]) -> f64,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Minimum, LbfgsError> {
    let mut evaluate = |point: Vec<f64>| {
        if !go_on() {
            return Err(LbfgsError::Stopped);
        }
        let mut gradient = vec![0.0; point.len()];
        let value = function(&point, &mut gradient);
        Ok(Place { point, value, gradient })
    };
    let mut here = evaluate(start)?;
    if !here.is_finite() {
        return Err(LbfgsError::Start);
    }
    let scale = max_abs(&here.gradient).max(1.0);
    let mut memory = Memory::new(options.memory.max(1));
    let mut iterations = 0;
    let outcome = loop {
        if max_abs(&here.gradient) <= options.tolerance {
            break Outcome::Converged;
        }
        if iterations == options.max_iterations {
            break Outcome::IterationLimit;
        }
        let mut direction = memory.direction(&here.gradient);
        if dot(&direction, &here.gradient) >= 0.0 {
            memory.pairs.clear();
            direction = memory.direction(&here.gradient);
        }
        // Without a memory to scale it the first step has length 1; after a restart it is no longer
        // than that.
        let length = dot(&direction, &direction).sqrt();
        let first = match memory.pairs.is_empty() {
            true if iterations == 0 => 1.0 / length,
            true => (1.0 / length).min(1.0),
            false => 1.0,
        };
        match line_search(&here, &direction, first, &mut evaluate)? {
            Some(next) => {
                memory.remember(&here, &next);
                here = next;
                iterations += 1;
            }
            None if memory.pairs.is_empty() => break Outcome::Stagnated,
            None => memory.pairs.clear(),
        }
    };
    let gradient = max_abs(&here.gradient);
    let accepted = match outcome {
        Outcome::Converged => true,
        Outcome::Stagnated => gradient <= FLOOR * scale,
        Outcome::IterationLimit => false,
    };
    let not_converged = (!accepted).then_some(NotConverged {
        steps: iterations,
        gradient,
        wanted: options.tolerance,
    });
    Ok(Minimum {
        point: here.point,
        value: here.value,
        gradient,
        iterations,
        outcome,
        not_converged,
    })
}

/// A place along the direction that satisfies the strong Wolfe conditions, else the lowest; none
/// when values no longer fall.
fn line_search(
    here: &Place,
    direction: &[f64],
    first: f64,
    evaluate: &mut impl FnMut(Vec<f64>) -> Result<Place, LbfgsError>,
) -> Result<Option<Place>, LbfgsError> {
    let slope = dot(&here.gradient, direction);
    if slope.is_nan() || slope >= 0.0 {
        return Ok(None);
    }
    let mut search = Search::new(Trial { step: 0.0, value: here.value, slope }, first);
    let mut best: Option<Place> = None;
    let mut step = first;
    for _ in 0..TRIALS {
        let point: Vec<f64> = here.point.iter().zip(direction).map(|(x, d)| x + step * d).collect();
        if point == here.point {
            break;
        }
        let place = evaluate(point)?;
        let slope = dot(&place.gradient, direction);
        let verdict = search.judge(Trial { step, value: place.value, slope });
        if verdict == Verdict::Accept {
            return Ok(Some(place));
        }
        if place.is_finite() && place.value < best.as_ref().map_or(here.value, |best| best.value) {
            best = Some(place);
        }
        match verdict {
            Verdict::Try(next) => step = next,
            Verdict::Accept | Verdict::Exhausted => break,
        }
    }
    Ok(best)
}

/// The last steps, which approximate the curvature.
#[derive(Debug)]
struct Memory {
    pairs: VecDeque<Pair>,
    capacity: usize,
}

#[derive(Debug)]
struct Pair {
    step: Vec<f64>,
    change: Vec<f64>,
    /// 1 / (step . change)
    inverse: f64,
}

impl Memory {
    fn new(capacity: usize) -> Self {
        Self { pairs: VecDeque::with_capacity(capacity), capacity }
    }

    /// Keeps a pair only when its curvature is positive, so that every direction is one of descent.
    fn remember(&mut self, from: &Place, to: &Place) {
        let difference =
            |a: &[f64], b: &[f64]| -> Vec<f64> { a.iter().zip(b).map(|(a, b)| a - b).collect() };
        let step = difference(&to.point, &from.point);
        let change = difference(&to.gradient, &from.gradient);
        let curvature = dot(&step, &change);
        if curvature <= -f64::EPSILON * dot(&step, &from.gradient) {
            return;
        }
        if self.pairs.len() == self.capacity {
            self.pairs.pop_front();
        }
        self.pairs.push_back(Pair { step, change, inverse: 1.0 / curvature });
    }

    /// The two-loop recursion: minus the approximate inverse Hessian times the gradient.
    fn direction(&self, gradient: &[f64]) -> Vec<f64> {
        let mut direction: Vec<f64> = gradient.iter().map(|component| -component).collect();
        let mut shares = Vec::with_capacity(self.pairs.len());
        for pair in self.pairs.iter().rev() {
            let share = pair.inverse * dot(&pair.step, &direction);
            add_scaled(&mut direction, -share, &pair.change);
            shares.push(share);
        }
        if let Some(last) = self.pairs.back() {
            let scale = 1.0 / (last.inverse * dot(&last.change, &last.change));
            direction.iter_mut().for_each(|component| *component *= scale);
        }
        for (pair, share) in self.pairs.iter().zip(shares.iter().rev()) {
            let back = pair.inverse * dot(&pair.change, &direction);
            add_scaled(&mut direction, share - back, &pair.step);
        }
        direction
    }
}

#[cfg(test)]
mod tests;
