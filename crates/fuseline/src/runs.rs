//! Past runs by their names.

use fuseline_cache::Cache;
use fuseline_engine::{Manifest, ManifestError};

use crate::error::Error;

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
