//! The folder of leases on a disk, and the thread that renews this process's record there.

use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use super::flock::is_at;
use super::heartbeat::{Heartbeats, LeaseFolder, Owner};
use super::owner;
use crate::store::follow_mode;

/// The beginning of the names of processes' records.
pub(super) const RECORD: &str = ".owner-";

/// Hexadecimal digits of the number of a beat, at the beginning of a record.
const SEQUENCE_DIGITS: usize = 16;

/// More than any record has.
const MAX_RECORD_BYTES: u64 = 4096;

/// The folder of leases of a cache, for one process.
#[derive(Debug)]
pub(super) struct DiskFolder {
    folder: PathBuf,
    beat: Duration,
    machine: Option<String>,
    began: Instant,
    sequence: AtomicU64,
    record: Mutex<Option<RecordFile>>,
}

/// The file of this process's record.
#[derive(Debug)]
struct RecordFile {
    file: File,
    path: PathBuf,
}

impl DiskFolder {
    pub fn new(folder: &Path, beat: Duration, machine: Option<String>) -> Self {
        Self {
            folder: folder.to_owned(),
            beat,
            machine,
            began: Instant::now(),
            sequence: AtomicU64::new(0),
            record: Mutex::default(),
        }
    }

    /// Makes the file of the record: a new one when the last has lost its name.
    fn make_record(&self) -> io::Result<RecordFile> {
        let token = format!("{:016x}", RandomState::new().hash_one(std::process::id()));
        let path = self.folder.join(format!("{RECORD}{token}"));
        let file = match File::options().create_new(true).read(true).write(true).open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                fs::create_dir_all(&self.folder)?;
                File::options().create_new(true).read(true).write(true).open(&path)?
            }
            opened => opened?,
        };
        follow_mode(&file, fs::metadata(&self.folder)?.permissions().mode());
        let written = || -> io::Result<()> {
            // The clock of the filesystem tells the time.
            let made = file.metadata()?.modified()?;
            let made = made.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let owner = Owner {
                token,
                sequence: 0,
                beat_milliseconds: u64::try_from(self.beat.as_millis()).unwrap_or(u64::MAX),
                began: made.as_secs(),
                process: std::process::id(),
                started: owner::started(),
                host: owner::host_name(),
                machine: self.machine.clone(),
            };
            let text = serde_json::to_string(&owner)?;
            let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
            file.write_all_at(format!("{sequence:016x}\n{text}\n").as_bytes(), 0)?;
            // Other machines see a file of a network filesystem when it was flushed.
            file.sync_all()
        };
        written().inspect_err(|_| {
            let _ = fs::remove_file(&path);
        })?;
        Ok(RecordFile { file, path })
    }

    /// Writes the next number into the record, if there is one.
    pub fn beat(&self) -> io::Result<()> {
        let record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(record) = &*record else { return Ok(()) };
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
        record.file.write_all_at(format!("{sequence:016x}").as_bytes(), 0)?;
        record.file.sync_data()
    }

    fn remove_record(&self) {
        let record = self.record.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(record) = record {
            let _ = fs::remove_file(&record.path);
        }
    }
}

impl LeaseFolder for DiskFolder {
    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn link(&self, name: &str) -> io::Result<bool> {
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..2 {
            let own = match &mut *record {
                Some(own) => own,
                none => none.insert(self.make_record()?),
            };
            match fs::hard_link(&own.path, self.folder.join(name)) {
                Ok(()) => return Ok(true),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(false),
                // A collection took this process for dead for longer than it keeps anything.
                Err(error) if error.kind() == ErrorKind::NotFound => *record = None,
                Err(error) => return Err(error),
            }
        }
        Err(ErrorKind::NotFound.into())
    }

