//! The arguments.

mod diagnose;
mod look;

use std::path::PathBuf;

use clap::{Args as Arguments, Parser, Subcommand, ValueEnum};

pub use diagnose::{Ask, Diagnose, Tell};
pub use look::{Completions, FigureForm, Man, Report, Show};

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

/// What a command does.
#[derive(Subcommand)]
pub enum Command {
    /// Start a new experiment: a workflow that runs at once, to be changed
    Init(Init),
    /// Run a workflow; what did not change is reused from the cache
    Run(Run),
    /// Say what would run, what is cached, and why
    Plan(Plan),
    /// Find every mistake in a workflow, before anything runs
    Check(Check),
    /// Say at length what a diagnostic's code means; without a code, list them
    Explain(Explain),
    /// Draw the graph of a workflow
    Graph(Graph),
    /// The reference of stage kinds
    Stages(Stages),
    /// Fusion-rule plugins
    #[command(subcommand)]
    Plugin(Plugin),
    /// Past runs: list them, look at one, compare two
    #[command(subcommand)]
    Runs(Runs),
    /// The cache: what is in it, whether it is sound, and clearing it up
    #[command(subcommand)]
    Cache(Cache),
    /// Execute one action that a run has written down, without its workflow
    Exec(Exec),
    /// Print an artifact as a table, or write it to a file
    Show(Show),
    /// Write the report of a past run again, and everything for a paper or a deposit
    Report(Report),
    /// The diagnostic of a model that was fitted elsewhere and stays where it is
    #[command(subcommand)]
    Diagnose(Diagnose),
    /// Print the JSON Schema of workflow files, for editors
    #[command(after_help = "\
Examples:
  fuseline schema > workflow.schema.json")]
    Schema,
    /// Print what a shell needs to complete the command line
    Completions(Completions),
    /// Print the manual page, or write those of all commands
    Man(Man),
}

