//! A run in which nothing changed, without planning it again.
//!
//! A plan is a function of what was asked for and of files: the program, the workflow's texts, data, plugins. A run that
//! reached all of its plan notes them, and what it left behind, in the index of its workflow file. The next run that is
//! asked for the same, finds every file as it was, and every artifact in the cache, would plan the same and find all of it
//! cached: it leaves behind the same. At any doubt it plans.

use std::path::PathBuf;

use bytes::Bytes;
use fuseline_artifact::Digest;
use fuseline_engine::{Caution, FileDigests, Outcome, Plan, RunRecord, Unchanged};
use fuseline_host::PluginLibrary;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::args::{Global, Run, WorkflowArgs};
use crate::commands::run::{Begun, deliver_outputs, reached, results};
use crate::exit::Failure;
use crate::progress::Progress;
use crate::session::Session;
use crate::{action_log, context, plugins, print, render};

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
    /// The cautions of its actions.
    cautions: Vec<Caution>,
    /// What is likely not meant, which every run says.
    warnings: Vec<String>,
    /// How long the manifest is.
    manifest: usize,
}

/// What became of a run that was to be repeated.
pub enum Repetition {
    /// It has been: its id, how many actions its plan has, its outputs, name and path, and its cautions.
    Done { run: String, actions: usize, outputs: Map<String, Value>, cautions: Vec<Caution> },
    /// It must be planned.
    No(Begun),
}

/// Runs a plan of which nothing changed since the run that noted it, if that can be said without planning.
pub fn repeat(begun: Begun, args: &Run, global: &Global) -> Result<Repetition, Failure> {
    let Some((note, at)) = Note::decode(begun.index.note()) else {
        return Ok(Repetition::No(begun));
    };
    let files = FileDigests::remembered(&begun.cache);
    if !note.holds(args, &files) {
        return Ok(Repetition::No(begun));
    }
    let begun = begun.sifted();
    let left = begun.index.note().get(at..).and_then(|left| left.split_at_checked(note.manifest));
    let folder = results(args, &note.workflow);
    let mut outputs = Map::new();
    let reached = note.outputs.iter().map(|(file, digest)| (file.as_path(), *digest));
    let Some((manifest, context)) = left else { return Ok(Repetition::No(begun)) };
    let Begun { cache, run, .. } = &begun;
    if deliver_outputs(reached, cache, &files, &folder, &mut outputs).is_err() {
        return Ok(Repetition::No(begun));
    }
    if let Err(error) = files.remember(cache) {
        tracing::warn!(%error, "what is known of files was not kept");
    }
    let Note { workflow, stages, cautions, warnings, .. } = note;
    if !global.quiet {
        warnings.iter().for_each(print::note);
    }
    let actions = stages.iter().map(|(_, actions)| actions).sum();
    let mut progress = Progress::new(global, stages.clone());
    let mut record =
        RunRecord::begin(cache, run, &workflow, stages.clone()).map_err(Failure::failed)?;
    action_log::begin(&cache.runs_folder().join(record.id()));
    cache.write_run_file(record.id(), context::FILE, &[context])?;
    let end = record
        .finish_unchanged(stages, manifest, &mut |event| progress.show(event))
        .map_err(Failure::failed)?;
    progress.show(&end);
    Ok(Repetition::Done { run: record.id().to_owned(), actions, outputs, cautions })
}

/// What the next run needs to repeat one that has ended, in parts; `None` when it cannot be repeated.
pub fn note(
    args: &Run,
    session: &Session,
    plan: &Plan<'_>,
    outcome: &Outcome,
    unchanged: Unchanged,
    context: Vec<u8>,
) -> Option<Vec<Bytes>> {
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
        cautions: Caution::group(&outcome.cautions),
        warnings: render::texts(
            &[&session.checked.diagnostics, plan.warnings()].concat(),
            &session.checked.files,
            false,
        ),
        manifest: manifest.iter().map(Bytes::len).sum(),
    };
    let head = serde_json::to_vec(&note).ok()?;
    let head = Bytes::from([&head.len().to_le_bytes(), &*head].concat());
    Some([vec![head], manifest, vec![context.into()]].concat())
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
    /// Reads a note, and finds where the manifest and the context behind it begin. Never panics, whatever the bytes are.
    fn decode(bytes: &[u8]) -> Option<(Self, usize)> {
        let (length, rest) = bytes.split_first_chunk()?;
        let (head, left) = rest.split_at_checked(usize::from_le_bytes(*length))?;
        Some((serde_json::from_slice(head).ok()?, bytes.len() - left.len()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_or_is_none_whatever_its_bytes_are() {
        let note = Note {
            asked: Digest::of("asked"),
            files: vec![(PathBuf::from("data.csv"), Digest::of("data"))],
            rules: Some((vec![PathBuf::from("plugins")], Vec::new())),
            workflow: "small".to_owned(),
            stages: vec![("fusion".to_owned(), 2)],
            outputs: vec![(PathBuf::from("report.html"), Digest::of("report"))],
            cautions: Vec::new(),
            warnings: vec!["nothing uses the param".to_owned()],
            manifest: 3,
        };
        let head = serde_json::to_vec(&note).unwrap();
        let bytes = [&head.len().to_le_bytes(), &*head, b"mmmcc"].concat();
        let (read, at) = Note::decode(&bytes).unwrap();
        assert_eq!((read.files, read.manifest, &bytes[at..]), (note.files, 3, &b"mmmcc"[..]));
        for length in 0..bytes.len() - 5 {
            assert!(Note::decode(&bytes[..length]).is_none(), "cut to {length} bytes");
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x55;
            let _ = Note::decode(&changed);
        }
    }
}
