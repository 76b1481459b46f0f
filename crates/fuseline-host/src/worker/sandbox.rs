//! What a worker may not do: limits, and, where the kernel has them, Landlock and seccomp.
#![expect(unsafe_code, reason = "system calls that have no safe form")]

use std::io;
use std::path::Path;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Sets the limits of this process: memory, no core files, few open files. A limit that is lower
/// already stays.
pub fn limit(memory: u64) -> io::Result<()> {
    for (resource, most) in [(Resource::Data, memory), (Resource::Core, 0), (Resource::Nofile, 256)]
    {
        let most = getrlimit(resource).maximum.map_or(most, |hard| hard.min(most));
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

/// Writes out what the C library's streams hold.
pub fn flush_c_streams() {
    // SAFETY: a null stream means all of them.
    unsafe {
        libc::fflush(std::ptr::null_mut());
    }
}

/// Closes files and network to this process and all that it starts, as far as the kernel can; what it cannot is left open.
#[cfg(not(target_os = "linux"))]
pub fn confine(_file: &Path, _is_script: bool) {}

/// Closes files and network to this process and all that it starts, as far as the kernel can; what it cannot is left open.
///
/// No file can be written or made. A native plugin can read system libraries and its own folder; a script, whose interpreter's libraries may lie
/// anywhere, can read what its user can. No sockets, and, for native plugins, no other processes.
#[cfg(target_os = "linux")]
pub fn confine(file: &Path, is_script: bool) {
    // SAFETY: sets a flag of this process.
    let no_new_privileges = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    if no_new_privileges != 0 {
        return;
    }
    landlock::confine(file, is_script);
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    seccomp::confine(is_script);
}

#[cfg(target_os = "linux")]
mod landlock {
    use std::fs::OpenOptions;
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
    use std::os::unix::fs::OpenOptionsExt;
    use std::path::{Path, PathBuf};

    const EXECUTE: u64 = 1;
    const WRITE_FILE: u64 = 1 << 1;
    const READ_FILE: u64 = 1 << 2;
    const READ_DIR: u64 = 1 << 3;
    /// Remove and make of every kind (bits 4 to 12).
    const CHANGE_FOLDERS: u64 = 0x1ff0;
    const REFER: u64 = 1 << 13; // since version 2
    const TRUNCATE: u64 = 1 << 14; // since version 3
    const SYSTEM: [&str; 9] = [
        "/usr",
        "/lib",
        "/lib64",
        "/bin",
        "/etc",
        "/nix",
        "/opt",
        "/proc/self",
        "/sys/devices/system/cpu",
    ];

    #[repr(C)]
    struct RulesetAttributes {
        handled_access_fs: u64,
    }

    #[repr(C, packed)]
    struct PathBeneath {
        allowed_access: u64,
        parent_fd: i32,
    }

    pub fn confine(file: &Path, is_script: bool) {
        // SAFETY: asks for the version; no memory is passed.
        let version = unsafe {
            libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0_usize, 1_u32)
        };
        if version < 1 {
            return;
        }
        let mut handled = EXECUTE | WRITE_FILE | READ_FILE | READ_DIR | CHANGE_FOLDERS;
        if version >= 2 {
            handled |= REFER;
        }
        if version >= 3 {
            handled |= TRUNCATE;
        }
        let attributes = RulesetAttributes { handled_access_fs: handled };
        // SAFETY: the struct lives through the call and has the size that is passed.
        let ruleset = unsafe {
            libc::syscall(
                libc::SYS_landlock_create_ruleset,
                &attributes,
                size_of::<RulesetAttributes>(),
                0_u32,
            )
        };
        if ruleset < 0 {
            return;
        }
        // SAFETY: the kernel has just given this descriptor.
        let ruleset = unsafe { OwnedFd::from_raw_fd(ruleset as i32) };
        let look = READ_FILE | READ_DIR | EXECUTE;
        if is_script {
            allow(&ruleset, Path::new("/"), look);
        } else {
            SYSTEM.iter().for_each(|folder| allow(&ruleset, Path::new(folder), look));
            let libraries = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
            let libraries: Vec<PathBuf> =
                std::env::split_paths(&libraries).filter(|path| path.is_absolute()).collect();
            libraries.iter().for_each(|folder| allow(&ruleset, folder, look));
            if let Some(folder) = file.parent() {
                allow(&ruleset, folder, look);
            }
        }
        for device in ["/dev/null", "/dev/zero", "/dev/urandom"] {
            allow(&ruleset, Path::new(device), READ_FILE | WRITE_FILE);
        }
        // SAFETY: restricts this thread, the only one so far, and all that it starts.
        unsafe {
            libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0_u32);
        }
    }

    fn allow(ruleset: &OwnedFd, path: &Path, access: u64) {
        let Ok(parent) =
            OpenOptions::new().read(true).custom_flags(libc::O_PATH | libc::O_CLOEXEC).open(path)
        else {
            return;
        };
        let access = if path.is_dir() { access } else { access & !READ_DIR };
        let beneath = PathBeneath { allowed_access: access, parent_fd: parent.as_raw_fd() };
        // SAFETY: the struct lives through the call; 1 is LANDLOCK_RULE_PATH_BENEATH.
        unsafe {
            libc::syscall(libc::SYS_landlock_add_rule, ruleset.as_raw_fd(), 1_u32, &beneath, 0_u32);
        }
    }
}

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod seccomp {
    use libc::{c_long, sock_filter, sock_fprog};

    #[cfg(target_arch = "x86_64")]
    const ARCHITECTURE: u32 = 0xC000_003E;
    #[cfg(target_arch = "aarch64")]
    const ARCHITECTURE: u32 = 0xC000_00B7;

    // Offsets in struct seccomp_data.
    const NUMBER: u32 = 0;
    const ARCH: u32 = 4;
    const ARGUMENT_0: u32 = 16;

    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const ANY_BIT: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

    const DENIED: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
    const UNKNOWN: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;

    fn step(code: u16, jump_true: u8, jump_false: u8, value: u32) -> sock_filter {
        sock_filter { code, jt: jump_true, jf: jump_false, k: value }
    }

    pub fn confine(is_script: bool) {
        let mut filter = vec![
            step(LOAD, 0, 0, ARCH),
            step(EQUAL, 1, 0, ARCHITECTURE),
            step(RETURN, 0, 0, DENIED),
            step(LOAD, 0, 0, NUMBER),
        ];
        let mut refuse = |number: c_long, answer: u32| {
            filter.push(step(EQUAL, 0, 1, number as u32));
            filter.push(step(RETURN, 0, 0, answer));
        };
        for number in [
            libc::SYS_connect,
            libc::SYS_bind,
            libc::SYS_listen,
            libc::SYS_accept,
            libc::SYS_accept4,
            libc::SYS_ptrace,
            libc::SYS_process_vm_readv,
            libc::SYS_process_vm_writev,
            libc::SYS_io_uring_setup,
            libc::SYS_kill,
            libc::SYS_pidfd_open,
            libc::SYS_mount,
            libc::SYS_unshare,
            libc::SYS_setns,
            libc::SYS_bpf,
            libc::SYS_keyctl,
        ] {
            refuse(number, DENIED);
        }
        if !is_script {
            refuse(libc::SYS_execve, DENIED);
            refuse(libc::SYS_execveat, DENIED);
            #[cfg(target_arch = "x86_64")]
            for number in [libc::SYS_fork, libc::SYS_vfork] {
                refuse(number, DENIED);
            }
            // Its flags lie in memory, where a filter cannot look; the C library then uses clone.
            refuse(libc::SYS_clone3, UNKNOWN);
            // A thread is fine, a process is not.
            filter.push(step(EQUAL, 0, 4, libc::SYS_clone as u32));
            filter.push(step(LOAD, 0, 0, ARGUMENT_0));
            filter.push(step(ANY_BIT, 1, 0, libc::CLONE_THREAD as u32));
            filter.push(step(RETURN, 0, 0, DENIED));
            filter.push(step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW));
        }
        // Local sockets are fine: without bind and connect they only come in pairs.
        filter.push(step(EQUAL, 0, 4, libc::SYS_socket as u32));
        filter.push(step(LOAD, 0, 0, ARGUMENT_0));
        filter.push(step(EQUAL, 1, 0, libc::AF_UNIX as u32));
        filter.push(step(RETURN, 0, 0, DENIED));
        filter.push(step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW));
        filter.push(step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW));
        let program = sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
        // SAFETY: the program lives through the call, which copies it.
        unsafe {
            libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program);
        }
    }
}
