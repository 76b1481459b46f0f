//! A run in which nothing changed, without planning it again.
//!
//! A plan is a function of what was asked for and of files: the program, the workflow's texts,
//! data, plugins. A run that reached all of its plan notes them, and what it left behind, in the
//! index of its workflow file. The next run that is asked for the same, finds every file as it was,
//! and every artifact in the cache, would plan the same and find all of it cached: it leaves behind
//! the same. At any doubt it plans.

use std::path::PathBuf;

use bytes::Bytes;
use fuseline_artifact::Digest;
use fuseline_engine::{Caution, FileDigests, Outcome, Plan, RunRecord, Unchanged};
use fuseline_host::{Interpreter, PassedVariables, PluginLibrary};
use fuseline_remote::RemoteReport;
use fuseline_workflow::Diagnostic;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::noted_warnings::NotedWarnings;
use crate::plugin_path::{nearest_lock, plugin_path};
use crate::run::{RunHandle, deliver_outputs, ensure_deliverable, results_folder};
use crate::run_context::{CONTEXT_FILE, has_reports, reached_outputs, stays_inside};
use crate::run_options::{Observer, RunOptions, RunProgress};
use crate::study::{OpenStudy, Study};

/// The note of a run that reached all of its plan. Its manifest and its context are attached.
#[derive(Serialize, Deserialize)]
struct Note {
    /// Digest of the request.
    request: Digest,
    /// The files that the plan depends on, with the digests of their content.
    files: Vec<(PathBuf, Digest)>,
    /// The folders that were searched for rules, if any were needed, and the files that may be
    /// some.
    rules: Option<(Vec<PathBuf>, Vec<PathBuf>)>,
    /// The variables of the environment that rules and programs see.
    #[serde(default)]
    passed: PassedVariables,
    workflow: String,
    /// The stages, with their numbers of actions.
    stages: Vec<(String, usize)>,
    /// The outputs: file and content.
    outputs: Vec<(PathBuf, Digest)>,
    /// The cautions of its actions.
    cautions: Vec<Caution>,
    /// True if a stage makes a report.
    has_reports: bool,
    /// The warnings that every run gives.
    warnings: NotedWarnings,
    /// Length of the manifest in bytes.
    manifest: u64,
}

/// Data that the index keeps for the next run besides its actions; empty when that cannot repeat
/// this one.
#[derive(Default)]
pub(crate) struct KeptNote {
    pub note: Vec<u8>,
    /// The part of the manifest that is about the plan, and the context.
    pub attachment: Vec<Bytes>,
}

/// Outcome of the attempt to repeat a run.
pub(crate) enum Repetition {
    /// It was repeated.
    Done {
        /// The run's id.
        run: String,
        /// The number of actions of its plan.
        actions: usize,
        /// The delivered files, with their names in the workflow.
        outputs: Vec<(String, PathBuf)>,
        /// The cautions of its actions.
        cautions: Vec<Caution>,
        /// True if a stage makes a report.
        has_reports: bool,
        /// Traffic with the remote, when there is one.
        remote: Option<Box<RemoteReport>>,
    },
    /// It must be planned.
    Changed(Box<RunHandle>),
}

