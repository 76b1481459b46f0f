//! `expert.gradient_boosting`: histogram gradient boosting of trees.

use fuseline_artifact::AnyCohort;
use fuseline_engine::{
    CheckSite, Inputs, KeyWriter, Outputs, Ports, RowFlow, StageError, StageKind,
};
use fuseline_learn::boosting::{Boosting, Options};
use fuseline_learn::link;
use fuseline_learn::standardise::Preprocessor;
use schemars::JsonSchema;
use serde::Deserialize;

use super::calibration::{Calibration, Scale};
use super::numbers::{self, NumberTraining};
use super::{Answer, Ask, ClassWeight, Setup, Training, failed};

/// Fits histogram gradient boosting on one modality and gives its class probabilities, or the number
/// that it expects where the label is a number.
///
/// The algorithm is that of scikit-learn's `HistGradientBoostingClassifier` without early stopping;
/// of a number that of `HistGradientBoostingRegressor` with squared errors, where rows have no class
/// weights and evidence no calibration.
/// Missing and infinite values become the mean of the observed ones of the fitting rows. Training
/// rows get out-of-fold evidence over the inner folds, test rows get that of an expert fitted on
/// all training rows. An example that is absent from the features gets none.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BoostingExpert {
    /// The fold whose examples are tested; the others are trained on.
    test_fold: i32,
    /// Over how many folds the training rows get their out-of-fold evidence.
    #[serde(default = "super::inner_folds")]
    #[schemars(range(min = 2))]
    inner_folds: u32,
    /// Rounds; each grows one tree for two classes, one a class for more.
    #[serde(default = "rounds")]
    #[schemars(range(min = 1, max = 1_000_000))]
    rounds: usize,
    /// Factor of a tree's values.
    #[serde(default = "learning_rate")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    learning_rate: f64,
    /// Leaves of a tree at most.
    #[serde(default = "max_leaves")]
    #[schemars(range(min = 2))]
    max_leaves: usize,
    /// Rows of a leaf at least.
    #[serde(default = "min_rows_per_leaf")]
    #[schemars(range(min = 1))]
    min_rows_per_leaf: usize,
    /// L2 penalty on the values of leaves.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    l2: f64,
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

fn rounds() -> usize {
    Options::default().rounds
}

fn learning_rate() -> f64 {
    Options::default().learning_rate
}

fn max_leaves() -> usize {
    Options::default().max_leaves
}

fn min_rows_per_leaf() -> usize {
    Options::default().min_rows_per_leaf
}

impl StageKind for BoostingExpert {
    const NAME: &'static str = "expert.gradient_boosting";
    // 2: training evidence says its inner folds; cautions of features that give away label or
    // group.
    const REVISION: u32 = 2;
    const TAKES_NUMBERS: bool = true;
    const SUMMARY: &'static str =
        "Histogram gradient boosting of trees, out of fold for the training rows.";

    fn ports() -> Ports {
        super::ports()
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self {
            test_fold,
            inner_folds,
            rounds,
            learning_rate,
            max_leaves,
            min_rows_per_leaf,
            l2,
            class_weight,
            calibration,
            logits,
            modality,
            exclude,
        } = self;
        key.field("test_fold", test_fold);
        key.field("inner_folds", inner_folds);
        key.field("rounds", rounds);
        key.field("learning_rate", learning_rate);
        key.field("max_leaves", max_leaves);
        key.field("min_rows_per_leaf", min_rows_per_leaf);
        key.field("l2", l2);
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
        let cohort: AnyCohort = inputs.one("cohort")?;
        if cohort.values.is_some() {
            return numbers::run(inputs, outputs, &self.setup(), cohort, |training, ask| {
                self.predict_numbers(training, ask)
            });
        }
        drop(cohort);
        super::run(inputs, outputs, &self.setup(), |training, ask| self.predict(training, ask))
    }
}

impl BoostingExpert {
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
        let fill = Preprocessor::fit(&rows, width).map_err(failed)?;
        fill.impute(&mut rows).map_err(failed)?;
        let model = Boosting::fit(&rows, width, labels, weights, classes, &self.options())
            .map_err(failed)?;
        drop(rows);
        let mut asked = ask();
        fill.impute(&mut asked).map_err(failed)?;
        let logits = if self.logits {
            link::logits(&model.scores(&asked).map_err(failed)?, model.baseline().len())
        } else {
            Vec::new()
        };
        let scores = model.predict_proba(&asked).map_err(failed)?;
        Ok(Answer { logits, ..Answer::exact(scores) })
    }

    fn predict_numbers(
        &self,
        training: NumberTraining<'_>,
        ask: Ask<'_>,
    ) -> Result<Vec<f64>, StageError> {
        let NumberTraining { features: mut rows, width, targets } = training;
        let fill = Preprocessor::fit(&rows, width).map_err(failed)?;
        fill.impute(&mut rows).map_err(failed)?;
        let model =
            Boosting::fit_squared(&rows, width, &targets, &self.options()).map_err(failed)?;
        drop(rows);
        let mut asked = ask();
        fill.impute(&mut asked).map_err(failed)?;
        model.scores(&asked).map_err(failed)
    }

    fn options(&self) -> Options {
        Options {
            rounds: self.rounds,
            learning_rate: self.learning_rate,
            max_leaves: self.max_leaves,
            min_rows_per_leaf: self.min_rows_per_leaf,
            l2: self.l2,
            ..Options::default()
        }
    }
}
