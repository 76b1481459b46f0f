//! Looks at every object and record.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use fuseline_artifact::Digest;

use crate::cache::Cache;
use crate::error::CacheError;
use crate::key::ActionKey;
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
                    let path = self.set_aside(&checked.path);
                    let digest = checked.digest;
                    report.damaged_objects.push(SetAside { digest, path, problem });
                }
            }
        }
        for (digest, path) in self.named_files(&self.layout.actions)? {
            let key = ActionKey::from(digest);
            let record = match self.read_if_there(&path) {
                Ok(None) => continue,
                Ok(Some(bytes)) => {
                    ActionRecord::decode(&key, &bytes).map_err(|problem| problem.to_string())
                }
                Err(CacheError::Read { source, .. }) => Err(format!("it cannot be read: {source}")),
                Err(error) => return Err(error),
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
                    let path = self.set_aside(&path);
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
        let file = self.store.open(&self.layout.object(digest));
        file.and_then(Digest::of_reader).is_ok_and(|found| found == *digest)
    }

    /// Hashes every object, on a few threads.
    fn check_objects(&self) -> Result<Vec<Checked>, CacheError> {
        let files = self.named_files(&self.layout.objects)?;
        let next = AtomicUsize::new(0);
        let done = Mutex::new(Vec::with_capacity(files.len()));
        let work = || {
            while let Some((digest, path)) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                let Some(checked) = self.check_object(*digest, path) else { continue };
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
    fn check_object(&self, digest: Digest, path: &Path) -> Option<Checked> {
        let size = self.store.stat(path).ok()?.size;
        let problem = match self.store.open(path).and_then(Digest::of_reader) {
            Ok(found) if found == digest => None,
            Ok(found) => Some(format!("its digest is {found}")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
            Err(error) => Some(format!("it cannot be read: {error}")),
        };
        Some(Checked { digest, path: path.to_owned(), size, problem })
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
    path: PathBuf,
    size: u64,
    problem: Option<String>,
}
