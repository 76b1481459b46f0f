//! `fuseline run`: runs what is not cached and writes the outputs.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fuseline::{Class, RunOptions, RunProgress, RunSummary};
use serde_json::{Map, json};

use crate::args::{CacheArgs, Format, Global, WorkflowArgs};
use crate::exit::{Exit, Failure};
use crate::progress::Progress;
use crate::{print, render};

/// Warnings that a run shows at most.
const MAX_WARNINGS: usize = 10;
/// Cautions that a run shows at most.
const MAX_CAUTIONS: usize = 20;

/// Arguments of `run`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  fuseline run workflows/quickstart.yaml
  fuseline run workflows/stressid.yaml --set data=path/to/stressid -j 2
  fuseline run workflow.yaml --only features,cohort --format json

Exit codes: 0 done; 1 an action failed; 2 the workflow, the arguments or the input data are wrong; 130 interrupted.")]
pub struct Args {
    #[command(flatten)]
    pub workflow: WorkflowArgs,
    #[command(flatten)]
    pub cache: CacheArgs,
    /// Run only these stages and what they need
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Read every source file, also those whose times say that they did not change
    #[arg(long)]
    pub rehash: bool,
    /// How many actions run at once [default: the number of cores]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,
    /// How much memory the running actions may ask for together, by their `resources` [default: all that there is]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
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

pub fn run(args: &Args, global: &Global) -> Result<Exit, Failure> {
    let options = RunOptions {
        cache: args.cache.cache.clone(),
        out: args.out.clone(),
        only: args.only.clone(),
        jobs: args.jobs.map(usize::from),
        memory: args.memory,
        keep_going: args.keep_going,
        rehash: args.rehash,
        stop: Arc::default(),
    };
    let signals = Signals::listen(&options.stop)
        .map_err(|error| Failure::failed(format!("cannot listen for Ctrl-C: {error}")))?;
    let mut progress = None;
    let summary = args.workflow.study().run(&options, &mut |step| match step {
        RunProgress::Warnings(..) if global.quiet => {}
        RunProgress::Warnings(warnings, files) => render::diagnostics(warnings, files),
        RunProgress::Planned(stages) => {
            signals.finish_what_is_in_flight();
            progress = Some(Progress::new(global, stages.to_vec()));
        }
        RunProgress::Event(event) => progress.iter_mut().for_each(|bars| bars.show(event)),
    })?;
    render::diagnostics(&summary.failures, &summary.files);
    if !global.quiet {
        show_warnings(&summary.action_warnings);
    }
    if summary.undelivered.is_none() || args.format == Format::Json {
        show_summary(&summary, args.format, global);
    }
    let exit = exit(&summary);
    match summary.undelivered {
        Some(error) => Err(error.into()),
        None => Ok(exit),
    }
}

/// Ctrl-C, SIGTERM and SIGHUP: while a run is planned, each ends the process at once; from then on
/// the first lets the run finish what is in flight and write its manifest, and the second ends the
/// process.
pub(super) struct Signals {
    /// Whether the next one ends the process.
    at_once: Arc<AtomicBool>,
}

impl Signals {
    /// Begins to listen. `stop` is raised by the first signal that does not end the process.
    pub(super) fn listen(stop: &Arc<AtomicBool>) -> std::io::Result<Self> {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
        use signal_hook::flag::{register, register_conditional_shutdown};
        let at_once = Arc::new(AtomicBool::new(true));
        for signal in [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| !is_ignored(*signal)) {
            // In this order: the flag that the second signal looks at is raised by the first.
            register_conditional_shutdown(signal, 130, at_once.clone())?;
            register(signal, at_once.clone())?;
            register(signal, stop.clone())?;
        }
        Ok(Self { at_once })
    }

    /// From now on the first signal does not end the process.
    pub(super) fn finish_what_is_in_flight(&self) {
        self.at_once.store(false, Ordering::SeqCst);
    }
}

/// Whether whoever started this process wants it to ignore a signal, as `nohup` does, where the
/// system tells.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}

fn show_warnings(warnings: &[String]) {
    for warning in warnings.iter().take(MAX_WARNINGS) {
        print::note(format!("warning: {warning}"));
    }
    if let more @ 1.. = warnings.len().saturating_sub(MAX_WARNINGS) {
        print::note(format!("{more} more warnings: fuseline runs show latest"));
    }
}

/// Prints the summary, for people or for programs, and the cautions.
fn show_summary(summary: &RunSummary, format: Format, global: &Global) {
    if !global.quiet {
        for caution in summary.cautions.iter().take(MAX_CAUTIONS) {
            print::note(format!("caution: {}", caution.line()));
        }
        if let more @ 1.. = summary.cautions.len().saturating_sub(MAX_CAUTIONS) {
            print::note(format!("{more} more cautions: fuseline runs show latest"));
        }
    }
    match format {
        Format::Json => print::json(&json(summary)),
        Format::Human if !global.quiet => print::result(sentence(summary)),
        Format::Human => {}
    }
}

fn json(summary: &RunSummary) -> serde_json::Value {
    let outputs = summary.outputs.iter();
    let outputs: Map<_, _> =
        outputs.map(|(file, path)| (file.clone(), path.display().to_string().into())).collect();
    json!({
        "run": summary.run,
        "status": summary.status,
        "actions": summary.actions,
        "executed": summary.executed,
        "cached": summary.cached,
        "failed": summary.failed,
        "skipped": summary.skipped,
        "seconds": summary.seconds,
        "cautions": summary.cautions,
        "outputs": outputs,
    })
}

fn exit(summary: &RunSummary) -> Exit {
    match summary.class {
        _ if summary.status == "interrupted" => Exit::Interrupted,
        None => Exit::Done,
        Some(Class::Data) => Exit::Wrong,
        Some(Class::Failed | Class::Cancelled) => Exit::ActionFailed,
    }
}

/// The summary for people.
fn sentence(summary: &RunSummary) -> String {
    let RunSummary { actions, executed, cached, failed, skipped, seconds, .. } = summary;
    let mut text = format!("{actions} actions: {executed} executed, {cached} cached");
    for (count, what) in [(failed, "failed"), (skipped, "skipped")] {
        if *count != 0 {
            text += &format!(", {count} {what}");
        }
    }
    text += &format!(", in {seconds:.1} s.\n");
    if summary.status == "interrupted" {
        text += "Interrupted. What was finished is kept; the same command goes on from there.\n";
    }
    for (_, path) in &summary.outputs {
        text += &format!("  {}\n", path.display());
    }
    text
}

/// A number of bytes with a unit, as `resources: { memory }` takes it.
fn parse_size(text: &str) -> Result<u64, String> {
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
