//! `fuseline plugin`: lists, inspects, checks, begins and pins fusion rules.

use std::path::{Path, PathBuf};

use fuseline_host::check::check as check_file;
use fuseline_host::scaffold::new_rule;
use fuseline_host::{Isolation, Lock, PluginFile, PluginLibrary};
use serde_json::{Value, json};

use clap::ValueEnum;
use fuseline::{
    LOCK_FILE, LoadedSettings, Settings, nearest_lock, plugin_path, services, worker_program,
    write_file,
};

use crate::args::Format;
use crate::exit::{Exit, Failure};
use crate::print;

/// What to do with plugins.
#[derive(clap::Subcommand)]
pub enum Args {
    /// List the fusion rules on the plugin path
    #[command(after_help = "\
Examples:
  fuseline plugin list
  fuseline plugin list --plugin-path ./my-rules --format json")]
    List {
        /// Add a folder to the plugin path
        #[arg(long, value_name = "DIR")]
        plugin_path: Vec<PathBuf>,
        /// How the list is printed
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Show what a rule says of itself: parameters, limits, capabilities
    #[command(after_help = "\
Examples:
  fuseline plugin inspect moe                          a rule on the plugin path
  fuseline plugin inspect ./libmy_rule.so --format json")]
    Inspect {
        /// A plugin's file, or a rule's name on the plugin path
        rule: String,
        /// Add a folder to the plugin path
        #[arg(long, value_name = "DIR")]
        plugin_path: Vec<PathBuf>,
        /// How it is printed
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Hold a plugin against every promise of the ABI; each check runs in a process of its own
    #[command(after_help = "\
Examples:
  fuseline plugin check ./libmy_rule.so")]
    Check {
        /// The plugin's file
        file: PathBuf,
        /// How the checks are printed
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Begin a fusion rule, in a folder of its own
    #[command(after_help = "\
Examples:
  fuseline plugin new my_rule --lang python")]
    New {
        /// The rule's name: a letter, then letters, digits and _, all lower-case
        name: String,
        /// The language
        #[arg(long = "lang", value_name = "LANGUAGE", value_enum)]
        language: Language,
        /// Where the crate fuseline-plugin lies, for Rust [default: where this command was built]
        #[arg(long, value_name = "DIR")]
        kit: Option<PathBuf>,
    },
    /// Pin the digests of the plugins on the plugin path in fuseline.lock
    #[command(after_help = "\
Examples:
  fuseline plugin lock
  fuseline plugin lock --plugin-path ./my-rules")]
    Lock {
        /// Add a folder to the plugin path
        #[arg(long, value_name = "DIR")]
        plugin_path: Vec<PathBuf>,
    },
}

/// The languages in which a rule can be begun.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// With the kit, no unsafe code
    Rust,
    /// With the header alone
    C,
    /// With numpy and pyarrow, in a process of its own
    Python,
}

pub fn run(args: &Args) -> Result<Exit, Failure> {
    match args {
        Args::List { plugin_path, format } => list(plugin_path, *format),
        Args::Inspect { rule, plugin_path, format } => inspect(rule, plugin_path, *format),
        Args::Check { file, format } => check(file, *format),
        Args::New { name, language, kit } => new(name, *language, kit.as_deref()),
        Args::Lock { plugin_path } => lock(plugin_path),
    }
}

/// The settings that are in force in the working directory.
fn settings() -> Result<Settings, Failure> {
    Ok(LoadedSettings::load(Path::new("."))?.settings)
}

fn list(folders: &[PathBuf], format: Format) -> Result<Exit, Failure> {
    let settings = settings()?;
    let path = plugin_path(folders, &[], &settings)?;
    let (found, broken) = on_path(path.clone());
    if format == Format::Json {
        let found: Vec<_> = found.iter().map(file_json).collect();
        print::json(&json!({ "plugins": found, "broken": broken }));
        return Ok(Exit::Done);
    }
    let width = found.iter().map(|plugin| plugin.id.len()).max().unwrap_or(0);
    for plugin in &found {
        let digest = plugin.digest.short();
        print::result(format!("{:width$}  {digest}  {}", plugin.id, plugin.path.display()));
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

/// The plugins in some folders, and what is wrong with the others.
fn on_path(path: Vec<PathBuf>) -> (Vec<PluginFile>, Vec<String>) {
    let (mut found, mut broken) = (Vec::new(), Vec::new());
    for plugin in PluginLibrary::new(path).list() {
        match plugin {
            Ok(plugin) => found.push(plugin),
            Err(error) => broken.push(error.to_string()),
        }
    }
    (found, broken)
}

fn file_json(plugin: &PluginFile) -> Value {
    json!({
        "id": plugin.id,
        "abi": format!("{}.{}", plugin.abi.0, plugin.abi.1),
        "digest": plugin.digest.to_string(),
        "path": plugin.path.display().to_string(),
    })
}

/// Everything that a rule says of itself. `rule` is a file, or a name on the plugin path.
fn inspect(rule: &str, folders: &[PathBuf], format: Format) -> Result<Exit, Failure> {
    let lock = nearest_lock(Path::new("."));
    let settings = settings()?;
    let services =
        services(plugin_path(folders, &[], &settings)?, None, lock.as_deref(), &settings)?;
    let wrong = |error: fuseline_host::HostError| Failure::wrong(error.to_string());
    let file = match Path::new(rule) {
        path if path.is_file() => PluginFile::read(path),
        _ => services.plugins.find(rule),
    };
    let file = file.map_err(wrong)?;
    let loaded = services.plugins.load(&file, Isolation::Worker).map_err(wrong)?;
    let descriptor = loaded.descriptor();
    if format == Format::Json {
        let mut value = file_json(&file);
        value["descriptor"] = serde_json::to_value(descriptor).map_err(Failure::failed)?;
        print::json(&value);
        return Ok(Exit::Done);
    }
    let capabilities = &descriptor.capabilities;
    let yes = |is: bool| if is { "yes" } else { "no" };
    let mut text = format!(
        "{} {}: {}\n{}\n\nfile     {}\ndigest   {}\nABI      {}.{}\nlicence  {}\n\
         uses quality: {}; rows independent: {}; takes missing modalities: {}; takes embeddings: {}\n\
         at most {} modalities and {} classes\n",
        descriptor.id,
        descriptor.version,
        descriptor.name,
        descriptor.summary,
        file.path.display(),
        file.digest,
        file.abi.0,
        file.abi.1,
        descriptor.licence,
        yes(capabilities.uses_quality),
        yes(capabilities.row_independent),
        yes(capabilities.accepts_missing),
        yes(capabilities.accepts_embeddings),
        descriptor.limits.modalities,
        descriptor.limits.classes,
    );
    let params = descriptor.params["properties"].as_object();
    for (number, (name, param)) in params.into_iter().flatten().enumerate() {
        if number == 0 {
            text += "\nparams (under with: params:):\n";
        }
        let kind = param["type"].as_str().unwrap_or("any");
        text += &format!("  {name}: {kind}");
        if let Some(default) = param.get("default") {
            text += &format!(" = {default}");
        }
        text += &format!("\n      {}\n", param["description"].as_str().unwrap_or_default());
    }
    print::result(text);
    Ok(Exit::Done)
}

/// Holds a file against every promise of the ABI.
fn check(file: &Path, format: Format) -> Result<Exit, Failure> {
    if !file.is_file() {
        return Err(Failure::wrong(format!("there is no file {}", file.display())));
    }
    let report = check_file(file, &worker_program()?);
    if format == Format::Json {
        print::json(&report.to_json());
    } else {
        for check in &report.checks {
            print::result(check.to_string());
        }
        print::result(match report.passed() {
            true => "Every promise that could be checked is kept.",
            false => "The plugin breaks a promise of the ABI.",
        });
    }
    Ok(if report.passed() { Exit::Done } else { Exit::ActionFailed })
}

/// Begins a rule in a folder of its own.
fn new(name: &str, language: Language, kit: Option<&Path>) -> Result<Exit, Failure> {
    let kit = kit.map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("fuseline-plugin"),
        Path::to_owned,
    );
    let language = match language {
        Language::Rust => fuseline_host::scaffold::Language::Rust,
        Language::C => fuseline_host::scaffold::Language::C,
        Language::Python => fuseline_host::scaffold::Language::Python,
    };
    let files = new_rule(Path::new("."), name, language, &kit)
        .map_err(|error| Failure::wrong(error.to_string()))?;
    for file in files {
        print::result(file.display().to_string());
    }
    Ok(Exit::Done)
}

/// Pins what is on the plugin path, in the working directory.
fn lock(folders: &[PathBuf]) -> Result<Exit, Failure> {
    let settings = settings()?;
    let path = plugin_path(folders, &[], &settings)?;
    let (found, broken) = on_path(path.clone());
    let distinct = PluginLibrary::new(path).ensure_distinct().err().map(|error| error.to_string());
    if let Some(error) = broken.into_iter().next().or(distinct) {
        return Err(Failure::wrong(error).hint("take one file off the plugin path first"));
    }
    let text = Lock::of(&found).text();
    write_file(Path::new(LOCK_FILE), text.as_bytes())?;
    print::result(format!("{LOCK_FILE} pins {} plugins.", found.len()));
    Ok(Exit::Done)
}
