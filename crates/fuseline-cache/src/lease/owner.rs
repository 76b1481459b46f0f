//! This process and its machine, as the records of leases name them.

use std::fs;

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use super::heartbeat::Owner;

/// The name of this machine.
pub(super) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// One boot of this machine, and the space of process ids that this process is in, where the system
/// tells: only there does the id of a process mean the same.
pub(super) fn machine() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let space = fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", boot.trim(), space.display()))
}

/// State and beginning of a process, where the system tells.
struct ProcessStat {
    /// True if it has ended, and its parent has not asked how.
    has_ended: bool,
    /// In ticks since the machine began.
    started: u64,
}

fn process_stat(process: u32) -> Option<ProcessStat> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name, which may hold anything, stands in parentheses.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let has_ended = matches!(*fields.first()?, "Z" | "X");
    Some(ProcessStat { has_ended, started: fields.get(19)?.parse().ok()? })
}

/// When this process began.
pub(super) fn started() -> Option<u64> {
    process_stat(std::process::id()).map(|stat| stat.started)
}

/// True if a process of this machine lives: also one that is stopped.
///
/// `owner`: of this machine.
pub(super) fn is_living(owner: &Owner) -> bool {
    let Some(process) = i32::try_from(owner.process).ok().and_then(Pid::from_raw) else {
        return false;
    };
    if test_kill_process(process) == Err(Errno::SRCH) {
        return false;
    }
    // Where processes of others are hidden, it lives, whichever it is.
    process_stat(owner.process).is_none_or(|stat| {
        !stat.has_ended && owner.started.is_none_or(|started| started == stat.started)
    })
}
