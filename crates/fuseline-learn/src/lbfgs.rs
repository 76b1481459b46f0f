//! Limited-memory BFGS with a strong Wolfe line search.
//!
//! Source: Nocedal and Wright, Numerical Optimization (2nd ed.), algorithms 3.5, 3.6, 7.4 and 7.5.

use std::collections::VecDeque;

use thiserror::Error;

use crate::linear::{add_scaled, dot, max_abs};

/// Sufficient decrease of the line search.
const ARMIJO: f64 = 1e-4;
/// Share of the slope that may be left after the line search.
const CURVATURE: f64 = 0.9;
/// Function calls of one line search.
const TRIALS: usize = 40;

/// How far to go.
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
        Self { tolerance: 1e-10, max_iterations: 10_000, memory: 20 }
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

/// Where the search ended.
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
}

/// Why there is no minimum to speak of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum LbfgsError {
    /// The function or its gradient is not finite at the start.
    #[error("the function or its gradient is not finite at the starting point")]
    Start,
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
/// `function(x, gradient)` returns the value at x and writes all components of the gradient. Values that are not
/// finite are taken as uphill. The search is a function of its arguments alone: the same calls in the same order.
/// Check [`Minimum::outcome`]: [`Outcome::Stagnated`] means that [`Minimum::gradient`] is as small as the rounding of
/// the function's values allows. Errors when the function is not finite at the start.
pub fn minimise(
    start: Vec<f64>,
    options: &Options,
    mut function: impl FnMut(&[f64], &mut [f64]) -> f64,
) -> Result<Minimum, LbfgsError> {
    let mut evaluate = |point: Vec<f64>| {
        let mut gradient = vec![0.0; point.len()];
        let value = function(&point, &mut gradient);
        Place { point, value, gradient }
    };
    let mut here = evaluate(start);
    if !here.is_finite() {
        return Err(LbfgsError::Start);
    }
    let mut memory = Memory::new(options.memory.max(1));
    let mut iterations = 0;
    let outcome = loop {
        let steepness = max_abs(&here.gradient);
        if steepness <= options.tolerance {
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
        // The first step, without a memory to scale it, moves no coordinate by more than 1.
        let first = if memory.pairs.is_empty() { (1.0 / steepness).min(1.0) } else { 1.0 };
        match line_search(&here, &direction, first, &mut evaluate) {
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
    Ok(Minimum { point: here.point, value: here.value, gradient, iterations, outcome })
}

/// The last steps, and what they say of the curvature.
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

    /// Keeps a pair only when its curvature is positive, so that every direction goes down.
    fn remember(&mut self, from: &Place, to: &Place) {
        let difference =
            |a: &[f64], b: &[f64]| -> Vec<f64> { a.iter().zip(b).map(|(a, b)| a - b).collect() };
        let step = difference(&to.point, &from.point);
        let change = difference(&to.gradient, &from.gradient);
        let curvature = dot(&step, &change);
        if curvature <= f64::EPSILON * dot(&change, &change) {
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

/// One end of the interval that holds an acceptable step.
#[derive(Debug, Clone, Copy)]
struct End {
    step: f64,
    value: f64,
    slope: f64,
}

/// A place along the direction that satisfies the strong Wolfe conditions, or none when values no longer fall.
fn line_search(
    here: &Place,
    direction: &[f64],
    first: f64,
    evaluate: &mut impl FnMut(Vec<f64>) -> Place,
) -> Option<Place> {
    let start = End { step: 0.0, value: here.value, slope: dot(&here.gradient, direction) };
    if start.slope >= 0.0 {
        return None;
    }
    // Near the minimum values differ by rounding alone; there the slope decides (Hager and Zhang 2005).
    let rounding = 4.0 * f64::EPSILON * here.value.abs();
    let falls = |end: &End| end.value <= start.value + ARMIJO * end.step * start.slope + rounding;
    let mut low = start;
    let mut high: Option<End> = None;
    let mut step = first;
    let mut best: Option<Place> = None;
    for _ in 0..TRIALS {
        let point: Vec<f64> = here.point.iter().zip(direction).map(|(x, d)| x + step * d).collect();
        if point == here.point {
            break;
        }
        let place = evaluate(point);
        let end = End { step, value: place.value, slope: dot(&place.gradient, direction) };
        if !place.is_finite() {
            high = Some(End { value: f64::INFINITY, slope: f64::INFINITY, ..end });
        } else if !falls(&end) || (end.value >= low.value + rounding && low.step > 0.0) {
            high = Some(end);
        } else if end.slope.abs() <= -CURVATURE * start.slope {
            return Some(place);
        } else {
            let past_minimum = match high {
                Some(high) => end.slope * (high.step - low.step) >= 0.0,
                None => end.slope >= 0.0,
            };
            if past_minimum {
                high = Some(low);
            }
            low = end;
            if place.value < here.value {
                best = Some(place);
            }
        }
        step = match &high {
            Some(high) => between(&low, high),
            None => 2.0 * step,
        };
    }
    best
}

/// The minimiser of the cubic through both ends, kept away from them; the middle when there is none.
fn between(low: &End, high: &End) -> f64 {
    let width = high.step - low.step;
    let middle = low.step + 0.5 * width;
    let bend = low.slope + high.slope - 3.0 * (low.value - high.value) / (low.step - high.step);
    let square = bend * bend - low.slope * high.slope;
    if !(square.is_finite() && square >= 0.0) {
        return middle;
    }
    let root = square.sqrt() * if width > 0.0 { 1.0 } else { -1.0 };
    let cubic =
        high.step - width * (high.slope + root - bend) / (high.slope - low.slope + 2.0 * root);
    let share = (cubic - low.step) / width;
    if share.is_finite() { low.step + share.clamp(0.1, 0.9) * width } else { middle }
}

#[cfg(test)]
mod tests;
