//! `fuseline exec`: executes one action that a run has written down, without its workflow.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use fuseline_cache::ActionRecord;
use fuseline_engine::{
    Class, Executor, LocalExecutor, StageError, find_job, is_cautions, peak_memory, read_cautions,
};
use serde_json::{Value, json};

use crate::args::{Exec, Format, Global};
use crate::commands::cache::existing;
use crate::exit::{Exit, Failure};
use crate::{plugins, print};

pub fn run(args: &Exec, global: &Global) -> Result<Exit, Failure> {
    let cache = existing(&args.cache)?;
    let job = find_job(&cache, &args.key)?.ok_or_else(|| {
        Failure::wrong(format!("no run that the cache keeps has written action {} down", args.key))
            .hint("a run writes an action down when it starts to execute it")
    })?;
    let kinds = fuseline_stages::kinds();
    let lock = plugins::nearest_lock(std::path::Path::new("."));
    let path = plugins::path(&args.plugin_path, &[])?;
    let services = plugins::services(path, None, lock.as_deref())?;
    job.check(&kinds, &services).map_err(|error| failure(&job.site, error))?;
    // Waits while another executes the same action; after that it may be there.
    let lease = cache.lease(&job.key)?;
    let there = cache.get_action(&job.key)?.filter(|record| {
        record.outputs.iter().all(|output| cache.has_object(&output.digest, output.size))
    });
    let (status, mut record, seconds, cpu_seconds) = match there {
        Some(record) if !args.again => ("cached", record, None, None),
        _ => {
            let started = Instant::now();
            let executor = LocalExecutor::new(&kinds, &services, &cache).for_one();
            let stop = Arc::new(AtomicBool::new(false));
            let executed =
                executor.execute(&job, &stop).map_err(|error| failure(&job.site, error))?;
            let seconds = Some(started.elapsed().as_secs_f64());
            ("executed", executed.record, seconds, executed.cpu_seconds)
        }
    };
    drop(lease);
    cache.flush()?;
    let cautions = match record.outputs.iter().find(|output| is_cautions(output)) {
        Some(of) => read_cautions(&cache, &of.digest).map_err(|error| failure(&job.site, error))?,
        None => Vec::new(),
    };
    record.outputs.retain(|output| !is_cautions(output));
    if !global.quiet {
        cautions.iter().for_each(|text| print::note(format!("caution: {}: {text}", job.site)));
    }
    match args.format {
        Format::Json => print::json(&json!({
            "key": job.key.to_string(),
            "action": job.site,
            "status": status,
            "seconds": seconds,
            "cpu_seconds": cpu_seconds,
            "peak_memory": peak_memory(),
            "cautions": cautions,
            "outputs": outputs(&record),
        })),
        Format::Human => {
            let mut text = match seconds {
                Some(seconds) => format!("{}: executed in {seconds:.2} s\n", job.site),
                None => format!("{}: cached\n", job.site),
            };
            for output in &record.outputs {
                text += &format!("  {}  {}\n", output.port, output.digest);
            }
            print::result(text);
        }
    }
    Ok(Exit::Done)
}

fn outputs(record: &ActionRecord) -> Vec<Value> {
    let outputs = record.outputs.iter();
    outputs
        .map(|output| {
            json!({
                "port": output.port,
                "kind": output.kind,
                "digest": output.digest.to_string(),
                "bytes": output.size,
            })
        })
        .collect()
}

fn failure(site: &str, error: StageError) -> Failure {
    let message = format!("{site}: {error}");
    let failure = match error.class {
        Class::Data => Failure::wrong(message),
        Class::Failed | Class::Cancelled => Failure::failed(message),
    };
    match error.hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
