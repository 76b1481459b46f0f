//! What experts share that are not fitted here: their evidence is known for any row, and may be calibrated.

use fuseline_artifact::{Cohort, Evidence};
use fuseline_engine::{Inputs, Outputs, RowFlow, Rows, StageError};

use super::calibration::{Calibrating, Calibration, Scale};
use super::{ClassWeight, Row, Sides};
use crate::rows::fold_of_rows;

/// What every expert that is not fitted here is told.
pub(crate) struct External<'a> {
    pub test_fold: i32,
    /// The modality's name, when the workflow gives one.
    pub modality: Option<&'a str>,
    pub calibration: Calibration,
    /// Over how many folds the training rows are divided for their calibration.
    pub inner_folds: u32,
    pub class_weight: ClassWeight,
}

impl External<'_> {
    /// The leakage guard: the evidence was shaped by what the model saw, and by the rows that it is calibrated on.
    pub fn rows(&self, flow: &mut RowFlow<'_>, per_fold: bool) {
        let fold = flow.fold("folds", self.test_fold.into());
        let calibrated = self.calibration != Calibration::None;
        let shaped_by = if per_fold || calibrated { Rows::Train(fold) } else { Rows::External };
        flow.output("train", Rows::Train(fold), shaped_by);
        flow.output("test", Rows::Test(fold), shaped_by);
    }

    /// Gives the evidence of both sides: `of` knows that of each row of the cohort, where there is some; `absent` says
    /// what it means that a side has none, given its number of rows and its name.
    pub fn put(
        &self,
        inputs: &Inputs<'_>,
        outputs: &mut Outputs,
        cohort: &Cohort,
        of: &[Option<Vec<f64>>],
        absent: impl Fn(usize, &str) -> StageError,
    ) -> Result<(), StageError> {
        let fold = fold_of_rows(cohort, &inputs.one("folds")?)?;
        let calibrated = self.calibration != Calibration::None;
        let inner_folds = if calibrated { self.inner_folds } else { 0 };
        let found = |row: usize| of[row].is_some().then_some(row);
        let sides = Sides::new(cohort, &fold, self.test_fold, inner_folds, found)?;
        for (rows, all, name) in
            [(&sides.train, sides.all.0, "train"), (&sides.test, sides.all.1, "test")]
        {
            if rows.is_empty() {
                return Err(absent(all, name));
            }
        }
        let evidence = |rows: &[Row]| {
            rows.iter().filter_map(|row| of[row.cohort as usize].clone()).flatten().collect()
        };
        let (mut train, mut test): (Vec<f64>, Vec<f64>) =
            (evidence(&sides.train), evidence(&sides.test));
        let labels: Vec<u32> =
            sides.train.iter().map(|row| cohort.label[row.cohort as usize]).collect();
        Calibrating {
            calibration: self.calibration,
            scale: Scale::Probabilities,
            class_weight: self.class_weight,
            rows: &sides.train,
            labels: &labels,
            class_names: &cohort.classes,
            inner_folds,
        }
        .calibrate(&mut train, &mut test, |_, _| {})?;
        let modality = super::modality(self.modality, inputs);
        for (port, rows, probabilities) in
            [("train", &sides.train, train), ("test", &sides.test, test)]
        {
            let evidence = Evidence {
                modality: modality.clone(),
                classes: cohort.classes.clone(),
                example_id: super::ids(&cohort.example_id, rows),
                probabilities: probabilities.into(),
            };
            outputs.put(port, evidence)?;
        }
        Ok(())
    }
}
