//! One file a command.

mod cache;
mod check;
mod completions;
mod diagnose;
mod exec;
pub mod explain;
mod graph;
mod init;
mod man;
mod plan;
mod plugin;
mod report;
pub mod run;
mod runs;
mod schema;
mod show;
mod stages;

use crate::args::{Args, Command};
use crate::exit::{Exit, Failure};

/// Runs the command that the arguments name.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    match &args.command {
        Command::Init(of) => init::run(of),
        Command::Run(of) => run::run(of, &args.global),
        Command::Plan(of) => plan::run(of),
        Command::Check(of) => check::run(of),
        Command::Explain(of) => explain::run(of),
        Command::Graph(of) => graph::run(of),
        Command::Stages(of) => stages::run(of),
        Command::Plugin(of) => plugin::run(of),
        Command::Runs(of) => runs::run(of),
        Command::Cache(of) => cache::run(of),
        Command::Exec(of) => exec::run(of, &args.global),
        Command::Show(of) => show::run(of),
        Command::Report(of) => report::run(of),
        Command::Diagnose(of) => diagnose::run(of),
        Command::Schema => schema::run(),
        Command::Completions(of) => completions::run(of),
        Command::Man(of) => man::run(of),
    }
}
