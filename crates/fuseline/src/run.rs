//! A run: plans a study, executes what is not cached, and delivers the outputs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use fuseline_artifact::Digest;
use fuseline_cache::{ActionKey, Attachment, Cache, Index};
use fuseline_engine::{
    ActionState, Caution, Class, Environment, Event, Executor, FileDigests, JobFolder,
    LocalExecutor, Manifest, Outcome, Plan, PreviousRun, RunId, RunRecord, Services, Unchanged,
    codes, execute, machine_memory, previous_keys,
};
use fuseline_host::Sourced;
use fuseline_remote::{RemoteCache, RemoteReport};
use fuseline_workflow::{Diagnostic, Files, Severity};

use crate::error::Error;
use crate::run_context::{CONTEXT_FILE, RunContext, has_reports, reached_outputs};
use crate::run_graph::{GRAPH_FILE, RunGraph};
use crate::run_options::{MakeExecutor, Observer, RunOptions, RunProgress, RunSummary};
use crate::settings::{ExecutorName, LoadedSettings};
use crate::source_files::source_files;
use crate::study::{Study, working_dir};
use crate::unchanged::{self, KeptNote, Repetition};
use crate::{OpenStudy, action_log, attach_remote, deliver, executors, open_cache};

/// A run that is alive, with what earlier runs left for it.
pub(crate) struct RunHandle {
    pub cache: Arc<Cache>,
    pub run: RunId,
    /// The workflow file, absolute: the index is kept for it.
    pub file: PathBuf,
    /// The remote behind the cache.
    pub remote: Option<Arc<RemoteCache>>,
    /// The index as it was written, until [`RunHandle::with_existing_objects`].
    pub index: Index,
    /// Attachment of the index, for a run that repeats the last one.
    pub attachment: Option<Attachment>,
}

/// Actions of a plan that is worth a thread to give back.
const ACTIONS_FOR_A_THREAD: usize = 512;
/// Bytes that are worth a thread to hash.
const PARALLEL_BYTES: u64 = 1 << 20;

impl RunHandle {
    fn begin(cache: Cache, study: &Study, options: &RunOptions) -> Result<Self, Error> {
        if let Some((kind, beat)) = options.leases {
            cache.set_leases(kind, beat)?;
        }
        let (cache, remote) = attach_remote(cache, options.remote.as_ref())?;
        let run = RunId::announce(&cache)?;
        let working_dir = working_dir()?;
        let file = fuseline_workflow::absolute(&working_dir, &study.path);
        let (index, attachment) = cache.index_as_written(&file);
        Ok(Self { cache: Arc::new(cache), run, file, remote, index, attachment })
    }

    /// The handle with an index of which all objects exist.
    pub fn with_existing_objects(self) -> Self {
        Self { index: self.cache.with_existing_objects(self.index), ..self }
    }

    /// The same, with the attachment only if it is sound.
    pub fn with_sound_attachment(mut self) -> Self {
        let Some(mut attachment) = self.attachment.take() else {
            return self.with_existing_objects();
        };
        let is_large = attachment.size() >= PARALLEL_BYTES;
        let if_sound = move || attachment.is_sound().is_ok_and(|is| is).then_some(attachment);
        std::thread::scope(|scope| {
            if !is_large {
                return Self { attachment: if_sound(), ..self }.with_existing_objects();
            }
            let hashing = scope.spawn(if_sound);
            let handle = self.with_existing_objects();
            let attachment = hashing.join();
            let attachment = attachment.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            Self { attachment, ..handle }
        })
    }

    /// Ends the use of the remote, if there is one: the traffic, which goes into the record as
    /// well.
    pub fn finish_remote(
        &self,
        record: &mut RunRecord<'_>,
        options: &RunOptions,
        observer: &mut Observer<'_>,
    ) -> Option<RemoteReport> {
        let remote = self.remote.as_ref()?;
        match remote.waiting_after(SILENT_WAIT) {
            0 => {}
            actions => observer(RunProgress::Sending(actions)),
        }
        let report = remote.finish(&options.stop);
        record.set_remote(serde_json::to_value(&report).unwrap_or_default());
        Some(report)
    }
}

