//! Exchange of the residuals of quality given the evidence.

use super::PermutationError;

/// Residuals whose standard deviation is at most this share of that of quality are rounding, or
/// what the penalty of the regression leaves, and count as 0: the evidence tells all of the quality
/// but a millionth of its variance.
const NEGLIGIBLE: f64 = 1e-3;

/// Quality in two parts: its expectation given the evidence, and the residual.
///
/// Under [`super::Scheme::ConditionalResidual`] a row keeps the first and gets the second of
/// another row, as in Freedman and Lane (1983): a permutation then makes no pair of evidence and
/// quality that could not occur.
#[derive(Debug, Clone, PartialEq)]
pub struct Residuals {
    modalities: usize,
    expected: Vec<f64>,
    residual: Vec<f64>,
    quality: Vec<f64>,
}

impl Residuals {
    /// Parts `quality` into `expected` and the rest; all are n rows by modalities. Only values of
    /// `available` cells count.
    ///
    /// A negligible rest of a modality is 0: nothing of its quality moves. Errors when the lengths
    /// differ.
    pub fn new(
        modalities: usize,
        available: &[bool],
        quality: &[f64],
        expected: Vec<f64>,
    ) -> Result<Self, PermutationError> {
        for (what, found) in [("available", available.len()), ("expected", expected.len())] {
            if found != quality.len() {
                return Err(PermutationError::Length { what, expected: quality.len(), found });
            }
        }
        let mut residual: Vec<f64> = quality.iter().zip(&expected).map(|(q, e)| q - e).collect();
        for modality in 0..modalities {
            let own = || (modality..quality.len()).step_by(modalities).filter(|&at| available[at]);
            let sd = |values: &[f64]| {
                let count = own().count().max(1) as f64;
                let mean = own().map(|at| values[at]).sum::<f64>() / count;
                (own().map(|at| (values[at] - mean).powi(2)).sum::<f64>() / count).sqrt()
            };
            if sd(&residual) <= NEGLIGIBLE * sd(quality) {
                (modality..quality.len()).step_by(modalities).for_each(|at| residual[at] = 0.0);
            }
        }
        Ok(Self { modalities, expected, residual, quality: quality.to_vec() })
    }

    /// Residual of a row's quality.
    #[must_use]
    pub fn residual(&self, row: u32, modality: usize) -> f64 {
        self.residual[row as usize * self.modalities + modality]
    }

    /// Quality in which row i has the residuals of row `index[i]` in the modalities that are
    /// `chosen`: n rows by modalities.
    #[must_use]
    pub fn exchange(&self, index: &[u32], chosen: &[bool]) -> Vec<f64> {
        let mut quality = self.quality.clone();
        for ((row, own), &other) in quality.chunks_mut(self.modalities).enumerate().zip(index) {
            for (modality, value) in own.iter_mut().enumerate().filter(|(at, _)| chosen[*at]) {
                let at = row * self.modalities + modality;
                let residual = self.residual(other, modality);
                // A row that gets a residual equal to its own keeps its quality to the last bit.
                if residual.to_bits() != self.residual[at].to_bits() {
                    *value = self.expected[at] + residual;
                }
            }
        }
        quality
    }
}
