//! One worker process: its start, its frames, its end.

use std::fmt;
use std::io::{self, BufWriter, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process_group};
use thiserror::Error;

use crate::batch::Batch;
use crate::error::{RuleCode, RuleError};
use crate::message::{self, RuleMessage};
use crate::rule::Fault;
use crate::script;
use crate::stop::StopSignal;
use crate::worker::frame::{self, PROTOCOL, Reply, Request};
use crate::worker::region::Region;
use crate::worker::sandbox::LOST_HOST;
use crate::worker::{WorkerLimits, WorkerProgram};

/// How much of a worker's last words is kept.
const WORDS_LIMIT: usize = 4096;
/// How often a waiting host looks whether the worker is alive and the call still wanted.
const LOOK: Duration = Duration::from_millis(50);

/// Why a worker process failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct WorkerFailure {
    /// A fragment, as "its process was killed by SIGSEGV (invalid memory access)".
    pub reason: String,
    /// The last lines that it wrote to standard error.
    pub stderr: Vec<String>,
}

impl fmt::Display for WorkerFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)?;
        for line in &self.stderr {
            write!(f, "\n  stderr: {line}")?;
        }
        Ok(())
    }
}

/// One worker process.
pub(super) struct Worker {
    child: Child,
    socket: UnixStream,
    stdout: ChildStdout,
    stderr: ChildStderr,
    pub(super) input: Region,
    pub(super) output: Region,
    /// Where what the worker still needs of the input ends.
    pub(super) input_end: u64,
    /// Identity of the batch that the worker knows.
    batch: Option<u64>,
    arrived: Vec<u8>,
    printed: Vec<u8>,
    words: Vec<u8>,
    /// Bytes that it may use.
    memory: u64,
    /// Ended on request; not to be used again.
    pub(super) is_spent: bool,
}

impl Worker {
    pub(super) fn start(
        file: &Path,
        program: &WorkerProgram,
        limits: &WorkerLimits,
    ) -> Result<(Self, String, bool), WorkerFailure> {
        let failed = |error: io::Error| WorkerFailure {
            reason: format!("a worker process could not be started: {error}"),
            stderr: Vec::new(),
        };
        tracing::debug!(file = %file.display(), "a worker starts");
        let (input, output) = (Region::new().map_err(failed)?, Region::new().map_err(failed)?);
        let (mut worker, files) =
            Self::spawn(file, program, limits, input, output).map_err(failed)?;
        let hello = Request::Hello { protocol: PROTOCOL };
        let files = [files[0].as_fd(), files[1].as_fd()];
        if let Err(error) = frame::send_with_files(&worker.socket, &hello, files) {
            return Err(worker.failure(format!("it does not listen: {error}")));
        }
        match worker.wait(&StopSignal::new(), limits.load, limits.grace) {
            Ok(Reply::Ready { protocol: PROTOCOL, descriptor, fast_path }) => {
                Ok((worker, descriptor, fast_path))
            }
            Ok(Reply::Ready { protocol, .. }) => {
                Err(worker.failure(format!("it speaks protocol {protocol}, this host {PROTOCOL}")))
            }
            Ok(Reply::Refused { message }) => {
                Err(WorkerFailure { reason: message, stderr: worker.last_words() })
            }
            Ok(other) => Err(worker.failure(format!("it answered hello with {other:?}"))),
            Err(Fault::Worker(failure)) => Err(failure),
            Err(Fault::Rule(error)) => Err(worker.failure(error.to_string())),
        }
    }

