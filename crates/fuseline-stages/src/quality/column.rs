//! `quality.column`: a quality that was measured with the data.

use arrow::array::{Array, Float64Array};
use fuseline_artifact::{Control, Features};
use fuseline_engine::{Inputs, KeyWriter, Outputs, Ports, RowFlow, StageError, StageKind};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::join::{self, JoinOptions, Loss, find_mismatch};
use crate::quality::{Source, put_rows, raw_rows};
use crate::rows::{Finder, no_column};

/// Quality is a column of the features, such as a signal-to-noise ratio or a detector's confidence.
///
/// Tell the expert to `exclude` the column, so that it does not enter the evidence.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QualityColumn {
    /// The column.
    #[serde(default = "quality")]
    column: String,
    /// Taken where the column is missing or not finite, and where the features lack the example; an
    /// error when left out.
    #[serde(default)]
    fill: Option<f64>,
    /// Least share of the examples with evidence that the features must have, where the others are
    /// filled.
    #[serde(default)]
    join: JoinOptions,
}

fn quality() -> String {
    "quality".to_owned()
}

/// A column of the features, and the features, of which other columns may be left out.
pub(super) fn features_with(
    inputs: &Inputs<'_>,
    column: &str,
) -> Result<(Features, Float64Array), StageError> {
    let values = |features: &Features| {
        let mut columns = features.columns.iter();
        columns.find(|(name, _)| name == column).map(|(_, values)| values.clone())
    };
    if let Some(found) = inputs.columns("features", &[column])?.pop()
        && let Some(values) = values(&found.artifact)
    {
        return Ok((found.artifact, values));
    }
    // All columns, to say which there are.
    let features: Features = inputs.one("features")?;
    match values(&features) {
        Some(values) => Ok((features, values)),
        None => Err(no_column(&features, column).at("column")),
    }
}

impl StageKind for QualityColumn {
    const NAME: &'static str = "quality.column";
    // 2: fill counts for examples that the features lack, with a caution.
    const REVISION: u32 = 2;
    const TAKES_NUMBERS: bool = true;
    const SUMMARY: &'static str = "A column of the features that was measured as quality.";

    fn ports() -> Ports {
        super::ports(&["evidence_train", "evidence_test", "features"])
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { column, fill, join } = self;
        key.field("column", column);
        key.field("fill", fill);
        key.field("join", join);
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        super::rows(flow);
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let (features, column) = features_with(inputs, &self.column)?;
        let source = Source { name: "column", control: Control::Native, evidence_derived: false };
        // Of both sides together: every fold has the same.
        let (mut lost, mut modality, mut of) = (Vec::new(), String::new(), 0);
        put_rows(inputs, outputs, &source, |evidence| {
            if self.fill.is_none() {
                raw_rows(evidence, &features).map_err(|error| {
                    let hint = error.hint.clone().unwrap_or_default();
                    error
                        .at("fill")
                        .hint(format!("{hint}; fill is the quality of those that lack one"))
                })?;
            }
            modality.clone_from(&evidence.modality);
            of += evidence.example_id.len();
            let mut place = Finder::new(&features.example_id);
            let quality = evidence.example_id.iter().map(|id| {
                let row = place.find(id);
                if row.is_none() {
                    lost.push(id.to_owned());
                }
                let measured = row
                    .filter(|row| column.is_valid(*row))
                    .map(|row| column.value(row))
                    .filter(|value| value.is_finite());
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
        })?;
        if lost.is_empty() {
            return Ok(());
        }
        lost.sort();
        let lost: Vec<&str> = lost.iter().map(String::as_str).collect();
        let sources = [
            join::Source::new("the evidence", lost.iter().copied()),
            join::Source::new("the features", features.example_id.iter()),
        ];
        let what = format!(
            "the features with column {} lack {} of the {of} examples with evidence of modality \
             {modality}, whose quality is what fill says",
            self.column,
            lost.len()
        );
        let (kept, mismatch) = (of - lost.len(), find_mismatch(&sources));
        self.join.judge(Loss { what, lost, kept, of, by_design: false, mismatch }, outputs)
    }
}
