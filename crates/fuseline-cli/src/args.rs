//! Arguments that several commands share.

use std::path::{Path, PathBuf};

use clap::{Args as Arguments, Parser, ValueEnum};
use fuseline::{
    Cache, OpenStudy, RecalledStudy, RemoteSettings, Study, cache_folder, remote_settings,
};

use crate::commands::Command;
use crate::exit::Failure;
use crate::print;

/// Declarative workflows for multimodal fusion studies.
#[derive(Parser)]
#[command(
    name = "fuseline",
    version,
    propagate_version = true,
    after_help = "\
Examples:
  fuseline init my-study                     start a new experiment
  fuseline check workflow.yaml               find every mistake before anything runs
  fuseline run workflow.yaml --set data=DIR  run it; what did not change is reused
  fuseline stages expert.logistic            look a stage kind up"
)]
pub struct Args {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Arguments)]
pub struct Global {
    /// Log filter for stderr, such as `info` or `fuseline_engine=debug`
    #[arg(
        long,
        global = true,
        help_heading = "Everywhere",
        value_name = "FILTER",
        env = "FUSELINE_LOG",
        hide_env_values = true
    )]
    pub log: Option<String>,
    /// Say only what went wrong
    #[arg(long, short, global = true, help_heading = "Everywhere", conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say a line for every action
    #[arg(long, short, global = true, help_heading = "Everywhere")]
    pub verbose: bool,
}

/// A workflow and its parameters.
#[derive(Arguments)]
pub struct WorkflowArgs {
    /// The workflow file
    pub workflow: PathBuf,
    /// Set a parameter; may be given more than once
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_assignment)]
    pub set: Vec<(String, String)>,
    /// Seed in place of the workflow's; a stage with a seed of its own keeps that
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Read parameters from a YAML file
    #[arg(long, value_name = "FILE")]
    pub params: Option<PathBuf>,
    /// Add a folder to the plugin path; may be given more than once
    #[arg(long, value_name = "DIR")]
    pub plugin_path: Vec<PathBuf>,
    /// Isolation of fusion rules, whatever the workflow says [default: worker]
    #[arg(long, value_enum)]
    pub isolation: Option<Isolation>,
    /// Refuse a plan with more actions than this
    #[arg(long, value_name = "N", default_value_t = Study::MAX_ACTIONS)]
    pub max_actions: usize,
}

impl WorkflowArgs {
    /// The folder of the workflow.
    pub fn folder(&self) -> &Path {
        self.workflow.parent().unwrap_or(Path::new("."))
    }

    /// The study that the arguments describe.
    pub fn study(&self) -> Study {
        self.study_of(&self.workflow)
    }

    /// Opens the study as its workflow was last run, where the arguments do not say otherwise, and
    /// says so.
    pub fn open_as_last_run(&self, cache: Option<&Cache>) -> Result<OpenStudy, Failure> {
        let study = self.study();
        let open = study.open()?;
        let recalled = cache.map(|cache| study.recall(cache)).transpose()?.flatten();
        let Some(RecalledStudy { study, run, arguments }) = recalled else { return Ok(open) };
        let again = study.open()?;
        // The workflow may have lost a param since.
        if again.workflow().is_none() && open.workflow().is_some() {
            return Ok(open);
        }
        print::note(format!("as in the last run, {run}: {}", arguments.join(" ")));
        Ok(again)
    }

    /// The study of another file, as the arguments describe it.
    pub fn study_of(&self, workflow: &Path) -> Study {
        let Self { workflow: _, set, seed, params, plugin_path, isolation, max_actions } = self;
        let mut study = Study::new(workflow).max_actions(*max_actions);
        for (name, value) in set {
            study = study.set(name, value);
        }
        for folder in plugin_path {
            study = study.plugin_path(folder);
        }
        if let Some(seed) = seed {
            study = study.seed(*seed);
        }
        if let Some(file) = params {
            study = study.params_file(file);
        }
        match isolation {
            Some(isolation) => study.isolation((*isolation).into()),
            None => study,
        }
    }
}

/// Number of actions at once.
#[derive(Arguments)]
pub struct JobsArgs {
    /// Number of actions that run at once [default: the number of cores]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
}

impl JobsArgs {
    /// The number, if one is given.
    pub fn count(&self) -> Option<usize> {
        self.jobs.map(usize::from)
    }
}

/// Location of the cache.
#[derive(Arguments)]
pub struct CacheArgs {
    /// The cache folder [env: FUSELINE_CACHE] [setting: cache.path] [default: cache]
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
}

impl CacheArgs {
    /// The cache folder of a command without a workflow.
    pub fn folder(&self) -> Result<PathBuf, Failure> {
        self.folder_for(Path::new("."))
    }

    /// The cache folder of a command about a workflow in a folder.
    pub fn folder_for(&self, workflow: &Path) -> Result<PathBuf, Failure> {
        Ok(cache_folder(self.cache.as_deref(), workflow)?)
    }

    /// The folder that is asked for by the argument.
    pub fn argument(&self) -> Option<&Path> {
        self.cache.as_deref()
    }
}

/// A remote cache.
#[derive(Arguments)]
pub struct RemoteArgs {
    /// A cache elsewhere to take results from: s3://BUCKET/PREFIX, https://HOST/PATH or a folder
    /// [env: FUSELINE_REMOTE] [setting: cache.remote]
    // A text and not an address: an error of the parser would show it, and with it a secret.
    #[arg(long, value_name = "URL")]
    remote: Option<String>,
    /// The use of the remote cache [env: FUSELINE_REMOTE_MODE] [setting: cache.mode] [default:
    /// read]
    #[arg(long, value_name = "MODE", value_enum)]
    remote_mode: Option<RemoteMode>,
}

impl RemoteArgs {
    /// True if an argument names a remote or its use.
    pub fn is_given(&self) -> bool {
        self.remote.is_some() || self.remote_mode.is_some()
    }

    /// The remote of a command without a workflow, unless none is named.
    pub fn settings(&self) -> Result<Option<RemoteSettings>, Failure> {
        self.settings_for(Path::new("."))
    }

    /// The remote of a command about a workflow in a folder, unless none is named.
    pub fn settings_for(&self, workflow: &Path) -> Result<Option<RemoteSettings>, Failure> {
        let mode = self.remote_mode.map(Into::into);
        Ok(remote_settings(self.remote.as_deref(), mode, workflow)?)
    }
}

/// The use of a remote cache.
#[derive(Debug, ValueEnum, Clone, Copy, PartialEq, Eq)]
pub enum RemoteMode {
    /// Take results from it
    Read,
    /// Take results from it, and send it what is executed
    Write,
    /// Leave it alone
    Off,
}

impl From<RemoteMode> for fuseline::RemoteMode {
    fn from(mode: RemoteMode) -> Self {
        match mode {
            RemoteMode::Read => Self::Read,
            RemoteMode::Write => Self::Write,
            RemoteMode::Off => Self::Off,
        }
    }
}

/// Isolation of fusion rules.
#[derive(Debug, ValueEnum, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// In a process of their own: a crash costs one action
    Worker,
    /// In this process: faster, and a crash takes the run with it
    InProcess,
}

impl From<Isolation> for fuseline::Isolation {
    fn from(isolation: Isolation) -> Self {
        match isolation {
            Isolation::Worker => Self::Worker,
            Isolation::InProcess => Self::InProcess,
        }
    }
}

/// For people or for programs.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// For people
    #[default]
    Human,
    /// One JSON object
    Json,
}

/// Splits `NAME=VALUE`.
pub fn parse_assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests;
