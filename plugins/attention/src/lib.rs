//! The fusion rule `attention`: experts attended to by their joint evidence, with quality as a
//! bias of the logits.
//!
//! A token per available modality: x_m = K P_m - 1 from its evidence over K classes (0 where it
//! says nothing), and, where the batch has one, its embedding e_m. The query is the mean x of the
//! tokens; z_m is the quality, standardised per modality on the training rows:
//!
//! logit_m = x' A x_m / sqrt(K) + a_m' e_m + c_m + b_m z_m, w_m = exp(logit_m) / sum over available
//! m' of exp(logit_m'), p_k = sum_m w_m P_mk
//!
//! A (K x K) is scaled dot-product attention with query and key maps multiplied out. Quality enters
//! nowhere but in the bias b_m z_m, so that an intervention on quality is an intervention on that
//! term alone. Embeddings are standardised on the training rows in which their modality is
//! available.
//!
//! The fit minimises sum_i s_i (-ln p_iy) + penalty (|A|^2 + |a|^2 + |b|^2 + |c|^2) / 2, with the
//! weights s_i of the batch and y the label, from 0 by L-BFGS; p below 1e-300 counts as 1e-300.
//! Rows without any modality do not count in the fit, and are predicted as the weighted share of
//! each class in the training rows. Quality and embeddings beyond +-1e100 count as +-1e100.
//!
//! Source: Vaswani et al., "Attention is all you need", NeurIPS 2017; additive biases of the logits
//! as in Press, Smith and Lewis, "Train short, test long", ICLR 2022.

use fuseline_learn::lbfgs::{self, LbfgsError};
use fuseline_plugin::{
    Batch, Descriptor, FusionRule, ModelReader, ModelWriter, Param, Params, PermutedPredict,
    Quality, RuleError, Shape, StandardQuality, TrainingBatch, export_fusion_rule,
};

mod fit;
mod tokens;

use tokens::{Embeddings, Layout, Tokens};

/// The fitted attention.
#[derive(Debug)]
pub struct Attention {
    quality: StandardQuality,
    embeddings: Embeddings,
    /// A, b, c, a, as [`Layout`] places them.
    weights: Vec<f64>,
    prior: Vec<f64>,
}

impl FusionRule for Attention {
    const ID: &'static str = "org.fuseline.attention";

    fn descriptor() -> Descriptor {
        Descriptor::new(
            "attention",
            env!("CARGO_PKG_VERSION"),
            env!("CARGO_PKG_LICENSE"),
            "The evidence weighted by attention over the experts, with quality as a bias of the \
             logits.",
        )
        .accepts_embeddings(true)
        .param(Param::number("penalty", 1.0, "weight of the penalty on the attention").above(0.0))
    }

    fn fit(batch: &TrainingBatch<'_>, params: &Params<'_>, _: u64) -> Result<Self, RuleError> {
        let quality = StandardQuality::fit(batch);
        let embeddings = Embeddings::fit(batch)?;
        let layout = Layout::new(batch.modalities(), batch.classes(), &embeddings);
        let tokens = Tokens::new(batch, &embeddings)?;
        let biases = quality.standardise(batch);
        let objective =
            fit::Objective::new(batch, &tokens, &biases, &layout, params.f64("penalty")?);
        let start = vec![0.0; layout.len()];
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
        Ok(Self { quality, embeddings, weights: minimum.point, prior: batch.prior() })
    }

    fn write(&self, model: &mut ModelWriter) {
        self.quality.write(model);
        self.embeddings.write(model);
        model.f64s(&self.weights);
        model.f64s(&self.prior);
    }

    fn read(model: &mut ModelReader<'_>, shape: &Shape) -> Result<Self, RuleError> {
        let (modalities, classes) = (shape.modalities.len(), shape.classes.len());
        let quality = StandardQuality::read(model, modalities)?;
        let embeddings = Embeddings::read(model, modalities)?;
        let layout = Layout::new(modalities, classes, &embeddings);
        let (weights, prior) = (model.f64s(layout.len())?, model.f64s(classes)?);
        Ok(Self { quality, embeddings, weights, prior })
    }

    fn predict(&self, batch: &Batch<'_>, probabilities: &mut [f64]) -> Result<(), RuleError> {
        self.predict_permuted(batch, &Quality::as_measured(), probabilities)
    }
}

impl PermutedPredict for Attention {
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
        let layout = Layout::new(modalities, classes, &self.embeddings);
        // Attention to the evidence is computed once for all permutations; the bias of each cell's
        // quality is known before it moves.
        let content = Tokens::new(batch, &self.embeddings)?.content(batch, &layout, &self.weights);
        let mut biases = self.quality.standardise(batch);
        for biases in biases.chunks_exact_mut(modalities) {
            for (modality, bias) in biases.iter_mut().enumerate() {
                *bias *= self.weights[layout.quality(modality)];
            }
        }
        let mut sources = vec![None; modalities];
        let mut logits = vec![0.0; modalities];
        for (permutation, out) in probabilities.chunks_exact_mut(rows * classes).enumerate() {
            batch.go_on()?;
            for (modality, source) in sources.iter_mut().enumerate() {
                *source = quality.source(batch, permutation, modality);
            }
            for (row, out) in out.chunks_exact_mut(classes).enumerate() {
                let available =
                    || (0..modalities).filter(|&modality| batch.is_available(row, modality));
                let mut top = f64::NEG_INFINITY;
                for modality in available() {
                    let from = sources[modality].map_or(row, |source: &[u32]| source[row] as usize);
                    logits[modality] =
                        content[row * modalities + modality] + biases[from * modalities + modality];
                    top = top.max(logits[modality]);
                }
                out.fill(0.0);
                for modality in available() {
                    let weight = libm::exp(logits[modality] - top);
                    for (sum, probability) in out.iter_mut().zip(batch.evidence_of(row, modality)) {
                        *sum += weight * probability;
                    }
                }
                let total: f64 = out.iter().sum();
                if total > 0.0 {
                    out.iter_mut().for_each(|probability| *probability /= total);
                } else {
                    out.copy_from_slice(&self.prior);
                }
            }
        }
        Ok(())
    }
}

export_fusion_rule!(Attention, permuted_predict);
