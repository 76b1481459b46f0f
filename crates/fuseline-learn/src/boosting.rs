//! Histogram gradient boosting of trees, and a tree layout made for fast prediction.
//!
//! Why it is written here: docs/design/boosting.md. The algorithm, and its constants, are those of
//! scikit-learn's `HistGradientBoostingClassifier` and, with squared errors,
//! `HistGradientBoostingRegressor` (after LightGBM; Ke et al. 2017), without subsampling: gradients are kept in single precision and summed in double, so that sums of a
//! histogram are exact in all but extreme cases and their order does not matter.

use crate::input::{InputError, Labelled, length, row_count};
use crate::link;
use crate::ridge::check_finite;

mod bins;
mod grow;
mod histogram;

use bins::Bins;
use grow::Grower;

/// Options of the fit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// Rounds: each grows one tree for two classes, one a class for more.
    pub rounds: usize,
    /// Factor of a tree's values, above 0.
    pub learning_rate: f64,
    /// Leaves of a tree at most; 2 at least.
    pub max_leaves: usize,
    /// Rows of a leaf at least, counted without their weights; 1 at least.
    pub min_rows_per_leaf: usize,
    /// Bins of a column at most, 2 to 255.
    pub max_bins: usize,
    /// L2 penalty on the values of leaves.
    pub l2: f64,
    /// Sum of second derivatives in a leaf at least.
    pub min_hessian: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            rounds: 50,
            learning_rate: 0.1,
            max_leaves: 31,
            min_rows_per_leaf: 20,
            max_bins: 255,
            l2: 0.0,
            min_hessian: 1e-3,
        }
    }
}

impl Options {
    fn check(&self) -> Result<(), InputError> {
        let wrong = |option, expected| Err(InputError::Option { option, expected });
        if !(self.learning_rate > 0.0 && self.learning_rate.is_finite()) {
            return wrong("learning_rate", "a finite number above 0");
        }
        if self.max_leaves < 2 {
            return wrong("max_leaves", "at least 2");
        }
        if self.min_rows_per_leaf == 0 {
            return wrong("min_rows_per_leaf", "at least 1");
        }
        if !(2..=255).contains(&self.max_bins) {
            return wrong("max_bins", "2 to 255");
        }
        if !(self.l2 >= 0.0 && self.l2.is_finite()) {
            return wrong("l2", "a finite number of at least 0");
        }
        if !(self.min_hessian >= 0.0 && self.min_hessian.is_finite()) {
            return wrong("min_hessian", "a finite number of at least 0");
        }
        Ok(())
    }
}

/// A place in a tree: go to `left` when the column's value is at most `threshold`, else to
/// `left + 1`.
///
/// A leaf has an infinite threshold and is its own `left`, so that a walk may take `depth` steps
/// without asking.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Node {
    /// Column that decides; 0 in a leaf.
    pub feature: u32,
    /// Index of the left child in [`Boosting::nodes`].
    pub left: u32,
    /// Largest value that goes left.
    pub threshold: f64,
}

/// One tree of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tree {
    /// Index of its root in [`Boosting::nodes`].
    pub root: u32,
    /// Steps from the root to its deepest leaf.
    pub depth: u32,
}

/// Fills the first and second derivatives of the losses by the raw scores, both block-major.
type Differentiate<'a> = &'a dyn Fn(&[f64], &mut [(f32, f32)]);

/// A fitted model: an arena of nodes, shared by all trees.
#[derive(Debug, Clone, PartialEq)]
pub struct Boosting {
    classes: usize,
    width: usize,
    baseline: Vec<f64>,
    trees: Vec<Tree>,
    nodes: Vec<Node>,
    values: Vec<f64>,
}

impl Boosting {
    /// Fits on n rows by `width` columns, row-major and finite.
    ///
    /// `labels`: n class numbers below `classes`. `weights`: n weights of at least 0; they weigh
    /// the losses and the bins, not the rows that a leaf needs. Errors when a shape, value or
    /// option is wrong, or a class has no weight.
    pub fn fit(
        rows: &[f64],
        width: usize,
        labels: &[u32],
        weights: &[f64],
        classes: usize,
        options: &Options,
    ) -> Result<Self, InputError> {
        let fitted = Self::fit_while(rows, width, labels, weights, classes, options, &mut || true)?;
        // It was not stopped: there is a model.
        fitted.ok_or(InputError::Empty)
    }

