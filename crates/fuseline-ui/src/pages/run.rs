//! One run: how far it is, what failed, its stages, what it gave.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::{Path, Query, State};
use axum::response::Response;
use fuseline::{RunGraph, action_warnings, excerpt, utc_text};
use fuseline_artifact::ArtifactKind;
use fuseline_report::markup::{Element, element};
use fuseline_workflow::StageIndex;
use serde_json::Value;

use crate::action_list::{self, Part, Row, ended_name, filters, list};
use crate::event_log::{EventLog, StageProgress, Started};
use crate::format::{bytes, count, counted, cut, duration};
use crate::frame::{self, Page, facts, link, page, plain, scrolling, section, state, table};
use crate::graph;
use crate::manifest_index::{Ended, ManifestIndex};
use crate::pages::runs::began;
use crate::run_view::{RunView, ended_stages};
use crate::server::App;

/// Failures on the page of a run.
const FAILURES: usize = 20;
/// Actions in flight on the page of a run.
const IN_FLIGHT: usize = 20;
/// Values of parameters are cut after this many letters.
const VALUE: usize = 200;
/// Actions of a stage whose results are shown.
const RESULTS: usize = 4;
/// Cautions and warnings that are shown.
const CAUTIONS: usize = 30;

/// The page of a run.
pub async fn run(State(app): State<Arc<App>>, Path(run): Path<String>) -> Response {
    let view = match app.view(&run).await {
        Ok(view) => view,
        Err(response) => return response,
    };
    let (reading, name) = (app.clone(), run.clone());
    let read = move || {
        let graph = RunGraph::read(&reading.cache, &name).map_err(|error| error.to_string())?;
        graph.ok_or_else(|| "the run has no graph yet".to_owned())
    };
    // A run that has only begun may have none for a moment; failures are asked for again soon.
    let graph = app.graphs.get(&run, read).await.and_then(Result::ok);
    match view {
        RunView::Ended(index) => ended(&app, &index, graph.as_deref()),
        RunView::Open { log, whole, alive } => {
            open(&run, &log.lock(), whole, alive, graph.as_deref())
        }
    }
}

fn ended(app: &App, index: &ManifestIndex, graph: Option<&RunGraph>) -> Response {
    let (head, run) = (&index.head, &index.head.run);
    let stages = ended_stages(index);
    let total = |pick: fn(&StageProgress) -> usize| stages.iter().map(pick).sum::<usize>();
    let (executed, cached) = (total(|of| of.done), total(|of| of.cached));
    let (failed, skipped) = (total(|of| of.failed), total(|of| of.skipped));
    let counts = format!(
        "{}: {} executed, {} cached, {} failed, {} skipped",
        counted(index.len(), "action"),
        count(executed),
        count(cached),
        count(failed),
        count(skipped)
    );
    let mut about = vec![
        ("status".to_owned(), state(&head.status)),
        ("began".to_owned(), plain(utc_text(head.started_at))),
        ("took".to_owned(), plain(duration(head.seconds))),
        ("actions".to_owned(), plain(counts)),
    ];
    if let Some(memory) = head.peak_memory {
        about.push(("most memory".to_owned(), plain(bytes(memory))));
    }
    about.push(("fuseline".to_owned(), plain(cut(&head.fuseline_version, 40))));
    about.push(("workflow digest".to_owned(), plain(head.workflow_digest.short())));
    about.push(("seed".to_owned(), plain(head.seed.to_string())));
    let mut page = begin(&head.workflow, run).child(facts(about));
    if let Some(problem) = &head.undelivered {
        page = page.child(element("p").class("bad").text(cut(problem, 2000)));
    }
    if failed > 0 {
        let numbers = index.numbers(None, Some(Ended::Failed)).take(FAILURES);
        let rows: Vec<Row> = numbers.filter_map(|number| Row::ended(run, index, number)).collect();
        page = page.child(failures(run, rows, failed));
    }
    page = page.children(results(index, graph));
    page = page.child(stages_section(run, &stages, graph));
    if !head.cautions.is_empty() {
        let lines = head.cautions.iter().take(CAUTIONS).map(|caution| caution.line());
        page = page.child(bullets("Cautions", lines, head.cautions.len()));
    }
    if let Ok(warnings) = action_warnings(&app.cache, run)
        && !warnings.is_empty()
    {
        let n = warnings.len();
        page = page.child(bullets("Warnings", warnings.into_iter().take(CAUTIONS), n));
    }
    let params = head.params.iter().map(|(name, value)| {
        let text = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        (name.clone(), plain(cut(&text, VALUE)))
    });
    if !head.params.is_empty() {
        page = page.child(section("Parameters").child(facts(params)));
    }
    if !head.plugins.is_empty() {
        let rows = head.plugins.iter();
        let rows = rows.map(|(id, digest)| vec![plain(cut(id, 80)), plain(digest.short())]);
        let heads = [("rule", false), ("digest", false)];
        page = page.child(section("Fusion rules").child(table("Fusion rules", &heads, rows)));
    }
    page.response()
}

