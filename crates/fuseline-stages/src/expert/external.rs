//! Shared by experts that are not fitted here: their evidence is known for any row, and may be
//! calibrated.

use fuseline_artifact::{Cohort, Evidence};
use fuseline_engine::kind::Problem;
use fuseline_engine::{CheckSite, Inputs, Outputs, RowFlow, RowState, Rows, StageError};

use super::calibration::{Calibrating, Calibration, Scale};
use super::{ClassWeight, Row, Sides};
use crate::fitted_on::FittedOn;
use crate::rows::fold_of_rows;

/// Input of every expert that is not fitted here.
pub(crate) struct External<'a> {
    /// Fold whose examples are tested; every example of the cohort where there are no folds.
    pub test_fold: Option<i32>,
    /// The rows that the one model of all folds saw; `None` where each fold has its own, fitted on
    /// its training rows.
    pub fitted_on: Option<&'a FittedOn>,
    /// The modality's name, when the workflow gives one.
    pub modality: Option<&'a str>,
    pub calibration: Calibration,
    /// Over how many folds the training rows are divided for their calibration.
    pub inner_folds: u32,
    pub class_weight: ClassWeight,
}

impl External<'_> {
    /// Reports what the options' schema does not see.
    pub fn check(&self, site: &mut CheckSite<'_>) {
        match (site.inputs.contains(&"folds"), self.test_fold) {
            (true, None) => site.report(
                Problem::new(
                    "test_fold",
                    "`test_fold` is missing: which fold of `folds` is tested",
                )
                .hint(
                    "over an axis of folds: `test_fold: ${{ fold }}`; without folds every example \
                     is tested",
                ),
            ),
            (false, Some(_)) => site.report(
                Problem::new("test_fold", "`test_fold` names a fold, and no folds arrive").hint(
                    "give the input `folds`, or leave `test_fold` out: every example is tested \
                     then",
                ),
            ),
            _ => {}
        }
        if self.test_fold.is_none() {
            self.check_without_folds(site);
        }
        if self.fitted_on == Some(&FittedOn::Train) && self.calibration != Calibration::None {
            let message =
                "a calibration on rows that the model was fitted on would believe it too much";
            site.report(
                Problem::new("calibration", message)
                    .hint("calibrate where the model is fitted, on rows that it has not seen"),
            );
        }
    }

    /// Reports what needs training rows, where there are none.
    fn check_without_folds(&self, site: &mut CheckSite<'_>) {
        let option = match self.fitted_on {
            _ if self.calibration != Calibration::None => "calibration",
            None => "fold",
            Some(FittedOn::Train) => "fitted_on",
            _ => return,
        };
        let message =
            format!("`{option}` needs the training rows of a fold, and there are no folds");
        site.report(
            Problem::new(option, message).hint("give the input `folds`, and say `test_fold`"),
        );
    }

    /// The leakage guard: the evidence was shaped by what the model saw, by the rows that it is
    /// calibrated on, and by what shaped the features that the model is asked about, at `features`.
    pub fn rows(&self, flow: &mut RowFlow<'_>, features: Option<&str>) {
        let fold = self.test_fold.map(|test_fold| flow.fold("folds", test_fold.into()));
        let (train, test) = match fold {
            Some(fold) => (Rows::train(fold), Rows::test(fold)),
            None => (Rows::none(), Rows::all()),
        };
        flow.read_labels("cohort");
        let (saw, in_fold) = match (self.fitted_on, fold) {
            (Some(saw), Some(fold)) => saw.rows(fold),
            (Some(FittedOn::All), None) => (Rows::all(), true),
            (Some(_), None) => (Rows::external(), false),
            (None, _) => (train.clone(), false),
        };
        let mut made = features.map(|port| flow.ask_frozen(port)).unwrap_or_default().taught(&saw);
        if let Some(port) = features {
            flow.no_control(port);
        }
        if self.calibration != Calibration::None {
            made = made.taught(&train);
        }
        let in_fold = in_fold || made.in_fold;
        flow.give("train", RowState { holds: train, in_fold, ..made.clone() });
        flow.give("test", RowState { holds: test, ..made });
    }

    /// Gives the evidence of both sides: `of` gives that of each row of the cohort, where there is
    /// some, and `logits` its logits, where they are known; `absent` gives the error for a side
    /// without any, from its number of rows and what they are.
    pub fn put(
        &self,
        inputs: &Inputs<'_>,
        outputs: &mut Outputs,
        cohort: &Cohort,
        of: &[Option<Vec<f64>>],
        logits: Option<&[Option<Vec<f64>>]>,
        absent: impl Fn(usize, &str) -> StageError,
    ) -> Result<(), StageError> {
        let test_fold = self.test_fold.unwrap_or_default();
        let fold = match self.test_fold {
            Some(_) => fold_of_rows(cohort, &inputs.one("folds")?)?,
            None => vec![test_fold; cohort.len()],
        };
        let calibrated = self.calibration != Calibration::None;
        let inner_folds = if calibrated { self.inner_folds } else { 0 };
        let seen = self.fitted_on.map_or(Ok(None), |saw| saw.seen(inputs))?;
        let mut left_out = Vec::new();
        if let Some(seen) = &seen {
            seen.refuse_tested(cohort, &fold, self.test_fold)?;
            // No row that is tested is among these now.
            left_out = (0..cohort.len()).filter(|&row| seen.has(cohort, row)).collect();
        }
        let known = |row: usize| of[row].is_some() && left_out.binary_search(&row).is_err();
        let found = |row: usize| known(row).then_some(row);
        let sides = Sides::new(cohort, &fold, test_fold, inner_folds, found)?;
        for (rows, all, name) in
            [(&sides.train, sides.all.0, "train"), (&sides.test, sides.all.1, "test")]
        {
            let is_needed = match name {
                "train" => left_out.is_empty() && self.test_fold.is_some(),
                _ => true,
            };
            if rows.is_empty() && is_needed {
                return Err(absent(all, &format!("{name} examples{}", of_fold(self.test_fold))));
            }
        }
        if let Some(seen) = seen.filter(|_| !left_out.is_empty()) {
            outputs.caution(seen.left_out(cohort, &left_out, sides.all.0));
        }
        let of_rows = |of: &[Option<Vec<f64>>], rows: &[Row]| -> Vec<f64> {
            rows.iter().filter_map(|row| of[row.cohort as usize].clone()).flatten().collect()
        };
        let (mut train, mut test) = (of_rows(of, &sides.train), of_rows(of, &sides.test));
        let labels: Vec<u32> =
            sides.train.iter().map(|row| cohort.label[row.cohort as usize]).collect();
        let shortfalls = Calibrating {
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
        let what = format!("calibrations of modality {modality}{}", in_fold(self.test_fold));
        super::caution_of(outputs, &what, shortfalls.into_iter());
        // Without a calibration it is unknown how evidence of training rows was made.
        let inner_fold = calibrated.then(|| super::inner_fold(&sides.train));
        for (port, rows, probabilities, inner_fold) in
            [("train", &sides.train, train, inner_fold), ("test", &sides.test, test, None)]
        {
            let evidence = Evidence {
                modality: modality.clone(),
                classes: cohort.classes.clone(),
                example_id: super::ids(&cohort.example_id, rows),
                probabilities: probabilities.into(),
                inner_fold,
                logits: logits.map(|logits| of_rows(logits, rows).into()),
            };
            outputs.put(port, evidence)?;
        }
        Ok(())
    }
}

fn of_fold(test_fold: Option<i32>) -> String {
    test_fold.map(|fold| format!(" of fold {fold}")).unwrap_or_default()
}

/// The fold in words, behind what is said of it.
pub(crate) fn in_fold(test_fold: Option<i32>) -> String {
    test_fold.map(|fold| format!(" in fold {fold}")).unwrap_or_default()
}
