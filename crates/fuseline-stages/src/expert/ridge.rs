//! `expert.ridge`: least squares with an L2 penalty, where the label is a number.

use fuseline_engine::{
    CheckSite, Inputs, KeyWriter, Outputs, PlanSite, Ports, RowFlow, StageError, StageKind, codes,
};
use fuseline_learn::ridge::Ridge;
use fuseline_learn::standardise::Preprocessor;
use fuseline_workflow::Diagnostic;
use schemars::JsonSchema;
use serde::Deserialize;

use super::calibration::{Calibration, Scale};
use super::numbers::NumberTraining;
use super::{Ask, ClassWeight, Setup, failed};

/// Fits a ridge regression on one modality and gives the number that it expects.
///
/// For a label that is a number: `label: { regression: true }`. Missing and infinite values become
/// the mean of the observed ones, then each feature gets zero mean and unit variance; both are
/// fitted on the fitting rows alone. The loss is the sum of squared errors + alpha * |w|^2, with a
/// free intercept. Training rows get out-of-fold evidence over the inner folds, test rows get that of
/// an expert fitted on all training rows. An example that is absent from the features gets none.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RidgeExpert {
    /// The fold whose examples are tested; the others are trained on.
    test_fold: i32,
    /// Over how many folds the training rows get their out-of-fold evidence.
    #[serde(default = "super::inner_folds")]
    #[schemars(range(min = 2))]
    inner_folds: u32,
    /// Weight of the penalty against the squared errors.
    #[serde(default = "one")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    alpha: f64,
    /// Name of the modality; the label of the axis `modality` when left out.
    #[serde(default)]
    modality: Option<String>,
    /// Columns that the expert must not see.
    #[serde(default)]
    exclude: Vec<String>,
}

fn one() -> f64 {
    1.0
}

impl StageKind for RidgeExpert {
    const NAME: &'static str = "expert.ridge";
    const REVISION: u32 = 1;
    const TAKES_NUMBERS: bool = true;
    const SUMMARY: &'static str =
        "Ridge regression of a label that is a number, out of fold for the training rows.";

    fn ports() -> Ports {
        super::ports()
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { test_fold, inner_folds, alpha, modality, exclude } = self;
        key.field("test_fold", test_fold);
        key.field("inner_folds", inner_folds);
        key.field("alpha", alpha);
        key.field("modality", modality);
        key.field("exclude", exclude);
    }

    fn check(&self, site: &mut CheckSite<'_>) {
        self.setup().check(site);
    }

    fn check_plan(&self, site: &mut PlanSite<'_>) {
        let cohort_of = |action| site.is_regression(action);
        let Some(action) = site.actions().find(|action| !cohort_of(*action)) else { return };
        // Only the program knows what its cohort is.
        if action.inputs("cohort").any(|of| of.kind_name() == crate::command::Command::NAME) {
            return;
        }
        let message = format!(
            "`{}` predicts a number, and the label of its cohort is a class",
            action.stage_name()
        );
        site.report(
            Diagnostic::error(codes::REGRESSION, action.input_place("cohort"), message).hint(
                "label: { column: ..., regression: true } keeps the number of a column; \
                 expert.logistic predicts classes"
                    .to_owned(),
            ),
        );
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        super::rows(flow, self.test_fold);
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let cohort = inputs.one("cohort")?;
        super::numbers::run(inputs, outputs, &self.setup(), cohort, |training, ask| {
            self.predict(training, ask)
        })
    }
}

impl RidgeExpert {
    fn setup(&self) -> Setup<'_> {
        Setup {
            test_fold: self.test_fold,
            inner_folds: self.inner_folds,
            modality: self.modality.as_deref(),
            exclude: &self.exclude,
            class_weight: ClassWeight::None,
            calibration: Calibration::None,
            logits: false,
            scale: Scale::Probabilities,
        }
    }

    fn predict(&self, training: NumberTraining<'_>, ask: Ask<'_>) -> Result<Vec<f64>, StageError> {
        let NumberTraining { features: mut rows, width, targets } = training;
        let scale = Preprocessor::fit(&rows, width).map_err(failed)?;
        scale.apply(&mut rows).map_err(failed)?;
        let fitted = Ridge::fit(&rows, width, &targets, self.alpha).map_err(failed)?;
        drop(rows);
        let mut asked = ask();
        scale.apply(&mut asked).map_err(failed)?;
        fitted.predict(&asked).map_err(failed)
    }
}
