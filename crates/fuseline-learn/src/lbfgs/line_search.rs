//! The line search of More and Thuente: sufficient decrease and a slope that has flattened.
//!
//! Constants, and the test that ends a search in a narrow interval, are those that L-BFGS-B calls
//! it with.

/// Share of the initial slope that the value must have fallen by for each unit of the step.
const DECREASE: f64 = 1e-3;
/// Share of the initial slope that may be left.
const CURVATURE: f64 = 0.9;
/// Width of the bracket, relative to its upper end, at which its best step is taken.
const NARROW: f64 = 0.1;
/// Share of the value that rounding may add to it, as in a plain sum over many rows.
const ROUNDING: f64 = 1e-12;
/// Longest step.
const LONGEST: f64 = 1e10;

/// Value and slope of the function at one step length.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Trial {
    pub step: f64,
    pub value: f64,
    pub slope: f64,
}

impl Trial {
    /// The same step of the function less a line of slope `tilt`.
    fn tilted(self, tilt: f64) -> Self {
        Self { value: self.value - self.step * tilt, slope: self.slope - tilt, ..self }
    }
}

/// Next move after a trial.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Verdict {
    /// The trial satisfies both conditions.
    Accept,
    /// This step is to be tried next.
    Try(f64),
    /// No further step can improve on the best so far.
    Exhausted,
}

/// The interval that a search has narrowed down so far.
#[derive(Debug, Clone)]
pub(super) struct Search {
    start: Trial,
    /// Difference of values that rounding alone can make.
    rounding: f64,
    /// Step of the lowest value so far: one end of the interval.
    best: Trial,
    /// The other end.
    other: Trial,
    bracketed: bool,
    /// True until a step has satisfied the decrease with a slope that rises.
    first_stage: bool,
    /// Bounds of the next step.
    bounds: (f64, f64),
    width: f64,
    previous_width: f64,
}

impl Search {
    /// A search that begins with `first`. The slope of `start`, at step 0, must be negative.
    pub fn new(start: Trial, first: f64) -> Self {
        Self {
            start,
            // Near the minimum values differ by rounding alone; there the slope decides (Hager and
            // Zhang 2005).
            rounding: ROUNDING * start.value.abs(),
            best: start,
            other: start,
            bracketed: false,
            first_stage: true,
            bounds: (0.0, 5.0 * first),
            width: LONGEST,
            previous_width: 2.0 * LONGEST,
        }
    }

    /// Takes a trial in; values that are not finite are uphill.
    pub fn judge(&mut self, trial: Trial) -> Verdict {
        if !(trial.value.is_finite() && trial.slope.is_finite()) {
            self.bracketed = true;
            self.other = Trial { value: f64::INFINITY, slope: f64::INFINITY, ..trial };
            return self.bound(0.5 * (self.best.step + trial.step));
        }
        let tilt = DECREASE * self.start.slope;
        let wanted = self.start.value + trial.step * tilt;
        let falls = trial.value <= wanted;
        if (falls || trial.value <= wanted + self.rounding)
            && trial.slope.abs() <= -CURVATURE * self.start.slope
        {
            return Verdict::Accept;
        }
        if self.first_stage && falls && trial.slope >= 0.0 {
            self.first_stage = false;
        }
        if trial.step >= LONGEST && falls && trial.slope <= tilt {
            return Verdict::Accept;
        }
        // As long as values are lower but not low enough, the interval is that of the function less
        // the line of sufficient decrease.
        let tilt =
            if self.first_stage && trial.value <= self.best.value && !falls { tilt } else { 0.0 };
        let next = self.narrow(trial, tilt);
        self.bound(next)
    }

    /// Updates the ends of the interval, and gives the next step.
    fn narrow(&mut self, trial: Trial, tilt: f64) -> f64 {
        let (x, y, t) = (self.best.tilted(tilt), self.other.tilted(tilt), trial.tilted(tilt));
        let turns = t.slope * x.slope.signum() < 0.0;
        let next = if t.value > x.value {
            let cubic = cubic_minimiser(x, t);
            let quadratic = x.step
                + 0.5 * x.slope / ((x.value - t.value) / (t.step - x.step) + x.slope)
                    * (t.step - x.step);
            self.bracketed = true;
            if (cubic - x.step).abs() <= (quadratic - x.step).abs() {
                cubic
            } else {
                cubic + 0.5 * (quadratic - cubic)
            }
        } else if turns {
            let (cubic, secant) = (cubic_minimiser(t, x), secant_minimiser(t, x));
            self.bracketed = true;
            if (cubic - t.step).abs() > (secant - t.step).abs() { cubic } else { secant }
        } else if t.slope.abs() < x.slope.abs() {
            self.flattening(x, y, t)
        } else if self.bracketed {
            cubic_minimiser(t, y)
        } else {
            self.far_end(x, t)
        };
        if t.value > x.value {
            self.other = trial;
        } else {
            if turns {
                self.other = self.best;
            }
            self.best = trial;
        }
        next
    }

