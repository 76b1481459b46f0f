//! Copies objects out of the cache to where people look for them, in the form that the file's name asks for.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use fuseline_artifact::Digest;
use fuseline_cache::Cache;

use crate::exit::Failure;
use crate::table::{Form, Table};

/// Writes an object to a path: whole or not at all. A file that holds the same bytes already is left alone.
///
/// A table becomes CSV or JSON where the file's name ends so; everything else goes out as it is.
pub fn object(cache: &Cache, digest: &Digest, path: &Path) -> Result<(), Failure> {
    if holds(path, digest) {
        return Ok(());
    }
    let bytes = read(cache, digest)?;
    match Form::of(path) {
        Some(form @ (Form::Csv | Form::Json)) => match Table::parquet(&bytes)? {
            Some(table) => table_to(&table, form, path),
            None => to(path, &bytes),
        },
        _ => to(path, &bytes),
    }
}

/// Writes a table to a path, like [`object`].
pub fn table_to(table: &Table, form: Form, path: &Path) -> Result<(), Failure> {
    let bytes = table.write(form)?;
    if holds(path, &Digest::of(&bytes)) { Ok(()) } else { to(path, &bytes) }
}

/// Writes bytes to a path: whole or not at all.
pub fn to(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    file(path, bytes)
        .map_err(|error| Failure::failed(format!("cannot write {}: {error}", path.display())))
}

/// The bytes of an object that was there a moment ago.
pub fn read(cache: &Cache, digest: &Digest) -> Result<Vec<u8>, Failure> {
    let bytes = cache.get_object(digest)?.ok_or_else(|| {
        Failure::failed(format!("object {digest} vanished from the cache"))
            .hint("run again to make it again")
    })?;
    Ok(bytes.to_vec())
}

fn holds(path: &Path, digest: &Digest) -> bool {
    fs::File::open(path).and_then(Digest::of_reader).is_ok_and(|there| there == *digest)
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
