//! Experts that predict a number: which rows they are fitted on and which they predict, as for
//! classes.

use std::borrow::Cow;

use fuseline_artifact::{AnyCohort, Cohort, VALUE};

use super::*;

/// Rows to fit on where the label is a number: features row-major with missing values as NaN.
pub(super) struct NumberTraining<'a> {
    pub features: Vec<f64>,
    pub width: usize,
    pub targets: Cow<'a, [f64]>,
}

/// Fits and predicts out of fold for the training rows, and once more on all of them for the test
/// rows, over the same inner folds as [`super::run`].
pub(super) fn run(
    inputs: &Inputs<'_>,
    outputs: &mut Outputs,
    setup: &Setup<'_>,
    cohort: AnyCohort,
    predict: impl Fn(NumberTraining<'_>, Ask<'_>) -> Result<Vec<f64>, StageError> + Sync,
) -> Result<(), StageError> {
    let AnyCohort { cohort, values, .. } = cohort;
    let values = values.ok_or_else(only_numbers)?;
    if setup.calibration != Calibration::None {
        return Err(StageError::data("calibration is of probabilities, and the label is a number")
            .at("calibration")
            .code(&fuseline_engine::codes::REGRESSION)
            .hint("leave calibration out"));
    }
    let Prepared { cohort, rows, matrix, modality } = prepare(inputs, outputs, setup, cohort)?;
    let Cohort { example_id, .. } = cohort;

    // Without an inner fold, of the test rows: fitted on all training rows.
    let answer = |left_out: Option<u32>| -> Result<Vec<f64>, StageError> {
        inputs.keep_going()?;
        let fit = || rows.train.iter().filter(|row| left_out != Some(row.inner));
        let asked: Vec<usize> = match left_out {
            None => rows.test.iter().map(|row| row.features as usize).collect(),
            Some(inner) => {
                let own = rows.train.iter().filter(|row| row.inner == inner);
                own.map(|row| row.features as usize).collect()
            }
        };
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        let targets: Vec<f64> = fit().map(|row| values[row.cohort as usize]).collect();
        if targets.is_empty() {
            return Err(StageError::data(format!(
                "no training example of modality {modality} is outside one inner fold of fold {}",
                setup.test_fold
            ))
            .hint("use fewer folds, or fewer inner_folds"));
        }
        let training = NumberTraining {
            features: matrix.gather(fit().map(|row| row.features as usize)),
            width: matrix.width(),
            targets: targets.into(),
        };
        predict(training, &|| matrix.gather(asked.iter().copied()))
    };
    let parts: Vec<Option<u32>> =
        std::iter::once(None).chain((0..setup.inner_folds).map(Some)).collect();
    let mut answers =
        parts.par_iter().map(|&part| answer(part)).collect::<Result<Vec<_>, StageError>>()?;
    let test = std::mem::take(&mut answers[0]);
    let mut each: Vec<_> = answers[1..].iter().map(|answer| answer.iter()).collect();
    let own = rows.train.iter().map(|row| each[row.inner as usize].next().copied());
    let train: Vec<f64> = own.map(|value| value.unwrap_or(f64::NAN)).collect();
    let inner = Some(inner_fold(&rows.train));
    for (port, rows, numbers, inner_fold) in
        [("train", &rows.train, train, inner), ("test", &rows.test, test, None)]
    {
        let evidence = Evidence {
            modality: modality.clone(),
            classes: vec![VALUE.to_owned()],
            example_id: ids(&example_id, rows),
            probabilities: numbers.into(),
            inner_fold,
            logits: None,
        };
        outputs.put(port, AnyEvidence(evidence.into()))?;
    }
    Ok(())
}

/// Error of an expert of numbers where the label is a class.
fn only_numbers() -> StageError {
    StageError::data("the expert predicts a number, and the label is a class")
        .hint("label: { column: ..., regression: true } keeps the number of the column")
}
