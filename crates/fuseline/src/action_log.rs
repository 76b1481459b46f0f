//! Log of messages from stages and fusion rules while an action is executed: a line each in
//! `cache/runs/ID/actions.log`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;

use fuseline_cache::Cache;
use serde::Deserialize;
use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use crate::error::Error;

/// The file's name in the folder of a run.
const NAME: &str = "actions.log";

/// Log of the current run.
static LOG: Mutex<Option<Log>> = Mutex::new(None);

/// A log, whose file is made when there is something to write: most runs say nothing.
struct Log {
    path: PathBuf,
    file: Option<File>,
}

/// Begins the log of a run in its folder.
pub fn begin(folder: &Path) {
    let log = Log { path: folder.join(NAME), file: None };
    *LOG.lock().unwrap_or_else(PoisonError::into_inner) = Some(log);
}

impl Log {
    fn write(&mut self, line: &str) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(File::create_new(&self.path)?),
        };
        file.write_all(line.as_bytes())
    }
}

/// Warnings of a run while it executed its actions, a line each; a warning of several actions is
/// listed once.
pub fn action_warnings(cache: &Cache, run: &str) -> Result<Vec<String>, Error> {
    #[derive(Deserialize)]
    struct Line {
        action: String,
        level: String,
        message: String,
    }
    let bytes = cache.read_run_file(run, NAME)?.unwrap_or_default();
    let mut said = BTreeMap::<String, BTreeSet<String>>::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        // A line may be torn where the run was killed.
        if let Ok(Line { action, level, message }) = serde_json::from_slice(line)
            && level == "warn"
        {
            said.entry(message).or_default().insert(action);
        }
    }
    // By action: the order in which threads came to speak means nothing.
    let mut said: Vec<(Vec<String>, String)> =
        said.into_iter().map(|(message, of)| (of.into_iter().collect(), message)).collect();
    said.sort();
    let told = said.into_iter().map(|(actions, message)| match actions.as_slice() {
        [first, more @ ..] if !more.is_empty() => {
            format!("{first} and {} more: {message}", more.len())
        }
        actions => format!("{}: {message}", actions.concat()),
    });
    Ok(told.collect())
}

/// Writes the messages within an action's span.
pub struct ActionLog;

/// The action of a span.
struct Site(String);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for ActionLog {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if attributes.metadata().name() == "action"
            && let Some(span) = context.span(id)
        {
            let mut text = Text { of: "site", found: String::new(), others: String::new() };
            attributes.record(&mut text);
            span.extensions_mut().insert(Site(text.found));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let Some(scope) = context.event_scope(event) else { return };
        let Some(site) = scope
            .into_iter()
            .find_map(|span| span.extensions().get::<Site>().map(|site| site.0.clone()))
        else {
            return;
        };
        let mut text = Text { of: "message", found: String::new(), others: String::new() };
        event.record(&mut text);
        let level = event.metadata().level().as_str().to_lowercase();
        let message = match text.others.strip_prefix(", ") {
            Some(others) => format!("{} ({others})", text.found),
            None => text.found,
        };
        let line = json!({ "action": site, "level": level, "message": message });
        if let Some(log) = LOG.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            // A line that cannot be written must not stop the work.
            let _ = log.write(&format!("{line}\n"));
        }
    }
}

/// One field as text, and the others behind it.
struct Text {
    of: &'static str,
    found: String,
    others: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string does not fail.
        let _ = match field.name() == self.of {
            true => write!(self.found, "{value:?}"),
            false => write!(self.others, ", {}={value:?}", field.name()),
        };
    }
}
