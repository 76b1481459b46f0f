//! Checks of what a cache holds beside objects and records, looked at as input: whoever may write
//! to a cache wrote it.

use std::path::PathBuf;

use fuseline_cache::Cache;
use fuseline_engine::{Manifest, ManifestError, Services, damaged_jobs};

use crate::error::Error;
use crate::run_context::{CONTEXT_FILE, RunContext};

/// A file of a cache that is not what it should be. Nothing is made of it, and nothing is lost but
/// what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsoundFile {
    /// The file.
    pub path: PathBuf,
    /// Description of the problem.
    pub problem: String,
}

/// Finds the manifests, contexts and jobs of runs, indexes and memos that are not what they should
/// be. What another version wrote, or a run that was killed did not finish, is sound.
pub fn find_unsound_files(cache: &Cache) -> Result<Vec<UnsoundFile>, Error> {
    let mut unsound = Vec::new();
    let mut note = |path: PathBuf, problem: String| unsound.push(UnsoundFile { path, problem });
    for run in cache.runs()? {
        let folder = cache.runs_folder().join(&run);
        match Manifest::read(cache, &run) {
            Ok(_) | Err(ManifestError::Missing { .. } | ManifestError::OtherForm { .. }) => {}
            Err(error) => note(folder.join("manifest.json"), error.to_string()),
        }
        if let Some(bytes) = cache.read_run_file(&run, CONTEXT_FILE)?
            && let Err(problem) = RunContext::decode(&bytes)
        {
            note(folder.join(CONTEXT_FILE), format!("it {problem}"));
        }
        for path in damaged_jobs(cache, &run)? {
            note(path, "it is no job".to_owned());
        }
    }
    for path in cache.damaged_indexes()? {
        note(path, "it is no index; the next run of its workflow does without".to_owned());
    }
    for path in Services::damaged_memos(cache)? {
        // A run that needs nothing of it would leave it as it is.
        let _ = std::fs::remove_file(&path);
        note(path, "it was no memo, and is removed; the next run does without".to_owned());
    }
    Ok(unsound)
}
