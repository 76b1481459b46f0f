//! `quality.missingness`: how much of the modality was observed.

use fuseline_artifact::{Control, Features};
use fuseline_engine::{Inputs, KeyWriter, Outputs, Ports, RowFlow, StageError, StageKind};
use fuseline_stats::evidence::observed_share;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::quality::{Source, put_rows, raw_rows};
use crate::rows::Matrix;

/// Quality is the share of the modality's features that are observed: neither missing nor infinite.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Missingness {
    /// Columns that do not count.
    #[serde(default)]
    exclude: Vec<String>,
}

impl StageKind for Missingness {
    const NAME: &'static str = "quality.missingness";
    const REVISION: u32 = 1;
    const TAKES_NUMBERS: bool = true;
    const SUMMARY: &'static str = "The share of the modality's features that are observed.";

    fn ports() -> Ports {
        super::ports(&["evidence_train", "evidence_test", "features"])
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { exclude } = self;
        key.field("exclude", exclude);
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        super::rows(flow);
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let features: Features = inputs.one("features")?;
        let matrix = Matrix::from_features(&features, &self.exclude)?;
        let source =
            Source { name: "missingness", control: Control::Native, evidence_derived: false };
        put_rows(inputs, outputs, &source, |evidence| {
            let rows = raw_rows(evidence, &features)?;
            Ok(rows.into_iter().map(|row| observed_share(&matrix.row(row))).collect())
        })
    }
}
