//! Broken-Q: the ways in which quality is permuted or replaced.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use fuseline_artifact::{Cohort, Digest};
use fuseline_engine::{SharedValues, StageError};
use fuseline_host::{Batch, OpenModel, Permuted};
use fuseline_stats::permutation::{self, Intervention, Permuter, Residuals, Rows, Scheme};
use fuseline_stats::quality_regression::QualityRegression;

use crate::batch::Fusable;
use crate::diagnose::chance;
use crate::diagnose::draws::Index;
use crate::diagnose::strata::{Known, refused, strata};
use crate::diagnose::training;
use crate::rows::rows_digest;

/// Plan of how quality is broken.
pub(crate) struct Plan<'a> {
    pub intervention: Intervention,
    pub permutations: u32,
    /// Into how many bins the confidence of each modality is cut.
    pub bins: u32,
    pub seed: u64,
    /// For each modality, whether its quality is broken.
    pub chosen: &'a [bool],
    /// Regression of quality on the evidence, for the scheme that exchanges the residuals.
    pub regression: Option<QualityRegression>,
}

/// Every broken quality that a model is asked about.
pub(crate) enum Broken {
    /// Quality taken from other rows.
    Permuted { permutations: u32, mask: u64, permuter: Box<Permuter> },
    /// Quality that is no other row's, drawn anew when it is asked for.
    Drawn { permutations: u32, from: Drawn },
    /// Quality replaced once: rows x modalities.
    Replaced(Vec<f64>),
}

/// Room to ask about some permutations, used again and again.
#[derive(Default)]
pub(crate) struct Room {
    index: Vec<u32>,
    predictions: Vec<f64>,
}

/// Clean-Q and the first permutations, as the model predicts them.
pub(crate) struct FirstPart {
    /// rows x classes.
    pub clean: Vec<f64>,
    /// permutations x rows x classes.
    pub predictions: Vec<f64>,
}

/// Source that quality is drawn from.
pub(crate) enum Drawn {
    /// Rows whose modalities exchange their qualities.
    Swap(Swap),
    /// Rows that exchange the residuals of quality given the evidence.
    Residual { permuter: Box<Permuter>, parts: Residuals, chosen: Vec<bool> },
}

impl Drawn {
    /// rows x modalities.
    fn draw(&self, number: u32) -> Result<Vec<f64>, StageError> {
        match self {
            Self::Swap(swap) => swap.draw(number),
            Self::Residual { permuter, parts, chosen } => {
                Ok(parts.exchange(&permuter.draw(number.into()), chosen))
            }
        }
    }
}

/// Source that an exchange within rows is drawn from.
pub(crate) struct Swap {
    quality: Vec<f64>,
    /// rows x modalities: what may be exchanged.
    open: Vec<bool>,
    modalities: usize,
    digest: Digest,
    seed: u64,
}

impl Swap {
    fn rows(&self) -> Rows<'_> {
        Rows {
            modalities: self.modalities,
            available: &self.open,
            group: None,
            stratum: None,
            digest: self.digest.as_bytes(),
        }
    }

    fn draw(&self, number: u32) -> Result<Vec<f64>, StageError> {
        permutation::modality_swap(&self.quality, &self.rows(), self.seed, number.into())
            .map_err(refused)
    }
}

