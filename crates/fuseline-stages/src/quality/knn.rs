//! `quality.knn`: how near the nearest training rows are.

use fuseline_artifact::{AnyEvidence, Control, Evidence, Features};
use fuseline_engine::{
    CheckSite, Inputs, KeyWriter, Outputs, Ports, RowFlow, StageError, StageKind,
};
use fuseline_learn::standardise::Preprocessor;
use fuseline_stats::nearest::kth_distance;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::quality::{Source, put_fitted, raw_rows};
use crate::rows::Matrix;

/// Quality is minus the Euclidean distance to the k-th nearest training row among standardised
/// features, divided by the square root of their number: at most 0, in standard deviations a
/// feature, more is more reliable (Sun, Ming, Zhu and Li, "Out-of-distribution detection with deep
/// nearest neighbors", ICML 2022).
///
/// Missing and infinite values become the mean, and each feature gets zero mean and unit variance,
/// as for the expert; the paper scales the features of a network's last layer to length 1 instead.
/// The scale, and the rows among which neighbours are looked for, are those of `evidence_train` for
/// a test row, and those of the other inner folds for a training row, so that neither a row nor
/// another of its group is its neighbour. The inner folds are those of the expert, which its
/// evidence says; where it does not, as that of a program or of an expert that was fitted elsewhere,
/// the groups of `cohort` are divided over 4. It is not evidence-derived: it is a function of the
/// features.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Knn {
    /// Neighbour whose distance counts, 1 for the nearest.
    #[serde(default = "ten")]
    #[schemars(range(min = 1))]
    k: usize,
    /// Columns that do not count.
    #[serde(default)]
    exclude: Vec<String>,
    /// Over how many inner folds of groups training rows get their quality. The inner folds of
    /// their evidence when left out; 4 where the evidence does not say them.
    #[serde(default)]
    #[schemars(range(min = 2))]
    inner_folds: Option<u32>,
}

fn ten() -> usize {
    10
}

impl StageKind for Knn {
    const NAME: &'static str = "quality.knn";
    const REVISION: u32 = 1;
    const TAKES_NUMBERS: bool = true;
    const SUMMARY: &'static str = "Minus the distance to the k-th nearest training row.";

    fn ports() -> Ports {
        super::ports_with(&["evidence_train", "evidence_test", "features"], &["cohort"])
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { k, exclude, inner_folds } = self;
        key.field("k", k);
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
        if width == 0 {
            return Err(StageError::data("no feature is left to compare").at("exclude"));
        }
        let source = Source { name: "knn", control: Control::Native, evidence_derived: false };
        put_fitted::<AnyEvidence, _>(inputs, outputs, &source, self.inner_folds, |training| {
            let mut known = matrix.gather(raw_rows(training, features)?.into_iter());
            if training.example_id.len() < self.k {
                return Err(StageError::data(format!(
                    "neighbour {} of a row of modality {} is wanted, and there are {} training \
                     rows",
                    self.k,
                    training.modality,
                    training.example_id.len()
                ))
                .at("k")
                .hint("choose a smaller k"));
            }
            let scale = Preprocessor::fit(&known, width).map_err(|error| failed(&error))?;
            scale.apply(&mut known).map_err(|error| failed(&error))?;
            Ok(move |evidence: &Evidence| {
                let mut rows = matrix.gather(raw_rows(evidence, features)?.into_iter());
                scale.apply(&mut rows).map_err(|error| failed(&error))?;
                let root = (width as f64).sqrt();
                let rows = rows.par_chunks_exact(width);
                Ok(rows.map(|row| -kth_distance(&known, row, self.k) / root).collect())
            })
        })
    }
}

fn failed(error: &dyn std::error::Error) -> StageError {
    StageError::data(error.to_string())
}
