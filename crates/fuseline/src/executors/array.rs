//! The arrays that a run has submitted, as they are written down beside its batches, so that
//! another process can cancel them or go on with them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use fuseline_cache::Cache;
use fuseline_engine::Manifest;
use serde::{Deserialize, Serialize};

use super::engine as engine_of;
use super::engine::{Engine, EngineError};
use crate::error::Error;
use crate::settings::{ExecutorName, ExecutorSettings};

/// The file in the folder of a run that requests the cancellation of its actions in flight.
const CANCEL_FILE: &str = "cancel";

/// An array that was submitted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ArrayRecord {
    /// The engine.
    pub engine: ExecutorName,
    /// Its id there.
    pub id: String,
    /// The label that it was submitted with; none in records from before there was one.
    #[serde(default)]
    pub label: Option<String>,
    /// Actions of a task at most.
    pub chunk: u32,
    /// Tasks.
    pub tasks: u32,
}

impl ArrayRecord {
    /// Writes the record of the array of a batch.
    pub fn write(&self, batch: &Path) -> std::io::Result<()> {
        let path = batch.with_extension("array");
        let part = batch.with_extension("array.part");
        fs::write(&part, serde_json::to_vec(self)?)?;
        fs::rename(part, path)
    }

    /// True if the engine knows the array still, and not another under its id.
    ///
    /// `ours`: what [`Engine::still_ours`] says of its label.
    pub fn is_among(&self, ours: &BTreeSet<String>) -> bool {
        self.label.is_none() || ours.contains(&self.id)
    }

    /// The arrays of a run, each with the file of its batch.
    pub fn of_run(run: &Path) -> Vec<(PathBuf, Self)> {
        let entries = fs::read_dir(run.join("batches")).into_iter().flatten().flatten();
        let mut records: Vec<_> = entries
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "array"))
            .filter_map(|path| {
                let record = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
                Some((path.with_extension(""), record))
            })
            .collect();
        records.sort_by(|(a, _), (b, _)| a.cmp(b));
        records
    }
}

/// True if the cancellation of a run's actions in flight was requested.
pub(crate) fn is_cancelled(run: &Path) -> bool {
    run.join(CANCEL_FILE).exists()
}

/// Tells a run to stop, and cancels what it has submitted to an engine and the engine still knows.
/// Returns the number of arrays.
///
/// The run may go on in another process, on another machine, or be dead.
pub fn cancel_run(cache: &Cache, run: &str, settings: &ExecutorSettings) -> Result<usize, Error> {
    let folder = cache.runs_folder().join(run);
    if Manifest::read(cache, run).is_ok() {
        return Err(Error::request(format!("run {run} has ended")));
    }
    let file = folder.join(CANCEL_FILE);
    fs::write(&file, b"").map_err(|source| Error::Write { path: file, source })?;
    let arrays = ArrayRecord::of_run(&folder);
    let mut cancelled = 0;
    for arrays in arrays.chunk_by(|(_, a), (_, b)| a.engine == b.engine) {
        let engine = engine_of(arrays[0].1.engine, settings)?;
        let cannot = |EngineError { message, .. }| {
            Error::failed(format!("{} cannot cancel: {message}", engine.name()))
        };
        // An id alone may by now be that of somebody else's job.
        let ours = ours(&*engine, arrays.iter().map(|(_, array)| array)).map_err(cannot)?;
        let arrays = arrays.iter().map(|(_, array)| array).filter(|array| array.is_among(&ours));
        let ids: Vec<_> = arrays.map(|array| array.id.as_str()).collect();
        engine.cancel(&ids).map_err(cannot)?;
        cancelled += ids.len();
    }
    Ok(cancelled)
}

/// The ids of those arrays that the engine knows under their labels.
pub(super) fn ours<'a>(
    engine: &dyn Engine,
    arrays: impl Iterator<Item = &'a ArrayRecord>,
) -> Result<BTreeSet<String>, EngineError> {
    let labelled: Vec<_> =
        arrays.filter_map(|array| Some((array.id.as_str(), array.label.as_deref()?))).collect();
    if labelled.is_empty() { Ok(BTreeSet::new()) } else { engine.still_ours(&labelled) }
}
