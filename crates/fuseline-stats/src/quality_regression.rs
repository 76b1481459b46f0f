//! Regression of quality on evidence and availability: how much of a quality the evidence says
//! already.

use rayon::prelude::*;

use crate::evidence::{certainty, margin};
use crate::metrics::{MetricError, length};
use crate::quantile;
use crate::ridge::Ridge;

/// From this out-of-fold R2 on a quality counts as derived from the evidence: docs/method.md has
/// the error that a plain permutation makes below it.
pub const EVIDENCE_DERIVED_R2: f64 = 0.05;

/// Rows of evidence, all modalities side by side.
#[derive(Debug, Clone, Copy)]
pub struct EvidenceRows<'a> {
    /// Number of modalities.
    pub modalities: usize,
    /// Number of classes.
    pub classes: usize,
    /// n rows by modalities, row-major: whether the modality is there.
    pub available: &'a [bool],
    /// n rows by modalities by classes: class probabilities; not read where the modality is
    /// unavailable.
    pub evidence: &'a [f64],
}

impl EvidenceRows<'_> {
    fn count(&self) -> Result<usize, MetricError> {
        let count = self.available.len() / self.modalities.max(1);
        length("available", count * self.modalities, self.available.len())?;
        length("evidence", self.available.len() * self.classes, self.evidence.len())?;
        Ok(count)
    }

    /// The evidence as a regression sees it: n rows by [`Self::width`].
    ///
    /// Of each modality whether it is there, the probability of each class, its margin and its
    /// certainty (1 - H / ln K); of each pair of modalities how far they agree, the
    /// sum over classes of p p'. 0 where a modality is unavailable. Margins and certainties are
    /// columns since a sum of probabilities bends nowhere, and what is computed from evidence
    /// mostly does. Of two classes the second says what the first does; of more none is left out,
    /// since the penalty would favour it: classes in another order are the same evidence.
    ///
    /// With a single class the evidence is a number that is expected: its robust score (see
    /// [`Self::scales`]), cut at +-3, and the size of that stand for probabilities, margin and
    /// certainty, and the score for the probability of a pair.
    fn columns(&self, scales: &[(f64, f64)]) -> Vec<f64> {
        let mut columns = Vec::new();
        let cells = self.available.chunks_exact(self.modalities.max(1));
        let evidence = self.evidence.chunks_exact((self.modalities * self.classes).max(1));
        for (available, evidence) in cells.zip(evidence) {
            let scored: Vec<f64> = match self.classes {
                1 => evidence
                    .iter()
                    .zip(scales)
                    .map(|(number, (centre, scale))| ((number - centre) / scale).clamp(-3.0, 3.0))
                    .collect(),
                _ => evidence.to_vec(),
            };
            let of = |modality: usize| &scored[modality * self.classes..][..self.classes];
            for (modality, &there) in available.iter().enumerate() {
                let p = of(modality);
                let seen = match p {
                    [score] => [*score, score.abs()],
                    _ => [margin(p), certainty(p)],
                };
                let seen = p[..self.probabilities()].iter().chain(&seen);
                columns.push(f64::from(u8::from(there)));
                columns.extend(seen.map(|value| if there { *value } else { 0.0 }));
            }
            for one in 0..self.modalities {
                for other in one + 1..self.modalities {
                    let agreement: f64 = of(one).iter().zip(of(other)).map(|(p, q)| p * q).sum();
                    columns.push(if available[one] && available[other] { agreement } else { 0.0 });
                }
            }
        }
        columns
    }

    /// Median and scaled median absolute deviation of each modality's evidence where it is there, of
    /// a single class; none of more. Numbers that experts expect have long tails.
    fn scales(&self) -> Vec<(f64, f64)> {
        if self.classes != 1 {
            return Vec::new();
        }
        let median = |values: &mut Vec<f64>| {
            values.sort_by(f64::total_cmp);
            quantile::of_sorted(values, 0.5).unwrap_or(0.0)
        };
        let scale = |modality: usize| {
            let cells = (modality..self.available.len()).step_by(self.modalities.max(1));
            let there = cells.filter(|&cell| self.available[cell]);
            let mut values: Vec<f64> = there.map(|cell| self.evidence[cell]).collect();
            let centre = median(&mut values);
            let mut apart: Vec<f64> = values.iter().map(|value| (value - centre).abs()).collect();
            let scale = 1.4826 * median(&mut apart);
            (centre, if scale > 1e-12 * centre.abs().max(1.0) { scale } else { 1.0 })
        };
        (0..self.modalities).map(scale).collect()
    }

    /// Number of columns of probabilities of a modality.
    fn probabilities(&self) -> usize {
        if self.classes > 2 { self.classes } else { self.classes.saturating_sub(1) }
    }

    /// Columns of a regression.
    fn width(&self) -> usize {
        let pairs = self.modalities * self.modalities.saturating_sub(1) / 2;
        self.modalities * (self.probabilities() + 3) + pairs
    }
}

/// A ridge regression of each modality's quality on the evidence and availability of all
/// modalities.
#[derive(Debug, Clone, PartialEq)]
pub struct QualityRegression {
    /// None where no row has the modality.
    of_modality: Vec<Option<Ridge>>,
    /// Scales of evidence that is a number.
    scales: Vec<(f64, f64)>,
}