    /// The next step where the value falls on and the slope has the same sign and is flatter.
    fn flattening(&self, x: Trial, y: Trial, t: Trial) -> f64 {
        let secant = secant_minimiser(t, x);
        // The cubic through both has its minimum beyond the trial, or none.
        let (theta, scale) = cubic_terms(x, t);
        let square = (theta / scale) * (theta / scale) - (x.slope / scale) * (t.slope / scale);
        let gamma = scale * square.max(0.0).sqrt() * if t.step > x.step { -1.0 } else { 1.0 };
        let share = ((gamma - t.slope) + theta) / ((gamma + (x.slope - t.slope)) + gamma);
        let cubic = if share < 0.0 && gamma != 0.0 {
            t.step + share * (x.step - t.step)
        } else {
            self.far_end(x, t)
        };
        let (to_cubic, to_secant) = ((cubic - t.step).abs(), (secant - t.step).abs());
        if !self.bracketed {
            let next = if to_cubic > to_secant { cubic } else { secant };
            return next.max(self.bounds.0).min(self.bounds.1);
        }
        let next = if to_cubic < to_secant { cubic } else { secant };
        let limit = t.step + 0.66 * (y.step - t.step);
        if t.step > x.step { next.min(limit) } else { next.max(limit) }
    }

    /// The bound that lies in the direction of the trial.
    fn far_end(&self, x: Trial, t: Trial) -> f64 {
        if t.step > x.step { self.bounds.1 } else { self.bounds.0 }
    }

    /// Keeps the next step within the interval, which must shrink.
    fn bound(&mut self, mut next: f64) -> Verdict {
        let (best, other) = (self.best.step, self.other.step);
        if self.bracketed {
            let width = (other - best).abs();
            if width >= 0.66 * self.previous_width || !next.is_finite() {
                next = best + 0.5 * (other - best);
            }
            self.previous_width = self.width;
            self.width = width;
            self.bounds = (best.min(other), best.max(other));
        } else {
            self.bounds = (next + 1.1 * (next - best), next + 4.0 * (next - best));
        }
        let next = next.clamp(0.0, LONGEST);
        let (low, high) = self.bounds;
        let narrow = high - low <= NARROW * high;
        if self.bracketed && (next <= low || next >= high || narrow) {
            return Verdict::Exhausted;
        }
        Verdict::Try(next)
    }
}

/// theta of the cubic through two trials, and the size of its terms.
fn cubic_terms(a: Trial, b: Trial) -> (f64, f64) {
    let theta = 3.0 * (a.value - b.value) / (b.step - a.step) + a.slope + b.slope;
    (theta, theta.abs().max(a.slope.abs()).max(b.slope.abs()))
}

/// The minimiser of the cubic through values and slopes of two trials.
fn cubic_minimiser(from: Trial, to: Trial) -> f64 {
    let (theta, scale) = cubic_terms(from, to);
    let square = (theta / scale) * (theta / scale) - (from.slope / scale) * (to.slope / scale);
    let gamma = scale * square.sqrt() * if to.step < from.step { -1.0 } else { 1.0 };
    let share = ((gamma - from.slope) + theta) / (((gamma - from.slope) + gamma) + to.slope);
    from.step + share * (to.step - from.step)
}

/// The root of the line through the slopes of two trials.
fn secant_minimiser(from: Trial, to: Trial) -> f64 {
    from.step + from.slope / (from.slope - to.slope) * (to.step - from.step)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Value and slope of one of the functions that More and Thuente tried.
    type Function = fn(f64) -> (f64, f64);

    const FUNCTIONS: [Function; 3] = [
        |a| (-a / (a * a + 2.0), (a * a - 2.0) / ((a * a + 2.0) * (a * a + 2.0))),
        |a| {
            let b = a + 0.004;
            (b.powi(5) - 2.0 * b.powi(4), 5.0 * b.powi(4) - 8.0 * b.powi(3))
        },
        // Undefined beyond 40, with its minimum at 4.
        |a| {
            if a < 40.0 { ((a - 4.0) * (a - 4.0), 2.0 * (a - 4.0)) } else { (f64::NAN, f64::NAN) }
        },
    ];

    /// The last trial of a search and its verdict.
    fn search(function: Function, first: f64) -> (Trial, Verdict) {
        let trial = |step: f64| {
            let (value, slope) = function(step);
            Trial { step, value, slope }
        };
        let mut search = Search::new(trial(0.0), first);
        let mut step = first;
        for _ in 0..20 {
            match search.judge(trial(step)) {
                Verdict::Try(next) => step = next,
                verdict => return (trial(step), verdict),
            }
        }
        panic!("no end from a first step of {first}");
    }

    #[test]
    fn a_step_is_found_from_steps_that_are_far_too_short_and_far_too_long() {
        for function in FUNCTIONS {
            let (value, slope) = function(0.0);
            for first in [1e-3, 1e-1, 1e1, 1e3] {
                let (found, verdict) = search(function, first);
                if verdict == Verdict::Accept {
                    assert!(found.value <= value + DECREASE * found.step * slope, "{found:?}");
                    assert!(found.slope.abs() <= -CURVATURE * slope, "{found:?}");
                }
                assert!(found.value < value, "from {first}: {found:?}, {verdict:?}");
            }
        }
    }

    #[test]
    fn a_value_that_rises_by_rounding_alone_does_not_refuse_a_flat_slope() {
        let mut search = Search::new(Trial { step: 0.0, value: 1e6, slope: -1e-9 }, 1.0);
        let trial = Trial { step: 1.0, value: 1e6 + 1e-7, slope: 1e-12 };
        assert_eq!(search.judge(trial), Verdict::Accept);
    }
}
