//! The kind of leases that a cache has: recorded in the cache, so that all machines agree; else by
//! its filesystem.

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::heartbeat::MISSED_BEATS;
use crate::error::CacheError;
use crate::layout::{Layout, temporary_beside};

/// Time between two beats of a holder of leases, unless it is set.
pub const DEFAULT_BEAT: Duration = Duration::from_secs(10);

/// A kind of leases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LeaseKind {
    /// Locks of the kernel (`flock`), which end with their process.
    Flock,
    /// Records that their holders renew.
    Heartbeat,
}

impl fmt::Display for LeaseKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flock => "flock",
            Self::Heartbeat => "heartbeat",
        })
    }
}

/// The leases that a cache has, and the reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseChoice {
    /// Their kind.
    pub kind: LeaseKind,
    /// Time between two beats of a holder, in milliseconds.
    pub beat_milliseconds: u64,
    /// Type of the filesystem that the cache lies on, as whoever chose has seen it.
    pub filesystem: String,
    /// The reason of the choice, for people.
    pub reason: String,
}

/// The file that says which leases a cache has.
const CHOICE_FILE: &str = "leases.json";

impl LeaseChoice {
    /// The choice for a cache: the one that is recorded, else by the filesystem. Only one that
    /// another machine could come to see otherwise is recorded.
    pub(super) fn of_cache(layout: &Layout) -> Result<Self, CacheError> {
        if let Some(choice) = Self::recorded(layout)? {
            return Ok(choice);
        }
        let (choice, is_plain) = Self::by_filesystem(&layout.leases)?;
        if !is_plain {
            choice.record(layout, false)?;
            // Another process may have been faster.
            return Ok(Self::recorded(layout)?.unwrap_or(choice));
        }
        Ok(choice)
    }

    /// The choice by a setting.
    pub(super) fn set(kind: LeaseKind, beat: Duration, layout: &Layout) -> Self {
        Self {
            kind,
            beat_milliseconds: u64::try_from(beat.as_millis()).unwrap_or(u64::MAX).max(1),
            filesystem: filesystem(&layout.leases).0,
            reason: "by the setting cache.leases".to_owned(),
        }
    }

    /// Time between two beats of a holder.
    pub fn beat(&self) -> Duration {
        Duration::from_millis(self.beat_milliseconds)
    }

    /// Silence after which a holder counts as dead.
    pub fn silence(&self) -> Duration {
        self.beat() * MISSED_BEATS
    }

    fn recorded(layout: &Layout) -> Result<Option<Self>, CacheError> {
        let path = layout.root.join(CHOICE_FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(CacheError::read(&path)(error)),
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|_| CacheError::Unreadable { path })
    }

    /// Records the choice; unless `replace`, the first one stays. A cache that cannot be written
    /// needs no record: nobody takes a lease there.
    pub(super) fn record(&self, layout: &Layout, replace: bool) -> Result<(), CacheError> {
        let path = layout.root.join(CHOICE_FILE);
        let temporary = temporary_beside(&path);
        let text = serde_json::to_vec_pretty(self)
            .map_err(|error| CacheError::write(&path)(error.into()))?;
        let written =
            fs::write(&temporary, [&text[..], b"\n"].concat()).and_then(|()| match replace {
                true => fs::rename(&temporary, &path),
                false => {
                    let made = link_or_rename(&temporary, &path);
                    let _ = fs::remove_file(&temporary);
                    made
                }
            });
        match written {
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::PermissionDenied
                        | ErrorKind::ReadOnlyFilesystem
                        | ErrorKind::NotFound
                ) && !replace =>
            {
                Ok(())
            }
            written => written.map_err(CacheError::write(&path)),
        }
    }

    /// The choice by the filesystem, and true where every machine that reaches the folder makes it.
    fn by_filesystem(folder: &Path) -> Result<(Self, bool), CacheError> {
        let (filesystem, options) = filesystem(folder);
        let choice = |kind, reason: String| Self {
            kind,
            beat_milliseconds: DEFAULT_BEAT.as_millis() as u64,
            filesystem: filesystem.clone(),
            reason,
        };
        let verdict = judge(&filesystem, &options);
        if let Locks::OfThisMachine(reason) = verdict {
            return Ok((choice(LeaseKind::Flock, reason), true));
        }
        let locks = probe_locks(folder);
        if let (Locks::OfAllMachines(reason), Ok(true)) = (&verdict, &locks) {
            return Ok((choice(LeaseKind::Flock, reason.clone()), false));
        }
        let reason = match (verdict, &locks) {
            (_, Err(error)) => format!("{filesystem} has no locks ({error})"),
            (_, Ok(false)) => format!("the locks of {filesystem} do not exclude each other"),
            (
                Locks::Unsure(reason) | Locks::OfAllMachines(reason) | Locks::OfThisMachine(reason),
                _,
            ) => reason,
        };
        match (probe_links(folder), locks) {
            (Ok(()), _) => Ok((choice(LeaseKind::Heartbeat, reason), false)),
            (Err(error), Ok(true)) => {
                let reason = format!(
                    "{reason}, and it has no hard links ({error}): use it from one machine alone"
                );
                Ok((choice(LeaseKind::Flock, reason), false))
            }
            // A cache that cannot be written: leases are looked at there, and none is taken.
            (Err(error), _)
                if matches!(
                    error.kind(),
                    ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem
                ) =>
            {
                Ok((choice(LeaseKind::Heartbeat, reason), false))
            }
            (Err(source), _) => Err(CacheError::NoLocks { path: folder.to_owned(), source }),
        }
    }
}