fn open(run: &str, log: &EventLog, whole: bool, alive: bool, graph: Option<&RunGraph>) -> Response {
    let total: usize = log.stages.iter().map(|stage| stage.total).sum();
    let left: usize = log.stages.iter().map(StageProgress::left).sum();
    let failed: usize = log.stages.iter().map(|stage| stage.failed).sum();
    let ready = total - left;
    let (read, size) = log.extent();
    let elapsed = match alive {
        true => began(run).map_or(0.0, |began| now().saturating_sub(began) as f64),
        false => log.milliseconds as f64 / 1000.0,
    };
    let word = if alive { "running" } else { "killed" };
    let mut about = vec![
        ("status".to_owned(), state(word)),
        ("began".to_owned(), plain(began(run).map(utc_text).unwrap_or_default())),
        ("elapsed".to_owned(), plain(duration(elapsed))),
    ];
    if alive && whole && left > 0 {
        let left = log.seconds_left().map_or("not known yet".to_owned(), duration);
        about.push(("time left, about".to_owned(), plain(left)));
    }
    let told = format!("{} of {}", count(ready), counted(total, "action"));
    let meter = element("progress")
        .attr("value", ready.to_string())
        .attr("max", total.max(1).to_string())
        .attr("aria-label", "Actions that are there");
    about.push(("there".to_owned(), element("span").child(meter).text(format!(" {told}"))));
    let mut page = begin(if log.workflow.is_empty() { "run" } else { &log.workflow }, run);
    if !whole {
        let share = 100 * read / size.max(1);
        page = page
            .waits(&format!("{share} % of the event log are read; counts grow until it is whole."));
    } else if alive {
        page = page.live(format!("/runs/{run}/events?from={size}"));
    }
    page = page.child(news(&told, failed)).child(facts(about));
    if !alive {
        let words = "The process of this run ended without a manifest. What its actions had \
            finished is in the cache: the next run of the workflow reuses it.";
        page = page.child(element("p").text(words));
    }
    if let Some(problem) = &log.problem {
        page = page.child(element("p").class("bad").text(cut(problem, 500)));
    }
    if failed > 0 {
        let shown = log.failures.iter().take(FAILURES);
        let rows: Vec<Row> = shown
            .filter_map(|of| Row::started(run, log, of.number, Some(of.offset), !alive))
            .collect();
        page = page.child(failures(run, rows, log.failures.len()));
    }
    if alive && !log.in_flight.is_empty() {
        let mut numbers: Vec<u32> = log.in_flight.values().copied().collect();
        numbers.sort_unstable();
        let n = numbers.len();
        let rows = numbers.into_iter().take(IN_FLIGHT);
        let rows = rows.filter_map(|number| Row::started(run, log, number, None, false));
        let heading = format!("In flight: {}", counted(n, "action"));
        page = page.child(section(&heading).child(action_list::rows("Actions in flight", rows)));
    }
    page.child(stages_section(run, &log.stages, graph)).response()
}

/// Status text that a screen reader announces when it changes.
fn news(told: &str, failed: usize) -> Element {
    let failed = if failed > 0 { format!(", {} failed", count(failed)) } else { String::new() };
    element("p").attr("id", "told").class("unseen").text(format!("{told}{failed}"))
}

fn begin(workflow: &str, run: &str) -> Page {
    page(cut(workflow, 120))
        .under("/", "Runs")
        .child(element("p").class("eyebrow").text("run ").child(element("code").text(run)))
}

