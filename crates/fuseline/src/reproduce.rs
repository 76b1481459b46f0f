//! Runs a past run again in a new cache, where nothing can be reused, and compares what both gave.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fuseline_artifact::Digest;
use fuseline_cache::Cache;
use fuseline_engine::Manifest;
use fuseline_workflow::StageIndex;

use crate::error::Error;
use crate::last_request::argument;
use crate::report::plugin_folders;
use crate::run_context::RunContext;
use crate::run_options::{Observer, RunOptions};
use crate::study::Study;

/// Comparison of a past run with its repetition. Outputs are compared by the digests of their
/// bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reproduction {
    /// The past run.
    pub run: String,
    /// The version of fuseline then, and now.
    pub versions: [String; 2],
    /// The delivered files, each with whether its bytes are the same; `None` where there is none
    /// now.
    pub outputs: Vec<(String, Option<bool>)>,
    /// Actions whose outputs are the same.
    pub same: usize,
    /// Actions whose outputs differ, in the order of the plan.
    pub differing: Vec<String>,
    /// Actions that only one of the two runs has.
    pub unmatched: Vec<String>,
}

impl Reproduction {
    /// True if every output of every action is the same.
    pub fn is_same(&self) -> bool {
        let outputs = self.outputs.iter().all(|(_, same)| *same == Some(true));
        outputs && self.differing.is_empty() && self.unmatched.is_empty()
    }
}

/// Runs a past run again with its parameters, seed and rules, in a new cache that is removed afterwards, and
/// compares.
///
/// `workflow`: its file, by default the one of the run's name in the working directory. Of the
/// options, those about the machine count. A run that did not end well, and a workflow that says
/// something else now, are errors.
pub fn reproduce(
    cache: &Cache,
    run: &Manifest,
    workflow: Option<&Path>,
    options: &RunOptions,
    observer: &mut Observer<'_>,
) -> Result<Reproduction, Error> {
    if run.status != "ok" {
        let words = format!("the run {} is {} and no result to reproduce", run.run, run.status);
        return Err(Error::request(words));
    }
    let context = RunContext::read(cache, &run.run)?;
    let file = workflow.map_or_else(|| PathBuf::from(&context.provenance.file), Path::to_owned);
    if !file.exists() {
        let words = format!("there is no {}, the workflow of run {}", file.display(), run.run);
        let hint = "go to the workflow's folder, or name the file with --workflow";
        return Err(Error::request(words).with_hint(hint.to_owned()));
    }
    let mut study = Study::new(&file).seed(run.seed);
    for (name, value) in &run.params {
        study = study.set(name, argument(value));
    }
    let beside = file.parent().unwrap_or(Path::new(""));
    for folder in plugin_folders(run) {
        study = study.plugin_path(beside.join(folder));
    }
    let digest = Digest::from(study.open()?.plan(&[])?.workflow().digest);
    if digest != run.workflow_digest {
        let words = format!(
            "{} is not the workflow of run {}: its digest is {}, and was {}",
            file.display(),
            run.run,
            digest.short(),
            run.workflow_digest.short()
        );
        let hint =
            "`fuseline report RUN --ro-crate DIR` writes the workflow as it was into DIR/workflow";
        return Err(Error::request(words).with_hint(hint.to_owned()));
    }
    let folder = tempfile::tempdir().map_err(Error::failed)?;
    let options = RunOptions {
        cache: folder.path().join("cache"),
        out: Some(folder.path().join("results")),
        only: stages_run(run),
        ..options.clone()
    };
    let summary = study.run(&options, observer)?;
    let other = Cache::open(&options.cache)?;
    let again = Manifest::read(&other, &summary.run).map_err(Error::failed)?;
    if summary.status == "interrupted" {
        return Err(Error::failed("interrupted before the end"));
    }
    let delivered = RunContext::read(&other, &summary.run)?.outputs;
    let outputs = context.outputs.iter().map(|of| {
        let now = delivered.iter().find(|now| now.file == of.file);
        (of.file.clone(), now.map(|now| now.digest == of.digest))
    });
    let mut reproduction = Reproduction {
        run: run.run.clone(),
        versions: [run.fuseline_version.clone(), again.fuseline_version.clone()],
        outputs: outputs.collect(),
        same: 0,
        differing: Vec::new(),
        unmatched: Vec::new(),
    };
    let mut made: BTreeMap<&str, &[Digest]> = BTreeMap::new();
    for action in &again.actions {
        made.insert(&action.action, &action.outputs);
    }
    for action in &run.actions {
        match made.remove(action.action.as_str()) {
            Some(outputs) if *outputs == *action.outputs => reproduction.same += 1,
            Some(_) => reproduction.differing.push(action.action.clone()),
            None => reproduction.unmatched.push(action.action.clone()),
        }
    }
    reproduction.unmatched.extend(made.into_keys().map(str::to_owned));
    Ok(reproduction)
}

/// The stages that a run was restricted to; none when it was not.
fn stages_run(run: &Manifest) -> Vec<String> {
    let has_actions = |stage: &StageIndex| run.actions.iter().any(|action| action.stage == *stage);
    let wanted: Vec<StageIndex> = run.stages.keys().filter(has_actions).collect();
    if wanted.len() == run.stages.len() {
        return Vec::new();
    }
    wanted.into_iter().map(|stage| run.stages[stage].name.clone()).collect()
}
