//! `fuseline audit`: faults of a study's data, without a stage in its workflow.

use std::path::PathBuf;

use fuseline::{Audit, Cache, Fault, Form, RunOptions, StudyAudit, Table, open_cache, write_file};
use serde_json::{Map, Value, json};

use super::run::{exit, with_progress};
use crate::args::{CacheArgs, Format, Global, JobsArgs, WorkflowArgs};
use crate::exit::{Exit, Failure};
use crate::{print, render};

/// Arguments of `audit`.
#[derive(clap::Args)]
#[command(after_help = "\
What the workflow has is examined: cohort, folds, features, metadata, and quality and evidence of \
test rows. What of it is not in the cache is run first. See `fuseline stages audit.data` for the \
checks.

Examples:
  fuseline audit workflows/quickstart.yaml
  fuseline audit study.yaml --data-only --on error     in a script: exit code 2 where there are faults
  fuseline audit study.yaml --checks duplicate,near_duplicate --export faults.csv
  fuseline audit study.yaml --format json | jq '.faults[].message'")]
pub struct Args {
    #[command(flatten)]
    pub workflow: WorkflowArgs,
    #[command(flatten)]
    pub cache: CacheArgs,
    /// Examine cohort, folds, features and metadata alone, for which no expert is fitted
    #[arg(long)]
    pub data_only: bool,
    /// Whether faults are an error: exit code 2
    #[arg(long, value_enum, default_value_t)]
    pub on: On,
    /// Make these checks alone
    #[arg(long, value_name = "CHECK", value_delimiter = ',')]
    pub checks: Vec<String>,
    /// Root of the mean squared difference of standardised features of near copies [default: 0.05]
    #[arg(long, value_name = "DISTANCE", value_parser = above_zero)]
    pub near: Option<f64>,
    /// AUROC above which one feature or quality tells a class alone [default: 0.99]
    #[arg(long, value_name = "AUROC", value_parser = an_auroc)]
    pub auroc: Option<f64>,
    /// Level of the tests of folds against label and metadata [default: 0.01]
    #[arg(long, value_name = "SHARE", value_parser = a_level)]
    pub level: Option<f64>,
    /// Write the faults to a file: .csv, .json or .parquet
    #[arg(long, value_name = "FILE")]
    pub export: Option<PathBuf>,
    #[command(flatten)]
    pub jobs: JobsArgs,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Consequence of a fault.
#[derive(clap::ValueEnum, Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum On {
    /// They are listed
    #[default]
    Warn,
    /// They are listed, and the exit code is 2
    Error,
}

pub fn run(args: &Args, global: &Global) -> Result<Exit, Failure> {
    let form = args.export.as_deref().map(|path| {
        Form::from_path(path).ok_or_else(|| {
            Failure::wrong(format!("{} says no form", path.display()))
                .hint("end its name with .csv, .json or .parquet")
        })
    });
    let form = form.transpose()?;
    let mut study = args.workflow.study().open()?;
    let stages = study.audit_stages()?;
    let stages = match args.data_only {
        true => stages.data,
        false => [stages.data, stages.results].concat(),
    };
    let cache = args.cache.folder_for(args.workflow.folder())?;
    let is_there = match fuseline::cache_if_exists(&cache)? {
        Some(cache) => {
            study.use_memos(&cache);
            study.has_outputs(&cache, &stages)?
        }
        None => false,
    };
    if !is_there && let Some(exit) = run_stages(args, global, &stages)? {
        return Ok(exit);
    }
    let cache: Cache = open_cache(&cache)?;
    let audits = study.audit(&cache, &stages, &options(args))?;
    if let (Some(path), Some(form)) = (&args.export, form) {
        let tables = audits.iter().map(|of| {
            let artifact = fuseline_artifact::Typed::into_artifact(of.audit.clone());
            let artifact = artifact.map_err(Failure::failed)?;
            let table = Table::typed(&artifact)
                .ok_or_else(|| Failure::failed("the faults are no table"))?;
            table.at(&of.point).map_err(|error| fuseline::Error::from(error).into())
        });
        let tables = tables.collect::<Result<Vec<Table>, Failure>>()?;
        let table = Table::stack(tables).map_err(fuseline::Error::from)?;
        let table = table.ok_or_else(|| Failure::failed("the faults are no table"))?;
        write_file(path, &table.write(form).map_err(fuseline::Error::from)?)?;
    }
    let found: u64 = audits.iter().map(|of| of.audit.found).sum();
    match args.format {
        Format::Json => print::json(&json(&audits)),
        Format::Human => print::result(words(&audits)),
    }
    Ok(if found > 0 && args.on == On::Error { Exit::Wrong } else { Exit::Done })
}

