//! Grows one tree, the leaf of the largest gain first.

use super::bins::Bins;
use super::histogram::{Histogram, Split, Sums};
use super::{Node, Options, Tree};

/// A node while the tree grows.
#[derive(Debug)]
struct Growing {
    /// Its rows: a run of the grower's row numbers.
    start: usize,
    end: usize,
    value: f64,
    /// The split with the two children, once it is made.
    children: Option<(Split, usize, usize)>,
}

/// A leaf that could be split.
#[derive(Debug)]
struct Candidate {
    node: usize,
    split: Split,
    histogram: Histogram,
}

/// Grows trees over the same bins.
#[derive(Debug)]
pub(super) struct Grower<'a> {
    bins: &'a Bins,
    options: &'a Options,
    rows: Vec<u32>,
    right: Vec<u32>,
}

impl<'a> Grower<'a> {
    pub fn new(bins: &'a Bins, options: &'a Options) -> Self {
        Self { bins, options, rows: vec![], right: vec![] }
    }

    /// Grows a tree, appends it to the arena, and adds its values to the raw scores of the rows.
    pub fn grow(
        &mut self,
        derivatives: &[(f32, f32)],
        raw: &mut [f64],
        nodes: &mut Vec<Node>,
        values: &mut Vec<f64>,
    ) -> Tree {
        self.rows.clear();
        self.rows.extend((0_u32..).take(self.bins.count()));
        let mut tree = vec![Growing { start: 0, end: self.rows.len(), value: 0.0, children: None }];
        let mut candidates = Vec::new();
        let mut leaves = 1;
        if self.may_split(&tree[0]) {
            let histogram = Histogram::from_rows(self.bins, &self.rows, derivatives);
            let sums = histogram.total(self.bins);
            if sums.hessian >= self.options.min_hessian {
                self.consider(&mut candidates, &tree, 0, &sums, histogram);
            }
        }
        while leaves < self.options.max_leaves {
            let Some(Candidate { node, split, histogram }) = take_best(&mut candidates) else {
                break;
            };
            let (start, end) = (tree[node].start, tree[node].end);
            let middle = start + self.partition(start, end, &split);
            let left = tree.len();
            let value = |sums: &Sums| sums.value(self.options.l2);
            tree.push(Growing { start, end: middle, value: value(&split.left), children: None });
            tree.push(Growing { start: middle, end, value: value(&split.right), children: None });
            tree[node].children = Some((split, left, left + 1));
            leaves += 1;
            if leaves == self.options.max_leaves {
                break;
            }
            self.consider_children(&mut candidates, &tree, &split, left, derivatives, histogram);
        }
        for leaf in tree.iter_mut().filter(|node| node.children.is_none()) {
            leaf.value *= self.options.learning_rate;
            for &row in &self.rows[leaf.start..leaf.end] {
                raw[row as usize] += leaf.value;
            }
        }
        self.lay_out(&tree, nodes, values)
    }

    fn may_split(&self, node: &Growing) -> bool {
        node.end - node.start >= 2 * self.options.min_rows_per_leaf
    }

    fn consider(
        &self,
        candidates: &mut Vec<Candidate>,
        tree: &[Growing],
        node: usize,
        sums: &Sums,
        histogram: Histogram,
    ) {
        if let Some(split) = histogram.best_split(self.bins, sums, tree[node].value, self.options) {
            candidates.push(Candidate { node, split, histogram });
        }
    }

    /// Sums the smaller child row by row; the larger is the parent less the smaller.
    fn consider_children(
        &self,
        candidates: &mut Vec<Candidate>,
        tree: &[Growing],
        split: &Split,
        left: usize,
        derivatives: &[(f32, f32)],
        parent: Histogram,
    ) {
        let right = left + 1;
        let (may_left, may_right) = (self.may_split(&tree[left]), self.may_split(&tree[right]));
        if !may_left && !may_right {
            return;
        }
        let left_is_smaller = split.left.rows < split.right.rows;
        let smaller = &tree[if left_is_smaller { left } else { right }];
        let small =
            Histogram::from_rows(self.bins, &self.rows[smaller.start..smaller.end], derivatives);
        let large = parent.subtract(&small);
        let (of_left, of_right) = if left_is_smaller { (small, large) } else { (large, small) };
        if may_left {
            self.consider(candidates, tree, left, &split.left, of_left);
        }
        if may_right {
            self.consider(candidates, tree, right, &split.right, of_right);
        }
    }

    /// Brings the rows that go left to the front, both sides in their old order; returns how many
    /// they are.
    fn partition(&mut self, start: usize, end: usize, split: &Split) -> usize {
        let codes = self.bins.codes(split.column);
        let rows = &mut self.rows[start..end];
        self.right.clear();
        let mut left = 0;
        for at in 0..rows.len() {
            let row = rows[at];
            if codes[row as usize] <= split.bin {
                rows[left] = row;
                left += 1;
            } else {
                self.right.push(row);
            }
        }
        rows[left..].copy_from_slice(&self.right);
        left
    }

    /// Appends the tree to the arena level by level, siblings side by side.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "an arena has fewer than 2^32 nodes: a leaf needs a row"
    )]
    fn lay_out(&self, tree: &[Growing], nodes: &mut Vec<Node>, values: &mut Vec<f64>) -> Tree {
        let root = nodes.len() as u32;
        let mut level = vec![0];
        let mut depth = 0;
        let mut next = root + 1;
        loop {
            let mut below = Vec::new();
            for at in level {
                match &tree[at].children {
                    Some((split, left, right)) => {
                        let threshold = self.bins.thresholds(split.column)[split.bin as usize];
                        nodes.push(Node { feature: split.column as u32, left: next, threshold });
                        values.push(0.0);
                        next += 2;
                        below.extend([*left, *right]);
                    }
                    None => {
                        let own = nodes.len() as u32;
                        nodes.push(Node { feature: 0, left: own, threshold: f64::INFINITY });
                        values.push(tree[at].value);
                    }
                }
            }
            if below.is_empty() {
                return Tree { root, depth };
            }
            depth += 1;
            level = below;
        }
    }
}

/// Takes the candidate of the largest gain, of equal gains the oldest.
fn take_best(candidates: &mut Vec<Candidate>) -> Option<Candidate> {
    let mut best = 0;
    for (at, candidate) in candidates.iter().enumerate() {
        if candidate.split.gain > candidates[best].split.gain {
            best = at;
        }
    }
    (!candidates.is_empty()).then(|| candidates.remove(best))
}