    fn read(&self, name: &str) -> io::Result<Option<Owner>> {
        let path = self.folder.join(name);
        let mut attempts = 0;
        loop {
            // Opened anew each time: that is what shows what another machine has written.
            let text = File::open(&path).and_then(|file| {
                let mut bytes = Vec::new();
                file.take(MAX_RECORD_BYTES).read_to_end(&mut bytes).map(|_| bytes)
            });
            match text {
                Ok(bytes) => return Ok(Some(decode(&bytes))),
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                // It was replaced between two calls to the file server.
                Err(error) if error.kind() == ErrorKind::StaleNetworkFileHandle && attempts < 3 => {
                    attempts += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn is_own(&self, name: &str) -> io::Result<bool> {
        let record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(record.as_ref().is_some_and(|own| is_at(&own.file, &self.folder.join(name))))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.folder.join(from), self.folder.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.folder.join(name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn is_gone(&self, owner: &Owner) -> bool {
        self.is_here(owner) && !owner::is_living(owner)
    }

    fn is_living(&self, owner: &Owner) -> bool {
        self.is_here(owner) && owner::is_living(owner)
    }
}

impl DiskFolder {
    fn is_here(&self, owner: &Owner) -> bool {
        self.machine.is_some() && owner.machine == self.machine
    }
}

/// A record by its text. One that cannot be read is that of an owner without a name, who does not
/// beat.
fn decode(bytes: &[u8]) -> Owner {
    let text = String::from_utf8_lossy(bytes);
    let parsed = text.split_at_checked(SEQUENCE_DIGITS).and_then(|(sequence, rest)| {
        let sequence = u64::from_str_radix(sequence, 16).ok()?;
        let owner: Owner = serde_json::from_str(rest.trim()).ok()?;
        Some(Owner { sequence, ..owner })
    });
    parsed.unwrap_or_else(|| Owner {
        token: text.into_owned(),
        sequence: 0,
        beat_milliseconds: 10_000,
        began: 0,
        process: 0,
        started: None,
        host: "a machine that is not known".to_owned(),
        machine: None,
    })
}

/// Leases of this process, and the thread that keeps them alive.
#[derive(Debug)]
pub(crate) struct Heart {
    leases: Arc<Heartbeats<DiskFolder>>,
    beat: Duration,
    /// Started with the first lease. It ends when its sender does.
    thread: Mutex<Option<(Sender<()>, JoinHandle<()>)>>,
}

impl Heart {
    pub fn new(folder: &Path, beat: Duration, machine: Option<String>) -> Self {
        let leases = Arc::new(Heartbeats::new(DiskFolder::new(folder, beat, machine)));
        Self { leases, beat, thread: Mutex::default() }
    }

    pub(super) fn leases(&self) -> &Heartbeats<DiskFolder> {
        &self.leases
    }

    /// Takes a lease, and keeps it alive from now on.
    pub fn acquire(&self, name: &str) -> io::Result<bool> {
        let acquired = self.leases.acquire(name)?;
        if acquired {
            self.begin_to_beat();
        }
        Ok(acquired)
    }

    fn begin_to_beat(&self) {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.is_some() {
            return;
        }
        let (stop, stopped) = channel::<()>();
        let (leases, beat) = (self.leases.clone(), self.beat);
        let beats = std::thread::spawn(move || {
            while stopped.recv_timeout(beat) == Err(RecvTimeoutError::Timeout) {
                renew(&leases);
            }
        });
        *thread = Some((stop, beats));
    }
}

fn renew(leases: &Heartbeats<DiskFolder>) {
    let lost = leases.folder.beat().and_then(|()| leases.check());
    match lost {
        Ok(lost) => {
            for name in lost {
                tracing::warn!(%name, "another process took this lease over while this one was \
                    stopped: both execute the action, and write the same");
            }
        }
        // The next beat tries again.
        Err(error) => tracing::warn!(%error, "the leases of this process could not be renewed"),
    }
}

impl Drop for Heart {
    fn drop(&mut self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((stop, beats)) = thread {
            drop(stop);
            let _ = beats.join();
        }
        self.leases.folder.remove_record();
    }
}
