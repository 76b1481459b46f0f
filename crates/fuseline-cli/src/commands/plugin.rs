//! `fuseline plugin`: lists, inspects, checks, begins and pins fusion rules.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use fuseline_host::check::{Given, Verdict, check as check_file};
use fuseline_host::scaffold::new_rule;
use fuseline_host::{
    Conditions, HostError, Isolation, LoadFile, Lock, PluginFile, PluginLibrary, Sandbox,
};
use serde_json::{Map, Value, json};

use clap::ValueEnum;
use fuseline::{
    LOCK_FILE, LoadedSettings, RulePath, SearchFolder, Study, Time, nearest_lock, plugin_path,
    rule_wheel, search_folders, services, worker_program, write_file,
};

use crate::args::Format;
use crate::exit::{Exit, Failure};
use crate::print;

/// Subcommands of `plugin`.
#[derive(clap::Subcommand)]
pub enum Args {
    /// List the fusion rules on the plugin path
    #[command(after_help = "\
Examples:
  fuseline plugin list
  fuseline plugin list --why                           which folders are searched, and which file \
  wins
  fuseline plugin list --plugin-path ./my-rules --format json")]
    List {
        /// Say which folders are searched, what names each, and which file of a rule is used
        #[arg(long)]
        why: bool,
        /// Add a folder to the plugin path
        #[arg(long, value_name = "DIR")]
        plugin_path: Vec<PathBuf>,
        /// Output format of the list
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
        /// Output format
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Hold a plugin against every promise of the ABI; each check runs in a process of its own
    #[command(after_help = "\
Examples:
  fuseline plugin check ./libmy_rule.so
  fuseline plugin check gate.py --files weights=gate.npz --params gate.json --modalities \
  audio,video")]
    Check {
        /// The plugin's file
        file: PathBuf,
        /// Check it with the parameters of this JSON file
        #[arg(long, value_name = "FILE")]
        params: Option<PathBuf>,
        /// Check it with a model that it loads from this file, and do not fit it; may be given more
        /// than once
        #[arg(long, value_name = "NAME=FILE", value_parser = crate::args::parse_assignment)]
        files: Vec<(String, String)>,
        /// The names of the modalities that the model takes
        #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
        modalities: Vec<String>,
        /// The names of the classes that the model tells apart
        #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
        classes: Vec<String>,
        /// Confine its processes so, as `sandbox` of a workflow does
        #[arg(long, value_enum, default_value_t)]
        sandbox: Confinement,
        /// Stop checking after this time, such as 90s or 10min; a call may take a fifth of it
        #[arg(long, value_name = "TIME", default_value = "5min", value_parser = parse_timeout)]
        timeout: Duration,
        /// Output format of the checks
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
        /// Path of the crate fuseline-plugin, for Rust [default: where this command was built]
        #[arg(long, value_name = "DIR")]
        kit: Option<PathBuf>,
    },
    /// Check a rule and put it into a Python wheel, which `pip install` puts where rules are looked
    /// for
    #[command(after_help = "\
Examples:
  fuseline plugin wheel ./libmy_rule.so
  pip install my_rule-1.0.0-py3-none-manylinux_2_17_x86_64.whl")]
    Wheel {
        /// The plugin's file
        file: PathBuf,
        /// The folder that the wheel is written into
        #[arg(long, short, value_name = "DIR", default_value = ".")]
        out: PathBuf,
    },
    /// Pin the plugins on the plugin path in fuseline.lock, by id, version and platform
    #[command(after_help = "\
The file that is written is the one that a run obeys: the nearest in the folder of the workflow \
(without one: the working
directory) and upwards, else a new one in that folder. What it pins for other platforms stays.

Examples:
  fuseline plugin lock
  fuseline plugin lock study.yaml                      with the rules that the workflow names
  fuseline plugin lock --plugin-path ./my-rules")]
    Lock {
        /// The workflow whose rules are pinned, too
        workflow: Option<PathBuf>,
        /// Set a param of the workflow; may be given more than once
        #[arg(long, value_name = "NAME=VALUE", value_parser = crate::args::parse_assignment)]
        set: Vec<(String, String)>,
        /// Add a folder to the plugin path
        #[arg(long, value_name = "DIR")]
        plugin_path: Vec<PathBuf>,
    },
}

/// Confinement of the processes of a rule.
#[derive(ValueEnum, Clone, Copy, Default, PartialEq, Eq)]
pub enum Confinement {
    /// Nothing is written and no memory is shared
    Strict,
    /// A script has a folder and shared memory of its own
    #[default]
    Default,
    /// Nothing is confined
    Off,
}

/// The languages in which a rule can be begun.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// With the kit, no unsafe code
    Rust,
    /// With the header alone
    C,
    /// With numpy, in a process of its own
    Python,
}

