//! The folders of runs, and the keys of each workflow's last run.

use std::cell::{Cell, OnceCell};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::File;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use fuseline_artifact::Digest;
use serde::Serializer as _;

use crate::cache::Cache;
use crate::error::CacheError;
use crate::index::Attachment;
use crate::key::ActionKey;
use crate::regular::open_regular;

/// Prefix of the lease files of runs; those of actions are bare keys.
pub(crate) const RUN_LEASE: &str = "run-";
/// Number of keys that are looked for in the text before all of it is read into a map.
pub(crate) const FEW: u32 = 8;

/// The keys of a workflow's last run, by action. What is damaged is not remembered.
#[derive(Debug, Default)]
pub struct PreviousKeys {
    /// A mapping in JSON, as [`Cache::remember`] writes it.
    text: String,
    asked: Cell<u32>,
    keys: OnceCell<BTreeMap<String, ActionKey>>,
}

impl PreviousKeys {
    /// The key of an action.
    pub fn get(&self, action: &str) -> Option<ActionKey> {
        if self.asked.replace(self.asked.get() + 1) < FEW {
            return self.find(action);
        }
        let keys = || serde_json::from_str(&self.text).unwrap_or_default();
        self.keys.get_or_init(keys).get(action).copied()
    }

    /// The same without reading more than there is to read: most runs ask for one of thousands.
    fn find(&self, action: &str) -> Option<ActionKey> {
        let name = serde_json::to_string(action).ok()?;
        // A quote that begins a name follows a brace or a comma; one within a text follows a
        // backslash.
        let entry = |before: char| self.text.find(&format!("{before}{name}:\""));
        let at = entry(',').or_else(|| entry('{'))? + name.len() + 3;
        self.text.get(at..at + 64)?.parse().ok()
    }
}

impl Cache {
    /// Marks a run as alive for as long as this cache is open: what it looks up from now on is
    /// not collected.
    ///
    /// Ids are expected to sort by time. An id that is taken is an error.
    pub fn announce_run(&self, id: &str) -> Result<(), CacheError> {
        let folder = self.run_folder(id)?;
        let name = format!("{RUN_LEASE}{id}");
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Vacant(place) = live.entry(name) {
            let lease = self.leases()?.acquire_soon(place.key())?;
            place.insert(lease.ok_or_else(|| taken(&folder))?);
            self.expire_packs();
        }
        Ok(())
    }

    /// Makes the folder of a new run, which is alive at the latest from now on.
    pub fn new_run(&self, id: &str) -> Result<PathBuf, CacheError> {
        // First the lease: a collection that does not see it yet cannot remove what this run has
        // not looked up yet.
        self.announce_run(id)?;
        let folder = self.run_folder(id)?;
        if self.store.stat(&folder).is_ok() {
            return Err(taken(&folder));
        }
        self.store.create_folder(&folder).map_err(CacheError::write(&folder))?;
        Ok(folder)
    }

    /// The folder that holds the folders of the runs.
    pub fn runs_folder(&self) -> &Path {
        &self.layout.runs
    }

    /// The ids of the runs that are kept, in order.
    pub fn runs(&self) -> Result<Vec<String>, CacheError> {
        match self.store.folders(&self.layout.runs) {
            Ok(runs) => Ok(runs),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(CacheError::read(&self.layout.runs)(error)),
        }
    }

    /// True if the process of a run is alive.
    pub fn is_run_alive(&self, id: &str) -> Result<bool, CacheError> {
        check_name(id)?;
        Ok(self.leases()?.is_held(&format!("{RUN_LEASE}{id}")))
    }

    /// Opens a file in the folder of a run, to read parts of it; none when it is not there.
    pub fn open_run_file(&self, id: &str, name: &str) -> Result<Option<File>, CacheError> {
        let path = self.run_file(id, name)?;
        match open_regular(&path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(CacheError::read(&path)(error)),
        }
    }

    /// Writes a file into the folder of a run, one part after the other: whole or not at all.
    pub fn write_run_file(&self, id: &str, name: &str, parts: &[&[u8]]) -> Result<(), CacheError> {
        self.publish(&self.run_file(id, name)?, parts)
    }

    /// The same with a part of an index's attachment behind the parts.
    pub fn write_run_file_with(
        &self,
        id: &str,
        name: &str,
        parts: &[&[u8]],
        attachment: &mut Attachment,
        attached: Range<u64>,
    ) -> Result<(), CacheError> {
        let path = self.run_file(id, name)?;
        self.publish_with(&path, |file| {
            parts.iter().try_for_each(|part| file.write_all(part))?;
            attachment.copy(attached, file)
        })
    }

    /// A file from the folder of a run, or none.
    pub fn read_run_file(&self, id: &str, name: &str) -> Result<Option<Vec<u8>>, CacheError> {
        self.read_if_there(&self.run_file(id, name)?)
    }

    /// Remembers the keys of a workflow's actions, so that the next plan can say what changed.
    pub fn remember(
        &self,
        workflow: &str,
        keys: impl Iterator<Item = (String, ActionKey)>,
    ) -> Result<(), CacheError> {
        let path = self.memory(workflow);
        let mut text = Vec::new();
        serde_json::Serializer::new(&mut text)
            .collect_map(keys)
            .map_err(|error| CacheError::write(&path)(error.into()))?;
        self.publish(&path, &[&text])
    }

    /// The keys that were remembered last for a workflow; none when there are none.
    pub fn remembered(&self, workflow: &str) -> Result<PreviousKeys, CacheError> {
        let path = self.memory(workflow);
        let text = self.read_if_there(&path)?.unwrap_or_default();
        match String::from_utf8(text) {
            Ok(text) => Ok(PreviousKeys { text, ..PreviousKeys::default() }),
            Err(_) => Err(CacheError::Unreadable { path }),
        }
    }

    /// Keeps what may be lost at any time, such as a memo of digests. Written whole or not at all.
    pub fn write_memo(&self, name: &str, bytes: &[u8]) -> Result<(), CacheError> {
        self.publish(&self.memo(name)?, &[bytes])
    }

    /// Bytes of a memo, or none.
    pub fn read_memo(&self, name: &str) -> Result<Option<Vec<u8>>, CacheError> {
        self.read_if_there(&self.memo(name)?)
    }

    fn memo(&self, name: &str) -> Result<PathBuf, CacheError> {
        check_name(name)?;
        Ok(self.layout.workflows.join(format!("{name}.memo")))
    }

    /// The name of a workflow may be any text, so its file is named by the text's digest.
    fn memory(&self, workflow: &str) -> PathBuf {
        self.layout.workflows.join(format!("{}.json", Digest::hash(workflow)))
    }

    pub(crate) fn read_if_there(&self, path: &Path) -> Result<Option<Vec<u8>>, CacheError> {
        match self.store.read(path) {
            Ok((bytes, _)) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(CacheError::read(path)(error)),
        }
    }

    fn run_folder(&self, id: &str) -> Result<PathBuf, CacheError> {
        check_name(id)?;
        Ok(self.layout.runs.join(id))
    }

    fn run_file(&self, id: &str, name: &str) -> Result<PathBuf, CacheError> {
        check_name(name)?;
        Ok(self.run_folder(id)?.join(name))
    }
}

fn taken(folder: &Path) -> CacheError {
    CacheError::write(folder)(ErrorKind::AlreadyExists.into())
}

/// A name that stays within its folder.
pub(crate) fn check_name(name: &str) -> Result<(), CacheError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.starts_with('.') || name.len() > 128 || !name.chars().all(plain) {
        return Err(CacheError::BadName { name: name.to_owned() });
    }
    Ok(())
}
