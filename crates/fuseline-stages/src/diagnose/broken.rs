//! Broken-Q: the ways in which quality is permuted or replaced.

use std::collections::BTreeMap;
use std::ops::Range;

use fuseline_artifact::Cohort;
use fuseline_engine::StageError;
use fuseline_host::{Batch, OpenModel};
use fuseline_stats::permutation::{self, Context};

use crate::batch::Fusable;
use crate::diagnose::permute_quality::Scheme;
use crate::rows::rows_digest;

/// Every broken quality that a model is asked about.
pub(crate) enum Broken {
    /// Quality taken from other rows.
    Permuted { permutations: u32, columns: usize, mask: u64, draw: Box<Draw> },
    /// Quality replaced: rows x modalities each time.
    Replaced(Vec<Vec<f64>>),
}

/// What an index of rows is drawn from.
pub(crate) struct Draw {
    scheme: permutation::Scheme,
    context: Context,
    seed: u64,
    rows: [u8; 32],
}

impl Broken {
    /// Prepares the scheme. `chosen`: for each modality, whether its quality is broken.
    pub fn new(
        scheme: Scheme,
        permutations: u32,
        strata: u32,
        seed: u64,
        fusable: &Fusable,
        cohort: &Cohort,
        chosen: &[bool],
    ) -> Result<Self, StageError> {
        let scheme = match scheme {
            Scheme::Joint => permutation::Scheme::Joint,
            Scheme::PerModality => permutation::Scheme::PerModality,
            Scheme::WithinGroup => permutation::Scheme::WithinGroup,
            Scheme::Conditional => permutation::Scheme::Conditional,
            Scheme::Derangement => permutation::Scheme::Derangement,
            Scheme::ModalitySwap => return Ok(Self::Replaced(swapped(fusable, chosen))),
            Scheme::Constant => return Ok(Self::Replaced(vec![constant(fusable, chosen)])),
        };
        if chosen.len() > 64 {
            return Err(StageError::failed("at most 64 modalities can be permuted"));
        }
        let mask = chosen.iter().zip(0..).map(|(&chosen, bit)| u64::from(chosen) << bit).sum();
        let context = Context {
            modalities: chosen.len(),
            available: fusable.available.clone(),
            group: groups(fusable, cohort),
            stratum: confidence_strata(fusable, strata),
        };
        let rows = *rows_digest(&fusable.example_ids(cohort)).as_bytes();
        let columns = permutation::columns(scheme, chosen.len());
        let draw = Box::new(Draw { scheme, context, seed, rows });
        Ok(Self::Permuted { permutations, columns, mask, draw })
    }

    /// How many there are.
    pub fn len(&self) -> u32 {
        match self {
            Self::Permuted { permutations, .. } => *permutations,
            Self::Replaced(qualities) => qualities.len() as u32,
        }
    }

    /// Asks the model about some of them. `out`: how many x rows x classes.
    pub fn predict(
        &self,
        model: &OpenModel,
        batch: &Batch,
        which: Range<u32>,
        out: &mut [f64],
    ) -> Result<(), StageError> {
        match self {
            Self::Permuted { columns, mask, draw, .. } => {
                let mut index = Vec::with_capacity(which.len() * columns * batch.rows());
                for permutation in which.clone() {
                    index.extend(permutation::index(
                        draw.scheme,
                        &draw.context,
                        draw.seed,
                        &draw.rows,
                        permutation.into(),
                    ));
                }
                model.predict_permuted(batch, &index, which.len(), *columns, *mask, out)?;
            }
            Self::Replaced(qualities) => {
                let width = batch.rows() * batch.classes().len();
                let which = which.start as usize..which.end as usize;
                for (quality, out) in qualities[which].iter().zip(out.chunks_exact_mut(width)) {
                    let batch = batch
                        .with_quality(quality)
                        .map_err(|error| StageError::failed(error.to_string()))?;
                    out.copy_from_slice(&model.predict(&batch)?);
                }
            }
        }
        Ok(())
    }
}

/// The number of each row's group.
fn groups(fusable: &Fusable, cohort: &Cohort) -> Vec<u32> {
    let mut number = BTreeMap::new();
    fusable
        .rows
        .iter()
        .map(|&row| {
            let next = number.len() as u32;
            *number.entry(cohort.group[row].as_str()).or_insert(next)
        })
        .collect()
}

/// The stratum of each row: rows ranked by the mean of the available experts' largest probabilities, cut evenly.
fn confidence_strata(fusable: &Fusable, strata: u32) -> Vec<u32> {
    let (classes, modalities) = (fusable.classes.len(), fusable.modalities.len());
    let confidence: Vec<f64> = (0..fusable.len())
        .map(|row| {
            let (mut sum, mut available) = (0.0, 0.0);
            for cell in row * modalities..(row + 1) * modalities {
                if fusable.available[cell] == 1 {
                    let probabilities = &fusable.evidence[cell * classes..][..classes];
                    sum += probabilities.iter().copied().fold(0.0, f64::max);
                    available += 1.0;
                }
            }
            sum / available
        })
        .collect();
    let mut ranked: Vec<usize> = (0..confidence.len()).collect();
    ranked.sort_by(|&a, &b| confidence[a].total_cmp(&confidence[b]).then(a.cmp(&b)));
    let mut stratum = vec![0; ranked.len()];
    for (rank, row) in ranked.iter().enumerate() {
        stratum[*row] = (rank as u64 * u64::from(strata) / ranked.len() as u64) as u32;
    }
    stratum
}

/// Each cyclic shift of the qualities among the chosen modalities that a row has.
fn swapped(fusable: &Fusable, chosen: &[bool]) -> Vec<Vec<f64>> {
    let modalities = chosen.len();
    let most = chosen.iter().filter(|chosen| **chosen).count();
    (1..most.max(2))
        .map(|shift| {
            let mut quality = fusable.quality.clone();
            for row in 0..fusable.len() {
                let cells: Vec<usize> = (0..modalities)
                    .filter(|&modality| chosen[modality])
                    .map(|modality| row * modalities + modality)
                    .filter(|&cell| fusable.available[cell] == 1)
                    .collect();
                for (at, &cell) in cells.iter().enumerate() {
                    quality[cell] = fusable.quality[cells[(at + shift) % cells.len()]];
                }
            }
            quality
        })
        .collect()
}

/// The mean quality of each chosen modality, for every row that has it.
fn constant(fusable: &Fusable, chosen: &[bool]) -> Vec<f64> {
    let mut quality = fusable.quality.clone();
    for modality in (0..chosen.len()).filter(|&modality| chosen[modality]) {
        let cells = || {
            (modality..fusable.quality.len())
                .step_by(chosen.len())
                .filter(|&cell| fusable.available[cell] == 1)
        };
        let (mut sum, mut available) = (0.0, 0.0);
        for cell in cells() {
            sum += fusable.quality[cell];
            available += 1.0;
        }
        for cell in cells() {
            quality[cell] = sum / available;
        }
    }
    quality
}

#[cfg(test)]
mod tests;
