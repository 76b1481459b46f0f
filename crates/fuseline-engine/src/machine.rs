//! The machine that a run was coordinated on, for its record.

use std::fs::File;
use std::io::{BufRead, BufReader};

use serde::{Deserialize, Serialize};

/// A machine, as far as the system tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Operating system, such as `linux`.
    pub system: String,
    /// Architecture of its processor, such as `x86_64`.
    pub architecture: String,
    /// Name of its processor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processor: Option<String>,
    /// Processors that the run may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cores: Option<usize>,
    /// Memory in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
}

impl Machine {
    /// The machine that this process runs on.
    #[must_use]
    pub fn this() -> Self {
        Self {
            system: std::env::consts::OS.to_owned(),
            architecture: std::env::consts::ARCH.to_owned(),
            processor: field("/proc/cpuinfo", "model name"),
            cores: std::thread::available_parallelism().ok().map(usize::from),
            memory: machine_memory(),
        }
    }
}

/// The memory of this machine in bytes, where the system tells.
pub fn machine_memory() -> Option<u64> {
    kilobytes("/proc/meminfo", "MemTotal")
}

/// The most memory that this process has had at once, in bytes, where the system tells.
pub fn peak_memory() -> Option<u64> {
    kilobytes("/proc/self/status", "VmHWM")
}

/// Bytes of a field that is in kilobytes.
fn kilobytes(file: &str, name: &str) -> Option<u64> {
    let text = field(file, name)?;
    text.strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The first value of a name in a file of `name: value` lines.
fn field(file: &str, name: &str) -> Option<String> {
    // Such a file has no length, so that reading all of it takes a call for each few lines.
    let lines = BufReader::new(File::open(file).ok()?).lines();
    lines.map_while(Result::ok).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    })
}