impl Broken {
    /// Prepares the permutations of a plan; an error when it can break nothing.
    pub fn new(plan: &Plan<'_>, fusable: &Fusable, cohort: &Cohort) -> Result<Self, StageError> {
        let digest = rows_digest(&fusable.example_id);
        let available: Vec<bool> = fusable.available.iter().map(|&there| there == 1).collect();
        let by_group = [Scheme::WithinGroup, Scheme::WholeGroups].map(Intervention::Permutation);
        let group = by_group.contains(&plan.intervention).then(|| groups(fusable, cohort));
        let mut rows = Rows {
            modalities: plan.chosen.len(),
            available: &available,
            group: group.as_deref(),
            stratum: None,
            digest: digest.as_bytes(),
        };
        match plan.intervention {
            Intervention::Permutation(scheme) => {
                let labels = fusable.labels(cohort);
                let known = Known {
                    labels: &labels,
                    evidence: fusable.rated_evidence(),
                    classes: fusable.classes.len(),
                    bins: plan.bins,
                };
                let stratum = strata(scheme, &rows, &known)?;
                rows.stratum = stratum.as_deref();
                let permuter = Permuter::new(scheme, &rows, plan.seed).map_err(refused)?;
                let movable = permuter.movable_rows();
                tracing::info!(
                    scheme = scheme.name(),
                    movable,
                    rows = permuter.rows(),
                    "permuting quality"
                );
                if movable == 0 {
                    return Err(StageError::data(format!(
                        "the scheme {} can move the quality of no test example",
                        scheme.name()
                    ))
                    .at("scheme")
                    .hint(
                        "every example is alone with its modalities, group or stratum: use joint, \
                         or fewer bins",
                    ));
                }
                let permutations = plan.permutations;
                if scheme == Scheme::ConditionalResidual {
                    let fitted = plan.regression.as_ref().ok_or_else(|| {
                        StageError::data("the scheme conditional_residual needs training rows")
                    })?;
                    let expected = training::expected(fitted, fusable)?;
                    let width = plan.chosen.len();
                    let parts = Residuals::new(width, &available, &fusable.quality, expected);
                    let from = Drawn::Residual {
                        permuter: Box::new(permuter),
                        parts: parts.map_err(refused)?,
                        chosen: plan.chosen.to_vec(),
                    };
                    return Ok(Self::Drawn { permutations, from });
                }
                let bits = plan.chosen.iter().zip(0..);
                let mask = bits.map(|(&chosen, bit)| u64::from(chosen) << bit).sum();
                Ok(Self::Permuted { permutations, mask, permuter: Box::new(permuter) })
            }
            Intervention::ModalitySwap | Intervention::Constant => {
                // Modalities that are not chosen are left alone, as if they were not there.
                let open: Vec<bool> = available
                    .iter()
                    .zip(plan.chosen.iter().cycle())
                    .map(|(there, chosen)| *there && *chosen)
                    .collect();
                if plan.intervention == Intervention::Constant {
                    rows.available = &open;
                    let level = permutation::constant(&fusable.quality, &rows);
                    return Ok(Self::Replaced(level.map_err(refused)?));
                }
                let swap = Swap {
                    quality: fusable.quality.clone(),
                    open,
                    modalities: plan.chosen.len(),
                    digest,
                    seed: plan.seed,
                };
                Ok(Self::Drawn { permutations: plan.permutations, from: Drawn::Swap(swap) })
            }
        }
    }

    /// Number of permutations.
    pub fn len(&self) -> u32 {
        match self {
            Self::Permuted { permutations, .. } | Self::Drawn { permutations, .. } => *permutations,
            Self::Replaced(_) => 1,
        }
    }

    /// Predicts Clean-Q and the first permutations with the model, all in one way and in an order
    /// that does not reveal which of them is Clean-Q.
    pub fn ask_first(
        &self,
        model: &OpenModel,
        batch: &Batch,
        count: u32,
    ) -> Result<FirstPart, StageError> {
        let width = batch.rows() * batch.classes().len();
        let place = chance::below(count as usize + 1);
        let mut out = vec![0.0; (count as usize + 1) * width];
        match self {
            Self::Permuted { mask, permuter, .. } => {
                let (rows, columns) = (permuter.rows(), permuter.columns());
                let mut index = vec![0; (count as usize + 1) * columns * rows];
                let mut numbers = 0..u64::from(count);
                for (at, index) in index.chunks_exact_mut(columns * rows).enumerate() {
                    match if at == place { None } else { numbers.next() } {
                        Some(number) => permuter.draw_into(number, index),
                        None => index
                            .iter_mut()
                            .zip((0..rows as u32).cycle())
                            .for_each(|(at, row)| *at = row),
                    }
                }
                let permutations = count as usize + 1;
                model.predict_permuted(batch, &index, permutations, columns, *mask, &mut out)?;
            }
            Self::Drawn { .. } | Self::Replaced(_) => {
                let mut numbers = 0..count;
                for (at, out) in out.chunks_exact_mut(width.max(1)).enumerate() {
                    match if at == place { None } else { numbers.next() } {
                        Some(number) => self.predict(model, batch, number..number + 1, out)?,
                        None => ask(model, batch, batch.quality(), out)?,
                    }
                }
            }
        }
        let clean = out.drain(place * width..(place + 1) * width).collect();
        Ok(FirstPart { clean, predictions: out })
    }

