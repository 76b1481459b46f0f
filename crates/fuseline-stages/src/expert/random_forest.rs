//! `expert.random_forest`: a random forest.

use fuseline_engine::{
    CheckSite, Inputs, KeyWriter, Outputs, Ports, RowFlow, StageError, StageKind,
};
use fuseline_learn::forest::{Forest, Options};
use fuseline_learn::standardise::Preprocessor;
use fuseline_stats::streams::Stream;
use schemars::JsonSchema;
use serde::Deserialize;

use super::calibration::{Calibration, Scale};
use super::{Answer, Ask, ClassWeight, Setup, Training, failed};

/// Fits a random forest on one modality and gives its class probabilities.
///
/// The algorithm is that of scikit-learn's `RandomForestClassifier`: bootstrap samples, in which
/// rows are drawn in proportion to their weights, exact splits by Gini impurity among columns drawn
/// at random, the mean of the leaves' class shares. Its random numbers come from the workflow's
/// seed. Missing and infinite values become the mean of the observed ones of the fitting rows.
/// Training rows get out-of-fold evidence over the inner folds, test rows get that of an expert
/// fitted on all training rows. An example that is absent from the features gets none.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForestExpert {
    /// The fold whose examples are tested; the others are trained on.
    test_fold: i32,
    /// Over how many folds the training rows get their out-of-fold evidence.
    #[serde(default = "super::inner_folds")]
    #[schemars(range(min = 2))]
    inner_folds: u32,
    /// Number of trees.
    #[serde(default = "trees")]
    #[schemars(range(min = 1, max = 1_000_000))]
    trees: usize,
    /// Columns among which a split is looked for; the root of their number when left out.
    #[serde(default)]
    #[schemars(range(min = 1))]
    columns_per_split: Option<usize>,
    /// Rows of a leaf at least.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    min_rows_per_leaf: usize,
    /// Steps from the root to a leaf at most; no limit when left out.
    #[serde(default)]
    #[schemars(range(min = 1))]
    max_depth: Option<usize>,
    /// Class weights of the rows.
    #[serde(default)]
    class_weight: ClassWeight,
    /// Calibration of the evidence.
    #[serde(default)]
    calibration: Calibration,
    /// Name of the modality; the label of the axis `modality` when left out.
    #[serde(default)]
    modality: Option<String>,
    /// Columns that the expert must not see.
    #[serde(default)]
    exclude: Vec<String>,
}

fn trees() -> usize {
    Options::default().trees
}

fn one() -> usize {
    1
}

impl StageKind for ForestExpert {
    const NAME: &'static str = "expert.random_forest";
    // 2: training evidence says its inner folds; cautions of features that give away label or
    // group.
    const REVISION: u32 = 2;
    const SUMMARY: &'static str =
        "A random forest of fully grown trees, out of fold for the training rows.";

    fn ports() -> Ports {
        super::ports()
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self {
            test_fold,
            inner_folds,
            trees,
            columns_per_split,
            min_rows_per_leaf,
            max_depth,
            class_weight,
            calibration,
            modality,
            exclude,
        } = self;
        key.field("test_fold", test_fold);
        key.field("inner_folds", inner_folds);
        key.field("trees", trees);
        key.field("columns_per_split", columns_per_split);
        key.field("min_rows_per_leaf", min_rows_per_leaf);
        key.field("max_depth", max_depth);
        key.field("class_weight", class_weight);
        key.field("calibration", calibration);
        key.field("modality", modality);
        key.field("exclude", exclude);
        key.seed();
    }

    fn check(&self, site: &mut CheckSite<'_>) {
        self.setup().check(site);
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        super::rows(flow, self.test_fold);
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let stream = Stream::new(inputs.seed(), Self::NAME)
            .with(super::modality(self.modality.as_deref(), inputs).as_bytes())
            .with_u64(u64::from(self.test_fold.cast_unsigned()));
        super::run(inputs, outputs, &self.setup(), |training, ask| {
            self.predict(training, ask, &stream)
        })
    }
}

impl ForestExpert {
    fn setup(&self) -> Setup<'_> {
        Setup {
            test_fold: self.test_fold,
            inner_folds: self.inner_folds,
            modality: self.modality.as_deref(),
            exclude: &self.exclude,
            class_weight: self.class_weight,
            calibration: self.calibration,
            logits: false,
            scale: Scale::Probabilities,
        }
    }

    fn predict(
        &self,
        training: Training<'_>,
        ask: Ask<'_>,
        stream: &Stream,
    ) -> Result<Answer, StageError> {
        let Training { features: mut rows, width, labels, weights, classes, left_out } = training;
        let fill = Preprocessor::fit(&rows, width).map_err(failed)?;
        fill.impute(&mut rows).map_err(failed)?;
        let options = Options {
            trees: self.trees,
            columns_per_split: self.columns_per_split.unwrap_or(0),
            min_rows_per_leaf: self.min_rows_per_leaf,
            max_depth: self.max_depth.unwrap_or(0),
            bootstrap: true,
        };
        // Each fit of the stage has a stream of its own, and each tree of it.
        let mut stream = stream.clone().with_u64(left_out.len() as u64);
        for &inner in left_out {
            stream = stream.with_u64(inner.into());
        }
        let draws = |tree: usize| {
            let mut stream = stream.clone().with_u64(tree as u64);
            #[expect(clippy::cast_possible_truncation, reason = "a number below a usize is one")]
            move |bound: usize| stream.below(bound as u64) as usize
        };
        let model =
            Forest::fit(&rows, width, labels, weights, classes, &options, draws).map_err(failed)?;
        drop(rows);
        let mut asked = ask();
        fill.impute(&mut asked).map_err(failed)?;
        model.predict_proba(&asked).map(Answer::exact).map_err(failed)
    }
}
