//! `fuseline run`: runs what is not cached and writes the outputs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use fuseline_cache::Cache;
use fuseline_engine::{
    ActionState, Class, Depth, LocalExecutor, Outcome, Plan, RunOptions, RunRecord, codes, execute,
    remembered, site,
};
use fuseline_workflow::{Diagnostic, Severity};
use serde_json::{Map, Value, json};

use crate::args::{Format, Global, Run};
use crate::exit::{Exit, Failure};
use crate::progress::Progress;
use crate::session::Session;
use crate::{deliver, print, render};

pub fn run(args: &Run, global: &Global) -> Result<Exit, Failure> {
    let started = Instant::now();
    let session = Session::open(&args.workflow)?;
    let plan = session.plan(Depth::Key, &args.only)?;
    let cache = Cache::open(&args.cache.cache)?;
    let stop = interruptible()?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let options = RunOptions {
        jobs: args.jobs.map_or(cores, usize::from),
        keep_going: args.keep_going,
        memory: None,
    };
    let mut record = RunRecord::begin(&cache, &plan).map_err(Failure::failed)?;
    let mut progress = Progress::new(global, plan.wanted());
    let executor = LocalExecutor::new(&session.kinds, &session.services, &cache);
    let name = plan.workflow().name.clone();
    let outcome = execute(
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
    .map_err(Failure::failed)?;
    let end = record.finish(&plan, &outcome).map_err(Failure::failed)?;
    progress.show(&end);

    render::diagnostics(&failures(&plan, &outcome), &session.checked.files);
    let folder = args.out.clone().unwrap_or_else(|| Path::new("results").join(&name));
    let outputs = outputs(&plan, &outcome, &cache, &folder)?;
    let count = |state| outcome.count(state);
    let summary = json!({
        "run": record.id(),
        "status": status(&outcome),
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
        Format::Human if !global.quiet => print::result(sentence(&summary)),
        Format::Human => {}
    }
    Ok(exit(&outcome))
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
            code: error.code.unwrap_or(match error.class {
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

/// Writes the outputs that were reached; file name to path.
fn outputs(
    plan: &Plan<'_>,
    outcome: &Outcome,
    cache: &Cache,
    folder: &Path,
) -> Result<Map<String, Value>, Failure> {
    let mut written = Map::new();
    for output in &plan.workflow().outputs {
        let action = plan.actions_of(output.stage).start + output.action;
        let Some(digest) = outcome.output(plan, action, output.output) else { continue };
        let path: PathBuf = folder.join(&output.file);
        deliver::object(cache, &digest, &path)?;
        written.insert(output.file.display().to_string(), path.display().to_string().into());
    }
    Ok(written)
}

fn status(outcome: &Outcome) -> &'static str {
    if outcome.interrupted {
        "interrupted"
    } else if outcome.failures.is_empty() {
        "ok"
    } else {
        "failed"
    }
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
