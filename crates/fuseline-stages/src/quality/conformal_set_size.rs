//! `quality.conformal_set_size`: how many classes a conformal prediction set needs.

use std::collections::BTreeMap;

use fuseline_artifact::{Cohort, Control, Evidence};
use fuseline_engine::{Inputs, KeyWriter, Outputs, Ports, RowFlow, StageError, StageKind};
use fuseline_stats::evidence::{conformal_set_size, conformal_threshold};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::quality::{Source, each_row, put};
use crate::rows::cohort_rows;

/// Quality is minus the size of the split-conformal prediction set of the expert: the classes of which 1 - p is at most the
/// threshold, but at least one.
///
/// The threshold is the ceil((n + 1) * coverage)-th smallest 1 - p(label) of the n training rows, whose evidence is out of
/// fold; a training row gets that of the training rows of other groups. With the threshold frozen it is a function of the
/// evidence, so it is marked as evidence-derived. It has as many values as there are classes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConformalSetSize {
    /// How often the set is to hold the label.
    #[serde(default = "ninety")]
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    coverage: f64,
}

fn ninety() -> f64 {
    0.9
}

impl StageKind for ConformalSetSize {
    const NAME: &'static str = "quality.conformal_set_size";
    const REVISION: u32 = 1;
    const SUMMARY: &'static str = "Minus the size of the expert's conformal prediction set.";

    fn ports() -> Ports {
        super::ports(&["evidence_train", "evidence_test", "cohort"])
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { coverage } = self;
        key.field("coverage", coverage);
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        super::fitted_rows(flow, "evidence_train");
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let cohort: Cohort = inputs.one("cohort")?;
        let training: Evidence = inputs.one("evidence_train")?;
        let scores: Vec<(&str, f64)> = cohort_rows(&training, &cohort)?
            .into_iter()
            .zip(each_row(&training))
            .map(|(row, probabilities)| {
                let label = cohort.label[row] as usize;
                (&cohort.group[row], 1.0 - probabilities[label])
            })
            .collect();
        let without = |group: &str| {
            let others =
                scores.iter().filter(|(other, _)| *other != group).map(|(_, score)| *score);
            conformal_threshold(&others.collect::<Vec<_>>(), self.coverage)
        };
        // A group of the test rows is in no training row: all scores count.
        let mut thresholds = BTreeMap::<&str, f64>::new();
        for group in cohort.group.iter() {
            if !thresholds.contains_key(group) {
                thresholds.insert(group, without(group));
            }
        }
        let source =
            Source { name: "conformal_set_size", control: Control::Native, evidence_derived: true };
        put(inputs, outputs, &source, |evidence| {
            let rows = cohort_rows(evidence, &cohort)?.into_iter().zip(each_row(evidence));
            Ok(rows
                .map(|(row, probabilities)| {
                    let threshold = thresholds[&cohort.group[row]];
                    -f64::from(conformal_set_size(probabilities, threshold))
                })
                .collect())
        })
    }
}