/// Repeats a run in which nothing changed, if that can be told without planning. `request` is what
/// [`request`] gives.
pub(crate) fn repeat(
    handle: RunHandle,
    request: Option<Digest>,
    options: &RunOptions,
    observer: &mut Observer<'_>,
) -> Result<Repetition, Error> {
    let changed = |handle| Ok(Repetition::Changed(Box::new(handle)));
    let note = Note::decode(handle.index.note()).filter(Note::stays_inside);
    let Some(note) = note else { return changed(handle) };
    let digests = match options.rehash {
        true => FileDigests::default(),
        false => FileDigests::remembered(&handle.cache),
    };
    let folder = results_folder(options, &note.workflow);
    // The folder of the outputs is no part of the request.
    let inputs = note.files.iter().map(|(path, _)| path.as_path());
    let files = note.outputs.iter().map(|(file, _)| file.as_path());
    if !note.holds(request, &digests) || ensure_deliverable(inputs, files, &folder).is_err() {
        return changed(handle);
    }
    let mut handle = handle.with_sound_attachment();
    // The note is gone when an object is missing.
    let attachment = handle.attachment.take().filter(|_| !handle.index.note().is_empty());
    let Some(mut attachment) = attachment.filter(|of| note.manifest <= of.size()) else {
        return changed(handle);
    };
    let (manifest, context) = (0..note.manifest, note.manifest..attachment.size());
    let Note { workflow, stages, outputs, cautions, has_reports, warnings, .. } = note;
    let Some((warnings, texts)) = warnings.decode() else { return changed(handle) };
    let reached = outputs.iter().map(|(file, digest)| (file.as_path(), *digest));
    let RunHandle { cache, run, .. } = &handle;
    let mut delivered = Vec::new();
    if deliver_outputs(reached, cache, &digests, &folder, &mut delivered).is_err() {
        return changed(handle);
    }
    if let Err(error) = digests.remember(cache) {
        tracing::warn!(%error, "what is known of files was not kept");
    }
    observer(RunProgress::Warnings(&warnings, &texts));
    observer(RunProgress::Planned(&stages));
    let actions = stages.iter().map(|(_, actions)| actions).sum();
    let mut record =
        RunRecord::begin(cache, run, &workflow, stages.clone()).map_err(Error::failed)?;
    cache.write_run_file_with(record.id(), CONTEXT_FILE, &[], &mut attachment, context)?;
    let remote = handle.finish_remote(&mut record, options, observer).map(Box::new);
    let mut observe = |event: &_| observer(RunProgress::Event(event));
    let end = record.finish_unchanged(stages, (&mut attachment, manifest), &mut observe);
    let end = end.map_err(Error::failed)?;
    observe(&end);
    Ok(Repetition::Done {
        run: record.id().to_owned(),
        actions,
        outputs: delivered,
        cautions,
        has_reports,
        remote,
    })
}

/// A run that has ended.
pub(crate) struct EndedRun<'r> {
    /// Digest of its request, from when it began.
    pub request: Option<Digest>,
    pub open: &'r OpenStudy,
    pub plan: &'r Plan<'r>,
}

/// Data with which the next run repeats one that has ended; none when it cannot be repeated.
pub(crate) fn note(
    run: &EndedRun<'_>,
    outcome: &Outcome,
    warnings: &[Diagnostic],
    unchanged: Unchanged,
    context: Vec<u8>,
) -> Option<KeptNote> {
    let EndedRun { request, open, plan } = run;
    let Unchanged { stages, manifest } = unchanged;
    let program = std::env::current_exe().ok()?;
    let digests = &open.services.files;
    let digest = digests.digest(&program).ok()?;
    let mut files = open.texts_read.clone();
    files.push((program, digest));
    for of in outcome.discovered.values().flatten() {
        let path = of.path_here(plan.installation())?;
        let digest = match of.installed {
            // Its version counts, and its content may be another than where the action was executed.
            Some(_) => digests.digest(&path).ok()?,
            None => of.digest,
        };
        files.push((path, digest));
    }
    files.extend(plan.files().into_iter().map(|(path, digest)| (path.to_owned(), digest)));
    let plugins = &open.services.plugins;
    let rules = match plugins.searched_digests(|path| digests.digest(path).ok()) {
        None => None,
        Some(searched) => {
            let paths = searched.iter().map(|(path, _)| path.clone()).collect();
            // One that could not be read may be readable next time.
            let read: Option<Vec<_>> =
                searched.into_iter().map(|(path, digest)| Some((path, digest?))).collect();
            files.extend(read?);
            let named = plugins.named_digests().unwrap_or_default().into_iter();
            let named: Option<Vec<_>> = named.map(|(path, of)| Some((path, of?))).collect();
            files.extend(named?);
            Some((plugins.search().to_vec(), paths))
        }
    };
    let outputs = reached_outputs(plan, outcome);
    let note = Note {
        request: (*request)?,
        files,
        rules,
        passed: plan.passed_variables(),
        workflow: plan.workflow().name.clone(),
        stages,
        outputs: outputs.map(|(file, digest)| (file.to_owned(), digest)).collect(),
        cautions: Caution::group(&outcome.cautions),
        has_reports: has_reports(plan),
        warnings: NotedWarnings::encode(warnings, open.files()),
        manifest: manifest.iter().map(|part| part.len() as u64).sum(),
    };
    let note = serde_json::to_vec(&note).ok()?;
    Some(KeptNote { note, attachment: [manifest, vec![context.into()]].concat() })
}

