//! Discovered inputs: files that an action was found to have read, beyond those that its key names.
//!
//! The files that a program reads are known when it has ended and not before, as with the depfiles
//! of ninja. The files and the digests of their contents are one more object of the action's
//! record, behind its declared outputs, and the record counts only while every file is as it was;
//! of installed software while its version is, wherever it lies here.
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
use crate::installed::{Installation, Installed};

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
    /// Installed software that it stands for: what is in force on this machine counts, and not the
    /// path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installed: Option<Installed>,
}

impl DiscoveredFile {
    /// The file that a record depends on here.
    pub fn path_here(&self, installation: &Installation) -> Option<PathBuf> {
        match &self.installed {
            Some(installed) => installation.file_of(installed),
            None => Some(self.path.clone()),
        }
    }
}

/// Stores the list of read files in the cache; none when nothing was read.
///
/// Errors when a file is gone, or is not as the action found it: it is unknown which of the
/// two contents it worked with.
pub(crate) fn store(
    cache: &Cache,
    read: &[ReadFile],
    installation: &Installation,
) -> Result<Option<OutputRecord>, StageError> {
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
        if installation.is_environment(&of.path) {
            continue;
        }
        let installed = installation.stands_for(&of.path, &digest);
        found.push(DiscoveredFile { path: of.path, digest, installed });
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
    let unknown =
        || vec![DiscoveredFile { path: PathBuf::new(), digest: output.digest, installed: None }];
    let bytes = cache.get_object(&output.digest)?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_else(unknown))
}

/// Words on the first file that is not as it was when the action of this record read it.
///
/// `installation`: where it is left out, software counts as it was where the action was executed.
pub(crate) fn changed(
    cache: &Cache,
    record: &ActionRecord,
    files: &FileDigests,
    installation: Option<&Installation>,
) -> Result<Option<String>, CacheError> {
    let difference = |of: DiscoveredFile| {
        let path = &of.path;
        match (&of.installed, installation) {
            (Some(installed), Some(here)) => here.difference(installed, &of.digest),
            (Some(_), None) => None,
            // A folder is none of them: whoever may write to a cache must not thereby have all of a
            // disk read.
            _ if path.is_file() && files.is_unchanged(path, &of.digest) => None,
            _ if path.exists() => Some(format!("{}, which it had read, changed", path.display())),
            _ => Some(format!("{}, which it had read, is gone", path.display())),
        }
    };
    Ok(read_discovered(cache, record)?.into_iter().find_map(difference))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use fuseline_host::{Conditions, PluginLibrary, Sourced};

    use super::*;

    fn here() -> Installation {
        Installation::new(&PluginLibrary::new(Vec::new()), &Conditions::default())
    }

    /// A program that tells a version and a folder as an interpreter does, with a distribution.
    fn python(folder: &Path, version: &str, numpy: &str) -> (Installation, [PathBuf; 2]) {
        use std::os::unix::fs::PermissionsExt;
        let metadata = folder.join(format!("site/numpy-{numpy}.dist-info/METADATA"));
        std::fs::create_dir_all(metadata.parent().unwrap()).unwrap();
        std::fs::write(&metadata, numpy).unwrap();
        let program = folder.join("python3");
        let text = format!("#!/bin/sh\necho {version}; echo {}/site\n", folder.display());
        std::fs::write(&program, text).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        let stated = Sourced { value: program.clone(), origin: "a test".to_owned() };
        let conditions = Conditions { python: Some(stated), ..Conditions::default() };
        (Installation::new(&PluginLibrary::new(Vec::new()), &conditions), [program, metadata])
    }

    #[test]
    fn of_an_interpreter_and_its_distributions_the_versions_count_wherever_they_lie() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let cache = Cache::open(folder.join("cache")).unwrap();
        let (made, files) = python(&folder.join("made"), "3.11.2", "2.1.0");
        let read = files.map(|path| ReadFile { path, size: None, modified_ns: None });
        let output = store(&cache, &read, &made).unwrap().unwrap();
        let record = ActionRecord { outputs: vec![output], ..ActionRecord::default() };
        let files = FileDigests::default();
        let difference = |name: &str, version, numpy| {
            let (here, files_here) = python(&folder.join(name), version, numpy);
            let found = read_discovered(&cache, &record).unwrap();
            let paths: Vec<_> = found.iter().filter_map(|of| of.path_here(&here)).collect();
            assert_eq!(paths.len(), 2);
            assert!(files_here.iter().all(|path| paths.contains(path)), "{paths:?}");
            changed(&cache, &record, &files, Some(&here)).unwrap()
        };
        assert_eq!(difference("same", "3.11.2", "2.1.0"), None);
        let words = difference("other_numpy", "3.11.2", "2.2.0");
        assert_eq!(words.as_deref(), Some("numpy is 2.2.0 and was 2.1.0"));
        let words = difference("other_python", "3.12.1", "2.1.0");
        assert_eq!(words.as_deref(), Some("Python is 3.12.1 and was 3.11.2"));
        let (none, _) = python(&folder.join("none"), "3.11.2", "2.1.0");
        std::fs::remove_dir_all(folder.join("none/site")).unwrap();
        let words = changed(&cache, &record, &files, Some(&none)).unwrap();
        assert_eq!(words.as_deref(), Some("numpy is not installed and was 2.1.0"));
    }

    #[test]
    fn a_record_counts_while_what_was_read_is_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path().join("cache")).unwrap();
        let module = folder.path().join("helper.py");
        std::fs::write(&module, "x = 1\n").unwrap();
        let read = ReadFile { path: module.clone(), size: Some(6), modified_ns: None };
        let output = store(&cache, &[read.clone(), read.clone()], &here()).unwrap().unwrap();
        let record = ActionRecord { outputs: vec![output], ..ActionRecord::default() };
        assert_eq!(read_discovered(&cache, &record).unwrap().len(), 1);
        let files = FileDigests::default;
        let changed = || changed(&cache, &record, &files(), Some(&here())).unwrap();
        let words = |words: &str| Some(format!("{}, which it had read, {words}", module.display()));
        assert_eq!(changed(), None);
        std::fs::write(&module, "x = 2\n").unwrap();
        assert_eq!(changed(), words("changed"));
        std::fs::write(&module, "x = 1\n").unwrap();
        assert_eq!(changed(), None, "content counts, and no time");
        std::fs::remove_file(&module).unwrap();
        assert_eq!(changed(), words("is gone"));
        std::fs::create_dir(&module).unwrap();
        assert_eq!(changed(), words("changed"));
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
            let error = store(&cache, &[of], &here()).unwrap_err();
            assert!(error.message.contains("gate.npz changed while"), "{}", error.message);
        }
        // Two workers of a rule that saw different contents.
        let was = |size| ReadFile { path: path.clone(), size: Some(size), modified_ns: None };
        let error = store(&cache, &[was(7), was(8)], &here()).unwrap_err();
        assert!(error.message.contains("gate.npz changed while"), "{}", error.message);
        let gone = ReadFile { path: folder.path().join("gone"), size: None, modified_ns: None };
        assert!(store(&cache, &[gone], &here()).unwrap_err().message.contains("cannot be read"));
        assert_eq!(store(&cache, &[], &here()).unwrap(), None);
    }
}
