//! A random forest of classification trees (Breiman 2001): exact splits by Gini impurity, fully
//! grown.
//!
//! The algorithm is that of scikit-learn's `RandomForestClassifier`: each tree sees a bootstrap
//! sample, each node looks for its split among a few columns drawn at random, and the forest's
//! answer is the mean of the leaves' class shares. Random numbers come from the caller, so that the
//! crate itself draws nothing.

use crate::input::{InputError, Labelled, row_count};

mod grow;

use grow::Grower;

/// Options of the fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Trees, at least 1.
    pub trees: usize,
    /// Columns that a node looks at; the root of the number of columns, rounded down, when 0.
    pub columns_per_split: usize,
    /// Rows of a leaf at least, counted without their weights; 1 at least.
    pub min_rows_per_leaf: usize,
    /// Steps from the root to a leaf at most; no limit when 0.
    pub max_depth: usize,
    /// If true, each tree sees as many rows as there are, drawn with replacement and in proportion
    /// to their weights, in place of every row once with its weight.
    pub bootstrap: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            trees: 300,
            columns_per_split: 0,
            min_rows_per_leaf: 1,
            max_depth: 0,
            bootstrap: true,
        }
    }
}

/// A fitted forest.
#[derive(Debug, Clone, PartialEq)]
pub struct Forest {
    classes: usize,
    width: usize,
    trees: Vec<Tree>,
}

/// A tree: nodes with their children after them, leaves with their class shares.
#[derive(Debug, Clone, Default, PartialEq)]
struct Tree {
    nodes: Vec<Node>,
    /// Class shares of all leaves, leaf by leaf.
    shares: Vec<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Node {
    /// The leaf of this number.
    Leaf(usize),
    /// To `left` when the column's value is at most the threshold, else to `right`.
    Split { column: usize, threshold: f64, left: usize, right: usize },
}

impl Forest {
    /// Fits on n rows by `width` columns, row-major and finite.
    ///
    /// `labels`: n class numbers below `classes`. `weights`: n weights of at least 0, see
    /// [`Options::bootstrap`]; the rows that a leaf needs are counted without them. `draws(t)`
    /// gives the random numbers of tree t: called with a bound of at least 1, a number below it.
    /// Errors when a shape, value or option is wrong, or a class has no weight.
    pub fn fit<D: FnMut(usize) -> usize>(
        rows: &[f64],
        width: usize,
        labels: &[u32],
        weights: &[f64],
        classes: usize,
        options: &Options,
        draws: impl Fn(usize) -> D,
    ) -> Result<Self, InputError> {
        let data = Labelled::new(rows, width, labels, weights, classes)?;
        let wrong = |option| Err(InputError::Option { option, expected: "at least 1" });
        if options.trees == 0 {
            return wrong("trees");
        }
        if options.min_rows_per_leaf == 0 {
            return wrong("min_rows_per_leaf");
        }
        let trees = (0..options.trees)
            .map(|tree| {
                let mut draw = draws(tree);
                Grower::new(&data, options, &mut draw).grow()
            })
            .collect();
        Ok(Self { classes, width, trees })
    }

    /// Class probabilities of n rows by width: n by classes, row-major; the mean of the trees'
    /// class shares. NaN goes right. Errors when the width does not divide the values.
    pub fn predict_proba(&self, rows: &[f64]) -> Result<Vec<f64>, InputError> {
        let count = row_count(rows, self.width)?;
        let mut out = vec![0.0; count * self.classes];
        for tree in &self.trees {
            for (out, row) in out.chunks_exact_mut(self.classes).zip(rows.chunks_exact(self.width))
            {
                let leaf = tree.leaf(row);
                let shares = &tree.shares[leaf * self.classes..][..self.classes];
                out.iter_mut().zip(shares).for_each(|(out, share)| *out += share);
            }
        }
        let trees = self.trees.len() as f64;
        out.iter_mut().for_each(|share| *share /= trees);
        Ok(out)
    }

    /// Number of leaves of each tree.
    #[must_use]
    pub fn leaves(&self) -> Vec<usize> {
        self.trees.iter().map(|tree| tree.shares.len() / self.classes).collect()
    }
}

impl Tree {
    fn leaf(&self, row: &[f64]) -> usize {
        let mut at = 0;
        loop {
            match self.nodes[at] {
                Node::Leaf(leaf) => return leaf,
                Node::Split { column, threshold, left, right } => {
                    at = if row[column] <= threshold { left } else { right };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
