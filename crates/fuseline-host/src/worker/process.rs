//! One worker process: its start, its frames, its end.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, BufWriter, Read};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::batch::Batch;
use crate::error::{RuleCode, RuleError};
use crate::interpreter::Interpreter;
use crate::message::{self, RuleMessage, plain_text};
use crate::reads::{MAX_READS, ReadFile};
use crate::rule::Fault;
use crate::stop::StopSignal;
use crate::worker::ending::how_it_ended;
use crate::worker::frame::{self, FRAME_LIMIT, Reply, Request};
use crate::worker::limits::{TimeText, is_out_of_memory};
use crate::worker::region::Region;
use crate::worker::words::Words;
use crate::worker::{LimitName, WorkerLimits, processes, usage};

mod start;

pub(crate) use start::Greeting;
pub(crate) use start::ProbeEnd;

/// Bytes of a worker's standard error that are kept.
const WORDS_LIMIT: usize = 4096;
/// Bytes of its standard error that are read before the host looks at other things again.
const HEARD_AT_ONCE: usize = 1 << 16;
/// Bytes that a worker may write to standard error in one call.
const MAX_WORDS: u64 = 16 << 20;
/// Maximum multiple of its grace that a worker has on a machine that is busy.
const MAX_BUSY: u32 = 8;
/// Interval at which a waiting host looks at the worker's use of resources.
const LOOK_AT_USAGE: Duration = Duration::from_millis(200);
/// Interval at which a waiting host looks whether the worker is alive and the call still wanted.
const LOOK: Duration = Duration::from_millis(50);

/// Failure of a worker process.
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
pub(crate) struct Worker {
    child: Child,
    socket: UnixStream,
    stdout: ChildStdout,
    stderr: ChildStderr,
    pub(super) input: Region,
    pub(super) output: Region,
    /// End of the part of the input that the worker still needs.
    pub(super) input_end: u64,
    /// Identity of the batch that the worker knows.
    batch: Option<u64>,
    /// Numbers of the models that it has opened, and their bytes.
    pub(super) opened: BTreeSet<u64>,
    pub(super) opened_bytes: u64,
    /// Files that it reports as read.
    pub(super) reads: Vec<ReadFile>,
    arrived: Vec<u8>,
    printed: Vec<u8>,
    words: Words,
    limits: WorkerLimits,
    is_script: bool,
    /// The interpreter that runs it, of a script in Python.
    interpreter: Option<Interpreter>,
    /// Folder that it may write to; it ends with the process.
    own_folder: Option<tempfile::TempDir>,
    /// Ended on request; not to be used again.
    pub(super) is_spent: bool,
}

