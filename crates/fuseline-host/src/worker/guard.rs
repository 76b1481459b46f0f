//! A guard beside a program: whatever becomes of the host, the program ends with it, with all that
//! it has started and its folder.
//!
//! The guard is this program itself, started anew. Its standard input is a connection to the host,
//! of which only the end is of interest. It is the parent of all that the program leaves behind, so
//! that no group or session is out of its reach.
#![expect(unsafe_code, reason = "what runs between fork and exec")]

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::worker::processes::Process;
use crate::worker::setup::end_alike;
use crate::worker::{MemoryLimit, WorkerProgram, processes, sandbox, usage};

/// The first argument of the program that runs as a guard.
pub const GUARD_ARGUMENT: &str = "program-guard";

/// Message of the guard when the program has started; else it says why not.
const STARTED: &str = "started";
/// Argument in place of a number of bytes.
const NO_LIMIT: &str = "-";
/// Interval at which the end of the program is looked for.
const LOOK: Duration = Duration::from_millis(5);

/// The command of a guard for a program, to which environment, working directory and output are
/// added as for the program itself. `folder` is removed when the host goes away. `memory`: the bytes
/// that each process of it may use.
pub fn guard_command(
    guard: &WorkerProgram,
    folder: &Path,
    memory: Option<u64>,
    argv: &[String],
) -> Command {
    let mut command = Command::new(&guard.program);
    let memory = memory.map_or(NO_LIMIT.to_owned(), |bytes| bytes.to_string());
    command.arg(GUARD_ARGUMENT).arg(memory).arg(folder).args(argv).process_group(0);
    command
}

/// An error in words when the processes below one, and itself where it is a part of the program,
/// use more memory than they may together.
pub fn ensure_within(limit: &MemoryLimit, root: u32, counts_root: bool) -> Result<(), String> {
    let mut processes = processes::descendants(root);
    processes.extend(counts_root.then(|| Process::read(root)).flatten());
    let usage = usage::of_processes(&processes, limit.bytes);
    limit.excess(usage.memory).map_or(Ok(()), Err)
}

/// A program with a guard beside it.
pub struct GuardedProgram {
    guard: Child,
    /// None once the program is to end.
    connection: Option<UnixStream>,
}

impl GuardedProgram {
    /// Starts a guard and its program. The inner error is that of the program.
    pub fn start(mut guard: Command) -> io::Result<io::Result<Self>> {
        let (ours, theirs) = UnixStream::pair()?;
        let child = guard.stdin(Stdio::from(OwnedFd::from(theirs))).spawn()?;
        // The command holds the other end, which would stay open with it.
        drop(guard);
        let mut said = Vec::new();
        let mut started = Self { guard: child, connection: Some(ours) };
        if let Some(connection) = &mut started.connection {
            let mut byte = [0];
            // A line; the connection ends without one when the guard does.
            while said.last() != Some(&b'\n') && connection.read(&mut byte)? == 1 {
                said.push(byte[0]);
            }
        }
        let said = String::from_utf8_lossy(&said).trim().to_owned();
        match said.as_str() {
            STARTED => Ok(Ok(started)),
            "" => Ok(Err(io::Error::other("the process beside it ended"))),
            error => Ok(Err(io::Error::other(error))),
        }
    }

    /// The number of the guard, which is the parent of all that the program starts.
    pub fn id(&self) -> u32 {
        self.guard.id()
    }

    /// The end of the program, once it has come: by then all that it has started has ended.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.guard.try_wait()
    }

    /// Ends the program with all that it has started; that it has ended already is no error.
    pub fn end(&mut self) {
        self.connection = None;
        let _ = self.guard.wait();
    }
}

impl Drop for GuardedProgram {
    fn drop(&mut self) {
        self.end();
    }
}

/// Runs as a guard: arguments are the limit of memory, the folder, the program, and its arguments.
pub fn run(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let mut next = || arguments.next();
    let (Some(memory), Some(folder), Some(program)) = (next(), next(), next()) else {
        return ExitCode::FAILURE;
    };
    let memory = memory.to_str().and_then(|bytes| bytes.parse().ok());
    let ended = guard(PathBuf::from(folder), memory, &program, arguments);
    ended.map_or(ExitCode::FAILURE, end_alike)
}

fn guard(
    folder: PathBuf,
    memory: Option<u64>,
    program: &OsStr,
    arguments: impl Iterator<Item = OsString>,
) -> io::Result<ExitStatus> {
    let mut stream: UnixStream = io::stdin().as_fd().try_clone_to_owned()?.into();
    processes::adopt_orphans()?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).process_group(0);
    let begin = move || {
        memory.map_or(Ok(()), sandbox::limit_memory)?;
        sandbox::end_with_host()
    };
    // SAFETY: system calls that concern the new process alone.
    unsafe {
        command.pre_exec(begin);
    }
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            writeln!(stream, "{error}")?;
            return Err(error);
        }
    };
    writeln!(stream, "{STARTED}")?;
    loop {
        if let Some(status) = child.try_wait()? {
            processes::end_descendants();
            return Ok(status);
        }
        let mut files = [PollFd::new(&stream, PollFlags::empty())];
        let slice = Timespec { tv_sec: 0, tv_nsec: LOOK.as_nanos() as i64 };
        let _ = poll(&mut files, Some(&slice));
        if files[0].revents().intersects(PollFlags::HUP | PollFlags::ERR) {
            processes::end_descendants();
            processes::remove_folders(&[folder]);
            sandbox::exit_now();
        }
    }
}
