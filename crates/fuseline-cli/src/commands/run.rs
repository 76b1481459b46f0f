//! `fuseline run`: runs what is not cached and writes the outputs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use fuseline_artifact::Digest;
use fuseline_cache::Cache;
use fuseline_engine::{
    ActionState, Class, Depth, LocalExecutor, Logged, Outcome, Plan, RunOptions, RunRecord,
    Services, codes, execute, remembered, site,
};
use fuseline_workflow::{Diagnostic, Severity};
use serde_json::{Map, Value, json};

use crate::args::{Format, Global, Run};
use crate::commands::cache::recall;
use crate::exit::{Exit, Failure};
use crate::progress::Progress;
use crate::session::Session;
use crate::{action_log, context, deliver, print, render};

/// Warnings that a run shows at most.
const WARNINGS: usize = 10;

pub fn run(args: &Run, global: &Global) -> Result<Exit, Failure> {
    let started = Instant::now();
    let mut session = Session::open(&args.workflow)?;
    recall(&mut session.services, &args.cache);
    let plan = session.plan(Depth::Key, &args.only)?;
    let cache = Cache::open(&args.cache.cache)?;
    let stop = interruptible()?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let options = RunOptions {
        jobs: args.jobs.map_or(cores, usize::from),
        keep_going: args.keep_going,
        memory: args.memory.or_else(all_memory),
    };
    let mut record = RunRecord::begin(&cache, &plan).map_err(Failure::failed)?;
    keep_memos(&session.services, &cache);
    action_log::begin(&cache.runs_folder().join(record.id()));
    let mut progress = Progress::of(global, &plan);
    let executor = LocalExecutor::new(&session.kinds, &session.services, &cache);
    let executor = Logged::new(&cache, record.id(), &executor).map_err(Failure::failed)?;
    let name = plan.workflow().name.clone();
    let mut round = || {
        execute(
            &plan,
            &cache,
            &executor,
            &|| remembered(&cache, &name),
            options,
            &stop,
            &mut |event| {
                progress.show(&event);
                record.note(&event);
            },
        )
        .map_err(Failure::failed)
    };
    let mut outcome = round()?;
    let folder = args.out.clone().unwrap_or_else(|| Path::new("results").join(&name));
    let mut outputs = Map::new();
    let mut delivered =
        deliver_outputs(&plan, &outcome, &cache, &session.services, &folder, &mut outputs);
    if delivered.is_err() && damaged_outputs(&plan, &outcome, &cache) {
        // Found when it was to be delivered, and set aside: what made it runs again.
        outcome = round()?.after(outcome);
        delivered =
            deliver_outputs(&plan, &outcome, &cache, &session.services, &folder, &mut outputs);
    }
    outcome.undelivered = delivered.as_ref().err().map(|failure| failure.message.clone());
    keep_memos(&session.services, &cache);
    context::keep(
        &cache,
        record.id(),
        &args.workflow.workflow,
        &session.checked.files,
        &plan,
        &outcome,
    )?;
    let end = record.finish(&plan, &outcome).map_err(Failure::failed)?;
    progress.show(&end);

    let mut failures = failures(&plan, &outcome);
    session.checked.settle(&mut failures);
    render::diagnostics(&failures, &session.checked.files);
    let count = |state| outcome.count(state);
    if !global.quiet && count(ActionState::Done) > 0 {
        let warnings = action_log::warnings(&cache, record.id())?;
        for warning in warnings.iter().take(WARNINGS) {
            print::note(format!("warning: {warning}"));
        }
        if let more @ 1.. = warnings.len().saturating_sub(WARNINGS) {
            print::note(format!("{more} more warnings: fuseline runs show latest"));
        }
    }
    let summary = json!({
        "run": record.id(),
        "status": outcome.status(),
        "actions": plan.wanted(),
        "executed": count(ActionState::Done) + count(ActionState::Failed),
        "cached": count(ActionState::Cached),
        "failed": count(ActionState::Failed),
        "skipped": count(ActionState::Skipped),
        "seconds": started.elapsed().as_secs_f64(),
        "outputs": outputs,
    });
    match args.format {
        Format::Json => print::json(&summary),
        Format::Human if !global.quiet && delivered.is_ok() => print::result(sentence(&summary)),
        Format::Human => {}
    }
    delivered?;
    let exit = exit(&outcome);
    // The process ends here: its memory goes with it, and not piece by piece.
    std::mem::forget((outcome, plan));
    std::mem::forget(session);
    Ok(exit)
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
fn reached<'p>(plan: &'p Plan<'_>, outcome: &Outcome) -> impl Iterator<Item = (&'p Path, Digest)> {
    plan.workflow().outputs.iter().filter_map(move |output| {
        let action = plan.actions_of(output.stage).start + output.action;
        Some((output.file.as_path(), outcome.output(plan, action, output.output)?))
    })
}

/// Whether an output that was reached is not there any more.
fn damaged_outputs(plan: &Plan<'_>, outcome: &Outcome, cache: &Cache) -> bool {
    reached(plan, outcome).any(|(_, digest)| !matches!(cache.get_object(&digest), Ok(Some(_))))
}

/// Writes the outputs that were reached, and notes each that is written: file name to path.
fn deliver_outputs(
    plan: &Plan<'_>,
    outcome: &Outcome,
    cache: &Cache,
    services: &Services,
    folder: &Path,
    written: &mut Map<String, Value>,
) -> Result<(), Failure> {
    for (file, digest) in reached(plan, outcome) {
        let path: PathBuf = folder.join(file);
        deliver::object(cache, &digest, &path, Some(&services.files))?;
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
fn sentence(summary: &Value) -> String {
    let mut text = format!(
        "{} actions: {} executed, {} cached",
        summary["actions"], summary["executed"], summary["cached"]
    );
    for what in ["failed", "skipped"] {
        if summary[what] != 0 {
            text += &format!(", {} {what}", summary[what]);
        }
    }
    text += &format!(", in {:.1} s.\n", summary["seconds"].as_f64().unwrap_or_default());
    if summary["status"] == "interrupted" {
        text += "Interrupted. What was finished is kept; the same command goes on from there.\n";
    }
    for (_, path) in summary["outputs"].as_object().into_iter().flatten() {
        text += &format!("  {}\n", path.as_str().unwrap_or_default());
    }
    text
}
