//! The process that a probe runs in, seen from outside.

use std::io;
use std::path::Path;

use super::{Answer, FAILED, SKIPPED, locale};
use crate::image::Image;
use crate::worker::{ProbeEnd, Worker, WorkerLimits, WorkerSettings};

/// Runs a probe in a worker's process, which starts in an empty folder and must leave it empty. The
/// folder is the only place where the sandbox lets it write.
pub(crate) fn in_worker(image: &Image, settings: &WorkerSettings, name: &str) -> Answer {
    let cannot = |error: io::Error| {
        Answer::Skipped(format!("a worker process could not be started: {error}"))
    };
    let folder = match tempfile::tempdir() {
        Ok(folder) => folder,
        Err(error) => return cannot(error),
    };
    let ask = |locales: Option<&Path>| {
        let own = [("HOME", folder.path()), ("TMPDIR", folder.path())];
        let locales = locales.map(|locales| ("LOCPATH", locales));
        let environment: Vec<_> = own.into_iter().chain(locales).collect();
        let probe = (name, folder.path(), &environment[..]);
        Worker::probe(image, settings, probe)
            .map_or_else(cannot, |ended| answer(ended, &settings.limits))
    };
    let said = match ask(None) {
        Answer::Skipped(reason) if reason == locale::NONE => match locale::made() {
            Some(locales) => ask(Some(locales.path())),
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

fn answer(ProbeEnd { status, printed, words }: ProbeEnd, limits: &WorkerLimits) -> Answer {
    let Some(status) = status else {
        return Answer::Fail(format!("it did not end within {:?}", limits.call));
    };
    match status.code() {
        Some(0) if printed.is_empty() => Answer::Pass,
        Some(0) => Answer::Fail(format!("it wrote to standard output: {printed:?}")),
        Some(code) if code == i32::from(SKIPPED) => Answer::Skipped(words),
        Some(code) if code == i32::from(FAILED) => Answer::Fail(words),
        _ => Answer::Fail(format!("{} {words}", crate::worker::how_it_ended(status, limits))),
    }
}
