//! One artifact: its schema, its first rows, and a summary of each column; a report as it is, in a
//! sandbox.

use std::io::Read;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{self, HeaderValue};
use axum::response::Response;
use bytes::Bytes;
use fuseline_artifact::{ArtifactKind, Digest};
use fuseline_cache::ObjectFile;
use fuseline_engine::ManifestAction;
use fuseline_report::markup::{Element, element};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::format::{bytes, count, counted, cut, number};
use crate::frame::{self, facts, link, page, plain, section, table};
use crate::manifest_index::ManifestIndex;
use crate::pages::action::size;
use crate::plot::histogram;
use crate::run_view::{RunView, unreadable};
use crate::server::App;
use crate::summary::{ColumnSummary, TableView, Values};

/// Rows that are shown.
const ROWS: usize = 50;
/// Letters of a cell.
const CELL: usize = 80;
/// Bytes of a text that are shown.
const TEXT_BYTES: u64 = 1 << 16;
/// Objects up to this size are checked against their digest when they are shown.
const CHECKED_BYTES: u64 = 64 << 20;
/// Bytes that are sent at once.
const PART: usize = 1 << 16;

/// An output of an action.
struct Output {
    index: Arc<ManifestIndex>,
    number: usize,
    action: ManifestAction,
    place: usize,
    port: String,
    kind: String,
    digest: Digest,
}

impl Output {
    fn address(&self) -> String {
        format!("/runs/{}/actions/{}/outputs/{}", self.index.head.run, self.number, self.place)
    }

    /// Media type of a document, by the record of the action.
    fn media_type(&self, app: &App) -> Option<String> {
        let record = app.cache.peek_action(self.action.key.as_ref()?).ok()??;
        record.outputs.into_iter().find(|of| of.digest == self.digest)?.media_type
    }
}

async fn find(app: &Arc<App>, run: &str, number: &str, place: &str) -> Result<Output, Response> {
    let index = match app.view(run).await {
        Ok(RunView::Ended(index)) => index,
        Ok(RunView::Open { .. }) => return Err(no_output()),
        Err(response) => return Err(response),
    };
    let found = || {
        let (number, place) = (number.parse::<usize>().ok()?, place.parse::<usize>().ok()?);
        let action = index.action(number)?.ok()?;
        let (port, kind) = index.head.stages.get(action.stage)?.outputs.get(place)?.clone();
        let digest = *action.outputs.get(place)?;
        Some(Output { index: index.clone(), number, action, place, port, kind, digest })
    };
    found().ok_or_else(no_output)
}

/// The page of an artifact.
pub async fn artifact(
    State(app): State<Arc<App>>,
    Path((run, number, place)): Path<(String, String, String)>,
) -> Response {
    let output = match find(&app, &run, &number, &place).await {
        Ok(output) => output,
        Err(response) => return response,
    };
    let head = &output.index.head;
    let title = format!("{} of {}", cut(&output.port, 60), cut(&output.action.action, 200));
    let page = page(title)
        .under("/", "Runs")
        .under(format!("/runs/{run}"), cut(&head.workflow, 60))
        .under(format!("/runs/{run}/actions/{}", output.number), cut(&output.action.action, 80));
    let about = |size: String| {
        vec![
            ("kind".to_owned(), plain(cut(&output.kind, 60))),
            ("size".to_owned(), plain(size)),
            ("digest".to_owned(), element("code").text(output.digest.to_string())),
        ]
    };
    let Some(length) = size(&app.cache, &output.digest) else {
        let gone = "no longer in the cache: the next run makes it again when it needs it";
        return page.child(facts(about(gone.to_owned()))).response();
    };
    let is_table = output.kind.parse::<ArtifactKind>().is_ok_and(|kind| kind.schema().is_some());
    if !is_table {
        let media_type = output.media_type(&app).unwrap_or_default();
        let mut about = about(bytes(length));
        about.push(("media type".to_owned(), plain(cut(&media_type, 80))));
        let page = page.child(facts(about)).child(
            element("p").child(link(format!("{}/raw", output.address()), "The document as it is")),
        );
        return match document(&app, &output, &media_type) {
            Ok(document) => page.child(document).response(),
            Err(problem) => page.child(element("p").class("bad").text(problem)).response(),
        };
    }
    let (reading, digest) = (app.clone(), output.digest);
    let read = move || {
        let open = || match reading.cache.open_object_file(&digest) {
            Ok(Some(file)) => Ok(file),
            Ok(None) => Err("the artifact is no longer in the cache".to_owned()),
            Err(error) => Err(error.with_cause()),
        };
        if length <= CHECKED_BYTES {
            let found = Digest::of_reader(open()?).map_err(|error| error.to_string())?;
            if found != digest {
                return Err(damaged());
            }
        }
        TableView::read(open()?)?.ok_or_else(|| "its bytes are no table".to_owned())
    };
    match app.tables.get(&output.digest, read).await {
        None => page.waits("The table is being read; the page shows it in a moment.").response(),
        Some(Ok(view)) => {
            let mut about = about(bytes(length));
            about.push(("rows".to_owned(), plain(count(view.first.rows))));
            about.push(("columns".to_owned(), plain(count(view.first.names.len()))));
            page.child(facts(about))
                .child(columns(&view))
                .child(first_rows(&view))
                .child(schema(&view))
                .response()
        }
        Some(Err(problem)) => page
            .child(facts(about(bytes(length))))
            .child(element("p").class("bad").text(cut(&problem, 500)))
            .response(),
    }
}