/// Makes a file that is not there yet of another; one that is there stays.
fn link_or_rename(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(_) if !to.exists() => fs::rename(from, to),
        made => made,
    }
}

/// Whom the locks of a filesystem exclude.
#[derive(Debug, PartialEq, Eq)]
enum Locks {
    /// It lies on this machine, and no other writes to it.
    OfThisMachine(String),
    /// Processes of all machines, if the kernel has such locks at all.
    OfAllMachines(String),
    /// Perhaps not those of other machines.
    Unsure(String),
}

/// Types of filesystems on disks and in memory of one machine.
const LOCAL: [&str; 16] = [
    "ext2", "ext3", "ext4", "xfs", "btrfs", "tmpfs", "ramfs", "zfs", "f2fs", "bcachefs", "overlay",
    "jfs", "reiserfs", "nilfs2", "ntfs3", "apfs",
];

/// Types of filesystems whose locks are those of the whole cluster.
const OF_CLUSTER: [&str; 5] = ["gpfs", "ceph", "gfs2", "ocfs2", "wekafs"];

/// True if a folder lies on a filesystem of this machine, which every process on it sees alike.
pub(crate) fn is_of_one_machine(folder: &Path) -> bool {
    let (filesystem, options) = filesystem(folder);
    matches!(judge(&filesystem, &options), Locks::OfThisMachine(_))
}

/// Judges a filesystem by its type and its mount options.
fn judge(filesystem: &str, options: &str) -> Locks {
    let has = |wanted: &[&str]| options.split(',').find(|option| wanted.contains(option));
    match filesystem {
        local if LOCAL.contains(&local) => {
            Locks::OfThisMachine(format!("{local} is a filesystem of this machine"))
        }
        // Not Linux.
        "" => Locks::OfThisMachine("the type of the filesystem is not known".to_owned()),
        "nfs" | "nfs4" => match has(&["nolock", "local_lock=flock", "local_lock=all"]) {
            Some(option) => Locks::Unsure(format!(
                "{filesystem} is mounted with {option}: its locks hold on one machine alone"
            )),
            None => Locks::OfAllMachines(format!("{filesystem} keeps locks on its server")),
        },
        "lustre" => match has(&["flock"]) {
            Some(_) => Locks::OfAllMachines("lustre is mounted with flock".to_owned()),
            None => Locks::Unsure(
                match has(&["localflock"]) {
                    Some(_) => {
                        "lustre is mounted with localflock: its locks hold on one machine alone"
                    }
                    None => "lustre is mounted without flock",
                }
                .to_owned(),
            ),
        },
        cluster if OF_CLUSTER.contains(&cluster) => {
            Locks::OfAllMachines(format!("the locks of {cluster} are those of its cluster"))
        }
        other => Locks::Unsure(format!(
            "whether the locks of {other} hold between machines is not known"
        )),
    }
}

/// The type and the mount options of the filesystem of a folder; empty where the system does not
/// tell.
fn filesystem(folder: &Path) -> (String, String) {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    find_mount(&mounts, &folder).unwrap_or_default()
}

