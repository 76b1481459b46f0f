//! One action: why it ran, what it read and gave, what it said.

use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use fuseline::Cache;
use fuseline_artifact::Digest;
use fuseline_engine::{Job, ManifestAction, find_job};
use fuseline_report::markup::{Element, element};
use serde::Deserialize;

use crate::action_list::{ended_name, started_name};
use crate::deferred::Reading;
use crate::event_log::{Line, Started};
use crate::format::{bytes, count, cut, duration};
use crate::frame::{self, Page, facts, link, page, plain, section, state, table};
use crate::manifest_index::ManifestIndex;
use crate::run_view::{RunView, unreadable};
use crate::server::App;

/// The log of the actions of a run, in its folder.
const ACTION_LOG: &str = "actions.log";
/// Number of the last bytes of a log that are searched.
const MOST_LOG: u64 = 16 << 20;
/// Lines of the log that are shown.
const LINES: usize = 200;
/// Inputs that are listed.
const INPUTS: usize = 50;

/// The page of an action of a run that has ended.
pub async fn ended(
    State(app): State<Arc<App>>,
    Path((run, number)): Path<(String, String)>,
) -> Response {
    let index = match app.view(&run).await {
        Ok(RunView::Ended(index)) => index,
        Ok(RunView::Open { .. }) => return no_action(),
        Err(response) => return response,
    };
    let Some((number, action)) =
        number.parse().ok().and_then(|number| index.action(number).map(|action| (number, action)))
    else {
        return no_action();
    };
    let action = match action {
        Ok(action) => action,
        Err(problem) => return unreadable(&problem),
    };
    let job = match action.key {
        None => Some(Ok(Arc::new(None))),
        Some(key) => {
            let reading = app.clone();
            let find = move || find_job(&reading.cache, &key).map_err(|error| error.with_cause());
            app.jobs.get(&key, find).await
        }
    };
    let read =
        tokio::task::spawn_blocking(move || answer(&app.cache, &index, number, &action, job));
    read.await.unwrap_or_else(|_| unreadable("The action could not be read."))
}

fn answer(
    cache: &Cache,
    index: &ManifestIndex,
    number: usize,
    action: &ManifestAction,
    job: Option<Reading<Option<Job>>>,
) -> Response {
    let run = &index.head.run;
    let name = index.state(number).map_or("skipped", ended_name);
    let mut about = vec![("state".to_owned(), state(name))];
    let reason = match (name, &action.reason) {
        (_, Some(reason)) => reason.clone(),
        ("cached", None) => {
            "not run: its key has a record in the cache, and its outputs are there".to_owned()
        }
        _ => "not run: an input failed, or the run stopped before it".to_owned(),
    };
    about.push(("why it ran".to_owned(), plain(cut(&reason, 2000))));
    if let Some(seconds) = action.seconds {
        about.push(("took".to_owned(), plain(duration(seconds))));
    }
    if let Some(seconds) = action.cpu_seconds {
        about.push(("processor time".to_owned(), plain(duration(seconds))));
    }
    if let Some(attempts) = action.attempts {
        about.push(("attempts".to_owned(), plain(attempts.to_string())));
    }
    if let Some(key) = &action.key {
        about.push(("key".to_owned(), element("code").text(key.to_string())));
    }
    let mut page = begin(index, action).child(facts(about));
    if let Some(error) = &action.error {
        page = page.child(section("What is wrong").child(element("pre").text(cut(error, 20_000))));
    }
    page = page.children(log_section(cache, run, &action.action, action.error.is_some()));
    if job.is_none() {
        page = page.waits("What it read is looked for in the runs of the cache.");
    }
    let job = job.and_then(Result::ok);
    let job = job.as_deref().and_then(Option::as_ref);
    if let Some(job) = job {
        page = page.child(inputs(index, job));
    }
    page = page.children(outputs(cache, index, number, action));
    if let Some(job) = job {
        let fields = job.fields().iter().filter(|(name, _)| !name.starts_with("inputs."));
        let rows = fields.map(|(name, value)| {
            vec![plain(cut(name, 120)), element("code").text(cut(value, 400))]
        });
        let heads = [("field", false), ("value", false)];
        page = page.child(section("What its key is made of").child(table(
            "Fields of the key",
            &heads,
            rows,
        )));
    }
    page.response()
}

