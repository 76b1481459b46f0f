//! Linear support vector machines: squared hinge loss with an L2 penalty, one class against the
//! rest.

use crate::convergence::NotConverged;
use crate::input::{InputError, Labelled, row_count};
use crate::linear::{Cholesky, add_scaled, dot, max_abs};

/// A gradient that rounding keeps from the tolerance is accepted below this times its scale.
const FLOOR: f64 = 1e-8;
/// Halvings of a step before values count as no longer falling.
const HALVINGS: i32 = 50;

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
        Self { c: 1.0, tolerance: 1e-12, max_iterations: 200 }
    }
}

/// A fitted linear support vector machine.
///
/// Two classes have one block, positive for class 1; K > 2 classes have K blocks, each positive for
/// its class.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearSvm {
    width: usize,
    /// Blocks of width coefficients and one intercept.
    parameters: Vec<f64>,
    not_converged: Option<NotConverged>,
}

impl LinearSvm {
    /// Minimises (|w|^2 + b^2) / 2 + c * sum_i s_i * max(0, 1 - y_i (w x_i + b))^2 for each block.
    ///
    /// `rows`: n by `width`, row-major, finite. `labels`: n class numbers below `classes`.
    /// `weights`: the n s_i, at least 0. y_i is 1 for rows of the block's class and -1 for all
    /// others. This is scikit-learn's `LinearSVC(dual=False)` with its default loss and penalty; as
    /// there, the intercept is penalised like a coefficient. The loss is piecewise quadratic:
    /// Newton's method with the active rows' Hessian ends at the minimum after finitely many steps
    /// (Keerthi and DeCoste 2005), whether columns or rows are more.
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
    ) -> Result<Self, InputError> {
        let data = Labelled::new(rows, width, labels, weights, classes)?;
        if !(options.c > 0.0 && options.c.is_finite()) {
            return Err(InputError::Option { option: "c", expected: "a finite number above 0" });
        }
        let blocks = data.blocks();
        let mut parameters = Vec::with_capacity(blocks * (width + 1));
        let mut not_converged = None;
        for block in 0..blocks {
            // The only block of two classes speaks for the second.
            let own = if blocks == 1 { 1 } else { block };
            let signs: Vec<f64> = labels
                .iter()
                .map(|&label| if label as usize == own { 1.0 } else { -1.0 })
                .collect();
            let (own, shortfall) = Problem::new(&data, &signs, options.c).minimise(options);
            parameters.extend(own);
            not_converged = not_converged.or(shortfall);
        }
        Ok(Self { width, parameters, not_converged })
    }

    /// Shortfall of the first block whose gradient stayed above 1e-8 times its scale.
    #[must_use]
    pub fn not_converged(&self) -> Option<NotConverged> {
        self.not_converged
    }

    /// Coefficients and then the intercept, block by block.
    #[must_use]
    pub fn parameters(&self) -> &[f64] {
        &self.parameters
    }

    /// Decision values of n rows by width: n by blocks, row-major. Errors when the width does not
    /// divide the values.
    pub fn decision_values(&self, rows: &[f64]) -> Result<Vec<f64>, InputError> {
        row_count(rows, self.width)?;
        let each = |row| {
            self.parameters
                .chunks_exact(self.width + 1)
                .map(move |block| dot(&block[..self.width], row) + block[self.width])
        };
        Ok(rows.chunks_exact(self.width).flat_map(each).collect())
    }
}

/// One class against the rest.
struct Problem<'a> {
    data: &'a Labelled<'a>,
    signs: &'a [f64],
    /// 2 c s_i
    weights: Vec<f64>,
}

/// The state at one choice of parameters.
struct State {
    value: f64,
    gradient: Vec<f64>,
    /// Rows inside the margin: the others have no loss.
    active: Vec<usize>,
}

impl<'a> Problem<'a> {
    fn new(data: &'a Labelled<'a>, signs: &'a [f64], c: f64) -> Self {
        Self { data, signs, weights: data.weights.iter().map(|s| 2.0 * c * s).collect() }
    }

