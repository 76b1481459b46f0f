//! Looks at every object and record.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use fuseline_artifact::Digest;

use crate::cache::Cache;
use crate::error::CacheError;
use crate::key::ActionKey;
use crate::pack::EntryKind;
use crate::placement::{Shelf, Stored};
use crate::record::ActionRecord;

/// Result of a verification.
#[derive(Debug, Clone, Default)]
pub struct VerifyReport {
    /// Objects looked at, damaged ones included.
    pub objects: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Records looked at, damaged ones included.
    pub records: usize,
    /// Objects whose bytes are not those of their name.
    pub damaged_objects: Vec<SetAside>,
    /// Damaged records.
    pub damaged_records: Vec<SetAside>,
    /// Objects that a record names and that are not there, or of another length. Their actions run
    /// again.
    pub missing: Vec<MissingObject>,
}

/// A damaged file, out of the way: the next run makes again what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// The name that it had: of an object, or of an action.
    pub digest: Digest,
    /// Path that it was moved to.
    pub path: PathBuf,
    /// Description of the problem.
    pub problem: String,
}

/// An object that a record names and that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingObject {
    /// The action.
    pub key: ActionKey,
    /// The port of the output.
    pub port: String,
    /// The object.
    pub digest: Digest,
}

impl VerifyReport {
    /// True if nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.damaged_objects.is_empty()
            && self.damaged_records.is_empty()
            && self.missing.is_empty()
    }
}

impl Cache {
    /// Reads every object and record. What is damaged is named and set aside, so that the next run
    /// makes it again.
    pub fn verify(&self) -> Result<VerifyReport, CacheError> {
        let mut report = VerifyReport::default();
        let mut sizes = BTreeMap::new();
        for checked in self.check_objects()? {
            report.objects += 1;
            report.bytes += checked.size;
            match checked.problem {
                None => {
                    sizes.insert(checked.digest, checked.size);
                }
                Some(problem) => {
                    let path = self.set_stored_aside(Shelf::Objects, &checked.stored);
                    let digest = checked.digest;
                    report.damaged_objects.push(SetAside { digest, path, problem });
                }
            }
        }
        for (digest, stored) in self.all_stored(Shelf::Actions)? {
            let key = ActionKey::from(digest);
            let record = match self.read_stored(&stored) {
                Ok(bytes) => {
                    ActionRecord::decode(&key, &bytes).map_err(|problem| problem.to_string())
                }
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => Err(format!("it cannot be read: {error}")),
            };
            report.records += 1;
            match record {
                Ok(record) => {
                    let missing = record.outputs.into_iter().filter(|output| {
                        match sizes.get(&output.digest) {
                            Some(size) => *size != output.size,
                            // Perhaps it was put after the objects were listed.
                            None => {
                                !self.has_local_object(&output.digest, output.size)
                                    || !self.is_whole(&output.digest)
                            }
                        }
                    });
                    report.missing.extend(missing.map(|output| MissingObject {
                        key,
                        port: output.port,
                        digest: output.digest,
                    }));
                }
                Err(problem) => {
                    let path = self.set_stored_aside(Shelf::Actions, &stored);
                    report.damaged_records.push(SetAside { digest, path, problem });
                }
            }
        }
        if !report.damaged_records.is_empty() {
            // The actions are to be made again, and not to be found by what an index still says of
            // them.
            self.forget_indexes()?;
        }
        Ok(report)
    }

    fn is_whole(&self, digest: &Digest) -> bool {
        matches!(self.read_object(digest, |_| ()), Ok(Some(())))
    }

    /// Hashes every object, on a few threads.
    fn check_objects(&self) -> Result<Vec<Checked>, CacheError> {
        let objects = self.all_stored(Shelf::Objects)?;
        let next = AtomicUsize::new(0);
        let done = Mutex::new(Vec::with_capacity(objects.len()));
        let work = || {
            while let Some((digest, stored)) = objects.get(next.fetch_add(1, Ordering::Relaxed)) {
                let Some(checked) = self.check_object(*digest, stored) else { continue };
                done.lock().unwrap_or_else(PoisonError::into_inner).push(checked);
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(work);
            }
            work();
        });
        let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.sort_by_key(|checked| checked.digest);
        Ok(done)
    }

    /// None when it is gone: a concurrent collection may have removed it.
    fn check_object(&self, digest: Digest, stored: &Stored) -> Option<Checked> {
        let (size, found) = match stored {
            Stored::Packed(packed) => {
                (u64::from(packed.entry.length), packed.read().map(Digest::hash))
            }
            Stored::File(path) | Stored::Stat(path, _) => {
                let size = self.store.stat(path).map_or(0, |stat| stat.size);
                (size, self.store.open(path).and_then(Digest::of_reader))
            }
        };
        let problem = match found {
            Ok(found) if found == digest => None,
            Ok(found) => Some(format!("its digest is {found}")),
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            Err(error) => Some(format!("it cannot be read: {error}")),
        };
        Some(Checked { digest, stored: stored.clone(), size, problem })
    }

    /// Everything on a shelf, by digest: what has a file, then what is in packs.
    fn all_stored(&self, shelf: Shelf) -> Result<Vec<(Digest, Stored)>, CacheError> {
        let packs = self.packs(shelf);
        let files = self.named_files(self.folder_of(shelf))?.into_iter();
        let mut all: Vec<_> = files.map(|(digest, path)| (digest, Stored::File(path))).collect();
        let packed = packs.entries(EntryKind::Live).map_err(CacheError::read(packs.folder()))?;
        all.extend(packed.into_iter().map(|packed| (packed.entry.digest, Stored::Packed(packed))));
        all.sort_by_key(|(digest, _)| *digest);
        Ok(all)
    }

    fn read_stored(&self, stored: &Stored) -> io::Result<Bytes> {
        match stored {
            Stored::Packed(packed) => packed.read(),
            Stored::File(path) | Stored::Stat(path, _) => Ok(self.store.read(path)?.0.into()),
        }
    }

    /// The files of objects or records whose names are digests, in order.
    pub(crate) fn named_files(&self, folder: &Path) -> Result<Vec<(Digest, PathBuf)>, CacheError> {
        let mut files = Vec::new();
        for shard in self.list(folder)?.into_iter().filter(|entry| entry.stat.folder) {
            let folder = folder.join(&shard.name);
            for entry in self.list(&folder)? {
                if let Ok(digest) = format!("{}{}", shard.name, entry.name).parse() {
                    files.push((digest, folder.join(&entry.name)));
                }
            }
        }
        Ok(files)
    }
}

struct Checked {
    digest: Digest,
    stored: Stored,
    size: u64,
    problem: Option<String>,
}
