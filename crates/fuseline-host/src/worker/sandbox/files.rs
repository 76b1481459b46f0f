//! Files, by Landlock: libraries of the system and what is declared can be read, nothing can be
//! written.

use std::io;
use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, path_beneath_rules,
};

use crate::environment::LIBRARY_PATH;
use crate::worker::setup::Allowed;

/// The newest version of Landlock whose rights are used where the kernel has them.
const VERSION: ABI = ABI::V6;
/// Paths that every program needs to be loaded.
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
/// Folder of named shared memory and semaphores.
const SHARED_MEMORY: &str = "/dev/shm";
const DEVICES: [&str; 3] = ["/dev/null", "/dev/zero", "/dev/urandom"];

/// Result of confining a process.
pub struct Confinement {
    /// True if Landlock holds from now on.
    pub is_confined: bool,
    /// True if no signal leaves the process and what it starts.
    pub signals_stay_inside: bool,
}

/// Confines this process. `own_memory`: the folder of shared memory is its own, and may be written
/// to.
pub fn confine(allowed: &Allowed, own_memory: bool) -> io::Result<Confinement> {
    let status = restrict(allowed, own_memory).map_err(io::Error::other)?;
    Ok(Confinement {
        is_confined: status != RulesetStatus::NotEnforced,
        // Older kernels enforce a part.
        signals_stay_inside: status == RulesetStatus::FullyEnforced,
    })
}

fn restrict(allowed: &Allowed, own_memory: bool) -> Result<RulesetStatus, RulesetError> {
    let look = AccessFs::ReadFile | AccessFs::ReadDir | AccessFs::Execute;
    let libraries = std::env::var_os(LIBRARY_PATH).unwrap_or_default();
    let libraries: Vec<PathBuf> =
        std::env::split_paths(&libraries).filter(|path| path.is_absolute()).collect();
    let use_device = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev;
    let everything = AccessFs::from_all(VERSION);
    let shared_memory = own_memory.then_some(SHARED_MEMORY);
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(everything)?
        .handle_access(AccessNet::from_all(VERSION))?
        .scope(Scope::from_all(VERSION))?
        .create()?
        .add_rules(path_beneath_rules(SYSTEM, look))?
        .add_rules(path_beneath_rules(libraries, look))?
        .add_rules(path_beneath_rules(&allowed.readable, look))?
        .add_rules(path_beneath_rules(DEVICES, AccessFs::ReadFile | AccessFs::WriteFile))?
        .add_rules(path_beneath_rules(&allowed.devices, use_device))?
        .add_rules(path_beneath_rules(&allowed.writable, everything))?
        .add_rules(path_beneath_rules(shared_memory, everything))?
        .restrict_self()?;
    Ok(status.ruleset)
}
