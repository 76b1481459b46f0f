//! `fuseline show`: an artifact as a table, or as a file. Executes nothing.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fuseline_artifact::{ArtifactKind, Payload};
use fuseline_cache::{Cache, Remembered};
use fuseline_engine::{
    ActionId, Depth, Event, Executed, Executor, Job, Outcome, Past, Plan, Point, RunOptions,
    StageError, execute, site,
};
use fuseline_report::shell_word;
use fuseline_workflow::Workflow;

use crate::args::{Format, Show};
use crate::commands::cache::{existing, recall};
use crate::exit::{Exit, Failure};
use crate::selection::Selection;
use crate::session::Session;
use crate::table::{Form, Table};
use crate::{deliver, print, suggest};

/// More columns than this are not read by people.
const COLUMNS: usize = 60;

pub fn run(args: &Show) -> Result<Exit, Failure> {
    let wrong = |problem| Failure::wrong(format!("{}: {problem}", args.output));
    let selection: Selection = args.output.parse().map_err(|problem: String| {
        wrong(problem).hint("such as findings, permute.effects or 'fusion[rule=lr|moe, fold=0]'")
    })?;
    let mut session = Session::open(&args.workflow)?;
    recall(&mut session.services, &args.cache);
    if let Some(workflow) = &session.checked.workflow {
        check(&selection, workflow)?;
    }
    let plan = session.plan(Depth::Key, std::slice::from_ref(&selection.stage))?;
    let cache = existing(&args.cache)?;
    let (stage, output) = check(&selection, plan.workflow())?;
    let planned = &plan.workflow().stages[stage];
    let picked: Vec<ActionId> =
        plan.actions_of(stage).filter(|&action| selection.takes(&plan.point(action))).collect();
    if picked.is_empty() {
        return Err(wrong("the stage has no action at such a point".to_owned()));
    }
    let port = &planned.outputs[output];
    let kind: ArtifactKind = port.artifact.parse().map_err(Failure::failed)?;
    let outcome = what_is_cached(&plan, &cache)?;
    // An artifact is Parquet as it is; several keep their types.
    let parquet = args.export.as_deref().and_then(Form::of) == Some(Form::Parquet);
    let mut artifacts = Vec::with_capacity(picked.len());
    for &action in &picked {
        let point = plan.point(action);
        let digest = outcome
            .output(&plan, action, output)
            .ok_or_else(|| missing(&plan, stage, &point, args))?;
        if let ([_], true, Some(path)) = (picked.as_slice(), parquet, &args.export) {
            deliver::object(&cache, &digest, path, None)?;
            print::result(path.display().to_string());
            return Ok(Exit::Done);
        }
        artifacts.push((point, deliver::artifact(&cache, kind, &digest)?));
    }
    if let [(_, artifact)] = artifacts.as_slice()
        && let Payload::Bytes { bytes, .. } = &artifact.payload
    {
        return document(args, bytes);
    }
    // The axes that the selection leaves open tell the rows apart.
    let mut tables = Vec::with_capacity(artifacts.len());
    for (mut point, artifact) in artifacts {
        point.retain(|(axis, _)| !selection.pins(axis));
        let table = if parquet { Table::typed(&artifact) } else { Table::of(&artifact)? };
        let table = table.ok_or_else(|| {
            wrong("these are several documents".to_owned()).hint("pick one with [axis=point, ...]")
        })?;
        tables.push(table.at(&point)?);
    }
    let table = Table::stack(tables)?.ok_or_else(|| {
        wrong("the tables at these points have different columns".to_owned())
            .hint(format!("pick points with [axis=point]; its axes are {}", axes(&plan, stage)))
    })?;
    if let Some(path) = &args.export {
        let form = Form::of(path).ok_or_else(|| {
            Failure::wrong(format!("{} says no form", path.display()))
                .hint("end its name with .csv, .json or .parquet")
        })?;
        deliver::table_to(&table, form, path)?;
        print::result(path.display().to_string());
        return Ok(Exit::Done);
    }
    match args.format {
        Format::Json => {
            print::result(String::from_utf8_lossy(&table.write(Form::Json)?));
        }
        Format::Human => {
            let rows = if args.rows == 0 { usize::MAX } else { args.rows };
            let shown = table.human(rows, COLUMNS, width());
            print::note(format!(
                "{}: {kind}, {} rows, {} columns, {} of {} actions",
                args.output,
                table.rows(),
                table.names().len(),
                picked.len(),
                planned.actions.len()
            ));
            print::result(&shown.text);
            if !shown.left_out.is_empty() {
                print::note(format!(
                    "{} not shown: --rows 0 for all rows, --export FILE for everything",
                    shown.left_out
                ));
            }
        }
    }
    Ok(Exit::Done)
}

