//! System calls, by seccomp: an allow-list. Whatever it does not hold does not exist for a rule
//! (`ENOSYS`).
//!
//! Nothing in it reaches another process or outlives this one: no signals to others, no limits,
//! priorities or affinities of others, no shared memory (but files in memory of a script, which its
//! children alone see) and no queues of the system, no sockets but pairs, no change of a file's
//! mode, owner, times or attributes.

use std::collections::BTreeMap;
use std::io;

use libc::c_long;
use seccompiler::SeccompCmpArgLen::{Dword, Qword};
use seccompiler::SeccompCmpOp::{Eq, MaskedEq};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCondition, SeccompFilter, SeccompRule,
};

/// Allowed whatever their arguments are.
const ANY: &[c_long] = &[
    // Reading and writing what is open, and looking at files, which Landlock guards.
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_preadv,
    libc::SYS_pwritev,
    libc::SYS_lseek,
    libc::SYS_openat,
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    libc::SYS_chdir,
    libc::SYS_umask,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_ftruncate,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_pipe2,
    libc::SYS_eventfd2,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    // A connection that is open: to receive, to ask about it, to close it.
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_shutdown,
    // Memory of its own.
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_membarrier,
    // Threads.
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_get_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_rseq,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_getparam,
    libc::SYS_sched_getscheduler,
    libc::SYS_sched_get_priority_max,
    libc::SYS_sched_get_priority_min,
    libc::SYS_getcpu,
    // Time, and what the process is.
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_times,
    libc::SYS_getrusage,
    libc::SYS_getrandom,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_getppid,
    libc::SYS_getpgid,
    libc::SYS_getsid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getresuid,
    libc::SYS_getresgid,
    libc::SYS_getgroups,
    libc::SYS_getpriority,
    libc::SYS_capget,
    libc::SYS_getrlimit,
    // Its own signals.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigpending,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_rt_sigsuspend,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_setitimer,
    libc::SYS_getitimer,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// The same under the names that only this architecture has.
#[cfg(target_arch = "x86_64")]
const ANY_HERE: &[c_long] = &[
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_dup2,
    libc::SYS_pipe,
    libc::SYS_poll,
    libc::SYS_select,
    libc::SYS_epoll_create,
    libc::SYS_epoll_wait,
    libc::SYS_getpgrp,
    libc::SYS_time,
    libc::SYS_alarm,
    libc::SYS_pause,
    libc::SYS_arch_prctl,
];
#[cfg(not(target_arch = "x86_64"))]
const ANY_HERE: &[c_long] = &[];

/// Further calls of a script: start programs, which stay in its group of processes, and try what
/// Landlock refuses.
const SCRIPT: &[c_long] = &[
    libc::SYS_execve,
    libc::SYS_wait4,
    libc::SYS_waitid,
    libc::SYS_sendfile,
    libc::SYS_fadvise64,
    libc::SYS_readahead,
    libc::SYS_copy_file_range,
    libc::SYS_getxattr,
    libc::SYS_lgetxattr,
    libc::SYS_fgetxattr,
    libc::SYS_listxattr,
    libc::SYS_llistxattr,
    libc::SYS_flistxattr,
    libc::SYS_fchdir,
    libc::SYS_unlinkat,
    libc::SYS_mkdirat,
    libc::SYS_renameat2,
    // The files of a model that is loaded lie in memory; what they hold counts as shared memory.
    libc::SYS_memfd_create,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_settime,
    libc::SYS_timer_create,
    libc::SYS_timer_settime,
    libc::SYS_timer_delete,
    libc::SYS_sched_rr_get_interval,
];
#[cfg(target_arch = "x86_64")]
const SCRIPT_HERE: &[c_long] = &[
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_unlink,
    libc::SYS_mkdir,
    libc::SYS_rmdir,
    libc::SYS_rename,
];
#[cfg(not(target_arch = "x86_64"))]
const SCRIPT_HERE: &[c_long] = &[];

/// Further calls of a script whose processes share memory: named semaphores and mapped files in
/// folders of its own. No locks: on a file of the system they would be seen by any other rule.
const SHARING: &[c_long] = &[libc::SYS_linkat, libc::SYS_fallocate, libc::SYS_msync];
#[cfg(target_arch = "x86_64")]
const SHARING_HERE: &[c_long] = &[libc::SYS_link];
#[cfg(not(target_arch = "x86_64"))]
const SHARING_HERE: &[c_long] = &[];

/// Uses of the system that a process has.
#[derive(Clone, Copy)]
pub struct Uses {
    /// It starts programs.
    pub is_script: bool,
    /// Its processes share memory with one another.
    pub shares_memory: bool,
    /// It signals its own processes; the kernel lets no signal out.
    pub signals: bool,
    /// It talks to devices, each in its own way.
    pub devices: bool,
}

/// Puts the filter up for this thread, the only one, and all that it starts. Whether it holds: a
/// kernel without seccomp says so.
pub fn confine(uses: Uses) -> io::Result<bool> {
    let filter = filter(uses).map_err(io::Error::other)?;
    match seccompiler::apply_filter(&filter) {
        Ok(()) => Ok(true),
        Err(seccompiler::Error::Seccomp(error) | seccompiler::Error::Prctl(error))
            if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EINVAL)) =>
        {
            Ok(false)
        }
        Err(error) => Err(io::Error::other(error)),
    }
}

