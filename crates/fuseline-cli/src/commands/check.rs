//! `fuseline check`: every diagnostic, before anything runs.

use clap::ValueEnum;
use fuseline::{Check, count_errors};
use serde_json::json;

use crate::args::WorkflowArgs;
use crate::exit::{Exit, Failure};
use crate::{print, render, sarif};

/// Arguments of `check`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  fuseline check workflow.yaml
  fuseline check workflow.yaml --format json           for editors and continuous integration
  fuseline check workflow.yaml --format sarif          for code review")]
pub struct Args {
    #[command(flatten)]
    pub workflow: WorkflowArgs,
    /// How diagnostics are printed
    #[arg(long, value_enum, default_value_t)]
    pub format: CheckFormat,
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

pub fn run(args: &Args) -> Result<Exit, Failure> {
    let study = args.workflow.study().open()?;
    let Check { plan, diagnostics } = study.check();
    match args.format {
        CheckFormat::Sarif => {
            print::data(sarif::log(&diagnostics, study.files()));
        }
        CheckFormat::Json => {
            let found: Vec<_> =
                diagnostics.iter().map(|found| render::json(found, study.files())).collect();
            print::json(&json!({ "ok": plan.is_some(), "diagnostics": found }));
        }
        CheckFormat::Human => {
            render::diagnostics(&diagnostics, study.files());
            let workflow = args.workflow.workflow.display();
            match &plan {
                Some(plan) => print::result(format!(
                    "{workflow} is fine: {} stages, {} actions.",
                    plan.workflow().stages.len(),
                    plan.len()
                )),
                None => print::note(format!("{workflow} has {}.", count_errors(&diagnostics))),
            }
        }
    }
    Ok(if plan.is_some() { Exit::Done } else { Exit::Wrong })
}