impl QualityRegression {
    /// Fits each modality on the rows that have it. `quality`: n rows by modalities.
    ///
    /// Errors when a length is wrong, or a number that counts is not finite.
    pub fn fit(rows: &EvidenceRows<'_>, quality: &[f64]) -> Result<Self, MetricError> {
        let every: Vec<usize> = (0..rows.count()?).collect();
        length("quality", rows.available.len(), quality.len())?;
        let scales = rows.scales();
        let fitted = Self::fit_some(rows, &rows.columns(&scales), quality, &every)?;
        Ok(Self { scales, ..fitted })
    }

    fn fit_some(
        rows: &EvidenceRows<'_>,
        columns: &[f64],
        quality: &[f64],
        some: &[usize],
    ) -> Result<Self, MetricError> {
        let width = rows.width();
        let fit = |modality: usize| {
            let cell = |row: &usize| row * rows.modalities + modality;
            let own = some.iter().filter(|row| rows.available[cell(row)]);
            let y: Vec<f64> = own.clone().map(|row| quality[cell(row)]).collect();
            match y.is_empty() {
                true => Ok(None),
                false => {
                    let x = own.map(|row| &columns[row * width..][..width]);
                    Ridge::fit(x, width, &y).map(Some)
                }
            }
        };
        let of_modality = (0..rows.modalities).map(fit).collect::<Result<_, _>>()?;
        Ok(Self { of_modality, scales: Vec::new() })
    }

    /// The quality that the evidence lets expect: n rows by modalities, 0 where a modality is
    /// unavailable.
    ///
    /// Errors when a length is wrong, or a modality is there of which no row was fitted on.
    pub fn predict(&self, rows: &EvidenceRows<'_>) -> Result<Vec<f64>, MetricError> {
        let count = rows.count()?;
        length("modalities", self.of_modality.len(), rows.modalities)?;
        let columns = rows.columns(&self.scales);
        self.predict_some(rows, &columns, &(0..count).collect::<Vec<_>>())
    }

    /// The penalty of each modality's regression; none where no row has the modality.
    #[must_use]
    pub fn penalties(&self) -> Vec<Option<f64>> {
        self.of_modality.iter().map(|ridge| ridge.as_ref().map(Ridge::penalty)).collect()
    }

    fn predict_some(
        &self,
        rows: &EvidenceRows<'_>,
        columns: &[f64],
        some: &[usize],
    ) -> Result<Vec<f64>, MetricError> {
        let width = rows.width();
        let mut expected = Vec::with_capacity(some.len() * rows.modalities);
        for row in some {
            for (modality, ridge) in self.of_modality.iter().enumerate() {
                expected.push(match (rows.available[row * rows.modalities + modality], ridge) {
                    (false, _) => 0.0,
                    (true, Some(ridge)) => ridge.predict(&columns[row * width..][..width]),
                    (true, None) => {
                        let reason = "a modality has no row to fit on";
                        let metric = "the regression of quality on evidence";
                        return Err(MetricError::Undefined { metric, reason });
                    }
                });
            }
        }
        Ok(expected)
    }
}

/// R2 of each modality's quality given the evidence, each row predicted by a regression that was
/// fitted on the other folds: 1 - sum (q - predicted)^2 / sum (q - mean)^2 over the rows that have
/// the modality.
///
/// `quality`: n rows by modalities; `fold`: the fold of each row. None where quality does not vary,
/// or the rows are of a single fold. It is below 0 where the evidence tells nothing and the
/// regression learns noise.
///
/// Errors when a length is wrong, or a number that counts is not finite.
pub fn out_of_fold_r2(
    rows: &EvidenceRows<'_>,
    quality: &[f64],
    fold: &[u32],
) -> Result<Vec<Option<f64>>, MetricError> {
    let count = rows.count()?;
    length("quality", rows.available.len(), quality.len())?;
    length("fold", count, fold.len())?;
    let columns = rows.columns(&rows.scales());
    let mut expected = vec![f64::NAN; quality.len()];
    let mut folds = fold.to_vec();
    folds.sort_unstable();
    folds.dedup();
    let predicted = folds.into_par_iter().map(|tested| {
        let (own, others): (Vec<usize>, Vec<usize>) =
            (0..count).partition(|&row| fold[row] == tested);
        let fitted = QualityRegression::fit_some(rows, &columns, quality, &others)?;
        Ok(fitted.predict_some(rows, &columns, &own).ok().map(|predicted| (own, predicted)))
    });
    let predicted: Vec<_> = predicted.collect::<Result<_, MetricError>>()?;
    for (own, predicted) in predicted.into_iter().flatten() {
        for (row, predicted) in own.iter().zip(predicted.chunks_exact(rows.modalities)) {
            expected[row * rows.modalities..][..rows.modalities].copy_from_slice(predicted);
        }
    }
    let r2 = |modality: usize| {
        let own = || {
            let cells = (modality..quality.len()).step_by(rows.modalities);
            cells.filter(|&cell| rows.available[cell])
        };
        let mean = own().map(|cell| quality[cell]).sum::<f64>() / own().count().max(1) as f64;
        let total: f64 = own().map(|cell| (quality[cell] - mean).powi(2)).sum();
        let left: f64 = own().map(|cell| (quality[cell] - expected[cell]).powi(2)).sum();
        let varies = total > 1e-24 * mean.abs().max(1.0).powi(2) * own().count() as f64;
        (varies && left.is_finite()).then(|| 1.0 - left / total)
    };
    Ok((0..rows.modalities).map(r2).collect())
}

#[cfg(test)]
mod tests;
