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
mod guard;
mod limits;
mod process;
mod processes;
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

use crate::conditions::Sourced;
use crate::environment::PassedVariables;

pub(crate) use client::WorkerBackend;
pub(crate) use ending::how_it_ended;
pub use guard::{GuardedProgram, ensure_within, guard_command};
pub(crate) use limits::{LimitName, TimeText};
pub use limits::{LimitOrigins, MemoryLimit, WorkerLimits, is_out_of_memory};
pub use process::WorkerFailure;
pub(crate) use process::{ProbeEnd, Worker};
pub use sandbox::Layers;
pub(crate) use sandbox::flush_c_streams;

/// The first argument of the program that runs as a worker.
pub const WORKER_ARGUMENT: &str = "plugin-worker";

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

/// Settings of this machine for the processes of rules.
#[derive(Clone, Debug)]
pub struct WorkerSettings {
    /// Program that starts as a worker.
    pub program: WorkerProgram,
    /// Limits of a worker.
    pub limits: WorkerLimits,
    /// Device files that rules may use, such as those of GPUs.
    pub devices: Vec<PathBuf>,
    /// The interpreter of Python rules, where no workflow names one.
    pub python: Option<Sourced<PathBuf>>,
    /// Variables of the environment that a workflow passes.
    pub passed: PassedVariables,
}

impl WorkerSettings {
    /// Settings with the defaults of everything else.
    pub fn new(program: WorkerProgram) -> Self {
        Self {
            program,
            limits: WorkerLimits::default(),
            devices: Vec::new(),
            python: None,
            passed: PassedVariables::new(),
        }
    }
}

/// Runs as a worker, or as the guard beside a program, when the first argument says so; else gives
/// nothing back and has done nothing.
///
/// To be called at the very beginning of `main`: `plugin-worker` is how the host starts its
/// workers.
pub fn run_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next()? {
        first if first == WORKER_ARGUMENT => Some(setup::run()),
        first if first == guard::GUARD_ARGUMENT => Some(guard::run(arguments)),
        _ => None,
    }
}
