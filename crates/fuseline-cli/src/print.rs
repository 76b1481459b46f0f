//! The one place that writes to stdout and stderr.

use std::io::{self, IsTerminal, Write};

use tracing_subscriber::EnvFilter;

use crate::args::Global;
use crate::exit::Failure;

/// Writes a result to stdout. A reader that went away (`| head`) ends the program quietly.
pub fn result(text: impl AsRef<str>) {
    let mut stdout = io::stdout().lock();
    let text = text.as_ref();
    let written = stdout
        .write_all(text.as_bytes())
        .and_then(|()| if text.ends_with('\n') { Ok(()) } else { stdout.write_all(b"\n") })
        .and_then(|()| stdout.flush());
    if written.is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
        std::process::exit(0);
    }
}

/// Writes a JSON value to stdout.
pub fn json(value: &serde_json::Value) {
    result(value.to_string());
}

/// Writes a line to stderr. When even that is impossible there is nobody left to tell.
pub fn note(text: impl AsRef<str>) {
    let _ = writeln!(io::stderr().lock(), "{}", text.as_ref());
}

/// Whether stderr is a terminal that wants colours and moving bars.
pub fn is_rich() -> bool {
    io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none()
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Starts the log on stderr.
pub fn start_log(global: &Global) -> Result<(), Failure> {
    let Some(filter) = &global.log else { return Ok(()) };
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        Failure::wrong(format!("the log filter does not parse: {error}"))
            .hint("a level such as `info`, or `fuseline_engine=debug`; see --log and FUSELINE_LOG")
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(is_rich())
        .init();
    Ok(())
}
