//! `fuseline run`: runs what is not cached and writes the outputs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fuseline::settings::ExecutorName;
use fuseline::{
    Class, Observer, RunOptions, RunProgress, RunSummary, Verdict, open_cache, verdicts,
};
use fuseline_workflow::parse_bytes;
use serde_json::{Map, json};
use signal_hook::flag;

use crate::args::{CacheArgs, Format, Global, JobsArgs, RemoteArgs, WorkflowArgs};
use crate::exit::{Exit, Failure};
use crate::progress::Progress;
use crate::{print, remote, render};

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
  fuseline run workflow.yaml --executor slurm          see docs/cluster.md

Exit codes: 0 done; 1 an action failed; 2 the workflow, the arguments or the input data are \
wrong; 130 interrupted.")]
pub struct Args {
    #[command(flatten)]
    pub workflow: WorkflowArgs,
    #[command(flatten)]
    pub cache: CacheArgs,
    #[command(flatten)]
    pub remote: RemoteArgs,
    /// Run only these stages and what they need
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Read every source file, also those whose times say that they did not change
    #[arg(long)]
    pub rehash: bool,
    #[command(flatten)]
    pub jobs: JobsArgs,
    /// Memory that the running actions may ask for together, by their `resources` [default: all
    /// that there is]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub memory: Option<u64>,
    /// Executor of the actions [env: FUSELINE_EXECUTOR] [setting: executor.default] [default:
    /// local]
    #[arg(long, value_enum)]
    pub executor: Option<Executor>,
    /// After a failure, go on with what does not depend on it
    #[arg(long)]
    pub keep_going: bool,
    /// Keep the folder of each program that fails, and say where it is
    #[arg(long)]
    pub keep_failed: bool,
    /// Folder for the outputs [default: results/NAME]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Output format of the result
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

pub fn run(args: &Args, global: &Global) -> Result<Exit, Failure> {
    let study = args.workflow.study();
    let settings = study.settings()?.settings;
    let options = RunOptions {
        cache: args.cache.folder_for(study.folder())?,
        leases: settings.cache.lease_kind(),
        remote: args.remote.settings_for(study.folder())?,
        out: args.out.clone(),
        only: args.only.clone(),
        jobs: args.jobs.count(),
        memory: args.memory,
        keep_going: args.keep_going,
        keep_failed: args.keep_failed,
        rehash: args.rehash,
        executor: args.executor.map(Into::into),
        stop: Arc::default(),
        cancel: Arc::default(),
    };
    let executor = options.executor.unwrap_or(settings.executor.default);
    let cancel = (executor != ExecutorName::Local).then(|| options.cancel.clone());
    let summary =
        with_progress(&options, cancel, global, |observer| study.run(&options, observer))?;
    render::diagnostics(&summary.failures, &summary.files);
    if let Err(error) = open_cache(&options.cache).and_then(|of| study.remember(&of, &summary.run))
    {
        tracing::warn!(%error, "what the run was given could not be noted for `fuseline show`");
    }
    if !global.quiet {
        show_warnings(&summary.action_warnings);
        remote::warn(summary.remote.as_ref());
    }
    if summary.undelivered.is_none() || args.format == Format::Json {
        // A run in which nothing changed has said it before, and is over in milliseconds.
        let is_asked = args.format == Format::Json || (summary.executed > 0 && !global.quiet);
        let verdicts = match is_asked && summary.has_reports && summary.status == "ok" {
            true => verdicts_of(&options.cache, &summary.run),
            false => Vec::new(),
        };
        show_summary(&summary, &verdicts, args.format, global);
    }
    let exit = exit(&summary);
    match summary.undelivered {
        Some(error) => Err(error.into()),
        None => Ok(exit),
    }
}

/// Runs a study with its progress on the screen. The first Ctrl-C raises `stop` of the options, the
/// second `cancel`.
pub(super) fn with_progress<T>(
    options: &RunOptions,
    cancel: Option<Arc<AtomicBool>>,
    global: &Global,
    run: impl FnOnce(&mut Observer<'_>) -> Result<T, fuseline::Error>,
) -> Result<T, Failure> {
    let signals = Signals::listen(&options.stop, cancel)
        .map_err(|error| Failure::failed(format!("cannot listen for Ctrl-C: {error}")))?;
    let mut progress = None;
    let result = run(&mut |step| match step {
        RunProgress::Warnings(..) if global.quiet => {}
        RunProgress::Warnings(warnings, files) => render::diagnostics(warnings, files),
        RunProgress::Planned(stages) => {
            signals.finish_what_is_in_flight();
            progress = Some(Progress::new(global, stages.to_vec()));
        }
        RunProgress::Event(event) => progress.iter_mut().for_each(|bars| bars.show(event)),
        RunProgress::Sending(actions) => progress.iter_mut().for_each(|bars| bars.sending(actions)),
    })?;
    Ok(result)
}

/// Executors of actions.
#[derive(clap::ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Executor {
    /// Threads of this process
    Local,
    /// Slurm, as [executor.slurm] of fuseline.toml says
    Slurm,
    /// HyperQueue, as [executor.hyperqueue] says
    Hyperqueue,
    /// The commands of [executor.command]
    Command,
}

impl From<Executor> for ExecutorName {
    fn from(executor: Executor) -> Self {
        match executor {
            Executor::Local => Self::Local,
            Executor::Slurm => Self::Slurm,
            Executor::Hyperqueue => Self::HyperQueue,
            Executor::Command => Self::Command,
        }
    }
}

/// Ctrl-C, SIGTERM and SIGHUP: while a run is planned, each ends the process at once; from then on
/// the first lets the run finish what is in flight and write its manifest, and the second ends the
/// process. Where an engine executes, the second cancels what it has in flight, and the third ends
/// the process.
struct Signals {
    /// True if the next one ends the process.
    at_once: Arc<AtomicBool>,
}

impl Signals {
    /// Begins to listen. `stop` is raised by the first signal that does not end the process,
    /// `cancel` by the second.
    fn listen(stop: &Arc<AtomicBool>, cancel: Option<Arc<AtomicBool>>) -> std::io::Result<Self> {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
        let ignored = ignored_signals();
        let listened = [SIGINT, SIGTERM, SIGHUP].into_iter();
        let listened = listened.filter(|signal| ignored >> (signal - 1) & 1 == 0);
        let at_once = Arc::new(AtomicBool::new(true));
        let status = Exit::Interrupted.number();
        match cancel {
            // The handlers themselves can tell two cases apart, which saves most runs a thread.
            None => {
                for signal in listened {
                    // In this order: the one that raises `stop` does not end the process.
                    flag::register_conditional_shutdown(signal, status, at_once.clone())?;
                    flag::register_conditional_shutdown(signal, status, stop.clone())?;
                    flag::register(signal, stop.clone())?;
                }
            }
            Some(cancel) => {
                let mut signals = signal_hook::iterator::Signals::new(listened)?;
                let (at_once, stop) = (at_once.clone(), stop.clone());
                std::thread::Builder::new().spawn(move || {
                    let is_raised = |flag: &AtomicBool| flag.load(Ordering::SeqCst);
                    for _ in signals.forever() {
                        match (is_raised(&at_once), is_raised(&stop), is_raised(&cancel)) {
                            (false, false, _) => stop.store(true, Ordering::SeqCst),
                            (false, true, false) => cancel.store(true, Ordering::SeqCst),
                            _ => signal_hook::low_level::exit(status),
                        }
                    }
                })?;
            }
        }
        Ok(Self { at_once })
    }

