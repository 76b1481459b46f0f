//! Ending of a process, in words.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use crate::worker::WorkerLimits;
use crate::worker::sandbox::LOST_HOST;

/// The end of a process in words.
pub(crate) fn how_it_ended(status: ExitStatus, limits: &WorkerLimits) -> String {
    match (status.code(), status.signal()) {
        (Some(LOST_HOST), _) => "its connection to the host was closed".to_owned(),
        (Some(code), _) => format!("its process exited with code {code} before it answered"),
        (None, Some(signal)) => match SIGNALS.iter().find(|(number, ..)| *number == signal) {
            Some((libc::SIGABRT | libc::SIGKILL, name, words)) => {
                let memory = limits.memory_limit();
                format!("its process was killed by {name} ({words}; {memory})")
            }
            Some((_, name, words)) => format!("its process was killed by {name} ({words})"),
            None => format!("its process was killed by signal {signal}"),
        },
        (None, None) => "its process ended".to_owned(),
    }
}

const SIGNALS: [(i32, &str, &str); 9] = [
    (libc::SIGSEGV, "SIGSEGV", "invalid memory access"),
    (libc::SIGBUS, "SIGBUS", "invalid memory access"),
    (libc::SIGABRT, "SIGABRT", "it aborted, as after a failed allocation or assertion"),
    (libc::SIGFPE, "SIGFPE", "arithmetic error, as a division by zero"),
    (libc::SIGILL, "SIGILL", "invalid instruction"),
    (libc::SIGTRAP, "SIGTRAP", "trap"),
    (libc::SIGKILL, "SIGKILL", "killed, as by the system when memory runs out"),
    (libc::SIGTERM, "SIGTERM", "asked to end"),
    (libc::SIGSYS, "SIGSYS", "forbidden system call"),
];