fn damaged() -> String {
    "its bytes are not those of its digest: `fuseline cache verify` sets it aside, and the next \
     run makes it again"
        .to_owned()
}

fn columns(view: &TableView) -> Element {
    let read = view.first.table.rows();
    let part = section("Columns");
    let part = match read < view.first.rows || view.first.names.len() > crate::summary::MOST_COLUMNS
    {
        true => part.child(element("p").text(format!(
            "Of the first {} of {}, and the first {} of {}.",
            count(read),
            counted(view.first.rows, "row"),
            count(view.first.names.len().min(crate::summary::MOST_COLUMNS)),
            counted(view.first.names.len(), "column"),
        ))),
        false => part,
    };
    let heads = [
        ("column", false),
        ("missing", true),
        ("least", true),
        ("mean", true),
        ("sd", true),
        ("largest", true),
        ("values", false),
    ];
    part.child(table("Summary of the columns", &heads, view.columns.iter().map(summary_row)))
}

fn summary_row(column: &ColumnSummary) -> Vec<Element> {
    let mut cells = vec![plain(cut(&column.name, CELL)), plain(count(column.missing))];
    match &column.values {
        Values::Numbers(Some(of)) => {
            cells.extend([of.low, of.mean, of.sd, of.high].map(|value| plain(number(value))));
            let bars = histogram(&of.bars, of.low, of.high);
            cells.push(match of.infinite {
                0 => bars,
                n => element("span").child(bars).text(format!(" {} not finite", count(n))),
            });
        }
        Values::Numbers(None) => {
            cells.extend([(); 4].map(|()| plain("")));
            cells.push(plain("no finite number"));
        }
        values => {
            cells.extend([(); 4].map(|()| plain("")));
            cells.push(plain(match values {
                Values::Texts(Some((0, _))) => "no value".to_owned(),
                Values::Texts(Some((different, frequent))) => {
                    let frequent: Vec<String> = frequent
                        .iter()
                        .map(|(text, n)| format!("{} ({})", cut(text, 30), count(*n)))
                        .collect();
                    format!("{} different: {}", count(*different), frequent.join(", "))
                }
                Values::Truths(yes, all) => format!("{} of {} true", count(*yes), count(*all)),
                Values::Bytes(n) => bytes(*n as u64),
                _ => "more than can be told apart here".to_owned(),
            }));
        }
    }
    cells
}

fn first_rows(view: &TableView) -> Element {
    let names = view.first.table.names();
    let shown: Vec<String> = names.iter().map(|name| cut(name, CELL)).collect();
    let is_number = |column: usize| matches!(view.columns[column].values, Values::Numbers(_));
    let heads: Vec<(&str, bool)> =
        shown.iter().enumerate().map(|(column, name)| (name.as_str(), is_number(column))).collect();
    let rows = view.first.table.rows().min(ROWS);
    let cell = |row: usize, column: usize| match view.first.table.text(column, row) {
        None => element("span").class("muted").text("missing"),
        Some(text) => match text.parse::<f64>() {
            Ok(value) if is_number(column) => plain(number(value)).attr("title", text),
            _ => plain(cut(&text, CELL)),
        },
    };
    let heading = format!("First {}", counted(rows, "row"));
    section(&heading).child(table(
        &heading,
        &heads,
        (0..rows).map(|row| (0..names.len()).map(|column| cell(row, column)).collect()),
    ))
}