/// Runs what the audit reads; the exit status where that failed.
fn run_stages(args: &Args, global: &Global, stages: &[String]) -> Result<Option<Exit>, Failure> {
    let study = args.workflow.study();
    // The outputs of the workflow are not what was asked for.
    let out = tempfile::tempdir().map_err(Failure::failed)?;
    let options = RunOptions {
        cache: args.cache.folder_for(study.folder())?,
        out: Some(out.path().to_owned()),
        only: stages.to_vec(),
        jobs: args.jobs.count(),
        ..RunOptions::default()
    };
    let summary = with_progress(&options, None, global, |observer| study.run(&options, observer))?;
    render::diagnostics(&summary.failures, &summary.files);
    let exit = exit(&summary);
    Ok((exit != Exit::Done).then_some(exit))
}

/// The options of the stage kind.
fn options(args: &Args) -> Map<String, Value> {
    let mut options = Map::new();
    if !args.checks.is_empty() {
        options.insert("checks".to_owned(), json!(args.checks));
    }
    for (name, value) in [("near", args.near), ("auroc", args.auroc), ("level", args.level)] {
        if let Some(value) = value {
            options.insert(name.to_owned(), json!(value));
        }
    }
    options
}

fn fault(of: &StudyAudit, fault: &Fault) -> Value {
    let point: Map<String, Value> =
        of.point.iter().map(|(axis, label)| (axis.clone(), json!(label))).collect();
    json!({
        "point": point,
        "check": fault.check,
        "severity": fault.severity.name(),
        "source": fault.source,
        "column": fault.column,
        "first_example_id": fault.first_example_id,
        "second_example_id": fault.second_example_id,
        "statistic": fault.statistic,
        "value": fault.value,
        "threshold": fault.threshold,
        "p_value": fault.p_value,
        "message": fault.message,
    })
}

fn json(audits: &[StudyAudit]) -> Value {
    let faults = audits.iter().flat_map(|of| of.audit.rows.iter().map(|row| fault(of, row)));
    let all = |list: fn(&Audit) -> &Vec<String>| -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        for text in audits.iter().flat_map(|of| list(&of.audit)) {
            if !all.contains(text) {
                all.push(text.clone());
            }
        }
        all
    };
    json!({
        "found": audits.iter().map(|of| of.audit.found).sum::<u64>(),
        "faults": faults.collect::<Vec<_>>(),
        "examined": all(|audit| &audit.examined),
        "not_examined": all(|audit| &audit.not_examined),
        "not_listed": all(|audit| &audit.not_listed),
    })
}

fn words(audits: &[StudyAudit]) -> String {
    let mut text = String::new();
    for StudyAudit { point, audit } in audits {
        if !point.is_empty() {
            let labels = point.iter().map(|(axis, label)| format!("{axis}={label}"));
            text += &format!("{}\n", labels.collect::<Vec<_>>().join(", "));
        }
        for fault in &audit.rows {
            text += &format!("{}[{}]: {}\n", fault.severity.name(), fault.check, fault.message);
        }
        for more in &audit.not_listed {
            text += &format!("not listed: {more}\n");
        }
        for what in &audit.not_examined {
            text += &format!("not examined: {what}\n");
        }
        let faults = if audit.found == 1 { "fault" } else { "faults" };
        text += &format!("{} {faults} in {} examinations.\n", audit.found, audit.examined.len());
    }
    text
}

fn number(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| "expected a number".to_owned())
}

fn above_zero(text: &str) -> Result<f64, String> {
    let value = number(text)?;
    if value > 0.0 && value.is_finite() { Ok(value) } else { Err("it is above 0".to_owned()) }
}

fn an_auroc(text: &str) -> Result<f64, String> {
    let value = number(text)?;
    let is_one = value > 0.5 && value < 1.0;
    if is_one { Ok(value) } else { Err("it lies between 0.5 and 1".to_owned()) }
}

fn a_level(text: &str) -> Result<f64, String> {
    let value = number(text)?;
    let is_one = value > 0.0 && value < 1.0;
    if is_one { Ok(value) } else { Err("it lies between 0 and 1".to_owned()) }
}