/// Finds the mount that a folder lies on: the last one of the longest mount point.
fn find_mount(mounts: &str, folder: &Path) -> Option<(String, String)> {
    let mounts = mounts.lines().filter_map(|line| {
        // ID PARENT DEVICE ROOT POINT OPTIONS [TAG...] - TYPE SOURCE OPTIONS
        let (mount, filesystem) = line.split_once(" - ")?;
        let point = unescape(mount.split(' ').nth(4)?);
        let options = mount.split(' ').nth(5)?;
        let mut filesystem = filesystem.split(' ');
        let (name, of_filesystem) = (filesystem.next()?, filesystem.nth(1).unwrap_or_default());
        folder.starts_with(&point).then(|| {
            let options = format!("{options},{of_filesystem}");
            (point.components().count(), name.to_owned(), options)
        })
    });
    let mount = mounts.max_by_key(|(length, ..)| *length)?;
    Some((mount.1, mount.2))
}

/// A path with `\040` for a space, as mount tables write it.
fn unescape(text: &str) -> PathBuf {
    let mut parts = text.split('\\');
    let mut path = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_at_checked(3).map(|(code, rest)| (u8::from_str_radix(code, 8), rest)) {
            Some((Ok(byte), rest)) => {
                path.push(char::from(byte));
                path.push_str(rest);
            }
            _ => path.push_str(part),
        }
    }
    path.into()
}

/// True if a lock on a file excludes another. The kernel tells owners of such locks apart by the
/// open file and not by the process, so that two open files are as good as two processes.
fn probe_locks(folder: &Path) -> io::Result<bool> {
    let path = temporary_beside(&folder.join("probe"));
    let open = || File::options().create(true).truncate(false).write(true).read(true).open(&path);
    let probe = || -> io::Result<bool> {
        let (first, second) = (open()?, open()?);
        first.lock()?;
        let excluded = match second.try_lock() {
            Err(TryLockError::WouldBlock) => true,
            Err(TryLockError::Error(error)) => return Err(error),
            Ok(()) => false,
        };
        first.unlock()?;
        Ok(excluded && second.try_lock().is_ok())
    };
    let probed = probe();
    let _ = fs::remove_file(&path);
    probed
}

/// Tries to give a file a second name.
pub(super) fn probe_links(folder: &Path) -> io::Result<()> {
    let (first, second) =
        (temporary_beside(&folder.join("probe")), temporary_beside(&folder.join("probe")));
    let linked = fs::write(&first, b"").and_then(|()| fs::hard_link(&first, &second));
    let _ = fs::remove_file(&second);
    let _ = fs::remove_file(&first);
    linked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filesystems_are_judged_by_type_and_mount_options() {
        let is_unsure = |name, options| matches!(judge(name, options), Locks::Unsure(_));
        assert!(matches!(judge("ext4", "rw,relatime"), Locks::OfThisMachine(_)));
        for (name, options) in [
            ("nfs", "rw,vers=3,nolock"),
            ("nfs", "rw,vers=3,local_lock=all"),
            ("nfs4", "rw,local_lock=flock"),
            ("lustre", "rw,lazystatfs"),
            ("lustre", "rw,localflock"),
            ("lustre", "rw,noflock"),
            ("beegfs", "rw"),
            ("fuse.sshfs", "rw"),
            ("9p", "rw"),
        ] {
            assert!(is_unsure(name, options), "{name} {options}");
        }
        for (name, options) in [
            ("nfs4", "rw,vers=4.2,local_lock=none"),
            ("lustre", "rw,flock,lazystatfs"),
            ("gpfs", "rw"),
        ] {
            assert!(matches!(judge(name, options), Locks::OfAllMachines(_)), "{name} {options}");
        }
    }

    #[test]
    fn the_mount_of_a_folder_is_the_innermost_one() {
        let mounts = "\
21 1 0:1 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
30 21 0:40 / /scratch rw,noatime shared:2 master:1 - lustre 10.0.0.1@tcp:/fs rw,flock
31 30 0:41 /home /scratch/my\\040data rw - nfs4 server:/home rw,vers=4.2,local_lock=none
";
        let mount = |folder: &str| find_mount(mounts, Path::new(folder)).unwrap();
        assert_eq!(mount("/home/me"), ("ext4".to_owned(), "rw,relatime,rw,discard".to_owned()));
        assert_eq!(mount("/scratch/cache").1, "rw,noatime,rw,flock");
        assert_eq!(mount("/scratch/my data/cache").0, "nfs4");
        assert_eq!(mount("/scratchy").0, "ext4");
        assert_eq!(find_mount("", Path::new("/")), None);
        assert_eq!(find_mount("nonsense - \n1 2 - x", Path::new("/")), None);
    }

    #[test]
    fn the_probes_find_locks_and_links_where_there_are_both() {
        let folder = tempfile::tempdir().unwrap();
        assert!(probe_locks(folder.path()).unwrap());
        probe_links(folder.path()).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(probe_locks(&folder.path().join("missing")).is_err());
    }
}
