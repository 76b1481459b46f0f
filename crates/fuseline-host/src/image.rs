//! The bytes of a rule: read once, hashed, and run as they were read, whatever becomes of the file.

use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use fuseline_artifact::Digest;

use crate::conditions::Sourced;
use crate::error::HostError;
use crate::interpreter::Interpreter;
use crate::script::{self, Shebang};

/// A rule's file, and what it brings along, as they were read.
pub(crate) struct Source {
    pub path: PathBuf,
    pub bytes: Vec<u8>,
    /// Files beside a script that belong to it, by their paths from its folder, in order.
    pub modules: Vec<(PathBuf, Vec<u8>)>,
}

impl Source {
    pub fn read(path: &Path) -> io::Result<Self> {
        let bytes = std::fs::read(path)?;
        let modules = script::modules(path, &bytes)?;
        Ok(Self { path: path.to_owned(), bytes, modules })
    }

    /// The digest of the file, and of what belongs to it where something does.
    pub fn digest(&self) -> Digest {
        if self.modules.is_empty() {
            return Digest::hash(&self.bytes);
        }
        Digest::of_pieces(|give| {
            let mut part = |bytes: &[u8]| {
                give(&(bytes.len() as u64).to_le_bytes());
                give(bytes);
            };
            part(&self.bytes);
            for (name, bytes) in &self.modules {
                part(name.as_os_str().as_encoded_bytes());
                part(bytes);
            }
        })
    }

    /// Looks at the files without reading them.
    fn stamps(&self) -> Vec<Stamp> {
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let modules = self.modules.iter().map(|(name, _)| folder.join(name));
        std::iter::once(self.path.clone()).chain(modules).map(Stamp::new).collect()
    }
}

/// Stamp of a file, which changes with it.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    path: PathBuf,
    /// Length, time of change, time of change of the metadata, device and number; none when it is
    /// gone.
    state: Option<(u64, Option<SystemTime>, [i64; 4])>,
}

impl Stamp {
    fn new(path: PathBuf) -> Self {
        let state = std::fs::metadata(&path).ok().map(|file| {
            let (device, number) = (file.dev().cast_signed(), file.ino().cast_signed());
            let more = [file.ctime(), file.ctime_nsec(), device, number];
            (file.len(), file.modified().ok(), more)
        });
        Self { path, state }
    }
}

/// A rule that can be run, and the file that it came from, which must stay as it is while it is in
/// use.
pub(crate) struct Image {
    digest: Digest,
    path: PathBuf,
    form: Form,
    stamps: Mutex<Vec<Stamp>>,
}

/// Form in which the bytes are held.
pub(crate) enum Form {
    /// An anonymous file that nobody can change.
    #[cfg(target_os = "linux")]
    Library(std::fs::File),
    /// A file in a folder of its own.
    #[cfg(not(target_os = "linux"))]
    Library(tempfile::NamedTempFile),
    /// A script.
    Script(StagedScript),
}

/// A script in a folder of its own, with what belongs to it.
pub(crate) struct StagedScript {
    /// Folder that all of it lies in.
    pub folder: tempfile::TempDir,
    /// The script.
    pub script: PathBuf,
    /// Paths that it may read.
    pub readable: Vec<PathBuf>,
    /// The interpreter, of a script in Python.
    pub interpreter: Option<Interpreter>,
    /// Arguments of the interpreter before the script.
    pub arguments: Vec<String>,
}

impl Image {
    /// `python`: the interpreter that is stated for scripts in Python.
    pub fn new(
        source: &Source,
        digest: Digest,
        python: Option<&Sourced<PathBuf>>,
    ) -> Result<Self, HostError> {
        let unreadable = |error: io::Error| HostError::Unreadable {
            path: source.path.clone(),
            reason: error.to_string(),
        };
        let form = match script::shebang(&source.bytes) {
            Some(shebang) => {
                let interpreter = shebang.python(python)?;
                Form::Script(stage(source, shebang, interpreter).map_err(unreadable)?)
            }
            None => Form::Library(anonymous(&source.bytes).map_err(unreadable)?),
        };
        let stamps = Mutex::new(source.stamps());
        Ok(Self { digest, path: source.path.clone(), form, stamps })
    }

    pub fn form(&self) -> &Form {
        &self.form
    }

    /// Path that the file had, for people.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Path from which a shared library of these very bytes can be loaded in this process.
    ///
    /// The descriptor stays open for ever, as the library stays loaded: the loader knows libraries
    /// by their names, and another file must never have this one.
    #[cfg(target_os = "linux")]
    pub fn library_path(&self) -> io::Result<PathBuf> {
        use std::os::fd::IntoRawFd;
        Ok(match &self.form {
            Form::Library(file) => {
                format!("/proc/self/fd/{}", file.try_clone()?.into_raw_fd()).into()
            }
            Form::Script(staged) => staged.script.clone(),
        })
    }

