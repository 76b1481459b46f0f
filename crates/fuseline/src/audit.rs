//! The audit of a study's data without a stage for it: the stage kind `audit.data` on what the
//! workflow has.

use std::collections::BTreeSet;
use std::sync::Arc;

use fuseline_artifact::{Artifact, ArtifactKind, Audit};
use fuseline_cache::Cache;
use fuseline_engine::{
    ActionId, Inputs, InputsBuilder, Inspection, Outputs, Plan, Point, StageError, inspect,
};
use fuseline_workflow::{OutputIndex, StageIndex};
use serde_json::{Map, Value};

use crate::deliver;
use crate::error::Error;
use crate::study::OpenStudy;

/// The stage kind that audits.
const KIND: &str = "audit.data";

/// Inputs of an audit: port, artifact kind, and the names of stage kinds that give it.
type Port = (&'static str, ArtifactKind, fn(&str) -> bool);

const DATA: [Port; 3] = [
    ("folds", ArtifactKind::Folds, |_| true),
    // Features after an intervention are another condition of the same data.
    ("features", ArtifactKind::Features, |kind| !kind.starts_with("intervene.")),
    ("metadata", ArtifactKind::Metadata, |_| true),
];
const RESULTS: [Port; 2] = [
    ("quality", ArtifactKind::Quality, |kind| kind.starts_with("quality.")),
    ("evidence", ArtifactKind::Evidence, |kind| kind.starts_with("expert.")),
];

/// Audit of one cohort of a study.
#[derive(Debug)]
pub struct StudyAudit {
    /// The point of the cohort; empty where there is one.
    pub point: Point,
    /// Its faults.
    pub audit: Audit,
}

/// Stages whose outputs an audit reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditStages {
    /// Cohort, folds, features and metadata.
    pub data: Vec<String>,
    /// Quality and evidence, for which experts are fitted.
    pub results: Vec<String>,
}

impl OpenStudy {
    /// The stages whose outputs an audit reads. An error where the workflow has no cohort.
    pub fn audit_stages(&self) -> Result<AuditStages, Error> {
        let plan = self.plan_without_keys()?;
        let mut stages = AuditStages::default();
        let cohorts = give(&plan, ArtifactKind::Cohort, |_| true);
        if cohorts.is_empty() {
            return Err(Error::request("the workflow has no cohort, and nothing to audit")
                .with_hint(
                    "an audit reads what cohort.define or simulate.cohort makes".to_owned(),
                ));
        }
        if let Some((stage, _)) = cohorts.iter().find(|(stage, _)| plan.gives_numbers(*stage)) {
            let name = &plan.workflow().stages[*stage].name;
            let message = format!(
                "the label of `{name}` is a number (regression: true), and an audit examines classes"
            );
            return Err(Error::request(message).with_hint(
                "audit the same data with the label cut into classes by threshold or quantile: \
                 copies, ids, groups and folds are the same"
                    .to_owned(),
            ));
        }
        let names = |stages: Vec<(StageIndex, OutputIndex)>| {
            stages.into_iter().map(|(stage, _)| plan.workflow().stages[stage].name.clone())
        };
        stages.data.extend(names(cohorts));
        for (_, kind, is_source) in DATA {
            stages.data.extend(names(give(&plan, kind, is_source)));
        }
        for (_, kind, is_source) in RESULTS {
            stages.results.extend(names(give(&plan, kind, is_source)));
        }
        Ok(stages)
    }

