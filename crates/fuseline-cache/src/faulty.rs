//! A store with one fault in it.

use std::fs;
use std::io::{self, ErrorKind, Read};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::store::{Entry, LocalStore, Stat, Store};

/// What goes wrong.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// The nth call that writes fails so, and so does every one after it when `for_good`.
    Write { nth: usize, kind: ErrorKind, for_good: bool },
    /// The nth file that is created is cut short, and the store says that there is no space left.
    TornWrite { nth: usize },
    /// The nth file that is created is cut short, and the store says that all is well, as after a power cut.
    SilentlyTorn { nth: usize },
    /// The nth file that is created has one bit flipped, and the store says that all is well.
    FlippedBit { nth: usize },
    /// The nth call that reads fails so.
    Read { nth: usize, kind: ErrorKind },
}

/// A [`LocalStore`] with one fault in it.
#[derive(Debug)]
pub struct FaultyStore {
    fault: Fault,
    writes: AtomicUsize,
    creates: AtomicUsize,
    reads: AtomicUsize,
}

impl FaultyStore {
    pub fn new(fault: Fault) -> Self {
        let (writes, creates, reads) = Default::default();
        Self { fault, writes, creates, reads }
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
        LocalStore.read(path)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Read>> {
        self.reading()?;
        LocalStore.open(path)
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        LocalStore.stat(path)
    }

    fn create(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.write()?;
        if path.parent().is_some_and(|folder| !folder.exists()) {
            return Err(ErrorKind::NotFound.into());
        }
        let create = self.creates.fetch_add(1, Ordering::SeqCst);
        let half = &bytes[..bytes.len() / 2];
        match self.fault {
            Fault::TornWrite { nth } if create == nth => {
                // What is left of it stays: a process that is killed cannot clean up either.
                fs::write(path, half)?;
                Err(ErrorKind::StorageFull.into())
            }
            Fault::SilentlyTorn { nth } if create == nth => fs::write(path, half),
            Fault::FlippedBit { nth } if create == nth => {
                let mut flipped = bytes.to_vec();
                flipped[bytes.len() / 2] ^= 1;
                fs::write(path, flipped)
            }
            _ => LocalStore.create(path, bytes),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.write()?;
        LocalStore.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.write()?;
        LocalStore.remove(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.write()?;
        LocalStore.remove_folder(path)
    }

    fn touch(&self, path: &Path) -> io::Result<()> {
        self.write()?;
        LocalStore.touch(path)
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.write()?;
        LocalStore.create_folder(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        self.reading()?;
        LocalStore.list(path)
    }

    fn flush(&self, folder: &Path) -> io::Result<()> {
        self.write()?;
        LocalStore.flush(folder)
    }
}
