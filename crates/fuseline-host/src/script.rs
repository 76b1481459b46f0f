//! Rules that are scripts: a file that begins with `#!` and says what it is in a comment.
//!
//! The comment, on a line of its own in the first 4,096 bytes:
//! `FUSELINE-FUSION protocol=1 id=org.example.rule`, after whatever marks a comment.
//! `files=a.csv,b.json` there names files beside the script that it reads; modules beside it that
//! it imports are found.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::conditions::Sourced;
use crate::environment::LIBRARY_VARIABLES;
use crate::interpreter::{Interpreter, InterpreterError};

/// Bytes at the start of the file in which the comment is looked for.
const HEAD: usize = 4096;
/// Files that may belong to a script.
const MAX_MODULES: usize = 1000;

/// Result of reading the head of a file.
pub(crate) enum Head {
    /// A rule that speaks the worker protocol of this version.
    Rule { id: String, protocol: u16 },
    /// The comment is there and wrong.
    Broken(String),
    /// No script, or no comment.
    Nothing,
}

/// The words of the comment.
fn tag(bytes: &[u8]) -> Option<String> {
    if !bytes.starts_with(b"#!") {
        return None;
    }
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(HEAD)]);
    let line = head.lines().find_map(|line| line.split_once("FUSELINE-FUSION "));
    line.map(|(_, words)| words.to_owned())
}

fn field<'t>(tag: &'t str, name: &str) -> Option<&'t str> {
    tag.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}

/// Reads the comment.
pub(crate) fn read(bytes: &[u8]) -> Head {
    let Some(tag) = tag(bytes) else { return Head::Nothing };
    match (field(&tag, "protocol").map(str::parse), field(&tag, "id")) {
        (Some(Ok(protocol)), Some(id)) if fuseline_abi::is_id(id) => {
            Head::Rule { id: id.to_owned(), protocol }
        }
        (_, Some(id)) if !fuseline_abi::is_id(id) => {
            Head::Broken(format!("{id} is not a reverse domain name such as org.example.rule"))
        }
        _ => Head::Broken("its FUSELINE-FUSION comment does not say protocol= and id=".to_owned()),
    }
}

/// The first line of a script.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shebang {
    /// The program that runs it, looked for on the path after `env`.
    pub program: PathBuf,
    /// Further arguments of the program.
    pub arguments: Vec<String>,
    /// Its name, where it is looked for on the path.
    name: Option<String>,
}

/// Reads the first line; none for what is no script.
pub(crate) fn shebang(bytes: &[u8]) -> Option<Shebang> {
    let line = bytes.strip_prefix(b"#!")?;
    let line = String::from_utf8_lossy(line.split(|&byte| byte == b'\n').next()?).into_owned();
    let mut words = line.split_whitespace().map(str::to_owned);
    let program = PathBuf::from(words.next().unwrap_or_default());
    if program.file_name() != Some("env".as_ref()) {
        return Some(Shebang { program, arguments: words.collect(), name: None });
    }
    let name = words.find(|word| !word.starts_with('-') && !word.contains('='));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let named = name.as_deref().unwrap_or("env");
    let mut places = std::env::split_paths(&path).map(|folder| folder.join(named));
    let program = places.find(|place| place.is_file()).unwrap_or(program);
    Some(Shebang { program, arguments: words.collect(), name })
}

impl Shebang {
    /// The interpreter that runs it, of a script in Python: the one that is stated; else the one
    /// that the line names by its path or version; else the one in force.
    pub fn python(
        &self,
        stated: Option<&Sourced<PathBuf>>,
    ) -> Result<Option<Interpreter>, InterpreterError> {
        let name = self.name.clone().unwrap_or_else(|| {
            self.program.file_name().unwrap_or_default().to_string_lossy().into_owned()
        });
        if !name.starts_with("python") {
            return Ok(None);
        }
        let is_any = self.name.as_deref().is_some_and(Interpreter::is_meant_by);
        if stated.is_some() || is_any {
            return Interpreter::find(stated).map(Some);
        }
        let named_by = "the first line of the script".to_owned();
        Ok(Some(Interpreter { program: self.program.clone(), named_by }))
    }
}

/// Parts of an interpreter, relative to the folder that it is installed in.
const PARTS: [&str; 8] =
    ["bin", "lib", "lib64", "libexec", "include", "share", "etc", "pyvenv.cfg"];
/// Folders in which users install libraries, relative to their homes.
const OF_USERS: [&str; 3] = [".local/lib", "R", ".julia"];