    /// Path from which a shared library of these very bytes can be loaded in this process.
    #[cfg(not(target_os = "linux"))]
    pub fn library_path(&self) -> io::Result<PathBuf> {
        Ok(match &self.form {
            Form::Library(file) => file.path().to_owned(),
            Form::Script(staged) => staged.script.clone(),
        })
    }

    /// An error with both digests when the file is another by now.
    pub fn ensure_unchanged(&self) -> Result<(), HostError> {
        let mut stamps = self.stamps.lock().unwrap_or_else(PoisonError::into_inner);
        if stamps.iter().all(|stamp| *stamp == Stamp::new(stamp.path.clone())) {
            return Ok(());
        }
        let path = self.path.clone();
        let source = Source::read(&path).map_err(|error| HostError::Unreadable {
            path: path.clone(),
            reason: format!("it changed while it was in use: {error}"),
        })?;
        let found = source.digest();
        if found != self.digest {
            return Err(HostError::DigestChanged { path, expected: self.digest, found });
        }
        *stamps = source.stamps();
        Ok(())
    }
}

#[cfg(target_os = "linux")]
fn anonymous(bytes: &[u8]) -> io::Result<std::fs::File> {
    use std::io::Write;

    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file = std::fs::File::from(memfd_create("fuseline-rule", flags)?);
    file.write_all(bytes)?;
    let all = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    fcntl_add_seals(&file, all)?;
    Ok(file)
}

#[cfg(not(target_os = "linux"))]
fn anonymous(bytes: &[u8]) -> io::Result<tempfile::NamedTempFile> {
    use std::io::Write;
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(bytes)?;
    Ok(file)
}

/// Copies a script and what belongs to it into a folder of their own, which has the name of the
/// script's.
fn stage(
    source: &Source,
    shebang: Shebang,
    interpreter: Option<Interpreter>,
) -> io::Result<StagedScript> {
    let folder = tempfile::Builder::new().prefix("fuseline-rule-").tempdir()?;
    let own = source.path.parent().and_then(Path::file_name).unwrap_or("rule".as_ref());
    let inside = folder.path().join(own.to_string_lossy().as_ref());
    let name = source.path.file_name().unwrap_or("rule".as_ref());
    let script = inside.join(name);
    let copies = source.modules.iter().map(|(name, bytes)| (inside.join(name), bytes));
    for (path, bytes) in copies.chain([(script.clone(), &source.bytes)]) {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(path, bytes)?;
    }
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700))?;
    let program = interpreter.as_ref().map_or(&shebang.program, |interpreter| &interpreter.program);
    let mut readable = script::libraries(program);
    readable.push(inside);
    Ok(StagedScript { folder, script, readable, interpreter, arguments: shebang.arguments })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_changes_in_use_is_told_with_both_digests() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rule.so");
        std::fs::write(&path, b"one").unwrap();
        let source = Source::read(&path).unwrap();
        let image = Image::new(&source, source.digest(), None).unwrap();
        image.ensure_unchanged().unwrap();

        // The same bytes again are no change.
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, b"one").unwrap();
        image.ensure_unchanged().unwrap();

        std::fs::write(&path, b"two").unwrap();
        match image.ensure_unchanged().unwrap_err() {
            HostError::DigestChanged { expected, found, .. } => {
                assert_eq!((expected, found), (Digest::hash(b"one"), Digest::hash(b"two")));
            }
            other => panic!("{other}"),
        }
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(image.ensure_unchanged(), Err(HostError::Unreadable { .. })));
    }

    #[test]
    fn what_a_script_imports_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rule.py");
        let text = "#!/usr/bin/env python3\n# FUSELINE-FUSION protocol=1 id=org.a.b\nimport os, \
            helper\nfrom pack.inside import x\nimport numpy\n";
        std::fs::write(&path, text).unwrap();
        std::fs::write(folder.path().join("helper.py"), "    import deeper\n").unwrap();
        std::fs::write(folder.path().join("deeper.py"), "").unwrap();
        std::fs::write(folder.path().join("labels.txt"), "0 1").unwrap();
        std::fs::create_dir(folder.path().join("pack")).unwrap();
        std::fs::write(folder.path().join("pack/inside.py"), "x = 1").unwrap();
        let source = Source::read(&path).unwrap();
        let names: Vec<_> = source.modules.iter().map(|(name, _)| name.to_str().unwrap()).collect();
        assert_eq!(names, ["deeper.py", "helper.py", "pack/inside.py"]);
        let before = source.digest();
        std::fs::write(folder.path().join("deeper.py"), "y = 2").unwrap();
        assert_ne!(Source::read(&path).unwrap().digest(), before);
    }
}
