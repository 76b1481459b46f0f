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
        Ok(Self { boosting, prior: batch.prior() })
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
        let width = Design::new(shape.modalities.len(), classes).width();
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
        let boosting = Boosting::from_parts(classes, width, baseline, trees, nodes, values)
            .map_err(|error| RuleError::data(error.to_string()))?;
        Ok(Self { boosting, prior: model.f64s(classes)? })
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
        let mut pruned = Pruned::default();
        let mut x = vec![0.0; design.width()];
        let mut moved = vec![[0.0; LANES]; modalities];
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
            // What a tree decides by evidence and availability is decided once for many permutations; for a few it does not pay.
            let prunes = permutations >= WORTH_PRUNING;
            if prunes {
                for modality in 0..modalities {
                    design.vary(batch, row, modality, 0.0, &mut x);
                }
                pruned.prune(&self.boosting, &x, &moving(&design, classes, &x, available));
            }
            for first in (0..permutations).step_by(if prunes { LANES } else { 1 }) {
                let count = if prunes { LANES.min(permutations - first) } else { 1 };
                for (score, &baseline) in scores.iter_mut().zip(self.boosting.baseline()) {
                    *score = [baseline; LANES];
                }
                if prunes {
                    for (modality, moved) in moved.iter_mut().enumerate() {
                        for (lane, moved) in moved.iter_mut().enumerate().take(count) {
                            *moved = quality_in(first + lane, modality);
                        }
                    }
                    wide(|| pruned.add(&moved, &mut scores));
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
const LANES: usize = 64;
/// From so many permutations on, the trees of a row are pruned.
const WORTH_PRUNING: usize = 8;

/// A column that moves with quality: it is the quality of the modality times a factor.
type Moving = Option<(u32, f64)>;

/// For each column of the design, how it moves; `x` holds the evidence.
fn moving(
    design: &Design,
    classes: usize,
    x: &[f64],
    available: impl Fn(usize) -> bool,
) -> Vec<Moving> {
    let mut moving = vec![None; design.width()];
    for modality in (0..design.available(0) / classes).filter(|&modality| available(modality)) {
        moving[design.quality(modality)] = Some((modality as u32, 1.0));
        for class in 0..classes {
            let factor = x[design.evidence(modality, class)];
            moving[design.product(modality, class)] = Some((modality as u32, factor));
        }
    }
    moving
}

/// The trees as one row sees them: only the decisions that quality can change are left.
#[derive(Debug, Default)]
struct Pruned {
    /// Where each tree ends; it begins where the one before ends.
    ends: Vec<u32>,
    nodes: Vec<Decision>,
    /// One a node: what the trees below it give.
    values: Vec<[f64; LANES]>,
    pending: Vec<(u32, u32)>,
}

/// A decision: right when quality times factor is above the threshold; or, when the modality is [`LEAF`], a value.
#[derive(Clone, Copy, Debug)]
struct Decision {
    modality: u32,
    /// The node on the left, behind this one; that on the right follows it.
    left: u32,
    factor: f64,
    /// In a leaf, its value.
    threshold: f64,
}

const LEAF: u32 = u32::MAX;

impl Pruned {
    /// Keeps the decisions by columns that move; takes the others as `x` has them.
    fn prune(&mut self, boosting: &Boosting, x: &[f64], moving: &[Moving]) {
        self.ends.clear();
        self.nodes.clear();
        let nodes = boosting.nodes();
        let nothing = Decision { modality: LEAF, left: 0, factor: 0.0, threshold: 0.0 };
        let mut most = 0;
        for tree in boosting.trees() {
            let root = self.nodes.len();
            self.pending.push((tree.root, root as u32));
            self.nodes.push(nothing);
            while let Some((mut at, to)) = self.pending.pop() {
                self.nodes[to as usize] = loop {
                    let node = &nodes[at as usize];
                    if node.left == at {
                        break Decision { threshold: boosting.values()[at as usize], ..nothing };
                    }
                    if let Some((modality, factor)) = moving[node.feature as usize] {
                        let left = self.nodes.len() as u32;
                        self.nodes.extend([nothing, nothing]);
                        self.pending.extend([(node.left, left), (node.left + 1, left + 1)]);
                        break Decision { modality, left, factor, threshold: node.threshold };
                    }
                    at = node.left + u32::from(x[node.feature as usize] > node.threshold);
                };
            }
            most = most.max(self.nodes.len() - root);
            self.ends.push(self.nodes.len() as u32);
        }
        self.values.resize(most, [0.0; LANES]);
    }

    /// Adds the trees' values to the scores, tree by tree in their order; tree t belongs to block t mod blocks.
    ///
    /// Every decision is taken for all permutations, from the leaves up: no branch depends on a number.
    #[inline(always)]
    fn add(&mut self, quality: &[[f64; LANES]], scores: &mut [[f64; LANES]]) {
        let (mut begin, blocks) = (0, scores.len());
        for (tree, &end) in self.ends.iter().enumerate() {
            let end = end as usize;
            let score = &mut scores[tree % blocks];
            if end - begin == 1 {
                let value = self.nodes[begin].threshold;
                score.iter_mut().for_each(|score| *score += value);
                begin = end;
                continue;
            }
            for at in (begin..end).rev() {
                let node = self.nodes[at];
                let (upper, below) = self.values.split_at_mut(at - begin + 1);
                let value = &mut upper[at - begin];
                if node.modality == LEAF {
                    *value = [node.threshold; LANES];
                    continue;
                }
                let left = node.left as usize - at - 1;
                let (left, right) = (&below[left], &below[left + 1]);
                let quality = &quality[node.modality as usize];
                for lane in 0..LANES {
                    let goes_right = node.factor * quality[lane] > node.threshold;
                    value[lane] = if goes_right { right[lane] } else { left[lane] };
                }
            }
            for (score, value) in score.iter_mut().zip(&self.values[0]) {
                *score += value;
            }
            begin = end;
        }
    }
}

export_fusion_rule!(Hgb, permuted_predict);
