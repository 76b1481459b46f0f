//! Leases that are records which their holder renews, for filesystems whose locks do not hold
//! between machines.
//!
//! A process has one record, and a lease is one more name for it (a hard link): making a name that
//! is not there is atomic wherever there are links. Every beat writes a new number into the record,
//! through the file that is open and never by name, so that whoever was stopped for long changes
//! nothing of what others hold by now. An observer that sees one number while it counts
//! [`MISSED_BEATS`] by its own clock takes the holder for dead. No two clocks are compared.
//!
//! A lease that is free is the name `KEY`. One of a dead holder is taken over by making the name
//! `KEY~1`, which one observer succeeds in; if `KEY` is still what it saw, it renames `KEY~1` to
//! `KEY`, in one step. A process that dies between these two steps leaves `KEY~1` behind, which is
//! taken over by `KEY~2`, and so on. **Invariant:** as long as no process is stopped for longer than
//! its record may be silent, a lease has one holder. Where one was, two may execute the same
//! action: they write the same, and the second is counted.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Number of beats without a new number after which a holder counts as dead.
pub(super) const MISSED_BEATS: u32 = 9;

/// Number of looks at the record of another's lease, within one of its beats, at most.
pub(super) const LOOKS_PER_BEAT: u32 = 20;

/// Separates the name of a lease from the number of a takeover in progress. No lease has it in its
/// name.
pub(super) const TAKEOVER: char = '~';

/// The record of a process that holds leases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Owner {
    /// Drawn at random by the process.
    pub token: String,
    /// Written anew with every beat.
    #[serde(skip)]
    pub sequence: u64,
    /// Time between two beats.
    pub beat_milliseconds: u64,
    /// Time of the record's file when it was made, by the clock of the filesystem: seconds since
    /// 1970.
    pub began: u64,
    /// Id of the process on its machine.
    pub process: u32,
    /// When the process began, in ticks since its machine did, where the system tells.
    pub started: Option<u64>,
    /// Name of the machine, for people.
    pub host: String,
    /// One boot of a machine and one space of process ids on it; none where the system tells
    /// neither.
    pub machine: Option<String>,
}

impl Owner {
    fn beat(&self) -> Duration {
        Duration::from_millis(self.beat_milliseconds)
    }

    /// True if both are one beat of one process.
    fn is_same_beat(&self, other: &Self) -> bool {
        self.token == other.token && self.sequence == other.sequence
    }
}

/// The steps of the protocol on a folder of leases. Each is atomic, and other processes may come
/// between any two.
pub(super) trait LeaseFolder: fmt::Debug {
    /// A clock of this process that never goes back.
    fn now(&self) -> Duration;

    /// Makes a name for this process's record; false when the name is taken.
    fn link(&self, name: &str) -> io::Result<bool>;

    /// The record that has a name; none when there is no such name.
    fn read(&self, name: &str) -> io::Result<Option<Owner>>;

    /// True if a name is one of this process's record.
    fn is_own(&self, name: &str) -> io::Result<bool>;

    /// Renames, replacing what has the new name.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a name, if it is there.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// True if the owner is known to be dead without waiting: a process of this machine that is no
    /// more.
    fn is_gone(&self, owner: &Owner) -> bool;

    /// True if the owner is a process of this machine that is known to live, be it stopped.
    fn is_living(&self, owner: &Owner) -> bool;
}

/// State of a lease of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Own {
    /// A thread takes it or gives it back.
    Busy,
    Held,
    /// Held, and its name is looked after.
    Checked,
    /// Given back while its name was looked after.
    Released,
}

/// Last state of a record that an observer has seen.
#[derive(Debug)]
struct Seen {
    owner: Owner,
    missed: u32,
    /// When it was looked at first, or a missed beat was counted last.
    since: Duration,
    /// When it was looked at last.
    looked: Duration,
    /// True if it was found dead then.
    is_dead: bool,
}

/// The protocol of one process on one folder.
#[derive(Debug)]
pub(super) struct Heartbeats<F> {
    pub folder: F,
    own: Mutex<BTreeMap<String, Own>>,
    seen: Mutex<BTreeMap<String, Seen>>,
}

impl<F: LeaseFolder> Heartbeats<F> {
    pub fn new(folder: F) -> Self {
        Self { folder, own: Mutex::default(), seen: Mutex::default() }
    }

    /// Takes a lease. False when another holds it, or takes it at the same time.
    pub fn acquire(&self, name: &str) -> io::Result<bool> {
        match self.own().entry(name.to_owned()) {
            Entry::Occupied(_) => return Ok(false),
            Entry::Vacant(entry) => entry.insert(Own::Busy),
        };
        let acquired = match self.was_seen_lately(name) {
            true => Ok(false),
            false => self.try_acquire(name),
        };
        match acquired {
            Ok(true) => self.own().insert(name.to_owned(), Own::Held),
            _ => self.own().remove(name),
        };
        acquired
    }

