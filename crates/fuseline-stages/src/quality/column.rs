//! `quality.column`: a quality that was measured with the data.

use arrow::array::Array;
use fuseline_artifact::{Control, Features};
use fuseline_engine::{Inputs, KeyWriter, Outputs, Ports, RowFlow, StageError, StageKind};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::quality::{Source, put, raw_rows};
use crate::rows::no_column;

/// Quality is a column of the features, such as a signal-to-noise ratio or a detector's confidence.
///
/// Tell the expert to `exclude` the column, so that it does not enter the evidence.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QualityColumn {
    /// The column.
    #[serde(default = "quality")]
    column: String,
    /// Taken where the column is missing or not finite; an error when left out.
    #[serde(default)]
    fill: Option<f64>,
}

fn quality() -> String {
    "quality".to_owned()
}

impl StageKind for QualityColumn {
    const NAME: &'static str = "quality.column";
    const REVISION: u32 = 1;
    const SUMMARY: &'static str = "A column of the features that was measured as quality.";

    fn ports() -> Ports {
        super::ports(&["evidence_train", "evidence_test", "features"])
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { column, fill } = self;
        key.field("column", column);
        key.field("fill", fill);
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        super::rows(flow);
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let named =
            |features: &Features| features.columns.iter().any(|(name, _)| *name == self.column);
        let features = match inputs.columns("features", &[&self.column])?.pop() {
            Some(found) if named(&found.artifact) => found.artifact,
            // All columns, to say which there are.
            _ => inputs.one("features")?,
        };
        let (_, column) = features
            .columns
            .iter()
            .find(|(name, _)| *name == self.column)
            .ok_or_else(|| no_column(&features, &self.column).at("column"))?;
        let source = Source { name: "column", control: Control::Native, evidence_derived: false };
        put(inputs, outputs, &source, |evidence| {
            let rows = raw_rows(evidence, &features)?;
            let quality = rows.iter().zip(evidence.example_id.iter()).map(|(&row, id)| {
                let measured = Some(column.value(row))
                    .filter(|value| column.is_valid(row) && value.is_finite());
                measured.or(self.fill).ok_or_else(|| {
                    StageError::data(format!(
                        "column {} of modality {} has no value for example {id}",
                        self.column, evidence.modality
                    ))
                    .at("fill")
                    .hint("set fill to the quality that such examples should have")
                })
            });
            quality.collect()
        })
    }
}
