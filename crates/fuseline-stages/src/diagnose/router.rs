//! A learned router: its choice of expert is learnt from the labels of other test groups. It is an
//! upper bound, not a fusion rule.

use fuseline_engine::StageError;
use fuseline_learn::convergence::NotConverged;
use fuseline_learn::logistic::{Logistic, LogisticError, Options};
use fuseline_learn::standardise::Preprocessor;
use fuseline_learn::weights;

use crate::diagnose::experts::Pooled;
use crate::rows::decision;

/// Choices of a router.
#[derive(Debug, PartialEq)]
pub(crate) struct Routed {
    /// True if the expert that it chose is right, row by row.
    pub right: Vec<bool>,
    /// Shortfalls of its fits.
    pub not_converged: Vec<NotConverged>,
}

/// The router's choices; none where nothing can be learnt: the rows are of a single group, or a
/// class is wholly in one fold.
///
/// `group`: the rank of each row's group. The sorted groups are dealt over `folds`; for each fold a
/// logistic regression learns the label from the rows of the others, weighted so that the classes
/// count alike, from X = [P, A, Q, P * Q] standardised (without `sees_quality`, from [P, A]). That
/// an expert is right is that the label is what it decides, so that the available expert whose
/// decision is most likely the label is believed, the first of equals.
pub(crate) fn routed(
    pooled: &Pooled,
    group: &[u32],
    folds: u32,
    sees_quality: bool,
) -> Result<Option<Routed>, StageError> {
    let folds = group.iter().max().map_or(0, |last| folds.min(last + 1));
    let (modalities, classes) = (pooled.modalities.len(), pooled.classes);
    let (x, width) = design(pooled, sees_quality);
    let gather = |rows: &[usize]| -> Vec<f64> {
        rows.iter().flat_map(|row| &x[row * width..][..width]).copied().collect()
    };
    let mut right = vec![false; group.len()];
    let mut not_converged = Vec::new();
    for fold in 0..folds {
        let (ask, learn): (Vec<usize>, Vec<usize>) =
            (0..group.len()).partition(|&row| group[row] % folds == fold);
        let labels: Vec<u32> = learn.iter().map(|&row| pooled.labels[row]).collect();
        if (0..classes as u32).any(|class| !labels.contains(&class)) {
            return Ok(None);
        }
        let fit = || {
            let weights = weights::balanced(&labels, classes)?;
            let known = gather(&learn);
            let scale = Preprocessor::fit(&known, width)?;
            let known = scale.transform(&known)?;
            let model =
                Logistic::fit(&known, width, &labels, &weights, classes, &Options::default())?;
            let likely = model.predict_proba(&scale.transform(&gather(&ask))?)?;
            Ok((likely, model.not_converged()))
        };
        let (likely, shortfall) =
            fit().map_err(|error: LogisticError| StageError::failed(error.to_string()))?;
        not_converged.extend(shortfall);
        for (&row, likely) in ask.iter().zip(likely.chunks_exact(classes)) {
            let mut best: Option<(usize, f64)> = None;
            for cell in
                (row * modalities..(row + 1) * modalities).filter(|&at| pooled.available[at])
            {
                let says = likely[decision(&pooled.evidence[cell * classes..][..classes])];
                if best.is_none_or(|(_, best)| says > best) {
                    best = Some((cell, says));
                }
            }
            right[row] = best.is_some_and(|(cell, _)| pooled.correct[cell]);
        }
    }
    Ok((folds > 1).then_some(Routed { right, not_converged }))
}

/// [P, A, Q, P * Q] or [P, A], row by row, with its width; 0 where a modality is unavailable.
fn design(pooled: &Pooled, sees_quality: bool) -> (Vec<f64>, usize) {
    let (modalities, classes) = (pooled.modalities.len(), pooled.classes);
    let width = modalities * (classes + 1) * if sees_quality { 2 } else { 1 };
    let mut x = Vec::with_capacity(pooled.labels.len() * width);
    for row in 0..pooled.labels.len() {
        let cells = row * modalities..(row + 1) * modalities;
        let evidence = &pooled.evidence[cells.start * classes..cells.end * classes];
        x.extend_from_slice(evidence);
        x.extend(cells.clone().map(|cell| f64::from(u8::from(pooled.available[cell]))));
        if sees_quality {
            let quality =
                |cell: usize| if pooled.available[cell] { pooled.quality[cell] } else { 0.0 };
            x.extend(cells.clone().map(quality));
            let pairs = cells.flat_map(|cell| std::iter::repeat_n(cell, classes)).zip(evidence);
            x.extend(pairs.map(|(cell, probability)| probability * quality(cell)));
        }
    }
    (x, width)
}

#[cfg(test)]
mod tests;
