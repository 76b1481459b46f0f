//! A run in which nothing changed, without planning it again.
//!
//! A plan is a function of what was asked for and of files: the program, the workflow's texts, data, plugins. A run that
//! reached all of its plan notes them, and what it left behind, in the index of its workflow file. The next run that is
//! asked for the same, finds every file as it was, and every artifact in the cache, would plan the same and find all of it
//! cached: it leaves behind the same. At any doubt it plans.

use std::path::PathBuf;

use fuseline_artifact::Digest;
use fuseline_engine::{FileDigests, Outcome, Plan, RunRecord, Unchanged};
use fuseline_host::PluginLibrary;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::args::{Global, Run, WorkflowArgs};
use crate::commands::run::{Begun, deliver_outputs, reached, results};
use crate::exit::Failure;
use crate::progress::Progress;
use crate::session::Session;
use crate::{action_log, context, plugins};

/// What is noted of a run that reached all of its plan; its manifest and its context follow.
#[derive(Serialize, Deserialize)]
struct Note {
    /// Digest of what was asked for.
    asked: Digest,
    /// The files that the plan depends on, with the digests of what was read of them.
    files: Vec<(PathBuf, Digest)>,
    /// Where rules were looked for, if any were needed, and which files there might have been some.
    rules: Option<(Vec<PathBuf>, Vec<PathBuf>)>,
    workflow: String,
    /// The stages, and how many actions each has.
    stages: Vec<(String, usize)>,
    /// The outputs: file and content.
    outputs: Vec<(PathBuf, Digest)>,
    /// How long the manifest is.
    manifest: usize,
}

/// What was done by a run that found nothing changed.
pub struct Repeated {
    /// Its id.
    pub run: String,
    /// How many actions its plan has.
    pub actions: usize,
    /// The outputs: name and path.
    pub outputs: Map<String, Value>,
}

/// Runs a plan of which nothing changed since the run that noted it, if that can be said without planning.
pub fn repeat(begun: &Begun, args: &Run, global: &Global) -> Result<Option<Repeated>, Failure> {
    let Begun { cache, run, index, .. } = begun;
    let Some((note, manifest, context)) = Note::decode(index.note()) else { return Ok(None) };
    let files = FileDigests::remembered(cache);
    if !note.holds(args, &files) {
        return Ok(None);
    }
    let folder = results(args, &note.workflow);
    let mut outputs = Map::new();
    let reached = note.outputs.iter().map(|(file, digest)| (file.as_path(), *digest));
    if deliver_outputs(reached, cache, &files, &folder, &mut outputs).is_err() {
        return Ok(None);
    }
    if let Err(error) = files.remember(cache) {
        tracing::warn!(%error, "what is known of files was not kept");
    }
    let Note { workflow, stages, .. } = note;
    let actions = stages.iter().map(|(_, actions)| actions).sum();
    let mut progress = Progress::new(global, stages.clone());
    let mut record =
        RunRecord::begin(cache, run, &workflow, stages.clone()).map_err(Failure::failed)?;
    action_log::begin(&cache.runs_folder().join(record.id()));
    cache.write_run_file(record.id(), context::FILE, context)?;
    let end = record
        .finish_unchanged(stages, manifest, &mut |event| progress.show(event))
        .map_err(Failure::failed)?;
    progress.show(&end);
    Ok(Some(Repeated { run: record.id().to_owned(), actions, outputs }))
}

/// What the next run needs to repeat one that has ended; `None` when it cannot be repeated.
pub fn note(
    args: &Run,
    session: &Session,
    plan: &Plan<'_>,
    outcome: &Outcome,
    unchanged: Unchanged,
    context: &[u8],
) -> Option<Vec<u8>> {
    if !session.checked.diagnostics.is_empty() {
        // What is wrong with the workflow must be said again.
        return None;
    }
    let Unchanged { stages, manifest } = unchanged;
    let program = std::env::current_exe().ok()?;
    let digest = session.services.files.digest(&program).ok()?;
    let mut files = session.read.clone();
    files.push((program, digest));
    files.extend(plan.files().into_iter().map(|(path, digest)| (path.to_owned(), digest)));
    let plugins = &session.services.plugins;
    let rules = match plugins.searched() {
        None => None,
        Some(searched) => {
            let paths = searched.iter().map(|(path, _)| path.clone()).collect();
            // One that could not be read may be readable next time.
            let read: Option<Vec<_>> =
                searched.into_iter().map(|(path, digest)| Some((path, digest?))).collect();
            files.extend(read?);
            Some((plugins.search().to_vec(), paths))
        }
    };
    let note = Note {
        asked: asked(args)?,
        files,
        rules,
        workflow: plan.workflow().name.clone(),
        stages,
        outputs: reached(plan, outcome).map(|(file, of)| (file.to_owned(), of)).collect(),
        manifest: manifest.len(),
    };
    let head = serde_json::to_vec(&note).ok()?;
    Some([&head.len().to_le_bytes(), &*head, &manifest, context].concat())
}

/// Digest of what was asked for, as far as a plan depends on it; the files that are named may change all the same.
fn asked(args: &Run) -> Option<Digest> {
    let Run { workflow: of, only, .. } = args;
    let WorkflowArgs { workflow, set, params, plugin_path, isolation, max_actions } = of;
    let here = std::env::current_dir().ok()?;
    let lock = plugins::nearest_lock(workflow.parent()?);
    let search = plugins::path(plugin_path, &[]).ok()?;
    let arguments = (workflow, set, params, isolation, max_actions, only);
    Some(Digest::of(format!("{:?}", (here, lock, search, arguments))))
}

impl Note {
    /// Reads a note, and finds the manifest and the context behind it. Never panics, whatever the bytes are.
    fn decode(bytes: &[u8]) -> Option<(Self, &[u8], &[u8])> {
        let (length, rest) = bytes.split_first_chunk()?;
        let (head, rest) = rest.split_at_checked(usize::from_le_bytes(*length))?;
        let note: Self = serde_json::from_slice(head).ok()?;
        let (manifest, context) = rest.split_at_checked(note.manifest)?;
        Some((note, manifest, context))
    }

    /// Whether the same is asked for, and every file is as it was.
    fn holds(&self, args: &Run, files: &FileDigests) -> bool {
        let rules = || {
            let mut rules = self.rules.iter();
            rules.all(|(search, found)| PluginLibrary::candidates(search) == *found)
        };
        let same =
            |(path, digest): &(PathBuf, Digest)| files.digest(path).is_ok_and(|of| of == *digest);
        asked(args) == Some(self.asked) && rules() && self.files.iter().all(same)
    }
}
