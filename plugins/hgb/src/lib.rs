//! The fusion rule `hgb`: histogram gradient boosting on evidence, availability, quality, and evidence times quality.
//!
//! The design of a row is X = \[P, A, Q, P * Q\], as for the rule `lr`, not standardised. Trees are grown by gradient boosting on the weighted log loss: by default
//! 50 rounds, learning rate 0.1, at most 31 leaves a tree, at least 20 rows a leaf; one tree a round for two classes, one a class for more:
//!
//! score = log odds of the weighted class shares + sum over rounds of tree(X),  p = sigmoid or softmax of the scores
//!
//! Where no modality is available, p is the weighted share of each class in the training rows. Quality beyond +-1e100 counts as +-1e100.
//!
//! Source: Friedman, "Greedy function approximation: a gradient boosting machine", Annals of Statistics 29(5), 2001; Ke et al., "LightGBM",
//! NeurIPS 2017; scikit-learn's HistGradientBoostingClassifier.

use fuseline_learn::boosting::{Boosting, Node, Options, Tree};
use fuseline_learn::link;
use fuseline_plugin::vector::wide;
use fuseline_plugin::{
    Batch, Descriptor, Design, FusionRule, ModelReader, ModelWriter, Param, Params,
    PermutedPredict, Quality, RuleError, Shape, TrainingBatch, export_fusion_rule,
};

/// The trees, and what is predicted where nothing is available.
#[derive(Debug)]
pub struct Hgb {
    boosting: Boosting,
    /// The same trees, where they are small enough to be asked without a jump.
    forest: Option<Forest>,
    prior: Vec<f64>,
}

impl FusionRule for Hgb {
    const ID: &'static str = "org.fuseline.hgb";

    fn descriptor() -> Descriptor {
        Descriptor::new(
            "histogram gradient boosting",
            env!("CARGO_PKG_VERSION"),
            env!("CARGO_PKG_LICENSE"),
            "Gradient-boosted trees on evidence, availability, quality, and evidence times quality.",
        )
        .param(Param::integer("rounds", 50, "trees, for each class when there are more than two").at_least(1).at_most(10_000))
        .param(Param::number("learning_rate", 0.1, "what a tree's values are multiplied by").above(0.0))
        .param(Param::integer("max_leaves", 31, "leaves of a tree, at most").at_least(2).at_most(65_536))
        .param(Param::integer("min_rows_per_leaf", 20, "rows of a leaf, at least").at_least(1))
    }

    fn fit(batch: &TrainingBatch<'_>, params: &Params<'_>, _: u64) -> Result<Self, RuleError> {
        let design = Design::new(batch.modalities(), batch.classes());
        let labels: Vec<u32> = batch.label().iter().map(|&label| label as u32).collect();
        let options = Options {
            rounds: params.count("rounds")?,
            learning_rate: params.f64("learning_rate")?,
            max_leaves: params.count("max_leaves")?,
            min_rows_per_leaf: params.count("min_rows_per_leaf")?,
            ..Options::default()
        };
        let boosting = Boosting::fit_while(
            &design.rows(batch),
            design.width(),
            &labels,
            batch.weight(),
            batch.classes(),
            &options,
            &mut || !batch.should_stop(),
        )
        .map_err(|error| RuleError::data(error.to_string()))?
        .ok_or_else(RuleError::cancelled)?;
        Ok(Self::new(boosting, batch.prior(), &design))
    }

    fn write(&self, model: &mut ModelWriter) {
        model.f64s(self.boosting.baseline());
        let trees = self.boosting.trees().iter().flat_map(|tree| [tree.root, tree.depth]);
        model.u32s(&trees.collect::<Vec<_>>());
        let nodes = self.boosting.nodes();
        model.u32s(&nodes.iter().map(|node| node.feature).collect::<Vec<_>>());
        model.u32s(&nodes.iter().map(|node| node.left).collect::<Vec<_>>());
        model.f64s(&nodes.iter().map(|node| node.threshold).collect::<Vec<_>>());
        model.f64s(self.boosting.values());
        model.f64s(&self.prior);
    }

    fn read(model: &mut ModelReader<'_>, shape: &Shape) -> Result<Self, RuleError> {
        let classes = shape.classes.len();
        let design = Design::new(shape.modalities.len(), classes);
        let baseline = model.any_f64s()?;
        let trees = model
            .any_u32s()?
            .chunks_exact(2)
            .map(|tree| Tree { root: tree[0], depth: tree[1] })
            .collect();
        let (features, left) = (model.any_u32s()?, model.any_u32s()?);
        let thresholds = model.any_f64s()?;
        if left.len() != features.len() || thresholds.len() != features.len() {
            return Err(RuleError::data("the model's trees are cut short"));
        }
        let nodes = (0..features.len())
            .map(|at| Node { feature: features[at], left: left[at], threshold: thresholds[at] })
            .collect();
        let values = model.any_f64s()?;
        let boosting =
            Boosting::from_parts(classes, design.width(), baseline, trees, nodes, values)
                .map_err(|error| RuleError::data(error.to_string()))?;
        Ok(Self::new(boosting, model.f64s(classes)?, &design))
    }

