//! `fuseline exec`: executes one action that a run has written down, without its workflow.

use std::path::PathBuf;

use fuseline::{ActionKey, ExecOptions, exec, open_cache};
use fuseline_engine::peak_memory;
use serde_json::{Value, json};

use crate::args::{CacheArgs, Format, Global};
use crate::exit::{Exit, Failure};
use crate::print;

/// Arguments of `exec`.
#[derive(clap::Args)]
#[command(after_help = "\
A run writes every action that it executes into its folder in the cache. `exec` reads one of them and executes it on the
same cache, so that another machine or a cluster's scheduler can. `fuseline runs show RUN --format json` has the keys.

Examples:
  fuseline exec 3f9a... --cache /scratch/cache")]
pub struct Args {
    /// The key of the action
    pub key: ActionKey,
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

pub fn run(args: &Args, global: &Global) -> Result<Exit, Failure> {
    let cache = open_cache(&args.cache.cache)?;
    let options = ExecOptions { plugin_path: args.plugin_path.clone(), again: args.again };
    let executed = exec(&cache, &args.key, &options)?;
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
                "status": if executed.seconds.is_some() { "executed" } else { "cached" },
                "seconds": executed.seconds,
                "cpu_seconds": executed.cpu_seconds,
                "peak_memory": peak_memory(),
                "cautions": executed.cautions,
                "outputs": outputs,
            }));
        }
        Format::Human => {
            let mut text = match executed.seconds {
                Some(seconds) => format!("{}: executed in {seconds:.2} s\n", executed.action),
                None => format!("{}: cached\n", executed.action),
            };
            for output in &executed.outputs {
                text += &format!("  {}  {}\n", output.port, output.digest);
            }
            print::result(text);
        }
    }
    Ok(Exit::Done)
}
