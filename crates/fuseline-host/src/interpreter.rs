//! The interpreter of Python rules and programs.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::conditions::Sourced;

/// A Python interpreter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Interpreter {
    /// The program.
    pub program: PathBuf,
    /// Source of the setting, in words: `python` of a file, a variable, or PATH.
    pub named_by: String,
}

/// Version of an interpreter, and folders of what is installed for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PythonInstallation {
    /// As `3.11.2`.
    pub version: String,
    /// The folders of distributions, the first in which one is found counting.
    pub folders: Vec<PathBuf>,
}

/// A program that prints an interpreter's version and folders of distributions, a line each.
const TELL: &str = "import site, sys, sysconfig
paths = sysconfig.get_paths()
folders = [paths['purelib'], paths['platlib'], *site.getsitepackages(), site.getusersitepackages()]
print('%d.%d.%d' % sys.version_info[:3], *dict.fromkeys(folders), sep='\\n')";

/// A program that prints the path of an interpreter's file, its device and its inode, a line each.
const TELL_FILE: &str = "import os, sys
file = os.stat(sys.executable)
print(sys.executable, file.st_dev, file.st_ino, sep='\\n')";

/// An interpreter that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InterpreterError {
    /// There is no such program.
    #[error("there is no Python interpreter {} ({named_by})", .program.display())]
    Missing {
        /// The program that is named.
        program: PathBuf,
        /// Source of the setting.
        named_by: String,
    },
    /// It does not start, or does not say its version.
    #[error(
        "the Python interpreter {} ({named_by}) does not tell its version: {reason}",
        .program.display()
    )]
    Silent {
        /// The program.
        program: PathBuf,
        /// Source of the setting.
        named_by: String,
        /// Reason.
        reason: String,
    },
}

/// Remedy where an interpreter is wrong or lacks a package.
pub const CHOOSE_INTERPRETER: &str = "`python: PATH` in the workflow or `python = \"PATH\"` in \
    fuseline.toml names the interpreter, or VIRTUAL_ENV an environment";

/// The names under which a system has Python, in the order in which they are looked for.
const NAMES: [&str; 2] = ["python3", "python"];

/// Source of an interpreter that nobody stated.
const PATH: &str = "PATH";

impl Interpreter {
    /// The interpreter that is in force: the one that is stated, else that of `VIRTUAL_ENV`, else
    /// `python3` on PATH, behind the script of pyenv or asdf that may stand there. Errors when the
    /// one that is named is not there; no other takes its place.
    pub fn find(stated: Option<&Sourced<PathBuf>>) -> Result<Self, InterpreterError> {
        let found = Self::find_program(stated)?;
        Ok(if found.named_by == PATH { found.behind_shim() } else { found })
    }

    /// The same without starting anything: on PATH a script may stand for it.
    pub fn find_program(stated: Option<&Sourced<PathBuf>>) -> Result<Self, InterpreterError> {
        if let Some(Sourced { value, origin }) = stated {
            let named_by = format!("`python`, {origin}");
            return Self::named(value, named_by);
        }
        match std::env::var_os("VIRTUAL_ENV").filter(|folder| !folder.is_empty()) {
            Some(folder) => Self::named(Path::new(&folder), "VIRTUAL_ENV".to_owned()),
            None => Self::named(Path::new(NAMES[0]), PATH.to_owned()),
        }
    }

    /// The interpreter at a path, in an environment's folder, or of a name on PATH.
    fn named(path: &Path, named_by: String) -> Result<Self, InterpreterError> {
        let candidates: Vec<PathBuf> = if path.components().count() == 1 && path.is_relative() {
            let folders = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&folders).map(|folder| folder.join(path)).collect()
        } else if path.is_dir() {
            NAMES.map(|name| path.join("bin").join(name)).into()
        } else {
            vec![path.to_owned()]
        };
        match candidates.into_iter().find(|program| program.is_file()) {
            Some(program) => Ok(Self { program, named_by }),
            None => Err(InterpreterError::Missing { program: path.to_owned(), named_by }),
        }
    }

    /// The interpreter itself, where it is a script of pyenv or asdf that starts one: a sandbox
    /// lets it read neither itself nor what it looks for.
    fn behind_shim(self) -> Self {
        match behind_shim(&self.program) {
            Some(program) => {
                let named_by = format!("{}, {}", self.named_by, self.program.display());
                Self { program, named_by }
            }
            None => self,
        }
    }

    /// True if a program of a command line means Python, whichever there is.
    pub fn is_meant_by(program: &str) -> bool {
        NAMES.contains(&program)
    }

    /// The folder of programs of the environment that it belongs to; none outside of one.
    pub fn environment_programs(&self) -> Option<&Path> {
        let folder = self.program.parent()?;
        folder.parent()?.join("pyvenv.cfg").is_file().then_some(folder)
    }

    /// Its version, such as `3.11.2`.
    pub fn version(&self) -> Result<String, InterpreterError> {
        Ok(self.installation()?.version)
    }

    /// Its version and the folders of what is installed for it; asked of each program once.
    pub fn installation(&self) -> Result<PythonInstallation, InterpreterError> {
        static KNOWN: Mutex<BTreeMap<PathBuf, PythonInstallation>> = Mutex::new(BTreeMap::new());
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(installation) = known.get(&self.program) {
            return Ok(installation.clone());
        }
        let silent = |reason: String| InterpreterError::Silent {
            program: self.program.clone(),
            named_by: self.named_by.clone(),
            reason,
        };
        let output = Command::new(&self.program)
            .args(["-I", "-c", TELL])
            .stdin(Stdio::null())
            .output()
            .map_err(|error| silent(error.to_string()))?;
        let told = String::from_utf8_lossy(&output.stdout);
        let mut lines = told.lines().map(str::trim);
        let version = lines.next().unwrap_or_default().to_owned();
        if !output.status.success() || version.is_empty() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(silent(if said.is_empty() { output.status.to_string() } else { said }));
        }
        let installation =
            PythonInstallation { version, folders: lines.map(PathBuf::from).collect() };
        known.insert(self.program.clone(), installation.clone());
        Ok(installation)
    }

    /// Words on the interpreter where a program says that it lacks a module; none elsewhere.
    /// `said`: the end of what it wrote.
    pub fn words_on_missing_module(&self, said: &str) -> Option<String> {
        let lacks = ["ModuleNotFoundError", "ImportError"].iter().any(|name| said.contains(name));
        lacks.then(|| {
            let version = self.version().map(|version| format!(" {version}")).unwrap_or_default();
            let program = self.program.display();
            format!(
                "the interpreter is {program},{} ({}); {CHOOSE_INTERPRETER}",
                match version.is_empty() {
                    true => " of unknown version".to_owned(),
                    false => format!(" Python{version}"),
                },
                self.named_by
            )
        })
    }
}

