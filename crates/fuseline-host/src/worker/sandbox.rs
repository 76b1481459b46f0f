//! Restrictions of a worker: limits, and, where the kernel has them, Landlock and seccomp.
#![expect(unsafe_code, reason = "system calls that have no safe form")]

use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};

use crate::worker::setup::Allowed;

#[cfg(target_os = "linux")]
mod files;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod syscalls;

/// The layers that confine a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layers {
    /// Files: nothing is written, and only what is declared is read.
    pub landlock: bool,
    /// System calls: an allow-list.
    pub seccomp: bool,
}

impl Layers {
    /// The layers that this system has.
    #[cfg(target_os = "linux")]
    pub fn available() -> Self {
        static FOUND: std::sync::OnceLock<Layers> = std::sync::OnceLock::new();
        *FOUND.get_or_init(|| {
            let is_filtered = cfg!(any(target_arch = "x86_64", target_arch = "aarch64"));
            let action = libc::SECCOMP_RET_ERRNO;
            // SAFETY: asks for a version: no memory is read or written.
            let version = unsafe {
                libc::syscall(
                    libc::SYS_landlock_create_ruleset,
                    std::ptr::null::<libc::c_void>(),
                    0_usize,
                    LANDLOCK_CREATE_RULESET_VERSION,
                )
            };
            // SAFETY: reads the number behind the pointer, which lives until the call returns.
            let filter = unsafe {
                libc::syscall(
                    libc::SYS_seccomp,
                    libc::SECCOMP_GET_ACTION_AVAIL,
                    0_usize,
                    &raw const action,
                )
            };
            Self { landlock: version >= 1, seccomp: is_filtered && filter == 0 }
        })
    }

    /// The layers that this system has: none.
    #[cfg(not(target_os = "linux"))]
    pub fn available() -> Self {
        Self::default()
    }

    /// The names of those that are missing.
    pub fn missing(self) -> impl Iterator<Item = &'static str> {
        let layers = [(self.landlock, "landlock"), (self.seccomp, "seccomp")];
        layers.into_iter().filter(|(is_there, _)| !is_there).map(|(_, name)| name)
    }
}

/// The flag of the system call that asks for the version of Landlock.
#[cfg(target_os = "linux")]
const LANDLOCK_CREATE_RULESET_VERSION: u32 = 1;

/// Sets the limits of this process: memory, size of files, no core files, few open files. A lower
/// limit stays. `own`: bytes of memory that the process has by now and that are not the rule's.
pub fn limit(memory: u64, own: u64) -> io::Result<()> {
    for (resource, most) in [
        (Resource::Data, memory.saturating_add(own)),
        (Resource::Fsize, memory),
        (Resource::Core, 0),
        (Resource::Nofile, 256),
    ] {
        lower(resource, most)?;
    }
    Ok(())
}

/// Sets the limit of memory of this process, as far as the kernel counts it by process.
pub fn limit_memory(memory: u64) -> io::Result<()> {
    lower(Resource::Data, memory)
}

fn lower(resource: Resource, most: u64) -> io::Result<()> {
    let now = rustix::process::getrlimit(resource).maximum;
    let most = now.map_or(most, |now| now.min(most));
    Ok(setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?)
}

/// Bytes of private memory that this process has asked for, as the limit counts them; 0 where the
/// system does not tell.
pub fn data_in_use() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmData:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.unwrap_or(0) << 10
}

/// With what a worker exits that has lost its host.
pub const LOST_HOST: i32 = 113;

/// Ends the process at once, without running what the plugin may have registered for its end.
pub fn exit_now() -> ! {
    // SAFETY: _exit takes no memory and does not return.
    unsafe { libc::_exit(LOST_HOST) }
}

/// Ends this process by a signal, as another has ended.
pub fn end_by(signal: i32) {
    // SAFETY: puts the default action back and signals this process alone.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
}

/// Ends every process of this process's group, this one with them.
pub fn kill_own_group() {
    // SAFETY: 0 is the own group.
    unsafe {
        libc::kill(0, libc::SIGKILL);
    }
}

/// Has the kernel end this process with the thread that started it.
pub fn end_with_host() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    Ok(())
}

/// Writes out what the C library's streams hold.
pub fn flush_c_streams() {
    // SAFETY: a null stream means all of them.
    unsafe {
        libc::fflush(std::ptr::null_mut());
    }
}

/// Closes files and system calls to this process and all that it starts, as far as the kernel can;
/// says which layers hold. A layer that the kernel has and that cannot be put up is an error.
/// `script`: the memory of a script, in bytes; none for a shared library.
#[cfg(target_os = "linux")]
pub fn confine(allowed: &Allowed, script: Option<u64>) -> io::Result<Layers> {
    let own_memory = match script {
        Some(memory) if allowed.shares_memory => own_shared_memory(memory).is_ok(),
        _ => false,
    };
    let files = files::confine(allowed, own_memory)?;
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    let seccomp = syscalls::confine(syscalls::Uses {
        is_script: script.is_some(),
        shares_memory: allowed.shares_memory,
        signals: allowed.shares_memory && files.signals_stay_inside,
        devices: !allowed.devices.is_empty(),
    })?;
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let seccomp = false;
    Ok(Layers { landlock: files.is_confined, seccomp })
}

/// Closes nothing: there is no sandbox here.
#[cfg(not(target_os = "linux"))]
pub fn confine(_allowed: &Allowed, _script: Option<u64>) -> io::Result<Layers> {
    Ok(Layers::default())
}

/// Gives this process and all that it starts a folder of shared memory of their own, of so many
/// bytes at most, in place of the system's: named semaphores and shared memory of `multiprocessing`
/// lie there, and no other process sees them. Errors where the system permits no such thing.
#[cfg(target_os = "linux")]
fn own_shared_memory(bytes: u64) -> io::Result<()> {
    use std::ffi::CString;

    let checked = |result: libc::c_int| match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    };
    let (user, group) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    // SAFETY: concerns this process alone, which has one thread.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
        // SAFETY: as above.
        checked(unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS) })?;
        std::fs::write("/proc/self/setgroups", "deny")?;
        std::fs::write("/proc/self/uid_map", format!("{user} {user} 1"))?;
        std::fs::write("/proc/self/gid_map", format!("{group} {group} 1"))?;
    }
    let options = CString::new(format!("size={bytes},mode=1777"))?;
    let none = std::ptr::null();
    let (recursive, root) = (libc::MS_REC | libc::MS_PRIVATE, c"/".as_ptr());
    // SAFETY: the strings end with a zero and outlive the call.
    checked(unsafe { libc::mount(none, root, none, recursive, none.cast()) })?;
    let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    let (kind, place) = (c"tmpfs".as_ptr(), c"/dev/shm".as_ptr());
    // SAFETY: as above.
    checked(unsafe { libc::mount(kind, place, kind, flags, options.as_ptr().cast()) })
}
