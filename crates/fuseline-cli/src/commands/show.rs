//! `fuseline show`: an artifact as a table, or as a file. Executes nothing.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use fuseline::{Artifacts, Error, Form, attach_remote, counted, open_cache};
use fuseline_report::shell_word;

use crate::args::{CacheArgs, Format, RemoteArgs, WorkflowArgs};
use crate::exit::{Exit, Failure};
use crate::{print, remote, render};

/// More columns than this are not read by people.
const MAX_COLUMNS: usize = 60;

/// Arguments of `show`.
#[derive(clap::Args)]
#[command(after_help = "\
Nothing is executed: what is shown is what `fuseline run` with the same parameters would reuse. \
Parameters that are not given are those of the last run of the workflow.

Examples:
  fuseline show study.yaml findings
  fuseline show study.yaml 'permute.effects[rule=lr, fold=0]'
  fuseline show study.yaml 'quality.test[quality=margin|entropy]' --rows 40
  fuseline show study.yaml findings --export findings.csv
  fuseline show study.yaml cohort --format json | jq length")]
pub struct Args {
    #[command(flatten)]
    pub workflow: WorkflowArgs,
    /// Output to show: STAGE, STAGE.PORT, or either with points, as in 'fusion[rule=lr|moe,
    /// fold=0]'
    #[arg(value_name = "STAGE[.PORT][AXIS=POINT]")]
    pub output: String,
    #[command(flatten)]
    pub cache: CacheArgs,
    #[command(flatten)]
    pub remote: RemoteArgs,
    /// Maximum number of rows shown; 0 for all
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub rows: usize,
    /// Write it to a file instead: .csv, .json or .parquet; a document as it is
    #[arg(long, value_name = "FILE")]
    pub export: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

pub fn run(args: &Args) -> Result<Exit, Failure> {
    // A cache that is not there is an error after those of the selection and of the workflow.
    let settings = args.remote.settings_for(args.workflow.folder())?;
    let cache = open_cache(args.cache.folder_for(args.workflow.folder())?);
    let mut study = args.workflow.open_as_last_run(cache.as_ref().ok())?;
    if let Ok(cache) = &cache {
        study.use_memos(cache);
    }
    let selected = study.select(&args.output)?;
    render::diagnostics(&study.warnings(selected.plan()), study.files());
    let (cache, remote) = attach_remote(cache?, settings.as_ref())?;
    if let Some(remote) = &remote {
        remote.set_workflow(&selected.plan().workflow().name);
    }
    let artifacts = selected.find(&cache).map_err(|error| match &error {
        Error::NotCached { stage, .. } => Failure::wrong(error.to_string())
            .hint(format!("`{} --only {stage}` makes it", run_command(args))),
        _ => error.into(),
    })?;
    match &args.export {
        Some(path) => {
            artifacts.export(path)?;
            print::result(path.display().to_string());
        }
        None => match artifacts.document()? {
            Some(bytes) => print_document(args, &bytes)?,
            None => print_table(args, &artifacts)?,
        },
    }
    remote::finish(remote.as_deref());
    Ok(Exit::Done)
}

/// Prints a document as it is.
fn print_document(args: &Args, bytes: &[u8]) -> Result<(), Failure> {
    let text = std::str::from_utf8(bytes).map_err(|_| {
        let length = bytes.len();
        Failure::wrong(format!("{} is a document of {length} bytes that is not text", args.output))
            .hint("--export FILE writes it to a file")
    })?;
    // A terminal is looked at, and anything else gets the document as it is.
    match std::io::stdout().is_terminal() {
        true => print::result(text),
        false => print::data(text),
    }
    Ok(())
}

fn print_table(args: &Args, artifacts: &Artifacts<'_>) -> Result<(), Failure> {
    let table = artifacts.table()?;
    if args.format == Format::Json {
        let json = table.write(Form::Json).map_err(Error::from)?;
        print::json_text(&String::from_utf8_lossy(&json));
        return Ok(());
    }
    let rows = if args.rows == 0 { usize::MAX } else { args.rows };
    let shown = table.human(rows, MAX_COLUMNS, terminal_width());
    let (found, actions) = artifacts.counts();
    print::note(format!(
        "{}: {}, {}, {}, {found} of {}",
        args.output,
        artifacts.kind(),
        counted(table.rows(), "row"),
        counted(table.names().len(), "column"),
        counted(actions, "action"),
    ));
    print::result(&shown.text);
    if !shown.left_out.is_empty() {
        print::note(format!(
            "{} not shown: --rows 0 for all rows, --export FILE for everything",
            shown.left_out
        ));
    }
    Ok(())
}

/// The command that runs the workflow that is shown, with the same parameters.
fn run_command(args: &Args) -> String {
    let word = |path: &Path| shell_word(&path.to_string_lossy());
    let mut command = format!("fuseline run {}", word(&args.workflow.workflow));
    if let Some(params) = &args.workflow.params {
        command += &format!(" --params {}", word(params));
    }
    for (name, text) in &args.workflow.set {
        command += &format!(" --set {}", shell_word(&format!("{name}={text}")));
    }
    for folder in &args.workflow.plugin_path {
        command += &format!(" --plugin-path {}", word(folder));
    }
    command
}

/// The width of the terminal that stdout is, or of COLUMNS; a pipe has none.
fn terminal_width() -> Option<usize> {
    let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    columns.or_else(|| {
        let size = terminal_size::terminal_size_of(std::io::stdout());
        size.map(|(width, _)| usize::from(width.0))
    })
}
