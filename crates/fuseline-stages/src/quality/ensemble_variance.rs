//! `quality.ensemble_variance`: how much experts fitted on half of the groups agree.

use fuseline_artifact::Control;
use fuseline_engine::{
    Inputs, KeyWriter, Outputs, PlanSite, Ports, RowFlow, StageError, StageKind,
};
use fuseline_stats::evidence::ensemble_variance;
use schemars::JsonSchema;
use serde::Deserialize;

use super::ensemble::{self, Ensemble, EnsembleOptions};
use crate::quality::{Source, put};

/// Quality is minus the variance of the class probabilities across an ensemble of logistic experts,
/// averaged over classes.
///
/// The training groups are split in halves at random, `members / 2` times, and an expert is fitted
/// on each half. A row is asked of one member of each split, so that variances of training and of
/// test rows are of as many members that were fitted alike: a training row of the one that its
/// group did not shape, a test row of one that is drawn for its group. It is not evidence-derived:
/// two examples of equal evidence may have different variances.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnsembleVariance {
    /// Number of experts; even.
    #[serde(default = "ensemble::members")]
    #[schemars(range(min = 4, max = 10_000), extend("multipleOf" = 2))]
    members: u32,
    /// Weight of the losses against the penalty, as of `expert.logistic`.
    #[serde(default = "ensemble::c")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    c: f64,
    /// Columns that do not count.
    #[serde(default)]
    exclude: Vec<String>,
}

impl StageKind for EnsembleVariance {
    const NAME: &'static str = "quality.ensemble_variance";
    const REVISION: u32 = 2; // 2: test rows are asked of one member a split, as training rows are.
    const SUMMARY: &'static str =
        "How much experts that were fitted on different halves of the training groups agree.";

    fn ports() -> Ports {
        super::ports(&ensemble::PORTS)
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { members, c, exclude } = self;
        key.field("members", members);
        key.field("c", c);
        key.field("exclude", exclude);
        key.seed();
    }

    fn check_plan(&self, site: &mut PlanSite<'_>) {
        crate::upstream::check_experts(site, "evidence_test");
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        super::fitted_rows(flow, "features");
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let Self { members, c, exclude } = self;
        let options = EnsembleOptions { members: *members, c: *c, exclude };
        let ensemble = Ensemble::fit(inputs, outputs, &options)?;
        let source =
            Source { name: "ensemble_variance", control: Control::Native, evidence_derived: false };
        put(inputs, outputs, &source, |evidence| {
            ensemble.each_row(evidence, |members| -ensemble_variance(members))
        })
    }
}
