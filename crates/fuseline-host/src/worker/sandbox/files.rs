//! Files, by Landlock: libraries of the system and what is declared can be read, nothing can be
//! written.

use std::io;
use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, path_beneath_rules,
};

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
const DEVICES: [&str; 3] = ["/dev/null", "/dev/zero", "/dev/urandom"];

/// Confines this process; true if Landlock holds from now on.
pub fn confine(allowed: &Allowed) -> io::Result<bool> {
    let status = restrict(allowed).map_err(io::Error::other)?;
    Ok(status != RulesetStatus::NotEnforced)
}

fn restrict(allowed: &Allowed) -> Result<RulesetStatus, RulesetError> {
    let look = AccessFs::ReadFile | AccessFs::ReadDir | AccessFs::Execute;
    let libraries = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let libraries: Vec<PathBuf> =
        std::env::split_paths(&libraries).filter(|path| path.is_absolute()).collect();
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(VERSION))?
        .handle_access(AccessNet::from_all(VERSION))?
        .scope(Scope::from_all(VERSION))?
        .create()?
        .add_rules(path_beneath_rules(SYSTEM, look))?
        .add_rules(path_beneath_rules(libraries, look))?
        .add_rules(path_beneath_rules(&allowed.readable, look))?
        .add_rules(path_beneath_rules(DEVICES, AccessFs::ReadFile | AccessFs::WriteFile))?
        .add_rules(path_beneath_rules(&allowed.writable, AccessFs::from_all(VERSION)))?
        .restrict_self()?;
    Ok(status.ruleset)
}
