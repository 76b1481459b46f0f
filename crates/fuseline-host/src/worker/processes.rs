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
            if let Some(process) = i32::try_from(process).ok().and_then(Pid::from_raw) {
                let _ = kill_process(process, Signal::KILL);
            }
        }
        std::thread::sleep(LOOK);
    }
}

/// The processes below one; those that have ended and are not waited for are left out.
fn descendants(root: u32) -> Vec<u32> {
    let mut children = BTreeMap::<u32, Vec<u32>>::new();
    let mut ended = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(process) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{process}/stat")) else { continue };
        // The name of the program stands in brackets and may hold anything.
        let Some((_, fields)) = stat.rsplit_once(") ") else { continue };
        let mut fields = fields.split(' ');
        if matches!(fields.next(), Some("Z" | "X")) {
            ended.push(process);
        }
        if let Some(parent) = fields.next().and_then(|parent| parent.parse().ok()) {
            children.entry(parent).or_default().push(process);
        }
    }
    let (mut found, mut open) = (Vec::new(), vec![root]);
    while let Some(process) = open.pop() {
        let below = children.remove(&process).unwrap_or_default();
        open.extend(&below);
        found.extend(below.into_iter().filter(|process| !ended.contains(process)));
    }
    found
}

/// Removes folders with all that is in them; one that is gone is no error.
pub fn remove_folders(folders: &[PathBuf]) {
    for folder in folders {
        let _ = std::fs::remove_dir_all(folder);
    }
}
