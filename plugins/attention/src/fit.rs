//! The objective of the fit.

use fuseline_plugin::TrainingBatch;

use crate::tokens::{Layout, Tokens};

/// A probability below this counts as this, so that its logarithm stays finite; its row then has no
/// gradient.
const LEAST: f64 = 1e-300;

/// The penalised negative log likelihood as a function of the weights.
pub struct Objective<'a> {
    batch: &'a TrainingBatch<'a>,
    tokens: &'a Tokens,
    /// z: rows x modalities.
    quality: &'a [f64],
    layout: &'a Layout,
    penalty: f64,
}

impl<'a> Objective<'a> {
    pub fn new(
        batch: &'a TrainingBatch<'a>,
        tokens: &'a Tokens,
        quality: &'a [f64],
        layout: &'a Layout,
        penalty: f64,
    ) -> Self {
        Self { batch, tokens, quality, layout, penalty }
    }

    /// The value at a point; fills the gradient.
    pub fn value(&self, point: &[f64], gradient: &mut [f64]) -> f64 {
        let (rows, modalities) = (self.batch.rows(), self.batch.modalities());
        let mut value = 0.0;
        for (slope, coordinate) in gradient.iter_mut().zip(point) {
            value += 0.5 * self.penalty * coordinate * coordinate;
            *slope = self.penalty * coordinate;
        }
        let content = self.tokens.content(self.batch, self.layout, point);
        let mut attention = vec![0.0; modalities];
        for row in 0..rows {
            let available = || (0..modalities).filter(|&m| self.batch.is_available(row, m));
            if available().next().is_none() {
                continue;
            }
            let mut top = f64::NEG_INFINITY;
            for m in available() {
                attention[m] = content[row * modalities + m]
                    + point[self.layout.quality(m)] * self.quality[row * modalities + m];
                top = top.max(attention[m]);
            }
            let label = self.batch.label()[row] as usize;
            let (mut total, mut likelihood) = (0.0, 0.0);
            for m in available() {
                attention[m] = libm::exp(attention[m] - top);
                total += attention[m];
                likelihood += attention[m] * self.batch.evidence_of(row, m)[label];
            }
            let likelihood = likelihood / total;
            let importance = self.batch.weight()[row];
            value -= importance * libm::log(likelihood.max(LEAST));
            if likelihood < LEAST {
                continue;
            }
            for m in available() {
                // d(-ln p) / d logit_m = w_m (1 - P_my / p)
                let evidence = self.batch.evidence_of(row, m)[label];
                let slope = importance * (attention[m] / total) * (1.0 - evidence / likelihood);
                self.add(gradient, row, m, slope);
            }
        }
        value
    }

    /// Adds the gradient of a logit with respect to each of its weights.
    fn add(&self, gradient: &mut [f64], row: usize, modality: usize, slope: f64) {
        let (layout, tokens) = (self.layout, self.tokens);
        let token = tokens.token(row, modality);
        let queries = tokens.query(row);
        for (sums, query) in gradient.chunks_exact_mut(token.len()).zip(queries) {
            for (sum, key) in sums.iter_mut().zip(token) {
                *sum += slope * query * key;
            }
        }
        let quality = self.quality[row * self.batch.modalities() + modality];
        gradient[layout.quality(modality)] += slope * quality;
        gradient[layout.constant(modality)] += slope;
        let range = layout.embedding(modality);
        let embedding = tokens.embedding(row, modality, range.len());
        for (sum, value) in gradient[range].iter_mut().zip(embedding) {
            *sum += slope * value;
        }
    }
}
