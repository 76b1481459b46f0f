//! Events for pages that are open: a run has gone on, or it has ended.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use fuseline_engine::EVENTS_FILE;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::frame;
use crate::server::App;

/// Interval at which the log is polled.
const EVERY: Duration = Duration::from_millis(500);

/// Since when events are wanted.
#[derive(Debug, Deserialize)]
pub struct Since {
    /// Bytes of the log that the page has seen.
    #[serde(default)]
    from: u64,
}

/// Server-sent events of a run: `change` when its log has grown, `end` when the run has ended, and
/// nothing after it.
pub async fn events(
    State(app): State<Arc<App>>,
    Path(run): Path<String>,
    Query(since): Query<Since>,
) -> Response {
    if !app.has_run(&run) {
        return frame::not_found("The cache keeps no run of this name.");
    }
    let (sender, receiver) = mpsc::channel::<Result<Event, Infallible>>(4);
    tokio::spawn(async move {
        let mut seen = since.from;
        loop {
            let length = log_length(&app, &run);
            // Before its end is asked for: what it wrote until then is in the pages that follow.
            let ended = app.has_manifest(&run) || !app.cache.is_run_alive(&run).unwrap_or(false);
            let name = match (ended, length == seen) {
                (true, _) => Some("end"),
                (false, false) => Some("change"),
                (false, true) => None,
            };
            seen = length;
            if let Some(name) = name {
                let event = Event::default().event(name).data(length.to_string());
                if sender.send(Ok(event)).await.is_err() || ended {
                    return;
                }
            }
            if sender.is_closed() {
                return;
            }
            tokio::time::sleep(EVERY).await;
        }
    });
    Sse::new(ReceiverStream::new(receiver)).keep_alive(KeepAlive::default()).into_response()
}

fn log_length(app: &App, run: &str) -> u64 {
    let file = app.cache.open_run_file(run, EVENTS_FILE).ok().flatten();
    file.and_then(|file| file.metadata().ok()).map_or(0, |metadata| metadata.len())
}
