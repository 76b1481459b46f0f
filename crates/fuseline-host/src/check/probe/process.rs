//! The process that a probe runs in, seen from outside.

use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{Answer, FAILED, SKIPPED, locale};
use crate::worker::{WorkerLimits, WorkerProgram};

/// Longer than this, a probe hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs a probe in a worker's process, which starts in an empty folder and must leave it empty.
///
/// What looks for traces runs without the sandbox, which would hide them; so does what needs a locale made for it.
pub(crate) fn in_worker(file: &Path, program: &WorkerProgram, name: &str) -> Answer {
    let cannot = |error: io::Error| {
        Answer::Skipped(format!("a worker process could not be started: {error}"))
    };
    let folder = match tempfile::tempdir() {
        Ok(folder) => folder,
        Err(error) => return cannot(error),
    };
    let confined = if matches!(name, "traces" | "locale") { "0" } else { "1" };
    let limits = WorkerLimits::default();
    let command = || {
        let mut command = Command::new(&program.program);
        command
            .args(&program.arguments)
            .arg(file)
            .args([&limits.memory.to_string(), confined, name])
            .current_dir(folder.path())
            .envs(["HOME", "TMPDIR"].map(|name| (name, folder.path())))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    };
    let ask = |mut command: Command| match command.spawn() {
        Ok(child) => answer(child, limits.memory),
        Err(error) => cannot(error),
    };
    let said = match ask(command()) {
        Answer::Skipped(reason) if reason == locale::NONE => match locale::made() {
            Some(locales) => {
                let mut command = command();
                command.env("LOCPATH", locales.path());
                ask(command)
            }
            None => Answer::Skipped(reason),
        },
        said => said,
    };
    let left = std::fs::read_dir(folder.path()).ok().and_then(|mut entries| entries.next());
    match (said, left) {
        (Answer::Pass, Some(Ok(entry))) => {
            Answer::Fail(format!("it left a file behind: {}", entry.file_name().display()))
        }
        (said, _) => said,
    }
}

fn answer(mut child: Child, memory: u64) -> Answer {
    let begun = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if begun.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(5)),
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                return Answer::Fail(format!("it did not end within {PATIENCE:?}"));
            }
        }
    };
    let read = |stream: Option<&mut dyn Read>| {
        let mut text = Vec::new();
        if let Some(stream) = stream {
            let _ = stream.take(4096).read_to_end(&mut text);
        }
        String::from_utf8_lossy(&text).trim().to_owned()
    };
    let printed = read(child.stdout.as_mut().map(|stream| stream as &mut dyn Read));
    let words = read(child.stderr.as_mut().map(|stream| stream as &mut dyn Read));
    match status.code() {
        Some(0) if printed.is_empty() => Answer::Pass,
        Some(0) => Answer::Fail(format!("it wrote to standard output: {printed:?}")),
        Some(code) if code == i32::from(SKIPPED) => Answer::Skipped(words),
        Some(code) if code == i32::from(FAILED) => Answer::Fail(words),
        _ => Answer::Fail(format!("{} {words}", crate::worker::how_it_ended(status, memory))),
    }
}