    /// As [`Self::fit`]; `go_on` is called before each tree, and false ends the fit without a
    /// model.
    pub fn fit_while(
        rows: &[f64],
        width: usize,
        labels: &[u32],
        weights: &[f64],
        classes: usize,
        options: &Options,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Self>, InputError> {
        let data = Labelled::new(rows, width, labels, weights, classes)?;
        options.check()?;
        if u32::try_from(rows.len()).is_err() {
            return Err(InputError::Option { option: "rows", expected: "fewer than 2^32 values" });
        }
        let bins = Bins::new(rows, width, weights, options.max_bins);
        let baseline = baseline(&data);
        let differentiate = |raw: &[f64], out: &mut [(f32, f32)]| differentiate(&data, raw, out);
        Ok(Self::boost(&bins, classes, baseline, options, &differentiate, go_on))
    }

    /// Fits the squared error of n rows by `width` columns, row-major and finite, to n `targets`.
    ///
    /// The model has one block, whose [`Self::scores`] are the expected numbers. Errors when a
    /// shape, value or option is wrong.
    pub fn fit_squared(
        rows: &[f64],
        width: usize,
        targets: &[f64],
        options: &Options,
    ) -> Result<Self, InputError> {
        let count = row_count(rows, width)?;
        if count == 0 {
            return Err(InputError::Empty);
        }
        length("targets", count, targets.len())?;
        check_finite(rows, width)?;
        check_finite(targets, 1)?;
        options.check()?;
        if u32::try_from(rows.len()).is_err() {
            return Err(InputError::Option { option: "rows", expected: "fewer than 2^32 values" });
        }
        let bins = Bins::new(rows, width, &vec![1.0; count], options.max_bins);
        let mean = targets.iter().sum::<f64>() / count as f64;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "derivatives are kept in single precision, see the module"
        )]
        let differentiate = |raw: &[f64], out: &mut [(f32, f32)]| {
            for ((out, raw), target) in out.iter_mut().zip(raw).zip(targets) {
                *out = ((raw - target) as f32, 1.0);
            }
        };
        let fitted = Self::boost(&bins, 1, vec![mean], options, &differentiate, &mut || true);
        fitted.ok_or(InputError::Empty)
    }

    /// Grows the trees of all rounds; none when `go_on` says so.
    fn boost(
        bins: &Bins,
        classes: usize,
        baseline: Vec<f64>,
        options: &Options,
        differentiate: Differentiate<'_>,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Option<Self> {
        let (blocks, width, count) = (baseline.len(), bins.width(), bins.count());
        let mut model =
            Self { classes, width, baseline, trees: vec![], nodes: vec![], values: vec![] };
        let mut grower = Grower::new(bins, options);
        // Block-major, so that a tree reads and writes one run of memory.
        let mut raw = vec![0.0; blocks * count];
        for (raw, baseline) in raw.chunks_exact_mut(count).zip(&model.baseline) {
            raw.fill(*baseline);
        }
        let mut derivatives = vec![(0.0_f32, 0.0_f32); blocks * count];
        for _ in 0..options.rounds {
            differentiate(&raw, &mut derivatives);
            for (raw, derivatives) in
                raw.chunks_exact_mut(count).zip(derivatives.chunks_exact(count))
            {
                if !go_on() {
                    return None;
                }
                let tree = grower.grow(derivatives, raw, &mut model.nodes, &mut model.values);
                model.trees.push(tree);
            }
        }
        Some(model)
    }

    /// A model of known parts, as read back from a model. `baseline` has one number a block.
    ///
    /// Errors unless a walk of any tree must end in a leaf and stay within the arrays: children
    /// follow their parents, features are below `width`, depths are true, numbers are finite, and
    /// trees come in whole rounds.
    pub fn from_parts(
        classes: usize,
        width: usize,
        baseline: Vec<f64>,
        trees: Vec<Tree>,
        nodes: Vec<Node>,
        values: Vec<f64>,
    ) -> Result<Self, InputError> {
        if classes < 2 {
            return Err(InputError::TooFewClasses { classes });
        }
        let blocks = if classes == 2 { 1 } else { classes };
        length("baseline", blocks, baseline.len())?;
        length("values", nodes.len(), values.len())?;
        let broken = |option| InputError::Option { option, expected: "as a fitted model has it" };
        if !trees.len().is_multiple_of(blocks) {
            return Err(broken("trees"));
        }
        if let Some((at, &value)) =
            baseline.iter().chain(&values).enumerate().find(|(_, value)| !value.is_finite())
        {
            return Err(InputError::NotFinite { row: 0, column: at, value });
        }
        // Children come after their parents: one pass from the end knows the depth below each node.
        let mut below = vec![0_u32; nodes.len()];
        for (at, node) in nodes.iter().enumerate().rev() {
            let left = node.left as usize;
            if left == at {
                if node.threshold != f64::INFINITY || node.feature != 0 {
                    return Err(broken("nodes"));
                }
            } else if left > at
                && left + 1 < nodes.len()
                && (node.feature as usize) < width
                && node.threshold.is_finite()
            {
                below[at] = 1 + below[left].max(below[left + 1]);
            } else {
                return Err(broken("nodes"));
            }
        }
        if trees.iter().any(|tree| below.get(tree.root as usize) != Some(&tree.depth)) {
            return Err(broken("trees"));
        }
        Ok(Self { classes, width, baseline, trees, nodes, values })
    }

    /// Number of classes.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Number of columns.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Scores before the first tree, one a block: a block for two classes, a block a class for
    /// more.
    #[must_use]
    pub fn baseline(&self) -> &[f64] {
        &self.baseline
    }

    /// The trees: tree t belongs to block t mod blocks; a block's score is its baseline plus its
    /// trees' values, added in this order.
    #[must_use]
    pub fn trees(&self) -> &[Tree] {
        &self.trees
    }

    /// The nodes of all trees.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The value of each node, by the same index; 0 where the node is no leaf.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The value of the leaf that a row ends in. NaN goes left.
    #[must_use]
    pub fn leaf_value(&self, tree: &Tree, row: &[f64]) -> f64 {
        let mut at = tree.root;
        for _ in 0..tree.depth {
            let node = &self.nodes[at as usize];
            at = node.left + u32::from(row[node.feature as usize] > node.threshold);
        }
        self.values[at as usize]
    }

    /// Scores of n rows by width: n by blocks, row-major. Errors when the width does not divide the
    /// values.
    pub fn scores(&self, rows: &[f64]) -> Result<Vec<f64>, InputError> {
        let blocks = self.baseline.len();
        let count = row_count(rows, self.width)?;
        let mut scores = Vec::with_capacity(count * blocks);
        for _ in 0..count {
            scores.extend_from_slice(&self.baseline);
        }
        // Tree by tree over all rows: a tree stays in the nearest cache.
        for (t, tree) in self.trees.iter().enumerate() {
            let own = scores.iter_mut().skip(t % blocks).step_by(blocks);
            for (score, row) in own.zip(rows.chunks_exact(self.width)) {
                *score += self.leaf_value(tree, row);
            }
        }
        Ok(scores)
    }

    /// Class probabilities of n rows by width: n by classes, row-major. Errors as [`Self::scores`].
    /// A model of [`Self::fit_squared`] has scores and no probabilities.
    pub fn predict_proba(&self, rows: &[f64]) -> Result<Vec<f64>, InputError> {
        let scores = self.scores(rows)?;
        let blocks = self.baseline.len();
        let mut out = vec![0.0; scores.len() / blocks * self.classes];
        link::probabilities(&scores, blocks, &mut out);
        Ok(out)
    }
}

