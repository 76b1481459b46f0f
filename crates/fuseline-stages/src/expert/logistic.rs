//! `expert.logistic`: logistic regression with an L2 penalty.

use fuseline_engine::{
    CheckSite, Inputs, KeyWriter, Outputs, Ports, RowFlow, StageError, StageKind,
};
use fuseline_learn::link;
use fuseline_learn::logistic::{Logistic, Options};
use fuseline_learn::standardise::Preprocessor;
use schemars::JsonSchema;
use serde::Deserialize;

use super::calibration::{Calibration, Scale};
use super::{Answer, Ask, ClassWeight, Setup, Training, failed};

/// Fits a logistic regression on one modality and gives its class probabilities.
///
/// Missing and infinite values become the mean of the observed ones, then each feature gets zero
/// mean and unit variance; both are fitted on the fitting rows alone. The loss is |w|^2 / 2 + c *
/// sum of weighted log losses, with a free intercept; more than two classes share a softmax.
/// Training rows get out-of-fold evidence over the inner folds, test rows get that of an expert
/// fitted on all training rows. An example that is absent from the features gets none.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogisticExpert {
    /// The fold whose examples are tested; the others are trained on.
    test_fold: i32,
    /// Over how many folds the training rows get their out-of-fold evidence.
    #[serde(default = "super::inner_folds")]
    #[schemars(range(min = 2))]
    inner_folds: u32,
    /// Weight of the losses against the penalty.
    #[serde(default = "one")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    c: f64,
    /// Class weights of the rows.
    #[serde(default)]
    class_weight: ClassWeight,
    /// Calibration of the evidence.
    #[serde(default)]
    calibration: Calibration,
    /// True if the evidence keeps the logits, as they are before any calibration, for
    /// `quality.energy` and `quality.evidential`. Those of two classes are -z/2 and z/2 of the log
    /// odds z.
    #[serde(default)]
    logits: bool,
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

impl StageKind for LogisticExpert {
    const NAME: &'static str = "expert.logistic";
    // 2: a standardised value beyond 1e100 counts as that.
    // 3: training evidence says its inner folds; cautions of features that give away label or
    // group.
    const REVISION: u32 = 3;
    const SUMMARY: &'static str =
        "Logistic regression with an L2 penalty, out of fold for the training rows.";

    fn ports() -> Ports {
        super::ports()
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self {
            test_fold,
            inner_folds,
            c,
            class_weight,
            calibration,
            logits,
            modality,
            exclude,
        } = self;
        key.field("test_fold", test_fold);
        key.field("inner_folds", inner_folds);
        key.field("c", c);
        key.field("class_weight", class_weight);
        key.field("calibration", calibration);
        if *logits {
            key.field("logits", logits);
        }
        key.field("modality", modality);
        key.field("exclude", exclude);
    }

    fn check(&self, site: &mut CheckSite<'_>) {
        self.setup().check(site);
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        super::rows(flow, self.test_fold);
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        super::run(inputs, outputs, &self.setup(), |training, ask| self.predict(training, ask))
    }
}

impl LogisticExpert {
    fn setup(&self) -> Setup<'_> {
        Setup {
            test_fold: self.test_fold,
            inner_folds: self.inner_folds,
            modality: self.modality.as_deref(),
            exclude: &self.exclude,
            class_weight: self.class_weight,
            calibration: self.calibration,
            logits: self.logits,
            scale: Scale::Probabilities,
        }
    }

    fn predict(&self, training: Training<'_>, ask: Ask<'_>) -> Result<Answer, StageError> {
        let Training { features: mut rows, width, labels, weights, classes, .. } = training;
        let scale = Preprocessor::fit(&rows, width).map_err(failed)?;
        scale.apply(&mut rows).map_err(failed)?;
        let options = Options { c: self.c, ..Options::default() };
        let model =
            Logistic::fit(&rows, width, labels, weights, classes, &options).map_err(failed)?;
        drop(rows);
        let mut asked = ask();
        scale.apply(&mut asked).map_err(failed)?;
        let logits = if self.logits {
            link::logits(&model.scores(&asked).map_err(failed)?, model.intercepts().len())
        } else {
            Vec::new()
        };
        let scores = model.predict_proba(&asked).map_err(failed)?;
        Ok(Answer { scores, logits, not_converged: model.not_converged() })
    }
}

#[cfg(test)]
mod tests;
