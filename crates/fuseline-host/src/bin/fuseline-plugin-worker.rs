//! A worker without the rest of fuseline: what `fuseline plugin-worker` is.

use std::process::ExitCode;

fn main() -> ExitCode {
    fuseline_host::worker::run_if_asked().unwrap_or(ExitCode::from(2))
}
