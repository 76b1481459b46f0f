//! `fuseline plugin`: the fusion rules on the plugin path.

use fuseline_host::PluginLibrary;
use serde_json::json;

use crate::args::{Format, Plugin};
use crate::exit::{Exit, Failure};
use crate::print;
use crate::session::plugin_path;

pub fn run(args: &Plugin) -> Result<Exit, Failure> {
    match args {
        Plugin::List { plugin_path, format } => list(plugin_path, *format),
    }
}

fn list(folders: &[std::path::PathBuf], format: Format) -> Result<Exit, Failure> {
    let path = plugin_path(folders, &[]);
    let (mut found, mut broken) = (Vec::new(), Vec::new());
    for plugin in PluginLibrary::new(path.clone()).list() {
        match plugin {
            Ok(plugin) => found.push(plugin),
            Err(error) => broken.push(error.to_string()),
        }
    }
    if format == Format::Json {
        let found: Vec<_> = found
            .iter()
            .map(|plugin| {
                json!({
                    "id": plugin.id,
                    "abi": format!("{}.{}", plugin.abi.0, plugin.abi.1),
                    "digest": plugin.digest.to_string(),
                    "path": plugin.path.display().to_string(),
                })
            })
            .collect();
        print::json(&json!({ "plugins": found, "broken": broken }));
        return Ok(Exit::Done);
    }
    let width = found.iter().map(|plugin| plugin.id.len()).max().unwrap_or(0);
    for plugin in &found {
        let digest = plugin.digest.to_string();
        print::result(format!(
            "{:width$}  {}  {}",
            plugin.id,
            &digest[..12],
            plugin.path.display()
        ));
    }
    for error in &broken {
        print::note(format!("warning: {error}"));
    }
    if found.is_empty() {
        print::note("There is no plugin in these folders:");
        for folder in path {
            print::note(format!("  {}", folder.display()));
        }
    }
    Ok(Exit::Done)
}