    fn minimise(&self, options: &Options) -> (Vec<f64>, Option<NotConverged>) {
        let mut parameters = vec![0.0; self.data.width + 1];
        let mut state = self.state(&parameters);
        let scale = max_abs(&state.gradient).max(1.0);
        let mut iterations = 0;
        loop {
            let steepness = max_abs(&state.gradient);
            if steepness <= options.tolerance * scale {
                return (parameters, None);
            }
            let step = if iterations < options.max_iterations {
                self.step(&parameters, &state)
            } else {
                None
            };
            match step {
                Some(next) => (parameters, state) = next,
                None if steepness <= FLOOR * scale => return (parameters, None),
                None => {
                    let wanted = options.tolerance * scale;
                    let shortfall = NotConverged { steps: iterations, gradient: steepness, wanted };
                    return (parameters, Some(shortfall));
                }
            }
            iterations += 1;
        }
    }

    fn row(&self, row: usize) -> &'a [f64] {
        &self.data.rows[row * self.data.width..][..self.data.width]
    }

    fn state(&self, parameters: &[f64]) -> State {
        let width = self.data.width;
        let mut gradient = parameters.to_vec();
        let mut loss = 0.0;
        let mut active = Vec::new();
        for (row, (sign, weight)) in self.signs.iter().zip(&self.weights).enumerate() {
            let x = self.row(row);
            let slack = 1.0 - sign * (dot(&parameters[..width], x) + parameters[width]);
            if slack > 0.0 && *weight > 0.0 {
                loss += weight * slack * slack;
                let pull = -weight * sign * slack;
                add_scaled(&mut gradient[..width], pull, x);
                gradient[width] += pull;
                active.push(row);
            }
        }
        State { value: 0.5 * (dot(parameters, parameters) + loss), gradient, active }
    }

    /// The next point and its state: a Newton step, halved until the value falls enough; `None`
    /// when it never does.
    fn step(&self, parameters: &[f64], state: &State) -> Option<(Vec<f64>, State)> {
        let direction = self.direction(state);
        let slope = dot(&direction, &state.gradient);
        let mut length = 1.0;
        for _ in 0..HALVINGS {
            let mut next = parameters.to_vec();
            add_scaled(&mut next, length, &direction);
            let found = self.state(&next);
            if found.value <= state.value + 1e-4 * length * slope && found.value < state.value {
                return Some((next, found));
            }
            length *= 0.5;
        }
        None
    }

    /// Minus the inverse Hessian times the gradient; the Hessian is 1 + Z' D Z, Z the active rows
    /// each followed by a 1.
    fn direction(&self, state: &State) -> Vec<f64> {
        let (width, size) = (self.data.width, self.data.width + 1);
        let active = &state.active;
        let mut direction: Vec<f64> = state.gradient.iter().map(|component| -component).collect();
        if active.len() >= size {
            let mut matrix = vec![0.0; size * size];
            for &row in active {
                let (x, weight) = (self.row(row), self.weights[row]);
                for (i, line) in matrix.chunks_exact_mut(size).enumerate() {
                    if i == width {
                        add_scaled(&mut line[..width], weight, x);
                        line[width] += weight;
                    } else {
                        add_scaled(&mut line[..=i], weight * x[i], &x[..=i]);
                    }
                }
            }
            (0..size).for_each(|at| matrix[at * size + at] += 1.0);
            Cholesky::factor(matrix, size).solve(&mut direction);
            return direction;
        }
        // Woodbury: (1 + Z' D Z)^-1 g = g - Z' E (1 + E Z Z' E)^-1 E Z g, with E the root of D.
        let root: Vec<f64> = active.iter().map(|&row| self.weights[row].sqrt()).collect();
        let count = active.len();
        let mut matrix = vec![0.0; count * count];
        for (i, &row) in active.iter().enumerate() {
            for (j, &other) in active[..=i].iter().enumerate() {
                matrix[i * count + j] =
                    root[i] * root[j] * (dot(self.row(row), self.row(other)) + 1.0);
            }
            matrix[i * count + i] += 1.0;
        }
        let mut solved: Vec<f64> = active
            .iter()
            .zip(&root)
            .map(|(&row, root)| root * (dot(self.row(row), &direction[..width]) + direction[width]))
            .collect();
        Cholesky::factor(matrix, count).solve(&mut solved);
        for ((&row, root), solved) in active.iter().zip(&root).zip(&solved) {
            add_scaled(&mut direction[..width], -root * solved, self.row(row));
            direction[width] -= root * solved;
        }
        direction
    }
}

#[cfg(test)]
mod tests;
