//! Resource usage of a worker, as the kernel counts it.

use std::time::Duration;

/// Threads and processes of a worker, and memory that its limits do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Threads of the process; where a script has started others, the processes of its group.
    pub tasks: u32,
    /// Bytes in memory: shared ones of the process, all of the processes of a script's group.
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

/// Usage of the processes of a group together. What several of them have in memory together counts
/// once where it decides whether they stay within `limit`: the kernel takes long to tell it.
#[cfg(target_os = "linux")]
pub fn of_group(group: u32, limit: u64) -> Option<Usage> {
    let mut usage = Usage::default();
    let mut resident = Vec::new();
    for entry in std::fs::read_dir("/proc").ok()?.flatten() {
        let name = entry.file_name();
        let Some(process) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{process}/stat")) else { continue };
        // The name of the program stands in brackets and may hold anything.
        let Some((_, fields)) = stat.rsplit_once(") ") else { continue };
        let fields: Vec<&str> = fields.split(' ').collect();
        let is_own = fields.get(2).and_then(|own| own.parse().ok()) == Some(group);
        if is_own {
            let pages: u64 = fields.get(21).and_then(|pages| pages.parse().ok()).unwrap_or(0);
            usage.tasks += 1;
            usage.memory += pages * PAGE_BYTES;
            resident.push((process, pages * PAGE_BYTES));
        }
    }
    if usage.memory > limit {
        let share = |(process, bytes)| proportional(process).unwrap_or(bytes);
        usage.memory = resident.into_iter().map(share).sum();
    }
    Some(usage)
}

/// Bytes of a page, in which the kernel counts.
#[cfg(target_os = "linux")]
const PAGE_BYTES: u64 = 4096;

/// Bytes that a process has in memory, with its part of what it shares.
#[cfg(target_os = "linux")]
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

/// Usage of the processes of a group together: not known here.
#[cfg(not(target_os = "linux"))]
pub fn of_group(_group: u32, _limit: u64) -> Option<Usage> {
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
        let group = rustix::process::getpgrp().as_raw_nonzero().get().cast_unsigned();
        let together = of_group(group, u64::MAX).unwrap();
        assert!(together.tasks >= 1 && together.memory > 1 << 20, "{together:?}");
        let exact = of_group(group, 0).unwrap();
        assert!(exact.memory > 1 << 20, "{exact:?}");
    }
}
