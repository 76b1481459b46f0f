//! `quality.conformal_set_size`: how many classes a conformal prediction set needs.

use fuseline_artifact::{Cohort, Control, Evidence};
use fuseline_engine::{
    Inputs, KeyWriter, Outputs, PlanSite, Ports, RowFlow, StageError, StageKind,
};
use fuseline_stats::evidence::{conformal_set_size, conformal_threshold};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::quality::{Source, each_row, put_fitted};
use crate::rows::cohort_rows;

/// Quality is minus the size of the split-conformal prediction set of the expert: the classes of
/// which 1 - p is at most the threshold, but at least one.
///
/// The threshold is the ceil((n + 1) * coverage)-th smallest 1 - p(label) of n training rows, whose
/// evidence is out of fold: of all of them for a test row, of those of the other inner folds for a
/// training row. The inner folds are those of the expert, which its evidence says; where it does
/// not, as that of a program or of an expert that was fitted elsewhere, the groups of `cohort` are
/// divided over 4. With the threshold frozen quality is a function of the evidence, so it is marked
/// as evidence-derived. It has as many values as there are classes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConformalSetSize {
    /// Coverage: probability with which the set contains the label.
    #[serde(default = "ninety")]
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    coverage: f64,
    /// Over how many inner folds of groups training rows get their quality. The inner folds of
    /// their evidence when left out; 4 where the evidence does not say them.
    #[serde(default)]
    #[schemars(range(min = 2))]
    inner_folds: Option<u32>,
}

fn ninety() -> f64 {
    0.9
}

impl StageKind for ConformalSetSize {
    const NAME: &'static str = "quality.conformal_set_size";
    const REVISION: u32 = 2; // 2: training rows out of fold over inner folds, not groups.
    const SUMMARY: &'static str = "Minus the size of the expert's conformal prediction set.";

    fn ports() -> Ports {
        super::ports(&["evidence_train", "evidence_test", "cohort"])
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { coverage, inner_folds } = self;
        key.field("coverage", coverage);
        key.field("inner_folds", inner_folds);
    }

    fn check_plan(&self, site: &mut PlanSite<'_>) {
        crate::upstream::check_experts(site, "evidence_test");
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        super::fitted_rows(flow, "evidence_train");
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let cohort: Cohort = inputs.one("cohort")?;
        let source =
            Source { name: "conformal_set_size", control: Control::Native, evidence_derived: true };
        put_fitted::<Evidence, _>(inputs, outputs, &source, self.inner_folds, |training| {
            let rows = cohort_rows(training, &cohort)?.into_iter().zip(each_row(training));
            let scores: Vec<f64> = rows
                .map(|(row, probabilities)| 1.0 - probabilities[cohort.label[row] as usize])
                .collect();
            let threshold = conformal_threshold(&scores, self.coverage);
            Ok(move |evidence: &Evidence| {
                let size = |row| -f64::from(conformal_set_size(row, threshold));
                Ok(each_row(evidence).map(size).collect())
            })
        })
    }
}
