//! `fuseline run`: runs what is not cached and writes the outputs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use bytes::Bytes;
use fuseline_artifact::Digest;
use fuseline_cache::{Cache, Index};
use fuseline_engine::{
    ActionState, Caution, Class, Depth, FileDigests, LocalExecutor, Logged, Outcome, Past, Plan,
    RunId, RunOptions, RunRecord, Services, Unchanged, codes, execute, remembered, site,
};
use fuseline_workflow::{Diagnostic, Severity};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::args::{Format, Global, Run};
use crate::commands::cache::existing;
use crate::exit::{Exit, Failure};
use crate::progress::Progress;
use crate::session::Session;
use crate::unchanged::{self, Repetition};
use crate::{action_log, context, deliver, print, render};

/// Warnings that a run shows at most.
const WARNINGS: usize = 10;
/// Cautions that a run shows at most.
const CAUTIONS: usize = 20;

/// A run that is alive, on what the runs before it left.
pub struct Begun {
    pub cache: Arc<Cache>,
    pub run: RunId,
    /// The workflow's file, absolute: the index is of it.
    pub file: PathBuf,
    /// As it was written, until it is sifted.
    pub index: Index,
}

impl Begun {
    fn on(cache: Cache, args: &Run) -> Result<Self, Failure> {
        let run = RunId::announce(&cache)?;
        let here = std::env::current_dir().map_err(Failure::failed)?;
        let file = fuseline_workflow::absolute(&here, &args.workflow.workflow);
        let index = cache.index_as_written(&file);
        Ok(Self { cache: Arc::new(cache), run, file, index })
    }

    /// The same, with an index of which all objects are there.
    pub fn sifted(self) -> Self {
        Self { index: self.cache.sifted(self.index), ..self }
    }
}