fn filter(uses: Uses) -> Result<BpfProgram, BackendError> {
    let mut rules = BTreeMap::<i64, Vec<SeccompRule>>::new();
    for (number, ways) in by_argument(uses.is_script)? {
        rules.insert(number, ways);
    }
    let sets: [(bool, &[c_long]); 9] = [
        (true, ANY),
        (true, ANY_HERE),
        (uses.is_script, SCRIPT),
        (uses.is_script, SCRIPT_HERE),
        (uses.shares_memory, SHARING),
        (uses.shares_memory, SHARING_HERE),
        // Whatever their arguments are, in place of some uses.
        (uses.shares_memory, &[libc::SYS_mmap]),
        (uses.signals, &[libc::SYS_kill, libc::SYS_tgkill]),
        (uses.devices, &[libc::SYS_ioctl]),
    ];
    for (_, numbers) in sets.into_iter().filter(|(is_allowed, _)| *is_allowed) {
        rules.extend(numbers.iter().map(|&number| (number, Vec::new())));
    }
    let nothing = SeccompAction::Errno(libc::ENOSYS.cast_unsigned());
    let architecture = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, nothing, SeccompAction::Allow, architecture)?.try_into()
}

/// System calls of which some uses are allowed, with each allowed use.
fn by_argument(is_script: bool) -> Result<Vec<(i64, Vec<SeccompRule>)>, BackendError> {
    let one = |argument: u8, value: u64| {
        SeccompRule::new(vec![SeccompCondition::new(argument, Dword, Eq, value)?])
    };
    let any_of = |argument: u8, values: &[i64]| {
        values
            .iter()
            .map(|value| one(argument, value.cast_unsigned()))
            .collect::<Result<Vec<_>, _>>()
    };
    let masked = |argument: u8, mask: u64, value: u64| {
        SeccompCondition::new(argument, Qword, MaskedEq(mask), value)
    };
    let own = u64::from(std::process::id());
    let (kind, anonymous) = (libc::MAP_TYPE as u64, libc::MAP_ANONYMOUS as u64);
    let mut rules = vec![
        // Private memory, and files; no memory that could be shared without a file.
        (
            libc::SYS_mmap,
            vec![
                SeccompRule::new(vec![masked(3, kind, libc::MAP_PRIVATE as u64)?])?,
                SeccompRule::new(vec![masked(3, kind | anonymous, libc::MAP_SHARED as u64)?])?,
            ],
        ),
        // Descriptors and their flags; no locks, leases or owners.
        (
            libc::SYS_fcntl,
            any_of(
                1,
                &[
                    libc::F_DUPFD.into(),
                    libc::F_DUPFD_CLOEXEC.into(),
                    libc::F_GETFD.into(),
                    libc::F_SETFD.into(),
                    libc::F_GETFL.into(),
                    libc::F_SETFL.into(),
                    // Of files in memory, which are its own.
                    libc::F_ADD_SEALS.into(),
                    libc::F_GET_SEALS.into(),
                ],
            )?,
        ),
        (
            libc::SYS_ioctl,
            any_of(
                1,
                &[
                    libc::TCGETS as i64,
                    libc::TIOCGWINSZ as i64,
                    libc::FIONREAD as i64,
                    libc::FIONBIO as i64,
                    libc::FIOCLEX as i64,
                    libc::FIONCLEX as i64,
                ],
            )?,
        ),
        // Names of threads and of memory, which only this process has.
        (
            libc::SYS_prctl,
            any_of(
                0,
                &[
                    libc::PR_SET_NAME.into(),
                    libc::PR_GET_NAME.into(),
                    libc::PR_SET_VMA.into(),
                    libc::PR_GET_DUMPABLE.into(),
                    libc::PR_CAPBSET_READ.into(),
                ],
            )?,
        ),
        // Limits are read, of this process.
        (
            libc::SYS_prlimit64,
            vec![SeccompRule::new(vec![
                SeccompCondition::new(0, Dword, Eq, 0)?,
                SeccompCondition::new(2, Qword, Eq, 0)?,
            ])?],
        ),
        // A message goes where the connection goes: without an address of its own.
        (libc::SYS_sendto, vec![SeccompRule::new(vec![SeccompCondition::new(4, Qword, Eq, 0)?])?]),
        // The call behind abort() and raise().
        (libc::SYS_tgkill, vec![one(0, own)?]),
        (libc::SYS_kill, vec![one(0, own)?]),
    ];
    let thread = u64::from(libc::CLONE_THREAD.cast_unsigned());
    if is_script {
        // Threads and processes, in no namespaces of their own.
        let spaces = [
            libc::CLONE_NEWNS,
            libc::CLONE_NEWCGROUP,
            libc::CLONE_NEWUTS,
            libc::CLONE_NEWIPC,
            libc::CLONE_NEWUSER,
            libc::CLONE_NEWPID,
            libc::CLONE_NEWNET,
            libc::CLONE_PARENT,
        ];
        let spaces =
            spaces.into_iter().fold(0, |all, space| all | u64::from(space.cast_unsigned()));
        rules.push((libc::SYS_clone, vec![SeccompRule::new(vec![masked(0, spaces, 0)?])?]));
        let local = u64::from(libc::AF_UNIX.cast_unsigned());
        rules.push((libc::SYS_socketpair, vec![one(0, local)?]));
    } else {
        rules.push((libc::SYS_clone, vec![SeccompRule::new(vec![masked(0, thread, thread)?])?]));
    }
    Ok(rules)
}
