//! Copies objects out of the cache to where people look for them.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use fuseline_artifact::Digest;
use fuseline_cache::Cache;

use crate::exit::Failure;

/// Writes an object to a path: whole or not at all. A file that holds the same bytes already is left alone.
pub fn object(cache: &Cache, digest: &Digest, path: &Path) -> Result<(), Failure> {
    if fs::File::open(path).and_then(Digest::of_reader).is_ok_and(|there| there == *digest) {
        return Ok(());
    }
    let bytes = cache.get_object(digest)?.ok_or_else(|| {
        Failure::failed(format!("object {digest} vanished from the cache"))
            .hint("run again to make it again")
    })?;
    file(path, &bytes)
        .map_err(|error| Failure::failed(format!("cannot write {}: {error}", path.display())))
}

/// Writes a file by way of a temporary one beside it and a rename.
pub fn file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder {
        fs::create_dir_all(folder)?;
    }
    let mut temporary = path.to_owned().into_os_string();
    temporary.push(format!(".{}.tmp", std::process::id()));
    let written = fs::File::create(&temporary)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // The error that matters is the first one.
        let _ = fs::remove_file(&temporary);
    }
    written
}
