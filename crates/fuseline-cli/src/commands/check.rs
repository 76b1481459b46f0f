//! `fuseline check`: every diagnostic, before anything runs.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use fuseline::{Check, Study, count_errors, counted};
use fuseline_workflow::{Limits, absolute};
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
  fuseline check workflow.yaml --format sarif          for code review
  fuseline check - --stdin-path workflow.yaml          what an editor has not saved")]
pub struct Args {
    #[command(flatten)]
    pub workflow: WorkflowArgs,
    /// With the workflow `-`: the file that standard input stands for [default: one in the working
    /// directory]
    #[arg(long, value_name = "FILE")]
    pub stdin_path: Option<PathBuf>,
    /// Output format of the diagnostics
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
    let (study, workflow) = study(args)?;
    let study = study.open()?;
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
            let workflow = workflow.display();
            match &plan {
                Some(plan) => print::result(format!(
                    "{workflow} is fine: {}, {}.",
                    counted(plan.workflow().stages.len(), "stage"),
                    counted(plan.len(), "action")
                )),
                None => print::note(format!("{workflow} has {}.", count_errors(&diagnostics))),
            }
        }
    }
    Ok(if plan.is_some() { Exit::Done } else { Exit::Wrong })
}

/// Name of a text from standard input where nothing says what file it is of.
const STDIN: &str = "stdin";

/// The study and its file: standard input, read through, where the workflow is `-`.
fn study(args: &Args) -> Result<(Study, PathBuf), Failure> {
    let given = &args.workflow;
    if given.workflow != Path::new("-") {
        if args.stdin_path.is_some() {
            return Err(Failure::wrong("--stdin-path goes with the workflow `-`"));
        }
        return Ok((given.study(), given.workflow.clone()));
    }
    let max = Limits::default().max_text as u64;
    let mut text = String::new();
    // One byte more than is read: the language says that it is too many.
    std::io::stdin()
        .take(max + 1)
        .read_to_string(&mut text)
        .map_err(|error| Failure::wrong(format!("standard input cannot be read: {error}")))?;
    let file = args.stdin_path.clone().unwrap_or_else(|| STDIN.into());
    let here = std::env::current_dir()
        .map_err(|error| Failure::wrong(format!("there is no working directory: {error}")))?;
    let study = given.study_of(&file).unsaved(absolute(&here, &file), text);
    Ok((study, file))
}
