//! `fuseline config`: the settings in force, and where each comes from.

use std::path::{Path, PathBuf};

use fuseline::LoadedSettings;
use serde_json::{Value, json};

use crate::args::{CacheArgs, Format};
use crate::exit::{Exit, Failure};
use crate::print;

/// Arguments of `config`.
#[derive(clap::Args)]
#[command(after_help = "\
The nearest fuseline.toml in the folder of the workflow (without one: the working directory) and \
upwards wins over that of
the user, the environment over both, a flag over all. FUSELINE_SETTINGS names a file in place of \
the nearest one.

Examples:
  fuseline config
  fuseline config workflows/stressid.yaml              as `fuseline run` of that workflow finds them
  fuseline config --format json | jq '.settings[] | select(.source != \"default\")'")]
pub struct Args {
    /// The workflow whose settings are asked for
    pub workflow: Option<PathBuf>,
    #[command(flatten)]
    pub cache: CacheArgs,
    /// Output format of the settings
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

pub fn run(args: &Args) -> Result<Exit, Failure> {
    let workflow = args.workflow.as_deref();
    if let Some(missing) = workflow.filter(|workflow| !workflow.exists()) {
        return Err(Failure::wrong(format!("there is no {}", missing.display())));
    }
    let folder = workflow.and_then(Path::parent).unwrap_or(Path::new("."));
    let loaded = LoadedSettings::load(folder)?;
    let mut rows: Vec<(String, Value, String)> =
        loaded.rows().into_iter().map(|row| (row.name, row.value, row.source.short())).collect();
    for (name, value, source) in &mut rows {
        if name == "cache.path"
            && let Some(folder) = args.cache.argument()
        {
            (*value, *source) = (folder.display().to_string().into(), "--cache".to_owned());
        }
    }
    if let Some(path) = std::env::var_os("FUSELINE_PLUGIN_PATH").filter(|path| !path.is_empty()) {
        let folders = std::env::split_paths(&path).filter(|folder| !folder.as_os_str().is_empty());
        let folders = folders.map(|folder| Value::from(folder.display().to_string()));
        // They are searched first.
        let row = rows.iter().position(|(name, ..)| name == "plugin_path").unwrap_or(rows.len());
        let row_name = "plugin_path".to_owned();
        rows.insert(row, (row_name, folders.collect(), "FUSELINE_PLUGIN_PATH".to_owned()));
    }
    match args.format {
        Format::Json => {
            let settings: Vec<Value> = rows
                .iter()
                .map(|(name, value, source)| {
                    json!({ "name": name, "value": value, "source": source })
                })
                .collect();
            let files = loaded.files.iter().map(|file| file.display().to_string());
            print::json(&json!({ "files": files.collect::<Vec<_>>(), "settings": settings }));
        }
        Format::Human => {
            let shown = rows.iter().map(|(name, value, source)| (name, value_text(value), source));
            let shown: Vec<_> = shown.collect();
            let name_width = shown.iter().map(|(name, ..)| name.chars().count()).max();
            let value_width = shown.iter().map(|(_, value, _)| value.chars().count()).max();
            let value_width = value_width.unwrap_or(0).min(MAX_VALUE_WIDTH);
            let name_width = name_width.unwrap_or(0);
            let line = |(name, value, source): &(&String, String, &String)| {
                format!("{name:<name_width$}  {value:<value_width$}  {source}\n")
            };
            print::result(shown.iter().map(line).collect::<String>());
        }
    }
    Ok(Exit::Done)
}

/// Wider values move their source to the right.
const MAX_VALUE_WIDTH: usize = 40;

/// A value as it is written in a file of settings; `-` where there is none.
fn value_text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Object(_) => "{}".to_owned(),
        value => value.to_string(),
    }
}
