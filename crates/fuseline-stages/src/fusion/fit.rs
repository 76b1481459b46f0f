//! `fusion.fit`: fits a fusion rule; the model is frozen bytes.

use fuseline_artifact::{AnyCohort, ArtifactKind, FittedOn, Model};
use fuseline_engine::kind::Problem;
use fuseline_engine::{
    CheckSite, Inputs, KeyWriter, Outputs, PlanSite, Ports, RowFlow, RowState, Rows, StageError,
    StageKind, UnreadOption,
};
use fuseline_learn::weights;
use fuseline_workflow::Role;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{embeddings, rule};
use crate::batch::Fusable;
use crate::expert::all_classes;
use crate::rows::rows_digest;
use crate::upstream;

/// Fits a fusion rule on evidence, availability, quality and labels.
///
/// Rows are weighted so that the classes count alike: n / (classes * rows of the row's class). Where
/// the label is a number all rows count alike, and the rule must be one that takes numbers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fit {
    /// The rule: a plugin's full id, or the last part of it (`weighted_mean`).
    rule: String,
    /// The rule's own parameters; `fuseline plugin inspect` shows them.
    #[serde(default)]
    params: Map<String, Value>,
    /// Columns of the embeddings that the rule must not see, such as one that quality is read from:
    /// an intervention on quality would not reach it there. An embedding without the column is left
    /// as it is.
    #[serde(default)]
    exclude: Vec<String>,
    /// True if embeddings are standardised by the training rows; else the rule is given them
    /// as they are, and no value may be missing.
    #[serde(default = "crate::load::yes")]
    standardise: bool,
}

impl StageKind for Fit {
    const NAME: &'static str = "fusion.fit";
    // 2: the model says which rows it was fitted on. 3: and how its embeddings are standardised.
    const REVISION: u32 = 3;
    const TAKES_NUMBERS: bool = true;
    const SUMMARY: &'static str =
        "Fits a fusion rule on evidence, availability, quality and labels.";

    fn ports() -> Ports {
        Ports::new()
            .many(
                "evidence",
                ArtifactKind::Evidence,
                Role::Fit,
                "Out-of-fold evidence, one a modality.",
            )
            .many(
                "quality",
                ArtifactKind::Quality,
                Role::Fit,
                "Quality of the same rows, one a modality.",
            )
            .many("embeddings", ArtifactKind::Features, Role::Fit, embeddings::PORT)
            .optional()
            .one("cohort", ArtifactKind::Cohort, Role::Fit, "The examples with their labels.")
            .output("model", ArtifactKind::Model, "The fitted rule, frozen.")
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { rule, params, exclude, standardise } = self;
        key.rule("rule", rule);
        key.field("params", params);
        key.field("exclude", exclude);
        if !standardise {
            key.field("standardise", standardise);
        }
        key.seed();
    }

    fn without_effect(&self, inputs: &[&str]) -> Vec<UnreadOption> {
        match inputs.contains(&"embeddings") {
            true => Vec::new(),
            false => vec![("standardise", "there are no embeddings")],
        }
    }

    fn check(&self, site: &mut CheckSite<'_>) {
        if !self.exclude.is_empty() && !site.inputs.contains(&"embeddings") {
            site.report(
                Problem::new("exclude", "there are no embeddings to exclude columns of")
                    .hint("give the input embeddings, or leave exclude out"),
            );
        }
        let Some(descriptor) = rule::check(site, &self.rule, &self.params) else { return };
        if !descriptor.capabilities.fits {
            let words = format!("the rule {} is not fitted: it loads models", descriptor.id);
            site.report(Problem::new("rule", words).hint("use fusion.load, with its files"));
        }
        rule::check_embeddings(site, &descriptor);
    }

    fn check_plan(&self, site: &mut PlanSite<'_>) {
        upstream::check_fusion(site);
        embeddings::check(site);
        rule::check_numbers(site, &self.rule);
        rule::check_modalities(site, &self.rule);
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        let [evidence, quality, embedded] =
            ["evidence", "quality", "embeddings"].map(|port| flow.input(port));
        flow.fit("evidence", &evidence.holds);
        flow.fit("quality", &quality.holds);
        flow.same_rows("evidence", "quality");
        flow.no_control("evidence");
        flow.fit_beside("embeddings", "evidence");
        flow.no_control("embeddings");
        flow.read_labels("cohort");
        let fitted = evidence.holds.union(&quality.holds);
        let control = quality.control;
        let model =
            RowState::together([&evidence, &quality, &embedded].into_iter()).taught(&fitted);
        flow.give("model", RowState { holds: Rows::none(), in_fold: false, control, ..model });
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let AnyCohort { cohort, values, .. } = inputs.one("cohort")?;
        let mut fusable = Fusable::gather(inputs, &cohort)?;
        let given = inputs.many("embeddings")?;
        let scales = embeddings::fit(&given, &self.exclude, self.standardise, &mut fusable)?;
        if let Some(modality) = fusable.modality_without_rows() {
            return Err(StageError::data(format!("no training example of modality {modality}"))
                .hint(
                    "the rule cannot learn what it is worth; use other folds, or leave the \
                     modality out",
                ));
        }
        let batch = match &values {
            Some(values) => fusable.training_batch_of_numbers(values)?,
            None => {
                let labels = fusable.labels(&cohort);
                all_classes(&labels, &cohort.classes).map_err(|class| {
                    StageError::data(format!("no training example is of class {class}"))
                        .hint("use fewer folds")
                })?;
                let weights = weights::balanced(&labels, cohort.classes.len())
                    .map_err(|error| StageError::failed(error.to_string()))?;
                fusable.training_batch(&labels, &weights)?
            }
        };
        let fitted_on = fusable.example_id.clone();
        // All that the rule needs is in the batch now.
        drop((cohort, fusable, values));

        let services = inputs.services();
        let file = services.plugins.find(&self.rule)?;
        let rule = inputs.load_rule(&file)?;
        rule::takes(&rule, batch.is_regression())?;
        let params = rule::params(&rule, &self.params)?;
        super::caution(&rule, outputs);
        for layer in rule.missing_layers() {
            let id = &rule.descriptor().id;
            outputs.caution(format!("this system has no {layer}: the sandbox of {id} lacks it"));
        }
        let fitted = rule.fit(&batch, &params, inputs.seed(), &crate::stop::signal(inputs))?;
        for warning in fitted.warnings() {
            outputs.caution(format!("the rule {} says: {warning}", self.rule));
        }
        outputs.discover(fitted.reads);
        let descriptor = rule.descriptor();
        outputs.put(
            "model",
            Model {
                plugin_id: descriptor.id.clone(),
                plugin_version: descriptor.version.clone(),
                plugin_digest: file.digest,
                rows_digest: rows_digest(&fitted_on),
                fitted_on: FittedOn::examples(fitted_on.iter()),
                modalities: batch.modalities().to_vec(),
                classes: batch.classes().to_vec(),
                embeddings: scales,
                bytes: fitted.model,
            },
        )
    }
}
