//! `expert.linear_svm`: a linear support vector machine.

use fuseline_engine::kind::Problem;
use fuseline_engine::{
    CheckSite, Inputs, KeyWriter, Outputs, Ports, RowFlow, StageError, StageKind,
};
use fuseline_learn::standardise::Preprocessor;
use fuseline_learn::svm::{LinearSvm, Options};
use schemars::JsonSchema;
use serde::Deserialize;

use super::calibration::{Calibration, Scale};
use super::{Answer, Ask, ClassWeight, Setup, Training, failed};

/// Fits a linear support vector machine on one modality and gives its calibrated class
/// probabilities.
///
/// Features are prepared as for `expert.logistic`. The loss is (|w|^2 + b^2) / 2 + c * sum of
/// weighted squared hinge losses, that of scikit-learn's `LinearSVC(dual=False)`; of more than two
/// classes each is told apart from the rest. What it gives are decision values: a calibration,
/// fitted on those of rows that the machine has not seen, makes probabilities of them. Training
/// rows get out-of-fold evidence over the inner folds, calibrated on the other inner folds with
/// machines that have not seen the row's own either; test rows get that of a machine fitted on all
/// training rows, calibrated on the out-of-fold values of all training rows. An example that is
/// absent from the features gets none.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinearSvmExpert {
    /// The fold whose examples are tested; the others are trained on.
    test_fold: i32,
    /// Over how many folds the training rows get their out-of-fold evidence.
    #[serde(default = "super::inner_folds")]
    #[schemars(range(min = 3))]
    inner_folds: u32,
    /// Weight of the losses against the penalty.
    #[serde(default = "one")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    c: f64,
    /// Class weights of the rows.
    #[serde(default)]
    class_weight: ClassWeight,
    /// Calibration of decision values to probabilities. `none` is not allowed: decision values are
    /// no probabilities.
    #[serde(default = "sigmoid")]
    calibration: Calibration,
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

fn sigmoid() -> Calibration {
    Calibration::Sigmoid
}

impl StageKind for LinearSvmExpert {
    const NAME: &'static str = "expert.linear_svm";
    // 2: a standardised value beyond 1e100 counts as that.
    // 3: training evidence says its inner folds; cautions of features that give away label or
    // group.
    const REVISION: u32 = 3;
    const SUMMARY: &'static str = "A linear support vector machine with calibrated probabilities, \
        out of fold for the training rows.";

    fn ports() -> Ports {
        super::ports()
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { test_fold, inner_folds, c, class_weight, calibration, modality, exclude } = self;
        key.field("test_fold", test_fold);
        key.field("inner_folds", inner_folds);
        key.field("c", c);
        key.field("class_weight", class_weight);
        key.field("calibration", calibration);
        key.field("modality", modality);
        key.field("exclude", exclude);
    }

    fn check(&self, site: &mut CheckSite<'_>) {
        if self.calibration == Calibration::None {
            site.report(
                Problem::new("calibration", "decision values are no probabilities")
                    .hint("calibration: sigmoid, isotonic or temperature makes some of them"),
            );
        }
        self.setup().check(site);
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        super::rows(flow, self.test_fold);
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        super::run(inputs, outputs, &self.setup(), |training, ask| self.decide(training, ask))
    }
}

impl LinearSvmExpert {
    fn setup(&self) -> Setup<'_> {
        Setup {
            test_fold: self.test_fold,
            inner_folds: self.inner_folds,
            modality: self.modality.as_deref(),
            exclude: &self.exclude,
            class_weight: self.class_weight,
            calibration: self.calibration,
            logits: false,
            scale: Scale::DecisionValues,
        }
    }

    /// Decision values, n by classes.
    fn decide(&self, training: Training<'_>, ask: Ask<'_>) -> Result<Answer, StageError> {
        let Training { features: mut rows, width, labels, weights, classes, .. } = training;
        let scale = Preprocessor::fit(&rows, width).map_err(failed)?;
        scale.apply(&mut rows).map_err(failed)?;
        let options = Options { c: self.c, ..Options::default() };
        let model =
            LinearSvm::fit(&rows, width, labels, weights, classes, &options).map_err(failed)?;
        drop(rows);
        let mut asked = ask();
        scale.apply(&mut asked).map_err(failed)?;
        let values = model.decision_values(&asked).map_err(failed)?;
        let scores = match classes {
            2 => values.into_iter().flat_map(|value| [-value, value]).collect(),
            _ => values,
        };
        Ok(Answer { not_converged: model.not_converged(), ..Answer::exact(scores) })
    }
}