fn failures(run: &str, rows: Vec<Row>, total: usize) -> Element {
    let heading = format!("Failed: {}", counted(total, "action"));
    let shown = rows.len();
    // One cause fails many actions: what it said stands below the first of them.
    let mut before = String::new();
    let list = element("ul").class("failures").children(rows.into_iter().map(|row| {
        let item = element("li").child(link(row.address, cut(&row.name, 300)));
        let note = cut(&excerpt(&row.note), 2000);
        if note == before {
            return item.text(": the same");
        }
        before.clone_from(&note);
        item.child(element("pre").text(note))
    }));
    let section = section(&heading).child(list);
    match total > shown {
        true => {
            section.child(element("p").child(link(format!("/runs/{run}/failed"), "All of them")))
        }
        false => section,
    }
}

/// Reports, findings and tables: what a reader comes for, the reports of all that was found before
/// those of parts of it.
fn results(index: &ManifestIndex, graph: Option<&RunGraph>) -> Option<Element> {
    let kinds = [ArtifactKind::Report, ArtifactKind::Findings, ArtifactKind::Table];
    let kinds = kinds.map(ArtifactKind::name);
    let mut stages: Vec<_> = index.head.stages.iter_enumerated().rev().collect();
    let is_page = |name: &str| {
        let of = graph.and_then(|graph| graph.stages.iter().find(|of| of.name == name));
        of.is_some_and(|of| of.kinds.iter().any(|kind| kind == "report.html"))
    };
    stages.sort_by_key(|(number, stage)| {
        let actions = index.numbers(Some(*number), None).count();
        (!is_page(&stage.name), actions > 1)
    });
    let mut items = Vec::new();
    for (number, stage) in stages {
        let ports = stage.outputs.iter().enumerate();
        for (output, (_, kind)) in ports.filter(|(_, (_, kind))| kinds.contains(&kind.as_str())) {
            let (run, total) = (&index.head.run, index.numbers(Some(number), None).count());
            for action in index.numbers(Some(number), None).take(RESULTS) {
                let Some(Ok(made)) = index.action(action) else { continue };
                if made.outputs.len() > output {
                    let address = format!("/runs/{run}/actions/{action}/outputs/{output}");
                    let name = format!("{kind}: {}", cut(&made.action, 120));
                    items.push(element("li").child(link(address, name)));
                }
            }
            if total > RESULTS {
                let name =
                    format!("{kind}: {} more of {}", count(total - RESULTS), cut(&stage.name, 120));
                let address = format!("/runs/{run}/stages/{}", number.0);
                items.push(element("li").child(link(address, name)));
            }
        }
    }
    (!items.is_empty()).then(|| section("Results").child(element("ul").children(items)))
}

fn stages_section(run: &str, stages: &[StageProgress], graph: Option<&RunGraph>) -> Element {
    let address = format!("/runs/{run}");
    let mut part = section("Stages");
    if let Some(drawing) = graph.and_then(|graph| graph::draw(graph, stages, &address)) {
        part = part.child(graph::legend()).child(scrolling("Drawing of the stages", drawing));
    }
    let heads = [
        ("stage", false),
        ("kind", false),
        ("axes", false),
        ("actions", true),
        ("cached", true),
        ("executed", true),
        ("failed", true),
        ("skipped", true),
        ("in flight", true),
        ("to come", true),
        ("mean time", true),
    ];
    let rows = stages.iter().enumerate().map(|(number, stage)| {
        let of = graph.and_then(|graph| graph.stages.iter().find(|of| of.name == stage.name));
        let kinds = of.map(|of| of.kinds.join(", ")).unwrap_or_default();
        let axes = of.map(|of| of.axes.join(" × ")).unwrap_or_default();
        let mean = if stage.done > 0 && stage.busy > 0.0 {
            duration(stage.busy / stage.done as f64)
        } else {
            String::new()
        };
        let some = |n: usize| plain(if n == 0 { String::new() } else { count(n) });
        vec![
            link(format!("{address}/stages/{number}"), cut(&stage.name, 80)),
            plain(cut(&kinds, 120)),
            plain(cut(&axes, 120)),
            plain(count(stage.total)),
            some(stage.cached),
            some(stage.done),
            some(stage.failed),
            some(stage.skipped),
            some(stage.running),
            some(stage.left().saturating_sub(stage.running)),
            plain(mean),
        ]
    });
    part.child(table("Stages", &heads, rows))
}

fn bullets(heading: &str, lines: impl Iterator<Item = String>, total: usize) -> Element {
    let items: Vec<Element> = lines.map(|line| element("li").text(cut(&line, 2000))).collect();
    let more = total - items.len();
    let part = section(heading).child(element("ul").children(items));
    match more {
        0 => part,
        more => part.child(element("p").text(format!("and {} more", count(more)))),
    }
}