fn begin(index: &ManifestIndex, action: &ManifestAction) -> Page {
    let stage = index.head.stages.get(action.stage);
    let name = stage.map(|stage| stage.name.clone()).unwrap_or_default();
    page(cut(&action.action, 300))
        .under("/", "Runs")
        .under(format!("/runs/{}", index.head.run), cut(&index.head.workflow, 60))
        .under(format!("/runs/{}/stages/{}", index.head.run, action.stage.0), cut(&name, 60))
}

fn inputs(index: &ManifestIndex, job: &Job) -> Element {
    let all = job.inputs();
    let rows = all.iter().take(INPUTS).map(|input| {
        let made = index.maker(&input.digest);
        let from = match made {
            Some((number, action, output)) => link(
                format!("/runs/{}/actions/{number}/outputs/{output}", index.head.run),
                cut(&action.action, 160),
            ),
            None => element("code").text(input.digest.short()),
        };
        let point = input.point.iter().map(|(axis, label)| format!("{axis}={label}"));
        let point = point.collect::<Vec<_>>().join(", ");
        vec![plain(cut(&input.port, 60)), plain(input.kind.name()), plain(cut(&point, 120)), from]
    });
    let heads = [("port", false), ("kind", false), ("point", false), ("from", false)];
    let part = section("Inputs").child(table("Inputs", &heads, rows));
    match all.len().saturating_sub(INPUTS) {
        0 => part,
        more => part.child(element("p").text(format!("and {} more", count(more)))),
    }
}

fn outputs(
    cache: &Cache,
    index: &ManifestIndex,
    number: usize,
    action: &ManifestAction,
) -> Option<Element> {
    let ports = &index.head.stages.get(action.stage)?.outputs;
    if action.outputs.is_empty() {
        return None;
    }
    let rows =
        ports.iter().zip(&action.outputs).enumerate().map(|(output, ((port, kind), digest))| {
            let address = format!("/runs/{}/actions/{number}/outputs/{output}", index.head.run);
            vec![
                link(address, cut(port, 60)),
                plain(cut(kind, 60)),
                plain(size(cache, digest).map_or("no longer in the cache".to_owned(), bytes)),
                element("code").text(digest.short()),
            ]
        });
    let heads = [("port", false), ("kind", false), ("size", true), ("digest", false)];
    Some(section("Outputs").child(table("Outputs", &heads, rows)))
}

/// The length of an object that is there.
pub fn size(cache: &Cache, digest: &Digest) -> Option<u64> {
    cache.open_object_file(digest).ok().flatten()?.size().ok()
}

/// Messages of an action while it was executed: its last lines in the log of the run. What a
/// program that failed has printed is part of its error.
fn log_section(cache: &Cache, run: &str, action: &str, failed: bool) -> Option<Element> {
    let part = section("Log");
    Some(match log_lines(cache, run, action) {
        Ok((lines, _)) if lines.is_empty() && failed => return None,
        Ok((lines, _)) if lines.is_empty() => {
            part.child(element("p").text("It said nothing in this run."))
        }
        Ok((lines, cut_off)) => {
            let heads = [("level", false), ("message", false)];
            let rows = lines.iter().map(|line| {
                vec![plain(line.level.clone()), element("pre").text(cut(&line.message, 4000))]
            });
            let part = part.child(table("Log", &heads, rows));
            match cut_off {
                true => part.child(
                    element("p").text("Earlier lines are in actions.log in the folder of the run."),
                ),
                false => part,
            }
        }
        Err(problem) => part.child(element("p").class("bad").text(problem)),
    })
}

#[derive(Deserialize)]
struct Said {
    action: String,
    level: String,
    message: String,
}