    /// From now on the first signal does not end the process.
    fn finish_what_is_in_flight(&self) {
        self.at_once.store(false, Ordering::SeqCst);
    }
}

/// The signals that whoever started this process wants it to ignore, as `nohup` does, where the
/// system tells: a bit each.
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

fn show_warnings(warnings: &[String]) {
    for warning in warnings.iter().take(MAX_WARNINGS) {
        print::note(format!("warning: {warning}"));
    }
    if let more @ 1.. = warnings.len().saturating_sub(MAX_WARNINGS) {
        print::note(format!("{more} more warnings: fuseline runs show latest"));
    }
}

/// Sentences of a verdict that are printed below its headline.
const MAX_SENTENCES: usize = 2;

/// The answers of the run's reports. A report that cannot be read now was written all the same, so
/// that this is a note in the log.
fn verdicts_of(cache: &Path, run: &str) -> Vec<Verdict> {
    let read = open_cache(cache).and_then(|cache| verdicts(&cache, run));
    read.unwrap_or_else(|error: fuseline::Error| {
        tracing::warn!(%error, "the answer of the report could not be read");
        Vec::new()
    })
}

/// Prints the summary, for people or for programs, and the cautions.
fn show_summary(summary: &RunSummary, verdicts: &[Verdict], format: Format, global: &Global) {
    if !global.quiet {
        for caution in summary.cautions.iter().take(MAX_CAUTIONS) {
            print::note(format!("caution: {}", caution.line()));
        }
        if let more @ 1.. = summary.cautions.len().saturating_sub(MAX_CAUTIONS) {
            print::note(format!("{more} more cautions: fuseline runs show latest"));
        }
    }
    match format {
        Format::Json => {
            let mut json = json(summary);
            json["verdicts"] = json!(verdicts);
            print::json(&json);
        }
        Format::Human if !global.quiet => {
            print::result(sentence(summary));
            for verdict in verdicts {
                print::result(&verdict.headline);
                for sentence in verdict.sentences.iter().take(MAX_SENTENCES) {
                    print::result(format!("  {sentence}"));
                }
            }
        }
        Format::Human => {}
    }
}

fn json(summary: &RunSummary) -> serde_json::Value {
    let outputs = summary.outputs.iter();
    let outputs: Map<_, _> =
        outputs.map(|(file, path)| (file.clone(), path.display().to_string().into())).collect();
    let failures = summary.failures.iter();
    let failures: Vec<_> = failures.map(|found| render::json(found, &summary.files)).collect();
    let mut json = json!({
        "run": summary.run,
        "status": summary.status,
        "actions": summary.actions,
        "executed": summary.executed,
        "cached": summary.cached,
        "failed": summary.failed,
        "skipped": summary.skipped,
        "duplicates": summary.duplicates,
        "seconds": summary.seconds,
        "cautions": summary.cautions,
        "diagnostics": failures,
        "outputs": outputs,
    });
    if let Some(remote) = &summary.remote {
        json["remote"] = json!(remote);
    }
    json
}

pub(super) fn exit(summary: &RunSummary) -> Exit {
    match summary.class {
        _ if summary.status == "interrupted" => Exit::Interrupted,
        None => Exit::Done,
        Some(Class::Data) => Exit::Wrong,
        Some(Class::Failed | Class::Cancelled) => Exit::ActionFailed,
    }
}

/// The summary for people. Scripts look for `actions: `, which it has of one action too.
fn sentence(summary: &RunSummary) -> String {
    let RunSummary { actions, executed, cached, shared, failed, skipped, seconds, .. } = summary;
    let mut text = format!("{actions} actions: {executed} executed, {cached} cached");
    if *shared > 0 {
        let points = if *shared == 1 { "a point that shares" } else { "points that share" };
        text += &format!(" ({shared} at {points} the result of another: nothing differs there)");
    }
    for (count, what) in [(failed, "failed"), (skipped, "skipped")] {
        if *count != 0 {
            text += &format!(", {count} {what}");
        }
    }
    text += &format!(", in {seconds:.1} s.\n");
    match summary.duplicates {
        0 => {}
        1 => text += "One action was executed by another process too, to the same outputs.\n",
        count => {
            text += &format!(
                "{count} actions were executed by other processes too, to the same outputs.\n"
            );
        }
    }
    if let Some(remote) = &summary.remote {
        text += &remote::sentence(remote);
    }
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
    parse_bytes(text).ok_or_else(|| "expected an amount such as 512MiB or 4GB".to_owned())
}
