//! `diagnose.routing`: how well quality tells which expert is right, and the accuracy of a perfect
//! choice.

use fuseline_artifact::{ArtifactKind, Cohort, RoutingRow, Table};
use fuseline_engine::{
    Inputs, KeyWriter, Outputs, PlanSite, Ports, RowFlow, StageError, StageKind,
};
use fuseline_stats::headroom::balanced_accuracy_of;
use fuseline_stats::metrics::MetricError;
use fuseline_workflow::Role;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::diagnose::experts::{Pooled, Tested};
use crate::diagnose::router;
use crate::expert::caution_of;
use crate::table::finite;
use crate::upstream;

/// Headroom and alignment in full: the balanced accuracies of the fused decision, of each expert,
/// of the oracle and of always choosing the expert of the highest quality; routing regret; and
/// selection accuracy.
///
/// Routing regret is the share of examples where some available expert is right and the fused
/// decision is not; beyond the oracle, the share where the fused decision is right and no expert
/// is. Selection accuracy looks at the examples whose experts disagree about being right, and says
/// how often the expert of the highest quality is. Experts of equal quality share an example.
///
/// `ba_router` is the ceiling of a learned choice: a logistic router that sees evidence and quality
/// learns from the labels of test rows of other groups which expert's decision is most likely the
/// label, and believes that one. `ba_router_without_quality` sees evidence alone; what lies between
/// them is what this quality is worth to a choice among the experts. Both read test labels: they
/// are bounds to compare a fused decision with, and no condition of the study.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Routing {
    /// Over how many folds of the tested groups the router learns and chooses.
    #[serde(default = "five")]
    #[schemars(range(min = 2))]
    router_folds: u32,
}

fn five() -> u32 {
    5
}

impl StageKind for Routing {
    const NAME: &'static str = "diagnose.routing";
    // 2: the ceiling of a learned router. 3: its table is an artifact of kind table.
    // 4: experts of equal quality share an example.
    const REVISION: u32 = 4;
    const SUMMARY: &'static str =
        "Oracle, a learned router, routing regret, selection accuracy and alignment, as a table.";

    fn ports() -> Ports {
        Ports::new()
            .many("effects", ArtifactKind::ExampleEffects, Role::Neutral, "Effects, one a fold.")
            .many(
                "evidence",
                ArtifactKind::Evidence,
                Role::Neutral,
                "Test evidence, one a fold and modality.",
            )
            .many(
                "quality",
                ArtifactKind::Quality,
                Role::Neutral,
                "Test quality, one a fold and modality.",
            )
            .one(
                "cohort",
                ArtifactKind::Cohort,
                Role::Neutral,
                "The examples with group and label.",
            )
            .output("table", ArtifactKind::Table, "One row a measure and modality.")
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { router_folds } = self;
        key.field("router_folds", router_folds);
    }

    fn check_plan(&self, site: &mut PlanSite<'_>) {
        upstream::check_pooled(site, &["effects", "evidence", "quality"]);
        upstream::check_same_test(site, "effects");
        upstream::check_experts(site, "evidence");
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        flow.no_control("evidence");
        flow.test_beside("effects", "evidence");
        flow.test_beside("effects", "quality");
        // Oracle and router read the labels of the rows that they choose for.
        let all = flow.all_inputs();
        let told = all.holds.clone();
        flow.give("table", all.taught(&told)).control = true;
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let cohort: Cohort = inputs.one("cohort")?;
        let tested = Tested::gather(inputs.each("effects"), &cohort, None)?;
        let pooled = Pooled::gather(inputs, &cohort, &tested.rows, true)?;
        let failed = |error: MetricError| StageError::data(error.to_string());
        let experts = pooled.experts().ok_or_else(|| {
            StageError::data(format!(
                "routing chooses among experts, and {} has none",
                pooled.without_expert.join(", ")
            ))
            .hint("leave the stage out, or give every modality an expert")
        })?;
        let headroom = experts.headroom(&tested.clean).map_err(failed)?;
        let accuracy = |right: &[bool]| balanced_accuracy_of(&pooled.labels, pooled.classes, right);
        let mut rows = Vec::new();
        let mut add = |measure: &str, modality: Option<&str>, value: f64| {
            let (measure, modality) = (measure.to_owned(), modality.map(str::to_owned));
            rows.push((Vec::new(), RoutingRow { measure, modality, value: finite(value) }));
        };
        add("ba_fused", None, accuracy(&tested.clean).map_err(failed)?);
        add("ba_oracle", None, headroom.oracle);
        let highest = experts.highest_quality(&pooled.quality).map_err(failed)?;
        add("ba_highest_quality", None, highest);
        let (group, _) = tested.groups(&cohort);
        for (measure, sees_quality) in [("ba_router", true), ("ba_router_without_quality", false)] {
            let routed = router::routed(&pooled, &group, self.router_folds, sees_quality)?;
            if let Some(routed) = &routed {
                let what = format!("of {} fits of {measure}", self.router_folds);
                caution_of(outputs, &what, routed.not_converged.iter().copied());
            }
            let value = routed.map(|routed| accuracy(&routed.right)).transpose().map_err(failed)?;
            add(measure, None, value.unwrap_or(f64::NAN));
        }
        add("headroom", None, headroom.headroom);
        add("routing_regret", None, headroom.regret);
        add("beyond_oracle", None, headroom.beyond_oracle);
        let selection = experts.selection_accuracy(&pooled.quality).map_err(failed)?;
        add("selection_accuracy", None, selection.unwrap_or(f64::NAN));
        let alignment = experts.alignment(&pooled.quality).map_err(failed)?;
        let unimodal = experts.unimodal().map_err(failed)?;
        for ((modality, alone), alignment) in pooled.modalities.iter().zip(unimodal).zip(alignment)
        {
            let of = Some(modality.as_str());
            add("ba_unimodal", of, alone);
            add("alignment_auroc", of, alignment.auroc.unwrap_or(f64::NAN));
            add("alignment_spearman", of, alignment.spearman.unwrap_or(f64::NAN));
        }
        outputs.put("table", Table { axes: Vec::new(), rows })
    }
}
