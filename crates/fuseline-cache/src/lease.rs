//! Leases: the right to execute an action.
//!
//! A cache has one of two kinds ([`LeaseKind`]): locks of the kernel, or records that their holders
//! renew, where locks do not hold between machines. See `docs/design/cache.md`.

mod choice;
mod disk;
pub(crate) mod flock;
mod heartbeat;
mod owner;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use fuseline_artifact::Digest;

use crate::cache::Cache;
use crate::error::CacheError;
use crate::key::ActionKey;
use crate::runs::RUN_LEASE;
use crate::store::Stat;

pub(crate) use choice::is_of_one_machine;
pub use choice::{DEFAULT_BEAT, LeaseChoice, LeaseKind};
use disk::Heart;
use heartbeat::LOOKS_PER_BEAT;

/// The right to execute an action. It ends when it is dropped, or when the process does.
#[derive(Debug)]
pub struct Lease(#[expect(dead_code, reason = "held, and never read")] Held);

#[derive(Debug)]
#[expect(dead_code, reason = "held, and never read")]
enum Held {
    Lock(Arc<flock::FileLock>),
    Linked(flock::LinkedLock),
    Beating(Beating),
}

/// A lease that a thread of this process keeps alive.
#[derive(Debug)]
struct Beating {
    heart: Arc<Heart>,
    name: String,
}

impl Drop for Beating {
    fn drop(&mut self) {
        if let Err(error) = self.heart.leases().release(&self.name) {
            // Nobody beats for it once this process has ended.
            tracing::warn!(name = %self.name, %error, "a lease could not be given back");
        }
    }
}

/// Time between two looks at a lease that another process is about to give back.
const LOOK: Duration = Duration::from_millis(1);

impl Cache {
    /// The lease of an action, or none when another holds it. Does not wait.
    pub fn try_lease(&self, key: &ActionKey) -> Result<Option<Lease>, CacheError> {
        let lease = self.leases()?.acquire(&key.to_string(), false)?;
        self.expire_packs();
        Ok(lease)
    }

    /// The lease of an action. Waits as long as another holds it.
    pub fn lease(&self, key: &ActionKey) -> Result<Lease, CacheError> {
        let name = key.to_string();
        loop {
            if let Some(lease) = self.leases()?.acquire(&name, true)? {
                self.expire_packs();
                return Ok(lease);
            }
        }
    }

    /// Whoever has a lease looks at what others wrote before.
    pub(crate) fn expire_packs(&self) {
        self.object_packs.expire();
        self.action_packs.expire();
    }

    /// Holder of the lease of an action, for people: a process and its machine. None when nobody
    /// does.
    pub fn lease_holder(&self, key: &ActionKey) -> Option<String> {
        self.leases().ok()?.holder(&key.to_string())
    }

    /// The kind of leases that this cache has, and the reason.
    pub fn lease_choice(&self) -> Result<LeaseChoice, CacheError> {
        LeaseChoice::of_cache(&self.layout)
    }

    /// Decides which leases this cache has, whatever its filesystem: for all processes that use it
    /// from now on.
    ///
    /// `beat`: time between two beats of the holders of leases. A cache with leases of another kind
    /// that are held is an error.
    pub fn set_leases(&self, kind: LeaseKind, beat: Duration) -> Result<(), CacheError> {
        let now = self.lease_choice()?;
        let new = LeaseChoice::set(kind, beat, &self.layout);
        let is_same = (now.kind, now.beat()) == (kind, new.beat());
        if is_same && now.reason == new.reason {
            return Ok(());
        }
        if kind == LeaseKind::Heartbeat {
            let path = self.layout.leases.clone();
            choice::probe_links(&path).map_err(|source| CacheError::NoLinks { path, source })?;
        }
        if now.kind != kind {
            let leases = Leases::by_choice(&self.layout.leases, &now);
            leases.wait_until_known(&self.lease_names()?);
            let held = self.lease_names()?.iter().filter(|name| leases.is_held(name)).count();
            if held > 0 || self.leases.get().is_some() {
                let folder = self.layout.root.clone();
                return Err(CacheError::LeasesInUse { folder, kind: now.kind, held });
            }
        }
        new.record(&self.layout, true)
    }

    /// The leases of this cache, as its record or its filesystem says.
    pub(crate) fn leases(&self) -> Result<&Leases, CacheError> {
        if let Some(leases) = self.leases.get() {
            return Ok(leases);
        }
        let choice = self.lease_choice()?;
        Ok(self.leases.get_or_init(|| Leases::by_choice(&self.layout.leases, &choice)))
    }

    /// The names of all leases that somebody holds or has left.
    pub(crate) fn lease_names(&self) -> Result<Vec<String>, CacheError> {
        let entries = self.list(&self.layout.leases)?.into_iter();
        Ok(entries.map(|entry| entry.name).filter(|name| is_lease(name)).collect())
    }

    /// Removes what dead processes have left among the leases. It does no harm, but there may be
    /// much. Where the kernel does not tell who is dead, some beats pass before that is known.
    pub(crate) fn remove_dead_leases(&self) -> Result<(), CacheError> {
        let leases = self.leases()?;
        let names = self.list(&self.layout.leases)?.into_iter().map(|entry| entry.name);
        let names: Vec<String> = names.filter(|name| name != "gc").collect();
        leases.wait_until_known(&names);
        for name in names {
            // A lease that is given back takes its file along. What this user may not remove
            // stays.
            let removed = match leases.judge(&name) {
                Remains::Lease => leases.acquire(&name, false).map(drop),
                Remains::Debris => self.remove_if_there(&self.layout.leases.join(&name)),
                Remains::Nothing => Ok(()),
            };
            match removed {
                Ok(()) | Err(CacheError::ReadOnly { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Meaning of a name in the folder of leases for a collection.
enum Remains {
    /// A lease, which goes when its holder is dead.
    Lease,
    /// Left by a dead process: part of a takeover, or its record.
    Debris,
    /// Something else.
    Nothing,
}

/// True if a name is one that leases of actions and runs have.
fn has_name_of_lease(name: &str) -> bool {
    let is_of_run = |id: &str| id.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    name.parse::<Digest>().is_ok() || name.strip_prefix(RUN_LEASE).is_some_and(is_of_run)
}

/// True if a file in the folder of leases is a lease of an action or a run.
pub(crate) fn is_lease(name: &str) -> bool {
    name != "gc" && !name.starts_with('.') && !name.contains(heartbeat::TAKEOVER)
}

/// The leases of a cache, for this process.
#[derive(Debug)]
pub(crate) enum Leases {
    Flock {
        folder: PathBuf,
        /// The lock of a run of this process, while there is one.
        run: Mutex<Weak<flock::FileLock>>,
    },
    Heartbeat {
        folder: PathBuf,
        beat: Duration,
        heart: Arc<Heart>,
    },
}

impl Leases {
    fn by_choice(folder: &Path, choice: &LeaseChoice) -> Self {
        match choice.kind {
            LeaseKind::Flock => Self::Flock { folder: folder.to_owned(), run: Mutex::default() },
            LeaseKind::Heartbeat => Self::heartbeat(folder, choice.beat(), owner::machine()),
        }
    }

    /// Heartbeats of a process on a machine, of which nothing is known when there is none.
    pub fn heartbeat(folder: &Path, beat: Duration, machine: Option<String>) -> Self {
        let heart = Arc::new(Heart::new(folder, beat, machine));
        Self::Heartbeat { folder: folder.to_owned(), beat, heart }
    }

    /// Takes a lease. None when another has it; with `wait`, only when it was about to be given
    /// back.
    pub fn acquire(&self, name: &str, wait: bool) -> Result<Option<Lease>, CacheError> {
        match self {
            Self::Flock { folder, run } => {
                let path = folder.join(name);
                let run = || run.lock().unwrap_or_else(PoisonError::into_inner);
                let is_run = name.starts_with(RUN_LEASE);
                if is_lease(name)
                    && !is_run
                    && let Some(lock) = run().upgrade()
                    && let Some(linked) = flock::LinkedLock::acquire(&path, &lock)
                {
                    return Ok(Some(Lease(Held::Linked(linked))));
                }
                let lock = flock::FileLock::acquire(&path, wait)?.map(Arc::new);
                if let Some(lock) = lock.as_ref().filter(|_| is_run) {
                    *run() = Arc::downgrade(lock);
                }
                Ok(lock.map(|lock| Lease(Held::Lock(lock))))
            }
            Self::Heartbeat { folder, beat, heart } => loop {
                let acquired = heart.acquire(name).map_err(|source| {
                    let path = folder.join(name);
                    match source.kind() {
                        ErrorKind::Unsupported => CacheError::NoLocks { path, source },
                        _ => CacheError::write(&path)(source),
                    }
                })?;
                if acquired {
                    let beating = Beating { heart: heart.clone(), name: name.to_owned() };
                    return Ok(Some(Lease(Held::Beating(beating))));
                }
                if !wait {
                    return Ok(None);
                }
                std::thread::sleep((*beat / LOOKS_PER_BEAT).max(LOOK));
            },
        }
    }

    /// Takes a lease. None when another keeps it: who only asks whether it is held has it for a
    /// moment.
    pub fn acquire_soon(&self, name: &str) -> Result<Option<Lease>, CacheError> {
        for _ in 0..100 {
            if let Some(lease) = self.acquire(name, false)? {
                return Ok(Some(lease));
            }
            std::thread::sleep(LOOK);
        }
        Ok(None)
    }

    /// True if a process holds a lease, as far as is known: see [`Leases::wait_until_known`].
    pub fn is_held(&self, name: &str) -> bool {
        match self {
            Self::Flock { folder, .. } => flock::is_held(&folder.join(name)),
            // A file that cannot be read counts as held.
            Self::Heartbeat { heart, .. } => {
                heart.leases().holder(name).map_or(true, |owner| owner.is_some())
            }
        }
    }

    /// Holder of a lease, for people.
    fn holder(&self, name: &str) -> Option<String> {
        match self {
            Self::Flock { folder, .. } => flock::holder(&folder.join(name)),
            Self::Heartbeat { heart, .. } => {
                let owner = heart.leases().holder(name).ok()??;
                Some(format!("process {} on {}", owner.process, owner.host))
            }
        }
    }

    /// When the holder of a lease began, by the clock of the filesystem; none when nobody holds it.
    ///
    /// `stat`: of its file.
    pub fn held_since(&self, name: &str, stat: &Stat) -> Option<SystemTime> {
        match self {
            Self::Flock { .. } => self.is_held(name).then_some(stat.modified),
            Self::Heartbeat { heart, .. } => match heart.leases().holder(name) {
                Ok(None) => None,
                Ok(Some(owner)) => Some(SystemTime::UNIX_EPOCH + Duration::from_secs(owner.began)),
                Err(_) => Some(stat.modified),
            },
        }
    }

    /// Watches leases until it is known of each whether its holder lives: some beats of a holder on
    /// another machine. Returns at once where the kernel knows.
    pub fn wait_until_known(&self, names: &[String]) {
        let Self::Heartbeat { heart, .. } = self else { return };
        let mut names: Vec<&String> = names.iter().collect();
        loop {
            // A file that cannot be read counts as held.
            names.retain(|name| !heart.leases().is_known(name).unwrap_or(true));
            if names.is_empty() {
                return;
            }
            let beats = names.iter().filter_map(|name| heart.leases().holder(name).ok().flatten());
            let shortest = beats.map(|owner| owner.beat_milliseconds).min().unwrap_or(1);
            std::thread::sleep((Duration::from_millis(shortest) / LOOKS_PER_BEAT).max(LOOK));
        }
    }

    fn judge(&self, name: &str) -> Remains {
        let is_of_process = name.starts_with(disk::RECORD) || name.contains(heartbeat::TAKEOVER);
        match self {
            // Whatever else lies there is not the cache's, or the folder is not.
            Self::Flock { .. } if has_name_of_lease(name) => Remains::Lease,
            Self::Flock { .. } => Remains::Nothing,
            Self::Heartbeat { .. } if is_lease(name) && has_name_of_lease(name) => Remains::Lease,
            Self::Heartbeat { .. } if is_of_process && !self.is_held(name) => Remains::Debris,
            Self::Heartbeat { .. } => Remains::Nothing,
        }
    }
}
