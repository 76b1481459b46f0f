//! Resource usage of a worker, as the kernel counts it.

use std::time::Duration;

use crate::worker::processes::Process;

/// Threads and processes of a worker, and memory that its limits do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Threads of the process, or the number of processes.
    pub tasks: u32,
    /// Bytes in memory: shared ones of the process, all of the processes.
    pub memory: u64,
}

/// Usage of one process.
#[cfg(target_os = "linux")]
pub fn of_process(process: u32) -> Option<Usage> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let number = |name: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse().ok()
    };
    let tasks = u32::try_from(number("Threads")?).ok()?;
    Some(Usage { tasks, memory: number("RssShmem").unwrap_or(0) << 10 })
}

/// Usage of these processes together. What several of them have in memory together counts once where
/// it decides whether they stay within `limit`: the kernel takes long to tell it.
pub fn of_processes(processes: &[Process], limit: u64) -> Usage {
    let resident = |process: &Process| process.resident_pages * PAGE_BYTES;
    let mut memory: u64 = processes.iter().map(resident).sum();
    if memory > limit {
        // One that has ended since it was listed uses nothing any more.
        let share = |process: &Process| {
            let now = || Process::read(process.id).map_or(0, |now| resident(&now));
            proportional(process.id).unwrap_or_else(now)
        };
        memory = processes.iter().map(share).sum();
    }
    Usage { tasks: u32::try_from(processes.len()).unwrap_or(u32::MAX), memory }
}

/// Bytes of a page, in which the kernel counts.
const PAGE_BYTES: u64 = 4096;

/// Bytes that a process has in memory, with its part of what it shares.
fn proportional(process: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// Time for which a process, or a child of it, has been ready to run and was not let: the main
/// thread that waited longest.
#[cfg(target_os = "linux")]
pub fn queued(process: u32) -> Duration {
    let of = |process: u32| -> Option<u64> {
        let text = std::fs::read_to_string(format!("/proc/{process}/schedstat")).ok()?;
        text.split_whitespace().nth(1)?.parse().ok()
    };
    let children = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children"));
    let children = children.unwrap_or_default();
    let children = children.split_whitespace().filter_map(|child| child.parse().ok());
    let longest = std::iter::once(process).chain(children).filter_map(of).max();
    Duration::from_nanos(longest.unwrap_or(0))
}

/// Usage of one process: not known here.
#[cfg(not(target_os = "linux"))]
pub fn of_process(_process: u32) -> Option<Usage> {
    None
}

/// Time for which a process was not let run: not known here.
#[cfg(not(target_os = "linux"))]
pub fn queued(_process: u32) -> Duration {
    Duration::ZERO
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_counted() {
        let usage = of_process(std::process::id()).unwrap();
        assert!(usage.tasks >= 1);
        let this = [Process::read(std::process::id()).unwrap()];
        for limit in [u64::MAX, 0] {
            let usage = of_processes(&this, limit);
            assert!(usage.tasks == 1 && usage.memory > 1 << 20, "{usage:?}");
        }
    }
}
