//! Runs diagnostic studies of multimodal fusion: the library behind the command `fuseline`.
//!
//! Knows how a workflow file becomes results in a folder. Knows no command line, no terminal and no
//! exit code, and prints nothing: problems are an [`Error`], progress is a stream of
//! [`RunProgress`]. Start at [`Study`]. **Invariant:** what is not asked to run executes nothing
//! and writes nothing to the cache.
//!
//! # Run a study and read its findings
//!
//! A [`Study`] is a workflow file with its parameters. Running it executes what is not in the cache
//! yet, and delivers the outputs that the workflow names.
//!
//! ```no_run
//! # fn main() -> Result<(), fuseline::Error> {
//! use fuseline::{RunOptions, RunProgress, Study, open_cache};
//!
//! let study = Study::new("workflows/quickstart.yaml").set("permutations", "500");
//! let options = RunOptions { out: Some("results".into()), ..RunOptions::default() };
//! let run = study.run(&options, &mut |progress| {
//!     if let RunProgress::Event(event) = progress {
//!         eprintln!("{event:?}");
//!     }
//! })?;
//! println!("{} actions: {} executed, {} cached", run.actions, run.executed, run.cached);
//!
//! let cache = open_cache(&options.cache)?;
//! let findings = study.open()?.artifacts(&cache, "findings")?.table()?;
//! println!("{} rows of {:?}", findings.rows(), findings.names());
//! # Ok(())
//! # }
//! ```
//!
//! Fusion rules run in processes of their own, which the program starts as copies of itself: such a
//! program begins with [`worker::run_if_asked`]. The whole of it stands in `examples/study.rs`.
//!
//! # Look before running
//!
//! [`Study::open`] reads the workflow. [`OpenStudy::check`] finds every mistake in it, each a
//! [`Diagnostic`] at its place; [`OpenStudy::plan`] gives the graph of actions, and
//! [`inspect`](fn@inspect) says of each whether a cache holds it, and why not. None of these takes
//! a lease or writes anything.
//!
//! ```no_run
//! # fn main() -> Result<(), fuseline::Error> {
//! use fuseline::{Study, cache_if_exists, inspect};
//!
//! let study = Study::new("workflows/quickstart.yaml").open()?;
//! for diagnostic in study.check().diagnostics {
//!     println!("{}: {}", diagnostic.code, diagnostic.message);
//! }
//! let plan = study.plan(&[])?;
//! let cache = cache_if_exists("cache")?;
//! for action in inspect(&plan, cache.as_ref())?.actions {
//!     println!("{}: {}", plan.action_label(action.action), action.reason());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # After a run
//!
//! A run leaves a [`Manifest`] in the cache; [`find_run`] finds it by its id or as `latest`. From
//! it and the cache alone [`report`](fn@report) writes the report again, [`figures`] its figures,
//! and [`deposit`] a research object for an archive.
//!
//! ```no_run
//! # fn main() -> Result<(), fuseline::Error> {
//! use std::path::Path;
//!
//! use fuseline::{DepositOptions, ReportOptions, deposit, find_run, open_cache, report};
//!
//! let cache = open_cache("cache")?;
//! let run = find_run(&cache, "latest")?;
//! report(&cache, &run, Path::new("paper"), &ReportOptions::default())?;
//! let about = DepositOptions { license: Some("CC-BY-4.0".into()), ..DepositOptions::default() };
//! deposit(&cache, &run, Path::new("deposit"), &about, &ReportOptions::default())?;
//! # Ok(())
//! # }
//! ```
//!
//! # On other machines
//!
//! Every executed action is written down with all that it needs. [`exec`](fn@exec) executes one on
//! a shared cache, without the workflow, after checking that here it would have the same key;
//! [`exec_batch`] executes the i-th of a batch. [`Study::run_on`] runs a study with an executor of
//! one's own: it takes jobs and says when each has ended, and needs no thread for any of them.
//! `tests/library/batch.rs` has one of sixty lines, on `xargs`.

