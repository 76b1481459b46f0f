//! Copies objects out of the cache to where people look for them, in the form that the file's name
//! asks for.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use bytes::Bytes;
use fuseline_artifact::{Artifact, ArtifactKind, Digest, Sequence};
use fuseline_cache::{Cache, ObjectFile, ObjectReader, open_regular};
use fuseline_engine::FileDigests;

use crate::error::Error;
use crate::table::{Form, Table};

/// Bytes that are copied at once.
const PART: u64 = 1 << 20;

/// Writes an object to a path: whole or not at all. A file that holds the same bytes already is
/// left alone; with `files` one that is remembered to hold them is not read for that.
///
/// A table becomes CSV or JSON where the file's name ends so, and one of points gets axes of numbers;
/// everything else goes out as it is.
pub fn object(
    cache: &Cache,
    digest: &Digest,
    path: &Path,
    files: Option<&FileDigests>,
) -> Result<(), Error> {
    let form = Form::from_path(path);
    if form == Some(Form::Parquet)
        && has_axes(cache, digest)?
        && let Some(table) = Table::points(read(cache, digest)?)?
    {
        return table_to(&table, Form::Parquet, path);
    }
    if let Some(form) = form.filter(|form| *form != Form::Parquet)
        && let Some(table) = Table::parquet(read(cache, digest)?)?
    {
        return table_to(&table, form, path);
    }
    let there = match files {
        Some(files) => files.digest(path),
        None => digest_of(path),
    };
    if there.is_ok_and(|there| there == *digest) {
        return Ok(());
    }
    copy(cache, digest, path)
}

/// True if an object is a table whose rows are points of axes, by its metadata alone.
fn has_axes(cache: &Cache, digest: &Digest) -> Result<bool, Error> {
    let first = match cache.open_object_file(digest)? {
        Some(ObjectFile::Open(file)) => Table::first_rows(file, 1, 1)?,
        Some(ObjectFile::Packed(bytes)) => Table::first_rows(bytes, 1, 1)?,
        None => None,
    };
    Ok(first.is_some_and(|first| first.metadata.contains_key("axes")))
}

/// Digest of what lies at a path; a pipe that has the name of an output is not waited for.
fn digest_of(path: &Path) -> io::Result<Digest> {
    open_regular(path).and_then(Digest::of_reader)
}

/// Copies an object as it is. It gets its name only when all of it was copied and is sound.
fn copy(cache: &Cache, digest: &Digest, path: &Path) -> Result<(), Error> {
    let mut failure = None;
    let written = whole(path, |file| {
        let copied = cache.read_object(digest, |object| copy_all(object, file));
        match copied.map_err(Error::from).and_then(|copied| copied.ok_or_else(|| gone(digest))) {
            Ok(copied) => copied,
            Err(error) => {
                failure = Some(error);
                Err(io::ErrorKind::Other.into())
            }
        }
    });
    match failure {
        Some(failure) => Err(failure),
        None => written.map_err(|error| cannot_write(path, error)),
    }
}

fn copy_all(object: &mut ObjectReader, file: &mut File) -> io::Result<()> {
    let mut left = object.size();
    while left > 0 {
        let part = left.min(PART);
        file.write_all(&object.next(part as usize)?)?;
        left -= part;
    }
    Ok(())
}

/// Writes a table to a path, like [`object`].
pub fn table_to(table: &Table, form: Form, path: &Path) -> Result<(), Error> {
    let bytes = table.write(form)?;
    if digest_of(path).is_ok_and(|there| there == Digest::hash(&bytes)) {
        Ok(())
    } else {
        self::bytes(path, &bytes)
    }
}

/// Writes bytes to a path: whole or not at all.
pub fn bytes(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    file(path, bytes).map_err(|error| cannot_write(path, error))
}

/// The bytes of an object that was there a moment ago.
pub fn read(cache: &Cache, digest: &Digest) -> Result<Bytes, Error> {
    cache.get_object(digest)?.ok_or_else(|| gone(digest))
}

/// The artifact in an object that was there a moment ago.
pub fn artifact(cache: &Cache, kind: ArtifactKind, digest: &Digest) -> Result<Artifact, Error> {
    let read = |object: &mut ObjectReader| Artifact::read(kind, None, None, object);
    cache.read_object(digest, read)?.ok_or_else(|| gone(digest))?.map_err(Error::failed)
}

fn gone(digest: &Digest) -> Error {
    Error::failed(format!("object {digest} vanished from the cache"))
        .with_hint("run again to make it again".to_owned())
}

fn cannot_write(path: &Path, source: io::Error) -> Error {
    Error::Write { path: path.to_owned(), source }
}

/// Writes a file by way of a temporary one beside it and a rename. A link that has its name is
/// replaced, and what it leads to stays as it is.
pub fn file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    whole(path, |file| file.write_all(bytes))
}

fn whole(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    // A random, unused name: no link can be planted there to be followed.
    let mut temporary = tempfile::Builder::new();
    temporary.prefix(".").suffix(".tmp");
    temporary.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut temporary = temporary.tempfile_in(folder)?;
    write(temporary.as_file_mut())?;
    temporary.persist(path)?;
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_is_replaced_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("table.csv");
        let (here, mode) = (rustix::fs::CWD, rustix::fs::Mode::RWXU);
        rustix::fs::mkfifoat(here, &output, mode).unwrap();
        assert!(digest_of(&output).is_err());
        file(&output, b"id\n").unwrap();
        assert_eq!(fs::read(&output).unwrap(), b"id\n");
    }

    #[test]
    fn a_link_is_replaced_and_never_written_through() {
        let folder = tempfile::tempdir().unwrap();
        let (output, other) = (folder.path().join("out/report.html"), folder.path().join("other"));
        fs::create_dir(folder.path().join("out")).unwrap();
        fs::write(&other, "mine").unwrap();
        std::os::unix::fs::symlink(&other, &output).unwrap();
        file(&output, b"report").unwrap();
        assert_eq!(fs::read(&other).unwrap(), b"mine");
        assert!(fs::symlink_metadata(&output).unwrap().is_file());
        let left: Vec<_> = fs::read_dir(folder.path().join("out")).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }
}
