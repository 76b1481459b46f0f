//! `quality.in_distribution`: how ordinary the features are, seen from the training rows.

use fuseline_artifact::{AnyEvidence, Control, Evidence, Features};
use fuseline_engine::{
    CheckSite, Inputs, KeyWriter, Outputs, Ports, RowFlow, StageError, StageKind,
};
use fuseline_learn::standardise::Preprocessor;
use fuseline_stats::evidence::in_distribution;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::quality::{Source, put_fitted, raw_rows};
use crate::rows::Matrix;

/// Quality is minus the mean over the observed features of |z|, with mean and sd of the rows that
/// fitted the expert.
///
/// Mean and sd are those of the expert's preprocessing: of the rows of `evidence_train` for a test
/// row, and of those of the other inner folds for a training row, so that training rows are as new
/// to the estimator as test rows are. The inner folds are those of the expert, which its evidence
/// says; where it does not, as that of a program or of an expert that was fitted elsewhere, the
/// groups of `cohort` are divided over 4.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InDistribution {
    /// Columns that do not count.
    #[serde(default)]
    exclude: Vec<String>,
    /// Over how many inner folds of groups training rows get their quality. The inner folds of
    /// their evidence when left out; 4 where the evidence does not say them.
    #[serde(default)]
    #[schemars(range(min = 2))]
    inner_folds: Option<u32>,
}

impl StageKind for InDistribution {
    const NAME: &'static str = "quality.in_distribution";
    const REVISION: u32 = 2; // 2: training rows out of fold.
    const TAKES_NUMBERS: bool = true;
    const SUMMARY: &'static str =
        "How close the features are to those of the training rows: minus the mean |z|.";

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
        let source =
            Source { name: "in_distribution", control: Control::Native, evidence_derived: false };
        put_fitted::<AnyEvidence, _>(inputs, outputs, &source, self.inner_folds, |training| {
            let fitted = matrix.gather(raw_rows(training, features)?.into_iter());
            let scale = Preprocessor::fit(&fitted, matrix.width())
                .map_err(|error| StageError::failed(error.to_string()))?;
            Ok(move |evidence: &Evidence| {
                let rows = raw_rows(evidence, features)?;
                let quality = rows.iter().zip(evidence.example_id.iter()).map(|(&row, id)| {
                    in_distribution(&matrix.row(row), scale.mean(), scale.scale())
                        .ok_or_else(|| nothing_observed(id, &evidence.modality))
                });
                quality.collect()
            })
        })
    }
}

/// Error when an example has no observed feature.
fn nothing_observed(id: &str, modality: &str) -> StageError {
    StageError::data(format!("example {id} has no observed feature in modality {modality}"))
        .hint("leave such a row out of the features: an absent row is an unavailable modality")
}
