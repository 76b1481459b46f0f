//! The fusion rule `moe`: a mixture of the experts, weighted by a gate that sees quality and
//! evidence.
//!
//! The gate's input x = \[Q, P\] is standardised on the training rows (as for the rule `lr`; a
//! modality's columns are 0 where it is unavailable). For the available modalities m, with evidence
//! P_mk:
//!
//! g = W x + b,  w_m = exp(g_m) / sum over available m' of exp(g_m'),  p_k = sum_m w_m P_mk
//!
//! The fit minimises sum_i s_i (-ln p_iy) + (|W|^2 + |b|^2) / 2, with the weights s_i of the batch
//! and y the label, from W = 0, b = 0 by L-BFGS; p below 1e-300 counts as 1e-300. Rows without any
//! modality do not count in the fit, and are predicted as the weighted share of each class in the
//! training rows. Quality beyond +-1e100 counts as +-1e100.
//!
//! Source: Jacobs, Jordan, Nowlan and Hinton, "Adaptive mixtures of local experts", Neural
//! Computation 3(1), 1991, with frozen experts.

use fuseline_learn::lbfgs::{self, LbfgsError};
use fuseline_learn::standardise::Preprocessor;
use fuseline_plugin::tiles::{Lane, TILE, Tile, TiledRule};
use fuseline_plugin::{
    Batch, Descriptor, FusionRule, ModelReader, ModelWriter, Param, Params, PermutedPredict,
    Quality, RuleError, Shape, TrainingBatch, export_fusion_rule,
};

mod fit;

/// The gate on its input as it is: the standardisation is folded into weights and intercepts.
#[derive(Debug)]
pub struct Moe {
    /// Modalities x columns of the gate's input.
    weights: Vec<f64>,
    /// One a modality.
    intercepts: Vec<f64>,
    prior: Vec<f64>,
}

/// The gate's input: the quality of each modality, then its evidence, modality-major; 0 where
/// unavailable.
fn gate_input(batch: &Batch<'_>) -> Vec<f64> {
    let (rows, modalities, classes) = (batch.rows(), batch.modalities(), batch.classes());
    let quality = Quality::finite(batch);
    let width = gate_width(modalities, classes);
    let mut inputs = vec![0.0; rows * width];
    for (row, x) in inputs.chunks_exact_mut(width).enumerate() {
        let (own_quality, evidence) = x.split_at_mut(modalities);
        for modality in (0..modalities).filter(|&modality| batch.is_available(row, modality)) {
            own_quality[modality] = quality[row * modalities + modality];
            evidence[modality * classes..][..classes]
                .copy_from_slice(batch.evidence_of(row, modality));
        }
    }
    inputs
}

fn gate_width(modalities: usize, classes: usize) -> usize {
    modalities * (classes + 1)
}

impl FusionRule for Moe {
    const ID: &'static str = "org.fuseline.moe";

    fn descriptor() -> Descriptor {
        Descriptor::new(
            "mixture of experts",
            env!("CARGO_PKG_VERSION"),
            env!("CARGO_PKG_LICENSE"),
            "The evidence weighted by a softmax gate that sees quality and evidence.",
        )
        .param(Param::number("penalty", 1.0, "weight of the penalty on the gate").above(0.0))
    }

    fn fit(batch: &TrainingBatch<'_>, params: &Params<'_>, _: u64) -> Result<Self, RuleError> {
        let (modalities, width) =
            (batch.modalities(), gate_width(batch.modalities(), batch.classes()));
        let mut inputs = gate_input(batch);
        let data = |error: &dyn std::error::Error| RuleError::data(error.to_string());
        let preprocessor = Preprocessor::fit(&inputs, width).map_err(|error| data(&error))?;
        preprocessor.apply(&mut inputs).map_err(|error| data(&error))?;
        let objective = fit::Objective::new(batch, &inputs, params.f64("penalty")?);
        let start = vec![0.0; modalities * (width + 1)];
        let minimum = lbfgs::minimise_while(
            start,
            &lbfgs::Options::default(),
            |point, gradient| objective.value(point, gradient),
            &mut || !batch.should_stop(),
        )
        .map_err(|error| match error {
            LbfgsError::Stopped => RuleError::cancelled(),
            error => RuleError::data(error.to_string()),
        })?;
        batch.detail(&minimum);
        if let Some(shortfall) = minimum.not_converged {
            batch.warn(format_args!("the fit did not converge: {shortfall}"));
        }
        let (weights, intercepts) = minimum.point.split_at(modalities * width);
        let (mut weights, mut intercepts) = (weights.to_vec(), intercepts.to_vec());
        for (weights, intercept) in weights.chunks_exact_mut(width).zip(&mut intercepts) {
            for (column, weight) in weights.iter_mut().enumerate() {
                *weight /= preprocessor.scale()[column];
                *intercept -= *weight * preprocessor.mean()[column];
            }
        }
        Ok(Self { weights, intercepts, prior: batch.prior() })
    }

    fn write(&self, model: &mut ModelWriter) {
        model.f64s(&self.weights);
        model.f64s(&self.intercepts);
        model.f64s(&self.prior);
    }

    fn read(model: &mut ModelReader<'_>, shape: &Shape) -> Result<Self, RuleError> {
        let (modalities, classes) = (shape.modalities.len(), shape.classes.len());
        Ok(Self {
            weights: model.f64s(modalities * gate_width(modalities, classes))?,
            intercepts: model.f64s(modalities)?,
            prior: model.f64s(classes)?,
        })
    }

    fn predict(&self, batch: &Batch<'_>, probabilities: &mut [f64]) -> Result<(), RuleError> {
        self.predict_permuted(batch, &Quality::as_measured(), probabilities)
    }
}

/// The gate's scores of a tile before quality is known, one lane a modality.
pub struct Terms {
    base: Vec<Lane>,
    /// Room for the scores.
    scores: Vec<Lane>,
}

impl TiledRule for Moe {
    type Terms = Terms;

    #[inline(always)]
    fn terms(&self, tile: &Tile) -> Terms {
        let (modalities, classes) = (self.intercepts.len(), self.prior.len());
        let gates =
            self.weights.chunks_exact(gate_width(modalities, classes)).zip(&self.intercepts);
        let mut bases = Vec::with_capacity(modalities);
        for (weights, &intercept) in gates {
            let mut base = [intercept; TILE];
            for (column, &weight) in weights[modalities..].iter().enumerate() {
                let evidence = tile.evidence(column / classes, column % classes);
                for at in 0..TILE {
                    base[at] = evidence[at].mul_add(weight, base[at]);
                }
            }
            bases.push(base);
        }
        Terms { scores: bases.clone(), base: bases }
    }

    #[inline(always)]
    fn predict_tile(
        &self,
        tile: &Tile,
        terms: &mut Terms,
        quality: &mut [Lane],
        probabilities: &mut [Lane],
    ) {
        for (modality, quality) in quality.iter_mut().enumerate() {
            let available = tile.available(modality);
            for at in 0..TILE {
                quality[at] *= available[at];
            }
        }
        let gates = self.weights.chunks_exact(gate_width(quality.len(), probabilities.len()));
        for ((score, base), weights) in terms.scores.iter_mut().zip(&terms.base).zip(gates) {
            *score = *base;
            for (quality, &weight) in quality.iter().zip(weights) {
                for at in 0..TILE {
                    score[at] = quality[at].mul_add(weight, score[at]);
                }
            }
        }
        tile.mix(&mut terms.scores, probabilities);
    }

    fn prior(&self) -> &[f64] {
        &self.prior
    }
}

export_fusion_rule!(Moe, permuted_predict);