pub fn run(args: &Run, global: &Global) -> Result<Exit, Failure> {
    let started = Instant::now();
    // What is wrong with the cache is said after what is wrong with the workflow.
    let Ok(begun) = existing(&args.cache).and_then(|cache| Begun::on(cache, args)) else {
        let begin = || Begun::on(Cache::open(&args.cache.cache)?, args);
        return plan_and_run(args, global, started, None, begin);
    };
    let begun = match unchanged::repeat(begun, args, global)? {
        Repetition::No(begun) => begun,
        Repetition::Done { run, actions, outputs, cautions } => {
            let summary = Summary {
                run: &run,
                status: "ok",
                actions,
                executed: 0,
                cached: actions,
                failed: 0,
                skipped: 0,
                seconds: started.elapsed().as_secs_f64(),
                cautions,
                outputs,
            };
            tell(&summary, args, global);
            return Ok(Exit::Done);
        }
    };
    let cache = begun.cache.clone();
    std::thread::scope(|scope| {
        // All objects of the index are asked for while the plan is made.
        let sifting = scope.spawn(|| begun.sifted());
        plan_and_run(args, global, started, Some(&cache), || {
            Ok(sifting.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })
    })
}

/// Plans, and runs what is not cached. `known`: the cache, where there is one; `begin` is called when the workflow has turned out
/// to be sound.
fn plan_and_run(
    args: &Run,
    global: &Global,
    started: Instant,
    known: Option<&Cache>,
    begin: impl FnOnce() -> Result<Begun, Failure>,
) -> Result<Exit, Failure> {
    let mut session = Session::open(&args.workflow)?;
    session.shows_warnings = !global.quiet;
    if let Some(cache) = known {
        session.services.recall(cache);
    }
    let plan = session.plan(Depth::Key, &args.only)?;
    let folder = results(args, &plan.workflow().name);
    keep_inputs(&plan, args, &folder)?;
    let begun = begin()?;
    let Begun { cache, run, file, index } = &begun;
    let stop = interruptible()?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let options = RunOptions {
        jobs: args.jobs.map_or(cores, usize::from),
        keep_going: args.keep_going,
        memory: args.memory.or_else(all_memory),
    };
    let name = plan.workflow().name.clone();
    let mut record = RunRecord::begin(cache, run, &name, plan.stages()).map_err(Failure::failed)?;
    keep_memos(&session.services, cache);
    action_log::begin(&cache.runs_folder().join(record.id()));
    let mut progress = Progress::of(global, &plan);
    let executor = LocalExecutor::new(&session.kinds, &session.services, cache);
    let executor = Logged::new(cache, record.id(), &executor).map_err(Failure::failed)?;
    let mut round = |index: &Index| {
        execute(
            &plan,
            cache,
            Past { index, remember: &|| remembered(cache, &name) },
            &executor,
            options,
            &stop,
            &mut |event| {
                progress.show(&event);
                record.note(&event);
            },
        )
        .map_err(Failure::failed)
    };
    let mut outcome = round(index)?;
    let mut outputs = Map::new();
    let files = &session.services.files;
    let mut deliver = |outcome: &Outcome| {
        deliver_outputs(reached(&plan, outcome), cache, files, &folder, &mut outputs)
    };
    let mut delivered = deliver(&outcome);
    let lost_cautions = outcome.read_cautions(cache).is_err();
    if lost_cautions || delivered.is_err() && damaged_outputs(&plan, &outcome, cache) {
        // Found when it was to be delivered, and set aside: what made it runs again.
        outcome = round(&cache.index(file))?.after(outcome);
        delivered = deliver(&outcome);
        outcome.read_cautions(cache).map_err(Failure::failed)?;
    }
    outcome.undelivered = delivered.as_ref().err().map(|failure| failure.message.clone());
    let end = std::thread::scope(|scope| {
        // What was made is brought to the disk meanwhile. Should that fail, it is tried again when the cache is closed.
        scope.spawn(|| cache.flush());
        let files = &session.checked.files;
        let context = context::of(files, &plan, &outcome)?;
        cache.write_run_file(record.id(), context::FILE, &[&context])?;
        let keep = |unchanged: Option<Unchanged>| {
            let note = unchanged.and_then(|unchanged| {
                unchanged::note(args, &session, &plan, &outcome, unchanged, context)
            });
            keep_index(&begun, outcome.news.as_ref(), &note.unwrap_or_default());
        };
        record.finish(&plan, &outcome, keep).map_err(Failure::failed)
    })?;
    keep_memos(&session.services, cache);
    progress.show(&end);

    let mut failures = failures(&plan, &outcome);
    session.checked.settle(&mut failures);
    render::diagnostics(&failures, &session.checked.files);
    let count = |state| outcome.count(state);
    if !global.quiet && count(ActionState::Done) > 0 {
        let warnings = action_log::warnings(cache, record.id())?;
        for warning in warnings.iter().take(WARNINGS) {
            print::note(format!("warning: {warning}"));
        }
        if let more @ 1.. = warnings.len().saturating_sub(WARNINGS) {
            print::note(format!("{more} more warnings: fuseline runs show latest"));
        }
    }
    let summary = Summary {
        run: record.id(),
        status: outcome.status(),
        actions: plan.wanted(),
        executed: count(ActionState::Done) + count(ActionState::Failed),
        cached: count(ActionState::Cached),
        failed: count(ActionState::Failed),
        skipped: count(ActionState::Skipped),
        seconds: started.elapsed().as_secs_f64(),
        cautions: Caution::group(&outcome.cautions),
        outputs,
    };
    if delivered.is_ok() || args.format == Format::Json {
        tell(&summary, args, global);
    }
    delivered?;
    let exit = exit(&outcome);
    // The process ends here: its memory goes with it, and not piece by piece.
    std::mem::forget((outcome, plan));
    std::mem::forget(session);
    Ok(exit)
}

/// Keeps what the next run is to find in the index, when that is not what this one found there.
fn keep_index(begun: &Begun, news: Option<&Index>, note: &[Bytes]) {
    let Begun { cache, file, index, .. } = begun;
    if news.is_none() && index.note() == note.concat() {
        return;
    }
    let parts: Vec<_> = note.iter().map(Bytes::as_ref).collect();
    if let Err(error) = cache.write_index(file, index, news.unwrap_or(index), &parts) {
        // Without the index the next run reads the records, and that is all.
        tracing::warn!(%error, "the index of the workflow was not kept");
    }
}

/// Refuses outputs that would be written over what the run reads, be it through a link.
fn keep_inputs(plan: &Plan<'_>, args: &Run, folder: &Path) -> Result<(), Failure> {
    let of_command = [Some(&args.workflow.workflow), args.workflow.params.as_ref()];
    let read = plan.files();
    let read = read.keys().copied().chain(of_command.into_iter().flatten().map(PathBuf::as_path));
    let read: Vec<PathBuf> = read.filter_map(|path| path.canonicalize().ok()).collect();
    for output in &plan.workflow().outputs {
        let path = folder.join(&output.file);
        let Ok(there) = path.canonicalize() else { continue };
        if let Some(input) = read.iter().find(|input| there.starts_with(input)) {
            return Err(Failure::wrong(format!(
                "the output {} would be written over {}, which the run reads",
                output.file.display(),
                input.display()
            ))
            .hint("give the output another name, or results another folder by --out"));
        }
    }
    Ok(())
}

/// Where the outputs go.
pub fn results(args: &Run, workflow: &str) -> PathBuf {
    args.out.clone().unwrap_or_else(|| Path::new("results").join(workflow))
}

/// What a run comes to.
#[derive(Serialize)]
struct Summary<'a> {
    run: &'a str,
    status: &'a str,
    actions: usize,
    executed: usize,
    cached: usize,
    failed: usize,
    skipped: usize,
    seconds: f64,
    /// What the results are to be read with, of all actions that the run wanted.
    cautions: Vec<Caution>,
    /// Name and path.
    outputs: Map<String, Value>,
}

