//! `fuseline watch`: follows a run that goes on elsewhere.

use std::time::Duration;

use fuseline::{Event, RunEvents, find_run_id, open_cache};

use crate::args::{CacheArgs, Format, Global};
use crate::exit::{Exit, Failure};
use crate::print;
use crate::progress::Progress;

/// Interval at which the log of the run is read.
const POLL: Duration = Duration::from_millis(500);

/// Arguments of `watch`.
#[derive(clap::Args)]
#[command(after_help = "\
It reads what the run writes into the cache: from any machine that sees it, and as often as you \
like. It ends as the run
does, with its exit code.

Examples:
  fuseline watch latest
  fuseline watch 1796083 --format json | jq -c 'select(.event == \"failed\")'")]
pub struct Args {
    /// The run: its id, the beginning of it, or `latest`
    pub run: String,
    #[command(flatten)]
    pub cache: CacheArgs,
    /// Output format of its events: as progress, or a JSON object each
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

pub fn run(args: &Args, global: &Global) -> Result<Exit, Failure> {
    let cache = open_cache(args.cache.folder()?)?;
    let run = find_run_id(&cache, &args.run)?;
    let mut events = RunEvents::of_run(&cache, &run);
    let mut progress = None;
    loop {
        // Asked before the events are read: what it writes at its end is not missed.
        let is_alive = cache.is_run_alive(&run)?;
        for event in events.read_new()? {
            if args.format == Format::Json {
                print::json(&serde_json::to_value(&event).map_err(Failure::failed)?);
            } else {
                if let Event::RunStarted { stages, .. } = &event {
                    progress = Some(Progress::new(global, stages.clone()));
                }
                progress.iter_mut().for_each(|progress| progress.show(&event));
            }
            if let Event::RunFinished { status, seconds } = event {
                if args.format == Format::Human {
                    print::result(format!("run {run}: {status}, in {seconds:.1} s"));
                }
                return Ok(match status.as_str() {
                    "ok" => Exit::Done,
                    "interrupted" => Exit::Interrupted,
                    _ => Exit::ActionFailed,
                });
            }
        }
        if !is_alive {
            return Err(Failure::failed(format!("the process of run {run} is gone"))
                .hint("its tasks may go on; the command that started it goes on with them"));
        }
        std::thread::sleep(POLL);
    }
}