mod action_log;
mod audit;
pub mod codes;
mod deliver;
mod error;
mod exec;
mod executors;
mod last_request;
mod noted_warnings;
mod open_context;
mod plugin_path;
mod portable;
mod remote;
mod report;
mod reproduce;
mod ro_crate;
mod rule_wheel;
mod run;
mod run_context;
mod run_graph;
mod run_options;
mod runs;
mod selection;
pub mod settings;
mod show;
mod source_files;
mod study;
mod study_power;
mod suggest;
mod table;
mod time;
mod unchanged;
mod verify;
mod visible;
mod watch;
pub mod worker;

use std::path::Path;

pub use fuseline_artifact::{Audit, Fault};
pub use fuseline_cache::{ActionKey, Cache};
pub use fuseline_engine::{
    ActionId, ActionPreview, Caution, Class, Event, Inspection, Kinds, Manifest, Plan, inspect,
};
pub use fuseline_host::{Isolation, short_name};
pub use fuseline_remote::{
    AddressError, RemoteAddress, RemoteCache, RemoteMode, RemoteReport, RemoteSettings,
    RemoteStatus, Requests, Transfer,
};
pub use fuseline_report::{Checklist, counted, markdown_code, markdown_text};
pub use fuseline_workflow::{Diagnostic, Files};

pub use action_log::{ActionLog, action_warnings};
pub use audit::{AuditStages, StudyAudit};
pub use deliver::bytes as write_file;
pub use error::{Error, Mistakes, count_errors};
pub use exec::{ExecOptions, Execution, exec, exec_batch, exec_chunk};
pub use executors::cancel_run;
pub use last_request::RecalledStudy;
pub use open_context::OpenContext;
pub use plugin_path::{
    LOCK_FILE, RulePath, SearchFolder, nearest_lock, plugin_path, search_folders, services,
    worker_program,
};
pub use remote::{attach_remote, pull, push};
pub use report::{
    FigureForm, ReportOptions, TextForm, Verdict, checklist, deposit, figures, fragment, report,
    verdicts,
};
pub use reproduce::{Reproduction, reproduce};
pub use ro_crate::DepositOptions;
pub use rule_wheel::rule_wheel;
pub use run_graph::{GraphEdge, GraphStage, RunGraph};
pub use run_options::{MakeExecutor, Observer, RunOptions, RunProgress, RunSummary};
pub use runs::{find_run, find_run_id, find_run_of};
pub use settings::{
    LoadedSettings, Settings, Time, cache_folder, remote_settings, settings_schema,
};
pub use show::{Artifacts, Selected};
pub use study::{Check, OpenStudy, Study};
pub use study_power::{DetectableGaps, EXPERT_ACCURACY, StudyPower, StudySize, study_power};
pub use suggest::hint as name_hint;
pub use table::{FirstRows, Form, Shown, Table, TableError};
pub use time::utc_text;
pub use verify::{UnsoundFile, find_unsound_files};
pub use visible::{excerpt, is_unseen, masked, visible};
pub use watch::RunEvents;

/// Opens the cache in a folder, which must be one: a mistyped name must not make an empty cache.
pub fn open_cache(folder: impl AsRef<Path>) -> Result<Cache, Error> {
    let folder = folder.as_ref();
    cache_if_exists(folder)?.ok_or_else(|| Error::NoCache(folder.to_owned()))
}

/// Opens the cache in a folder, if it is one. Nothing is made and nothing is written.
pub fn cache_if_exists(folder: impl AsRef<Path>) -> Result<Option<Cache>, Error> {
    let folder = folder.as_ref();
    // One that has lost the file that says its format is judged as any other.
    let is_cache = folder.join("format").exists()
        || ["objects", "actions", "runs"].iter().all(|part| folder.join(part).is_dir());
    Ok(if is_cache { Some(Cache::open(folder)?) } else { None })
}
