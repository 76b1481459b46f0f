//! Arguments that several commands share.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as Arguments, Parser, ValueEnum};
use fuseline::{RemoteAddress, RemoteSettings, Study};

use crate::commands::Command;
use crate::exit::Failure;

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

/// What every command takes.
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
    /// Read parameters from a YAML file
    #[arg(long, value_name = "FILE")]
    pub params: Option<PathBuf>,
    /// Add a folder to the plugin path; may be given more than once
    #[arg(long, value_name = "DIR")]
    pub plugin_path: Vec<PathBuf>,
    /// How fusion rules run, whatever the workflow says [default: worker]
    #[arg(long, value_enum)]
    pub isolation: Option<Isolation>,
    /// Refuse a plan with more actions than this
    #[arg(long, value_name = "N", default_value_t = Study::MAX_ACTIONS)]
    pub max_actions: usize,
}

impl WorkflowArgs {
    /// The study that the arguments describe.
    pub fn study(&self) -> Study {
        let Self { workflow, set, params, plugin_path, isolation, max_actions } = self;
        let mut study = Study::new(workflow).max_actions(*max_actions);
        for (name, value) in set {
            study = study.set(name, value);
        }
        for folder in plugin_path {
            study = study.plugin_path(folder);
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

/// Where the cache is.
#[derive(Arguments)]
pub struct CacheArgs {
    /// The cache folder
    #[arg(
        long,
        value_name = "DIR",
        env = "FUSELINE_CACHE",
        hide_env_values = true,
        default_value = "cache"
    )]
    pub cache: PathBuf,
}

/// A cache elsewhere.
#[derive(Arguments)]
pub struct RemoteArgs {
    /// A remote cache to take results from: s3://BUCKET/PREFIX, https://HOST/PATH, or a folder
    // A text and not an address: an error of the parser would show it, and with it a secret.
    #[arg(
        long,
        value_name = "URL",
        env = "FUSELINE_REMOTE",
        hide_env_values = true,
        help_heading = "Remote cache"
    )]
    pub remote: Option<String>,
    /// The use of the remote cache [default: read]
    #[arg(
        long,
        value_name = "MODE",
        value_enum,
        env = "FUSELINE_REMOTE_MODE",
        hide_env_values = true,
        help_heading = "Remote cache"
    )]
    pub remote_mode: Option<RemoteMode>,
    /// How long the remote cache may go without an answer [default: 10]
    #[arg(
        long,
        value_name = "SECONDS",
        env = "FUSELINE_REMOTE_TIMEOUT",
        hide_env_values = true,
        help_heading = "Remote cache"
    )]
    pub remote_timeout: Option<f64>,
}

impl RemoteArgs {
    /// The remote, unless none is named.
    pub fn settings(&self) -> Result<Option<RemoteSettings>, Failure> {
        let Some(text) = self.remote.as_deref().filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let address: RemoteAddress =
            text.parse().map_err(|error| Failure::wrong(format!("--remote: {error}")))?;
        let mut settings = RemoteSettings::new(address);
        if let Some(mode) = self.remote_mode {
            settings.mode = mode.into();
        }
        if let Some(seconds) = self.remote_timeout {
            let timeout = Duration::try_from_secs_f64(seconds).ok();
            settings.timeout = timeout.filter(|timeout| !timeout.is_zero()).ok_or_else(|| {
                Failure::wrong("--remote-timeout needs a number of seconds above 0")
            })?;
        }
        Ok(Some(settings))
    }
}

/// The use that is made of a remote cache.
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

/// How fusion rules run.
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
