//! Environment of the processes of rules and programs.
//!
//! Knows which variables a process sees: those that say where programs and libraries lie, those
//! that make answers repeatable, and those that a workflow passes by name. **Invariant:** no other
//! variable of this process is seen.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::process::Command;

use crate::interpreter::Interpreter;

/// Variables that a workflow passes, by name, with their values; none for one that is not set.
pub type PassedVariables = BTreeMap<String, Option<String>>;

/// Process whose environment is set.
#[derive(Clone, Copy, Debug)]
pub enum ProcessForm<'a> {
    /// A shared library, which needs none.
    Library,
    /// A rule that is a script, with its interpreter where that is Python.
    Script(Option<&'a Interpreter>),
    /// A program of a stage, with its interpreter where that is Python.
    Program(Option<&'a Interpreter>),
}

/// Variable that says where shared libraries lie.
pub(crate) const LIBRARY_PATH: &str = "LD_LIBRARY_PATH";
/// Variables that name folders of libraries of interpreters.
pub(crate) const LIBRARY_VARIABLES: [&str; 9] = [
    "PYTHONPATH",
    "PYTHONHOME",
    "R_HOME",
    "R_LIBS",
    "R_LIBS_USER",
    "R_LIBS_SITE",
    "JULIA_DEPOT_PATH",
    "JULIA_LOAD_PATH",
    "GEM_PATH",
];
/// Variables that choose among devices: they say nothing where none may be used.
const DEVICE_VARIABLES: [&str; 5] = [
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
    "ZE_AFFINITY_MASK",
];
/// Variables that are the same everywhere: one language, one thread and so one order of additions,
/// one order of hashes.
const FIXED: [(&str, &str); 8] = [
    ("LANG", "C.UTF-8"),
    ("LC_ALL", "C.UTF-8"),
    ("TZ", "UTC"),
    ("OMP_NUM_THREADS", "1"),
    ("OPENBLAS_NUM_THREADS", "1"),
    ("MKL_NUM_THREADS", "1"),
    ("PYTHONHASHSEED", "0"),
    ("PYTHONDONTWRITEBYTECODE", "1"),
];

/// Replaces the environment of a process by what it may see.
///
/// `has_devices`: the process may use devices of this machine, and sees which of them it is given.
pub fn set_environment(
    command: &mut Command,
    form: ProcessForm<'_>,
    has_devices: bool,
    passed: &PassedVariables,
) {
    command.env_clear();
    let mut inherit = |name: &str| {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    };
    inherit(LIBRARY_PATH);
    if has_devices {
        DEVICE_VARIABLES.iter().for_each(|name| inherit(name));
    }
    if matches!(form, ProcessForm::Script(_)) {
        LIBRARY_VARIABLES.iter().for_each(|name| inherit(name));
        // Libraries that users install for themselves lie below it.
        inherit("HOME");
    }
    if let ProcessForm::Script(interpreter) | ProcessForm::Program(interpreter) = form {
        command.envs(search_path(interpreter).map(|path| ("PATH", path))).envs(FIXED);
    }
    for (name, value) in passed {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
}

/// PATH, with the programs of the interpreter's environment before all others.
fn search_path(interpreter: Option<&Interpreter>) -> Option<OsString> {
    let path = std::env::var_os("PATH");
    let Some(first) = interpreter.and_then(Interpreter::environment_programs) else { return path };
    let others = path.as_deref().map(std::env::split_paths).into_iter().flatten();
    std::env::join_paths(std::iter::once(first.to_owned()).chain(others)).ok().or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of the variables that a process sees.
    fn seen(form: ProcessForm<'_>, passed: &PassedVariables) -> Vec<String> {
        let mut command = Command::new("env");
        set_environment(&mut command, form, false, passed);
        let set = command.get_envs().filter(|(_, value)| value.is_some());
        set.map(|(name, _)| name.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_process_sees_what_is_listed_and_what_is_passed() {
        // Variables of the process that runs tests, which cargo sets.
        let is_ours = |name: &String| name.starts_with("CARGO");
        assert!(std::env::vars().any(|(name, _)| is_ours(&name)));
        let passed = PassedVariables::from([
            ("HF_HOME".to_owned(), Some("/models".to_owned())),
            ("TZ".to_owned(), Some("CET".to_owned())),
            ("LANG".to_owned(), None),
        ]);
        let script = seen(ProcessForm::Script(None), &passed);
        let program = seen(ProcessForm::Program(None), &passed);
        for names in [&script, &program] {
            assert!(!names.iter().any(is_ours), "{names:?}");
            assert!(names.contains(&"HF_HOME".to_owned()) && names.contains(&"PATH".to_owned()));
            assert!(!names.contains(&"LANG".to_owned()), "{names:?}");
        }
        let mut library = seen(ProcessForm::Library, &passed);
        library.retain(|name| name != LIBRARY_PATH);
        assert_eq!(library, ["HF_HOME", "TZ"]);
    }
}
