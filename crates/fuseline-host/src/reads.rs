//! Files that a program reports as read, beyond those that the host knows of.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Maximum number of files that one worker may report.
pub(crate) const MAX_READS: usize = 10_000;

/// A file that a program says that it has read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadFile {
    /// Its absolute path.
    pub path: PathBuf,
    /// Its length in bytes when it was read, if the program looked.
    #[serde(default)]
    pub size: Option<u64>,
    /// Nanoseconds from 1970 to its last change then, if the program looked.
    #[serde(default)]
    pub modified_ns: Option<i64>,
}

/// Files that a program reports without those of its own folder, which are copies of what the host
/// knows of; the error is a fragment that names a path which is not absolute.
pub fn outside_of(folder: &Path, read: Vec<ReadFile>) -> Result<Vec<ReadFile>, String> {
    if let Some(relative) = read.iter().find(|file| !file.path.is_absolute()) {
        return Err(format!("{} is no absolute path", relative.path.display()));
    }
    let own = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let is_own = |file: &ReadFile| file.path.starts_with(&own) || file.path.starts_with(folder);
    Ok(read.into_iter().filter(|file| !is_own(file)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &Path) -> ReadFile {
        ReadFile { path: path.to_owned(), size: None, modified_ns: None }
    }

    #[test]
    fn copies_in_the_own_folder_are_not_reported_and_relative_paths_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("rule");
        std::fs::create_dir(&own).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&own, &link).unwrap();
        let other = folder.path().join("helper.py");
        let reported = vec![read(&own.join("rule.py")), read(&other), read(&link.join("a.py"))];
        let left = outside_of(&link, reported).unwrap();
        assert_eq!(left, [read(&other)]);
        let error = outside_of(&own, vec![read(Path::new("helper.py"))]).unwrap_err();
        assert_eq!(error, "helper.py is no absolute path");
    }
}