    /// Audits every cohort of the study with the options of `audit.data`, from a cache that holds
    /// the outputs of these stages. An error when it lacks one.
    ///
    /// Executes nothing of the workflow and writes nothing to the cache.
    pub fn audit(
        &self,
        cache: &Cache,
        stages: &[String],
        options: &Map<String, Value>,
    ) -> Result<Vec<StudyAudit>, Error> {
        let plan = self.plan(stages)?;
        let inspection = inspect(&plan, Some(cache))?;
        let kind = self.kinds().iter().find(|kind| kind.spec().name == KIND);
        let kind = kind.ok_or_else(|| Error::failed(format!("there is no stage kind {KIND}")))?;
        let stage = kind.prepare(options).map_err(|problem| {
            Error::request(format!("{}: {}", problem.option, problem.message))
                .with_hint(problem.hint)
        })?;
        let wanted: BTreeSet<&str> = stages.iter().map(String::as_str).collect();
        let is_wanted = |(stage, _): &(StageIndex, OutputIndex)| {
            wanted.contains(plan.workflow().stages[*stage].name.as_str())
        };
        let mut audits = Vec::new();
        for (stage_number, output) in
            give(&plan, ArtifactKind::Cohort, |_| true).into_iter().filter(is_wanted)
        {
            for cohort in plan.actions_of(stage_number) {
                let here = plan.point(cohort);
                let found = Gathered { plan: &plan, inspection: &inspection, cache, here };
                let inputs = InputsBuilder::new(&self.services, plan.workflow().seed);
                let mut inputs = inputs.ports_of(kind.spec());
                inputs = found.add(inputs, "cohort", ArtifactKind::Cohort, cohort, output)?;
                for (port, artifact, is_source) in DATA.iter().chain(&RESULTS) {
                    let sources = give(&plan, *artifact, is_source).into_iter();
                    for (stage, output) in sources.filter(is_wanted) {
                        for action in plan.actions_of(stage) {
                            let of_kind = is_source(plan.kind_name(action));
                            if of_kind && found.agrees(&plan.point(action)) {
                                inputs = found.add(inputs, port, *artifact, action, output)?;
                            }
                        }
                    }
                }
                let inputs: Inputs<'_> = inputs.build();
                let mut outputs = Outputs::default();
                let action = plan.action_label(cohort);
                let failed = |error: StageError| {
                    let action = format!("audit of {action}");
                    Error::Action { action, error: error.into() }
                };
                stage.run(&inputs, &mut outputs).map_err(&failed)?;
                let audit = outputs.get::<Audit>("audit").map_err(failed)?;
                audits.push(StudyAudit { point: found.here, audit });
            }
        }
        Ok(audits)
    }

    /// True if a cache holds every output of these stages.
    pub fn has_outputs(&self, cache: &Cache, stages: &[String]) -> Result<bool, Error> {
        let plan = self.plan(stages)?;
        let inspection = inspect(&plan, Some(cache))?;
        Ok(inspection.actions.iter().all(|action| {
            let (stage, _) = plan.stage_of(action.action);
            let is_asked = stages.contains(&plan.workflow().stages[stage].name);
            !is_asked || action.is_cached()
        }))
    }
}

/// Stages and outputs of an artifact kind, of stages that have an action of such a stage kind. Of
/// quality and evidence those of test rows alone: training rows stand in several folds.
fn give(
    plan: &Plan<'_>,
    artifact: ArtifactKind,
    is_source: impl Fn(&str) -> bool,
) -> Vec<(StageIndex, OutputIndex)> {
    let mut found = Vec::new();
    for (number, stage) in plan.workflow().stages.iter_enumerated() {
        if !plan.kinds_of(number).into_iter().any(&is_source) {
            continue;
        }
        for (output, port) in stage.outputs.iter_enumerated() {
            if port.artifact == artifact.name() && port.name != "train" {
                found.push((number, output));
            }
        }
    }
    found
}

/// Stages that belong to one cohort.
struct Gathered<'p, 'w> {
    plan: &'p Plan<'w>,
    inspection: &'p Inspection<'p, 'w>,
    cache: &'p Cache,
    /// The point of the cohort.
    here: Point,
}

impl<'p> Gathered<'p, '_> {
    /// True if a point is of this cohort: it has the same label on every axis of the cohort's.
    fn agrees(&self, point: &Point) -> bool {
        self.here.iter().all(|(axis, label)| {
            point.iter().find(|(known, _)| known == axis).is_none_or(|(_, also)| also == label)
        })
    }

    fn add<'i>(
        &self,
        inputs: InputsBuilder<'i>,
        port: &str,
        kind: ArtifactKind,
        action: ActionId,
        output: OutputIndex,
    ) -> Result<InputsBuilder<'i>, Error>
    where
        'p: 'i,
    {
        let digest = self.inspection.output(action, output).ok_or_else(|| {
            let (stage, _) = self.plan.stage_of(action);
            Error::NotCached {
                action: self.plan.action_label(action),
                stage: self.plan.workflow().stages[stage].name.clone(),
            }
        })?;
        let mut point = self.plan.point(action);
        point.retain(|(axis, _)| self.here.iter().all(|(known, _)| known != axis));
        let cache = self.cache;
        Ok(inputs.lazy(port, point, move |_| -> Result<Arc<Artifact>, StageError> {
            let artifact = deliver::artifact(cache, kind, &digest);
            artifact.map(Arc::new).map_err(|error| StageError::failed(error.to_string()))
        }))
    }
}
