//! The few things that a cache asks of a filesystem.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::time::SystemTime;

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, utimensat};

use crate::regular::open_regular;

/// The few things that a cache asks of a filesystem. Tests put faults behind it.
pub trait Store: fmt::Debug + Send + Sync {
    /// All of a file, and what is known of it.
    fn read(&self, path: &Path) -> io::Result<(Vec<u8>, Stat)>;
    /// A file, to read bit by bit.
    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadSeek>>;
    /// A file, to read at any place of it, also by several threads at once.
    fn open_at(&self, path: &Path) -> io::Result<Box<dyn ReadAt>>;
    /// Metadata of a file.
    fn stat(&self, path: &Path) -> io::Result<Stat>;
    /// Writes a file that is not there yet, one part after the other.
    fn create(&self, path: &Path, parts: &[&[u8]]) -> io::Result<()>;
    /// Begins a file that is not there yet. All that is written to it is in it once it has been
    /// flushed.
    fn begin(&self, path: &Path) -> io::Result<Box<dyn Write + Send>>;
    /// Gives a file another name, replacing the one that had it. Others see the old or the new,
    /// nothing between.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file one more name, which must not be taken. Others see all of it or nothing.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes a folder with all that is in it.
    fn remove_folder(&self, path: &Path) -> io::Result<()>;
    /// Removes a folder in which nothing is.
    fn remove_empty_folder(&self, path: &Path) -> io::Result<()>;
    /// Makes the file as young as now. By name: a file that has lost its name meanwhile is not
    /// found.
    fn touch(&self, path: &Path) -> io::Result<()>;
    /// Makes a file as old as this.
    fn set_modified(&self, path: &Path, modified: SystemTime) -> io::Result<()>;
    /// Brings what was written to a file to the disk, and to the server where it lies on one.
    fn sync(&self, path: &Path) -> io::Result<()>;
    /// Makes a folder and those above it.
    fn create_folder(&self, path: &Path) -> io::Result<()>;
    /// Entries of a folder, in order of their names.
    fn list(&self, path: &Path) -> io::Result<Vec<Entry>>;
    /// Names of the folders in a folder, in order; links are none.
    fn folders(&self, path: &Path) -> io::Result<Vec<String>>;
    /// Brings to the disk what was written under a folder before.
    fn flush(&self, folder: &Path) -> io::Result<()>;
}

/// Reader with random access.
pub trait ReadSeek: Read + Seek + Send + Sync {}

impl<T: Read + Seek + Send + Sync> ReadSeek for T {}

/// Reader at any place.
pub trait ReadAt: fmt::Debug + Send + Sync {
    /// Reads some bytes from an offset on; none at the end.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;
    /// The length of the file now.
    fn size(&self) -> io::Result<u64>;
}

impl ReadAt for File {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, bytes, offset)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

/// Metadata of a file.
#[derive(Debug, Clone, Copy)]
pub struct Stat {
    /// Its length in bytes.
    pub size: u64,
    /// When it was written or touched last.
    pub modified: SystemTime,
    /// True if it is a folder. In a list, a link to one is none: what a cache holds is not
    /// elsewhere.
    pub folder: bool,
}

/// A file or folder in a folder.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its name. A name that is no UTF-8 is not one of the cache's and is left out of lists.
    pub name: String,
    /// Its metadata.
    pub stat: Stat,
}

/// The filesystem of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalStore {
    /// The mode of the cache's folder, where others than its owner may write to it: what is made in
    /// it gets the same rights, whatever the umask of whoever makes it.
    shared_mode: Option<u32>,
}

/// The bits of a mode that let others than the owner write.
const WRITABLE_BY_OTHERS: u32 = 0o022;

impl LocalStore {
    /// The store of a cache in a folder; what it makes there follows the folder's mode.
    pub fn in_folder(folder: &Path) -> Self {
        let mode = fs::metadata(folder).map_or(0, |found| found.permissions().mode() & 0o7777);
        Self { shared_mode: (mode & WRITABLE_BY_OTHERS != 0).then_some(mode) }
    }
}

