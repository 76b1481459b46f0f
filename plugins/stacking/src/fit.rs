//! The weights of the pool.

use fuseline_learn::lbfgs::{self, LbfgsError};
use fuseline_learn::link;
use fuseline_plugin::{RuleError, TrainingBatch};

/// Minimises the penalised loss: gives u and v, one a modality, and c, one a class.
///
/// `logs`: (row, modality, class), 0 where unavailable; `z`: rows x modalities.
pub fn pool(
    batch: &TrainingBatch<'_>,
    logs: &[f64],
    z: &[f64],
    c: f64,
) -> Result<Vec<f64>, RuleError> {
    let start = vec![0.0; 2 * batch.modalities() + batch.classes()];
    let minimum = lbfgs::minimise_while(
        start,
        &lbfgs::Options::default(),
        |point, gradient| objective(batch, logs, z, c, point, gradient),
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
    Ok(minimum.point)
}

fn objective(
    batch: &TrainingBatch<'_>,
    logs: &[f64],
    z: &[f64],
    c: f64,
    point: &[f64],
    gradient: &mut [f64],
) -> f64 {
    let (modalities, classes) = (batch.modalities(), batch.classes());
    let (pool, intercepts) = point.split_at(2 * modalities);
    let (weights, slopes) = pool.split_at(modalities);
    let mut value = 0.5 * pool.iter().map(|coordinate| coordinate * coordinate).sum::<f64>();
    gradient[..2 * modalities].copy_from_slice(pool);
    gradient[2 * modalities..].fill(0.0);
    let mut scores = vec![0.0; classes];
    for (row, logs) in logs.chunks_exact(modalities * classes).enumerate() {
        let available = || (0..modalities).filter(|&m| batch.is_available(row, m));
        if available().next().is_none() {
            continue;
        }
        scores.copy_from_slice(intercepts);
        for m in available() {
            let weight = weights[m] + slopes[m] * z[row * modalities + m];
            scores
                .iter_mut()
                .zip(&logs[m * classes..])
                .for_each(|(score, log)| *score += weight * log);
        }
        let label = batch.label()[row] as usize;
        let importance = c * batch.weight()[row];
        let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = scores.iter().map(|score| libm::exp(score - top)).sum();
        value += importance * (libm::log(total) + top - scores[label]);
        // Residuals of the scores: d loss / d score.
        link::softmax(&mut scores);
        scores[label] -= 1.0;
        for m in available() {
            let along: f64 = scores.iter().zip(&logs[m * classes..]).map(|(s, log)| s * log).sum();
            gradient[m] += importance * along;
            gradient[modalities + m] += importance * along * z[row * modalities + m];
        }
        for (sum, slope) in gradient[2 * modalities..].iter_mut().zip(&scores) {
            *sum += importance * slope;
        }
    }
    value
}
