//! The start of a worker process.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::{Worker, WorkerFailure};
use crate::conditions::Sandbox;
use crate::environment::{ProcessForm, set_environment};
use crate::image::{Form, Image};
use crate::message::plain_text;
use crate::rule::Fault;
use crate::stop::StopSignal;
use crate::worker::frame::{self, PROTOCOL, Reply, Request};
use crate::worker::limits::is_out_of_memory;
use crate::worker::region::Region;
use crate::worker::sandbox::Layers;
use crate::worker::setup::{Allowed, Confined, Setup, Task};
use crate::worker::words::Words;
use crate::worker::{LimitName, WorkerSettings, starter};

/// Interval at which a probe is looked at.
const PROBE_LOOK: Duration = Duration::from_millis(5);

/// Variables by which temporary files and caches of compiled code go to a script's own folder.
const OWN_FOLDER_VARIABLES: [&str; 8] = [
    "TMPDIR",
    "TMP",
    "TEMP",
    "XDG_CACHE_HOME",
    "MPLCONFIGDIR",
    "NUMBA_CACHE_DIR",
    "TRITON_CACHE_DIR",
    "TORCHINDUCTOR_CACHE_DIR",
];

/// Facts that a rule reported when its worker started.
pub(crate) struct Greeting {
    pub descriptor: String,
    pub fast_path: bool,
    pub layers: Layers,
}

/// Ending of a probe.
pub(crate) struct ProbeEnd {
    /// None when it did not end in time.
    pub status: Option<ExitStatus>,
    /// Text written to standard output.
    pub printed: String,
    /// Text written to standard error.
    pub words: String,
}

impl Worker {
    pub(crate) fn start(
        image: &Image,
        settings: &WorkerSettings,
    ) -> Result<(Self, Greeting), WorkerFailure> {
        let failed = |error: io::Error| WorkerFailure {
            reason: format!("a worker process could not be started: {error}"),
            stderr: Vec::new(),
        };
        let task = match image.form() {
            Form::Library(_) => Task::Library,
            Form::Script(staged) => Task::Script {
                interpreter: staged.interpreter.as_ref().map(|of| of.program.clone()),
                arguments: staged.arguments.clone(),
                script: staged.script.clone(),
            },
        };
        let mut worker = Self::spawn(image, settings, task, None).map_err(failed)?;
        let layers = worker.confined()?;
        let hello = Request::Hello { protocol: PROTOCOL };
        let files = [worker.input.as_fd(), worker.output.as_fd()];
        let sent = frame::send_with_files(&worker.socket, &hello, &files);
        if let Err(error) = sent {
            return Err(worker.failure(format!("it does not listen: {error}")));
        }
        match worker.wait(&StopSignal::new(), LimitName::Load) {
            Ok(Reply::Ready { protocol: PROTOCOL, descriptor, fast_path }) => {
                Ok((worker, Greeting { descriptor, fast_path, layers }))
            }
            Ok(Reply::Ready { protocol, .. }) => {
                Err(worker.failure(format!("it speaks protocol {protocol}, this host {PROTOCOL}")))
            }
            Ok(Reply::Refused { message }) => {
                let mut reason = name_file(&plain_text(&message), image.path());
                if is_out_of_memory(&reason) {
                    reason += &format!("; {}", settings.limits.memory_limit());
                }
                Err(WorkerFailure { reason, stderr: worker.last_words() })
            }
            Ok(other) => Err(worker.failure(format!("it answered hello with {other:?}"))),
            Err(Fault::Worker(failure)) => Err(failure),
            Err(Fault::Rule(error)) => Err(worker.failure(error.to_string())),
        }
    }

    /// Runs a probe of the plugin check to its end, which may write into its folder.
    pub(crate) fn probe(
        image: &Image,
        settings: &WorkerSettings,
        (name, folder, environment): (&str, &Path, &[(&str, &Path)]),
    ) -> io::Result<ProbeEnd> {
        let task = Task::Probe(name.to_owned());
        let probe = Some((folder, environment));
        let mut worker = Self::spawn(image, settings, task, probe)?;
        let begun = Instant::now();
        let status = loop {
            worker.receive();
            worker.arrived.clear();
            worker.hear();
            match worker.child.try_wait()? {
                Some(status) => break Some(status),
                None if begun.elapsed() < settings.limits.call => std::thread::sleep(PROBE_LOOK),
                None => break None,
            }
        };
        worker.kill();
        worker.hear();
        let printed = String::from_utf8_lossy(&worker.printed).trim().to_owned();
        Ok(ProbeEnd { status, printed, words: worker.words.lines().join("\n") })
    }

