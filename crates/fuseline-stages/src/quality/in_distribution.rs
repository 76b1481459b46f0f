//! `quality.in_distribution`: how ordinary the features are, seen from the training rows.

use fuseline_artifact::{Control, Evidence, Features};
use fuseline_engine::{Inputs, KeyWriter, Outputs, Ports, RowFlow, StageError, StageKind};
use fuseline_learn::standardise::Preprocessor;
use fuseline_stats::evidence::in_distribution;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::quality::{Source, put, raw_rows};
use crate::rows::Matrix;

/// Quality is minus the mean over the observed features of |z|, with mean and sd of the training rows.
///
/// The training rows are those of `evidence_train`; mean and sd are those of the expert's preprocessing.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InDistribution {
    /// Columns that do not count.
    #[serde(default)]
    exclude: Vec<String>,
}

impl StageKind for InDistribution {
    const NAME: &'static str = "quality.in_distribution";
    const REVISION: u32 = 1;
    const SUMMARY: &'static str =
        "How close the features are to those of the training rows: minus the mean |z|.";

    fn ports() -> Ports {
        super::ports(&["evidence_train", "evidence_test", "features"])
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { exclude } = self;
        key.field("exclude", exclude);
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        let fitted = flow.input("evidence_train").holds;
        flow.fit("features", &fitted);
        flow.pass("evidence_train", "train");
        let test = flow.pass("evidence_test", "test");
        *test = std::mem::take(test).taught(&fitted);
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let features: Features = inputs.one("features")?;
        let training: Evidence = inputs.one("evidence_train")?;
        let matrix = Matrix::of(&features, &self.exclude)?;
        let fitted = matrix.gather(raw_rows(&training, &features)?.into_iter());
        let scale = Preprocessor::fit(&fitted, matrix.width())
            .map_err(|error| StageError::failed(error.to_string()))?;
        let source =
            Source { name: "in_distribution", control: Control::Native, evidence_derived: false };
        put(inputs, outputs, &source, |evidence| {
            let rows = raw_rows(evidence, &features)?;
            let quality = rows.iter().zip(evidence.example_id.iter()).map(|(&row, id)| {
                in_distribution(&matrix.row(row), scale.mean(), scale.scale()).ok_or_else(|| {
                    StageError::data(format!(
                        "example {id} has no observed feature in modality {}",
                        evidence.modality
                    ))
                    .hint("leave such a row out of the features: an absent row is an unavailable modality")
                })
            });
            quality.collect()
        })
    }
}
