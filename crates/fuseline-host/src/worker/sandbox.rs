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
    /// The names of those that are missing.
    pub fn missing(self) -> impl Iterator<Item = &'static str> {
        let layers = [(self.landlock, "landlock"), (self.seccomp, "seccomp")];
        layers.into_iter().filter(|(is_there, _)| !is_there).map(|(_, name)| name)
    }
}

/// Sets the limits of this process: memory, size of files, no core files, few open files. A lower
/// limit stays.
pub fn limit(memory: u64) -> io::Result<()> {
    for (resource, most) in [
        (Resource::Data, memory),
        (Resource::Fsize, memory),
        (Resource::Core, 0),
        (Resource::Nofile, 256),
    ] {
        let now = rustix::process::getrlimit(resource).maximum;
        let most = now.map_or(most, |now| now.min(most));
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    Ok(())
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
#[cfg(target_os = "linux")]
pub fn confine(allowed: &Allowed, is_script: bool) -> io::Result<Layers> {
    let landlock = files::confine(allowed)?;
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    let seccomp = syscalls::confine(is_script)?;
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let (seccomp, _) = (false, is_script);
    Ok(Layers { landlock, seccomp })
}

/// Closes nothing: there is no sandbox here.
#[cfg(not(target_os = "linux"))]
pub fn confine(_allowed: &Allowed, _is_script: bool) -> io::Result<Layers> {
    Ok(Layers::default())
}
