//! What a run keeps beside its manifest, so that its report can be written again without its workflow and its data:
//! `cache/runs/ID/context.json`.

use std::collections::BTreeSet;
use std::path::{Component, Path};

use fuseline_artifact::{ArtifactKind, Digest};
use fuseline_cache::Cache;
use fuseline_engine::inputs::Point;
use fuseline_engine::{ActionId, Outcome, Plan, Provenance, file_name, site};
use fuseline_workflow::{Files, Workflow};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::exit::Failure;

/// The name of its file in the folder of a run.
pub const FILE: &str = "context.json";
/// The form that is written, and the only one that is read.
const FORMAT: u32 = 3;

/// What a run keeps beside its manifest.
#[derive(Debug, Serialize, Deserialize)]
pub struct Context {
    format: u32,
    /// The texts of the workflow and of what it includes: name and text.
    pub texts: Vec<(String, String)>,
    /// Where the report comes from; plugins are in the manifest.
    pub provenance: Provenance,
    /// The outputs that were delivered.
    pub outputs: Vec<Delivered>,
    /// What each report was made of, in the order of the workflow; reports of the same findings are one.
    pub reports: Vec<ReportInputs>,
}

/// An output that was delivered.
#[derive(Debug, Serialize, Deserialize)]
pub struct Delivered {
    /// The file, relative to the folder of results.
    pub file: String,
    /// What it holds.
    pub digest: Digest,
}

/// What a report was made of.
#[derive(Debug, Serialize, Deserialize)]
pub struct ReportInputs {
    /// The stage, with its point where it has several.
    pub stage: String,
    /// Its title, when the workflow gives one.
    pub title: Option<String>,
    /// The artifacts that it read.
    pub given: Vec<Given>,
}

/// An artifact that a report read.
#[derive(Debug, Serialize, Deserialize)]
pub struct Given {
    /// The port.
    pub port: String,
    /// The coordinates that were gathered.
    pub point: Point,
    /// What it is.
    pub kind: ArtifactKind,
    /// The object.
    pub digest: Digest,
}

/// The context of a run that has ended, as it is kept. Runs of the same plan with the same outputs have the same.
pub fn of(files: &Files, plan: &Plan<'_>, outcome: &Outcome) -> Result<Vec<u8>, Failure> {
    let workflow = plan.workflow();
    let outputs = workflow.outputs.iter().filter_map(|output| {
        let action = plan.actions_of(output.stage).start + output.action;
        let digest = outcome.output(plan, action, output.output)?;
        Some(Delivered { file: output.file.display().to_string(), digest })
    });
    let context = Context {
        format: FORMAT,
        texts: texts(workflow, files),
        provenance: provenance(plan, outcome),
        outputs: outputs.collect(),
        reports: reports(plan, outcome),
    };
    serde_json::to_vec(&context).map_err(Failure::failed)
}

impl Context {
    /// The context of a run.
    pub fn of(cache: &Cache, run: &str) -> Result<Self, Failure> {
        let wrong = |what: &str| {
            Failure::wrong(format!("the context of run {run} {what}"))
                .hint("run the workflow again: what is cached is reused, and the context is kept")
        };
        let bytes = cache.read_run_file(run, FILE)?.ok_or_else(|| wrong("is not there"))?;
        let context: Self = serde_json::from_slice(&bytes)
            .map_err(|error| wrong(&format!("is damaged: {error}")))?;
        if context.format != FORMAT {
            return Err(wrong("has another form"));
        }
        // Whoever may write to a cache must not thereby write elsewhere.
        let outputs = context.outputs.iter().map(|output| output.file.as_str());
        let mut names = outputs.chain(context.texts.iter().map(|(name, _)| name.as_str()));
        match names.find(|name| !stays_inside(name)) {
            Some(name) => Err(wrong(&format!("names {name:?}, which is no file within a folder"))),
            None => Ok(context),
        }
    }
}