/// The actions of a stage.
pub async fn stage(
    State(app): State<Arc<App>>,
    Path((run, stage)): Path<(String, String)>,
    Query(part): Query<Part>,
) -> Response {
    let view = match app.view(&run).await {
        Ok(view) => view,
        Err(response) => return response,
    };
    let Ok(number) = stage.parse::<u32>() else { return no_stage() };
    let address = format!("/runs/{run}/stages/{number}");
    match view {
        RunView::Ended(index) => {
            let Some(stage) = index.head.stages.get(StageIndex(number)) else { return no_stage() };
            let all = [Ended::Failed, Ended::Done, Ended::Cached, Ended::Skipped];
            let counts =
                all.map(|state| (ended_name(state), index.count(Some(StageIndex(number)), state)));
            let Ok(chosen) = choose(part.state.as_deref(), &all, ended_name) else {
                return frame::not_found("There is no such state.");
            };
            let numbers: Vec<usize> = index.numbers(Some(StageIndex(number)), chosen).collect();
            let page = under(&run, &index.head.workflow, &stage.name);
            let page = page.child(filters(&address, part.state.as_deref(), &counts));
            list(page, "", &address, &part, numbers.len(), |at| {
                Row::ended(&run, &index, *numbers.get(at)?)
            })
        }
        RunView::Open { log, alive, .. } => {
            let log = log.lock();
            let Some(stage) = log.stages.get(number as usize) else { return no_stage() };
            let all = [Started::Failed, Started::Running, Started::Again, Started::Done];
            let name = |state| action_list::started_name(state, !alive);
            let Ok(chosen) = choose(part.state.as_deref(), &all, name) else {
                return frame::not_found("There is no such state.");
            };
            // Once through all, which may be millions.
            let mut counts: Vec<(&'static str, usize)> = Vec::new();
            let mut numbers: Vec<u32> = Vec::new();
            for (at, action) in (0..).zip(&log.started) {
                if u32::from(action.stage) != number {
                    continue;
                }
                let state = name(action.state);
                match counts.iter_mut().find(|(known, _)| *known == state) {
                    Some((_, n)) => *n += 1,
                    None => counts.push((state, 1)),
                }
                if chosen.is_none_or(|chosen| name(chosen) == state) {
                    numbers.push(at);
                }
            }
            counts.sort_unstable();
            let words = format!(
                "of the stage were started; {} were found in the cache, and have no line in the \
                 log",
                count(stage.cached)
            );
            let page = under(&run, &log.workflow, &stage.name);
            let page = page.child(filters(&address, part.state.as_deref(), &counts));
            list(page, &words, &address, &part, numbers.len(), |at| {
                Row::started(&run, &log, *numbers.get(at)?, None, !alive)
            })
        }
    }
}

/// All actions that failed.
pub async fn failed(
    State(app): State<Arc<App>>,
    Path(run): Path<String>,
    Query(mut part): Query<Part>,
) -> Response {
    part.state = None;
    let address = format!("/runs/{run}/failed");
    match app.view(&run).await {
        Ok(RunView::Ended(index)) => {
            let numbers: Vec<usize> = index.numbers(None, Some(Ended::Failed)).collect();
            let page = under(&run, &index.head.workflow, "Failed");
            list(page, "failed", &address, &part, numbers.len(), |at| {
                Row::ended(&run, &index, *numbers.get(at)?)
            })
        }
        Ok(RunView::Open { log, alive, .. }) => {
            let log = log.lock();
            let page = under(&run, &log.workflow, "Failed");
            list(page, "failed", &address, &part, log.failures.len(), |at| {
                let of = log.failures.get(at)?;
                Row::started(&run, &log, of.number, Some(of.offset), !alive)
            })
        }
        Err(response) => response,
    }
}

fn under(run: &str, workflow: &str, title: &str) -> Page {
    page(cut(title, 120)).under("/", "Runs").under(format!("/runs/{run}"), cut(workflow, 60))
}

fn no_stage() -> Response {
    frame::not_found("The run has no such stage.")
}

/// The state of a name, when one is given; an error when it is none.
fn choose<S: Copy>(
    name: Option<&str>,
    all: &[S],
    name_of: impl Fn(S) -> &'static str,
) -> Result<Option<S>, ()> {
    let Some(name) = name else { return Ok(None) };
    all.iter().copied().find(|state| name_of(*state) == name).map(Some).ok_or(())
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