    fn try_acquire(&self, name: &str) -> io::Result<bool> {
        if self.make_name(name)? {
            self.seen().remove(name);
            return Ok(true);
        }
        let mut dead: Vec<(String, Owner)> = Vec::new();
        let free = loop {
            let place = takeover_name(name, dead.len());
            match self.folder.read(&place)? {
                Some(owner) if self.looks_dead(&place, &owner) => dead.push((place, owner)),
                Some(_) => return Ok(false),
                None => break place,
            }
        };
        if !self.make_name(&free)? {
            return Ok(false);
        }
        for (place, owner) in &dead {
            let now = self.folder.read(place)?;
            if !now.is_some_and(|now| now.is_same_beat(owner)) {
                self.folder.remove(&free)?;
                return Ok(false);
            }
        }
        if let [_, unfinished @ ..] = &dead[..] {
            match self.folder.rename(&free, name) {
                // This process was stopped for so long that it counted as dead.
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
                renamed => renamed?,
            }
            for (place, _) in unfinished {
                self.folder.remove(place)?;
            }
        }
        self.seen().retain(|seen, _| lease_name(seen) != name);
        Ok(true)
    }

    /// True if a lease was found taken so lately that it is not looked at again: whoever waits asks
    /// often.
    fn was_seen_lately(&self, name: &str) -> bool {
        let now = self.folder.now();
        self.seen().get(name).is_some_and(|seen| {
            !seen.is_dead && now.saturating_sub(seen.looked) < seen.owner.beat() / LOOKS_PER_BEAT
        })
    }

    /// Makes a name. Also true when it is one of this process's record: it was made before, and the
    /// answer of the file server was lost.
    fn make_name(&self, name: &str) -> io::Result<bool> {
        Ok(self.folder.link(name)? || self.folder.is_own(name)?)
    }

    /// Gives a lease back.
    pub fn release(&self, name: &str) -> io::Result<()> {
        {
            let mut own = self.own();
            let is_checked = own.get(name) == Some(&Own::Checked);
            let now = if is_checked { Own::Released } else { Own::Busy };
            own.insert(name.to_owned(), now);
            if is_checked {
                // Whoever looks after it gives it back.
                return Ok(());
            }
        }
        self.remove_own(name)
    }

    fn remove_own(&self, name: &str) -> io::Result<()> {
        let removed = match self.folder.is_own(name) {
            Ok(true) => self.folder.remove(name),
            // Another has taken it over.
            Ok(false) => Ok(()),
            Err(error) => Err(error),
        };
        self.own().remove(name);
        removed
    }

    /// Looks after the leases of this process, once a beat: gives a lease its name back that
    /// somebody removed. Returns the names of leases that others have taken over.
    pub fn check(&self) -> io::Result<Vec<String>> {
        let names: Vec<String> = self.own().keys().cloned().collect();
        let mut lost = Vec::new();
        for name in names {
            match self.own().get_mut(&name) {
                Some(own) if *own == Own::Held => *own = Own::Checked,
                _ => continue,
            }
            let is_held = self.make_name(&name);
            let is_released = {
                let mut own = self.own();
                let is_released = own.get(&name) == Some(&Own::Released);
                match (is_released, &is_held) {
                    (true, _) => own.insert(name.clone(), Own::Busy),
                    (false, Ok(false)) => own.remove(&name),
                    (false, _) => own.insert(name.clone(), Own::Held),
                };
                is_released
            };
            if is_released {
                self.remove_own(&name)?;
            } else if !is_held? {
                lost.push(name);
            }
        }
        Ok(lost)
    }

    /// Holder of a lease, as far as is known: whoever has looked at it once only takes its holder
    /// for alive.
    pub fn holder(&self, name: &str) -> io::Result<Option<Owner>> {
        let owner = self.folder.read(name)?;
        Ok(owner.filter(|owner| !self.looks_dead(name, owner)))
    }

    /// True once it is known whether the holder of a lease lives: it was seen to beat, or not to
    /// beat for too long.
    pub fn is_known(&self, name: &str) -> io::Result<bool> {
        let before = self.seen().get(name).map(|seen| seen.owner.clone());
        let Some(owner) = self.folder.read(name)? else { return Ok(true) };
        let has_beaten = before.is_some_and(|before| !before.is_same_beat(&owner));
        let is_dead = self.looks_dead(name, &owner);
        Ok(is_dead || has_beaten || self.folder.is_living(&owner))
    }

    /// Notes what is seen of a record; true once it was silent for too long, or its process is known
    /// to be gone.
    fn looks_dead(&self, name: &str, owner: &Owner) -> bool {
        let (is_gone, is_living) = (self.folder.is_gone(owner), self.folder.is_living(owner));
        let now = self.folder.now();
        let mut seen = self.seen();
        let first =
            || Seen { owner: owner.clone(), missed: 0, since: now, looked: now, is_dead: false };
        let record = seen.entry(name.to_owned()).or_insert_with(first);
        if !record.owner.is_same_beat(owner) {
            *record = first();
        } else if now.saturating_sub(record.since) >= owner.beat() {
            // One however long ago: when the file server was away, the holder could not beat either.
            record.missed += 1;
            record.since = now;
        }
        record.looked = now;
        record.is_dead = is_gone || record.missed >= MISSED_BEATS && !is_living;
        record.is_dead
    }

    fn own(&self) -> MutexGuard<'_, BTreeMap<String, Own>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self) -> MutexGuard<'_, BTreeMap<String, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name of the nth takeover of a lease; of the lease itself for 0.
fn takeover_name(name: &str, takeover: usize) -> String {
    match takeover {
        0 => name.to_owned(),
        _ => format!("{name}{TAKEOVER}{takeover}"),
    }
}

/// The lease that a name belongs to.
pub(super) fn lease_name(name: &str) -> &str {
    name.split(TAKEOVER).next().unwrap_or(name)
}

#[cfg(test)]
mod tests;
