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
        let mut pruned = Pruned::default();
        let mut x = vec![0.0; design.width()];
        let mut scores = vec![0.0; self.boosting.baseline().len()];
        // Row by row: what a tree decides by evidence and availability is decided once for all permutations.
        for row in 0..rows {
            batch.go_on()?;
            let available = |modality: &usize| batch.is_available(row, *modality);
            if !(0..modalities).any(|modality| available(&modality)) {
                for out in probabilities.chunks_exact_mut(rows * classes) {
                    out[row * classes..][..classes].copy_from_slice(&self.prior);
                }
                continue;
            }
            design.fix(batch, row, &mut x);
            for modality in 0..modalities {
                design.vary(batch, row, modality, 0.0, &mut x);
            }
            let varies = |feature: u32| {
                let feature = feature as usize;
                feature >= design.quality(0)
                    && (0..modalities).any(|modality| {
                        let product = design.product(modality, 0);
                        available(&modality)
                            && (feature == design.quality(modality)
                                || (product..product + classes).contains(&feature))
                    })
            };
            pruned.prune(&self.boosting, &x, varies);
            for (permutation, out) in probabilities.chunks_exact_mut(rows * classes).enumerate() {
                for modality in 0..modalities {
                    let source = quality.source(batch, permutation, modality);
                    let from = source.map_or(row, |source| source[row] as usize);
                    design.vary(batch, row, modality, measured[modality * rows + from], &mut x);
                }
                scores.copy_from_slice(self.boosting.baseline());
                pruned.add(&x, &mut scores);
                let out = &mut out[row * classes..][..classes];
                if let [score] = scores[..] {
                    out.copy_from_slice(&link::binary(score));
                } else {
                    out.copy_from_slice(&scores);
                    link::softmax(out);
                }
            }
        }
        Ok(())
    }
}

/// The trees as one row sees them: only the decisions that quality can change are left.
#[derive(Debug, Default)]
struct Pruned {
    /// Where each tree begins.
    roots: Vec<u32>,
    nodes: Vec<Decision>,
    pending: Vec<(u32, u32)>,
}

/// A decision by a column, or, when the column is [`LEAF`], a value.
#[derive(Clone, Copy, Debug)]
struct Decision {
    feature: u32,
    left: u32,
    /// The largest value that goes left; in a leaf, the leaf's value.
    threshold: f64,
}

const LEAF: u32 = u32::MAX;

impl Pruned {
    /// Keeps the decisions by columns that vary; takes the others as `x` has them.
    fn prune(&mut self, boosting: &Boosting, x: &[f64], varies: impl Fn(u32) -> bool) {
        self.roots.clear();
        self.nodes.clear();
        let nodes = boosting.nodes();
        let nothing = Decision { feature: LEAF, left: 0, threshold: 0.0 };
        for tree in boosting.trees() {
            self.roots.push(self.nodes.len() as u32);
            self.pending.push((tree.root, self.nodes.len() as u32));
            self.nodes.push(nothing);
            while let Some((mut at, to)) = self.pending.pop() {
                self.nodes[to as usize] = loop {
                    let node = &nodes[at as usize];
                    if node.left == at {
                        break Decision { threshold: boosting.values()[at as usize], ..nothing };
                    }
                    if varies(node.feature) {
                        let left = self.nodes.len() as u32;
                        self.nodes.extend([nothing, nothing]);
                        self.pending.extend([(node.left, left), (node.left + 1, left + 1)]);
                        break Decision { feature: node.feature, left, threshold: node.threshold };
                    }
                    at = node.left + u32::from(x[node.feature as usize] > node.threshold);
                };
            }
        }
    }

    /// Adds the trees' values to the scores, tree by tree in their order; tree t belongs to block t mod blocks.
    fn add(&self, x: &[f64], scores: &mut [f64]) {
        for roots in self.roots.chunks_exact(scores.len()) {
            for (score, &root) in scores.iter_mut().zip(roots) {
                let mut at = &self.nodes[root as usize];
                while at.feature != LEAF {
                    let right = u32::from(x[at.feature as usize] > at.threshold);
                    at = &self.nodes[(at.left + right) as usize];
                }
                *score += at.threshold;
            }
        }
    }
}

export_fusion_rule!(Hgb, permuted_predict);
