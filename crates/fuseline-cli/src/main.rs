//! The command `fuseline`.
//!
//! Knows arguments, terminals and exit codes: one file a command in `commands/`. Decides nothing
//! about workflows. **Invariant:** results go to stdout, everything else to stderr, and both only
//! through [`mod@print`].

mod amount;
mod args;
mod commands;
mod exit;
mod print;
mod progress;
mod remote;
mod render;
mod sarif;

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    if let Some(code) = fuseline::worker::run_if_asked() {
        return code;
    }
    report_large_files();
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Help and version are answers, everything else is a mistake in the arguments.
            let code = if error.use_stderr() { exit::Exit::Wrong } else { exit::Exit::Done };
            let _ = error.print();
            return code.into();
        }
    };
    match print::start_log(&args.global).and_then(|()| commands::run(&args)) {
        Ok(code) => code.into(),
        Err(failure) => {
            render::failure(&failure);
            failure.exit.into()
        }
    }
}

/// Has a write beyond the size that files may have (`ulimit -f`) end with an error in words, not
/// with this process.
fn report_large_files() {
    let is_raised = std::sync::Arc::default();
    // Without it the process ends, as any other does.
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, is_raised);
}
