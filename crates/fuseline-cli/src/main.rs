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

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use exit::Exit;

#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    if let Some(code) = fuseline::worker::run_if_asked() {
        return code;
    }
    report_large_files();
    end(run_on_own_stack())
}

/// Stack of the command: that of the main thread is what `ulimit -s` grants, be it 64 KiB.
const STACK_BYTES: usize = 8 << 20;

fn run_on_own_stack() -> Exit {
    let thread = std::thread::Builder::new().name("main".to_owned()).stack_size(STACK_BYTES);
    match thread.spawn(run) {
        Ok(running) => running.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
        // No thread more is granted either.
        Err(_) => run(),
    }
}

fn run() -> Exit {
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            let _ = error.print();
            // Help and version are answers, everything else is a mistake in the arguments.
            return if error.use_stderr() { Exit::Wrong } else { Exit::Done };
        }
    };
    match print::start_log(&args.global).and_then(|()| commands::run(&args)) {
        Ok(exit) => exit,
        Err(failure) => {
            render::failure(&failure);
            failure.exit
        }
    }
}

/// Ends the process and leaves its memory to the system: the allocator's own way gives back one
/// piece after the other, in some hundred calls. Nothing else is left to do: what holds files and
/// leases has been dropped, and every text was written where it was made.
fn end(exit: Exit) -> ! {
    let _ = std::io::stdout().flush();
    signal_hook::low_level::exit(exit.number())
}

/// Has a write beyond the size that files may have (`ulimit -f`) end with an error in words, not
/// with this process.
fn report_large_files() {
    let is_raised = std::sync::Arc::default();
    // Without it the process ends, as any other does.
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, is_raised);
}
