//! `fusion.predict`: what a frozen model says.

use fuseline_artifact::{AnyCohort, ArtifactKind, Model, Predictions, RegressionPredictions};
use fuseline_engine::{
    Inputs, KeyWriter, Outputs, PlanSite, Ports, RowFlow, StageError, StageKind,
};
use fuseline_workflow::Role;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::batch::Fusable;
use crate::guard;
use crate::rows::decision;
use crate::upstream;

/// Applies a frozen model to evidence, availability and quality. Where the label is a number, what
/// comes out is the number that is expected.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Predict {}

impl StageKind for Predict {
    const NAME: &'static str = "fusion.predict";
    // 2: models keep how embeddings are standardised.
    const REVISION: u32 = 2;
    const TAKES_NUMBERS: bool = true;
    const SUMMARY: &'static str = "Class probabilities and decisions of a frozen fusion rule.";

    fn ports() -> Ports {
        Ports::new()
            .one("model", ArtifactKind::Model, Role::Apply, "The fitted rule.")
            .many("evidence", ArtifactKind::Evidence, Role::Apply, "Evidence, one a modality.")
            .many(
                "quality",
                ArtifactKind::Quality,
                Role::Apply,
                "Quality of the same rows, one a modality.",
            )
            .many("embeddings", ArtifactKind::Features, Role::Apply, super::embeddings::PORT)
            .optional()
            .one("cohort", ArtifactKind::Cohort, Role::Neutral, "The examples, for their order.")
            .output("predictions", ArtifactKind::Predictions, "Probabilities and decisions.")
    }

    fn key(&self, _: &mut KeyWriter<'_>) {
        let Self {} = self;
    }

    fn check_plan(&self, site: &mut PlanSite<'_>) {
        upstream::check_fusion(site);
        upstream::check_same_experts(site);
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        super::applied(flow, &["predictions"], false);
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let model: Model = inputs.one("model")?;
        let AnyCohort { cohort, values, .. } = inputs.one("cohort")?;
        let mut fusable = Fusable::gather(inputs, &cohort)?;
        super::bind(&model, &mut fusable)?;
        super::embeddings::apply(&model, &inputs.many("embeddings")?, &mut fusable)?;
        guard::not_fitted_on(&model, &cohort, &fusable.rows)?;
        let (opened, batch) = super::open_for(inputs, &model, &fusable)?;
        let example_id = fusable.example_id.clone();
        drop((cohort, fusable));
        super::caution(opened.rule(), outputs);
        let probabilities = opened.predict(&batch)?;
        outputs.discover(opened.reads());
        if values.is_some() {
            let prediction = probabilities;
            return outputs.put("predictions", RegressionPredictions { example_id, prediction });
        }
        let decision = probabilities
            .chunks_exact(model.classes.len())
            .map(|row| decision(row) as u32)
            .collect();
        outputs.put(
            "predictions",
            Predictions {
                example_id,
                classes: model.classes,
                probabilities: probabilities.into(),
                decision,
            },
        )
    }
}
