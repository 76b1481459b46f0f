//! Past runs by their names.

use std::path::Path;

use fuseline_cache::Cache;
use fuseline_engine::{Manifest, ManifestError};

use crate::error::Error;
use crate::run_context::RunContext;

/// The ways to name a run.
const NAMES: &str = "`fuseline runs list` shows them; `latest` and `latest~1` name the last two";

/// The manifest of a run: its id, the beginning of it, `latest`, or `latest~1` for the one before.
pub fn find_run(cache: &Cache, name: &str) -> Result<Manifest, Error> {
    Manifest::read(cache, &find_run_id(cache, name)?).map_err(|error| match error {
        ManifestError::Cache(error) => error.into(),
        other => Error::request(other.to_string()),
    })
}

/// The id of a run that may go on, by the names of [`find_run`].
pub fn find_run_id(cache: &Cache, name: &str) -> Result<String, Error> {
    find_id(&cache.runs()?, name)
}

/// The manifest of the run that a workflow file or one of the names of [`find_run`] stands for: of
/// a file, the latest run of the text that it has now.
pub fn find_run_of(cache: &Cache, name: &str) -> Result<Manifest, Error> {
    let file = Path::new(name);
    let is_workflow = file.extension().is_some_and(|end| end == "yaml" || end == "yml");
    if !is_workflow || !file.is_file() {
        return find_run(cache, name);
    }
    let text = std::fs::read_to_string(file)
        .map_err(|source| Error::Read { path: file.to_owned(), source })?;
    let file_name = file.file_name().unwrap_or_default();
    let mut other_text = None;
    for run in cache.runs()?.iter().rev() {
        // One that goes on, was killed or is of another version has none.
        let Ok(context) = RunContext::read(cache, run) else { continue };
        if Path::new(&context.provenance.file).file_name() != Some(file_name) {
            continue;
        }
        if context
            .texts
            .iter()
            .any(|(name, known)| Path::new(name) == Path::new(file_name) && *known == text)
        {
            return find_run(cache, run);
        }
        other_text.get_or_insert_with(|| run.clone());
    }
    Err(match other_text {
        Some(run) => Error::request(format!(
            "no run in the cache is of {name} as it is now; that of {run} was of another text"
        ))
        .with_hint(format!("`fuseline run {name}` runs it; `{run}` in its place names that run")),
        None => Error::request(format!("no run in the cache is of {name}"))
            .with_hint(format!("`fuseline run {name}` runs it, and --cache names another cache")),
    })
}

fn find_id(runs: &[String], name: &str) -> Result<String, Error> {
    let back = match name.strip_prefix("latest") {
        Some("") => Some(0),
        Some(rest) => rest.strip_prefix('~').and_then(|back| back.parse::<usize>().ok()),
        None => None,
    };
    if let Some(back) = back {
        let number = back.checked_add(1).and_then(|back| runs.len().checked_sub(back));
        return number
            .and_then(|number| runs.get(number))
            .cloned()
            .ok_or_else(|| Error::request(format!("the cache keeps {} runs only", runs.len())));
    }
    let mut matches = runs.iter().filter(|run| run.starts_with(name));
    let problem = match (matches.next(), matches.next()) {
        (Some(run), None) => return Ok(run.clone()),
        (Some(run), Some(_)) if run == name => return Ok(run.clone()),
        (Some(_), Some(_)) => format!("more than one run begins with {name}"),
        (None, _) => format!("there is no run {name}"),
    };
    Err(Error::request(problem).with_hint(NAMES.to_owned()))
}
