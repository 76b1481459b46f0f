//! All runs, the latest first.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::Response;
use fuseline::utc_text;
use fuseline_engine::MANIFEST_FORMAT;
use fuseline_report::markup::{Element, element};

use crate::action_list::Part;
use crate::event_log::{EventLog, Line};
use crate::format::{count, counted, cut, duration};
use crate::frame::{self, link, page, pager, plain, state, table};
use crate::manifest_index::Summary;
use crate::run_view::unreadable;
use crate::server::App;

/// Runs on a page.
const ROWS: usize = 50;

/// The page of all runs.
pub async fn runs(State(app): State<Arc<App>>, Query(part): Query<Part>) -> Response {
    let read = tokio::task::spawn_blocking(move || answer(&app, &part)).await;
    read.unwrap_or_else(|_| unreadable("The runs could not be listed."))
}

fn answer(app: &App, part: &Part) -> Response {
    let mut runs = match app.cache.runs() {
        Ok(runs) => runs,
        Err(error) => return unreadable(&error.with_cause()),
    };
    runs.reverse();
    let pages = runs.len().div_ceil(ROWS).max(1);
    let number = part.page.unwrap_or(1);
    if number == 0 || number > pages {
        return frame::not_found("The list has no such page.");
    }
    let folder = app.cache.folder().display().to_string();
    let told = element("p")
        .text(format!("{} in the cache ", counted(runs.len(), "run")))
        .child(element("code").text(cut(&folder, 300)))
        .text(".");
    let page = page("Runs").child(told);
    if runs.is_empty() {
        let hint = element("p").text("A run appears here as soon as it begins: ");
        return page.child(hint.child(element("code").text("fuseline run WORKFLOW"))).response();
    }
    let shown: Vec<String> = runs.into_iter().skip((number - 1) * ROWS).take(ROWS).collect();
    let heads = [
        ("workflow", false),
        ("compare", false),
        ("status", false),
        ("run", false),
        ("began", false),
        ("took", true),
        ("executed", true),
        ("cached", true),
        ("failed", true),
    ];
    let table = table("Runs", &heads, shown.iter().map(|run| row(app, run)));
    let form = element("form").attr("action", "/compare").attr("method", "get").child(table).child(
        element("p").child(
            element("button").attr("type", "submit").text("Compare the runs that are ticked"),
        ),
    );
    page.child(form).children(pager("/?page=", number, pages)).response()
}

fn row(app: &App, run: &str) -> Vec<Element> {
    let tick = element("input")
        .attr("type", "checkbox")
        .attr("name", "run")
        .attr("value", run)
        .attr("aria-label", format!("Compare run {run}"));
    // What tells runs apart comes first: a phone shows few columns at once.
    let cells = |workflow: &str, status: &str, more: Vec<Element>| {
        let address = || format!("/runs/{run}");
        let name = if workflow.is_empty() { "unknown".to_owned() } else { cut(workflow, 80) };
        let mut cells = vec![link(address(), name), tick, state(status), link(address(), run)];
        cells.extend(more);
        cells.resize_with(9, || plain(""));
        cells
    };
    match Summary::read(&app.cache, run) {
        Ok(Some(summary)) if summary.format != u64::from(MANIFEST_FORMAT) => {
            cells("", "of another version", Vec::new())
        }
        Ok(Some(summary)) => {
            let counts = |pick: fn(&fuseline_engine::ActionCounts) -> usize| {
                plain(summary.counts.as_ref().map(pick).map(count).unwrap_or_default())
            };
            let more = vec![
                plain(utc_text(summary.started_at)),
                plain(duration(summary.seconds)),
                counts(|counts| counts.done),
                counts(|counts| counts.cached),
                counts(|counts| counts.failed),
            ];
            cells(&summary.workflow, &summary.status, more)
        }
        Ok(None) => {
            let alive = app.cache.is_run_alive(run).unwrap_or(false);
            let status = if alive { "running" } else { "killed" };
            let began = plain(began(run).map(utc_text).unwrap_or_default());
            cells(&workflow(app, run), status, vec![began])
        }
        Err(problem) => cells("", "damaged", vec![plain(cut(&problem, 80))]),
    }
}

/// When a run without a manifest began, in seconds since 1970: its id begins with them.
pub fn began(run: &str) -> Option<u64> {
    run.get(..10)?.parse().ok()
}

/// The workflow of a run without a manifest, from the first line of its log.
fn workflow(app: &App, run: &str) -> String {
    let log = EventLog::open(&app.cache, run).ok().flatten();
    let line = log.and_then(|log| log.line_at(0).ok()).unwrap_or_default();
    let line: Line<'_> = serde_json::from_slice(&line).unwrap_or_default();
    line.workflow.into_owned()
}
