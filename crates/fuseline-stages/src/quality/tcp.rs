//! `quality.tcp`: the probability that the expert is expected to give the true class.

use fuseline_artifact::{Cohort, Control, Evidence, Features};
use fuseline_engine::{
    Inputs, KeyWriter, Outputs, PlanSite, Ports, RowFlow, StageError, StageKind,
};
use fuseline_learn::standardise::Preprocessor;
use fuseline_stats::ridge::Ridge;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::quality::{Source, each_row, put_fitted, raw_rows};
use crate::rows::{Matrix, cohort_rows};

/// Quality is the probability that the expert is expected to give the true class: from 0 to 1, more
/// is more reliable (Corbière, Thome, Bar-Hen, Cord and Pérez, "Addressing failure prediction by
/// learning model confidence", NeurIPS 2019).
///
/// The true class probability p_y is known on training rows alone, where the evidence is out of
/// fold. It is regressed there on the modality's features and the evidence, by ridge regression
/// whose penalty is chosen by leaving out one row at a time, among 1e-6, 1e-4, 0.01, 0.1, 1, 10,
/// ..., 10000; the paper's ConfidNet is a network on the features of the classifier's last layer
/// instead. Predictions below 0 count as 0, above 1 as 1. Missing and infinite values become the
/// mean, and each column gets zero mean and unit variance.
///
/// The regression is fitted on the rows of `evidence_train` for a test row, and on those of the
/// other inner folds for a training row. The inner folds are those of the expert, which its evidence
/// says; where it does not, as that of a program or of an expert that was fitted elsewhere, the
/// groups of `cohort` are divided over 4. It reads features too, and is not evidence-derived.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tcp {
    /// Columns that do not count.
    #[serde(default)]
    exclude: Vec<String>,
    /// Over how many inner folds of groups training rows get their quality. The inner folds of
    /// their evidence when left out; 4 where the evidence does not say them.
    #[serde(default)]
    #[schemars(range(min = 2))]
    inner_folds: Option<u32>,
}

impl StageKind for Tcp {
    const NAME: &'static str = "quality.tcp";
    const REVISION: u32 = 1;
    const SUMMARY: &'static str =
        "The expected probability of the true class, regressed on features and evidence.";

    fn ports() -> Ports {
        super::ports(&["evidence_train", "evidence_test", "features", "cohort"])
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { exclude, inner_folds } = self;
        key.field("exclude", exclude);
        key.field("inner_folds", inner_folds);
    }

    fn check_plan(&self, site: &mut PlanSite<'_>) {
        crate::upstream::check_experts(site, "evidence_test");
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        flow.fit_beside("features", "evidence_train");
        super::fitted_rows(flow, "evidence_train");
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let features: Features = inputs.one("features")?;
        let cohort: Cohort = inputs.one("cohort")?;
        let matrix = Matrix::from_features(&features, &self.exclude)?;
        let (features, matrix) = (&features, &matrix);
        let source = Source { name: "tcp", control: Control::Native, evidence_derived: false };
        put_fitted::<Evidence, _>(inputs, outputs, &source, self.inner_folds, |training| {
            let mut rows = predictors(matrix, training, features)?;
            let width = matrix.width() + training.classes.len();
            let scale = Preprocessor::fit(&rows, width).map_err(|error| failed(&error))?;
            scale.apply(&mut rows).map_err(|error| failed(&error))?;
            let labels = cohort_rows(training, &cohort)?.into_iter().map(|row| cohort.label[row]);
            let targets: Vec<f64> =
                each_row(training).zip(labels).map(|(row, label)| row[label as usize]).collect();
            let fitted = Ridge::fit(rows.chunks_exact(width), width, &targets)
                .map_err(|error| failed(&error))?;
            Ok(move |evidence: &Evidence| {
                let mut rows = predictors(matrix, evidence, features)?;
                scale.apply(&mut rows).map_err(|error| failed(&error))?;
                let rows = rows.chunks_exact(width);
                Ok(rows.map(|row| fitted.predict(row).clamp(0.0, 1.0)).collect())
            })
        })
    }
}

/// Features and evidence of each row, side by side.
fn predictors(
    matrix: &Matrix,
    evidence: &Evidence,
    features: &Features,
) -> Result<Vec<f64>, StageError> {
    let mut rows = Vec::new();
    for (row, probabilities) in raw_rows(evidence, features)?.into_iter().zip(each_row(evidence)) {
        rows.extend(matrix.row(row));
        rows.extend_from_slice(probabilities);
    }
    Ok(rows)
}

fn failed(error: &dyn std::error::Error) -> StageError {
    StageError::data(error.to_string())
}
