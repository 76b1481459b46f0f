//! The fusion rule `hgb`: histogram gradient boosting on evidence, availability, quality, and
//! evidence times quality.
//!
//! The design of a row is X = \[P, A, Q, P * Q\], as for the rule `lr`, not standardised. Trees are
//! grown by gradient boosting on the weighted log loss: by default 50 rounds, learning rate 0.1, at
//! most 31 leaves a tree, at least 20 rows a leaf; one tree a round for two classes, one a class
//! for more:
//!
//! score = log odds of the weighted class shares + sum over rounds of tree(X), p = sigmoid or
//! softmax of the scores
//!
//! If no modality is available, p is the weighted share of each class in the training rows. Quality
//! beyond +-1e100 counts as +-1e100.
//!
//! Source: Friedman, "Greedy function approximation: a gradient boosting machine", Annals of
//! Statistics 29(5), 2001; Ke et al., "LightGBM", NeurIPS 2017; scikit-learn's
//! HistGradientBoostingClassifier.

use fuseline_learn::boosting::{Boosting, Node, Options, Tree};
use fuseline_plugin::tiles::{Lane, TILE, Tile, TiledRule, logistic, softmax};
use fuseline_plugin::{
    Batch, Descriptor, Design, FusionRule, ModelReader, ModelWriter, Param, Params,
    PermutedPredict, Quality, RuleError, Shape, TrainingBatch, export_fusion_rule,
};

mod forest;

use forest::{Codes, Forest, Leaves};

/// The trees, and the prediction for rows without any modality.
#[derive(Debug)]
pub struct Hgb {
    boosting: Boosting,
    /// The same trees, if they are small enough to be evaluated without branches.
    forest: Option<Forest>,
    prior: Vec<f64>,
    design: Design,
}

impl FusionRule for Hgb {
    const ID: &'static str = "org.fuseline.hgb";

    fn descriptor() -> Descriptor {
        Descriptor::new(
            "histogram gradient boosting",
            env!("CARGO_PKG_VERSION"),
            env!("CARGO_PKG_LICENSE"),
            "Gradient-boosted trees on evidence, availability, quality, and evidence times \
             quality.",
        )
        .param(
            Param::integer("rounds", 50, "trees, for each class when there are more than two")
                .at_least(1)
                .at_most(10_000),
        )
        .param(
            Param::number("learning_rate", 0.1, "what a tree's values are multiplied by")
                .above(0.0),
        )
        .param(
            Param::integer("max_leaves", 31, "leaves of a tree, at most")
                .at_least(2)
                .at_most(65_536),
        )
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
        Ok(Self::new(boosting, batch.prior(), design))
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
        Ok(Self::new(boosting, model.f64s(classes)?, design))
    }

    fn predict(&self, batch: &Batch<'_>, probabilities: &mut [f64]) -> Result<(), RuleError> {
        self.predict_permuted(batch, &Quality::as_measured(), probabilities)
    }
}

/// Leaves left open by a tile's evidence, and scratch buffers for the terms that move with quality.
pub struct Terms {
    /// The leaves that decisions by evidence and availability leave.
    open: Vec<Leaves>,
    /// Codes of the design's columns that move.
    codes: Vec<Codes>,
    /// The design's columns that move: the qualities, then the products.
    moving: Vec<Lane>,
    /// One lane a block.
    scores: Vec<Lane>,
}

impl TiledRule for Hgb {
    type Terms = Terms;

    #[inline(always)]
    fn terms(&self, tile: &Tile) -> Terms {
        let classes = self.prior.len();
        let modalities = self.design.quality(0) / (classes + 1);
        let evidence = modalities * classes;
        let column = |column: usize| match column.checked_sub(evidence) {
            Some(modality) => tile.available(modality),
            None => tile.evidence(column / classes, column % classes),
        };
        Terms {
            open: self.forest.as_ref().map_or(Vec::new(), |forest| forest.decide(column)),
            codes: vec![[0; TILE]; modalities + evidence],
            moving: vec![[0.0; TILE]; modalities + evidence],
            scores: vec![[0.0; TILE]; self.boosting.baseline().len()],
        }
    }

    #[inline(always)]
    fn predict_tile(
        &self,
        tile: &Tile,
        terms: &mut Terms,
        quality: &mut [Lane],
        probabilities: &mut [Lane],
    ) {
        let Terms { open, codes, moving, scores } = terms;
        let classes = probabilities.len();
        let (qualities, products) = moving.split_at_mut(quality.len());
        for (modality, (own, quality)) in qualities.iter_mut().zip(&*quality).enumerate() {
            let available = tile.available(modality);
            for at in 0..TILE {
                own[at] = if available[at] > 0.0 { quality[at] } else { 0.0 };
            }
            for (class, product) in products[modality * classes..][..classes].iter_mut().enumerate()
            {
                let evidence = tile.evidence(modality, class);
                for at in 0..TILE {
                    product[at] = evidence[at] * own[at];
                }
            }
        }
        for (score, &baseline) in scores.iter_mut().zip(self.boosting.baseline()) {
            *score = [baseline; TILE];
        }
        match &self.forest {
            Some(forest) => forest.add(open, moving, codes, scores),
            None => self.walk(tile, moving, scores),
        }
        probabilities[..scores.len()].copy_from_slice(scores);
        match <&mut [Lane; 2]>::try_from(&mut *probabilities) {
            Ok(two) => logistic(two),
            Err(_) => softmax(probabilities),
        }
    }

    fn prior(&self) -> &[f64] {
        &self.prior
    }
}

impl Hgb {
    fn new(boosting: Boosting, prior: Vec<f64>, design: Design) -> Self {
        Self { forest: Forest::new(&boosting, design.quality(0)), boosting, prior, design }
    }

    /// Adds the trees' values to the scores, walking through trees that are too large for a
    /// [`Forest`].
    fn walk(&self, tile: &Tile, moving: &[Lane], scores: &mut [Lane]) {
        let (nodes, values) = (self.boosting.nodes(), self.boosting.values());
        let classes = self.prior.len();
        let fixed = self.design.quality(0);
        let evidence = fixed / (classes + 1) * classes;
        for at in 0..TILE {
            let value = |column: usize| match column {
                _ if column >= fixed => moving[column - fixed][at],
                _ if column >= evidence => tile.available(column - evidence)[at],
                _ => tile.evidence(column / classes, column % classes)[at],
            };
            for trees in self.boosting.trees().chunks_exact(scores.len()) {
                for (score, tree) in scores.iter_mut().zip(trees) {
                    let mut node = tree.root;
                    while nodes[node as usize].left != node {
                        let own = &nodes[node as usize];
                        node = own.left + u32::from(value(own.feature as usize) > own.threshold);
                    }
                    score[at] += values[node as usize];
                }
            }
        }
    }
}

export_fusion_rule!(Hgb, permuted_predict);
