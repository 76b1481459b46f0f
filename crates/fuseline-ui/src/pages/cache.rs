//! The cache: how much is in it, and what a collection would remove.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use fuseline_cache::{CacheStatus, GcOptions, GcReport};
use fuseline_report::markup::{Element, element};

use crate::format::{bytes, count, counted, cut};
use crate::frame::{facts, page, plain, section};
use crate::server::App;

/// Content of the page.
pub struct CacheView {
    status: CacheStatus,
    /// With what `fuseline cache gc` keeps when it is asked for nothing else.
    collection: GcReport,
}

/// The page of the cache.
pub async fn cache(State(app): State<Arc<App>>) -> Response {
    let folder = app.cache.folder();
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let folder = folder.display().to_string();
    let page = page("Cache").under("/", "Runs");
    let page = page.child(element("p").child(element("code").text(cut(&folder, 300))));
    let reading = app.clone();
    let read = move || {
        let status = reading.cache.status().map_err(|error| error.with_cause())?;
        let options = GcOptions { dry_run: true, ..GcOptions::default() };
        let collection = reading.cache.gc(&options).map_err(|error| error.with_cause())?;
        Ok(CacheView { status, collection })
    };
    match app.cache_view.get(&(), read).await {
        None => page.waits("The cache is being counted; the page shows it in a moment.").response(),
        Some(Err(problem)) => page.child(element("p").class("bad").text(problem)).response(),
        Some(Ok(view)) => page.child(held(&view.status)).child(freed(&view.collection)).response(),
    }
}

fn held(status: &CacheStatus) -> Element {
    let row = |name: &str, text: String| (name.to_owned(), plain(text));
    section("What it holds").child(facts([
        row("objects", format!("{}, {}", count(status.objects), bytes(status.object_bytes))),
        row("action records", format!("{}, {}", count(status.records), bytes(status.record_bytes))),
        row("packs of small ones", count(status.packs)),
        row("runs", count(status.runs)),
        row("runs going on", count(status.runs_alive)),
        row("actions being executed", count(status.actions_alive)),
        row("damaged files set aside", count(status.damaged)),
    ]))
}

fn freed(report: &GcReport) -> Element {
    let options = GcOptions::default();
    let hours = options.grace.as_secs() / 3600;
    let removed = [
        (report.objects, "object"),
        (report.records, "record"),
        (report.runs, "run"),
        (report.debris, "left-over file"),
    ];
    let removed = removed.iter().filter(|(n, _)| *n > 0);
    let removed: Vec<String> = removed.map(|(n, what)| counted(*n, what)).collect();
    let removed = match removed.is_empty() {
        true => "nothing".to_owned(),
        false => format!("{}: {}", removed.join(", "), bytes(report.bytes)),
    };
    let words = format!(
        "With the last {} kept, and all that was used within {hours} hours, it would remove \
         {removed}. {} would stay, {}.",
        counted(options.keep_runs, "run"),
        counted(report.kept_objects, "object"),
        bytes(report.kept_bytes),
    );
    let commands = element("p")
        .text("Nothing is removed here: ")
        .child(element("code").text("fuseline cache gc"))
        .text(" does it, and ")
        .child(element("code").text("--keep-runs 5 --grace 1"))
        .text(" keeps less.");
    section("What a collection would free").child(element("p").text(words)).child(commands)
}
