//! `fusion.load`: a fusion model that was fitted elsewhere, from its files.

use std::collections::BTreeMap;
use std::path::PathBuf;

use fuseline_artifact::{ArtifactKind, Cohort, Model, Texts};
use fuseline_engine::kind::Problem;
use fuseline_engine::{
    CheckSite, Inputs, KeyWriter, Outputs, PlanSite, Ports, RowFlow, RowState, Rows, StageError,
    StageKind,
};
use fuseline_host::{Descriptor, LoadFile, LoadSource};
use fuseline_workflow::Role;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{embeddings, rule};
use crate::command::FilePath;
use crate::fitted_on::FittedOn;
use crate::load::format::refuse_pointer;
use crate::load::table::file_name;
use crate::rows::rows_digest;

/// Loads a fusion model that was fitted elsewhere; nothing is fitted here.
///
/// The rule is a plugin that loads models: in C the extension `fuseline.load/1`, in Python a method
/// `load`. It is given the content of `files` and nothing else of the disk, and makes of it the
/// bytes that are frozen.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// The rule: a plugin's full id, or the last part of it.
    rule: String,
    /// The model's files by their names in the rule, such as `{ weights: gate.pt }`. Their content
    /// is part of the key.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, FilePath>")]
    files: BTreeMap<String, PathBuf>,
    /// The rule's own parameters; `fuseline plugin inspect` shows them.
    #[serde(default)]
    params: Map<String, Value>,
    /// The modalities in the order of the model's inputs. What arrives is bound to them by name,
    /// whatever the order of an axis.
    #[schemars(length(min = 1))]
    modalities: Vec<String>,
    /// The classes in the order of the model's outputs; those of the cohort when left out, and an
    /// error when these differ.
    #[serde(default)]
    classes: Option<Vec<String>>,
    /// The examples that the model has seen: `external` (none of the cohort), `all`, or
    /// `{ ids: FILE }`.
    #[serde(default)]
    fitted_on: FittedOn,
    /// Columns of the embeddings that the model does not take.
    #[serde(default)]
    exclude: Vec<String>,
    /// Embeddings are given as they are: the model brings its own preprocessing. Only `false` is
    /// possible.
    #[serde(default)]
    standardise: bool,
}

impl StageKind for Load {
    const NAME: &'static str = "fusion.load";
    const REVISION: u32 = 1;
    const SUMMARY: &'static str = "A fusion model that was fitted elsewhere, from its files.";

    fn ports() -> Ports {
        Ports::new()
            .one("cohort", ArtifactKind::Cohort, Role::Neutral, "The examples, for their classes.")
            .many("embeddings", ArtifactKind::Features, Role::Neutral, embeddings::PORT)
            .optional()
            .output("model", ArtifactKind::Model, "The model, frozen.")
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { rule, files, params, modalities, classes, fitted_on, exclude, standardise: _ } =
            self;
        key.rule("rule", rule);
        for (name, path) in files {
            key.file(&format!("files.{name}"), path);
            // The rule is told the name.
            key.field(&format!("files.{name}.name"), &file_name(path));
        }
        key.field("params", params);
        key.field("modalities", modalities);
        key.field("classes", classes);
        fitted_on.key(key);
        key.field("exclude", exclude);
    }

    fn check(&self, site: &mut CheckSite<'_>) {
        if let Some(descriptor) = rule::check(site, &self.rule, &self.params) {
            self.check_rule(site, &descriptor);
        }
        if self.fitted_on == FittedOn::Train {
            site.report(
                Problem::new("fitted_on", "a model that was fitted elsewhere knows no fold")
                    .hint("say `{ ids: FILE }`: a file that lists the examples it was fitted on"),
            );
        }
        if self.standardise {
            site.report(
                Problem::new("standardise", "nothing is fitted here to standardise by").hint(
                    "leave it out: the model is given embeddings as they are, and brings its own \
                     preprocessing",
                ),
            );
        }
        let twice = (1..self.modalities.len())
            .find(|&at| self.modalities[..at].contains(&self.modalities[at]));
        if let Some(at) = twice {
            let words = format!("`modalities` names {} twice", self.modalities[at]);
            site.report(Problem::new(format!("modalities.{at}"), words));
        }
    }

    fn check_plan(&self, site: &mut PlanSite<'_>) {
        embeddings::check(site);
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        let saw = match self.fitted_on {
            FittedOn::All => Rows::all(),
            _ => Rows::external(),
        };
        flow.no_control("embeddings");
        flow.give("model", RowState::default().taught(&saw));
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let cohort: Cohort = inputs.one("cohort")?;
        if let Some(classes) = self.classes.as_ref().filter(|classes| **classes != cohort.classes) {
            return Err(StageError::data(format!(
                "the model's outputs are of the classes {} and the cohort's classes are {}",
                classes.join(", "),
                cohort.classes.join(", ")
            ))
            .at("classes")
            .hint(
                "name the same classes in the same order where the cohort is defined: `label: { \
                 classes: ... }`",
            ));
        }
        let scales =
            embeddings::declare(&inputs.many("embeddings")?, &self.exclude, &self.modalities)?;
        let seen = self.fitted_on.seen(inputs)?;
        let fitted_on: Texts = match &seen {
            Some(seen) => seen.examples(&cohort),
            None => Texts::from_iter(std::iter::empty::<&str>()),
        };
        let mut files = Vec::with_capacity(self.files.len());
        for (name, path) in &self.files {
            let at = |error: StageError| error.at(format!("files.{name}"));
            let bytes = inputs.read_file(path).map_err(at)?;
            refuse_pointer(&file_name(path), &bytes).map_err(at)?;
            files.push(LoadFile { name: name.clone(), file_name: file_name(path), bytes });
        }

        let services = inputs.services();
        let file = services.plugins.find(&self.rule)?;
        let rule = inputs.load_rule(&file)?;
        let params = rule::params(&rule, &self.params)?;
        super::caution(&rule, outputs);
        let source =
            LoadSource { files: &files, modalities: &self.modalities, classes: &cohort.classes };
        let loaded = rule.load(&source, &params, &crate::stop::signal(inputs));
        let loaded = loaded.map_err(|error| StageError::from(error).at("files"))?;
        for warning in loaded.warnings() {
            outputs.caution(format!("the rule {} says: {warning}", self.rule));
        }
        outputs.discover(loaded.reads);
        let descriptor = rule.descriptor();
        outputs.put(
            "model",
            Model {
                plugin_id: descriptor.id.clone(),
                plugin_version: descriptor.version.clone(),
                plugin_digest: file.digest,
                rows_digest: rows_digest(&fitted_on),
                fitted_on: fuseline_artifact::FittedOn::examples(fitted_on.iter()),
                modalities: self.modalities.clone(),
                classes: cohort.classes,
                embeddings: scales,
                bytes: loaded.model,
            },
        )
    }
}

impl Load {
    fn check_rule(&self, site: &mut CheckSite<'_>, descriptor: &Descriptor) {
        if !descriptor.capabilities.loads {
            let words = format!("the rule {} does not load models", descriptor.id);
            site.report(Problem::new("rule", words).hint(
                "fit it with fusion.fit, or choose a rule that loads: `\"loads\": true` among its \
                 capabilities",
            ));
        }
        if let Err(error) = descriptor.accepts_modalities(self.modalities.len()).and_then(|()| {
            self.classes.as_ref().map_or(Ok(()), |of| descriptor.accepts_classes(of.len()))
        }) {
            site.report(Problem::new("modalities", error.to_string()));
        }
        rule::check_embeddings(site, descriptor);
    }
}
