//! Where fusion rules are found, how they are isolated, and what `fuseline.lock` pins.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fuseline_engine::{FileDigests, Services};
use fuseline_host::worker::{WorkerLimits, WorkerProgram};
use fuseline_host::{Isolation, Lock, PluginLibrary};

use crate::exit::Failure;

/// The file that pins the digests of plugins.
pub const LOCK_FILE: &str = "fuseline.lock";

/// The folders that are searched for plugins, in order; those of the arguments must be there.
pub fn path(arguments: &[PathBuf], declared: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    if let Some(missing) = arguments.iter().find(|folder| !folder.is_dir()) {
        return Err(Failure::wrong(format!("there is no folder {}", missing.display()))
            .hint("--plugin-path takes a folder with plugins in it"));
    }
    let mut path = arguments.to_vec();
    if let Some(variable) = std::env::var_os("FUSELINE_PLUGIN_PATH") {
        path.extend(
            std::env::split_paths(&variable).filter(|folder| !folder.as_os_str().is_empty()),
        );
    }
    path.extend_from_slice(declared);
    if let Some(beside) = std::env::current_exe().ok().as_deref().and_then(Path::parent) {
        path.push(beside.join("plugins"));
        path.push(beside.to_owned());
        path.extend(beside.parent().map(|prefix| prefix.join(INSTALLED)));
    }
    path.extend(installed());
    // A folder that is found twice is searched once, where it comes first.
    let mut seen = BTreeSet::new();
    path.retain(|folder| seen.insert(folder.canonicalize().unwrap_or_else(|_| folder.clone())));
    Ok(path)
}

/// Where packages put rules, within an environment.
const INSTALLED: &str = "share/fuseline/rules";

/// The folders of rules of the Python or Conda environment that is active, and of the user, where they are.
fn installed() -> impl Iterator<Item = PathBuf> {
    let of = |variable: &str| std::env::var_os(variable).filter(|value| !value.is_empty());
    let data = of("XDG_DATA_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(of("HOME")?).join(".local/share")));
    let prefixes = [of("VIRTUAL_ENV"), of("CONDA_PREFIX")].into_iter().flatten();
    let environments = prefixes.map(|prefix| PathBuf::from(prefix).join(INSTALLED));
    let user = data.map(|data| data.join("fuseline/rules"));
    environments.chain(user).filter(|folder| folder.is_dir())
}

/// What stages are offered: the rules on a path, as a lock file admits them, isolated as asked.
pub fn services(
    path: Vec<PathBuf>,
    isolation: Option<Isolation>,
    lock: Option<&Path>,
) -> Result<Services, Failure> {
    let mut plugins = PluginLibrary::new(path).with_workers(program()?, WorkerLimits::default());
    if let Some(file) = lock
        && let Some(lock) =
            Lock::read(file).map_err(|error| Failure::wrong(error.to_string()).hint(RELOCK))?
    {
        plugins = plugins.with_lock(lock);
    }
    Ok(Services { plugins, isolation, files: FileDigests::default() })
}

/// What to do about a lock.
const RELOCK: &str = "`fuseline plugin lock` writes it again";

/// How workers are started: this program, which turns into one when its first argument says so.
pub fn program() -> Result<WorkerProgram, Failure> {
    WorkerProgram::this().map_err(|error| {
        Failure::failed(format!("cannot find the program of this command: {error}"))
    })
}

/// The lock file in a folder or the nearest one above it: that of the workflow, or the working directory where there is none.
pub fn nearest_lock(folder: &Path) -> Option<PathBuf> {
    // The parent of `workflow.yaml` is "", which is the working directory.
    let folder = std::env::current_dir().ok()?.join(folder);
    folder.ancestors().map(|folder| folder.join(LOCK_FILE)).find(|file| file.is_file())
}
