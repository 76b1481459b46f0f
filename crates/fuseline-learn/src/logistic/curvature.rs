//! Solves with one block of the Hessian: the identity over the coefficients, plus X' D X, with a
//! free intercept.

use crate::input::Labelled;
use crate::linear::{Cholesky, add_scaled, dot};

/// Rows that are added to the curvature at once, so that the matrix is walked a fraction as often.
const ROWS: usize = 4;

/// Shape of the data, the same for all blocks and steps.
#[derive(Debug)]
pub(super) enum Shape {
    /// At least as many rows as columns: matrices are of width + 1.
    Tall,
    /// Fewer rows than columns: matrices are n by n, made from this, X X' (lower triangle).
    Wide(Vec<f64>),
}

impl Shape {
    pub fn from_data(data: &Labelled<'_>) -> Self {
        let (count, width) = (data.count(), data.width);
        if count > width {
            return Self::Tall;
        }
        let mut gram = vec![0.0; count * count];
        for (i, row) in data.rows.chunks_exact(width).enumerate() {
            for (j, other) in data.rows.chunks_exact(width).take(i + 1).enumerate() {
                gram[i * count + j] = dot(row, other);
            }
        }
        Self::Wide(gram)
    }
}

/// A factored block.
#[derive(Debug)]
pub(super) enum Block {
    Tall {
        factor: Cholesky,
    },
    /// By the Woodbury identity, with E the root of D, B = 1 + E X X' E and z = B^-1 E 1.
    Wide {
        factor: Cholesky,
        root: Vec<f64>,
        z: Vec<f64>,
        /// Remaining curvature of the intercept, 1' E z.
        intercept: f64,
    },
}

impl Block {
    /// Factors the block whose rows weigh `curvature`, the diagonal of D.
    pub fn factor(data: &Labelled<'_>, shape: &Shape, curvature: &[f64]) -> Self {
        match shape {
            Shape::Tall => Self::Tall { factor: tall(data, curvature) },
            Shape::Wide(gram) => wide(gram, curvature),
        }
    }

    /// Solves in place: `b` holds width coefficients, then the intercept.
    pub fn solve(&self, data: &Labelled<'_>, b: &mut [f64]) {
        match self {
            Self::Tall { factor } => factor.solve(b),
            Self::Wide { factor, root, z, intercept } => {
                let (slopes, level) = b.split_at_mut(data.width);
                let mut t: Vec<f64> = data
                    .rows
                    .chunks_exact(data.width)
                    .zip(root)
                    .map(|(row, root)| root * dot(row, slopes))
                    .collect();
                factor.solve(&mut t);
                // With v = X' D 1 and S = 1 + X' D X: v' S^-1 r is 1' E t, and S^-1 v is X' E z.
                level[0] = (level[0] - dot(root, &t)) / intercept;
                for (((row, root), t), z) in
                    data.rows.chunks_exact(data.width).zip(root).zip(&t).zip(z)
                {
                    add_scaled(slopes, -root * (t + level[0] * z), row);
                }
            }
        }
    }
}

fn tall(data: &Labelled<'_>, curvature: &[f64]) -> Cholesky {
    let (width, size) = (data.width, data.width + 1);
    let mut matrix = vec![0.0; size * size];
    for (rows, weights) in data.rows.chunks(ROWS * width).zip(curvature.chunks(ROWS)) {
        add_rows(&mut matrix, size, rows, weights);
    }
    for column in 0..width {
        matrix[column * size + column] += 1.0;
    }
    Cholesky::factor(matrix, size)
}

/// Adds the weighted outer products of up to [`ROWS`] rows, each followed by a 1, to the lower
/// triangle.
fn add_rows(matrix: &mut [f64], size: usize, rows: &[f64], weights: &[f64]) {
    let width = size - 1;
    if let ([a, b, c, d], [wa, wb, wc, wd]) =
        (rows.chunks_exact(width).collect::<Vec<_>>().as_slice(), weights)
    {
        for (i, line) in matrix.chunks_exact_mut(size).enumerate() {
            let last = i == width;
            let factor = |row: &[f64], weight: f64| if last { weight } else { weight * row[i] };
            let (fa, fb, fc, fd) = (factor(a, *wa), factor(b, *wb), factor(c, *wc), factor(d, *wd));
            let end = (i + 1).min(width);
            let columns = a[..end].iter().zip(&b[..end]).zip(&c[..end]).zip(&d[..end]);
            for (entry, (((a, b), c), d)) in line[..end].iter_mut().zip(columns) {
                *entry += (fa * a + fb * b) + (fc * c + fd * d);
            }
            if last {
                line[width] += (fa + fb) + (fc + fd);
            }
        }
        return;
    }
    for (row, &weight) in rows.chunks_exact(width).zip(weights) {
        for (i, line) in matrix.chunks_exact_mut(size).enumerate() {
            if i == width {
                add_scaled(&mut line[..width], weight, row);
                line[width] += weight;
            } else {
                add_scaled(&mut line[..=i], weight * row[i], &row[..=i]);
            }
        }
    }
}

fn wide(gram: &[f64], curvature: &[f64]) -> Block {
    let count = curvature.len();
    let root: Vec<f64> = curvature.iter().map(|weight| weight.sqrt()).collect();
    let mut matrix = vec![0.0; count * count];
    for (i, (line, gram)) in
        matrix.chunks_exact_mut(count).zip(gram.chunks_exact(count)).enumerate()
    {
        for ((entry, gram), other) in line[..=i].iter_mut().zip(gram).zip(&root) {
            *entry = root[i] * gram * other;
        }
        line[i] += 1.0;
    }
    let factor = Cholesky::factor(matrix, count);
    let mut z = root.clone();
    factor.solve(&mut z);
    let intercept = dot(&root, &z).max(f64::MIN_POSITIVE);
    Block::Wide { factor, root, z, intercept }
}
