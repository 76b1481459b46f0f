//! The params that the last run of a workflow was given from outside, for commands that look at
//! its results.

use std::path::{Path, PathBuf};

use fuseline_artifact::Digest;
use fuseline_cache::Cache;
use fuseline_engine::Manifest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Error;
use crate::study::Study;

/// Arguments of a run besides its workflow. The values are in the run's manifest.
#[derive(Debug, Default, Serialize, Deserialize)]
struct LastRequest {
    run: String,
    /// Names of the params that were set.
    set: Vec<String>,
    /// The file of params, absolute.
    params: Option<PathBuf>,
    /// True if the run was given a seed.
    seed: bool,
}

/// A study as its workflow was last run.
#[derive(Debug, Clone)]
pub struct RecalledStudy {
    /// The study, with the params of that run where it had none of its own.
    pub study: Study,
    /// The run.
    pub run: String,
    /// The arguments that were taken from it, as on a command line.
    pub arguments: Vec<String>,
}

impl Study {
    /// Notes in the cache what a run of this study was given, for [`Study::recall`].
    pub fn remember(&self, cache: &Cache, run: &str) -> Result<(), Error> {
        let name = self.memo()?;
        let is_plain = self.set.is_empty() && self.params.is_none() && self.seed.is_none();
        if is_plain && cache.read_memo(&name)?.is_none() {
            return Ok(());
        }
        let params = self.params.as_deref().map(absolute).transpose()?;
        let mut set: Vec<_> = self.set.iter().map(|(name, _)| name.clone()).collect();
        set.sort();
        set.dedup();
        let seed = self.seed.is_some();
        let request = LastRequest { run: run.to_owned(), set, params, seed };
        let bytes = serde_json::to_vec(&request).map_err(Error::failed)?;
        Ok(cache.write_memo(&name, &bytes)?)
    }

    /// This study with what the last run of its workflow was given, as far as it is given nothing
    /// itself. `None` where there is nothing to take, or where the run is not kept any more.
    pub fn recall(&self, cache: &Cache) -> Result<Option<RecalledStudy>, Error> {
        let Some(bytes) = cache.read_memo(&self.memo()?)? else { return Ok(None) };
        // A memo may be lost at any time, and so may what it says.
        let Ok(request) = serde_json::from_slice::<LastRequest>(&bytes) else { return Ok(None) };
        let LastRequest { run, set, params, seed } = request;
        let Ok(manifest) = Manifest::read(cache, &run) else { return Ok(None) };
        let mut study = self.clone();
        let mut arguments = Vec::new();
        for name in set.iter().filter(|name| self.set.iter().all(|(own, _)| own != *name)) {
            let Some(value) = manifest.params.get(name) else { continue };
            let text = argument(value);
            arguments.push(format!("--set {name}={text}"));
            study = study.set(name, text);
        }
        if let Some(file) = params.filter(|file| self.params.is_none() && file.exists()) {
            arguments.push(format!("--params {}", file.display()));
            study = study.params_file(file);
        }
        if seed && self.seed.is_none() {
            arguments.push(format!("--seed {}", manifest.seed));
            study = study.seed(manifest.seed);
        }
        Ok((!arguments.is_empty()).then_some(RecalledStudy { study, run, arguments }))
    }

    /// The name of the memo: the workflow's file, wherever it is named from.
    fn memo(&self) -> Result<String, Error> {
        let path = absolute(self.path())?;
        let path = path.canonicalize().unwrap_or(path);
        Ok(format!("request-{}", Digest::hash(path.as_os_str().as_encoded_bytes())))
    }
}

fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path)
        .map_err(|error| Error::request(format!("there is no working directory: {error}")))
}

/// The text of a value as it is given on a command line.
pub(crate) fn argument(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