fn schema(view: &TableView) -> Element {
    let fields = view.first.names.iter().zip(&view.first.types).take(1000);
    let rows = fields.map(|(name, kind)| vec![plain(cut(name, CELL)), plain(cut(kind, 200))]);
    let metadata = view.first.metadata.iter().filter(|(key, _)| *key != "ARROW:schema");
    let metadata = metadata
        .map(|(key, value)| vec![plain(cut(key, CELL)), element("code").text(cut(value, 1000))]);
    section("Schema")
        .child(table("Columns of the file", &[("column", false), ("type", false)], rows))
        .child(element("h3").text("Metadata"))
        .child(table("Metadata", &[("key", false), ("value", false)], metadata))
}

/// A document within the page: HTML in a frame that may do nothing, text as text.
fn document(app: &App, output: &Output, media_type: &str) -> Result<Element, String> {
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    if media_type == "text/html" {
        let frame = element("iframe")
            .class("document")
            .attr("title", "The report")
            .attr("sandbox", "allow-scripts")
            .attr("src", format!("{}/raw", output.address()));
        return Ok(frame);
    }
    let is_text = media_type.starts_with("text/") || media_type == "application/json";
    if !is_text {
        return Ok(element("p").text("It is no text."));
    }
    let file = app.cache.open_object_file(&output.digest).map_err(|error| error.with_cause())?;
    let file = file.ok_or("the artifact is no longer in the cache")?;
    let mut text = Vec::new();
    file.take(TEXT_BYTES).read_to_end(&mut text).map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&text);
    Ok(element("pre").text(cut(&text, TEXT_BYTES as usize)))
}

/// The bytes of an output. Whatever they are, they have no origin here, run no script but that of
/// fuseline's reports, and reach no network.
pub async fn raw(
    State(app): State<Arc<App>>,
    Path((run, number, place)): Path<(String, String, String)>,
) -> Response {
    let output = match find(&app, &run, &number, &place).await {
        Ok(output) => output,
        Err(response) => return response,
    };
    let file = match app.cache.open_object_file(&output.digest) {
        Ok(Some(file)) => file,
        Ok(None) => return frame::not_found("The artifact is no longer in the cache."),
        Err(error) => return unreadable(&error.with_cause()),
    };
    let media_type = output.media_type(&app).unwrap_or_default();
    // A document that a browser would take for something else goes out as bytes to keep.
    let shown = match media_type.split(';').next().unwrap_or_default().trim() {
        "text/html" => "text/html; charset=utf-8",
        text if text.starts_with("text/") => "text/plain; charset=utf-8",
        "application/json" => "application/json",
        _ => "application/octet-stream",
    };
    let (sender, receiver) = mpsc::channel(4);
    tokio::task::spawn_blocking(move || send(file, &sender));
    let mut response = Response::new(Body::from_stream(ReceiverStream::new(receiver)));
    let policy = format!(
        "sandbox allow-scripts; default-src 'none'; style-src 'unsafe-inline'; img-src data:; \
         script-src 'sha256-{}'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
        fuseline_report::SCRIPT_DIGEST
    );
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(shown));
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    if shown == "application/octet-stream" {
        headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    }
    response
}

fn send(mut file: ObjectFile, sender: &mpsc::Sender<std::io::Result<Bytes>>) {
    loop {
        let mut part = vec![0; PART];
        let part = match file.read(&mut part) {
            Ok(0) => return,
            Ok(length) => {
                part.truncate(length);
                Ok(Bytes::from(part))
            }
            Err(error) => Err(error),
        };
        let is_over = part.is_err();
        if sender.blocking_send(part).is_err() || is_over {
            return;
        }
    }
}

fn no_output() -> Response {
    frame::not_found("The run has no such artifact.")
}
