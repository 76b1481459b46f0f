//! The jobs of a run, beside its manifest, so that one can be executed again without the workflow.
//!
//! `cache/runs/ID/jobs` has a line a job: its key, the digest of what follows, and the job as JSON. A damaged line is
//! no job, and neither is one whose fields do not give its key.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use fuseline_artifact::Digest;
use fuseline_cache::{ActionKey, Cache, CacheError};

use crate::error::StageError;
use crate::explain::first_difference;
use crate::job::{Executed, Executor, Job};
use crate::key::{KeyWriter, key_of, owned_fields};
use crate::kind::Kinds;
use crate::services::Services;

const FILE: &str = "jobs";

/// An executor that writes every job down before another executes it.
pub struct Logged<'a> {
    executor: &'a dyn Executor,
    file: Mutex<File>,
}

impl<'a> Logged<'a> {
    /// Writes the jobs of a run into its folder.
    pub fn new(cache: &Cache, run: &str, executor: &'a dyn Executor) -> io::Result<Self> {
        let file = File::create_new(cache.runs_folder().join(run).join(FILE))?;
        Ok(Self { executor, file: Mutex::new(file) })
    }

    fn write(&self, job: &Job) -> io::Result<()> {
        let line = line(job)?;
        // One call a line, so that a killed run leaves whole lines and at most one torn.
        self.file.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes())
    }
}

impl Executor for Logged<'_> {
    fn execute(&self, job: &Job, stop: &Arc<AtomicBool>) -> Result<Executed, StageError> {
        if let Err(error) = self.write(job) {
            // Without the line the job cannot be executed apart; the run can go on.
            tracing::warn!(%error, action = %job.site, "the job could not be written down");
        }
        self.executor.execute(job, stop)
    }
}

/// The job of a key, from the latest run that has it.
pub fn find_job(cache: &Cache, key: &ActionKey) -> Result<Option<Job>, CacheError> {
    let wanted = key.to_string();
    for run in cache.runs()?.iter().rev() {
        let Ok(file) = File::open(cache.runs_folder().join(run).join(FILE)) else { continue };
        for line in BufReader::new(file).split(b'\n') {
            let Ok(line) = line else { break };
            if line.starts_with(wanted.as_bytes())
                && let Some(job) = read_line(&line)
                && job.key == *key
            {
                return Ok(Some(job));
            }
        }
    }
    Ok(None)
}

/// How many lines of a run's jobs cannot be believed. One that was cut off, and one that another
/// version wrote, can.
pub fn damaged_jobs(cache: &Cache, run: &str) -> Result<usize, CacheError> {
    let bytes = cache.read_run_file(run, FILE)?.unwrap_or_default();
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let lines = bytes[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    Ok(lines.filter(|line| text_of_line(line).is_none()).count())
}

/// The line of a job.
fn line(job: &Job) -> io::Result<String> {
    let json = serde_json::to_string(job)?;
    Ok(format!("{} {} {json}\n", job.key, Digest::of(&json)))
}

/// The job of a line; none when the line is damaged.
fn read_line(line: &[u8]) -> Option<Job> {
    let job: Job = serde_json::from_str(text_of_line(line)?).ok()?;
    (key_of(&job.fields) == job.key).then_some(job)
}

/// The JSON of a line, when it has the digest that the line says.
fn text_of_line(line: &[u8]) -> Option<&str> {
    let line = std::str::from_utf8(line).ok()?;
    let (_, rest) = line.split_once(' ')?;
    let (digest, json) = rest.split_once(' ')?;
    (digest.parse() == Ok(Digest::of(json))).then_some(json)
}

impl Job {
    /// An error unless this program, with the plugins and files that it finds, gives the job the same key: elsewhere
    /// the same job could give other results, and they must not be stored under this key.
    pub fn check(&self, kinds: &Kinds, services: &Services) -> Result<(), StageError> {
        let kind = kinds
            .named(&self.kind)
            .ok_or_else(|| StageError::data(format!("there is no stage kind {}", self.kind)))?;
        let stage = (kind.prepare)(&self.options)
            .map_err(|problem| StageError::data(problem.message).at(problem.option))?;
        let mut writer = KeyWriter::new(kind, services, self.seed, &self.path_params, false);
        stage.key(&mut writer);
        let part = writer.finish();
        if let Some(problem) = part.problems.into_iter().next() {
            let error = StageError::data(problem.message).at(problem.option);
            return Err(match problem.hint {
                Some(hint) => error.hint(hint),
                None => error,
            });
        }
        let now = owned_fields(&part.bytes);
        // What comes after is the point and the inputs, which the job itself holds.
        let then = self.fields.get(..now.len()).unwrap_or(&self.fields);
        match first_difference(then, &now) {
            None if then == now => Ok(()),
            difference => Err(StageError::data(format!(
                "here the action is another: {}",
                difference.unwrap_or_else(|| "its options are written otherwise".to_owned())
            ))
            .hint("execute it with the fuseline, the plugins and the files of the run that wrote it down")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::*;

    proptest! {
        #[test]
        fn the_numbers_of_a_job_come_back_to_their_last_bit(
            bits in proptest::collection::vec(any::<u64>(), 1..40),
        ) {
            let numbers = bits.into_iter().map(f64::from_bits).filter(|number| number.is_finite());
            let numbers: Value = numbers.collect::<Vec<f64>>().into();
            let fields = vec![("with.c".to_owned(), numbers.to_string())];
            let job = Job {
                key: key_of(&fields),
                site: "expert".to_owned(),
                kind: "expert.logistic".to_owned(),
                options: Arc::new(Map::from_iter([("c".to_owned(), numbers)])),
                seed: 1,
                point: Vec::new(),
                files: Vec::new(),
                path_params: Vec::new(),
                isolation: None,
                provenance: None,
                inputs: Vec::new(),
                fields,
            };
            let read = read_line(line(&job).unwrap().trim_end().as_bytes()).expect("a whole line");
            prop_assert_eq!(read.options, job.options);
        }
    }
}
