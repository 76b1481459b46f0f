//! Dot products and the Cholesky factor, in one written order of operations.

/// Partial sums of a dot product: wide enough to fill two vector registers, summed pairwise at the
/// end.
const LANES: usize = 8;

/// Sum of a_i * b_i over eight interleaved partial sums, then pairwise, then the tail.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut lane = [0.0; LANES];
    let (a_blocks, b_blocks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let tail: f64 =
        a_blocks.remainder().iter().zip(b_blocks.remainder()).fold(0.0, |sum, (a, b)| sum + a * b);
    for (a, b) in a_blocks.zip(b_blocks) {
        for ((lane, a), b) in lane.iter_mut().zip(a).zip(b) {
            *lane += a * b;
        }
    }
    let [a, b, c, d, e, f, g, h] = lane;
    (((a + e) + (c + g)) + ((b + f) + (d + h))) + tail
}

/// y += factor * x.
pub(crate) fn add_scaled(y: &mut [f64], factor: f64, x: &[f64]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += factor * x;
    }
}

/// Largest absolute value; NaN when one is NaN.
pub(crate) fn max_abs(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |top: f64, value| {
        let size = value.abs();
        if size > top || size.is_nan() { size } else { top }
    })
}

/// The lower triangle L of a symmetric positive definite matrix L L', row-major and square.
#[derive(Debug, Clone)]
pub(crate) struct Cholesky {
    lower: Vec<f64>,
    size: usize,
}

impl Cholesky {
    /// Factors in place; only the lower triangle of `matrix` is read.
    ///
    /// A pivot that rounding took below 1e-14 of its diagonal entry is lifted to that, so the
    /// factor always exists.
    pub fn factor(mut matrix: Vec<f64>, size: usize) -> Self {
        for row in 0..size {
            let (above, below) = matrix.split_at_mut(row * size);
            let current = &mut below[..size];
            for column in 0..row {
                let other = &above[column * size..][..=column];
                current[column] =
                    (current[column] - dot(&current[..column], &other[..column])) / other[column];
            }
            let diagonal = current[row];
            let floor = (1e-14 * diagonal).max(f64::MIN_POSITIVE);
            current[row] = (diagonal - dot(&current[..row], &current[..row])).max(floor).sqrt();
        }
        Self { lower: matrix, size }
    }

    /// Solves L L' x = b in place.
    pub fn solve(&self, b: &mut [f64]) {
        let size = self.size;
        for row in 0..size {
            let lower = &self.lower[row * size..][..=row];
            b[row] = (b[row] - dot(&lower[..row], &b[..row])) / lower[row];
        }
        for row in (0..size).rev() {
            let lower = &self.lower[row * size..][..=row];
            b[row] /= lower[row];
            let value = b[row];
            add_scaled(&mut b[..row], -value, &lower[..row]);
        }
    }
}

#[cfg(test)]
mod tests;
