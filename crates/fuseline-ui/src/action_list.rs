//! Lists of actions: of a stage, or of those that failed, a hundred on a page.

use axum::http::StatusCode;
use axum::response::Response;
use fuseline_report::markup::{Element, element};
use serde::Deserialize;

use crate::event_log::{EventLog, Line, Started};
use crate::format::{counted, cut, duration, query_value};
use crate::frame::{self, Page, link, pager, plain, state, table};
use crate::manifest_index::{Ended, ManifestIndex};

/// Rows of a page.
pub const ROWS: usize = 100;
/// Letters of a reason or message in a list.
const SHORT: usize = 160;

/// Part of a list that is wanted.
#[derive(Debug, Default, Deserialize)]
pub struct Part {
    /// The page, from 1 on.
    #[serde(default)]
    pub page: Option<usize>,
    /// Only actions in this state.
    #[serde(default)]
    pub state: Option<String>,
}

/// An action in a list.
pub struct Row {
    pub address: String,
    pub name: String,
    pub state: &'static str,
    pub seconds: Option<f64>,
    pub note: String,
}

/// A state's name in a manifest.
pub fn ended_name(state: Ended) -> &'static str {
    match state {
        Ended::Cached => "cached",
        Ended::Done => "done",
        Ended::Failed => "failed",
        Ended::Skipped => "skipped",
    }
}

/// A state's name while a run goes on.
pub fn started_name(state: Started, ended: bool) -> &'static str {
    match state {
        // The run has ended without it.
        Started::Running | Started::Again if ended => "unfinished",
        Started::Running => "running",
        Started::Again => "waiting",
        Started::Done => "done",
        Started::Failed => "failed",
    }
}

impl Row {
    /// The row of an action of a run that has ended.
    pub fn ended(run: &str, index: &ManifestIndex, number: usize) -> Option<Self> {
        let state = ended_name(index.state(number)?);
        let address = format!("/runs/{run}/actions/{number}");
        Some(match index.action(number)? {
            Ok(action) => Self {
                address,
                name: action.action,
                state,
                seconds: action.seconds,
                note: action.error.or(action.reason).unwrap_or_default(),
            },
            Err(problem) => Self {
                address,
                name: format!("action {number}"),
                state,
                seconds: None,
                note: problem,
            },
        })
    }

    /// The row of an action of a running run. `at`: offset of the line of its note in the log.
    pub fn started(
        run: &str,
        log: &EventLog,
        number: u32,
        at: Option<u64>,
        ended: bool,
    ) -> Option<Self> {
        let action = log.started.get(number as usize)?;
        let line = log.line_at(at.unwrap_or(action.offset)).ok()?;
        let line: Line<'_> = serde_json::from_slice(&line).ok()?;
        let note = if line.message.is_empty() { &line.reason } else { &line.message };
        let is_over = matches!(action.state, Started::Done | Started::Failed);
        Some(Self {
            address: format!("/runs/{run}/started/{number}"),
            name: line.action.clone().into_owned(),
            state: started_name(action.state, ended),
            seconds: is_over.then_some(f64::from(action.seconds)),
            note: note.clone().into_owned(),
        })
    }
}

/// A table of actions.
pub fn rows(name: &str, rows: impl IntoIterator<Item = Row>) -> Element {
    let heads =
        [("action", false), ("state", false), ("time", true), ("why, or what is wrong", false)];
    table(
        name,
        &heads,
        rows.into_iter().map(|row| {
            vec![
                link(row.address, cut(&row.name, 300)),
                state(row.state),
                plain(row.seconds.map(duration).unwrap_or_default()),
                plain(cut(&row.note, SHORT)),
            ]
        }),
    )
}

/// The page of a list. `row` gives that of the n-th.
pub fn list(
    page: Page,
    what: &str,
    address: &str,
    part: &Part,
    total: usize,
    row: impl Fn(usize) -> Option<Row>,
) -> Response {
    let pages = total.div_ceil(ROWS).max(1);
    let number = part.page.unwrap_or(1);
    if number == 0 || number > pages {
        return frame::not_found("The list has no such page.");
    }
    let from = (number - 1) * ROWS;
    let shown = (from..total.min(from + ROWS)).filter_map(row);
    let filter = part.state.as_deref().map(|state| format!("state={}&", query_value(state)));
    let pager = pager(&format!("{address}?{}page=", filter.unwrap_or_default()), number, pages);
    let counted = format!("{} {what}", counted(total, "action"));
    page.child(element("p").text(format!("{}.", counted.trim_end())))
        .child(rows("Actions", shown))
        .children(pager)
        .status(StatusCode::OK)
        .response()
}

/// Links to the parts of a list by state.
pub fn filters(address: &str, chosen: Option<&str>, counts: &[(&'static str, usize)]) -> Element {
    let all = counts.iter().map(|(_, n)| n).sum::<usize>();
    let entry = |name: &str, address: String, n: usize, is_chosen: bool| {
        let to = link(address, format!("{name} {}", crate::format::count(n)));
        element("li").child(if is_chosen { to.attr("aria-current", "true") } else { to })
    };
    let mut list = element("ul").child(entry("all", address.to_owned(), all, chosen.is_none()));
    for (name, n) in counts.iter().filter(|(_, n)| *n > 0) {
        list =
            list.child(entry(name, format!("{address}?state={name}"), *n, chosen == Some(*name)));
    }
    element("nav").class("filters").attr("aria-label", "States").child(list)
}
