//! Sources of settings: files, the environment, and defaults.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde::Deserialize as _;
use serde_json::{Map, Value};

use super::{Settings, read, settings_schema};
use crate::error::Error;
use crate::study::working_dir;

/// The name of a file of settings.
pub const SETTINGS_FILE: &str = "fuseline.toml";
/// The variable that names a file in place of the nearest one.
const SETTINGS_VARIABLE: &str = "FUSELINE_SETTINGS";
/// The settings that the environment gives, and their variables.
const VARIABLES: [(&str, &str); 5] = [
    ("cache.path", "FUSELINE_CACHE"),
    ("cache.remote", "FUSELINE_REMOTE"),
    ("cache.mode", "FUSELINE_REMOTE_MODE"),
    ("cache.remote_timeout", "FUSELINE_REMOTE_TIMEOUT"),
    ("executor.default", "FUSELINE_EXECUTOR"),
];

/// The schema that files are checked against. Most runs find no file.
static SCHEMA: LazyLock<Value> = LazyLock::new(settings_schema);

/// Settings, with the place that each comes from.
#[derive(Debug, Clone)]
pub struct LoadedSettings {
    /// The settings.
    pub settings: Settings,
    /// The files that were read, the one that wins first.
    pub files: Vec<PathBuf>,
    /// The nearest file, or the one that is named in its place.
    pub nearest: Option<PathBuf>,
    sources: BTreeMap<String, Source>,
}

/// Origin of a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// No source sets it.
    Default,
    /// A file of settings.
    File {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
    /// A variable of the environment.
    Environment(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => f.write_str(name),
        }
    }
}

impl Source {
    /// The source in words; a path below the working directory is relative to it.
    pub fn short(&self) -> String {
        let Self::File { path, line } = self else { return self.to_string() };
        let working_dir = std::env::current_dir().and_then(|folder| folder.canonicalize()).ok();
        let near = working_dir.as_deref().and_then(|folder| path.strip_prefix(folder).ok());
        format!("{}:{line}", near.unwrap_or(path).display())
    }
}

/// One setting as it is in force.
#[derive(Debug, Clone, PartialEq)]
pub struct SettingRow {
    /// Its dotted name, such as `executor.slurm.partition`.
    pub name: String,
    /// Its value; null where it is not set and has no default.
    pub value: Value,
    /// Its origin.
    pub source: Source,
}

impl LoadedSettings {
    /// Loads the settings that are in force for a folder: that of the workflow, or the working
    /// directory where there is no workflow.
    pub fn load(folder: &Path) -> Result<Self, Error> {
        let mut merged = Value::from(Map::new());
        let mut sources = BTreeMap::new();
        let nearest = nearest_file(folder)?;
        let files: Vec<PathBuf> = nearest.iter().cloned().chain(user_file()).collect();
        for path in files.iter().rev() {
            let file = read::read(path, &SCHEMA)?;
            merge(&mut merged, file.values, "", &mut |name: &str| {
                let line = file.lines.get(name).copied().unwrap_or(1);
                sources.insert(name.to_owned(), Source::File { path: path.clone(), line });
            });
        }
        for (name, variable) in VARIABLES {
            let Some(text) = std::env::var_os(variable).filter(|text| !text.is_empty()) else {
                continue;
            };
            let text = text
                .into_string()
                .map_err(|_| Error::request(format!("the value of {variable} is not UTF-8")))?;
            let value = name.rsplit('.').fold(Value::from(text), |value, part| {
                Value::from(Map::from_iter([(part.to_owned(), value)]))
            });
            // By itself, so that the variable is to blame.
            Settings::deserialize(&value)
                .map_err(|error| Error::request(format!("{variable} is wrong: {error}")))?;
            merge(&mut merged, value, "", &mut |name: &str| {
                sources.insert(name.to_owned(), Source::Environment(variable));
            });
        }
        let settings = Settings::deserialize(&merged)
            .map_err(|error| Error::request(format!("the settings cannot be read: {error}")))?;
        Ok(Self { settings, files, nearest, sources })
    }

    /// The origin of a setting in words, with a path that is short where it can be; none for a
    /// default.
    pub fn origin(&self, name: &str) -> Option<String> {
        match self.sources.get(name)? {
            Source::Default => None,
            source => Some(source.short()),
        }
    }

    /// Every setting as it is in force, in the order of their documentation.
    pub fn rows(&self) -> Vec<SettingRow> {
        let mut rows = Vec::new();
        // The types are written as JSON in the order of their fields.
        let values = serde_json::to_value(&self.settings).unwrap_or_default();
        self.add_rows("", &values, &mut rows);
        rows
    }

    fn add_rows(&self, name: &str, value: &Value, rows: &mut Vec<SettingRow>) {
        match value {
            Value::Object(fields) if !fields.is_empty() => {
                for (field, value) in fields {
                    self.add_rows(&join(name, field), value, rows);
                }
            }
            value => {
                let source = self.sources.get(name).cloned().unwrap_or(Source::Default);
                rows.push(SettingRow { name: name.to_owned(), value: value.clone(), source });
            }
        }
    }
}

/// Puts values over others, leaf by leaf, and names each leaf that is put there.
fn merge(under: &mut Value, over: Value, name: &str, note: &mut dyn FnMut(&str)) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (field, value) in over {
                let slot = under.entry(field.clone()).or_insert(match value {
                    Value::Object(_) => Value::from(Map::new()),
                    _ => Value::Null,
                });
                merge(slot, value, &join(name, &field), note);
            }
        }
        (under, over) => {
            *under = over;
            note(name);
        }
    }
}

fn join(name: &str, field: &str) -> String {
    if name.is_empty() { field.to_owned() } else { format!("{name}.{field}") }
}

/// The file that [`SETTINGS_VARIABLE`] names, or else the nearest one in a folder and upwards.
fn nearest_file(folder: &Path) -> Result<Option<PathBuf>, Error> {
    let working_dir = working_dir()?;
    if let Some(file) = std::env::var_os(SETTINGS_VARIABLE).filter(|file| !file.is_empty()) {
        return Ok(Some(working_dir.join(file)));
    }
    // The parent of `workflow.yaml` is "", which is the working directory.
    let folder = working_dir.join(folder);
    let folder = folder.canonicalize().unwrap_or(folder);
    Ok(folder.ancestors().map(|folder| folder.join(SETTINGS_FILE)).find(|file| file.is_file()))
}

/// The user's file, if there is one.
fn user_file() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let folder = variable("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(variable("HOME")?).join(".config")))?;
    Some(folder.join("fuseline").join(SETTINGS_FILE)).filter(|file| file.is_file())
}