impl Worker {
    /// Folder that it may write to, where there is one.
    pub(super) fn own_folder(&self) -> Option<&Path> {
        self.own_folder.as_ref().map(tempfile::TempDir::path)
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

    /// Puts a model or a question where the worker reads it, which is where the batch lay.
    pub(super) fn give_bytes(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.input.write(bytes, 0).map_err(|error| self.broke(&error))?;
        self.input_end = bytes.len() as u64;
        self.batch = None;
        Ok(())
    }

    /// Sends a request and waits for its answer: how many bytes are in the output.
    pub(super) fn ask(&mut self, request: &Request, stop: &StopSignal) -> Result<u64, Fault> {
        self.send(request)?;
        match self.wait(stop, LimitName::Call)? {
            Reply::Ok { bytes, messages, reads } => {
                for RuleMessage { level, text } in messages {
                    message::pass(RuleMessage::new(level, &text));
                }
                if self.reads.len() + reads.len() > MAX_READS {
                    return Err(
                        self.fail(format!("it says that it has read more than {MAX_READS} files"))
                    );
                }
                self.reads.extend(reads);
                Ok(bytes)
            }
            Reply::Error { code, message, param, row, messages } => {
                // A batch that the worker refused is none that it knows.
                self.batch = None;
                for RuleMessage { level, text } in messages {
                    message::pass(RuleMessage::new(level, &text));
                }
                let code = RuleCode::from_number(code);
                let mut message = plain_text(&message);
                if code == RuleCode::OutOfMemory || is_out_of_memory(&message) {
                    let separator = if message.is_empty() { "" } else { "; " };
                    message += &format!("{separator}{}", self.limits.memory_limit());
                }
                let mut words = Vec::new();
                if code == RuleCode::Internal {
                    // Its own words on its defect, such as a traceback.
                    words = self.last_words();
                }
                let remedy = self.words_on_missing_module(&message, &words);
                words.iter().for_each(|line| message += &format!("\n  stderr: {line}"));
                remedy.iter().for_each(|remedy| message += &format!("\n{remedy}"));
                let row = row.and_then(|row| u64::try_from(row).ok());
                let param = param.map(|param| plain_text(&param));
                Err(Fault::Rule(RuleError { code, message, param, row }))
            }
            other => Err(self.fail(format!("it broke the protocol with {other:?}"))),
        }
    }

    fn send(&mut self, request: &Request) -> Result<(), Fault> {
        let bytes = frame::encode(request).map_err(|error| self.broke(&error))?;
        let begun = Instant::now();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            match rustix::net::send(&self.socket, rest, rustix::net::SendFlags::NOSIGNAL) {
                Ok(sent) => rest = &rest[sent..],
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {
                    if begun.elapsed() > self.limits.load {
                        return Err(self.fail("it does not read what it is sent".to_owned()));
                    }
                    let slice = Timespec { tv_sec: 0, tv_nsec: LOOK.as_nanos() as i64 };
                    let mut files = [PollFd::new(&self.socket, PollFlags::OUT)];
                    let _ = poll(&mut files, Some(&slice));
                }
                Err(_) => return Err(self.ended()),
            }
        }
        Ok(())
    }

    /// Waits for one reply, hearing what the worker prints and whether it lives.
    fn wait(&mut self, stop: &StopSignal, limit: LimitName) -> Result<Reply, Fault> {
        let reply = self.wait_for(stop, limit)?;
        // Processes that it has started must have ended with the call.
        self.ensure_within_limits()?;
        Ok(reply)
    }

