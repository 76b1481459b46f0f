//! Shared state for programs that open studies again and again.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

use fuseline_engine::{FileDigests, Kinds, Services};
use fuseline_host::{Isolation, PluginLibrary};

use crate::error::Error;
use crate::plugin_path::{RulePath, services};
use crate::settings::{FilePath, LimitSettings, LoadedSettings};

/// State that one opening of a study leaves to the next in the same program: the stage kinds with
/// the schemas of their options, and the plugins, which are read again when a file on their path
/// has changed.
#[derive(Default)]
pub struct OpenContext {
    kinds: OnceLock<Arc<Kinds>>,
    plugins: Mutex<Option<(PluginStamp, PluginLibrary)>>,
}

/// Sources that a library of plugins was made from.
#[derive(PartialEq)]
struct PluginStamp {
    path: RulePath,
    files: Vec<(PathBuf, u64, Option<SystemTime>)>,
    in_process: bool,
    lock: Option<Vec<u8>>,
    limits: LimitSettings,
    python: Option<String>,
    devices: Vec<FilePath>,
    /// Origins of limits and interpreter, which messages name.
    origins: Vec<Option<String>>,
}

impl OpenContext {
    /// The built-in stage kinds.
    pub fn kinds(&self) -> Arc<Kinds> {
        Arc::clone(self.kinds.get_or_init(|| Arc::new(fuseline_stages::kinds())))
    }

    /// The services for stages: those of the last opening while nothing that they come from has
    /// changed.
    pub(crate) fn services(
        &self,
        path: RulePath,
        isolation: Option<Isolation>,
        lock: Option<&Path>,
        loaded: &LoadedSettings,
    ) -> Result<Services, Error> {
        let stamp = |path: PathBuf| {
            let found = std::fs::metadata(&path).ok();
            let length = found.as_ref().map_or(0, std::fs::Metadata::len);
            (path, length, found.and_then(|found| found.modified().ok()))
        };
        let settings = &loaded.settings;
        let named = path.named.iter().map(|(_, path)| path.clone());
        let files = PluginLibrary::files_on_path(&path.search).into_iter().chain(named);
        let origins = ["limits.memory", "limits.load", "limits.call", "python"];
        let stamp = PluginStamp {
            files: files.map(stamp).collect(),
            path,
            in_process: isolation == Some(Isolation::InProcess),
            lock: lock.and_then(|lock| std::fs::read(lock).ok()),
            limits: settings.limits,
            python: settings.python.clone(),
            devices: settings.devices.clone(),
            origins: origins.map(|name| loaded.origin(name)).into(),
        };
        let mut last = self.plugins.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, plugins)) = &*last
            && *known == stamp
        {
            let (plugins, files) = (plugins.clone(), FileDigests::default());
            return Ok(Services { plugins, isolation, files, shared: Default::default() });
        }
        let services = services(stamp.path.clone(), isolation, lock, loaded)?;
        *last = Some((stamp, services.plugins.clone()));
        Ok(services)
    }
}