    fn spawn(
        image: &Image,
        settings: &WorkerSettings,
        task: Task,
        probe: Option<(&Path, &[(&str, &Path)])>,
    ) -> io::Result<Self> {
        tracing::debug!(file = %image.path().display(), "a worker starts");
        let WorkerSettings { program, limits, devices, passed, .. } = settings;
        let (ours, theirs) = UnixStream::pair()?;
        let mut command = Command::new(&program.program);
        command
            .args(&program.arguments)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own: a signal from the terminal is the host's to handle, and children
            // end with it.
            .process_group(0);
        let mut allowed = Allowed::default();
        if limits.sandbox != Sandbox::Strict {
            allowed.devices.clone_from(devices);
        }
        let has_devices = limits.sandbox == Sandbox::Off || !allowed.devices.is_empty();
        let (mut own_folder, mut interpreter, mut temporary) = (None, None, Vec::new());
        match image.form() {
            Form::Library(_) => {
                set_environment(&mut command, ProcessForm::Library, has_devices, passed);
                command.current_dir("/");
            }
            Form::Script(staged) => {
                allowed.readable.clone_from(&staged.readable);
                interpreter.clone_from(&staged.interpreter);
                let form = ProcessForm::Script(interpreter.as_ref());
                set_environment(&mut command, form, has_devices, passed);
                // The kit notes from its first line on what is read.
                command.env("FUSELINE_WORKER", "1");
                if limits.sandbox == Sandbox::Default {
                    let folder = tempfile::Builder::new().prefix("fuseline-worker-").tempdir()?;
                    command.envs(OWN_FOLDER_VARIABLES.map(|name| (name, folder.path())));
                    allowed.writable = Some(folder.path().to_owned());
                    allowed.shares_memory = true;
                    temporary.push(folder.path().to_owned());
                    own_folder = Some(folder);
                }
                temporary.push(staged.folder.path().to_owned());
            }
        }
        if let Some((folder, environment)) = probe {
            allowed.writable = Some(folder.to_owned());
            allowed.readable.extend(environment.iter().map(|(_, path)| (*path).to_owned()));
            command.current_dir(folder).envs(environment.iter().copied());
        }
        // Paths that are no text cannot be told, and are not opened.
        allowed.readable.retain(|path| path.to_str().is_some());
        let is_script = matches!(task, Task::Script { .. });
        let sandbox = (limits.sandbox != Sandbox::Off).then_some(allowed);
        let setup = Setup { task, memory: limits.memory, sandbox, temporary };
        let (input, output) = (Region::new()?, Region::new()?);
        let mut child = starter::spawn(command)?;
        let taken = || io::Error::other("the child's streams are taken");
        let stdout = child.stdout.take().ok_or_else(taken)?;
        let stderr = child.stderr.take().ok_or_else(taken)?;
        rustix::io::ioctl_fionbio(&stdout, true)?;
        rustix::io::ioctl_fionbio(&stderr, true)?;
        let worker = Self {
            child,
            socket: ours,
            stdout,
            stderr,
            input,
            output,
            input_end: 0,
            batch: None,
            opened: BTreeSet::new(),
            opened_bytes: 0,
            reads: Vec::new(),
            arrived: Vec::new(),
            printed: Vec::new(),
            words: Words::default(),
            limits: limits.clone(),
            is_script,
            interpreter,
            own_folder,
            is_spent: false,
        };
        match image.form() {
            Form::Library(file) => {
                // Opened anew: workers that shared one opening would share its position.
                let own = reopened(file)?;
                frame::send_with_files(&worker.socket, &setup, &[own.as_fd()])?;
            }
            Form::Script(_) => frame::send_with_files(&worker.socket, &setup, &[])?,
        }
        worker.socket.set_nonblocking(true)?;
        Ok(worker)
    }

    /// Waits until the worker has confined itself; none of the rule's code has run then.
    fn confined(&mut self) -> Result<Layers, WorkerFailure> {
        match self.wait_for::<Confined>(&StopSignal::new(), LimitName::Load) {
            Ok(Confined { layers }) => Ok(layers),
            Err(Fault::Worker(failure)) => Err(failure),
            Err(Fault::Rule(error)) => Err(self.failure(error.to_string())),
        }
    }
}

#[cfg(target_os = "linux")]
fn reopened(file: &std::fs::File) -> io::Result<std::fs::File> {
    use std::os::fd::AsRawFd;
    std::fs::File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

#[cfg(not(target_os = "linux"))]
fn reopened(file: &tempfile::NamedTempFile) -> io::Result<std::fs::File> {
    file.reopen()
}

/// A text of the dynamic linker with the file's own name where it says which descriptor was loaded.
fn name_file(text: &str, path: &Path) -> String {
    let Some((before, after)) = text.split_once("/proc/self/fd/") else { return text.to_owned() };
    let after = after.trim_start_matches(|c: char| c.is_ascii_digit());
    format!("{before}{}{}", path.display(), name_file(after, path))
}