/// Digest of the request, as far as a plan depends on it; the files that it names may change all
/// the same. None when texts take the place of files: nobody could see whether these have changed.
pub(crate) fn request(study: &Study, options: &RunOptions) -> Option<Digest> {
    let Study { path, set, seed, params, plugin_path: folders, isolation, max_actions, unsaved } =
        study;
    if !unsaved.is_empty() {
        return None;
    }
    let working_dir = std::env::current_dir().ok()?;
    let lock = nearest_lock(path.parent()?);
    let settings = study.settings().ok()?;
    let search = plugin_path(folders, &[], &settings.settings).ok()?;
    // What a workflow states is in its texts.
    let python = Interpreter::find_program(settings.python().as_ref());
    // An environment may have been made anew under its name, of another interpreter.
    let python = python.ok().map(|of| (of.program.canonicalize().ok(), of.program));
    let request = (path, set, seed, params, isolation, max_actions, &options.only);
    Some(Digest::hash(format!("{:?}", (working_dir, lock, search, python, request))))
}

impl Note {
    /// Reads a note. Never panics, whatever the bytes are.
    fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// True if every output stays within the folder of results: whoever may write to a cache must
    /// not thereby write elsewhere.
    fn stays_inside(&self) -> bool {
        let mut outputs = self.outputs.iter().map(|(file, _)| file.to_str());
        outputs.all(|file| file.is_some_and(stays_inside)) && stays_inside(&self.workflow)
    }

    /// True if the request is the same, and every file and variable is as it was.
    fn holds(&self, request: Option<Digest>, files: &FileDigests) -> bool {
        let rules = || {
            let mut rules = self.rules.iter();
            rules.all(|(search, found)| PluginLibrary::files_on_path(search) == *found)
        };
        request == Some(self.request)
            && rules()
            && self.passed.iter().all(|(name, value)| std::env::var(name).ok() == *value)
            && self.files.iter().all(|(path, digest)| files.is_unchanged(path, digest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_names_no_place_outside_of_the_results() {
        let note = |file: &str, workflow: &str| Note {
            request: Digest::hash("request"),
            files: Vec::new(),
            rules: None,
            passed: PassedVariables::new(),
            workflow: workflow.to_owned(),
            stages: Vec::new(),
            outputs: vec![(PathBuf::from(file), Digest::hash("report"))],
            cautions: Vec::new(),
            has_reports: false,
            warnings: NotedWarnings::default(),
            manifest: 3,
        };
        assert!(note("tables/report.html", "small").stays_inside());
        for (file, workflow) in
            [("../up", "small"), ("/tmp/up", "small"), ("a/../../up", "small"), ("up", "../small")]
        {
            assert!(!note(file, workflow).stays_inside(), "{file} of {workflow}");
        }
    }

    #[test]
    fn a_note_is_read_or_is_none_whatever_its_bytes_are() {
        let note = Note {
            request: Digest::hash("request"),
            files: vec![(PathBuf::from("data.csv"), Digest::hash("data"))],
            rules: Some((vec![PathBuf::from("plugins")], Vec::new())),
            passed: PassedVariables::new(),
            workflow: "small".to_owned(),
            stages: vec![("fusion".to_owned(), 2)],
            outputs: vec![(PathBuf::from("report.html"), Digest::hash("report"))],
            cautions: Vec::new(),
            has_reports: false,
            warnings: NotedWarnings::default(),
            manifest: 3,
        };
        let bytes = serde_json::to_vec(&note).unwrap();
        let read = Note::decode(&bytes).unwrap();
        assert_eq!((read.files, read.manifest), (note.files, 3));
        for length in 0..bytes.len() {
            assert!(Note::decode(&bytes[..length]).is_none(), "cut to {length} bytes");
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x55;
            let _ = Note::decode(&changed);
        }
    }
}