/// Gives a file the rights that a folder gives, when others may write to the folder.
pub(crate) fn follow_mode(file: &File, folder_mode: u32) {
    let wanted = folder_mode & 0o666;
    let is_so = |found: fs::Metadata| found.permissions().mode() & 0o666 == wanted;
    if folder_mode & WRITABLE_BY_OTHERS != 0 && !file.metadata().is_ok_and(is_so) {
        // Whose file it is may change it; another's is left as it is.
        let _ = file.set_permissions(fs::Permissions::from_mode(wanted));
    }
}

impl From<fs::Metadata> for Stat {
    fn from(metadata: fs::Metadata) -> Self {
        let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        Self { size: metadata.len(), modified, folder: metadata.is_dir() }
    }
}

impl Store for LocalStore {
    fn read(&self, path: &Path) -> io::Result<(Vec<u8>, Stat)> {
        let mut file = open_regular(path)?;
        let stat = Stat::from(file.metadata()?);
        let mut bytes = Vec::new();
        // A size that is false must be an error and not the end of the process.
        bytes.try_reserve_exact(usize::try_from(stat.size).unwrap_or(usize::MAX))?;
        file.read_to_end(&mut bytes)?;
        Ok((bytes, stat))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadSeek>> {
        Ok(Box::new(open_regular(path)?))
    }

    fn open_at(&self, path: &Path) -> io::Result<Box<dyn ReadAt>> {
        Ok(Box::new(open_regular(path)?))
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        fs::metadata(path).map(Stat::from)
    }

    fn create(&self, path: &Path, parts: &[&[u8]]) -> io::Result<()> {
        let mut file = self.begin(path)?;
        let written = parts.iter().try_for_each(|part| file.write_all(part));
        let written = written.and_then(|()| file.flush());
        if written.is_err() {
            drop(file);
            let _ = fs::remove_file(path);
        }
        written
    }

    fn begin(&self, path: &Path) -> io::Result<Box<dyn Write + Send>> {
        let file = File::create_new(path)?;
        if let Some(mode) = self.shared_mode {
            follow_mode(&file, mode);
        }
        Ok(Box::new(NewFile(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn remove_empty_folder(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn touch(&self, path: &Path) -> io::Result<()> {
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let times = Timestamps { last_access: now, last_modification: now };
        Ok(utimensat(CWD, path, &times, AtFlags::empty())?)
    }

    fn set_modified(&self, path: &Path, modified: SystemTime) -> io::Result<()> {
        open_regular(path)?.set_modified(modified)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        open_regular(path)?.sync_data()
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        let Some(mode) = self.shared_mode else { return fs::create_dir_all(path) };
        let new: Vec<_> = path.ancestors().take_while(|folder| !folder.exists()).collect();
        fs::create_dir_all(path)?;
        for folder in new {
            // One that another has made at the same moment has the rights that they gave it.
            let _ = fs::set_permissions(folder, fs::Permissions::from_mode(mode));
        }
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            // Most filesystems say it with the name.
            let is_link = entry.file_type()?.is_symlink();
            match fs::metadata(entry.path()) {
                Ok(metadata) => {
                    let folder = metadata.is_dir() && !is_link;
                    entries.push(Entry { name, stat: Stat { folder, ..metadata.into() } });
                }
                // A link that leads nowhere or in a circle: it alone cannot be read.
                Err(_) if is_link => {
                    if let Ok(link) = entry.metadata() {
                        entries.push(Entry { name, stat: link.into() });
                    }
                }
                // Another process has removed it since.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn folders(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                names.extend(entry.file_name().into_string());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn flush(&self, folder: &Path) -> io::Result<()> {
        let folder = File::open(folder)?;
        #[cfg(target_os = "linux")]
        rustix::fs::syncfs(&folder)?;
        #[cfg(not(target_os = "linux"))]
        folder.sync_all()?;
        Ok(())
    }
}

/// A file that is being written.
struct NewFile(File);

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    /// If [`Store::flush`] cannot bring a whole filesystem to the disk, each file goes there by
    /// itself.
    fn flush(&mut self) -> io::Result<()> {
        #[cfg(not(target_os = "linux"))]
        self.0.sync_all()?;
        self.0.flush()
    }
}