impl Study {
    /// Runs the study: plans it, executes what is not cached, and delivers the outputs.
    ///
    /// An error means that nothing was executed. Failed actions and outputs that could not be
    /// delivered are part of the summary.
    pub fn run(
        &self,
        options: &RunOptions,
        observer: &mut Observer<'_>,
    ) -> Result<RunSummary, Error> {
        self.run_and(None, options, observer)
    }

    /// Runs the study as [`Study::run`] does, with an executor of one's own.
    pub fn run_on(
        &self,
        make_executor: &MakeExecutor<'_>,
        options: &RunOptions,
        observer: &mut Observer<'_>,
    ) -> Result<RunSummary, Error> {
        self.run_and(Some(make_executor), options, observer)
    }

    fn run_and(
        &self,
        make_executor: Option<&MakeExecutor<'_>>,
        options: &RunOptions,
        observer: &mut Observer<'_>,
    ) -> Result<RunSummary, Error> {
        let started = Started { at: Instant::now(), request: unchanged::request(self, options) };
        // Errors of the cache come after those of the workflow.
        let begin = |cache| RunHandle::begin(cache, self, options);
        let handle = open_cache(&options.cache).and_then(begin);
        let Ok(handle) = handle else {
            let begin = || begin(Cache::open(&options.cache)?);
            let planner = Planner { study: self, options, make_executor, started };
            return planner.plan_and_run(observer, None, begin);
        };
        let handle = match unchanged::repeat(handle, started.request, options, observer)? {
            Repetition::Changed(handle) => *handle,
            Repetition::Done { run, actions, outputs, cautions, has_reports, remote } => {
                return Ok(RunSummary {
                    run,
                    status: "ok",
                    actions,
                    executed: 0,
                    cached: actions,
                    shared: 0,
                    failed: 0,
                    skipped: 0,
                    duplicates: 0,
                    seconds: started.at.elapsed().as_secs_f64(),
                    has_reports,
                    remote: remote.map(|report| *report),
                    cautions,
                    action_warnings: Vec::new(),
                    outputs,
                    failures: Vec::new(),
                    files: Files::default(),
                    undelivered: None,
                    class: None,
                });
            }
        };
        let cache = handle.cache.clone();
        std::thread::scope(|scope| {
            // All objects of the index are looked for while the plan is made.
            let checking = scope.spawn(|| handle.with_existing_objects());
            let planner = Planner { study: self, options, make_executor, started };
            planner.plan_and_run(observer, Some(&cache), || {
                Ok(checking.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            })
        })
    }
}

/// Time that a run waits for the remote without a message.
const SILENT_WAIT: Duration = Duration::from_secs(1);

/// A run before its plan.
struct Planner<'r> {
    study: &'r Study,
    options: &'r RunOptions,
    make_executor: Option<&'r MakeExecutor<'r>>,
    started: Started,
}

/// The beginning of a run.
#[derive(Clone, Copy)]
struct Started {
    at: Instant,
    /// Digest of the request, from before anything was read: what appears later is no part of it.
    request: Option<Digest>,
}

