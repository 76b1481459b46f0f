//! The one place that writes to stdout and stderr.

use std::io::{self, IsTerminal, Write};

use fuseline::{is_unseen, visible};

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::args::Global;
use crate::exit::Failure;
use fuseline::ActionLog;

/// Writes a result for people to stdout; see [`visible`].
pub fn result(text: impl AsRef<str>) {
    data(visible(text.as_ref()));
}

/// Writes data to stdout as it is. A reader that went away (`| head`) silences it and changes
/// nothing else: what the command found decides how it ends. A full disk ends it with words.
pub fn data(text: impl AsRef<str>) {
    let mut stdout = io::stdout().lock();
    let text = text.as_ref();
    let written = stdout
        .write_all(text.as_bytes())
        .and_then(|()| if text.ends_with('\n') { Ok(()) } else { stdout.write_all(b"\n") })
        .and_then(|()| stdout.flush());
    match written {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        Err(error) => {
            note(format!("error: cannot write to stdout: {error}"));
            std::process::exit(1);
        }
    }
}

/// Writes a JSON value to stdout; see [`json_text`].
pub fn json(value: &serde_json::Value) {
    json_text(&value.to_string());
}

/// Writes JSON to stdout; letters that do something to a terminal, which stand in texts alone, are
/// written by their numbers.
pub fn json_text(text: &str) {
    let escaped = |c: char| match is_unseen(c) && c != '\n' {
        true => format!("\\u{:04x}", c as u32),
        false => c.to_string(),
    };
    match text.contains(is_unseen) {
        true => data(text.chars().map(escaped).collect::<String>()),
        false => data(text),
    }
}

/// Writes a line for people to stderr; see [`visible`].
pub fn note(text: impl AsRef<str>) {
    styled(visible(text.as_ref()));
}

/// Writes a line to stderr that has colours of our own, and nothing of others that is not
/// [`visible`]. When even that is impossible there is nobody left to tell.
pub fn styled(text: impl AsRef<str>) {
    // In one piece: another program may write to the same place.
    let line = format!("{}\n", text.as_ref());
    let _ = io::stderr().lock().write_all(line.as_bytes());
}

/// True if stderr is a terminal that wants colours and moving bars.
pub fn is_rich() -> bool {
    io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none()
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Starts the log on stderr, when it is asked for, and that of the actions of a run.
pub fn start_log(global: &Global) -> Result<(), Failure> {
    let filter = match &global.log {
        Some(filter) => Some(EnvFilter::try_new(filter).map_err(|error| {
            Failure::wrong(format!("the log filter does not parse: {error}")).hint(
                "a level such as `info`, or `fuseline_engine=debug`; see --log and FUSELINE_LOG",
            )
        })?),
        None => None,
    };
    let stderr = filter.map(|filter| {
        let layer = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(is_rich());
        layer.with_filter(filter)
    });
    let actions = ActionLog.with_filter(LevelFilter::INFO);
    tracing_subscriber::registry().with(stderr).with(actions).init();
    Ok(())
}
