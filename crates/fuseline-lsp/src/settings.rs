//! Settings of a client for the workflows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fuseline::{Study, cache_folder};
use serde::Deserialize;
use serde_json::Value;

/// Settings, as `initializationOptions` or under `fuseline` of the client's configuration.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Settings {
    /// The cache folder; that of the environment, of `fuseline.toml` or `cache` otherwise. Relative
    /// to the first folder of the workspace.
    pub cache: Option<PathBuf>,
    /// Values of params, as `--set` gives them.
    pub set: BTreeMap<String, Value>,
    /// A file of params, as `--params` gives it.
    pub params: Option<PathBuf>,
    /// Folders that are searched for fusion rules, as `--plugin-path` gives them.
    pub plugin_path: Vec<PathBuf>,
}

impl Settings {
    /// The settings in a value; those of `fuseline` where the value is a client's whole
    /// configuration.
    pub fn read(value: &Value) -> Result<Self, String> {
        let own = value.get("fuseline").unwrap_or(value);
        match own {
            Value::Null => Ok(Self::default()),
            own => Self::deserialize(own).map_err(|error| error.to_string()),
        }
    }

    /// The cache folder of a workflow.
    pub fn cache(&self, root: &Path, folder: &Path) -> PathBuf {
        let own = root.parent().unwrap_or(folder);
        // Settings that cannot be read are an error of the check; there is no cache to look into
        // then.
        let named = cache_folder(self.cache.as_deref(), own).unwrap_or_else(|_| "cache".into());
        folder.join(named)
    }

    /// The study of a workflow file, with texts in the place of files.
    pub fn study(
        &self,
        root: &Path,
        folder: &Path,
        texts: impl IntoIterator<Item = (PathBuf, Arc<str>)>,
    ) -> Study {
        let mut study = Study::new(root);
        for (name, value) in &self.set {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            study = study.set(name, text);
        }
        for path in &self.plugin_path {
            study = study.plugin_path(folder.join(path));
        }
        if let Some(file) = &self.params {
            study = study.params_file(folder.join(file));
        }
        for (path, text) in texts {
            study = study.unsaved(path, text);
        }
        study
    }
}