impl Planner<'_> {
    /// Plans, and executes what is not cached. `known`: the cache, where there is one already;
    /// `begin` is called when the workflow has turned out to be sound.
    fn plan_and_run(
        self,
        observer: &mut Observer<'_>,
        known: Option<&Cache>,
        begin: impl FnOnce() -> Result<RunHandle, Error>,
    ) -> Result<RunSummary, Error> {
        let Self { study, options, make_executor, started } = self;
        let mut open = study.open()?;
        if let (Some(cache), false) = (known, options.rehash) {
            open.use_memos(cache);
        }
        let plan = open.plan(&options.only)?;
        let warnings = open.warnings(&plan);
        observer(RunProgress::Warnings(&warnings, open.files()));
        let folder = results_folder(options, &plan.workflow().name);
        let inputs = files_read(&open, &plan);
        let files = plan.workflow().outputs.iter().map(|output| output.file.as_path());
        ensure_deliverable(inputs.iter().map(PathBuf::as_path), files, &folder)?;
        let handle = begin()?;
        let RunHandle { cache, run, file, remote, index, attachment: _ } = &handle;
        if let Some(remote) = remote {
            remote.set_workflow(&plan.workflow().name);
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let loaded = study.settings()?;
        let settings = &loaded.settings.executor;
        let executor_name = options.executor.unwrap_or(settings.default);
        let (jobs, memory) = match executor_name {
            ExecutorName::Local => (cores, machine_memory()),
            // The engine knows what there is.
            _ => (settings.in_flight as usize, None),
        };
        let read_memory = read_memory(options, &loaded, memory);
        let limits = fuseline_engine::RunOptions {
            jobs: options.jobs.unwrap_or(jobs),
            keep_going: options.keep_going,
            memory: options.memory.or(memory),
            read_memory: read_memory.as_ref(),
            isolation: study.isolation,
            plugin_path: open.services.plugins.search(),
            keep_failed: None,
        };
        let name = plan.workflow().name.clone();
        let stages = wanted_stages(&plan);
        let mut record =
            RunRecord::begin(cache, run, &name, plan.stages()).map_err(Error::failed)?;
        let graph = RunGraph::of_plan(&plan, open.files()).encode()?;
        cache.write_run_file(record.id(), GRAPH_FILE, &[&graph])?;
        let environment = plan.environment();
        let before = last_environment(cache, &name, &environment);
        record.set_environment(environment.clone());
        keep_memos(&open.services, cache);
        let run_folder = cache.runs_folder().join(record.id());
        action_log::begin(&run_folder);
        // Programs run elsewhere, so that the path must be whole.
        let kept = std::path::absolute(run_folder.join("failed")).map_err(Error::failed)?;
        let keep_failed = options.keep_failed.then_some(kept.as_path());
        let limits = fuseline_engine::RunOptions { keep_failed, ..limits };
        let jobs = JobFolder::create(cache, record.id()).map_err(Error::failed)?;
        let executor: Box<dyn Executor + '_> = match make_executor {
            Some(make) => make(cache.clone(), jobs),
            None if executor_name != ExecutorName::Local => {
                let run = cache.runs_folder().join(record.id());
                let cancel = options.cancel.clone();
                let (name, cache) = (executor_name, cache.clone());
                Box::new(executors::executor(name, &loaded, cache, jobs, &run, cancel)?)
            }
            None => {
                let local = LocalExecutor::new(&open.kinds, &open.services, cache);
                Box::new(local.with_job_folder(jobs))
            }
        };
        let run_id = record.id().to_owned();
        let mut execute_all = |index: &Index| {
            // A plan that is looked up again is shown from its beginning.
            observer(RunProgress::Planned(&stages));
            let keys = &|| previous_keys(cache, &name);
            let previous = PreviousRun { index, keys, files: &open.services.files };
            let mut note = |event: Event| {
                observer(RunProgress::Event(&event));
                record.note(&event);
            };
            let run = cache.runs_folder().join(&run_id);
            watch_for_cancel(&run, options, || {
                execute(&plan, cache, previous, &*executor, limits, &options.stop, &mut note)
            })
            .map_err(Error::failed)
        };
        let mut outcome = execute_all(index)?;
        let mut outputs = Vec::new();
        let digests = &open.services.files;
        let mut deliver = |outcome: &Outcome| {
            deliver_outputs(reached_outputs(&plan, outcome), cache, digests, &folder, &mut outputs)
        };
        let mut delivered = deliver(&outcome);
        let lost_cautions = outcome.read_cautions(cache).is_err();
        if lost_cautions || delivered.is_err() && has_damaged_outputs(&plan, &outcome, cache) {
            // The damage was found during delivery, and set aside: the actions that made it run
            // again.
            outcome = execute_all(&cache.index(file))?.after(outcome);
            delivered = deliver(&outcome);
            outcome.read_cautions(cache).map_err(Error::failed)?;
        }
        outcome.duplicates = executor.count_duplicates().unwrap_or(outcome.duplicates);
        outcome.undelivered = delivered.as_ref().err().map(ToString::to_string);
        let remote = handle.finish_remote(&mut record, options, observer);
        let end = std::thread::scope(|scope| {
            // Objects go to the disk meanwhile. A failure is tried again when the cache is closed.
            if cache.is_worth_flushing() {
                scope.spawn(|| cache.flush());
            }
            let run = record.id().to_owned();
            let describe = || -> Result<_, Error> {
                let context = RunContext::encode(open.files(), &plan, &outcome)?;
                cache.write_run_file(&run, CONTEXT_FILE, &[&context])?;
                Ok(context)
            };
            let keep = |unchanged: Option<Unchanged>, context: Vec<u8>| {
                let note = unchanged.and_then(|unchanged| {
                    let run =
                        unchanged::EndedRun { request: started.request, open: &open, plan: &plan };
                    unchanged::note(&run, &outcome, &warnings, unchanged, context)
                });
                keep_index(&handle, outcome.index_update.as_ref(), &note.unwrap_or_default());
            };
            let files = source_files(study, &open, &plan, &outcome);
            record.finish(&plan, &outcome, &files, describe, keep)
        })?;
        keep_memos(&open.services, cache);
        observer(RunProgress::Event(&end));

        let mut failures = failures(&plan, &outcome);
        open.checked.settle(&mut failures);
        let count = |state| outcome.count(state);
        let has_executed = count(ActionState::Done) > 0;
        let mut action_warnings = match has_executed {
            true => action_log::action_warnings(cache, record.id())?,
            false => Vec::new(),
        };
        if count(ActionState::Cached) > 0 {
            action_warnings.extend(environment.words_on_interpreters(&before));
        }
        let summary = RunSummary {
            run: record.id().to_owned(),
            status: outcome.status(),
            actions: plan.wanted(),
            executed: count(ActionState::Done) + count(ActionState::Failed),
            cached: count(ActionState::Cached),
            shared: shared_keys(&outcome),
            failed: count(ActionState::Failed),
            skipped: count(ActionState::Skipped),
            duplicates: outcome.duplicates,
            seconds: started.at.elapsed().as_secs_f64(),
            has_reports: has_reports(&plan),
            remote,
            cautions: Caution::group(&outcome.cautions),
            action_warnings,
            outputs,
            files: if failures.is_empty() { Files::default() } else { open.files().clone() },
            failures,
            undelivered: delivered.err(),
            class: worst_class(&outcome),
        };
        if summary.actions >= ACTIONS_FOR_A_THREAD {
            // Many small pieces of memory, and nobody need wait until all are given back.
            let parts = (plan.into_parts(), open.checked);
            rayon::spawn(|| drop(parts));
        }
        Ok(summary)
    }
}

