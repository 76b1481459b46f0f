//! Starting a program, waiting for it, and ending it with all that it started.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use fuseline_engine::{Inputs, StageError};
use fuseline_host::worker::{
    GuardedProgram, MemoryLimit, ensure_within, guard_command, is_out_of_memory,
};
use fuseline_host::{HostError, Interpreter, ProcessForm, set_environment};
use fuseline_workflow::suggest_file;

/// Interval at which a running program is polled.
const LOOK: Duration = Duration::from_millis(10);
/// Interval at which the memory of a running program is looked at.
const LOOK_AT_MEMORY: Duration = Duration::from_millis(200);
/// Bytes of the end of its stderr that an error shows.
const SHOWN: u64 = 4096;

/// The program on PATH that was likely meant, where there is none of the name.
fn near_program(name: &str) -> Option<String> {
    let path = std::env::var_os("PATH")?;
    let entries = std::env::split_paths(&path).filter_map(|folder| folder.read_dir().ok());
    let names =
        entries.flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let names: BTreeSet<String> = names.collect();
    let near = suggest_file(name, names.iter().map(String::as_str));
    near.filter(|_| !names.contains(name)).map(str::to_owned)
}

/// Runs a program in a folder until it ends or the run is to stop; an error unless it ends well.
pub(super) fn run(
    argv: &[String],
    folder: &Path,
    env: &BTreeMap<String, String>,
    inputs: &Inputs<'_>,
) -> Result<Option<Interpreter>, StageError> {
    let name = argv.first().map(String::as_str).unwrap_or_default();
    let io = |error: std::io::Error| StageError::failed(format!("cannot run {name}: {error}"));
    let log = folder.join(".log");
    let mut said = File::options()
        .create(true)
        .truncate(true)
        .read(true)
        .write(true)
        .open(&log)
        .map_err(io)?;
    let plugins = &inputs.services().plugins;
    let interpreter = match Interpreter::is_meant_by(name) {
        true => Some(
            Interpreter::find(plugins.stated_python(inputs.conditions()))
                .map_err(HostError::from)?,
        ),
        false => None,
    };
    let mut argv = argv.to_vec();
    if let (Some(interpreter), Some(program)) = (&interpreter, argv.first_mut()) {
        *program = interpreter.program.display().to_string();
    }
    let guard = plugins.worker_program();
    let limit = plugins.stated_memory_limit(inputs.conditions());
    let mut command = match guard {
        Some(guard) => guard_command(guard, folder, limit.as_ref().map(|of| of.bytes), &argv),
        // A program that does not begin as one that can start itself anew has no guard.
        None => {
            let mut command = Command::new(argv.first().map(String::as_str).unwrap_or_default());
            command.args(&argv[1..]).process_group(0).stdin(Stdio::null());
            command
        }
    };
    let form = ProcessForm::Program(interpreter.as_ref());
    set_environment(&mut command, form, true, &inputs.conditions().passed);
    command
        .current_dir(folder)
        .env("HOME", folder)
        .env("TMPDIR", folder)
        .env("FUSELINE_TASK", folder.join("task.json"))
        .envs(env)
        .stdout(said.try_clone().map_err(io)?)
        .stderr(said.try_clone().map_err(io)?);
    let started = match guard {
        Some(_) => GuardedProgram::start(command).map_err(io)?.map(Running::Guarded),
        None => command.spawn().map(Running::Alone),
    };
    let mut running = started.map_err(|error| {
        let advice = "a program is looked for on PATH; a script of your own belongs under `files`, \
                      and is started as [python3, script.py] or [./script]";
        let hint = match near_program(name) {
            Some(near) => format!("did you mean {near}? {advice}"),
            None => advice.to_owned(),
        };
        StageError::data(format!("cannot start {name}: {error}")).at("run").hint(hint)
    })?;
    let ended = wait(&mut running, name, limit.as_ref(), inputs);
    // Processes that the program left behind must not outlive the action.
    running.end();
    let ended = ended?;
    let text = tail(&mut said).map_err(io)?;
    if ended.success() {
        if !text.is_empty() {
            tracing::info!(program = name, "{text}");
        }
        return Ok(interpreter);
    }
    let how = match ended.code() {
        Some(code) => format!("{name} ended with exit code {code}"),
        None => format!("{name} was killed ({ended})"),
    };
    let said = match text.is_empty() {
        true => "it said nothing".to_owned(),
        false => format!("it said:\n{text}"),
    };
    // A program ends by itself, or by the kernel, where memory runs out.
    let words = limit.filter(|_| ended.code().is_none() || is_out_of_memory(&text));
    let how = words.map_or(how.clone(), |limit| format!("{how}; {limit}"));
    let error = StageError::failed(format!("{how}; {said}")).at("run");
    let remedy = interpreter.and_then(|interpreter| interpreter.words_on_missing_module(&text));
    Err(match (remedy, inputs.keep_failed()) {
        (Some(remedy), _) => error.hint(remedy),
        (None, Some(_)) => error,
        (None, None) => error.hint("`fuseline run --keep-failed` keeps the folder that it ran in"),
    })
}

/// A program that has been started.
enum Running {
    /// With a guard, which ends it when this process is gone.
    Guarded(GuardedProgram),
    /// Without one.
    Alone(Child),
}

impl Running {
    fn try_wait(&mut self) -> std::io::Result<Option<ExitStatus>> {
        match self {
            Self::Guarded(program) => program.try_wait(),
            Self::Alone(child) => child.try_wait(),
        }
    }

    /// An error in words when it uses more memory than it may.
    fn ensure_within(&self, limit: &MemoryLimit) -> Result<(), String> {
        match self {
            Self::Guarded(program) => ensure_within(limit, program.id(), false),
            Self::Alone(child) => ensure_within(limit, child.id(), true),
        }
    }

    /// Ends the program and everything that it started, of one without a guard its process group;
    /// that it has ended already is no error.
    fn end(&mut self) {
        let child = match self {
            Self::Guarded(program) => return program.end(),
            Self::Alone(child) => child,
        };
        if let Some(group) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw)
        {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn wait(
    running: &mut Running,
    name: &str,
    limit: Option<&MemoryLimit>,
    inputs: &Inputs<'_>,
) -> Result<ExitStatus, StageError> {
    let mut looked = Instant::now();
    loop {
        match running.try_wait() {
            Ok(Some(status)) => return Ok(status),
            Ok(None) => inputs.keep_going()?,
            Err(error) => {
                return Err(StageError::failed(format!("cannot wait for the program: {error}")));
            }
        }
        if let Some(limit) = limit.filter(|_| looked.elapsed() > LOOK_AT_MEMORY) {
            looked = Instant::now();
            running
                .ensure_within(limit)
                .map_err(|words| StageError::failed(format!("{name} was ended: {words}")))?;
        }
        std::thread::sleep(LOOK);
    }
}

fn tail(file: &mut File) -> std::io::Result<String> {
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(length.saturating_sub(SHOWN)))?;
    let mut bytes = Vec::new();
    file.take(SHOWN).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim();
    // A first line that was cut says less than none.
    Ok(match (length > SHOWN, text.split_once('\n')) {
        (true, Some((_, rest))) => format!("...\n{rest}"),
        _ => text.to_owned(),
    })
}
