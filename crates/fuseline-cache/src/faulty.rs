//! A store with one fault in it.

use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use crate::layout::DOOMED;
use crate::store::{Entry, LocalStore, ReadAt, ReadSeek, Stat, Store};

/// Kind of fault.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// The nth call that writes fails so, and so does every one after it when `for_good`.
    Write { nth: usize, kind: ErrorKind, for_good: bool },
    /// The nth file that is created is cut short, and the store says that there is no space left.
    TornWrite { nth: usize },
    /// The nth file that is created is cut short, and the store says that all is well, as after a
    /// power cut.
    SilentlyTorn { nth: usize },
    /// The nth file that is created has one bit flipped, and the store says that all is well.
    FlippedBit { nth: usize },
    /// The nth call that reads fails so.
    Read { nth: usize, kind: ErrorKind },
    /// The files of the first folders that are listed get other names before they are looked at,
    /// and their own back afterwards, as those that a collection judges may.
    MovedWhileListed { times: usize },
}

/// A [`LocalStore`] with one fault in it.
#[derive(Debug)]
pub struct FaultyStore {
    fault: Fault,
    writes: AtomicUsize,
    creates: AtomicUsize,
    reads: AtomicUsize,
    lists: AtomicUsize,
}

impl FaultyStore {
    pub fn new(fault: Fault) -> Self {
        let (writes, creates, reads, lists) = Default::default();
        Self { fault, writes, creates, reads, lists }
    }

    fn write(&self) -> io::Result<()> {
        let call = self.writes.fetch_add(1, Ordering::SeqCst);
        match self.fault {
            Fault::Write { nth, kind, for_good } if call == nth || for_good && call > nth => {
                Err(kind.into())
            }
            _ => Ok(()),
        }
    }

    fn reading(&self) -> io::Result<()> {
        let call = self.reads.fetch_add(1, Ordering::SeqCst);
        match self.fault {
            Fault::Read { nth, kind } if call == nth => Err(kind.into()),
            _ => Ok(()),
        }
    }
}

impl Store for FaultyStore {
    fn read(&self, path: &Path) -> io::Result<(Vec<u8>, Stat)> {
        self.reading()?;
        LocalStore::default().read(path)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadSeek>> {
        self.reading()?;
        LocalStore::default().open(path)
    }

    fn open_at(&self, path: &Path) -> io::Result<Box<dyn ReadAt>> {
        self.reading()?;
        LocalStore::default().open_at(path)
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        LocalStore::default().stat(path)
    }

    fn create(&self, path: &Path, parts: &[&[u8]]) -> io::Result<()> {
        if path.parent().is_some_and(|folder| !folder.exists()) {
            self.write()?;
            return Err(ErrorKind::NotFound.into());
        }
        // The remains of a torn file stay: a process that is killed cannot clean up either.
        let mut file = self.begin(path)?;
        file.write_all(&parts.concat())?;
        file.flush()
    }

    fn begin(&self, path: &Path) -> io::Result<Box<dyn Write + Send>> {
        self.write()?;
        let create = self.creates.fetch_add(1, Ordering::SeqCst);
        let fault = match self.fault {
            Fault::TornWrite { nth } | Fault::SilentlyTorn { nth } | Fault::FlippedBit { nth }
                if create == nth =>
            {
                Some(self.fault)
            }
            _ => None,
        };
        Ok(Box::new(FaultyFile { file: LocalStore::default().begin(path)?, fault }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.write()?;
        LocalStore::default().rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.write()?;
        LocalStore::default().link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.write()?;
        LocalStore::default().remove(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.write()?;
        LocalStore::default().remove_folder(path)
    }

    fn remove_empty_folder(&self, path: &Path) -> io::Result<()> {
        self.write()?;
        LocalStore::default().remove_empty_folder(path)
    }

    fn set_modified(&self, path: &Path, modified: SystemTime) -> io::Result<()> {
        self.write()?;
        LocalStore::default().set_modified(path, modified)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        self.write()?;
        LocalStore::default().sync(path)
    }

    fn touch(&self, path: &Path) -> io::Result<()> {
        self.write()?;
        LocalStore::default().touch(path)
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.write()?;
        LocalStore::default().create_folder(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        self.reading()?;
        let mut entries = LocalStore::default().list(path)?;
        let list = self.lists.fetch_add(1, Ordering::SeqCst);
        if matches!(self.fault, Fault::MovedWhileListed { times } if list < times) {
            for entry in entries.extract_if(.., |entry| !entry.stat.folder) {
                let (path, aside) = (path.join(&entry.name), path.join(entry.name + DOOMED));
                std::fs::rename(&path, &aside)?;
                std::fs::rename(aside, path)?;
            }
        }
        Ok(entries)
    }

    fn folders(&self, path: &Path) -> io::Result<Vec<String>> {
        self.reading()?;
        LocalStore::default().folders(path)
    }

    fn flush(&self, folder: &Path) -> io::Result<()> {
        self.write()?;
        LocalStore::default().flush(folder)
    }
}

/// A file whose first write goes wrong.
struct FaultyFile {
    file: Box<dyn Write + Send>,
    fault: Option<Fault>,
}

impl Write for FaultyFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let half = &bytes[..bytes.len() / 2];
        match self.fault.take() {
            Some(Fault::TornWrite { .. }) => {
                self.file.write_all(half)?;
                Err(ErrorKind::StorageFull.into())
            }
            Some(Fault::FlippedBit { .. }) => {
                let mut flipped = bytes.to_vec();
                flipped[bytes.len() / 2] ^= 1;
                self.file.write_all(&flipped).map(|()| bytes.len())
            }
            Some(_) => self.file.write_all(half).map(|()| bytes.len()),
            None => self.file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