/// Executes something, and meanwhile raises the flags of a run that somebody tells to cancel: see
/// [`executors::cancel_run`].
fn watch_for_cancel<T>(run: &Path, options: &RunOptions, execute: impl FnOnce() -> T) -> T {
    std::thread::scope(|scope| {
        let (done, is_done) = channel::<()>();
        scope.spawn(move || {
            while is_done.recv_timeout(CANCEL_POLL) == Err(RecvTimeoutError::Timeout) {
                if executors::is_cancelled(run) {
                    options.stop.store(true, Ordering::Relaxed);
                    options.cancel.store(true, Ordering::Relaxed);
                    break;
                }
            }
        });
        let result = execute();
        drop(done);
        result
    })
}

/// Interval at which a run looks whether somebody told it to cancel.
const CANCEL_POLL: Duration = Duration::from_millis(500);

/// The conditions of the last run of a workflow, where an interpreter takes part now; else, and
/// where there was none, these of now.
fn last_environment(cache: &Cache, workflow: &str, now: &Environment) -> Environment {
    if now.python.is_empty() {
        return now.clone();
    }
    let runs = cache.runs().unwrap_or_default();
    let manifests = runs.iter().rev().filter_map(|run| Manifest::read(cache, run).ok());
    let last = manifests.take(MAX_RUNS_LOOKED_AT).find(|of| of.workflow == workflow);
    last.map_or_else(|| now.clone(), |of| of.environment)
}

