//! Processes that this one has started, and all that those have started.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, wait};

/// Interval at which what was killed is looked for again.
const LOOK: Duration = Duration::from_millis(2);
/// Number of such looks: what cannot be killed must not keep this process for ever.
const LOOKS: usize = 1000;

/// Becomes the parent of every process below this one whose own parent ends first.
pub fn adopt_orphans() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    Ok(())
}

/// Kills every process below this one, whatever group or session it is in, and waits for its end.
pub fn end_descendants() {
    for _ in 0..LOOKS {
        let descendants = descendants(std::process::id());
        // Adopted processes that have ended are to be waited for.
        while matches!(wait(WaitOptions::NOHANG), Ok(Some(_))) {}
        if descendants.is_empty() {
            return;
        }
        for process in descendants {
            if let Some(process) = i32::try_from(process.id).ok().and_then(Pid::from_raw) {
                let _ = kill_process(process, Signal::KILL);
            }
        }
        std::thread::sleep(LOOK);
    }
}

/// A process of this system.
#[derive(Clone, Copy, Debug)]
pub struct Process {
    pub id: u32,
    parent: u32,
    /// It has ended, and nobody has waited for it yet.
    has_ended: bool,
    /// Pages that it has in memory.
    pub resident_pages: u64,
}

/// The processes below one that have not ended, whatever group or session they are in; none where
/// the system does not tell.
pub fn descendants(root: u32) -> Vec<Process> {
    let mut children = BTreeMap::<u32, Vec<Process>>::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let id = entry.file_name().to_str().and_then(|name| name.parse().ok());
        if let Some(process) = id.and_then(Process::read) {
            children.entry(process.parent).or_default().push(process);
        }
    }
    let (mut found, mut open) = (Vec::new(), vec![root]);
    while let Some(process) = open.pop() {
        let below = children.remove(&process).unwrap_or_default();
        open.extend(below.iter().map(|process| process.id));
        found.extend(below.into_iter().filter(|process| !process.has_ended));
    }
    found
}

impl Process {
    /// The process of a number; none when there is none.
    pub fn read(id: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The name of the program stands in brackets and may hold anything.
        let (_, fields) = stat.rsplit_once(") ")?;
        let fields: Vec<&str> = fields.split(' ').collect();
        Some(Self {
            id,
            parent: fields.get(1)?.parse().ok()?,
            has_ended: matches!(*fields.first()?, "Z" | "X"),
            resident_pages: fields.get(21).and_then(|pages| pages.parse().ok()).unwrap_or(0),
        })
    }
}

/// Removes folders with all that is in them; one that is gone is no error.
pub fn remove_folders(folders: &[PathBuf]) {
    for folder in folders {
        let _ = std::fs::remove_dir_all(folder);
    }
}
