//! Rules that run in a process of their own.
//!
//! The host starts the worker with a socket as its standard input, and sends two files of shared
//! memory over it: one to read from, one to write to. Small frames on the socket say what is to be
//! done with them; `docs/design/worker-protocol.md` is the specification, and a rule in any
//! language can be a program that follows it. A worker serves many calls, one at a time; after any
//! failure it is ended and not used again.

mod client;
mod ending;
mod frame;
mod process;
mod region;
mod sandbox;
mod server;
mod setup;
mod starter;
mod usage;
mod words;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

pub(crate) use client::WorkerBackend;
pub(crate) use ending::how_it_ended;
pub use process::WorkerFailure;
pub(crate) use process::{ProbeEnd, Worker};
pub use sandbox::Layers;
pub(crate) use sandbox::flush_c_streams;

/// The first argument of the program that runs as a worker.
pub const WORKER_ARGUMENT: &str = "plugin-worker";

/// Limits on the resources of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerLimits {
    /// Bytes of memory (data segment) that the worker may ask for.
    pub memory: u64,
    /// Time limit of one call.
    pub call: Duration,
    /// Time limit of loading.
    pub load: Duration,
    /// Time that a call may go on after it was asked to stop.
    pub grace: Duration,
    /// Threads of one worker, and processes of a script.
    pub tasks: u32,
    /// True if files and network are closed to the worker, where the kernel can do that.
    pub sandbox: bool,
}

impl Default for WorkerLimits {
    fn default() -> Self {
        Self {
            memory: 4 << 30,
            call: Duration::from_secs(3600),
            load: Duration::from_secs(30),
            grace: Duration::from_secs(1),
            tasks: 256,
            sandbox: true,
        }
    }
}

/// Program that starts as a worker: it calls [`run_if_asked`] first of all.
#[derive(Clone, Debug)]
pub struct WorkerProgram {
    /// The program.
    pub program: PathBuf,
    /// Arguments before the worker's own.
    pub arguments: Vec<OsString>,
}

impl WorkerProgram {
    /// This program itself.
    pub fn this() -> std::io::Result<Self> {
        Ok(Self { program: std::env::current_exe()?, arguments: vec![WORKER_ARGUMENT.into()] })
    }
}

/// Runs as a worker when the first argument says so; else gives nothing back and has done nothing.
///
/// To be called at the very beginning of `main`: `plugin-worker` is how the host starts its
/// workers.
pub fn run_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != WORKER_ARGUMENT {
        return None;
    }
    Some(setup::run())
}