    fn wait_for<T: DeserializeOwned>(
        &mut self,
        stop: &StopSignal,
        limit: LimitName,
    ) -> Result<T, Fault> {
        let (most, grace) = (self.limits.time(limit), self.limits.grace);
        let begun = Instant::now();
        let mut looked = begun;
        // When it was asked to stop, and how long it had been kept from running by then.
        let mut stopped: Option<(Instant, Duration)> = None;
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
            if !self.printed.is_empty() {
                let text = String::from_utf8_lossy(&self.printed);
                let text = text.trim_end().to_owned();
                return Err(self.fail(format!("it wrote to standard output: {text:?}")));
            }
            if self.words.total > MAX_WORDS {
                let most = MAX_WORDS >> 20;
                return Err(self
                    .fail(format!("it wrote more than {most} MiB to standard error in one call")));
            }
            match frame::decode::<T>(&mut self.arrived) {
                Ok(Some(_)) if !self.arrived.is_empty() => {
                    return Err(self.fail("it sent more than it was asked for".to_owned()));
                }
                Ok(Some(reply)) => {
                    self.words.total = 0;
                    return Ok(reply);
                }
                Ok(None) => {}
                Err(error) => return Err(self.fail(format!("it broke the protocol: {error}"))),
            }
            if !open || matches!(self.child.try_wait(), Ok(Some(_))) {
                return Err(self.ended());
            }
            if looked.elapsed() > LOOK_AT_USAGE {
                looked = Instant::now();
                self.ensure_within_limits()?;
            }
            if let Some((asked, before)) = stopped {
                // A machine that is busy with other things keeps it from running: that time is not
                // its own.
                let kept = usage::queued(self.child.id()).saturating_sub(before);
                let (waited, most) = (asked.elapsed(), grace * MAX_BUSY);
                if waited > most || waited.saturating_sub(kept) > grace {
                    self.is_spent = true;
                    self.kill();
                    return Err(Fault::Rule(RuleError {
                        code: RuleCode::Cancelled,
                        message: format!(
                            "it did not end within {} and was killed",
                            TimeText(grace)
                        ),
                        param: None,
                        row: None,
                    }));
                }
            } else if stop.is_stopped() {
                stopped = Some((Instant::now(), usage::queued(self.child.id())));
                self.send(&Request::Stop)?;
            }
            if begun.elapsed() > most {
                let setting = self.limits.setting(limit);
                return Err(
                    self.fail(format!("it did not answer within {} ({setting})", TimeText(most)))
                );
            }
            if hung_up {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    /// An error when the worker has started more than it may.
    fn ensure_within_limits(&mut self) -> Result<(), Fault> {
        let process = self.child.id();
        let WorkerLimits { tasks, memory, .. } = self.limits;
        let (usage, what) = match self.is_script {
            // Those beside the one that waits for them.
            true => {
                (Some(usage::of_processes(&processes::descendants(process), memory)), "processes")
            }
            false => (usage::of_process(process), "threads"),
        };
        let Some(usage) = usage else { return Ok(()) };
        if usage.tasks > tasks {
            let found = usage.tasks;
            return Err(self.fail(format!("it runs {found} {what}, and may run {tasks}")));
        }
        if let Some(words) = self.limits.memory_limit().excess(usage.memory) {
            return Err(self.fail(words));
        }
        Ok(())
    }

    /// Takes what the socket has, and no more than a frame can be; false at its end.
    fn receive(&mut self) -> bool {
        let room = (FRAME_LIMIT + 4).saturating_sub(self.arrived.len());
        drain(&mut self.socket, room, |bytes| self.arrived.extend_from_slice(bytes))
    }

    /// Takes what the worker printed, keeping the end of its words and the beginning of its output.
    fn hear(&mut self) {
        drain(&mut self.stdout, WORDS_LIMIT, |bytes| {
            let room = WORDS_LIMIT.saturating_sub(self.printed.len());
            self.printed.extend_from_slice(&bytes[..bytes.len().min(room)]);
        });
        drain(&mut self.stderr, HEARD_AT_ONCE, |bytes| self.words.hear(bytes));
    }

    fn last_words(&mut self) -> Vec<String> {
        self.hear();
        self.words.lines()
    }

    fn failure(&mut self, mut reason: String) -> WorkerFailure {
        self.kill();
        let stderr = self.last_words();
        if stderr.iter().any(|line| is_out_of_memory(line)) {
            reason += &format!("; {}", self.limits.memory_limit());
        }
        if let Some(remedy) = self.words_on_missing_module(&reason, &stderr) {
            reason += &format!("; {remedy}");
        }
        WorkerFailure { reason, stderr }
    }

    /// Words on the interpreter, where it lacks a module.
    fn words_on_missing_module(&self, message: &str, stderr: &[String]) -> Option<String> {
        let said = format!("{message}\n{}", stderr.join("\n"));
        self.interpreter.as_ref()?.words_on_missing_module(&said)
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
                return self.fail(how_it_ended(status, &self.limits));
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

/// Reads until there is no more for now, or so much is read; false at the end of the stream.
fn drain(mut stream: impl Read, most: usize, mut take: impl FnMut(&[u8])) -> bool {
    let mut bytes = [0; 4096];
    let mut room = most;
    while room > 0 {
        let part = room.min(bytes.len());
        match stream.read(&mut bytes[..part]) {
            Ok(0) => return false,
            Ok(len) => {
                take(&bytes[..len]);
                room -= len;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        }
    }
    true
}