    fn spawn(
        file: &Path,
        program: &WorkerProgram,
        limits: &WorkerLimits,
        input: Region,
        output: Region,
    ) -> io::Result<(Self, [OwnedFd; 2])> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut command = Command::new(&program.program);
        command
            .args(&program.arguments)
            .arg(file)
            .arg(limits.memory.to_string())
            .arg(if limits.sandbox { "1" } else { "0" })
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own: a signal from the terminal is the host's to handle, and children end with it.
            .process_group(0);
        if !script::is_script(file) {
            // A rule reads no environment.
            let libraries = std::env::var_os("LD_LIBRARY_PATH");
            command.env_clear().envs(libraries.map(|folders| ("LD_LIBRARY_PATH", folders)));
            command.current_dir("/");
        } else {
            // One thread, one order of additions, one order of hashes.
            for name in ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"] {
                command.env(name, "1");
            }
            command.env("PYTHONHASHSEED", "0").env("PYTHONDONTWRITEBYTECODE", "1");
        }
        let mut child = command.spawn()?;
        let taken = || io::Error::other("the child's streams are taken");
        let stdout = child.stdout.take().ok_or_else(taken)?;
        let stderr = child.stderr.take().ok_or_else(taken)?;
        ours.set_nonblocking(true)?;
        rustix::io::ioctl_fionbio(&stdout, true)?;
        rustix::io::ioctl_fionbio(&stderr, true)?;
        let files = [input.as_fd().try_clone_to_owned()?, output.as_fd().try_clone_to_owned()?];
        let worker = Self {
            child,
            socket: ours,
            stdout,
            stderr,
            input,
            output,
            input_end: 0,
            batch: None,
            arrived: Vec::new(),
            printed: Vec::new(),
            words: Vec::new(),
            memory: limits.memory,
            is_spent: false,
        };
        Ok((worker, files))
    }

    /// Puts a batch where the worker reads it; 0 when it knows the batch.
    pub(super) fn give_batch(&mut self, batch: &Batch) -> Result<u64, Fault> {
        if self.batch == Some(batch.identity()) {
            return Ok(0);
        }
        let written = batch.to_stream(BufWriter::new(self.input.writer()));
        let length = written.map(|written| written.get_ref().written());
        let length = length.map_err(|error| self.broke(&io::Error::other(error)))?;
        self.input_end = length;
        self.batch = Some(batch.identity());
        Ok(length)
    }

    /// Sends a request and waits for its answer: how many bytes are in the output.
    pub(super) fn ask(
        &mut self,
        request: &Request,
        stop: &StopSignal,
        limits: &WorkerLimits,
    ) -> Result<u64, Fault> {
        self.send(request)?;
        match self.wait(stop, limits.call, limits.grace)? {
            Reply::Ok { bytes, messages } => {
                for RuleMessage { level, text } in messages {
                    message::pass(RuleMessage::new(level, &text));
                }
                Ok(bytes)
            }
            Reply::Error { code, message, param, row } => {
                // A batch that the worker refused is none that it knows.
                self.batch = None;
                Err(Fault::Rule(RuleError { code: RuleCode::of(code), message, param, row }))
            }
            other => Err(self.fail(format!("it broke the protocol with {other:?}"))),
        }
    }

    fn send(&mut self, request: &Request) -> Result<(), Fault> {
        let bytes = frame::encode(request).map_err(|error| self.broke(&error))?;
        match rustix::net::send(&self.socket, &bytes, rustix::net::SendFlags::NOSIGNAL) {
            Ok(sent) if sent == bytes.len() => Ok(()),
            Ok(_) => Err(self.fail("it does not read what it is sent".to_owned())),
            Err(_) => Err(self.ended()),
        }
    }

    /// Waits for one reply, hearing what the worker prints and whether it lives.
    fn wait(&mut self, stop: &StopSignal, most: Duration, grace: Duration) -> Result<Reply, Fault> {
        let begun = Instant::now();
        let mut stopped: Option<Instant> = None;
        loop {
            let slice = Timespec { tv_sec: 0, tv_nsec: LOOK.as_nanos() as i64 };
            let mut files = [
                PollFd::new(&self.socket, PollFlags::IN),
                PollFd::new(&self.stdout, PollFlags::IN),
                PollFd::new(&self.stderr, PollFlags::IN),
            ];
            // Pipes that the worker has closed would wake the host without end.
            let _ = poll(&mut files, Some(&slice));
            let hung_up = files[1..].iter().any(|file| file.revents() == PollFlags::HUP);
            let open = self.receive();
            self.hear();
            match frame::decode::<Reply>(&mut self.arrived) {
                Ok(Some(reply)) => {
                    if !self.printed.is_empty() {
                        let text = String::from_utf8_lossy(&self.printed);
                        return Err(self
                            .fail(format!("it wrote to standard output: {:?}", text.trim_end())));
                    }
                    return Ok(reply);
                }
                Ok(None) => {}
                Err(error) => return Err(self.fail(format!("it broke the protocol: {error}"))),
            }
            if !open || matches!(self.child.try_wait(), Ok(Some(_))) {
                return Err(self.ended());
            }
            if let Some(stopped) = stopped {
                if stopped.elapsed() > grace {
                    self.is_spent = true;
                    self.kill();
                    return Err(Fault::Rule(RuleError {
                        code: RuleCode::Cancelled,
                        message: format!("it did not end within {grace:?} and was killed"),
                        param: None,
                        row: None,
                    }));
                }
            } else if stop.is_stopped() {
                stopped = Some(Instant::now());
                self.send(&Request::Stop)?;
            }
            if begun.elapsed() > most {
                return Err(self.fail(format!("it did not answer within {most:?}")));
            }
            if hung_up {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    /// Takes what the socket has; false at its end.
    fn receive(&mut self) -> bool {
        drain(&mut self.socket, |bytes| self.arrived.extend_from_slice(bytes))
    }

    /// Takes what the worker printed, keeping the end of its words and the beginning of its output.
    fn hear(&mut self) {
        drain(&mut self.stdout, |bytes| {
            let room = WORDS_LIMIT.saturating_sub(self.printed.len());
            self.printed.extend_from_slice(&bytes[..bytes.len().min(room)]);
        });
        drain(&mut self.stderr, |bytes| {
            self.words.extend_from_slice(bytes);
            let surplus = self.words.len().saturating_sub(WORDS_LIMIT);
            self.words.drain(..surplus);
        });
    }

    fn last_words(&mut self) -> Vec<String> {
        self.hear();
        let text = String::from_utf8_lossy(&self.words);
        let lines: Vec<_> =
            text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect();
        lines[lines.len().saturating_sub(5)..].to_vec()
    }

    fn failure(&mut self, reason: String) -> WorkerFailure {
        self.kill();
        WorkerFailure { reason, stderr: self.last_words() }
    }

    pub(super) fn fail(&mut self, reason: String) -> Fault {
        Fault::Worker(self.failure(reason))
    }

    pub(super) fn broke(&mut self, error: &io::Error) -> Fault {
        self.fail(format!("the memory shared with it cannot be used: {error}"))
    }

    /// The worker has ended, or has closed its socket.
    fn ended(&mut self) -> Fault {
        // It may be on its way out.
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(500) {
            if let Ok(Some(status)) = self.child.try_wait() {
                return self.fail(how_it_ended(status, self.memory));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        self.fail("it closed its connection to the host".to_owned())
    }

    /// Ends the process and its children.
    fn kill(&mut self) {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Reads until there is no more for now; false at the end of the stream.
fn drain(mut stream: impl Read, mut take: impl FnMut(&[u8])) -> bool {
    let mut bytes = [0; 4096];
    loop {
        match stream.read(&mut bytes) {
            Ok(0) => return false,
            Ok(len) => take(&bytes[..len]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        }
    }
}

/// The end of a process in words.
pub(crate) fn how_it_ended(status: ExitStatus, memory: u64) -> String {
    match (status.code(), status.signal()) {
        (Some(LOST_HOST), _) => "its connection to the host was closed".to_owned(),
        (Some(code), _) => format!("its process exited with code {code} before it answered"),
        (None, Some(signal)) => match SIGNALS.iter().find(|(number, ..)| *number == signal) {
            Some((libc::SIGABRT | libc::SIGKILL, name, words)) => format!(
                "its process was killed by {name} ({words}; it may use {} MiB of memory)",
                memory >> 20
            ),
            Some((_, name, words)) => format!("its process was killed by {name} ({words})"),
            None => format!("its process was killed by signal {signal}"),
        },
        (None, None) => "its process ended".to_owned(),
    }
}

const SIGNALS: [(i32, &str, &str); 9] = [
    (libc::SIGSEGV, "SIGSEGV", "invalid memory access"),
    (libc::SIGBUS, "SIGBUS", "invalid memory access"),
    (libc::SIGABRT, "SIGABRT", "it aborted, as after a failed allocation or assertion"),
    (libc::SIGFPE, "SIGFPE", "arithmetic error, as a division by zero"),
    (libc::SIGILL, "SIGILL", "invalid instruction"),
    (libc::SIGTRAP, "SIGTRAP", "trap"),
    (libc::SIGKILL, "SIGKILL", "killed, as by the system when memory runs out"),
    (libc::SIGTERM, "SIGTERM", "asked to end"),
    (libc::SIGSYS, "SIGSYS", "forbidden system call"),
];
