//! Context of a run, beside its manifest in `cache/runs/ID/context.json`: enough to write its
//! report again without its workflow and its data.

use std::collections::BTreeSet;
use std::path::{Component, Path};

use fuseline_artifact::Digest;
use fuseline_cache::Cache;
use fuseline_engine::{ActionId, Environment, Outcome, Plan, Provenance, ResolvedInput};
use fuseline_workflow::{Files, Workflow};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Error;

/// The file's name in the folder of a run.
pub(crate) const CONTEXT_FILE: &str = "context.json";
/// The format that is written, and the only one that is read.
const FORMAT: u32 = 3;

/// Context of a run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RunContext {
    format: u32,
    /// The texts of the workflow and of the files that it includes: name and text.
    pub texts: Vec<(String, String)>,
    /// The report's provenance; plugins are in the manifest.
    pub provenance: Provenance,
    /// Conditions under which rules and programs were executed.
    #[serde(default)]
    pub environment: Environment,
    /// The outputs that were delivered.
    pub outputs: Vec<Delivered>,
    /// The inputs of each report, in the order of the workflow; reports of the same findings are
    /// one.
    pub reports: Vec<ReportInputs>,
}

/// An output that was delivered.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Delivered {
    /// The file, relative to the folder of results.
    pub file: String,
    /// Its content.
    pub digest: Digest,
}

/// The inputs of a report.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ReportInputs {
    /// The stage, with its point where it has several.
    pub stage: String,
    /// Its title, when the workflow gives one.
    pub title: Option<String>,
    /// The artifacts that it read.
    #[serde(rename = "given")]
    pub inputs: Vec<ResolvedInput>,
}

impl RunContext {
    /// Encodes the context of a run that has ended. Runs of the same plan with the same outputs
    /// have the same.
    pub fn encode(files: &Files, plan: &Plan<'_>, outcome: &Outcome) -> Result<Vec<u8>, Error> {
        let workflow = plan.workflow();
        let outputs = reached_outputs(plan, outcome)
            .map(|(file, digest)| Delivered { file: file.display().to_string(), digest });
        let mut provenance = outcome.provenance(plan);
        // They are in the manifest, and a report that is written again loads none.
        provenance.plugins.clear();
        let context = Self {
            format: FORMAT,
            texts: texts(workflow, files),
            provenance,
            environment: plan.environment(),
            outputs: outputs.collect(),
            reports: reports(plan, outcome),
        };
        serde_json::to_vec(&context).map_err(Error::failed)
    }

    /// Reads the context of a run.
    pub fn read(cache: &Cache, run: &str) -> Result<Self, Error> {
        let wrong = |problem: &str| {
            let hint = "run the workflow again: what is cached is reused, and the context is kept";
            Error::request(format!("the context of run {run} {problem}")).with_hint(hint.to_owned())
        };
        let bytes = cache.read_run_file(run, CONTEXT_FILE)?.ok_or_else(|| wrong("is not there"))?;
        match Self::decode(&bytes).map_err(|problem| wrong(&problem))? {
            Some(context) => Ok(context),
            None => Err(wrong("has another form")),
        }
    }

    /// Decodes a context, or describes the problem with it; none when it is of another form.
    pub fn decode(bytes: &[u8]) -> Result<Option<Self>, String> {
        #[derive(Deserialize)]
        struct Form {
            format: u32,
        }
        let damaged = |error: serde_json::Error| format!("is damaged: {error}");
        let Form { format } = serde_json::from_slice(bytes).map_err(damaged)?;
        if format != FORMAT {
            return Ok(None);
        }
        let context: Self = serde_json::from_slice(bytes).map_err(damaged)?;
        // Whoever may write to a cache must not thereby write elsewhere.
        let outputs = context.outputs.iter().map(|output| output.file.as_str());
        let mut names = outputs.chain(context.texts.iter().map(|(name, _)| name.as_str()));
        match names.find(|name| !stays_inside(name)) {
            Some(name) => Err(format!("names {name:?}, which is no file within a folder")),
            None => Ok(Some(context)),
        }
    }
}

/// The outputs of the workflow that were reached: file name and digest.
pub(crate) fn reached_outputs<'p>(
    plan: &'p Plan<'_>,
    outcome: &Outcome,
) -> impl Iterator<Item = (&'p Path, Digest)> {
    plan.workflow().outputs.iter().filter_map(move |output| {
        let action = plan.action_of(output.stage, output.action);
        Some((output.file.as_path(), outcome.output(plan, action, output.output)?))
    })
}

/// True if a name leads to a place within the folder that it is joined to.
pub(crate) fn stays_inside(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    !name.is_empty() && parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

/// The texts of the workflow's stages, axes and outputs, named relative to the workflow's folder.
fn texts(workflow: &Workflow, files: &Files) -> Vec<(String, String)> {
    let mut texts: Vec<(String, String)> = Vec::new();
    let stages = workflow.stages.iter().map(|stage| stage.places.name.file);
    let axes = workflow.axes.iter().map(|axis| axis.place.file);
    let outputs = workflow.outputs.iter().map(|output| output.place.file);
    let folder = workflow.path.parent();
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

/// True if a stage of the plan makes a report.
pub(crate) fn has_reports(plan: &Plan<'_>) -> bool {
    let mut stages = plan.workflow().stages.keys();
    stages.any(|stage| plan.kinds_of(stage).into_iter().any(is_report))
}

fn is_report(kind: &str) -> bool {
    kind.starts_with("report.")
}

/// Every report of other findings. HTML, LaTeX and figures of the same ones are forms of one
/// report: the form that reads most stands for all.
fn reports(plan: &Plan<'_>, outcome: &Outcome) -> Vec<ReportInputs> {
    let mut reports: Vec<ReportInputs> = Vec::new();
    let makes_report =
        |action: &ActionId| plan.wants(*action) && is_report(plan.kind_name(*action));
    let reporting = plan.actions().filter(makes_report);
    for report in reporting.filter_map(|action| inputs(plan, outcome, action)) {
        let Some(findings) = report.findings() else { continue };
        match reports.iter_mut().find(|known| known.findings() == Some(findings)) {
            Some(known) => {
                known.title = known.title.take().or(report.title);
                if report.inputs.len() > known.inputs.len() {
                    known.inputs = report.inputs;
                }
            }
            None => reports.push(report),
        }
    }
    reports
}

impl ReportInputs {
    /// The findings that it is about.
    fn findings(&self) -> Option<&Digest> {
        self.inputs.iter().find(|input| input.port == "findings").map(|input| &input.digest)
    }
}

/// The inputs of a report's action; none when one was not made.
fn inputs(plan: &Plan<'_>, outcome: &Outcome, action: ActionId) -> Option<ReportInputs> {
    let (number, index) = plan.stage_of(action);
    let stage = &plan.workflow().stages[number];
    let options = &stage.variants[stage.actions.variant(index)].options;
    let title = options.get("title").and_then(Value::as_str).map(str::to_owned);
    let inputs = outcome.inputs(plan, action)?;
    Some(ReportInputs { stage: plan.action_label(action), title, inputs })
}
