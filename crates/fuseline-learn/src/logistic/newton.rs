//! Newton's method: exact steps for two classes, conjugate gradients over the class blocks for
//! more.
//!
//! The Hessian's diagonal blocks are factored each step and precondition the conjugate gradients;
//! with one block that is the whole Hessian, and the iteration only refines the solution.

use super::curvature::{Block, Shape};
use super::{LogisticError, Options};
use crate::convergence::NotConverged;
use crate::input::Labelled;
use crate::linear::{add_scaled, dot, max_abs};
use crate::link;

/// Residual of a Newton system, against its right-hand side, at which its solution is good enough:
/// the gradient against its scale, within these bounds, so that early steps are cheap and late ones
/// still converge quadratically.
const SYSTEM: (f64, f64) = (1e-6, 0.1);
/// A gradient that rounding keeps from the tolerance is accepted below this times its scale.
const FLOOR: f64 = 1e-8;
/// Halvings of a step before values count as no longer falling.
const HALVINGS: i32 = 50;

/// The state at one set of scores.
struct Losses {
    /// c * sum_i s_i * loss_i
    total: f64,
    /// Probabilities, n by blocks: of class 1, or of every class.
    probabilities: Vec<f64>,
}

/// Coefficients and intercept of each block, one after the other, at the minimum or as near as the
/// search came.
///
/// `go_on` is called before each step; false ends the search with an error.
pub(super) fn minimise(
    data: &Labelled<'_>,
    options: &Options,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<(Vec<f64>, Option<NotConverged>), LogisticError> {
    let (blocks, size) = (data.blocks(), data.width + 1);
    let shape = Shape::from_data(data);
    let weights: Vec<f64> = data.weights.iter().map(|weight| options.c * weight).collect();
    let mut parameters = vec![0.0; blocks * size];
    let mut scale = 1.0;
    let mut iterations = 0;
    let not_converged = loop {
        if !go_on() {
            return Err(LogisticError::Stopped);
        }
        let scores = scores(data, &parameters);
        let losses = losses(data, &weights, &scores);
        let gradient = gradient(data, &weights, &losses.probabilities, &parameters);
        let steepness = max_abs(&gradient);
        if iterations == 0 {
            scale = steepness.max(1.0);
        }
        if steepness <= options.tolerance * scale {
            break None;
        }
        let step = if iterations < options.max_iterations {
            let share = (steepness / scale).clamp(SYSTEM.0, SYSTEM.1);
            let direction =
                direction(data, &shape, &weights, &losses.probabilities, &gradient, share);
            line_search(data, &weights, &parameters, &gradient, &losses, &scores, &direction)
                .map(|step| (step, direction))
        } else {
            None
        };
        match step {
            Some((step, direction)) => add_scaled(&mut parameters, step, &direction),
            None if steepness <= FLOOR * scale => break None,
            None => {
                break Some(NotConverged {
                    steps: iterations,
                    gradient: steepness,
                    wanted: options.tolerance * scale,
                });
            }
        }
        iterations += 1;
    };
    if blocks > 1 {
        centre_intercepts(&mut parameters, size);
    }
    Ok((parameters, not_converged))
}

/// The scores of all rows, n by blocks.
fn scores(data: &Labelled<'_>, parameters: &[f64]) -> Vec<f64> {
    let mut scores = Vec::with_capacity(data.count() * data.blocks());
    for row in data.rows.chunks_exact(data.width) {
        for block in parameters.chunks_exact(data.width + 1) {
            scores.push(dot(&block[..data.width], row) + block[data.width]);
        }
    }
    scores
}

fn losses(data: &Labelled<'_>, weights: &[f64], scores: &[f64]) -> Losses {
    let blocks = data.blocks();
    let mut probabilities = scores.to_vec();
    // The total with what its rounding lost: near the minimum a search compares totals that differ
    // in their last digits, and the rounding of a plain sum over many rows would hide that a step
    // is good.
    let (mut total, mut lost) = (0.0, 0.0);
    for ((row, &label), weight) in
        probabilities.chunks_exact_mut(blocks).zip(data.labels).zip(weights)
    {
        let loss = if blocks == 1 {
            let score = row[0];
            row[0] = link::binary(score)[1];
            link::log1p_exp(if label == 1 { -score } else { score })
        } else {
            let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let own = row[label as usize] - top;
            let mut sum = 0.0;
            for score in row.iter_mut() {
                *score = libm::exp(*score - top);
                sum += *score;
            }
            row.iter_mut().for_each(|probability| *probability /= sum);
            libm::log(sum) - own
        };
        let loss = weight * loss;
        let sum: f64 = total + loss;
        lost += if total >= loss { (total - sum) + loss } else { (loss - sum) + total };
        total = sum;
    }
    Losses { total: total + lost, probabilities }
}

fn gradient(
    data: &Labelled<'_>,
    weights: &[f64],
    probabilities: &[f64],
    parameters: &[f64],
) -> Vec<f64> {
    let (blocks, width) = (data.blocks(), data.width);
    let mut residuals = probabilities.to_vec();
    for ((row, &label), weight) in residuals.chunks_exact_mut(blocks).zip(data.labels).zip(weights)
    {
        if blocks == 1 {
            row[0] -= f64::from(label);
        } else {
            row[label as usize] -= 1.0;
        }
        row.iter_mut().for_each(|residual| *residual *= weight);
    }
    let mut gradient = parameters.to_vec();
    gradient.chunks_exact_mut(width + 1).for_each(|block| block[width] = 0.0);
    add_transposed(data, &residuals, &mut gradient);
    gradient
}

/// out += [X, 1]' u for each block, with u n by blocks.
fn add_transposed(data: &Labelled<'_>, u: &[f64], out: &mut [f64]) {
    let (blocks, width) = (data.blocks(), data.width);
    for (row, u) in data.rows.chunks_exact(width).zip(u.chunks_exact(blocks)) {
        for (block, &u) in out.chunks_exact_mut(width + 1).zip(u) {
            add_scaled(&mut block[..width], u, row);
            block[width] += u;
        }
    }
}

/// The Hessian times a direction.
fn hessian_times(
    data: &Labelled<'_>,
    weights: &[f64],
    probabilities: &[f64],
    direction: &[f64],
) -> Vec<f64> {
    let (blocks, width) = (data.blocks(), data.width);
    let mut u = scores(data, direction);
    for ((u, p), weight) in
        u.chunks_exact_mut(blocks).zip(probabilities.chunks_exact(blocks)).zip(weights)
    {
        if blocks == 1 {
            u[0] *= weight * (p[0] * (1.0 - p[0]));
        } else {
            let mean = dot(p, u);
            for (u, p) in u.iter_mut().zip(p) {
                *u = weight * p * (*u - mean);
            }
        }
    }
    let mut product = direction.to_vec();
    product.chunks_exact_mut(width + 1).for_each(|block| block[width] = 0.0);
    add_transposed(data, &u, &mut product);
    product
}

/// Minus the inverse Hessian times the gradient, by preconditioned conjugate gradients, to a
/// residual of that share of the gradient.
fn direction(
    data: &Labelled<'_>,
    shape: &Shape,
    weights: &[f64],
    probabilities: &[f64],
    gradient: &[f64],
    share: f64,
) -> Vec<f64> {
    let (blocks, size) = (data.blocks(), data.width + 1);
    let factored: Vec<Block> = (0..blocks)
        .map(|block| {
            let own = probabilities.iter().skip(block).step_by(blocks);
            let curvature: Vec<f64> =
                own.zip(weights).map(|(p, weight)| weight * (p * (1.0 - p))).collect();
            Block::factor(data, shape, &curvature)
        })
        .collect();
    let precondition = |residual: &[f64]| {
        let mut solved = residual.to_vec();
        for (block, part) in factored.iter().zip(solved.chunks_exact_mut(size)) {
            block.solve(data, part);
        }
        if blocks > 1 {
            centre_intercepts(&mut solved, size);
        }
        solved
    };
    let mut residual: Vec<f64> = gradient.iter().map(|component| -component).collect();
    let wanted = share * dot(&residual, &residual).sqrt();
    let mut conditioned = precondition(&residual);
    let mut search = conditioned.clone();
    let mut product = dot(&residual, &conditioned);
    let mut solution = vec![0.0; gradient.len()];
    for _ in 0..10 * blocks * size {
        let image = hessian_times(data, weights, probabilities, &search);
        let curvature = dot(&search, &image);
        if curvature.is_nan() || curvature <= 0.0 {
            break;
        }
        let step = product / curvature;
        add_scaled(&mut solution, step, &search);
        add_scaled(&mut residual, -step, &image);
        if dot(&residual, &residual).sqrt() <= wanted {
            break;
        }
        conditioned = precondition(&residual);
        let next = dot(&residual, &conditioned);
        let share = next / product;
        product = next;
        for (search, conditioned) in search.iter_mut().zip(&conditioned) {
            *search = conditioned + share * *search;
        }
    }
    solution
}

/// The first of 1, 1/2, 1/4, ... that lowers the objective enough, up to rounding.
fn line_search(
    data: &Labelled<'_>,
    weights: &[f64],
    parameters: &[f64],
    gradient: &[f64],
    losses_here: &Losses,
    scores_here: &[f64],
    direction: &[f64],
) -> Option<f64> {
    let size = data.width + 1;
    let slope = dot(gradient, direction);
    if slope.is_nan() || slope >= 0.0 {
        return None;
    }
    let (mut square, mut across, mut along) = (0.0, 0.0, 0.0);
    for (here, there) in parameters.chunks_exact(size).zip(direction.chunks_exact(size)) {
        let (here, there) = (&here[..data.width], &there[..data.width]);
        square += dot(here, here);
        across += dot(here, there);
        along += dot(there, there);
    }
    let value = losses_here.total + 0.5 * square;
    let change = scores(data, direction);
    let mut step = 1.0;
    for _ in 0..HALVINGS {
        let moved: Vec<f64> =
            scores_here.iter().zip(&change).map(|(score, change)| score + step * change).collect();
        let penalty = 0.5 * square + step * across + 0.5 * step * step * along;
        let there = losses(data, weights, &moved).total + penalty;
        if there <= value + 1e-4 * step * slope + 8.0 * f64::EPSILON * value {
            return Some(step);
        }
        step *= 0.5;
    }
    None
}

/// Takes the mean out of the intercepts: the losses of a softmax do not see it.
fn centre_intercepts(parameters: &mut [f64], size: usize) {
    let blocks = parameters.len() / size;
    let sum: f64 = parameters.chunks_exact(size).map(|block| block[size - 1]).sum();
    let mean = sum / blocks as f64;
    parameters.chunks_exact_mut(size).for_each(|block| block[size - 1] -= mean);
}