pub fn run(args: &Args) -> Result<Exit, Failure> {
    match args {
        Args::List { why: true, plugin_path, format } => explain(plugin_path, *format),
        Args::List { plugin_path, format, .. } => list(plugin_path, *format),
        Args::Inspect { rule, plugin_path, format } => inspect(rule, plugin_path, *format),
        Args::Check { file, params, files, modalities, classes, sandbox, timeout, format } => {
            let params = params.as_deref().map_or(Ok(Map::new()), read_params)?;
            let files = files.iter().map(|(name, path)| read_model_file(name, Path::new(path)));
            let given = Given {
                params,
                files: files.collect::<Result<_, _>>()?,
                modalities: modalities.clone(),
                classes: classes.clone(),
                timeout: *timeout,
            };
            check(file, &given, *sandbox, *format)
        }
        Args::New { name, language, kit } => new(name, *language, kit.as_deref()),
        Args::Wheel { file, out } => wheel(file, out),
        Args::Lock { workflow, set, plugin_path } => lock(workflow.as_deref(), set, plugin_path),
    }
}

/// The settings that are in force in the working directory.
fn settings() -> Result<LoadedSettings, Failure> {
    Ok(LoadedSettings::load(Path::new("."))?)
}

fn list(folders: &[PathBuf], format: Format) -> Result<Exit, Failure> {
    let path = plugin_path(folders, &[], &settings()?.settings)?;
    let (found, broken) = on_path(&PluginLibrary::new(path.clone()));
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

/// Every folder that is searched, and of each rule the file that is used.
fn explain(folders: &[PathBuf], format: Format) -> Result<Exit, Failure> {
    let folders = search_folders(folders, &[], &settings()?.settings)?;
    let mut used = BTreeMap::<String, PluginFile>::new();
    let mut listed = Vec::new();
    for SearchFolder { path, named_by } in &folders {
        let mut rules = Vec::new();
        for found in PluginLibrary::new(vec![path.clone()]).list() {
            let (id, file, why) = match found {
                Ok(file) => {
                    let why = match used.get(&file.id) {
                        None => "used".to_owned(),
                        Some(first) if first.digest == file.digest => {
                            format!("a copy of {}", first.path.display())
                        }
                        Some(first) => format!(
                            "another file of the same id as {}: runs that use it are refused",
                            first.path.display()
                        ),
                    };
                    used.entry(file.id.clone()).or_insert_with(|| file.clone());
                    (file.id.clone(), file.path.display().to_string(), why)
                }
                Err(error) => (String::new(), String::new(), format!("refused: {error}")),
            };
            rules.push(json!({ "id": id, "path": file, "why": why }));
        }
        let exists = path.is_dir();
        listed.push(json!({
            "folder": path.display().to_string(),
            "named_by": named_by,
            "exists": exists,
            "rules": rules,
        }));
    }
    if format == Format::Json {
        print::json(&json!({ "folders": listed }));
        return Ok(Exit::Done);
    }
    for folder in &listed {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let there = if folder["exists"] == true { "" } else { ", which is not there" };
        print::result(format!(
            "{} ({}{there})",
            text(&folder["folder"]),
            text(&folder["named_by"])
        ));
        for rule in folder["rules"].as_array().into_iter().flatten() {
            let name = text(&rule["path"]);
            let name = Path::new(&name).file_name().unwrap_or_default().display().to_string();
            print::result(format!("  {} {name}: {}", text(&rule["id"]), text(&rule["why"])));
        }
    }
    Ok(Exit::Done)
}

/// Checks a rule, and writes its wheel.
fn wheel(file: &Path, out: &Path) -> Result<Exit, Failure> {
    std::fs::create_dir_all(out)
        .map_err(|error| Failure::wrong(format!("cannot make {}: {error}", out.display())))?;
    if check(file, &Given::default(), Confinement::Default, Format::Human)? == Exit::ActionFailed {
        return Ok(Exit::ActionFailed);
    }
    let wrong = |error: HostError| Failure::wrong(error.to_string());
    let file = PluginFile::read(file).map_err(wrong)?;
    let settings = settings()?;
    let services = services(RulePath::default(), None, None, &settings)?;
    let rule = services.plugins.load(&file, Isolation::Worker).map_err(wrong)?;
    let wheel = rule_wheel(&file, rule.descriptor(), out)?;
    print::result(wheel.display().to_string());
    Ok(Exit::Done)
}

/// The plugins of a library, and what is wrong with the others.
fn on_path(library: &PluginLibrary) -> (Vec<PluginFile>, Vec<String>) {
    let (mut found, mut broken) = (Vec::new(), Vec::new());
    for plugin in library.list() {
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

fn no_file(path: &Path) -> Failure {
    Failure::wrong(format!("there is no file {}", path.display()))
}

/// Everything that a rule says of itself. `rule` is a file, or a name on the plugin path.
fn inspect(rule: &str, folders: &[PathBuf], format: Format) -> Result<Exit, Failure> {
    let lock = nearest_lock(Path::new("."));
    let settings = settings()?;
    let path = plugin_path(folders, &[], &settings.settings)?;
    let services = services(path.into(), None, lock.as_deref(), &settings)?;
    let wrong = |error: HostError| match error {
        HostError::RuleByFile { rule } => no_file(Path::new(&rule)),
        error => Failure::wrong(error.to_string()),
    };
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
         uses quality: {}; rows independent: {}; takes missing modalities: {}; takes embeddings: \
         {}\n\
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
    if capabilities.regression {
        text += "takes a label that is a number too (regression)\n";
    }
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

/// Parameters from a file that holds a JSON object.
fn read_params(path: &Path) -> Result<Map<String, Value>, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::wrong(format!("cannot read {}: {error}", path.display())))?;
    serde_json::from_str(&text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        Failure::wrong(format!("{}:{line}:{column}: {error}", path.display()))
            .hint("a JSON object is expected, such as {\"temperature\": 2}")
    })
}

/// A file of a model, whole.
fn read_model_file(name: &str, path: &Path) -> Result<LoadFile, Failure> {
    let bytes = std::fs::read(path)
        .map_err(|error| Failure::wrong(format!("cannot read {}: {error}", path.display())))?;
    let file_name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(LoadFile { name: name.to_owned(), file_name, bytes })
}

/// A time limit above zero.
fn parse_timeout(text: &str) -> Result<Duration, String> {
    let time = Duration::from(Time::try_from(text.to_owned())?);
    if time.is_zero() { Err("must be longer than 0 s".to_owned()) } else { Ok(time) }
}

/// Holds a file against every promise of the ABI.
fn check(
    file: &Path,
    given: &Given,
    confinement: Confinement,
    format: Format,
) -> Result<Exit, Failure> {
    if !file.is_file() {
        return Err(no_file(file));
    }
    let mut settings = settings()?.worker_settings(worker_program()?);
    settings.limits.sandbox = match confinement {
        Confinement::Strict => Sandbox::Strict,
        Confinement::Default => Sandbox::Default,
        Confinement::Off => Sandbox::Off,
    };
    let report = check_file(file, given, &settings);
    if format == Format::Json {
        print::json(&report.to_json());
    } else {
        let mut shown = BTreeSet::new();
        for check in &report.checks {
            let text = check.to_string();
            let Verdict::Fail(reason) = &check.verdict else {
                print::result(text);
                continue;
            };
            // What fails in every call for one reason, such as an import, has its traceback once.
            let first = reason.lines().next().unwrap_or_default();
            match text.split_once('\n') {
                Some((line, _)) if !shown.insert(first.to_owned()) => {
                    print::result(format!("{line} (as above)"));
                }
                _ => print::result(text),
            }
        }
        let lacking = match report.missing_layers.as_slice() {
            [] => String::new(),
            layers => format!("; this system has no {}", layers.join(" and no ")),
        };
        print::result(format!("Its processes ran with sandbox {}{lacking}.", report.sandbox));
        let skipped =
            report.checks.iter().filter(|check| matches!(check.verdict, Verdict::Skipped(_)));
        let skipped = skipped.count();
        match skipped {
            0 => {}
            1 => print::result("1 promise could not be checked."),
            more => print::result(format!("{more} promises could not be checked.")),
        }
        print::result(match report.passed() {
            true if 2 * skipped > report.checks.len() => {
                "Most of what is promised is not known: no promise was found broken."
            }
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

/// Pins what is on the plugin path, where a run looks for it.
fn lock(
    workflow: Option<&Path>,
    set: &[(String, String)],
    folders: &[PathBuf],
) -> Result<Exit, Failure> {
    let mut study = workflow.map(Study::new);
    for (name, value) in set {
        study = study.map(|study| study.set(name, value));
    }
    let folder = workflow.and_then(Path::parent).unwrap_or(Path::new("."));
    let loaded = LoadedSettings::load(folder)?;
    let (declared, named) = match &study {
        None => (Vec::new(), Vec::new()),
        Some(study) => {
            let open = study.open()?;
            match open.workflow() {
                Some(workflow) => (workflow.plugins.clone(), workflow.rule_files.clone()),
                None => {
                    return Err(open.plan_without_keys().map(drop).err().map_or_else(
                        || Failure::wrong("the workflow cannot be read"),
                        Failure::from,
                    ));
                }
            }
        }
    };
    let search = plugin_path(folders, &declared, &loaded.settings)?;
    let services = services(RulePath { search, named }, None, None, &loaded)?;
    let (found, broken) = on_path(&services.plugins);
    let distinct = services.plugins.ensure_distinct().err().map(|error| error.to_string());
    if let Some(error) = broken.into_iter().next().or(distinct) {
        return Err(Failure::wrong(error).hint(
            "take one file off the plugin path first, or say in the workflow which one is meant: \
             `plugins: { ID: ./file }`",
        ));
    }
    let wrong = |error: HostError| Failure::wrong(error.to_string());
    let mut pinned = Vec::with_capacity(found.len());
    for file in &found {
        let conditions = Conditions::default();
        let described = services.plugins.descriptor(file, Isolation::Worker, &conditions);
        pinned.push((file, described.map_err(wrong)?.version));
    }
    let path = nearest_lock(folder).unwrap_or_else(|| folder.join(LOCK_FILE));
    let before = Lock::read(&path).map_err(wrong)?;
    write_file(&path, Lock::pin(pinned, before).text().as_bytes())?;
    print::result(format!("{} pins {} plugins.", shown(&path), found.len()));
    Ok(Exit::Done)
}

/// A path as it is shown: relative to the working directory where it lies there.
fn shown(path: &Path) -> String {
    let working_dir = std::env::current_dir().and_then(|folder| folder.canonicalize()).ok();
    let near = working_dir.as_deref().and_then(|folder| path.strip_prefix(folder).ok());
    let near = near.unwrap_or(path);
    near.strip_prefix(".").unwrap_or(near).display().to_string()
}
