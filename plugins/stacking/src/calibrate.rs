//! Calibration of each modality's evidence.

use fuseline_learn::calibration::{Isotonic, Temperature};
use fuseline_learn::input::InputError;
use fuseline_plugin::{ModelReader, ModelWriter, RuleError, TrainingBatch};

/// A calibrated probability below this counts as this: isotonic regression gives 0 where it has
/// seen few rows.
const LEAST: f64 = 1e-3;

/// Calibration of the evidence of one modality.
#[derive(Debug)]
pub enum Calibrator {
    Temperature(Temperature),
    /// One a class.
    Isotonic(Vec<Isotonic>),
}

impl Calibrator {
    /// Fits on the rows that have the modality and are among those chosen.
    pub fn fit(
        batch: &TrainingBatch<'_>,
        modality: usize,
        isotonic: bool,
        chosen: impl Fn(usize) -> bool,
    ) -> Result<Self, RuleError> {
        batch.go_on()?;
        let classes = batch.classes();
        let (mut evidence, mut labels, mut weights) = (vec![], vec![], vec![]);
        for row in (0..batch.rows()).filter(|&row| chosen(row)) {
            if batch.is_available(row, modality) {
                evidence.extend_from_slice(batch.evidence_of(row, modality));
                labels.push(batch.label()[row] as u32);
                weights.push(batch.weight()[row]);
            }
        }
        let data = |error: InputError| RuleError::data(error.to_string());
        let mut seen = vec![false; classes];
        labels.iter().for_each(|&label| seen[label as usize] = true);
        if seen.contains(&false) {
            return Ok(Self::Temperature(Temperature::new(1.0).map_err(data)?));
        }
        if !isotonic {
            // Through the values that the model's bytes hold, so that a model that is read predicts
            // the same bits.
            let fitted = Temperature::fit(&evidence, &labels, &weights, classes).map_err(data)?;
            return Ok(Self::Temperature(Temperature::new(fitted.temperature()).map_err(data)?));
        }
        let of_class = |class: usize| {
            batch.go_on()?;
            let scores: Vec<f64> = evidence.iter().skip(class).step_by(classes).copied().collect();
            let targets: Vec<f64> =
                labels.iter().map(|&label| f64::from(u8::from(label as usize == class))).collect();
            Isotonic::fit(&scores, &targets, &weights).map_err(data)
        };
        Ok(Self::Isotonic((0..classes).map(of_class).collect::<Result<_, _>>()?))
    }

    /// Fills the logarithms of the calibrated evidence less their mean.
    pub fn logs(&self, evidence: &[f64], logs: &mut [f64]) {
        logs.copy_from_slice(evidence);
        match self {
            Self::Temperature(temperature) => temperature.apply(logs, evidence.len()),
            Self::Isotonic(curves) => {
                logs.iter_mut().zip(curves).for_each(|(p, curve)| *p = curve.value(*p));
                let total: f64 = logs.iter().sum();
                if total > 0.0 {
                    logs.iter_mut().for_each(|p| *p /= total);
                }
            }
        }
        logs.iter_mut().for_each(|p| *p = libm::log(p.max(LEAST)));
        let mean = logs.iter().sum::<f64>() / logs.len() as f64;
        logs.iter_mut().for_each(|log| *log -= mean);
    }

    pub fn write(&self, model: &mut ModelWriter) {
        match self {
            Self::Temperature(temperature) => {
                model.u32(0);
                model.f64(temperature.temperature());
            }
            Self::Isotonic(curves) => {
                model.u32(1);
                for (x, y) in curves.iter().map(Isotonic::knots) {
                    model.f64s(x);
                    model.f64s(y);
                }
            }
        }
    }

    pub fn read(model: &mut ModelReader<'_>, classes: usize) -> Result<Self, RuleError> {
        let data = |error: InputError| RuleError::data(error.to_string());
        match model.u32()? {
            0 => Ok(Self::Temperature(Temperature::new(model.f64()?).map_err(data)?)),
            1 => {
                let mut curve =
                    || Isotonic::from_knots(model.any_f64s()?, model.any_f64s()?).map_err(data);
                Ok(Self::Isotonic((0..classes).map(|_| curve()).collect::<Result<_, _>>()?))
            }
            _ => Err(RuleError::data("the model has a calibration of no known kind")),
        }
    }
}

/// The part of each row: within each class, rows are ordered by a hash of seed and row_id and dealt
/// in turn.
pub fn folds(batch: &TrainingBatch<'_>, count: usize, seed: u64) -> Vec<usize> {
    let mut folds = vec![0; batch.rows()];
    for class in 0..batch.classes() {
        let mut rows: Vec<usize> =
            (0..batch.rows()).filter(|&row| batch.label()[row] as usize == class).collect();
        rows.sort_by_key(|&row| (hash(seed, batch.row_id()[row]), batch.row_id()[row]));
        rows.into_iter().enumerate().for_each(|(rank, row)| folds[row] = rank % count);
    }
    folds
}

/// SplitMix64 of one step.
fn hash(seed: u64, row_id: u64) -> u64 {
    let mut z = seed ^ row_id.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The calibrated logarithms of all rows, (row, modality, class), each by calibrators that did not
/// see the row; 0 where unavailable.
pub fn cross_fitted(
    batch: &TrainingBatch<'_>,
    isotonic: bool,
    folds: &[usize],
) -> Result<Vec<f64>, RuleError> {
    let (modalities, classes) = (batch.modalities(), batch.classes());
    let mut logs = vec![0.0; batch.rows() * modalities * classes];
    let parts = folds.iter().max().map_or(0, |last| last + 1);
    for modality in 0..modalities {
        for part in 0..parts {
            let calibrator = Calibrator::fit(batch, modality, isotonic, |row| folds[row] != part)?;
            for row in (0..batch.rows()).filter(|&row| folds[row] == part) {
                if batch.is_available(row, modality) {
                    let own = &mut logs[(row * modalities + modality) * classes..][..classes];
                    calibrator.logs(batch.evidence_of(row, modality), own);
                }
            }
        }
    }
    Ok(logs)
}
