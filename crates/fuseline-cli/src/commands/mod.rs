//! One file a command, with its arguments.

mod audit;
mod cache;
mod check;
mod completions;
mod config;
mod diagnose;
mod docs;
mod exec;
pub mod explain;
mod graph;
mod init;
mod lsp;
mod man;
mod plan;
mod plugin;
mod power;
mod report;
mod reproduce;
mod run;
mod runs;
mod schema;
mod show;
mod stages;
mod ui;
mod watch;

use crate::args::Args;
use crate::exit::{Exit, Failure};

/// Commands of fuseline.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Start a new experiment: a workflow that runs at once, to be changed
    Init(init::Args),
    /// Run a workflow; what did not change is reused from the cache
    Run(run::Args),
    /// Say what would run, what is cached, and why
    Plan(plan::Args),
    /// Find every mistake in a workflow, before anything runs
    Check(check::Args),
    /// Say at length what a diagnostic's code means; without a code, list them and all functions
    Explain(explain::Args),
    /// Find faults of a study's data: copies across folds, unfair folds, inputs that say the label
    Audit(audit::Args),
    /// Print a page of the documentation; without a topic, list them
    Docs(docs::Args),
    /// Draw the graph of a workflow
    Graph(graph::Args),
    /// The reference of stage kinds
    Stages(stages::Args),
    /// Fusion-rule plugins
    #[command(subcommand)]
    Plugin(plugin::Args),
    /// Past runs: list them, look at one, compare two
    #[command(subcommand)]
    Runs(runs::Args),
    /// Follow a run that goes on elsewhere
    Watch(watch::Args),
    /// The cache: what is in it, whether it is sound, and clearing it up
    #[command(subcommand)]
    Cache(cache::Args),
    /// Execute one action that a run has written down, without its workflow
    Exec(exec::Args),
    /// Print an artifact as a table, or write it to a file
    Show(show::Args),
    /// Write the report of a past run again, and everything for a paper or a deposit
    Report(report::Args),
    /// Run a past run again from nothing, and compare what both gave byte by byte
    Reproduce(reproduce::Args),
    /// Show runs, artifacts and reports as pages in a browser, live
    Ui(ui::Args),
    /// The diagnostic of a model that was fitted elsewhere and stays where it is
    #[command(subcommand)]
    Diagnose(diagnose::Args),
    /// Simulate what a study of a given size could find
    Power(power::Args),
    /// The settings in force, and where each comes from
    Config(config::Args),
    /// Print the JSON Schema of workflow files or of settings, for editors
    Schema(schema::Args),
    /// The language server of workflow files, for editors: speaks over standard input and output
    Lsp(lsp::Args),
    /// Print what a shell needs to complete the command line
    Completions(completions::Args),
    /// Print the manual page, or write those of all commands
    Man(man::Args),
}

/// Runs the command that the arguments name.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    match &args.command {
        Command::Init(args) => init::run(args),
        Command::Run(command) => run::run(command, &args.global),
        Command::Plan(args) => plan::run(args),
        Command::Check(args) => check::run(args),
        Command::Explain(args) => explain::run(args),
        Command::Audit(command) => audit::run(command, &args.global),
        Command::Docs(args) => docs::run(args),
        Command::Graph(args) => graph::run(args),
        Command::Stages(args) => stages::run(args),
        Command::Plugin(args) => plugin::run(args),
        Command::Runs(args) => runs::run(args),
        Command::Watch(command) => watch::run(command, &args.global),
        Command::Cache(args) => cache::run(args),
        Command::Exec(command) => exec::run(command, &args.global),
        Command::Show(args) => show::run(args),
        Command::Report(args) => report::run(args),
        Command::Reproduce(command) => reproduce::run(command, &args.global),
        Command::Ui(args) => ui::run(args),
        Command::Diagnose(args) => diagnose::run(args),
        Command::Power(args) => power::run(args),
        Command::Config(args) => config::run(args),
        Command::Schema(args) => schema::run(args),
        Command::Lsp(args) => lsp::run(args),
        Command::Completions(args) => completions::run(args),
        Command::Man(args) => man::run(args),
    }
}