/// Number of runs among which the last one of a workflow is looked for.
const MAX_RUNS_LOOKED_AT: usize = 20;

/// The stages that a plan wants, with their numbers of actions.
fn wanted_stages(plan: &Plan<'_>) -> Vec<(String, usize)> {
    let stages = plan.workflow().stages.iter_enumerated();
    let wanted = stages.filter(|(stage, _)| plan.wants_stage(*stage));
    wanted.map(|(_, stage)| (stage.name.clone(), stage.actions.len())).collect()
}

/// Writes the index for the next run, unless it is what this run found there.
fn keep_index(handle: &RunHandle, update: Option<&Index>, kept: &KeptNote) {
    let RunHandle { cache, file, index, attachment: before, .. } = handle;
    let KeptNote { note, attachment } = kept;
    let is_attached = || match before {
        Some(before) => before.holds(attachment),
        None => attachment.is_empty(),
    };
    if update.is_none() && index.note() == note && is_attached() {
        return;
    }
    let update = update.unwrap_or(index);
    if let Err(error) = cache.write_index(file, index, update, note, attachment) {
        // Without the index the next run reads the records, and that is all.
        tracing::warn!(%error, "the index of the workflow was not kept");
    }
}

/// Every file that a run reads: texts, data, and what may be a plugin.
fn files_read(open: &OpenStudy, plan: &Plan<'_>) -> Vec<PathBuf> {
    let plugins = open.services.plugins.searched().into_iter().flatten().map(Path::to_owned);
    let texts = open.texts_read.iter().map(|(path, _)| path.clone());
    let data = plan.files().into_keys().map(Path::to_owned);
    let named = open.services.plugins.named_digests().unwrap_or_default();
    let plugins = plugins.chain(named.into_iter().map(|(path, _)| path));
    texts.chain(data).chain(plugins).collect()
}

/// Refuses outputs that would be written over a file that the run reads, be it through a link, and
/// those whose folder is a file.
pub(crate) fn ensure_deliverable<'p>(
    inputs: impl Iterator<Item = &'p Path>,
    outputs: impl Iterator<Item = &'p Path>,
    folder: &Path,
) -> Result<(), Error> {
    let inputs: Vec<PathBuf> = inputs.filter_map(|path| path.canonicalize().ok()).collect();
    for output in outputs {
        let path = folder.join(output);
        let mut above = path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty());
        let existing = above.find(|folder| folder.exists());
        if let Some(file) = existing.filter(|folder| !folder.is_dir()) {
            let hint = "move it away, or give the results another folder by --out";
            return Err(Error::request(format!(
                "the output {} cannot be written, since {} is no folder",
                output.display(),
                file.display()
            ))
            .with_hint(hint.to_owned()));
        }
        let Ok(existing) = path.canonicalize() else { continue };
        if let Some(input) = inputs.iter().find(|input| existing.starts_with(input)) {
            let hint = "give the output another name, or results another folder by --out";
            return Err(Error::request(format!(
                "the output {} would be written over {}, which the run reads",
                output.display(),
                input.display()
            ))
            .with_hint(hint.to_owned()));
        }
    }
    Ok(())
}

/// The folder of the outputs.
pub(crate) fn results_folder(options: &RunOptions, workflow: &str) -> PathBuf {
    options.out.clone().unwrap_or_else(|| Path::new("results").join(workflow))
}

/// Stores the memos of files and plugins, when there is something new.
fn keep_memos(services: &Services, cache: &Cache) {
    if let Err(error) = services.remember(cache) {
        // Without the memos the next run reads files and asks plugins again, and that is all.
        tracing::warn!(%error, "what is known of files and plugins was not kept");
    }
}

