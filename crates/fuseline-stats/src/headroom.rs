//! Headroom: the gain of a perfect choice among the modalities.

use crate::metrics::{MetricError, auroc, spearman};

/// AUROCs that differ by less are as far from 0.5: those of two classes add up to 1 but for
/// rounding.
const TIE: f64 = 1e-12;

/// Correctness of each modality's expert, row by row.
#[derive(Debug, Clone, Copy)]
pub struct Experts<'a> {
    /// Number of modalities.
    pub modalities: usize,
    /// n rows by modalities, row-major: whether the modality is there.
    pub available: &'a [bool],
    /// n rows by modalities, row-major: whether its expert is right; not read where it is
    /// unavailable.
    pub correct: &'a [bool],
    /// The n labels, class numbers below `classes`.
    pub labels: &'a [u32],
    /// Number of classes.
    pub classes: usize,
}

impl Experts<'_> {
    fn check(&self) -> Result<(), MetricError> {
        let expected = self.labels.len() * self.modalities;
        for (what, found) in [("available", self.available.len()), ("correct", self.correct.len())]
        {
            if found != expected {
                return Err(MetricError::Length { what, expected, found });
            }
        }
        if self.labels.is_empty() || self.modalities == 0 {
            return Err(MetricError::Empty);
        }
        Ok(())
    }

    /// For each row, true if modality m is available and right.
    fn right(&self, modality: usize) -> impl Iterator<Item = bool> {
        let there = self.available.iter().skip(modality).step_by(self.modalities);
        let right = self.correct.iter().skip(modality).step_by(self.modalities);
        there.zip(right).map(|(there, right)| *there && *right)
    }

    /// For each row, true if any available modality is right: the oracle's decisions. Errors when a
    /// length is wrong or there are no rows.
    pub fn oracle(&self) -> Result<Vec<bool>, MetricError> {
        self.check()?;
        let rows = self.available.chunks(self.modalities).zip(self.correct.chunks(self.modalities));
        Ok(rows
            .map(|(there, right)| there.iter().zip(right).any(|(there, right)| *there && *right))
            .collect())
    }

    /// Balanced accuracy of each modality on its own. A row where it is unavailable counts as
    /// wrong: alone it has no answer there. Errors as [`Self::oracle`], and when a label is no
    /// class.
    pub fn unimodal(&self) -> Result<Vec<f64>, MetricError> {
        self.check()?;
        (0..self.modalities)
            .map(|modality| {
                let right: Vec<bool> = self.right(modality).collect();
                balanced_accuracy_of(self.labels, self.classes, &right)
            })
            .collect()
    }

    /// The modality of the largest balanced accuracy on its own, the first of equals, with that
    /// accuracy.
    pub fn best_unimodal(&self) -> Result<(usize, f64), MetricError> {
        let mut best = (0, f64::NEG_INFINITY);
        for (modality, accuracy) in self.unimodal()?.into_iter().enumerate() {
            if accuracy > best.1 {
                best = (modality, accuracy);
            }
        }
        Ok(best)
    }

    /// Balanced accuracy of one modality a row, chosen before its label is seen. A row where that is
    /// unavailable counts as wrong.
    ///
    /// `chosen`: n, below the number of modalities. Errors as [`Self::unimodal`], and when the length
    /// differs or a choice is no modality.
    pub fn chosen(&self, chosen: &[usize]) -> Result<f64, MetricError> {
        self.check()?;
        let (expected, found) = (self.labels.len(), chosen.len());
        if found != expected {
            return Err(MetricError::Length { what: "chosen", expected, found });
        }
        if let Some(row) = chosen.iter().position(|&modality| modality >= self.modalities) {
            let (value, classes) = (chosen[row] as u32, self.modalities);
            return Err(MetricError::Class { what: "chosen", row, value, classes });
        }
        let cells = chosen.iter().enumerate().map(|(row, m)| row * self.modalities + m);
        let right: Vec<bool> =
            cells.map(|cell| self.available[cell] && self.correct[cell]).collect();
        balanced_accuracy_of(self.labels, self.classes, &right)
    }

    /// Gain of a perfect choice among the modalities over a fused decision.
    ///
    /// `fused`: n, whether the fused decision is right. Errors as [`Self::unimodal`], and when the
    /// length differs.
    pub fn headroom(&self, fused: &[bool]) -> Result<Headroom, MetricError> {
        let oracle = self.oracle()?;
        let of = |right: &[bool]| balanced_accuracy_of(self.labels, self.classes, right);
        let (oracle_accuracy, fused_accuracy) = (of(&oracle)?, of(fused)?);
        let missed =
            oracle.iter().zip(fused).filter(|(oracle, fused)| **oracle && !**fused).count();
        let beyond =
            oracle.iter().zip(fused).filter(|(oracle, fused)| !**oracle && **fused).count();
        let rows = self.labels.len() as f64;
        Ok(Headroom {
            oracle: oracle_accuracy,
            headroom: oracle_accuracy - fused_accuracy,
            regret: missed as f64 / rows,
            beyond_oracle: beyond as f64 / rows,
        })
    }

    /// AUROC and other measures of how well quality predicts that the expert of each modality is
    /// right, over the rows where it is available.
    ///
    /// `quality`: n rows by modalities, row-major. A measure that is undefined (the expert is
    /// always right or always wrong there, quality is constant) is none. Errors as
    /// [`Self::oracle`], when the length differs or a quality that counts is NaN.
    pub fn alignment(&self, quality: &[f64]) -> Result<Vec<Alignment>, MetricError> {
        self.check()?;
        self.check_quality(quality)?;
        let defined = |value: Result<f64, MetricError>| match value {
            Ok(value) => Ok(Some(value)),
            Err(MetricError::Undefined { .. }) => Ok(None),
            Err(error) => Err(error),
        };
        (0..self.modalities)
            .map(|modality| {
                let there = (modality..quality.len()).step_by(self.modalities);
                let there: Vec<usize> = there.filter(|&at| self.available[at]).collect();
                let right: Vec<bool> = there.iter().map(|&at| self.correct[at]).collect();
                let own: Vec<f64> = there.iter().map(|&at| quality[at]).collect();
                let as_number: Vec<f64> =
                    right.iter().map(|&right| f64::from(u8::from(right))).collect();
                Ok(Alignment {
                    auroc: defined(auroc(&own, &right))?,
                    spearman: defined(spearman(&own, &as_number))?,
                })
            })
            .collect()
    }

    /// AUROC of each modality's quality for a class against the rest, of the class that it tells
    /// apart best: the one whose AUROC is farthest from 0.5, the last of equals, so that of two
    /// classes it is that of the second. None where all rows are of one class. Quality that tells
    /// of the label itself is far from 0.5; above or below says which way.
    ///
    /// `quality`: n rows by modalities, row-major. Over the rows where the modality is available.
    /// Errors as [`Self::alignment`].
    pub fn label_auroc(&self, quality: &[f64]) -> Result<Vec<Option<f64>>, MetricError> {
        self.check()?;
        self.check_quality(quality)?;
        let of = |modality: usize| {
            let own = (modality..quality.len()).step_by(self.modalities);
            let own: Vec<usize> = own.filter(|&at| self.available[at]).collect();
            let scores: Vec<f64> = own.iter().map(|&at| quality[at]).collect();
            let mut farthest: Option<f64> = None;
            for class in 0..self.classes {
                let positive: Vec<bool> = own
                    .iter()
                    .map(|at| self.labels[at / self.modalities] as usize == class)
                    .collect();
                match auroc(&scores, &positive) {
                    Ok(found) => {
                        let distance = |auroc: f64| (auroc - 0.5).abs();
                        if farthest.is_none_or(|top| distance(found) >= distance(top) - TIE) {
                            farthest = Some(found);
                        }
                    }
                    Err(MetricError::Undefined { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(farthest)
        };
        (0..self.modalities).map(of).collect()
    }

    /// Accuracy of the modality of highest quality on the rows where available modalities disagree
    /// about being right.
    ///
    /// `quality`: n rows by modalities, row-major. Equal highest qualities share the row. None when
    /// no row is discordant. Errors as [`Self::alignment`].
    pub fn selection_accuracy(&self, quality: &[f64]) -> Result<Option<f64>, MetricError> {
        self.check()?;
        self.check_quality(quality)?;
        let (mut sum, mut rows) = (0.0, 0_u64);
        for row in 0..self.labels.len() {
            let there = self.available_in(row);
            let right = there.iter().filter(|&&at| self.correct[at]).count();
            if right == 0 || right == there.len() {
                continue;
            }
            sum += self.highest(quality, &there);
            rows += 1;
        }
        Ok((rows > 0).then(|| sum / rows as f64))
    }

    /// Balanced accuracy of always believing the available modality of highest quality.
    ///
    /// `quality`: n rows by modalities, row-major. Equal highest qualities share the row; one
    /// without any modality counts as wrong. Errors as [`Self::alignment`], and when a label is no
    /// class.
    pub fn highest_quality(&self, quality: &[f64]) -> Result<f64, MetricError> {
        self.check()?;
        self.check_quality(quality)?;
        let share = |row| self.highest(quality, &self.available_in(row));
        let right: Vec<f64> = (0..self.labels.len()).map(share).collect();
        balanced_accuracy_of(self.labels, self.classes, &right)
    }

    /// The places of one row at which a modality is available.
    fn available_in(&self, row: usize) -> Vec<usize> {
        let places = row * self.modalities..(row + 1) * self.modalities;
        places.filter(|&at| self.available[at]).collect()
    }

    /// Share that is right of the modalities of highest quality among those at some places of one
    /// row; 0 of none.
    fn highest(&self, quality: &[f64], there: &[usize]) -> f64 {
        let top = there.iter().map(|&at| quality[at]).fold(f64::NEG_INFINITY, f64::max);
        let chosen = || there.iter().filter(|&&at| quality[at] >= top);
        let right = chosen().filter(|&&at| self.correct[at]).count();
        right as f64 / chosen().count().max(1) as f64
    }

    fn check_quality(&self, quality: &[f64]) -> Result<(), MetricError> {
        let (expected, found) = (self.available.len(), quality.len());
        if expected != found {
            return Err(MetricError::Length { what: "quality", expected, found });
        }
        match quality
            .iter()
            .zip(self.available)
            .position(|(quality, &there)| there && quality.is_nan())
        {
            Some(at) => Err(MetricError::NotANumber { row: at / self.modalities }),
            None => Ok(()),
        }
    }
}

/// See [`Experts::headroom`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Headroom {
    /// Balanced accuracy of the per-example oracle.
    pub oracle: f64,
    /// That less the fused decision's; negative when the fused decision beats the oracle.
    pub headroom: f64,
    /// Share of rows where some available modality is right and the fused decision is not.
    pub regret: f64,
    /// Share of rows where the fused decision is right and no available modality is: beyond any
    /// routing.
    pub beyond_oracle: f64,
}

/// See [`Experts::alignment`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Alignment {
    /// AUROC of quality for the expert being right, ties half.
    pub auroc: Option<f64>,
    /// Spearman correlation of quality with the expert being right.
    pub spearman: Option<f64>,
}

/// Balanced accuracy of decisions of which is known whether they are right, or which share of each
/// is.
///
/// `right`: n, truth values or numbers from 0 to 1. Errors when a length is wrong, a label is no
/// class, or there are no rows.
pub fn balanced_accuracy_of(
    labels: &[u32],
    classes: usize,
    right: &[impl Copy + Into<f64>],
) -> Result<f64, MetricError> {
    if labels.len() != right.len() {
        return Err(MetricError::Length {
            what: "right",
            expected: labels.len(),
            found: right.len(),
        });
    }
    let (mut rows, mut correct) = (vec![0.0; classes], vec![0.0; classes]);
    for (row, (&label, &right)) in labels.iter().zip(right).enumerate() {
        if label as usize >= classes {
            return Err(MetricError::Class { what: "label", row, value: label, classes });
        }
        rows[label as usize] += 1.0;
        correct[label as usize] += right.into();
    }
    let present = rows.iter().zip(&correct).filter(|(rows, _)| **rows > 0.0);
    let recalls: Vec<f64> = present.map(|(rows, correct)| correct / rows).collect();
    match recalls.len() {
        0 => Err(MetricError::Empty),
        classes => Ok(recalls.iter().sum::<f64>() / classes as f64),
    }
}

#[cfg(test)]
mod tests;