/// Paths that a script may read besides the libraries of the system: its interpreter, and the
/// libraries of that.
pub(crate) fn libraries(interpreter: &Path) -> Vec<PathBuf> {
    let mut readable = Vec::new();
    let mut installed = |program: &Path| {
        if let Some(prefix) =
            program.parent().and_then(Path::parent).filter(|at| *at != Path::new("/"))
        {
            readable.extend(PARTS.map(|part| prefix.join(part)));
        }
    };
    installed(interpreter);
    // An environment's interpreter is a link to one that is installed elsewhere.
    if let Ok(real) = interpreter.canonicalize() {
        installed(&real);
    }
    for name in LIBRARY_VARIABLES {
        let folders = std::env::var_os(name).unwrap_or_default();
        let named = std::env::split_paths(&folders).filter(|at| at.is_absolute());
        readable.extend(named.filter(|at| at != Path::new("/")));
    }
    if let Some(home) = std::env::var_os("HOME").filter(|home| !home.is_empty()) {
        readable.extend(OF_USERS.map(|part| Path::new(&home).join(part)));
    }
    readable.retain(|path| path.exists());
    readable
}

/// The files beside a script that belong to it: modules that it imports, what those import, and
/// what its comment names.
pub(crate) fn modules(script: &Path, bytes: &[u8]) -> io::Result<Vec<(PathBuf, Vec<u8>)>> {
    let Some(tag) = tag(bytes) else { return Ok(Vec::new()) };
    let folder = script.parent().unwrap_or(Path::new(""));
    let mut found = BTreeMap::<PathBuf, Vec<u8>>::new();
    let mut texts = vec![String::from_utf8_lossy(bytes).into_owned()];
    let declared = field(&tag, "files").into_iter().flat_map(|names| names.split(','));
    let mut open: Vec<PathBuf> = declared.map(PathBuf::from).collect();
    for name in &open {
        if !is_beside(name) || !folder.join(name).is_file() {
            let words = format!("there is no file {} beside it, which it names", name.display());
            return Err(io::Error::new(io::ErrorKind::NotFound, words));
        }
    }
    while !(open.is_empty() && texts.is_empty()) {
        for text in std::mem::take(&mut texts) {
            open.extend(text.lines().flat_map(|line| imported(line, folder)));
        }
        for name in std::mem::take(&mut open) {
            if Some(name.as_os_str()) == script.file_name() || found.contains_key(&name) {
                continue;
            }
            let bytes = std::fs::read(folder.join(&name))?;
            texts.push(String::from_utf8_lossy(&bytes).into_owned());
            found.insert(name, bytes);
            if found.len() > MAX_MODULES {
                let words = format!("more than {MAX_MODULES} files belong to it");
                return Err(io::Error::new(io::ErrorKind::InvalidData, words));
            }
        }
    }
    Ok(found.into_iter().collect())
}

fn is_beside(name: &Path) -> bool {
    name.components().all(|part| matches!(part, Component::Normal(_)))
}

/// The files of a folder that a line imports, in the words of Python, R or Julia.
fn imported(line: &str, folder: &Path) -> Vec<PathBuf> {
    let line = line.trim_start();
    let quoted = |call: &str| {
        let (_, rest) = line.split_once(call)?;
        let mut parts = rest.trim_start_matches('(').trim_start().splitn(3, ['"', '\'']);
        parts.next().filter(|before| before.is_empty())?;
        parts.next().map(PathBuf::from)
    };
    let calls = ["source(", "sys.source(", "include("].into_iter().filter_map(quoted);
    let mut files: Vec<_> =
        calls.filter(|name| is_beside(name) && folder.join(name).is_file()).collect();
    let names: Vec<&str> = match line.split_once(char::is_whitespace) {
        Some(("import", rest)) => rest.split(',').collect(),
        Some(("from", rest)) => rest.split_whitespace().take(1).collect(),
        _ => Vec::new(),
    };
    for name in names {
        // The first of `a.b as c` is what lies in the folder.
        let name = name.trim().trim_start_matches('.');
        let first = name.split(|c: char| !(c.is_alphanumeric() || c == '_')).next();
        let Some(first) = first.filter(|first| !first.is_empty()) else { continue };
        let module = PathBuf::from(format!("{first}.py"));
        if folder.join(&module).is_file() {
            files.push(module);
        }
        files.extend(sources_within(folder, Path::new(first)));
    }
    files
}

/// The Python sources of a package.
fn sources_within(folder: &Path, package: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder.join(package)) else { return files };
    for name in entries.flatten().map(|entry| package.join(entry.file_name())) {
        if folder.join(&name).is_dir() {
            files.extend(sources_within(folder, &name));
        } else if name.extension().is_some_and(|extension| extension == "py") {
            files.push(name);
        }
        if files.len() > MAX_MODULES {
            break;
        }
    }
    files
}
