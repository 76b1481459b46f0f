//! The jobs of a run, beside its manifest, so that one can be executed again without the workflow.
//!
//! `cache/runs/ID/jobs/KEY` is the job of one key: the digest of what follows, and the job as JSON.
//! The jobs of a larger run are in packs beside the first. A damaged one is no job, and neither is
//! one whose fields do not give its key.
//! `cache/runs/ID/batches/N` lists the keys of jobs that are executed together, a line each, all of
//! one length, so that the i-th is found without reading those before it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fuseline_artifact::Digest;
use fuseline_cache::{ActionKey, Cache, CacheError, Jobs};

use crate::error::StageError;
use crate::explain::first_difference;
use crate::job::Job;
use crate::key::{KeyWriter, key_of, owned_fields};
use crate::kind::Kinds;
use crate::services::Services;

const BATCHES: &str = "batches";
/// Length of a line of a batch: a key in hexadecimal, and the end of the line.
const BATCH_LINE_BYTES: u64 = 65;

/// The folder in which a run writes its jobs down.
#[derive(Debug, Clone)]
pub struct JobFolder {
    run: PathBuf,
    jobs: Arc<Jobs>,
    batches: Arc<AtomicUsize>,
}

impl JobFolder {
    /// Makes the folder within that of a run that has begun.
    pub fn create(cache: &Cache, run: &str) -> io::Result<Self> {
        let jobs = cache.jobs(run).map_err(io::Error::other)?;
        jobs.create_folder()?;
        Ok(Self { run: cache.runs_folder().join(run), jobs, batches: Arc::default() })
    }

    /// Writes a job down, once. One that is cut short by the end of the process is no job.
    pub fn write(&self, job: &Job) -> io::Result<()> {
        self.jobs.put(&job.key, encode(job)?.as_bytes())
    }

    /// Writes a batch of jobs down: the jobs, and a file with their keys. The path of that file.
    pub fn write_batch<'j>(&self, jobs: impl Iterator<Item = &'j Job>) -> io::Result<PathBuf> {
        let mut keys = Vec::new();
        for job in jobs {
            self.write(job)?;
            keys.push(job.key);
        }
        self.write_keys(&keys)
    }

    /// Writes a batch of jobs down that have been written. The path of the file with their keys.
    pub fn write_keys(&self, keys: &[ActionKey]) -> io::Result<PathBuf> {
        // Whoever executes them looks each up on its own.
        self.jobs.index();
        let keys: String = keys.iter().map(|key| format!("{key}\n")).collect();
        let folder = self.run.join(BATCHES);
        fs::create_dir_all(&folder)?;
        let path = folder.join(self.batches.fetch_add(1, Ordering::Relaxed).to_string());
        let mut file = File::create_new(&path)?;
        file.write_all(keys.as_bytes())?;
        Ok(path)
    }
}

/// The number of jobs in a batch.
pub fn batch_len(batch: &Path) -> io::Result<u64> {
    Ok(fs::metadata(batch)?.len() / BATCH_LINE_BYTES)
}

/// The keys of the jobs in a batch; an error when one is none.
pub fn read_batch_keys(batch: &Path) -> io::Result<Vec<ActionKey>> {
    let text = fs::read_to_string(batch)?;
    let key = |line: &str| line.parse().map_err(|_| io::Error::other("a line is no key"));
    text.lines().map(key).collect()
}

/// The job of a key, from the latest run that has it.
pub fn find_job(cache: &Cache, key: &ActionKey) -> Result<Option<Job>, CacheError> {
    for run in cache.runs()?.iter().rev() {
        let jobs = cache.jobs(run)?;
        if let Some(job) = read(&jobs, key) {
            return Ok(Some(job));
        }
    }
    Ok(None)
}

