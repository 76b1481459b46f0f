//! `fuseline.lock`: which plugins a study was made with.

use std::collections::BTreeMap;
use std::path::Path;

use fuseline_artifact::Digest;
use serde::{Deserialize, Serialize};

use crate::error::HostError;
use crate::library::PluginFile;

/// The version of the file's layout.
const LAYOUT: u32 = 1;

/// The plugins that may be used, by id, each with the digest that its file must have.
///
/// A rule that the lock does not name may be used as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    fuseline_lock: u32,
    plugins: BTreeMap<String, Digest>,
}

impl Lock {
    /// The lock of these plugins.
    pub fn pin<'f>(files: impl IntoIterator<Item = &'f PluginFile>) -> Self {
        let plugins = files.into_iter().map(|file| (file.id.clone(), file.digest)).collect();
        Self { fuseline_lock: LAYOUT, plugins }
    }

    /// Reads a lock file; none when there is no such file.
    pub fn read(path: &Path) -> Result<Option<Self>, HostError> {
        let unreadable = |reason: String| HostError::Unreadable { path: path.to_owned(), reason };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(error.to_string())),
        };
        let lock: Self =
            serde_json::from_str(&text).map_err(|error| unreadable(error.to_string()))?;
        if lock.fuseline_lock != LAYOUT {
            return Err(unreadable(format!("its layout {} is not {LAYOUT}", lock.fuseline_lock)));
        }
        Ok(Some(lock))
    }

    /// The text of the lock file: one line a plugin, sorted by id, so that a change is one line of
    /// a diff.
    pub fn text(&self) -> String {
        let lines: Vec<_> =
            self.plugins.iter().map(|(id, digest)| format!("    \"{id}\": \"{digest}\"")).collect();
        format!(
            "{{\n  \"fuseline_lock\": {LAYOUT},\n  \"plugins\": {{\n{}\n  }}\n}}\n",
            lines.join(",\n")
        )
    }

    /// An error when the lock names another digest for this plugin.
    pub fn admits(&self, file: &PluginFile) -> Result<(), HostError> {
        match self.plugins.get(&file.id) {
            Some(locked) if *locked != file.digest => Err(HostError::Locked {
                id: file.id.clone(),
                path: file.path.clone(),
                locked: *locked,
                found: file.digest,
            }),
            _ => Ok(()),
        }
    }
}
