//! Worker processes: fusion rules run in processes of their own, which this program starts as
//! copies of itself.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

/// True if [`run_if_asked`] was called: only then may this program start itself as a worker.
static IS_READY: AtomicBool = AtomicBool::new(false);

/// Runs as a worker when the first argument of the program says so; else returns nothing.
///
/// A program that opens studies calls it first in `main` and returns the exit code that it gives.
/// Without it, studies whose rules run in workers are refused, since the program would start itself
/// again and again.
///
/// ```no_run
/// # use std::process::ExitCode;
/// fn main() -> ExitCode {
///     if let Some(code) = fuseline::worker::run_if_asked() {
///         return code;
///     }
///     // ...
///     ExitCode::SUCCESS
/// }
/// ```
pub fn run_if_asked() -> Option<ExitCode> {
    IS_READY.store(true, Ordering::Relaxed);
    fuseline_host::worker::run_if_asked()
}

/// True if [`run_if_asked`] was called in this process.
pub(crate) fn is_ready() -> bool {
    IS_READY.load(Ordering::Relaxed)
}
