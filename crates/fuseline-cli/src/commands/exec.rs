//! `fuseline exec`: executes one action that a run has written down, without its workflow.

use std::path::PathBuf;

use fuseline::{
    ActionKey, Error, ExecOptions, Execution, attach_remote, counted, exec, exec_batch, exec_chunk,
    open_cache,
};
use fuseline_engine::peak_memory;
use serde_json::{Value, json};

use crate::args::{CacheArgs, Format, Global, RemoteArgs};
use crate::exit::{Exit, Failure};
use crate::{print, remote};

/// Arguments of `exec`.
#[derive(clap::Args)]
#[command(after_help = "\
A run writes every action that it executes into its folder in the cache, with all that it needs. \
`exec` reads one of them
and executes it on the same cache, so that another machine or a cluster's scheduler can. \
`fuseline runs show RUN --format
json` has the keys. An action whose outputs are in the cache is not executed again.

Examples:
  fuseline exec 3f9a... --cache /scratch/cache
  fuseline exec --batch /scratch/cache/runs/1750/batches/0:17
  fuseline exec --batch /scratch/cache/runs/1750/batches/0:3 --chunk 20    jobs 60 to 79")]
pub struct Args {
    /// The key of the action
    #[arg(required_unless_present = "batch", conflicts_with = "batch")]
    pub key: Option<ActionKey>,
    /// Execute the job of this number, counted from 0, of a batch; the cache is the one that the
    /// batch lies in
    #[arg(long, value_name = "FILE:NUMBER", value_parser = parse_batch)]
    pub batch: Option<(PathBuf, u64)>,
    /// Execute so many jobs one after the other: NUMBER counts parts of the batch of this size
    #[arg(long, value_name = "SIZE", requires = "batch", conflicts_with_all = ["again", "format"])]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub chunk: Option<u64>,
    #[command(flatten)]
    pub cache: CacheArgs,
    // Of an action by its key: tasks of a batch have their inputs in the cache.
    #[command(flatten)]
    pub remote: RemoteArgs,
    /// Add a folder to the plugin path, before those of the run; may be given more than once
    #[arg(long, value_name = "DIR")]
    pub plugin_path: Vec<PathBuf>,
    /// Execute it though its outputs are in the cache
    #[arg(long)]
    pub again: bool,
    /// Output format of the result
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Splits `FILE:NUMBER`.
fn parse_batch(text: &str) -> Result<(PathBuf, u64), String> {
    let parts = text.rsplit_once(':').filter(|(file, _)| !file.is_empty());
    let parts = parts.and_then(|(file, number)| Some((file.into(), number.parse().ok()?)));
    parts.ok_or_else(|| "expected FILE:NUMBER".to_owned())
}

pub fn run(args: &Args, global: &Global) -> Result<Exit, Failure> {
    let options = ExecOptions { plugin_path: args.plugin_path.clone(), again: args.again };
    if args.batch.is_some() && args.remote.is_given() {
        return Err(Failure::wrong("--remote goes with a key, and not with --batch")
            .hint("the run that wrote the batch has fetched what its tasks read"));
    }
    let executed = match (&args.batch, &args.key) {
        (Some((file, part)), _) if let Some(size) = args.chunk => {
            let mut observe = |executed: &Result<Execution, Error>| show_part(executed, global);
            return match exec_chunk(file, *part, size, &options, &mut observe)? {
                0 => Ok(Exit::Done),
                failed => Err(Failure::failed(format!("{} failed", counted(failed, "action")))),
            };
        }
        (Some((file, number)), _) => exec_batch(file, *number, &options)?,
        (None, Some(key)) => {
            let settings = args.remote.settings()?;
            let cache = open_cache(args.cache.folder()?)?;
            let (cache, remote) = attach_remote(cache, settings.as_ref())?;
            let executed = exec(&cache, key, &options)?;
            remote::finish(remote.as_deref());
            executed
        }
        (None, None) => return Err(Failure::wrong("a key or --batch must be given")),
    };
    if !global.quiet {
        for text in &executed.cautions {
            print::note(format!("caution: {}: {text}", executed.action));
        }
    }
    match args.format {
        Format::Json => {
            let outputs = executed.outputs.iter();
            let outputs: Vec<Value> = outputs
                .map(|output| {
                    json!({
                        "port": output.port,
                        "kind": output.kind,
                        "digest": output.digest.to_string(),
                        "bytes": output.size,
                    })
                })
                .collect();
            print::json(&json!({
                "key": executed.key.to_string(),
                "action": executed.action,
                "duplicate": executed.is_duplicate,
                "status": if executed.seconds.is_some() { "executed" } else { "cached" },
                "seconds": executed.seconds,
                "cpu_seconds": executed.cpu_seconds,
                "peak_memory": peak_memory(),
                "cautions": executed.cautions,
                "outputs": outputs,
            }));
        }
        Format::Human if global.quiet => {}
        Format::Human => print::result(text(&executed)),
    }
    Ok(Exit::Done)
}

/// An action that was executed, for people.
fn text(executed: &Execution) -> String {
    let mut text = match executed.seconds {
        Some(seconds) => format!("{}: executed in {seconds:.2} s\n", executed.action),
        None => format!("{}: cached\n", executed.action),
    };
    for output in &executed.outputs {
        text += &format!("  {}  {}\n", output.port, output.digest);
    }
    text
}

/// Shows one action of a part of a batch.
fn show_part(executed: &Result<Execution, Error>, global: &Global) {
    match executed {
        Ok(_) if global.quiet => {}
        Ok(executed) => print::result(text(executed)),
        Err(error) => {
            print::note(format!("error: {error}"));
            if let Some(hint) = error.hint() {
                print::note(format!("  help: {hint}"));
            }
        }
    }
}