    fn predict(&self, batch: &Batch<'_>, probabilities: &mut [f64]) -> Result<(), RuleError> {
        self.predict_permuted(batch, &Quality::as_measured(), probabilities)
    }
}

impl PermutedPredict for Hgb {
    fn predict_permuted(
        &self,
        batch: &Batch<'_>,
        quality: &Quality<'_>,
        probabilities: &mut [f64],
    ) -> Result<(), RuleError> {
        let (rows, modalities, classes) = (batch.rows(), batch.modalities(), batch.classes());
        if rows == 0 {
            return Ok(());
        }
        let design = Design::new(modalities, classes);
        let measured = Quality::by_modality(batch);
        let permutations = probabilities.len() / (rows * classes);
        let blocks = self.boosting.baseline().len();
        // Trees that are too large for the fast way are walked through, a permutation at a time.
        let lanes = if self.forest.is_some() { LANES } else { 1 };
        let mut open = Open::default();
        let mut x = vec![0.0; design.width()];
        let mut moved = vec![[0.0; LANES]; modalities * (classes + 1)];
        let mut scores = vec![[0.0; LANES]; blocks];
        let mut out = vec![0.0; classes];
        for row in 0..rows {
            batch.go_on()?;
            let available = |modality: usize| batch.is_available(row, modality);
            if !(0..modalities).any(available) {
                for out in probabilities.chunks_exact_mut(rows * classes) {
                    out[row * classes..][..classes].copy_from_slice(&self.prior);
                }
                continue;
            }
            design.fix(batch, row, &mut x);
            let quality_in = |permutation: usize, modality: usize| {
                let source = quality.source(batch, permutation, modality);
                measured[modality * rows + source.map_or(row, |source| source[row] as usize)]
            };
            if let Some(forest) = &self.forest {
                forest.decide(&x, &mut open);
            }
            for first in (0..permutations).step_by(lanes) {
                let count = lanes.min(permutations - first);
                for (score, &baseline) in scores.iter_mut().zip(self.boosting.baseline()) {
                    *score = [baseline; LANES];
                }
                if let Some(forest) = &self.forest {
                    // In the order of the design's last columns: the qualities, then the products.
                    let (qualities, products) = moved.split_at_mut(modalities);
                    for (modality, moved) in qualities.iter_mut().enumerate() {
                        for (lane, moved) in moved.iter_mut().enumerate().take(count) {
                            *moved = if available(modality) {
                                quality_in(first + lane, modality)
                            } else {
                                0.0
                            };
                        }
                    }
                    for (cell, product) in products.iter_mut().enumerate() {
                        let quality = &qualities[cell / classes];
                        for lane in 0..LANES {
                            product[lane] = x[cell] * quality[lane];
                        }
                    }
                    wide(|| forest.add(&open, &moved, &mut scores));
                } else {
                    for modality in 0..modalities {
                        design.vary(batch, row, modality, quality_in(first, modality), &mut x);
                    }
                    self.add(&x, &mut scores);
                }
                for lane in 0..count {
                    if let [score] = &scores[..] {
                        out.copy_from_slice(&link::binary(score[lane]));
                    } else {
                        out.iter_mut().zip(&scores).for_each(|(out, score)| *out = score[lane]);
                        link::softmax(&mut out);
                    }
                    let at = ((first + lane) * rows + row) * classes;
                    probabilities[at..at + classes].copy_from_slice(&out);
                }
            }
        }
        Ok(())
    }
}

impl Hgb {
    fn new(boosting: Boosting, prior: Vec<f64>, design: &Design) -> Self {
        Self { forest: Forest::new(&boosting, design.quality(0)), boosting, prior }
    }

    /// Adds the trees' values for one row to the first lane of the scores.
    fn add(&self, x: &[f64], scores: &mut [[f64; LANES]]) {
        let (nodes, values) = (self.boosting.nodes(), self.boosting.values());
        for trees in self.boosting.trees().chunks_exact(scores.len()) {
            for (score, tree) in scores.iter_mut().zip(trees) {
                let mut at = tree.root;
                while nodes[at as usize].left != at {
                    let node = &nodes[at as usize];
                    at = node.left + u32::from(x[node.feature as usize] > node.threshold);
                }
                score[0] += values[at as usize];
            }
        }
    }
}