/// Number of cached actions whose key is that of an action which the run executed.
fn shared_keys(outcome: &Outcome) -> usize {
    let executed = outcome.executed.keys().filter_map(|action| outcome.keys[*action]);
    let executed: BTreeSet<ActionKey> = executed.collect();
    let states = outcome.states.iter().zip(&outcome.keys);
    let cached = states.filter(|(state, _)| **state == ActionState::Cached);
    cached.filter(|(_, key)| key.is_some_and(|key| executed.contains(&key))).count()
}

/// Failures as diagnostics at the place in the workflow that they are about.
fn failures(plan: &Plan<'_>, outcome: &Outcome) -> Vec<Diagnostic> {
    let diagnostic = |failure: &fuseline_engine::ActionFailure| {
        let (number, index) = plan.stage_of(failure.action);
        let stage = &plan.workflow().stages[number];
        let variant = &stage.variants[stage.actions.variant(index)];
        let error = &failure.error;
        let input = error.input.as_ref();
        let input = input.and_then(|port| stage.inputs.iter().find(|input| input.port == *port));
        // What was written is what is to be mended; a default is not.
        let is_written = |option: &str| {
            variant.options.contains_key(option.split('.').next().unwrap_or_default())
        };
        let input = input.filter(|_| !error.option.as_deref().is_some_and(is_written));
        let option = || variant.places.place(error.option.as_deref().unwrap_or_default());
        Diagnostic {
            code: error.code.copied().unwrap_or(match error.class {
                Class::Data => codes::DATA,
                Class::Failed | Class::Cancelled => codes::ACTION_FAILED,
            }),
            severity: Severity::Error,
            message: format!("{}: {}", plan.action_label(failure.action), error.message),
            place: input.map_or_else(option, |input| input.place.clone()),
            label: None,
            hint: error.hint.clone(),
            related: Vec::new(),
            fix: None,
        }
    };
    outcome.failures.iter().map(diagnostic).collect()
}

/// [`Class::Data`] when only data is at fault; none when nothing failed.
fn worst_class(outcome: &Outcome) -> Option<Class> {
    let mut classes = outcome.failures.iter().map(|failure| failure.error.class);
    let is_data = |class| class == Class::Data;
    (!outcome.failures.is_empty())
        .then(|| if classes.all(is_data) { Class::Data } else { Class::Failed })
}

/// Bytes that a stage may use for what it reads, where no workflow limits its memory: as the
/// invocation or the settings say, else all that there is.
fn read_memory(
    options: &RunOptions,
    loaded: &LoadedSettings,
    all: Option<u64>,
) -> Option<Sourced<u64>> {
    let sourced = |value, origin: String| Sourced { value, origin };
    let asked = options.memory.map(|memory| sourced(memory, "`--memory`".to_owned()));
    let limit = loaded.settings.limits.memory.bytes;
    let origin = loaded.origin("limits.memory");
    let set = origin.map(|origin| sourced(limit, format!("`limits.memory`, {origin}")));
    asked.or(set).or_else(|| Some(sourced(all?, "the memory of this machine".to_owned())))
}

/// True if outputs that were reached are no longer in the cache. All are read, so that every loss
/// is known when the actions that made them run again.
fn has_damaged_outputs(plan: &Plan<'_>, outcome: &Outcome, cache: &Cache) -> bool {
    let is_lost = |digest| !matches!(cache.get_object(&digest), Ok(Some(_)));
    reached_outputs(plan, outcome).filter(|(_, digest)| is_lost(*digest)).count() > 0
}

/// Delivers outputs, and notes each that is written: its name in the workflow, and its path.
pub(crate) fn deliver_outputs<'p>(
    outputs: impl Iterator<Item = (&'p Path, Digest)>,
    cache: &Cache,
    digests: &FileDigests,
    folder: &Path,
    written: &mut Vec<(String, PathBuf)>,
) -> Result<(), Error> {
    written.clear();
    for (file, digest) in outputs {
        let path = folder.join(file);
        deliver::object(cache, &digest, &path, Some(digests))?;
        written.push((file.display().to_string(), path));
    }
    Ok(())
}