    /// The chance of each row to get another quality than its own: 0 where it is among equal
    /// qualities only, and where nothing of its quality is broken. `fusable`: the rows that it was
    /// built from.
    pub fn change_chances(&self, fusable: &Fusable) -> Result<Vec<f64>, StageError> {
        let width = fusable.modalities.len();
        let cell = |row: u32, modality: usize| row as usize * width + modality;
        let own = |modality: usize, row: u32| {
            // Adding 0 makes one of both zeros.
            (fusable.available[cell(row, modality)] == 1)
                .then(|| (fusable.quality[cell(row, modality)] + 0.0).to_bits())
        };
        match self {
            Self::Permuted { mask, permuter, .. } => {
                let masked = |modality: &usize| mask >> modality & 1 == 1;
                Ok(permuter.change_chances(|column, row| {
                    let moved = if permuter.columns() == 1 { 0..width } else { column..column + 1 };
                    moved.filter(masked).map(|modality| own(modality, row)).collect::<Vec<_>>()
                }))
            }
            Self::Drawn { from: Drawn::Swap(swap), .. } => {
                permutation::swap_change_chances(&swap.quality, &swap.rows()).map_err(refused)
            }
            Self::Drawn { from: Drawn::Residual { permuter, parts, chosen }, .. } => Ok(permuter
                .change_chances(|_, row| {
                    let moved = (0..width).filter(|&modality| {
                        chosen[modality] && fusable.available[cell(row, modality)] == 1
                    });
                    moved.map(|at| (parts.residual(row, at) + 0.0).to_bits()).collect::<Vec<_>>()
                })),
            Self::Replaced(quality) => Ok(quality
                .chunks_exact(width)
                .zip(fusable.quality.chunks_exact(width))
                .map(|(replaced, own)| f64::from(u8::from(replaced != own)))
                .collect()),
        }
    }

    /// Predicts some of them with the model. `out`: permutations x rows x classes.
    pub fn predict(
        &self,
        model: &OpenModel,
        batch: &Batch,
        which: Range<u32>,
        out: &mut [f64],
    ) -> Result<(), StageError> {
        match self {
            Self::Permuted { mask, permuter, .. } => {
                let columns = permuter.columns();
                let mut index = vec![0; which.len() * columns * permuter.rows()];
                permuter.draw_range(which.clone(), &mut index);
                model.predict_permuted(batch, &index, which.len(), columns, *mask, out)?;
            }
            Self::Drawn { from, .. } => {
                let width = batch.rows() * batch.classes().len();
                for (number, out) in which.zip(out.chunks_exact_mut(width)) {
                    ask(model, batch, &from.draw(number)?, out)?;
                }
            }
            Self::Replaced(quality) => ask(model, batch, quality, out)?,
        }
        Ok(())
    }

    /// All permutations, drawn once for all rules and qualities that are tested on the same rows;
    /// none where they are too many to be kept.
    pub fn draw_all(&self, shared: &SharedValues) -> Option<Arc<Index>> {
        match self {
            Self::Permuted { permutations, permuter, .. } => {
                Index::draw(shared, permuter, *permutations)
            }
            Self::Drawn { .. } | Self::Replaced(_) => None,
        }
    }

    /// Predicts some of them with the model, and looks at the predictions in the order of rows in
    /// which the model leaves them, which is the same in every call: see
    /// [`OpenModel::count_permuted`]. `drawn`: all permutations, where they are kept.
    pub fn visit(
        &self,
        model: &OpenModel,
        batch: &Batch,
        which: Range<u32>,
        drawn: Option<&Index>,
        room: &mut Room,
        look: impl FnOnce(&[f64], &[usize]) -> bool,
    ) -> Result<(), StageError> {
        let Room { index, predictions } = room;
        predictions.resize(which.len() * batch.rows() * batch.classes().len(), 0.0);
        let Self::Permuted { mask, permuter, .. } = self else {
            self.predict(model, batch, which, predictions)?;
            let order: Vec<usize> = (0..batch.rows()).collect();
            look(predictions, &order);
            return Ok(());
        };
        let index = match drawn {
            Some(drawn) => drawn.range(which.clone()),
            None => {
                index.resize(which.len() * permuter.columns() * permuter.rows(), 0);
                permuter.draw_range(which.clone(), index);
                index
            }
        };
        let permuted = Permuted {
            index,
            permutations: which.len(),
            columns: permuter.columns(),
            modality_mask: *mask,
        };
        Ok(model.count_permuted(batch, &permuted, predictions, look)?)
    }
}

/// Predicts the same rows with another quality.
fn ask(
    model: &OpenModel,
    batch: &Batch,
    quality: &[f64],
    out: &mut [f64],
) -> Result<(), StageError> {
    let batch =
        batch.with_quality(quality).map_err(|error| StageError::failed(error.to_string()))?;
    out.copy_from_slice(&model.predict(&batch)?);
    Ok(())
}

/// The number of each row's group.
fn groups(fusable: &Fusable, cohort: &Cohort) -> Vec<u32> {
    let mut number = BTreeMap::new();
    fusable
        .rows
        .iter()
        .map(|&row| {
            let next = number.len() as u32;
            *number.entry(&cohort.group[row]).or_insert(next)
        })
        .collect()
}

#[cfg(test)]
mod tests;