/// Whether a name leads to a place within the folder that it is joined to.
fn stays_inside(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    !name.is_empty() && parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

/// The texts that were read, named relative to the workflow's folder.
fn texts(workflow: &Workflow, files: &Files) -> Vec<(String, String)> {
    let mut texts: Vec<(String, String)> = Vec::new();
    let stages = workflow.stages.iter().map(|stage| stage.places.name.file);
    let axes = workflow.axes.iter().map(|axis| axis.place.file);
    let folder = workflow.path.parent();
    let outputs = workflow.outputs.iter().map(|of| of.place.file);
    let mut seen = BTreeSet::new();
    for file in stages.chain(axes).chain(outputs).filter(|file| seen.insert(*file)) {
        let path = files.path(file);
        let inside = folder.and_then(|folder| path.strip_prefix(folder).ok());
        let name = inside.map(Path::as_os_str).or(path.file_name()).unwrap_or_default();
        let name = name.to_string_lossy().into_owned();
        if !texts.iter().any(|(known, _)| *known == name) {
            texts.push((name, files.text(file).to_owned()));
        }
    }
    texts
}

/// Everything that the run wanted, as a report tells it.
fn provenance(plan: &Plan<'_>, outcome: &Outcome) -> Provenance {
    let workflow = plan.workflow();
    let mut provenance = Provenance {
        fuseline_version: env!("CARGO_PKG_VERSION").to_owned(),
        workflow: workflow.name.clone(),
        file: file_name(&workflow.path),
        description: workflow.description.clone(),
        workflow_digest: Digest::from(workflow.digest).to_string(),
        seed: workflow.seed,
        params: workflow.params.iter().map(|(name, value)| (name.clone(), text(value))).collect(),
        cautions: outcome.cautions.clone(),
        ..Provenance::default()
    };
    let mut joined = BTreeSet::new();
    for (number, stage) in workflow.stages.iter().enumerate() {
        let actions = plan.actions_of(number);
        if actions.is_empty() || !plan.wants(actions.start) {
            continue;
        }
        let kind = plan.kind_name(actions.start);
        let same = actions.clone().all(|action| plan.kind_name(action) == kind);
        let family = kind.split_once('.').map_or(kind, |(family, _)| family);
        let kind = if same { kind.to_owned() } else { format!("{family}.*") };
        provenance.stages.push((stage.name.clone(), kind, actions.len()));
        for source in stage.inputs.iter().flat_map(|input| &input.sources) {
            if joined.insert((source.stage, number)) {
                let from = workflow.stages[source.stage].name.clone();
                provenance.edges.push((from, stage.name.clone()));
            }
        }
        if stage.inputs.is_empty() {
            provenance.sources.extend(actions.filter_map(|action| {
                let digest = outcome.output(plan, action, 0)?;
                Some((site(&stage.name, &plan.point(action)), digest.to_string()))
            }));
        }
    }
    provenance
}

/// A parameter for people. Where a file lies is not part of a result.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => match Path::new(text) {
            path if path.is_absolute() => file_name(path),
            _ => text.clone(),
        },
        other => other.to_string(),
    }
}

/// Every report of other findings. HTML, LaTeX and figures of the same ones are forms of one report: the form that reads
/// most stands for all.
fn reports(plan: &Plan<'_>, outcome: &Outcome) -> Vec<ReportInputs> {
    let mut reports: Vec<ReportInputs> = Vec::new();
    let actions = (0..plan.workflow().stages.len()).flat_map(|stage| plan.actions_of(stage));
    let of =
        |action: &ActionId| plan.wants(*action) && plan.kind_name(*action).starts_with("report.");
    for found in actions.filter(of).filter_map(|action| report_inputs(plan, outcome, action)) {
        let Some(findings) = found.findings() else { continue };
        match reports.iter_mut().find(|known| known.findings() == Some(findings)) {
            Some(known) => {
                known.title = known.title.take().or(found.title);
                if found.given.len() > known.given.len() {
                    known.given = found.given;
                }
            }
            None => reports.push(found),
        }
    }
    reports
}

impl ReportInputs {
    /// The findings that it is about.
    fn findings(&self) -> Option<&Digest> {
        self.given.iter().find(|given| given.port == "findings").map(|given| &given.digest)
    }
}

/// What a report's action read; `None` when not all of it was made.
fn report_inputs(plan: &Plan<'_>, outcome: &Outcome, action: ActionId) -> Option<ReportInputs> {
    let workflow = plan.workflow();
    let (number, index) = plan.stage_of(action);
    let stage = &workflow.stages[number];
    let options = &stage.variants[stage.actions.variant(index)].options;
    let mut given = Vec::new();
    for input in &stage.inputs {
        for source in &input.sources {
            let group = source.group_of[index];
            if group == fuseline_workflow::NO_GROUP {
                continue;
            }
            let producer = &workflow.stages[source.stage];
            let gathered: Vec<&str> = source
                .gathered_axes
                .iter()
                .map(|&axis| workflow.axes[axis].name.as_str())
                .collect();
            for &member in source.groups.get(group) {
                let action = plan.actions_of(source.stage).start + member;
                let mut point = plan.point(action);
                point.retain(|(axis, _)| gathered.contains(&axis.as_str()));
                given.push(Given {
                    port: input.port.clone(),
                    point,
                    kind: producer.outputs[source.output].artifact.parse().ok()?,
                    digest: outcome.output(plan, action, source.output)?,
                });
            }
        }
    }
    let title = options.get("title").and_then(Value::as_str).map(str::to_owned);
    Some(ReportInputs { stage: site(&stage.name, &plan.point(action)), title, given })
}