/// A workflow and its parameters.
#[derive(Arguments)]
pub struct WorkflowArgs {
    /// The workflow file
    pub workflow: PathBuf,
    /// Set a parameter; may be given more than once
    #[arg(long, value_name = "NAME=VALUE", value_parser = assignment)]
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
    #[arg(long, value_name = "N", default_value_t = 250_000)]
    pub max_actions: usize,
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

/// Arguments of `run`.
#[derive(Arguments)]
#[command(after_help = "\
Examples:
  fuseline run workflows/quickstart.yaml
  fuseline run workflows/stressid.yaml --set data=path/to/stressid -j 2
  fuseline run workflow.yaml --only features,cohort --format json

Exit codes: 0 done; 1 an action failed; 2 the workflow, the arguments or the input data are wrong; 130 interrupted.")]
pub struct Run {
    #[command(flatten)]
    pub workflow: WorkflowArgs,
    #[command(flatten)]
    pub cache: CacheArgs,
    /// Run only these stages and what they need
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    pub only: Vec<String>,
    /// How many actions run at once [default: the number of cores]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,
    /// How much memory the running actions may ask for together, by their `resources` [default: all that there is]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub memory: Option<u64>,
    /// After a failure, go on with what does not depend on it
    #[arg(long)]
    pub keep_going: bool,
    /// Where the outputs go [default: results/NAME]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Arguments of `plan`.
#[derive(Arguments)]
#[command(after_help = "\
Examples:
  fuseline plan workflow.yaml
  fuseline plan workflow.yaml --set permutations=500   what a change would cost
  fuseline plan workflow.yaml --format json | jq '.actions[] | select(.status == \"run\")'")]
pub struct Plan {
    #[command(flatten)]
    pub workflow: WorkflowArgs,
    #[command(flatten)]
    pub cache: CacheArgs,
    /// Plan only these stages and what they need
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    pub only: Vec<String>,
    /// How the plan is printed
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Arguments of `check`.
#[derive(Arguments)]
#[command(after_help = "\
Examples:
  fuseline check workflow.yaml
  fuseline check workflow.yaml --format json           for editors and continuous integration
  fuseline check workflow.yaml --format sarif          for code review")]
pub struct Check {
    #[command(flatten)]
    pub workflow: WorkflowArgs,
    /// How diagnostics are printed
    #[arg(long, value_enum, default_value_t)]
    pub format: CheckFormat,
}

/// Arguments of `explain`.
#[derive(Arguments)]
#[command(after_help = "\
Examples:
  fuseline explain                                     all of them
  fuseline explain port_type")]
pub struct Explain {
    /// The code, such as `port_type` or `fuseline::port_type`
    pub code: Option<String>,
}

/// Arguments of `init`.
#[derive(Arguments)]
#[command(after_help = "\
Examples:
  fuseline init my-study
  fuseline init                                        in this folder")]
pub struct Init {
    /// The folder to start in; made when it is not there
    #[arg(default_value = ".")]
    pub folder: PathBuf,
}

/// Arguments of `graph`.
#[derive(Arguments)]
#[command(after_help = "\
Examples:
  fuseline graph workflow.yaml > graph.svg
  fuseline graph workflow.yaml --format dot | dot -Tpdf > graph.pdf
  fuseline graph workflow.yaml --format mermaid        for GitHub and Jupyter
  fuseline graph workflow.yaml --expand                one node an action")]
pub struct Graph {
    #[command(flatten)]
    pub workflow: WorkflowArgs,
    #[command(flatten)]
    pub cache: CacheArgs,
    /// The language of the drawing
    #[arg(long, value_enum, default_value_t)]
    pub format: GraphFormat,
    /// One node an action instead of one a stage
    #[arg(long)]
    pub expand: bool,
}

/// Arguments of `stages`.
#[derive(Arguments)]
#[command(after_help = "\
Examples:
  fuseline stages                                      all of them
  fuseline stages expert.logistic                      ports, options and defaults of one")]
pub struct Stages {
    /// A stage kind, such as `expert.logistic`
    pub kind: Option<String>,
}

/// What to do with plugins.
#[derive(Subcommand)]
pub enum Plugin {
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

/// How fusion rules run.
#[derive(Debug, ValueEnum, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// In a process of their own: a crash costs one action
    Worker,
    /// In this process: faster, and a crash takes the run with it
    InProcess,
}

impl From<Isolation> for fuseline_host::Isolation {
    fn from(isolation: Isolation) -> Self {
        match isolation {
            Isolation::Worker => Self::Worker,
            Isolation::InProcess => Self::InProcess,
        }
    }
}

/// What to do with past runs.
#[derive(Subcommand)]
pub enum Runs {
    /// List the runs that the cache keeps, the latest last
    #[command(after_help = "\
Examples:
  fuseline runs list
  fuseline runs list --format json | jq '.runs[-1].seconds'")]
    List {
        #[command(flatten)]
        cache: CacheArgs,
        /// How the list is printed
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// What a run did: its parameters, and every action that it executed, with why and how long
    #[command(after_help = "\
Examples:
  fuseline runs show latest
  fuseline runs show 1750 --format json                the run whose id begins so")]
    Show {
        #[command(flatten)]
        cache: CacheArgs,
        /// The run: its id, the beginning of it, or `latest`
        run: String,
        /// How it is printed
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// What differs between two runs: which actions, why, and how the findings moved
    #[command(after_help = "\
Examples:
  fuseline runs diff latest~1 latest")]
    Diff {
        #[command(flatten)]
        cache: CacheArgs,
        /// The earlier run: its id, the beginning of it, `latest`, or `latest~1` for the one before
        before: String,
        /// The later run
        after: String,
        /// How it is printed
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
}

/// What to do with the cache.
#[derive(Subcommand)]
pub enum Cache {
    /// How much there is
    #[command(after_help = "\
Examples:
  fuseline cache status
  fuseline cache status --cache /scratch/cache --format json")]
    Status {
        #[command(flatten)]
        cache: CacheArgs,
        /// How it is printed
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Read every object and record; damaged ones are set aside and made again by the next run
    #[command(after_help = "\
Examples:
  fuseline cache verify")]
    Verify {
        #[command(flatten)]
        cache: CacheArgs,
        /// How it is printed
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Remove what no kept run and no pin reaches; safe beside running runs
    #[command(after_help = "\
Examples:
  fuseline cache gc --dry-run                          what would go
  fuseline cache gc --keep-runs 5 --grace 1")]
    Gc {
        #[command(flatten)]
        cache: CacheArgs,
        /// How many of the latest runs are kept
        #[arg(long, value_name = "N", default_value_t = 20)]
        keep_runs: usize,
        /// Keep everything that was written or used within this many hours
        #[arg(long, value_name = "HOURS", default_value_t = 24.0)]
        grace: f64,
        /// Keep this object or action; may be given more than once
        #[arg(long, value_name = "DIGEST")]
        pin: Vec<fuseline_artifact::Digest>,
        /// Say what would go, and remove nothing
        #[arg(long)]
        dry_run: bool,
        /// How it is printed
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
}

/// Arguments of `exec`.
#[derive(Arguments)]
#[command(after_help = "\
A run writes every action that it executes into its folder in the cache. `exec` reads one of them and executes it on the
same cache, so that another machine or a cluster's scheduler can. `fuseline runs show RUN --format json` has the keys.

Examples:
  fuseline exec 3f9a... --cache /scratch/cache")]
pub struct Exec {
    /// The key of the action
    pub key: fuseline_cache::ActionKey,
    #[command(flatten)]
    pub cache: CacheArgs,
    /// Add a folder to the plugin path; may be given more than once
    #[arg(long, value_name = "DIR")]
    pub plugin_path: Vec<PathBuf>,
    /// Execute it though its outputs are in the cache
    #[arg(long)]
    pub again: bool,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
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

/// For people, for programs, or for code review.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Default)]
pub enum CheckFormat {
    /// For people
    #[default]
    Human,
    /// One JSON object
    Json,
    /// SARIF 2.1.0, which code review shows beside the lines
    Sarif,
}

/// The language of a drawing.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Default)]
pub enum GraphFormat {
    /// A picture for browsers and papers
    #[default]
    Svg,
    /// Graphviz
    Dot,
    /// Mermaid, as GitHub and Jupyter draw it
    Mermaid,
}

fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

/// A number of bytes with a unit, as `resources: { memory }` takes it.
fn size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = match unit.trim().to_lowercase().as_str() {
        "b" => 1.0,
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        "tb" => 1e12,
        "kib" => 1024.0,
        "mib" => 1_048_576.0,
        "gib" => 1_073_741_824.0,
        "tib" => 1_099_511_627_776.0,
        _ => return Err("expected an amount such as 512MiB or 4GB".to_owned()),
    };
    match number.parse::<f64>() {
        Ok(number) if number > 0.0 && number * factor <= 1e18 => Ok((number * factor) as u64),
        _ => Err("expected an amount such as 512MiB or 4GB".to_owned()),
    }
}

#[cfg(test)]
mod tests;
