//! The folders that are searched for fusion rules, their isolation, and `fuseline.lock`.

use std::collections::BTreeSet;
use std::fs::DirEntry;
use std::path::{Path, PathBuf};

use fuseline_engine::{FileDigests, Services};
use fuseline_host::worker::WorkerProgram;
use fuseline_host::{Isolation, Lock, PluginLibrary};

use crate::error::Error;
use crate::settings::{LoadedSettings, Settings};
use crate::worker;

/// The file that pins the digests of plugins.
pub const LOCK_FILE: &str = "fuseline.lock";

/// A folder that is searched for plugins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchFolder {
    /// The folder. It need not exist.
    pub path: PathBuf,
    /// Source that names it, in words.
    pub named_by: &'static str,
}

/// The folders that are searched for plugins, in order: see [`search_folders`].
pub fn plugin_path(
    requested: &[PathBuf],
    declared: &[PathBuf],
    settings: &Settings,
) -> Result<Vec<PathBuf>, Error> {
    let folders = search_folders(requested, declared, settings)?;
    Ok(folders.into_iter().map(|folder| folder.path).collect())
}

/// The folders that are searched for plugins, in order, with what names each: `requested` ones,
/// which must exist, then those of `FUSELINE_PLUGIN_PATH`, of the workflow (`declared`), of the
/// settings, beside the program, and of the environment.
pub fn search_folders(
    requested: &[PathBuf],
    declared: &[PathBuf],
    settings: &Settings,
) -> Result<Vec<SearchFolder>, Error> {
    if let Some(missing) = requested.iter().find(|folder| !folder.is_dir()) {
        return Err(Error::request(format!("there is no folder {}", missing.display()))
            .with_hint("--plugin-path takes a folder with plugins in it".to_owned()));
    }
    let mut folders = Vec::new();
    let mut add = |named_by: &'static str, paths: Vec<PathBuf>| {
        folders.extend(paths.into_iter().map(|path| SearchFolder { path, named_by }));
    };
    add("--plugin-path", requested.to_vec());
    let variable = std::env::var_os("FUSELINE_PLUGIN_PATH").unwrap_or_default();
    let named = std::env::split_paths(&variable).filter(|folder| !folder.as_os_str().is_empty());
    add("FUSELINE_PLUGIN_PATH", named.collect());
    add("the workflow", declared.to_vec());
    let of_settings = settings.plugin_path.iter().map(|folder| folder.as_ref().to_owned());
    add("fuseline.toml", of_settings.collect());
    if let Some(beside) = std::env::current_exe().ok().as_deref().and_then(Path::parent) {
        add("beside the command", vec![beside.join("plugins"), beside.to_owned()]);
        let prefix = beside.parent().map(|prefix| prefix.join(INSTALLED_RULES));
        add("installed with the command", prefix.map(with_scripts).unwrap_or_default());
    }
    for (named_by, folder) in installed_folders() {
        add(named_by, with_scripts(folder));
    }
    // A folder that is found twice is searched once, where it comes first.
    let mut seen = BTreeSet::new();
    folders.retain(|folder| {
        seen.insert(folder.path.canonicalize().unwrap_or_else(|_| folder.path.clone()))
    });
    Ok(folders)
}

/// The folder of packaged rules within an environment.
const INSTALLED_RULES: &str = "share/fuseline/rules";

/// A folder of packaged rules, and those within it: a script has one of its own, since it brings
/// the file that it imports.
fn with_scripts(folder: PathBuf) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
    let is_rule = |entry: &DirEntry| {
        let name = entry.file_name();
        !name.as_encoded_bytes().starts_with(b"_") && !name.as_encoded_bytes().starts_with(b".")
    };
    let folders = entries.filter(is_rule).map(|entry| entry.path()).filter(|path| path.is_dir());
    let mut found: Vec<PathBuf> = folders.collect();
    found.sort();
    found.insert(0, folder);
    found
}

/// The existing folders of rules of the active Python or Conda environment, and of the user.
fn installed_folders() -> impl Iterator<Item = (&'static str, PathBuf)> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let data = variable("XDG_DATA_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(variable("HOME")?).join(".local/share")));
    let environments = ["VIRTUAL_ENV", "CONDA_PREFIX"]
        .into_iter()
        .filter_map(move |name| Some((name, PathBuf::from(variable(name)?).join(INSTALLED_RULES))));
    let user = data.map(|data| ("the user's data", data.join("fuseline/rules")));
    environments.chain(user).filter(|(_, folder)| folder.is_dir())
}

/// Places of fusion rules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RulePath {
    /// Folders and files that are searched, in order.
    pub search: Vec<PathBuf>,
    /// Files by the ids that they must have, which win.
    pub named: Vec<(String, PathBuf)>,
}

impl From<Vec<PathBuf>> for RulePath {
    fn from(search: Vec<PathBuf>) -> Self {
        Self { search, named: Vec::new() }
    }
}

/// The services for stages: the rules on a path, as a lock file admits them, isolated as requested,
/// with the limits of the settings.
pub fn services(
    path: RulePath,
    isolation: Option<Isolation>,
    lock: Option<&Path>,
    settings: &LoadedSettings,
) -> Result<Services, Error> {
    let mut plugins = PluginLibrary::with_named_files(path.search, path.named);
    match worker_program() {
        Ok(program) => plugins = plugins.with_worker_settings(settings.worker_settings(program)),
        // Nothing is started where rules run in this process.
        Err(_) if isolation == Some(Isolation::InProcess) => {}
        Err(error) => return Err(error),
    }
    if let Some(file) = lock
        && let Some(lock) = Lock::read(file).map_err(|error| {
            let hint = "`fuseline plugin lock` writes it again";
            Error::request(error.to_string()).with_hint(hint.to_owned())
        })?
    {
        plugins = plugins.with_lock(lock);
    }
    Ok(Services { plugins, isolation, files: FileDigests::default(), shared: Default::default() })
}

/// The program that runs as a worker: this one, which turns into a worker when its first argument
/// says so.
pub fn worker_program() -> Result<WorkerProgram, Error> {
    if !worker::is_ready() {
        let hint = "call `fuseline::worker::run_if_asked` at the beginning of `main`, or isolate \
                    rules `in-process`";
        return Err(Error::request("this program cannot start worker processes for fusion rules")
            .with_hint(hint.to_owned()));
    }
    WorkerProgram::this()
        .map_err(|error| Error::failed(format!("cannot find the program of this command: {error}")))
}

/// The lock file in a folder or the nearest one above it: that of the workflow, or of the working
/// directory where there is no workflow.
pub fn nearest_lock(folder: &Path) -> Option<PathBuf> {
    // The parent of `workflow.yaml` is "", which is the working directory.
    let folder = std::env::current_dir().ok()?.join(folder);
    // Resolves links and `..`: the parents are those of the real folder.
    let folder = folder.canonicalize().unwrap_or(folder);
    folder.ancestors().map(|folder| folder.join(LOCK_FILE)).find(|file| file.is_file())
}
