//! Grows one tree.

use super::{Node, Options, Tree};
use crate::input::Labelled;

/// Grows one tree, depth first.
pub(super) struct Grower<'a, D> {
    data: &'a Labelled<'a>,
    draw: &'a mut D,
    /// Number of times that each row was drawn; its weight where none are drawn.
    weights: Vec<f64>,
    /// The rows that were drawn; each node has a run of them.
    rows: Vec<usize>,
    columns: Vec<usize>,
    columns_per_split: usize,
    min_rows_per_leaf: usize,
    max_depth: usize,
    sorted: Vec<(f64, usize)>,
    tree: Tree,
}

/// A node that is still to be made: its place, its run of rows and its depth.
struct Pending {
    node: usize,
    start: usize,
    end: usize,
    depth: usize,
}

struct Split {
    column: usize,
    threshold: f64,
    /// A score that grows as the impurity of the children falls.
    score: f64,
}

impl<'a, D: FnMut(usize) -> usize> Grower<'a, D> {
    pub fn new(data: &'a Labelled<'a>, options: &Options, draw: &'a mut D) -> Self {
        let count = data.count();
        let weights =
            if options.bootstrap { sample(data.weights, draw) } else { data.weights.to_vec() };
        let root = data.width.isqrt().max(1);
        let wanted = if options.columns_per_split == 0 { root } else { options.columns_per_split };
        Self {
            data,
            draw,
            rows: (0..count).filter(|&row| weights[row] > 0.0).collect(),
            weights,
            columns: (0..data.width).collect(),
            columns_per_split: wanted.min(data.width),
            min_rows_per_leaf: options.min_rows_per_leaf,
            max_depth: if options.max_depth == 0 { usize::MAX } else { options.max_depth },
            sorted: Vec::new(),
            tree: Tree::default(),
        }
    }

    pub fn grow(mut self) -> Tree {
        self.tree.nodes.push(Node::Leaf(0));
        let mut pending = vec![Pending { node: 0, start: 0, end: self.rows.len(), depth: 0 }];
        while let Some(next) = pending.pop() {
            let totals = self.totals(next.start, next.end);
            let split = (next.depth < self.max_depth)
                .then(|| self.best_split(next.start, next.end, &totals))
                .flatten();
            let Some(Split { column, threshold, .. }) = split else {
                let weight: f64 = totals.iter().sum();
                let leaf = self.tree.shares.len() / totals.len();
                self.tree.nodes[next.node] = Node::Leaf(leaf);
                self.tree.shares.extend(totals.iter().map(|total| total / weight));
                continue;
            };
            let middle = self.part(next.start, next.end, column, threshold);
            let left = self.tree.nodes.len();
            let right = left + 1;
            self.tree.nodes.extend([Node::Leaf(0); 2]);
            self.tree.nodes[next.node] = Node::Split { column, threshold, left, right };
            let depth = next.depth + 1;
            pending.push(Pending { node: right, start: middle, end: next.end, depth });
            pending.push(Pending { node: left, start: next.start, end: middle, depth });
        }
        self.tree
    }

    /// Weight of each class among a run of rows.
    fn totals(&self, start: usize, end: usize) -> Vec<f64> {
        let mut totals = vec![0.0; self.data.classes];
        for &row in &self.rows[start..end] {
            totals[self.data.labels[row] as usize] += self.weights[row];
        }
        totals
    }

    /// The split of least impurity among columns drawn at random; of more columns while all drawn
    /// ones are constant.
    fn best_split(&mut self, start: usize, end: usize, totals: &[f64]) -> Option<Split> {
        let pure = totals.iter().filter(|total| **total > 0.0).count() < 2;
        if pure || end - start < 2 * self.min_rows_per_leaf {
            return None;
        }
        let mut best: Option<Split> = None;
        let (mut varied, width) = (false, self.columns.len());
        for looked in 0..width {
            if looked >= self.columns_per_split && varied {
                break;
            }
            let other = looked + (self.draw)(width - looked);
            self.columns.swap(looked, other);
            let column = self.columns[looked];
            self.sorted.clear();
            for &row in &self.rows[start..end] {
                self.sorted.push((self.data.rows[row * width + column], row));
            }
            self.sorted.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            varied |= self.sorted[0].0 < self.sorted[self.sorted.len() - 1].0;
            let found = self.best_of_column(column, totals);
            if let Some(found) = found
                && best.as_ref().is_none_or(|best| found.score > best.score)
            {
                best = Some(found);
            }
        }
        best
    }

    /// The best threshold in a column whose values are sorted.
    fn best_of_column(&self, column: usize, totals: &[f64]) -> Option<Split> {
        let mut left = vec![0.0; totals.len()];
        let mut best: Option<Split> = None;
        let whole: f64 = totals.iter().sum();
        let mut left_weight = 0.0;
        for (place, pair) in self.sorted.windows(2).enumerate() {
            let (value, row) = pair[0];
            left[self.data.labels[row] as usize] += self.weights[row];
            left_weight += self.weights[row];
            let rows_left = place + 1;
            let rows_right = self.sorted.len() - rows_left;
            if value >= pair[1].0 || rows_left.min(rows_right) < self.min_rows_per_leaf {
                continue;
            }
            // Least weighted Gini impurity is the largest sum of squared class weights over the
            // weight of each side.
            let right_weight = whole - left_weight;
            let square = |sum: f64, side: f64| sum + side * side;
            let left_squares = left.iter().copied().fold(0.0, square);
            let right_squares =
                totals.iter().zip(&left).map(|(total, left)| total - left).fold(0.0, square);
            let score = left_squares / left_weight + right_squares / right_weight;
            if best.as_ref().is_none_or(|best| score > best.score) {
                let middle = value / 2.0 + pair[1].0 / 2.0;
                // Rounding must not put the upper value on the left side.
                let threshold = if middle < pair[1].0 { middle } else { value };
                best = Some(Split { column, threshold, score });
            }
        }
        best
    }

    /// Moves the rows at most at the threshold to the front of the run, in order; returns where the
    /// others begin.
    fn part(&mut self, start: usize, end: usize, column: usize, threshold: f64) -> usize {
        let goes_left = |row: usize| self.data.rows[row * self.data.width + column] <= threshold;
        let (left, right): (Vec<usize>, Vec<usize>) =
            self.rows[start..end].iter().partition(|&&row| goes_left(row));
        let middle = start + left.len();
        self.rows[start..middle].copy_from_slice(&left);
        self.rows[middle..end].copy_from_slice(&right);
        middle
    }
}

/// Number of times that each row is drawn in as many draws as there are rows, each row in
/// proportion to its weight.
fn sample(weights: &[f64], draw: &mut impl FnMut(usize) -> usize) -> Vec<f64> {
    /// As fine as a double is.
    const GRAINS: usize = 1 << 53;
    let mut running = 0.0;
    let upto: Vec<f64> = weights
        .iter()
        .map(|weight| {
            running += weight;
            running
        })
        .collect();
    // Rows without weight at the end are never reached.
    let last = upto.partition_point(|&upto| upto < running);
    let mut times = vec![0.0; weights.len()];
    for _ in weights {
        let at = draw(GRAINS) as f64 / GRAINS as f64 * running;
        times[upto.partition_point(|&upto| upto <= at).min(last)] += 1.0;
    }
    times
}
