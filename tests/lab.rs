//! A laboratory for stories: the real command in a temporary folder.
//!
//! Runs `fuseline` and reads its output. Knows nothing of its internals.
//! Start at [`Lab`]. The command must have been built (`cargo build --workspace`), plugins
//! included.

#![expect(
    clippy::expect_used,
    clippy::print_stderr,
    reason = "stories are tests, and this is their code: what fails, fails aloud"
)]

pub mod axe;
pub mod bucket;
pub mod damage;
pub mod devtools;
pub mod kills;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// A temporary folder with workflows in it.
pub struct Lab {
    folder: TempDir,
}

impl Lab {
    /// An empty folder.
    pub fn new() -> Self {
        Self { folder: TempDir::new().expect("a temporary folder can be made") }
    }

    /// A folder with one file, `workflow.yaml`.
    pub fn with_workflow(text: &str) -> Self {
        let lab = Self::new();
        lab.write("workflow.yaml", text);
        lab
    }

    /// A path in the folder.
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(relative)
    }

    /// Writes a file.
    pub fn write(&self, relative: &str, text: impl AsRef<[u8]>) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().expect("a file has a folder"))
            .expect("folders can be made");
        fs::write(path, text).expect("a file can be written");
    }

    /// Reads a file.
    pub fn read(&self, relative: &str) -> Vec<u8> {
        fs::read(self.path(relative)).unwrap_or_else(|error| panic!("{relative}: {error}"))
    }

    /// Replaces text in a file; the text must be there.
    pub fn edit(&self, relative: &str, from: &str, to: &str) {
        let text = String::from_utf8(self.read(relative)).expect("the file is UTF-8");
        assert!(text.contains(from), "{relative} does not contain {from:?}");
        self.write(relative, text.replace(from, to));
    }

    /// The command, to run in the folder.
    pub fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(fuseline());
        command.current_dir(self.folder.path()).args(arguments);
        let variables = [
            "LOG",
            "CACHE",
            "PLUGIN_PATH",
            "SETTINGS",
            "EXECUTOR",
            "REMOTE",
            "REMOTE_MODE",
            "REMOTE_TIMEOUT",
        ];
        for variable in variables {
            command.env_remove(format!("FUSELINE_{variable}"));
        }
        command.env("XDG_CONFIG_HOME", self.path("user-config"));
        command
    }

    /// Runs the command in the folder.
    pub fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Ran {
        Ran(self
            .command(arguments)
            .output()
            .expect("fuseline can be started; `cargo build --workspace` makes it"))
    }

    /// The object files of the artifacts of a stage, from the latest manifest.
    #[track_caller]
    pub fn objects_of(&self, stage: &str) -> Vec<PathBuf> {
        let manifest = self.run(["runs", "show", "latest", "--format", "json"]).json();
        let actions = manifest["actions"].as_array().expect("a list").iter();
        let of_stage = actions.filter(|action| {
            action["action"].as_str().is_some_and(|name| name.split('[').next() == Some(stage))
        });
        of_stage
            .flat_map(|action| action["outputs"].as_array().expect("a list"))
            .map(|digest| {
                let (shard, rest) = digest.as_str().expect("text").split_at(2);
                self.path("cache/objects").join(shard).join(rest)
            })
            .collect()
    }
}

impl Default for Lab {
    fn default() -> Self {
        Self::new()
    }
}

/// A command that has ended.
pub struct Ran(pub Output);

impl Ran {
    /// Its exit code; it must have one.
    pub fn code(&self) -> i32 {
        self.0.status.code().expect("it was not killed")
    }

    /// Its stdout.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }

    /// Its stderr.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }

    /// The JSON object that it printed to stdout, after success.
    #[track_caller]
    pub fn json(&self) -> Value {
        self.success();
        serde_json::from_str(&self.stdout()).expect("stdout is one JSON object")
    }

    /// Expects exit code 0.
    #[track_caller]
    pub fn success(&self) -> &Self {
        self.exits(0)
    }

