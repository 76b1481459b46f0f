//! `quality.mahalanobis`: how far the features are from those of the training rows, correlations heeded.

use fuseline_artifact::{Control, Evidence, Features};
use fuseline_engine::{Inputs, KeyWriter, Outputs, Ports, RowFlow, StageError, StageKind};
use fuseline_learn::standardise::Preprocessor;
use fuseline_stats::mahalanobis;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::quality::{Source, put, raw_rows};
use crate::rows::Matrix;

/// Quality is minus the Mahalanobis distance from the mean of the training rows, divided by the square root of the number
/// of features.
///
/// The training rows are those of `evidence_train`. Missing and infinite values become the mean, and each feature gets
/// zero mean and unit variance, as for the expert. The covariance is shrunk by the estimate of Ledoit and Wolf (2004), so
/// that it can be inverted however many features there are. It is not evidence-derived: it is a function of the
/// features.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mahalanobis {
    /// Columns that do not count.
    #[serde(default)]
    exclude: Vec<String>,
}

impl StageKind for Mahalanobis {
    const NAME: &'static str = "quality.mahalanobis";
    const REVISION: u32 = 1;
    const SUMMARY: &'static str =
        "How close the features are to those of the training rows, correlations heeded.";

    fn ports() -> Ports {
        super::ports(&["evidence_train", "evidence_test", "features"])
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { exclude } = self;
        key.field("exclude", exclude);
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        super::fitted_rows(flow, "features");
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let failed = |error: &dyn std::error::Error| StageError::data(error.to_string());
        let features: Features = inputs.one("features")?;
        let training: Evidence = inputs.one("evidence_train")?;
        let matrix = Matrix::of(&features, &self.exclude)?;
        let width = matrix.width();
        let mut rows = matrix.gather(raw_rows(&training, &features)?.into_iter());
        let scale = Preprocessor::fit(&rows, width).map_err(|error| failed(&error))?;
        scale.apply(&mut rows).map_err(|error| failed(&error))?;
        let fitted = mahalanobis::Mahalanobis::fit(&rows, width).map_err(|error| failed(&error))?;
        drop(rows);
        let source =
            Source { name: "mahalanobis", control: Control::Native, evidence_derived: false };
        put(inputs, outputs, &source, |evidence| {
            let mut rows = matrix.gather(raw_rows(evidence, &features)?.into_iter());
            scale.apply(&mut rows).map_err(|error| failed(&error))?;
            let root = (width as f64).sqrt();
            Ok(rows.chunks_exact(width).map(|row| -fitted.distance(row) / root).collect())
        })
    }
}
