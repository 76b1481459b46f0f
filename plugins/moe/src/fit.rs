//! The objective of the fit.

use fuseline_plugin::TrainingBatch;

/// A probability below this counts as this, so that its logarithm stays finite; its row then has no
/// gradient.
const LEAST: f64 = 1e-300;

/// The penalised negative log likelihood as a function of the gate's weights (modalities x
/// columns), then intercepts.
pub struct Objective<'a> {
    batch: &'a TrainingBatch<'a>,
    /// Rows x columns, standardised.
    inputs: &'a [f64],
    width: usize,
    penalty: f64,
}

impl<'a> Objective<'a> {
    pub fn new(batch: &'a TrainingBatch<'a>, inputs: &'a [f64], penalty: f64) -> Self {
        Self { batch, inputs, width: inputs.len() / batch.rows().max(1), penalty }
    }

    /// The value at a point; fills the gradient.
    pub fn value(&self, point: &[f64], gradient: &mut [f64]) -> f64 {
        let modalities = self.batch.modalities();
        let (weights, intercepts) = point.split_at(modalities * self.width);
        let mut value = 0.0;
        for (slope, coordinate) in gradient.iter_mut().zip(point) {
            value += 0.5 * self.penalty * coordinate * coordinate;
            *slope = self.penalty * coordinate;
        }
        let (weight_slopes, intercept_slopes) = gradient.split_at_mut(modalities * self.width);
        let mut gate = vec![0.0; modalities];
        for row in 0..self.batch.rows() {
            let available = || (0..modalities).filter(|&m| self.batch.is_available(row, m));
            if available().next().is_none() {
                continue;
            }
            let x = &self.inputs[row * self.width..][..self.width];
            let mut top = f64::NEG_INFINITY;
            for m in available() {
                let weights = &weights[m * self.width..][..self.width];
                gate[m] =
                    weights.iter().zip(x).fold(intercepts[m], |sum, (weight, x)| sum + weight * x);
                top = top.max(gate[m]);
            }
            let label = self.batch.label()[row] as usize;
            let (mut total, mut likelihood) = (0.0, 0.0);
            for m in available() {
                gate[m] = libm::exp(gate[m] - top);
                total += gate[m];
                likelihood += gate[m] * self.batch.evidence_of(row, m)[label];
            }
            let likelihood = likelihood / total;
            let importance = self.batch.weight()[row];
            value -= importance * libm::log(likelihood.max(LEAST));
            if likelihood < LEAST {
                continue;
            }
            for m in available() {
                // d(-ln p) / d g_m = w_m (1 - P_my / p)
                let evidence = self.batch.evidence_of(row, m)[label];
                let slope = importance * (gate[m] / total) * (1.0 - evidence / likelihood);
                intercept_slopes[m] += slope;
                for (sum, x) in weight_slopes[m * self.width..][..self.width].iter_mut().zip(x) {
                    *sum += slope * x;
                }
            }
        }
        value
    }
}