/// Permutations that are looked at side by side.
const LANES: usize = 16;

/// The trees, to be asked without a jump (Lucchese et al., "QuickScorer", SIGIR 2015).
///
/// The leaves of a tree are bits, from left to right. A decision for the right takes the leaves on its left away; the lowest
/// bit that is left, after all decisions, is the leaf.
#[derive(Debug, Default)]
struct Forest {
    /// Where the fixed and the moving decisions and the leaves of each tree end; they begin where those of the tree before end.
    ends: Vec<[usize; 3]>,
    /// Decisions by evidence or availability, by column of the design.
    fixed: Vec<Decision>,
    /// Decisions by what moves with quality, by column behind the first of those.
    moving: Vec<Decision>,
    leaves: Vec<f64>,
}

#[derive(Clone, Copy, Debug)]
struct Decision {
    column: usize,
    /// The largest value that goes left.
    threshold: f64,
    /// The leaves that are left when it goes right.
    right: u64,
}

impl Decision {
    /// The leaves that are left at a value.
    #[inline(always)]
    fn leaves(&self, value: f64) -> u64 {
        // All bits, or, when it goes right, none: no jump.
        let stays = u64::from(value > self.threshold).wrapping_sub(1);
        self.right | stays
    }
}

/// What one row's evidence leaves open.
#[derive(Debug, Default)]
struct Open {
    /// The leaves of each tree that are left, and where its decisions end.
    trees: Vec<(u64, usize)>,
    /// Those that can still take a leaf away.
    decisions: Vec<Decision>,
}

impl Forest {
    /// `first_moving`: the first column that moves with quality. None when a tree has more leaves than a word has bits.
    fn new(boosting: &Boosting, first_moving: usize) -> Option<Self> {
        let mut forest = Self::default();
        for tree in boosting.trees() {
            if tree.depth >= u64::BITS {
                return None;
            }
            let first = forest.leaves.len();
            forest.below(boosting, tree.root, first_moving, first);
            if forest.leaves.len() - first > u64::BITS as usize {
                return None;
            }
            forest.ends.push([forest.fixed.len(), forest.moving.len(), forest.leaves.len()]);
        }
        Some(forest)
    }

    /// Adds what is below a node; gives which of the tree's leaves those are. `first`: the tree's first leaf.
    fn below(&mut self, boosting: &Boosting, at: u32, first_moving: usize, first: usize) -> u64 {
        let node = &boosting.nodes()[at as usize];
        if node.left == at {
            self.leaves.push(boosting.values()[at as usize]);
            return 1_u64.checked_shl((self.leaves.len() - 1 - first) as u32).unwrap_or(0);
        }
        let left = self.below(boosting, node.left, first_moving, first);
        let right = self.below(boosting, node.left + 1, first_moving, first);
        let column = node.feature as usize;
        let decision = Decision { column, threshold: node.threshold, right: !left };
        match column.checked_sub(first_moving) {
            Some(column) => self.moving.push(Decision { column, ..decision }),
            None => self.fixed.push(decision),
        }
        left | right
    }

    /// Takes the decisions by evidence and availability, once for all permutations.
    fn decide(&self, x: &[f64], open: &mut Open) {
        open.trees.clear();
        open.decisions.clear();
        let mut begin = [0; 3];
        for &end in &self.ends {
            let fixed = &self.fixed[begin[0]..end[0]];
            let left = fixed.iter().fold(u64::MAX, |left, own| left & own.leaves(x[own.column]));
            let moving = &self.moving[begin[1]..end[1]];
            open.decisions.extend(moving.iter().filter(|own| left & !own.right != 0));
            open.trees.push((left, open.decisions.len()));
            begin = end;
        }
    }

    /// Adds the trees' values to the scores, tree by tree in their order; tree t belongs to block t mod blocks.
    #[inline(always)]
    fn add(&self, open: &Open, moved: &[[f64; LANES]], scores: &mut [[f64; LANES]]) {
        let blocks = scores.len();
        let (mut decisions, mut leaves) = (0, 0);
        for (tree, (&(left, end), ends)) in open.trees.iter().zip(&self.ends).enumerate() {
            let mut left = [left; LANES];
            for decision in &open.decisions[decisions..end] {
                let moved = &moved[decision.column];
                for lane in 0..LANES {
                    left[lane] &= decision.leaves(moved[lane]);
                }
            }
            let values = &self.leaves[leaves..ends[2]];
            for (score, left) in scores[tree % blocks].iter_mut().zip(&left) {
                *score += values[left.trailing_zeros() as usize];
            }
            (decisions, leaves) = (end, ends[2]);
        }
    }
}

export_fusion_rule!(Hgb, permuted_predict);
