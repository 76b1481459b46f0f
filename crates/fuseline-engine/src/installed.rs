//! Installed software that discovered inputs stand for: an interpreter, distributions, rules.
//!
//! Their files lie elsewhere on another machine and in another environment. What counts of them is
//! their version, or the digest of a rule, wherever it lies.

use std::collections::BTreeMap;
use std::env::consts::DLL_SUFFIX;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use fuseline_artifact::Digest;
use fuseline_host::{Conditions, Interpreter, PluginLibrary, Sourced};
use serde::{Deserialize, Serialize};

/// Software that a file which an action read stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Installed {
    /// The Python interpreter in force.
    Python {
        /// As `3.11.2`.
        version: String,
    },
    /// A distribution that is installed for it.
    Distribution {
        /// As its metadata spells it.
        name: String,
        /// As `2.1.0`.
        version: String,
    },
    /// The library of a fusion rule.
    Rule {
        /// Its id.
        id: String,
    },
}

/// Software of this machine, under the settings and the workflow that are in force.
pub struct Installation {
    stated: Option<Sourced<PathBuf>>,
    plugins: PluginLibrary,
    python: OnceLock<Option<Python>>,
}

/// The interpreter in force.
struct Python {
    program: PathBuf,
    environment: Option<PathBuf>,
    version: String,
    folders: Vec<PathBuf>,
    /// By their normalised names: version and the file that tells it.
    distributions: BTreeMap<String, (String, PathBuf)>,
}

impl Installation {
    /// The software for stages of these conditions. Nothing is looked at before it is needed.
    pub fn new(plugins: &PluginLibrary, conditions: &Conditions) -> Self {
        let stated = plugins.stated_python(conditions).cloned();
        Self { stated, plugins: plugins.clone(), python: OnceLock::new() }
    }

    fn python(&self) -> Option<&Python> {
        self.python.get_or_init(|| Python::find(self.stated.as_ref())).as_ref()
    }

    /// Software that a file stands for, if it does.
    pub(crate) fn stands_for(&self, path: &Path, digest: &Digest) -> Option<Installed> {
        let suffix = DLL_SUFFIX.trim_start_matches('.');
        if path.extension().is_some_and(|extension| extension == suffix) {
            let rule = self.plugins.find_by_path(path).filter(|file| file.digest == *digest);
            if let Some(rule) = rule {
                return Some(Installed::Rule { id: rule.id.clone() });
            }
        }
        let python = self.python()?;
        if path == python.program {
            return Some(Installed::Python { version: python.version.clone() });
        }
        let folder = python.folders.iter().find(|folder| path.starts_with(folder))?;
        let (name, version) = distribution(path.strip_prefix(folder).ok()?)?;
        Some(Installed::Distribution { name, version })
    }

    /// True if a file says of the interpreter in force where its environment comes from, which is
    /// the interpreter itself.
    pub(crate) fn is_environment(&self, path: &Path) -> bool {
        path.file_name().is_some_and(|name| name == "pyvenv.cfg")
            && self.python().is_some_and(|python| python.environment.as_deref() == Some(path))
    }

    /// The file that stands for software here; none where there is none.
    pub(crate) fn file_of(&self, of: &Installed) -> Option<PathBuf> {
        match of {
            Installed::Python { .. } => Some(self.python()?.program.clone()),
            Installed::Distribution { name, .. } => {
                let (_, file) = self.python()?.distributions.get(&normalised(name))?;
                Some(file.clone())
            }
            Installed::Rule { id } => Some(self.plugins.find(id).ok()?.path),
        }
    }

    /// Difference between software as it was and as it is here, in words; none where it is the
    /// same. `digest`: that of the file that stood for it.
    pub(crate) fn difference(&self, was: &Installed, digest: &Digest) -> Option<String> {
        let (name, before, now) = match was {
            Installed::Rule { id } => {
                return match self.plugins.find(id) {
                    Ok(file) if file.digest == *digest => None,
                    Ok(file) => {
                        Some(format!("{}, which it had used, changed", file.path.display()))
                    }
                    Err(_) => Some(format!("the library of {id}, which it had used, is gone")),
                };
            }
            Installed::Python { version } => {
                ("Python", version, self.python().map(|python| &python.version))
            }
            Installed::Distribution { name, version } => {
                let found = self.python().and_then(|of| of.distributions.get(&normalised(name)));
                (name.as_str(), version, found.map(|(version, _)| version))
            }
        };
        match now {
            Some(now) if now == before => None,
            Some(now) => Some(format!("{name} is {now} and was {before}")),
            None => Some(format!("{name} is not installed and was {before}")),
        }
    }
}

impl Python {
    fn find(stated: Option<&Sourced<PathBuf>>) -> Option<Self> {
        let interpreter = Interpreter::find(stated).ok()?;
        let found = interpreter.installation().ok()?;
        let environment = interpreter.environment_programs().and_then(Path::parent);
        let environment = environment.and_then(|of| of.join("pyvenv.cfg").canonicalize().ok());
        let folders: Vec<PathBuf> =
            found.folders.iter().filter_map(|folder| folder.canonicalize().ok()).collect();
        let mut distributions = BTreeMap::new();
        for folder in &folders {
            let Ok(entries) = std::fs::read_dir(folder) else { continue };
            for entry in entries.flatten() {
                let Some((name, version)) = distribution(Path::new(&entry.file_name())) else {
                    continue;
                };
                let file = ["METADATA", "PKG-INFO"].map(|name| entry.path().join(name));
                let file = file.into_iter().find(|file| file.is_file()).unwrap_or(entry.path());
                // The first of a name is the one that is imported.
                distributions.entry(normalised(&name)).or_insert((version, file));
            }
        }
        Some(Self {
            program: interpreter.program.canonicalize().ok()?,
            environment,
            version: found.version,
            folders,
            distributions,
        })
    }
}

/// Name and version of the distribution that a path within a folder of distributions is the
/// metadata of: `numpy-2.1.0.dist-info/METADATA`, `six-1.16.0-py3.11.egg-info`.
fn distribution(inside: &Path) -> Option<(String, String)> {
    let folder = inside.components().next()?.as_os_str().to_str()?;
    let stem = folder.strip_suffix(".dist-info").or_else(|| folder.strip_suffix(".egg-info"))?;
    let mut parts = stem.split('-');
    Some((parts.next()?.to_owned(), parts.next()?.to_owned()))
}

/// A name by which distributions are compared: `Foo.Bar_baz` and `foo-bar-baz` are one.
fn normalised(name: &str) -> String {
    name.replace(['.', '_'], "-").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_tells_name_and_version() {
        let of = |path: &str| distribution(Path::new(path));
        let pair = |name: &str, version: &str| Some((name.to_owned(), version.to_owned()));
        assert_eq!(of("numpy-2.1.0.dist-info/METADATA"), pair("numpy", "2.1.0"));
        assert_eq!(of("six-1.16.0-py3.11.egg-info"), pair("six", "1.16.0"));
        assert_eq!(of("numpy/core.py"), None);
        assert_eq!(normalised("Foo.Bar_baz"), "foo-bar-baz");
    }
}