/// The scores of the weighted class shares: log odds of class 1, or log shares less their mean.
fn baseline(data: &Labelled<'_>) -> Vec<f64> {
    let mut share = vec![0.0; data.classes];
    let mut total = 0.0;
    for (&label, weight) in data.labels.iter().zip(data.weights) {
        share[label as usize] += weight;
        total += weight;
    }
    for share in &mut share {
        *share = (*share / total).clamp(f64::EPSILON, 1.0 - f64::EPSILON);
    }
    if data.classes == 2 {
        return vec![libm::log(share[1] / (1.0 - share[1]))];
    }
    let logs: Vec<f64> = share.iter().map(|&share| libm::log(share)).collect();
    let mean = logs.iter().sum::<f64>() / logs.len() as f64;
    logs.into_iter().map(|log| log - mean).collect()
}

/// First and second derivatives of the weighted losses by the raw scores, both block-major.
#[expect(
    clippy::cast_possible_truncation,
    reason = "derivatives are kept in single precision, see the module"
)]
fn differentiate(data: &Labelled<'_>, raw: &[f64], out: &mut [(f32, f32)]) {
    let count = data.count();
    let blocks = data.blocks();
    let mut row = vec![0.0; blocks];
    for (i, (&label, &weight)) in data.labels.iter().zip(data.weights).enumerate() {
        if blocks == 1 {
            let [low, high] = link::binary(raw[i]);
            let first = if label == 1 { -low } else { high };
            out[i] = ((weight * first) as f32, (weight * (low * high)) as f32);
            continue;
        }
        for (block, score) in row.iter_mut().enumerate() {
            *score = raw[block * count + i];
        }
        link::softmax(&mut row);
        for (block, &p) in row.iter().enumerate() {
            let first = if label as usize == block { p - 1.0 } else { p };
            out[block * count + i] = ((weight * first) as f32, (weight * (p * (1.0 - p))) as f32);
        }
    }
}

#[cfg(test)]
mod tests;
