//! The first message to a worker process: what it is to be.
//!
//! Everything comes over the connection, nothing in the arguments: a rule that looks at its command
//! line sees the same whether it is checked or used.
#![expect(unsafe_code, reason = "what runs between fork and exec")]

use std::io::{self, Write as _};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::{Deserialize, Serialize};

use crate::worker::sandbox::{self, Layers};
use crate::worker::{frame, processes, server};

/// Interval at which a process that waits for a script looks whether the host is still there.
const LOOK: Duration = Duration::from_millis(20);

/// Setup of a worker. With it comes the file of a shared library.
#[derive(Debug, Serialize, Deserialize)]
pub struct Setup {
    pub task: Task,
    /// Bytes of memory that it may use.
    pub memory: u64,
    /// Access that it has; no sandbox at all when absent.
    pub sandbox: Option<Allowed>,
    /// Folders of a script, which are removed when the host goes away without doing so.
    pub temporary: Vec<PathBuf>,
}

#[derive(Debug, Serialize, Deserialize)]
pub enum Task {
    /// Serves a shared library.
    Library,
    /// Becomes this script, run by an interpreter where one is named.
    Script { interpreter: Option<PathBuf>, arguments: Vec<String>, script: PathBuf },
    /// Runs a probe of the plugin check on a shared library.
    Probe(String),
}

/// Access that a sandbox leaves open, besides the libraries of the system.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Allowed {
    /// Files and folders that may be read.
    pub readable: Vec<PathBuf>,
    /// A folder that may be written to.
    pub writable: Option<PathBuf>,
    /// Device files that may be used.
    pub devices: Vec<PathBuf>,
    /// True if the processes of a script may share memory with one another.
    pub shares_memory: bool,
}

/// Report of a worker before any code of the rule runs.
#[derive(Debug, Serialize, Deserialize)]
pub struct Confined {
    pub layers: Layers,
}

/// Runs as a worker: its standard input is the connection to the host.
pub fn run() -> ExitCode {
    match start() {
        Ok(code) => code,
        Err(error) => {
            // The host shows what a worker writes here, and nobody else does.
            let _ = writeln!(io::stderr(), "the worker ends: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> io::Result<ExitCode> {
    let stream: UnixStream = io::stdin().as_fd().try_clone_to_owned()?.into();
    let (setup, mut files): (Setup, _) = frame::receive_exactly(&stream)?;
    if let Task::Script { interpreter, arguments, script } = &setup.task {
        let mut command = match interpreter {
            Some(interpreter) => Command::new(interpreter),
            None => Command::new(script),
        };
        if interpreter.is_some() {
            command.args(arguments).arg(script);
        }
        if let Some(folder) = script.parent() {
            command.current_dir(folder);
        }
        return become_script(command, &setup, &stream);
    }
    // Memory that this program has reserved for itself is no use of the rule.
    sandbox::limit(setup.memory, sandbox::data_in_use())?;
    sandbox::end_with_host()?;
    let library = files.pop().ok_or_else(|| io::Error::other("no library came with the setup"))?;
    // The plugin finds no connection where it looks for standard input.
    rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
    let layers = match &setup.sandbox {
        Some(allowed) => sandbox::confine(allowed, None)?,
        None => Layers::default(),
    };
    frame::write(&stream, &Confined { layers })?;
    let path = library_path(&library);
    if let Task::Probe(name) = &setup.task {
        drop(stream);
        return Ok(crate::check::probe::run(&path, name));
    }
    server::serve(&path, stream)?;
    Ok(ExitCode::SUCCESS)
}

/// Path from which an open file can be loaded: the very bytes that the host has seen, whatever lies
/// at its path by now.
///
fn library_path(library: &OwnedFd) -> PathBuf {
    format!("/proc/self/fd/{}", library.as_raw_fd()).into()
}

/// Starts the script, which speaks the protocol itself on the same standard input, and stays beside
/// it: when the host goes away, so does all that the script has started.
fn become_script(mut command: Command, setup: &Setup, stream: &UnixStream) -> io::Result<ExitCode> {
    // A process that leaves the script's group, where no sandbox forbids that, stays below this
    // one.
    processes::adopt_orphans()?;
    let (allowed, memory) = (setup.sandbox.clone(), setup.memory);
    let ready = move || {
        // The script's own memory begins with it.
        sandbox::limit(memory, 0)?;
        let layers = match &allowed {
            Some(allowed) => sandbox::confine(allowed, Some(memory))?,
            None => Layers::default(),
        };
        // SAFETY: standard input is the connection, and stays open.
        let connection = unsafe { std::os::fd::BorrowedFd::borrow_raw(0) };
        let connection: UnixStream = connection.try_clone_to_owned()?.into();
        frame::write(&connection, &Confined { layers })
    };
    // SAFETY: this process has a single thread, so that what runs in its child may allocate.
    unsafe {
        command.pre_exec(ready);
    }
    let mut child = command.spawn()?;
    let status = wait_beside(&mut child, stream, &setup.temporary)?;
    processes::end_descendants();
    Ok(end_alike(status))
}

fn wait_beside(
    child: &mut Child,
    stream: &UnixStream,
    temporary: &[PathBuf],
) -> io::Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        // Nothing is read here: only the end of the connection is of interest, and it is always
        // told.
        let mut files = [PollFd::new(stream, PollFlags::empty())];
        let slice = Timespec { tv_sec: 0, tv_nsec: LOOK.as_nanos() as i64 };
        let _ = poll(&mut files, Some(&slice));
        if files[0].revents().intersects(PollFlags::HUP | PollFlags::ERR) {
            processes::end_descendants();
            processes::remove_folders(temporary);
            sandbox::kill_own_group();
        }
    }
}

/// Ends as another process did.
pub(super) fn end_alike(status: ExitStatus) -> ExitCode {
    if let Some(signal) = status.signal() {
        sandbox::end_by(signal);
    }
    ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}