/// Prints the summary of a run, for people or in a form for programs, and its cautions.
fn tell(summary: &Summary<'_>, args: &Run, global: &Global) {
    if !global.quiet {
        for caution in summary.cautions.iter().take(CAUTIONS) {
            print::note(format!("caution: {}", caution.line()));
        }
        if let more @ 1.. = summary.cautions.len().saturating_sub(CAUTIONS) {
            print::note(format!("{more} more cautions: fuseline runs show latest"));
        }
    }
    match args.format {
        Format::Json => print::json(&json!(summary)),
        Format::Human if !global.quiet => print::result(sentence(summary)),
        Format::Human => {}
    }
}

/// Keeps what was found out of files and plugins, when there is something new.
fn keep_memos(services: &Services, cache: &Cache) {
    if let Err(error) = services.remember(cache) {
        // Without the memos the next run reads files and asks plugins again, and that is all.
        tracing::warn!(%error, "what is known of files and plugins was not kept");
    }
}

/// A flag that the first Ctrl-C raises; the second ends the process at once.
fn interruptible() -> Result<Arc<AtomicBool>, Failure> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the flag that the second signal looks at is raised by the first.
        signal_hook::flag::register_conditional_shutdown(signal, 130, stop.clone())
            .and_then(|_| signal_hook::flag::register(signal, stop.clone()))
            .map_err(|error| Failure::failed(format!("cannot listen for Ctrl-C: {error}")))?;
    }
    Ok(stop)
}

/// Failures as diagnostics at the place in the workflow that they are about.
fn failures(plan: &Plan<'_>, outcome: &Outcome) -> Vec<Diagnostic> {
    let of = |failure: &fuseline_engine::ActionFailure| {
        let (number, index) = plan.stage_of(failure.action);
        let stage = &plan.workflow().stages[number];
        let variant = &stage.variants[stage.actions.variant(index)];
        let error = &failure.error;
        Diagnostic {
            code: error.code.copied().unwrap_or(match error.class {
                Class::Data => codes::DATA,
                Class::Failed | Class::Cancelled => codes::ACTION_FAILED,
            }),
            severity: Severity::Error,
            message: format!(
                "{}: {}",
                site(&stage.name, &plan.point(failure.action)),
                error.message
            ),
            place: variant.places.place(error.option.as_deref().unwrap_or_default()),
            label: None,
            hint: error.hint.clone(),
            related: Vec::new(),
        }
    };
    outcome.failures.iter().map(of).collect()
}

/// The memory of the machine, where the system tells.
fn all_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The digests of the outputs that were reached, with the names of their files.
pub fn reached<'p>(
    plan: &'p Plan<'_>,
    outcome: &Outcome,
) -> impl Iterator<Item = (&'p Path, Digest)> {
    plan.workflow().outputs.iter().filter_map(move |output| {
        let action = plan.actions_of(output.stage).start + output.action;
        Some((output.file.as_path(), outcome.output(plan, action, output.output)?))
    })
}

/// Whether an output that was reached is not there any more.
fn damaged_outputs(plan: &Plan<'_>, outcome: &Outcome, cache: &Cache) -> bool {
    reached(plan, outcome).any(|(_, digest)| !matches!(cache.get_object(&digest), Ok(Some(_))))
}

/// Writes outputs, and notes each that is written: file name to path.
pub fn deliver_outputs<'p>(
    outputs: impl Iterator<Item = (&'p Path, Digest)>,
    cache: &Cache,
    files: &FileDigests,
    folder: &Path,
    written: &mut Map<String, Value>,
) -> Result<(), Failure> {
    for (file, digest) in outputs {
        let path: PathBuf = folder.join(file);
        deliver::object(cache, &digest, &path, Some(files))?;
        written.insert(file.display().to_string(), path.display().to_string().into());
    }
    Ok(())
}

fn exit(outcome: &Outcome) -> Exit {
    if outcome.interrupted {
        Exit::Interrupted
    } else if outcome.failures.is_empty() {
        Exit::Done
    } else if outcome.failures.iter().all(|failure| failure.error.class == Class::Data) {
        Exit::Wrong
    } else {
        Exit::ActionFailed
    }
}

/// The summary for people.
fn sentence(summary: &Summary<'_>) -> String {
    let Summary { actions, executed, cached, failed, skipped, seconds, .. } = summary;
    let mut text = format!("{actions} actions: {executed} executed, {cached} cached");
    for (count, what) in [(failed, "failed"), (skipped, "skipped")] {
        if *count != 0 {
            text += &format!(", {count} {what}");
        }
    }
    text += &format!(", in {seconds:.1} s.\n");
    if summary.status == "interrupted" {
        text += "Interrupted. What was finished is kept; the same command goes on from there.\n";
    }
    for path in summary.outputs.values() {
        text += &format!("  {}\n", path.as_str().unwrap_or_default());
    }
    text
}
