//! `quality.mahalanobis`: how near the features are to the training rows, correlations heeded.

use fuseline_artifact::{AnyEvidence, Control, Evidence, Features};
use fuseline_engine::{
    CheckSite, Inputs, KeyWriter, Outputs, Ports, RowFlow, StageError, StageKind,
};
use fuseline_learn::standardise::Preprocessor;
use fuseline_stats::mahalanobis;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::quality::{Source, put_fitted, raw_rows};
use crate::rows::Matrix;

/// Quality is minus the Mahalanobis distance from the mean of the rows that fitted the expert,
/// divided by the square root of the number of features.
///
/// Missing and infinite values become the mean, and each feature gets zero mean and unit variance,
/// as for the expert. The covariance is shrunk by the estimate of Ledoit and Wolf (2004), so that
/// it can be inverted however many features there are. All of this is fitted on the rows of
/// `evidence_train` for a test row, and on those of the other inner folds for a training row: among
/// rows that it was fitted on a distance is shorter, and a fusion rule would learn from others than
/// it is asked about. The inner folds are those of the expert, which its evidence says; where it
/// does not, as that of a program or of an expert that was fitted elsewhere, the groups of `cohort`
/// are divided over 4. It is not evidence-derived: it is a function of the features.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mahalanobis {
    /// Columns that do not count.
    #[serde(default)]
    exclude: Vec<String>,
    /// Over how many inner folds of groups training rows get their quality. The inner folds of
    /// their evidence when left out; 4 where the evidence does not say them.
    #[serde(default)]
    #[schemars(range(min = 2))]
    inner_folds: Option<u32>,
}

impl StageKind for Mahalanobis {
    const NAME: &'static str = "quality.mahalanobis";
    const REVISION: u32 = 2; // 2: training rows out of fold.
    const TAKES_NUMBERS: bool = true;
    const SUMMARY: &'static str =
        "How close the features are to those of the training rows, correlations heeded.";

    fn ports() -> Ports {
        super::ports_with(&["evidence_train", "evidence_test", "features"], &["cohort"])
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { exclude, inner_folds } = self;
        key.field("exclude", exclude);
        key.field("inner_folds", inner_folds);
    }

    fn check(&self, site: &mut CheckSite<'_>) {
        super::check_inner_folds(site, self.inner_folds);
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        super::fitted_rows(flow, "features");
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let features: Features = inputs.one("features")?;
        let matrix = Matrix::from_features(&features, &self.exclude)?;
        let (features, matrix) = (&features, &matrix);
        let width = matrix.width();
        let source =
            Source { name: "mahalanobis", control: Control::Native, evidence_derived: false };
        put_fitted::<AnyEvidence, _>(inputs, outputs, &source, self.inner_folds, |training| {
            let mut rows = matrix.gather(raw_rows(training, features)?.into_iter());
            let scale = Preprocessor::fit(&rows, width).map_err(|error| failed(&error))?;
            scale.apply(&mut rows).map_err(|error| failed(&error))?;
            let fitted =
                mahalanobis::Mahalanobis::fit(&rows, width).map_err(|error| failed(&error))?;
            Ok(move |evidence: &Evidence| {
                let mut rows = matrix.gather(raw_rows(evidence, features)?.into_iter());
                scale.apply(&mut rows).map_err(|error| failed(&error))?;
                let root = (width as f64).sqrt();
                Ok(rows.chunks_exact(width).map(|row| -fitted.distance(row) / root).collect())
            })
        })
    }
}

fn failed(error: &dyn std::error::Error) -> StageError {
    StageError::data(error.to_string())
}