/// The i-th job of a batch of a run of this cache, counted from 0; none when there is no such job,
/// or it is damaged.
pub fn read_batch(cache: &Cache, batch: &Path, index: u64) -> io::Result<Option<Job>> {
    let mut file = File::open(batch)?;
    let Some(start) = index.checked_mul(BATCH_LINE_BYTES) else { return Ok(None) };
    file.seek(SeekFrom::Start(start))?;
    let mut line = [0; BATCH_LINE_BYTES as usize];
    match file.read_exact(&mut line) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let key = str::from_utf8(&line).ok().and_then(|line| line.trim_end().parse().ok());
    let run = batch.ancestors().nth(2).and_then(Path::file_name).and_then(OsStr::to_str);
    let Some((run, key)) = run.zip(key) else { return Ok(None) };
    let jobs = cache.jobs(run).map_err(io::Error::other)?;
    Ok(read(&jobs, &key))
}

/// The files with damaged jobs of a run. One that was cut off, and one that another version
/// wrote, do not count.
pub fn damaged_jobs(cache: &Cache, run: &str) -> Result<Vec<PathBuf>, CacheError> {
    let jobs = cache.jobs(run)?;
    let all = jobs
        .all()
        .map_err(|source| CacheError::Read { path: cache.runs_folder().join(run), source })?;
    let is_damaged = |bytes: &[u8]| bytes.ends_with(b"\n") && text_of(bytes).is_none();
    let damaged = all.into_iter().filter(|(_, bytes)| is_damaged(bytes));
    let mut paths: Vec<PathBuf> = damaged.map(|(path, _)| path).collect();
    paths.sort();
    paths.dedup();
    Ok(paths)
}

fn read(jobs: &Jobs, key: &ActionKey) -> Option<Job> {
    let job = decode(&jobs.get(key).ok()??)?;
    (job.key == *key).then_some(job)
}

fn encode(job: &Job) -> io::Result<String> {
    let json = serde_json::to_string(job)?;
    Ok(format!("{} {json}\n", Digest::hash(&json)))
}

/// The job in the bytes of its file; none when they are damaged.
fn decode(bytes: &[u8]) -> Option<Job> {
    let job: Job = serde_json::from_str(text_of(bytes)?).ok()?;
    (key_of(&job.fields) == job.key).then_some(job)
}

/// The JSON of a job, when it has the digest before it.
fn text_of(bytes: &[u8]) -> Option<&str> {
    let (digest, json) = str::from_utf8(bytes).ok()?.trim_end().split_once(' ')?;
    (digest.parse() == Ok(Digest::hash(json))).then_some(json)
}

impl Job {
    /// An error unless this program, with the plugins and files that it finds, gives the job the
    /// same key: elsewhere the same job could give other results, and they must not be stored under
    /// this key.
    pub fn check(&self, kinds: &Kinds, services: &Services) -> Result<(), StageError> {
        let kind = kinds
            .named(&self.kind)
            .ok_or_else(|| StageError::data(format!("there is no stage kind {}", self.kind)))?;
        let stage = (kind.prepare)(&self.options)
            .map_err(|problem| StageError::data(problem.message).at(problem.option))?;
        let Self { seed, path_params, conditions, .. } = self;
        let passed = &conditions.passed;
        let mut writer =
            KeyWriter::new(kind, services, *seed, path_params, passed, false, Vec::new());
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
        // The remaining fields are the point and the inputs, which the job itself holds.
        let then = self.fields.get(..now.len()).unwrap_or(&self.fields);
        match first_difference(then, &now) {
            None if then == now => Ok(()),
            difference => Err(StageError::data(format!(
                "here the action is another: {}",
                difference.unwrap_or_else(|| "its options are written otherwise".to_owned())
            ))
            .hint(
                "execute it with the fuseline, the plugins and the files of the run that wrote it \
                 down",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::*;
    use crate::job::JobLimits;

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
                conditions: Default::default(),
                rule_files: Vec::new(),
                plugin_path: Vec::new(),
                keep_failed: None,
                limits: JobLimits::default(),
                reuse: true,
                provenance: None,
                inputs: Vec::new(),
                fields,
            };
            let read = decode(encode(&job).unwrap().as_bytes()).expect("a whole job");
            prop_assert_eq!(read.options, job.options);
        }
    }
}