/// The last lines of an action, and whether there may be earlier ones.
fn log_lines(cache: &Cache, run: &str, action: &str) -> Result<(Vec<Said>, bool), String> {
    let file = cache.open_run_file(run, ACTION_LOG).map_err(|error| error.with_cause())?;
    let Some(mut file) = file else { return Ok((Vec::new(), false)) };
    let cannot = |error: std::io::Error| format!("the log cannot be read: {error}");
    let size = file.metadata().map_err(cannot)?.len();
    let mut cut_off = size > MOST_LOG;
    if cut_off {
        file.seek(SeekFrom::Start(size - MOST_LOG)).map_err(cannot)?;
    }
    let name = serde_json::to_string(action).map_err(|error| error.to_string())?;
    let mut said = std::collections::VecDeque::new();
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line).map_err(cannot)? == 0 {
            break;
        }
        // Most lines are of others, and are not read as JSON.
        let begins = format!("{{\"action\":{name}");
        if line.starts_with(begins.as_bytes())
            && let Ok(of) = serde_json::from_slice::<Said>(&line)
            && of.action == action
        {
            said.push_back(of);
            if said.len() > LINES {
                said.pop_front();
                cut_off = true;
            }
        }
    }
    Ok((said.into(), cut_off))
}

/// The page of an action that a run has started, from its log.
pub async fn started(
    State(app): State<Arc<App>>,
    Path((run, number)): Path<(String, String)>,
) -> Response {
    let (log, alive) = match app.view(&run).await {
        Ok(RunView::Open { log, alive, .. }) => (log, alive),
        Ok(RunView::Ended(index)) => return moved_on(&index),
        Err(response) => return response,
    };
    let log = log.lock();
    let found = number.parse::<usize>().ok();
    let Some((number, action)) = found.and_then(|number| Some((number, *log.started.get(number)?)))
    else {
        return no_action();
    };
    let read = |offset| log.line_at(offset);
    let (begun, failed) = (
        read(action.offset),
        log.failures.iter().find(|of| of.number as usize == number).map(|of| read(of.offset)),
    );
    let (begun, failed) = match (begun, failed.transpose()) {
        (Ok(begun), Ok(failed)) => (begun, failed),
        (Err(problem), _) | (_, Err(problem)) => return unreadable(&problem),
    };
    let Ok(line) = serde_json::from_slice::<Line<'_>>(&begun) else {
        return unreadable("The line of the log is damaged.");
    };
    let stage = log.stages.get(usize::from(action.stage)).map_or("", |stage| &stage.name);
    let mut about = vec![
        ("state".to_owned(), state(started_name(action.state, !alive))),
        ("why it ran".to_owned(), plain(cut(&line.reason, 2000))),
        (
            "began".to_owned(),
            plain(format!("{} after the run", duration(line.milliseconds as f64 / 1e3))),
        ),
    ];
    if matches!(action.state, Started::Done | Started::Failed) {
        about.push(("took".to_owned(), plain(duration(f64::from(action.seconds)))));
    }
    let mut page = page(cut(&line.action, 300))
        .under("/", "Runs")
        .under(format!("/runs/{run}"), cut(&log.workflow, 60))
        .under(format!("/runs/{run}/stages/{}", action.stage), cut(stage, 60))
        .child(facts(about));
    if alive && matches!(action.state, Started::Running | Started::Again) {
        page = page.live(format!("/runs/{run}/events?from={}", log.extent().1));
    }
    if let Some(failed) = &failed {
        let message = serde_json::from_slice::<Line<'_>>(failed).unwrap_or_default().message;
        page =
            page.child(section("What is wrong").child(element("pre").text(cut(&message, 20_000))));
    }
    page.children(log_section(&app.cache, &run, &line.action, failed.is_some()))
        .child(element("p").text("Its inputs and outputs are shown when the run has ended."))
        .response()
}

fn moved_on(index: &ManifestIndex) -> Response {
    let address = format!("/runs/{}", index.head.run);
    page("The run has ended")
        .under("/", "Runs")
        .under(address.clone(), cut(&index.head.workflow, 60))
        .child(
            element("p")
                .text("Its actions stand in its manifest now: ")
                .child(link(address, "the run")),
        )
        .response()
}

fn no_action() -> Response {
    frame::not_found("The run has no such action.")
}