/// The stage and its output that a selection names; its axes and points must be there too.
fn check(selection: &Selection, workflow: &Workflow) -> Result<(usize, usize), Failure> {
    let unknown = |what: &str, name: &str, hint: Option<String>| Failure {
        hint,
        ..Failure::wrong(format!("there is no {what} {name}"))
    };
    let name = &selection.stage;
    let stage = workflow.stages.iter().position(|stage| stage.name == *name).ok_or_else(|| {
        let names = workflow.stages.iter().map(|stage| stage.name.as_str());
        unknown("stage", name, suggest::hint(name, "stage", names))
    })?;
    let of = &workflow.stages[stage];
    let ports = || of.outputs.iter().map(|port| port.name.as_str());
    let output = match (&selection.port, of.outputs.len()) {
        (Some(port), _) => ports().position(|name| name == port).ok_or_else(|| {
            let what = format!("output of {name} called");
            unknown(&what, port, suggest::hint(port, "output", ports()))
        })?,
        (None, 1) => 0,
        (None, _) => ports().position(|port| port == "main").ok_or_else(|| {
            let ports: Vec<_> = ports().map(|port| format!("{name}.{port}")).collect();
            Failure::wrong(format!("{name} has several outputs"))
                .hint(format!("name one: {}", ports.join(", ")))
        })?,
    };
    for (axis, labels) in &selection.points {
        let axes = || of.over.iter().map(|&axis| &workflow.axes[axis]);
        let found = axes().find(|known| known.name == *axis).ok_or_else(|| {
            let names = axes().map(|axis| axis.name.as_str());
            unknown(&format!("axis of {name} called"), axis, suggest::hint(axis, "axis", names))
        })?;
        for label in labels {
            let points = || found.points.iter().map(|point| point.label.as_str());
            if !points().any(|point| point == label) {
                let what = format!("point of {axis} called");
                return Err(unknown(&what, label, suggest::hint(label, "point", points())));
            }
        }
    }
    Ok((stage, output))
}

/// The command that runs the workflow that is shown, with all that was said of it.
fn run_command(args: &Show) -> String {
    let word = |path: &Path| shell_word(&path.to_string_lossy());
    let mut command = format!("fuseline run {}", word(&args.workflow.workflow));
    if let Some(params) = &args.workflow.params {
        command += &format!(" --params {}", word(params));
    }
    for (name, text) in &args.workflow.set {
        command += &format!(" --set {}", shell_word(&format!("{name}={text}")));
    }
    for folder in &args.workflow.plugin_path {
        command += &format!(" --plugin-path {}", word(folder));
    }
    command
}

/// Why there is nothing to show, and what to do: a stage that says `cache: false`, or one that reads from such a stage, is
/// made by every run and found by none.
fn missing(plan: &Plan<'_>, stage: usize, point: &Point, args: &Show) -> Failure {
    let stages = &plan.workflow().stages;
    let name = &stages[stage].name;
    let mut above = vec![stage];
    let mut seen = BTreeSet::new();
    while let Some(next) = above.pop() {
        if seen.insert(next) {
            let sources = stages[next].inputs.iter().flat_map(|input| &input.sources);
            above.extend(sources.map(|source| source.stage));
        }
    }
    // The stage itself first, and what lies farthest up of the others.
    let uncached =
        Some(&stage).into_iter().chain(&seen).find(|stage| !stages[**stage].execution.cache);
    let failure = |what: String| Failure::wrong(format!("{} {what}", site(name, point)));
    match uncached {
        Some(&of) if of == stage => failure("is never kept: its stage says `cache: false`".to_owned()).hint(format!(
            "leave `cache: false` out and run once, or let every run write it: `outputs: {{ {name}.parquet: {name} }}`"
        )),
        Some(&of) => failure(format!("cannot be looked up: it depends on {0}, and {0} says `cache: false`", stages[of].name))
            .hint("leave `cache: false` out there and run once, or name it under `outputs:`"),
        None => failure("is not in the cache".to_owned())
            .hint(format!("`{} --only {name}` makes it", run_command(args))),
    }
}

fn axes(plan: &Plan<'_>, stage: usize) -> String {
    let over = plan.workflow().stages[stage].over.iter();
    over.map(|&axis| plan.workflow().axes[axis].name.as_str()).collect::<Vec<_>>().join(", ")
}

/// Looks everything up and executes nothing.
fn what_is_cached(plan: &Plan<'_>, cache: &Cache) -> Result<Outcome, Failure> {
    struct Nothing;
    impl Executor for Nothing {
        fn execute(&self, job: &Job, _: &Arc<AtomicBool>) -> Result<Executed, StageError> {
            // Of the data's class: such a failure is not tried again.
            Err(StageError::data(format!("{} is not in the cache", job.site)))
        }
    }
    let stop = Arc::new(AtomicBool::new(false));
    let observe = &mut |event: Event| {
        // Another run is making it; this one does not wait.
        if matches!(event, Event::Waiting { .. }) {
            stop.store(true, Ordering::Relaxed);
        }
    };
    let options = RunOptions { jobs: 1, keep_going: true, memory: None };
    let past = Past { index: &cache.index(&plan.workflow().path), remember: &Remembered::default };
    execute(plan, cache, past, &Nothing, options, &stop, observe).map_err(Failure::failed)
}

/// The width of the terminal that stdout is, or what COLUMNS says; a pipe has none.
fn width() -> Option<usize> {
    let said = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    said.or_else(|| {
        let size = terminal_size::terminal_size_of(std::io::stdout());
        size.map(|(width, _)| usize::from(width.0))
    })
}

/// A document goes out as it is.
fn document(args: &Show, bytes: &[u8]) -> Result<Exit, Failure> {
    match (&args.export, std::str::from_utf8(bytes)) {
        (Some(path), _) => {
            deliver::to(path, bytes)?;
            print::result(path.display().to_string());
        }
        (None, Ok(text)) => print::result(text),
        (None, Err(_)) => {
            return Err(Failure::wrong(format!(
                "{} is a document of {} bytes that is not text",
                args.output,
                bytes.len()
            ))
            .hint("--export FILE writes it to a file"));
        }
    }
    Ok(Exit::Done)
}