    /// Expects an exit code.
    #[track_caller]
    pub fn exits(&self, code: i32) -> &Self {
        assert_eq!(self.code(), code, "stdout: {}\nstderr: {}", self.stdout(), self.stderr());
        self
    }
}

/// The command: it lies in `target/PROFILE` as programs do, or one folder above the programs of
/// tests.
pub fn fuseline() -> PathBuf {
    let name = format!("fuseline{}", std::env::consts::EXE_SUFFIX);
    let program = std::env::current_exe().expect("a program knows itself");
    let mut folders = program.ancestors().skip(1).take(2).map(|folder| folder.join(&name));
    folders.find(|path| path.is_file()).expect("`cargo build --workspace` has made fuseline")
}

/// Something that a test needs and a machine may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// The folders of real data beside the project.
    Data,
    /// Python with the packages that a test names.
    Python,
    /// LaTeX, and the programs that read its output.
    Latex,
    /// Chromium.
    Browser,
    /// The shells and the pager for which completions and manual pages are made.
    Shells,
    /// The right to mount a filesystem.
    Mount,
    /// Neovim.
    Editor,
    /// The programs of Slurm and munge, and the user root; HyperQueue's package of Python.
    Cluster,
}

impl Need {
    /// Its name in `FUSELINE_REQUIRE`.
    fn name(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Python => "python",
            Self::Latex => "latex",
            Self::Browser => "browser",
            Self::Shells => "shells",
            Self::Mount => "mount",
            Self::Editor => "editor",
            Self::Cluster => "cluster",
        }
    }
}

/// Skips a test with a notice: `missing` names the absent need. Where `FUSELINE_REQUIRE` (names
/// with commas between) lists the need, its absence is a failure.
#[track_caller]
pub fn skip(need: Need, missing: &str) {
    let required = std::env::var("FUSELINE_REQUIRE").unwrap_or_default();
    assert!(
        !required.split(',').any(|name| name.trim() == need.name()),
        "FUSELINE_REQUIRE names {}, and {missing}",
        need.name()
    );
    eprintln!("skipped: {missing}");
}

/// True if `python3` imports these modules (`numpy, pyarrow`); [`skip`]s if it does not.
#[track_caller]
pub fn has_python(modules: &str) -> bool {
    let there = Command::new("python3").args(["-c", &format!("import {modules}")]).output();
    let there = there.is_ok_and(|ran| ran.status.success());
    if !there {
        skip(Need::Python, &format!("there is no python3 with {modules}"));
    }
    there
}

/// Output of a bench at its smallest size, where it only checks; nothing on a machine without
/// Python.
#[track_caller]
pub fn bench(script: &str) -> Option<String> {
    if !has_python("sys") {
        return None;
    }
    let output = Command::new("python3")
        .arg(root().join(script))
        .args(["--check", "--fuseline"])
        .arg(fuseline())
        .output()
        .expect("the bench runs");
    let (said, wrong) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{wrong}");
    Some(said.into_owned())
}

/// All files in a folder and below it, sorted.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder can be listed") {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// The project's root folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests lie in the project").to_owned()
}

/// A folder of real data beside the project, or `None`, with a notice, where it is absent.
pub fn real_data(name: &str) -> Option<PathBuf> {
    let folder = root().parent()?.join("shared/data").join(name);
    if !folder.is_dir() {
        skip(Need::Data, &format!("there is no {}", folder.display()));
        return None;
    }
    Some(folder)
}

/// Runs a script in Python where the packages that it needs are there; `None`, with a notice, where
/// they are not.
pub fn python<A: AsRef<OsStr>>(
    needs: &str,
    arguments: impl IntoIterator<Item = A>,
) -> Option<String> {
    if !has_python(needs) {
        return None;
    }
    let ran = Command::new("python3").args(arguments).output().expect("it was there just now");
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success(), "{said}\n{}", String::from_utf8_lossy(&ran.stderr));
    Some(said)
}