/// The file of the interpreter that a script starts. `None` where the program is no script, starts
/// nothing, or starts it somewhere else, as in a container, where the same path is another file.
fn behind_shim(program: &Path) -> Option<PathBuf> {
    static KNOWN: Mutex<BTreeMap<PathBuf, Option<PathBuf>>> = Mutex::new(BTreeMap::new());
    let mut start = [0; 2];
    File::open(program).and_then(|mut file| file.read_exact(&mut start)).ok()?;
    if start != *b"#!" {
        return None;
    }
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let ask = || {
        let output = Command::new(program)
            .args(["-I", "-c", TELL_FILE])
            .stdin(Stdio::null())
            .output()
            .ok()
            .filter(|output| output.status.success())?;
        let told = String::from_utf8(output.stdout).ok()?;
        let mut lines = told.lines();
        let (path, device, inode) = (lines.next()?, lines.next()?, lines.next()?);
        let file = std::fs::metadata(path).ok()?;
        let is_same = device == file.dev().to_string() && inode == file.ino().to_string();
        is_same.then(|| PathBuf::from(path))
    };
    known.entry(program.to_owned()).or_insert_with(ask).clone()
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_script_that_starts_an_interpreter_stands_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().join("real");
        std::fs::write(&real, "").unwrap();
        let file = std::fs::metadata(&real).unwrap();
        let says = |name: &str, text: String| {
            let shim = folder.path().join(name);
            std::fs::write(&shim, format!("#!/bin/sh\n{text}\n")).unwrap();
            std::fs::set_permissions(&shim, Permissions::from_mode(0o755)).unwrap();
            Interpreter { program: shim, named_by: "PATH".to_owned() }
        };
        let path = real.display();
        let shim = says("shim", format!("printf '%s\\n' {path} {} {}", file.dev(), file.ino()));
        let found = shim.clone().behind_shim();
        assert_eq!(found.program, real);
        assert_eq!(found.named_by, format!("PATH, {}", shim.program.display()));
        let container = says("container", format!("printf '%s\\n' {path} {} 1", file.dev()));
        let silent = says("silent", "exit 3".to_owned());
        let none = Interpreter { program: real.clone(), named_by: "PATH".to_owned() };
        for other in [container, silent, none] {
            assert_eq!(other.clone().behind_shim(), other);
        }
    }

    #[test]
    fn an_interpreter_is_a_path_an_environment_or_a_name() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("bin/python3");
        std::fs::create_dir_all(folder.path().join("bin")).unwrap();
        std::fs::write(&program, "").unwrap();
        let find = |value: PathBuf| {
            Interpreter::find(Some(&Sourced { value, origin: "fuseline.toml:1".to_owned() }))
        };
        let by_folder = find(folder.path().to_owned()).unwrap();
        assert_eq!(by_folder.program, program);
        assert_eq!(find(program.clone()).unwrap().program, program);
        assert_eq!(by_folder.named_by, "`python`, fuseline.toml:1");
        assert_eq!(by_folder.environment_programs(), None);
        std::fs::write(folder.path().join("pyvenv.cfg"), "").unwrap();
        assert_eq!(by_folder.environment_programs(), program.parent());
        let missing = find(folder.path().join("none")).unwrap_err().to_string();
        assert!(missing.contains("none (`python`, fuseline.toml:1)"), "{missing}");
        assert!(find("no_such_python_9".into()).is_err());
    }

    #[test]
    fn what_is_no_interpreter_says_so() {
        let program = PathBuf::from("/bin/false");
        let interpreter = Interpreter { program, named_by: "PATH".to_owned() };
        let error = interpreter.version().unwrap_err().to_string();
        assert!(error.contains("/bin/false (PATH) does not tell its version"), "{error}");
        assert_eq!(interpreter.words_on_missing_module("ValueError: 3"), None);
        let words = interpreter.words_on_missing_module("ModuleNotFoundError: torch").unwrap();
        assert!(words.contains("/bin/false, of unknown version (PATH)"), "{words}");
    }
}
