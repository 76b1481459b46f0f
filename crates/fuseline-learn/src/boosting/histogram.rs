//! Sums of derivatives by bin, and the best cut that they show.

use super::Options;
use super::bins::Bins;

/// Sums over the rows of one bin, or of one node.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sums {
    pub gradient: f64,
    pub hessian: f64,
    pub rows: u32,
}

impl Sums {
    fn add(&mut self, other: &Self) {
        self.gradient += other.gradient;
        self.hessian += other.hessian;
        self.rows += other.rows;
    }

    fn without(&self, other: &Self) -> Self {
        Self {
            gradient: self.gradient - other.gradient,
            hessian: self.hessian - other.hessian,
            rows: self.rows - other.rows,
        }
    }

    /// The value that minimises the second-order loss of these rows.
    pub fn value(&self, l2: f64) -> f64 {
        -self.gradient / (self.hessian + l2 + 1e-15)
    }
}

/// The best cut of a node.
#[derive(Debug, Clone, Copy)]
pub(super) struct Split {
    pub gain: f64,
    pub column: usize,
    pub bin: u8,
    pub left: Sums,
    pub right: Sums,
}

/// The sums of every bin of every column, one column after the other.
#[derive(Debug, Clone, Default)]
pub(super) struct Histogram {
    bins: Vec<Sums>,
}

impl Histogram {
    /// Sums the derivatives of `rows`, in their order.
    pub fn from_rows(bins: &Bins, rows: &[u32], derivatives: &[(f32, f32)]) -> Self {
        let own: Vec<(f64, f64)> = rows
            .iter()
            .map(|&row| {
                let (gradient, hessian) = derivatives[row as usize];
                (f64::from(gradient), f64::from(hessian))
            })
            .collect();
        let total: usize = (0..bins.width()).map(|column| bins.thresholds(column).len() + 1).sum();
        let mut sums = vec![Sums::default(); total];
        let mut start = 0;
        for column in 0..bins.width() {
            let size = bins.thresholds(column).len() + 1;
            let (codes, sums) = (bins.codes(column), &mut sums[start..start + size]);
            for (&row, &(gradient, hessian)) in rows.iter().zip(&own) {
                let bin = &mut sums[codes[row as usize] as usize];
                bin.gradient += gradient;
                bin.hessian += hessian;
                bin.rows += 1;
            }
            start += size;
        }
        Self { bins: sums }
    }

    /// The histogram of the rows that are not in `part`.
    pub fn subtract(mut self, part: &Self) -> Self {
        for (own, part) in self.bins.iter_mut().zip(&part.bins) {
            *own = own.without(part);
        }
        self
    }

    /// The sums of the node: those of its first column.
    pub fn total(&self, bins: &Bins) -> Sums {
        let mut total = Sums::default();
        self.bins[..=bins.thresholds(0).len()].iter().for_each(|bin| total.add(bin));
        total
    }

    /// The cut of the largest gain above 0; of equal gains the first column and the first bin.
    ///
    /// The children must have the least rows and the least hessian. `value` is the node's own
    /// value, 0 at the root.
    pub fn best_split(
        &self,
        bins: &Bins,
        node: &Sums,
        value: f64,
        options: &Options,
    ) -> Option<Split> {
        let least = options.min_rows_per_leaf;
        let mut best: Option<Split> = None;
        let mut start = 0;
        for column in 0..bins.width() {
            let cuts = bins.thresholds(column).len();
            let mut left = Sums::default();
            for (bin, sums) in (0_u8..).zip(&self.bins[start..start + cuts]) {
                left.add(sums);
                let right = node.without(&left);
                if (left.rows as usize) < least || left.hessian < options.min_hessian {
                    continue;
                }
                if (right.rows as usize) < least || right.hessian < options.min_hessian {
                    break;
                }
                let gain = node.gradient * value
                    - left.gradient * left.value(options.l2)
                    - right.gradient * right.value(options.l2);
                if gain > best.map_or(0.0, |best| best.gain) {
                    best = Some(Split { gain, column, bin, left, right });
                }
            }
            start += cuts + 1;
        }
        best
    }
}
