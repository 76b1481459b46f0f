//! Discovered inputs: files that an action was found to have read, beyond those that its key names.
//!
//! The files that a program reads are known when it has ended and not before, as with the depfiles
//! of ninja. The files and the digests of their contents are one more object of the action's
//! record, behind its declared outputs, and the record counts only while every file is as it was.
//! No key holds them, and the index does not know such actions, so that they are looked at in every
//! run that plans.

use std::io;
use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use fuseline_artifact::Digest;
use fuseline_cache::{ActionRecord, Cache, CacheError, OutputRecord};
pub use fuseline_host::ReadFile;
use serde::{Deserialize, Serialize};

use crate::cautions::put_beside;
use crate::error::StageError;
use crate::files::{FileDigests, open_regular};

/// The port and the kind of the object in a record. No artifact is of this kind.
const NAME: &str = "discovered";

/// A file that a record depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiscoveredFile {
    /// Its absolute path.
    pub path: PathBuf,
    /// The digest of its content.
    pub digest: Digest,
}

/// Stores the list of read files in the cache; none when nothing was read.
///
/// Errors when a file is gone, or is not as the action found it: it is unknown which of the
/// two contents it worked with.
pub(crate) fn store(cache: &Cache, read: &[ReadFile]) -> Result<Option<OutputRecord>, StageError> {
    let mut read = read.to_vec();
    read.sort();
    read.dedup();
    if read.is_empty() {
        return Ok(None);
    }
    let mut found = Vec::with_capacity(read.len());
    for of in read {
        let changed = |why: String| {
            StageError::failed(format!(
                "{} {why} while the program that reads it was running",
                of.path.display()
            ))
            .hint("run again; let no other program write what this one reads")
        };
        let digest =
            digest_as_read(&of).map_err(|error| changed(format!("cannot be read ({error})")))?;
        let Some(digest) = digest else { return Err(changed("changed".to_owned())) };
        found.push(DiscoveredFile { path: of.path, digest });
    }
    // Whoever looked more than once saw the same content each time.
    found.dedup();
    let bytes = serde_json::to_vec(&found)
        .map_err(|error| StageError::failed(format!("a path that was read is no text: {error}")))?;
    Ok(Some(put_beside(cache, NAME, &bytes)?))
}

/// The digest of a file's content; none if it is not as the action found it.
fn digest_as_read(of: &ReadFile) -> io::Result<Option<Digest>> {
    let file = open_regular(&of.path)?;
    let digest = Digest::of_reader(&file)?;
    let now = file.metadata()?;
    let modified = now.modified()?.duration_since(UNIX_EPOCH).ok();
    let modified = modified.and_then(|of| i64::try_from(of.as_nanos()).ok());
    let as_read = of.size.is_none_or(|size| size == now.len())
        && of.modified_ns.is_none_or(|then| modified == Some(then));
    Ok(as_read.then_some(digest))
}

/// True if an output of a record holds its discovered inputs.
pub fn is_discovered(output: &OutputRecord) -> bool {
    output.kind == NAME
}

/// The files that a record depends on. Errors when the object that names them is missing or
/// damaged.
pub fn read_discovered(
    cache: &Cache,
    record: &ActionRecord,
) -> Result<Vec<DiscoveredFile>, CacheError> {
    let Some(output) = record.outputs.iter().find(|output| is_discovered(output)) else {
        return Ok(Vec::new());
    };
    // A damaged list counts as a changed file: the action is executed again.
    let unknown = || vec![DiscoveredFile { path: PathBuf::new(), digest: output.digest }];
    let bytes = cache.get_object(&output.digest)?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_else(unknown))
}

/// The first file that is not as it was when the action of this record read it.
pub(crate) fn changed(
    cache: &Cache,
    record: &ActionRecord,
    files: &FileDigests,
) -> Result<Option<PathBuf>, CacheError> {
    let discovered = read_discovered(cache, record)?;
    // A folder is none of them: whoever may write to a cache must not thereby have all of a disk
    // read.
    let is_as_it_was =
        |of: &DiscoveredFile| of.path.is_file() && files.is_unchanged(&of.path, &of.digest);
    Ok(discovered.into_iter().find(|of| !is_as_it_was(of)).map(|of| of.path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_while_what_was_read_is_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path().join("cache")).unwrap();
        let module = folder.path().join("helper.py");
        std::fs::write(&module, "x = 1\n").unwrap();
        let read = ReadFile { path: module.clone(), size: Some(6), modified_ns: None };
        let output = store(&cache, &[read.clone(), read.clone()]).unwrap().unwrap();
        let record = ActionRecord { outputs: vec![output], ..ActionRecord::default() };
        assert_eq!(read_discovered(&cache, &record).unwrap().len(), 1);
        let changed = || changed(&cache, &record, &FileDigests::default()).unwrap();
        assert_eq!(changed(), None);
        std::fs::write(&module, "x = 2\n").unwrap();
        assert_eq!(changed(), Some(module.clone()));
        std::fs::write(&module, "x = 1\n").unwrap();
        assert_eq!(changed(), None, "content counts, and no time");
        std::fs::remove_file(&module).unwrap();
        assert_eq!(changed(), Some(module.clone()));
        std::fs::create_dir(&module).unwrap();
        assert_eq!(changed(), Some(module.clone()));
    }

    #[test]
    fn a_file_that_changes_while_it_is_used_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path().join("cache")).unwrap();
        let path = folder.path().join("gate.npz");
        std::fs::write(&path, "weights").unwrap();
        for of in [
            ReadFile { path: path.clone(), size: Some(3), modified_ns: None },
            ReadFile { path: path.clone(), size: None, modified_ns: Some(1) },
        ] {
            let error = store(&cache, &[of]).unwrap_err();
            assert!(error.message.contains("gate.npz changed while"), "{}", error.message);
        }
        // Two workers of a rule that saw different contents.
        let was = |size| ReadFile { path: path.clone(), size: Some(size), modified_ns: None };
        let error = store(&cache, &[was(7), was(8)]).unwrap_err();
        assert!(error.message.contains("gate.npz changed while"), "{}", error.message);
        let gone = ReadFile { path: folder.path().join("gone"), size: None, modified_ns: None };
        assert!(store(&cache, &[gone]).unwrap_err().message.contains("cannot be read"));
        assert_eq!(store(&cache, &[]).unwrap(), None);
    }
}
