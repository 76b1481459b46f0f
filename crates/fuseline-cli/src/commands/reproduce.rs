//! `fuseline reproduce`: a past run again from nothing, and whether every byte is the same.

use std::path::PathBuf;

use fuseline::{Reproduction, RunOptions, find_run, open_cache, reproduce};
use serde_json::json;

use super::run::with_progress;
use crate::args::{CacheArgs, Format, Global, JobsArgs};
use crate::exit::{Exit, Failure};
use crate::print;

/// Names of each sort that are printed.
const NAMED: usize = 20;

/// Arguments of `reproduce`.
#[derive(clap::Args)]
#[command(after_help = "\
The run is executed again with its parameters, in a new cache that is removed afterwards, so that \
nothing is reused; the cache
that keeps it stays as it is. Exit code 1 when any output differs by a byte.

Examples:
  fuseline reproduce                                   the latest run, in the folder of its workflow
  fuseline reproduce latest~1 --workflow studies/stressid.yaml")]
pub struct Args {
    /// The run: its id, the beginning of it, `latest`, or `latest~1` for the one before
    #[arg(default_value = "latest")]
    pub run: String,
    #[command(flatten)]
    pub cache: CacheArgs,
    /// The workflow file [default: the one of its name in this folder]
    #[arg(long, value_name = "FILE")]
    pub workflow: Option<PathBuf>,
    #[command(flatten)]
    pub jobs: JobsArgs,
    /// Output format of the result
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

pub fn run(args: &Args, global: &Global) -> Result<Exit, Failure> {
    let cache = open_cache(args.cache.folder()?)?;
    let past = find_run(&cache, &args.run)?;
    let options = RunOptions { jobs: args.jobs.count(), ..RunOptions::default() };
    let workflow = args.workflow.as_deref();
    let found = with_progress(&options, None, global, |observer| {
        reproduce(&cache, &past, workflow, &options, observer)
    })?;
    match args.format {
        Format::Json => print::json(&json!({
            "run": found.run,
            "same": found.is_same(),
            "versions": found.versions,
            "outputs": found.outputs.iter().map(|(file, same)| json!({
                "file": file,
                "same": same,
            })).collect::<Vec<_>>(),
            "actions_same": found.same,
            "actions_differing": found.differing,
            "actions_unmatched": found.unmatched,
        })),
        Format::Human => print::result(words(&found)),
    }
    Ok(if found.is_same() { Exit::Done } else { Exit::ActionFailed })
}

fn words(found: &Reproduction) -> String {
    let mut text = String::new();
    for (file, same) in &found.outputs {
        let word = match same {
            Some(true) => "same bytes",
            Some(false) => "differs",
            None => "missing",
        };
        text += &format!("{word:<10} {file}\n");
    }
    for (list, word) in [(&found.differing, "other outputs"), (&found.unmatched, "in one run only")]
    {
        for action in list.iter().take(NAMED) {
            text += &format!("{word}: {action}\n");
        }
        if let more @ 1.. = list.len().saturating_sub(NAMED) {
            text += &format!("{word}: {more} more\n");
        }
    }
    let [then, now] = &found.versions;
    if then != now {
        text += &format!("fuseline {then} then, {now} now\n");
    }
    let all = found.same + found.differing.len() + found.unmatched.len();
    text + &match found.is_same() {
        true => {
            format!("Reproduced: the outputs of all {all} actions are the same, byte by byte.\n")
        }
        false => {
            format!("Not reproduced: {} of {all} actions have the same outputs.\n", found.same)
        }
    }
}
