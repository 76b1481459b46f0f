//! `fuseline cache`: how much there is, whether it is sound, and clearing it up.

use std::time::Duration;

use fuseline::{Cache, UnsoundFile, find_unsound_files, open_cache};
use fuseline_artifact::Digest;
use fuseline_cache::GcOptions;
use serde_json::json;

use crate::args::{CacheArgs, Format};
use crate::exit::{Exit, Failure};
use crate::{amount, print};

/// What to do with the cache.
#[derive(clap::Subcommand)]
pub enum Args {
    /// How much there is
    #[command(after_help = "\
Examples:
  fuseline cache status
  fuseline cache status --cache /scratch/cache --format json")]
    Status {
        #[command(flatten)]
        cache: CacheArgs,
        /// How it is printed
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Read every object and record; damaged ones are set aside and made again by the next run
    #[command(after_help = "\
Examples:
  fuseline cache verify")]
    Verify {
        #[command(flatten)]
        cache: CacheArgs,
        /// How it is printed
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Remove what no kept run and no pin reaches; safe beside running runs
    #[command(after_help = "\
Examples:
  fuseline cache gc --dry-run                          what would go
  fuseline cache gc --keep-runs 5 --grace 1")]
    Gc {
        #[command(flatten)]
        cache: CacheArgs,
        /// How many of the latest runs are kept
        #[arg(long, value_name = "N", default_value_t = 20)]
        keep_runs: usize,
        /// Keep everything that was written or used within this many hours
        #[arg(long, value_name = "HOURS", default_value_t = 24.0)]
        grace: f64,
        /// Keep this object or action; may be given more than once
        #[arg(long, value_name = "DIGEST")]
        pin: Vec<Digest>,
        /// Say what would go, and remove nothing
        #[arg(long)]
        dry_run: bool,
        /// How it is printed
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
}

pub fn run(args: &Args) -> Result<Exit, Failure> {
    match args {
        Args::Status { cache, format } => status(&open_cache(cache.folder()?)?, *format),
        Args::Verify { cache, format } => verify(&open_cache(cache.folder()?)?, *format),
        Args::Gc { cache, keep_runs, grace, pin, dry_run, format } => {
            let options = GcOptions {
                keep_runs: *keep_runs,
                grace: Duration::try_from_secs_f64(grace * 3600.0)
                    .map_err(|_| Failure::wrong("--grace needs a number of hours from 0 on"))?,
                pins: pin.clone(),
                dry_run: *dry_run,
            };
            gc(&open_cache(cache.folder()?)?, &options, *format)
        }
    }
}

fn status(cache: &Cache, format: Format) -> Result<Exit, Failure> {
    let status = cache.status()?;
    match format {
        Format::Json => print::json(&json!({
            "folder": cache.folder().display().to_string(),
            "objects": status.objects,
            "object_bytes": status.object_bytes,
            "records": status.records,
            "record_bytes": status.record_bytes,
            "runs": status.runs,
            "runs_alive": status.runs_alive,
            "actions_alive": status.actions_alive,
            "damaged": status.damaged,
        })),
        Format::Human => print::result(format!(
            "{}\n  {} objects, {}\n  {} action records, {}\n  {} runs, {} going on with {} actions\n  {} damaged files set aside",
            cache.folder().display(),
            status.objects,
            amount::bytes(status.object_bytes),
            status.records,
            amount::bytes(status.record_bytes),
            status.runs,
            status.runs_alive,
            status.actions_alive,
            status.damaged,
        )),
    }
    Ok(Exit::Done)
}

/// Exit code 1 when anything is damaged or missing.
fn verify(cache: &Cache, format: Format) -> Result<Exit, Failure> {
    let report = cache.verify()?;
    let unsound = find_unsound_files(cache)?;
    let is_sound = report.is_sound() && unsound.is_empty();
    match format {
        Format::Json => {
            let aside = |of: &fuseline_cache::SetAside| {
                json!({
                    "digest": of.digest.to_string(),
                    "set_aside": of.path.display().to_string(),
                    "problem": of.problem,
                })
            };
            print::json(&json!({
                "sound": is_sound,
                "objects": report.objects,
                "bytes": report.bytes,
                "records": report.records,
                "damaged_objects": report.damaged_objects.iter().map(aside).collect::<Vec<_>>(),
                "damaged_records": report.damaged_records.iter().map(aside).collect::<Vec<_>>(),
                "unsound_files": unsound.iter().map(|of: &UnsoundFile| json!({
                    "file": of.path.display().to_string(),
                    "problem": of.problem,
                })).collect::<Vec<_>>(),
                "missing": report.missing.iter().map(|of| json!({
                    "key": of.key.to_string(),
                    "port": of.port,
                    "digest": of.digest.to_string(),
                })).collect::<Vec<_>>(),
            }));
        }
        Format::Human => {
            let mut text = String::new();
            for (what, damaged) in
                [("object", &report.damaged_objects), ("record", &report.damaged_records)]
            {
                for of in damaged {
                    text += &format!("{what} {}: {}\n", of.digest, of.problem);
                    text += &format!("  it is now {}\n", of.path.display());
                }
            }
            for of in &unsound {
                text += &format!("{}: {}\n", of.path.display(), of.problem);
            }
            for of in &report.missing {
                text += &format!("object {}: missing\n", of.digest);
                text += &format!("  it is the output {} of action {}\n", of.port, of.key);
            }
            text += &format!(
                "{} objects, {}, and {} action records read: {}\n",
                report.objects,
                amount::bytes(report.bytes),
                report.records,
                match (is_sound, report.is_sound()) {
                    (true, _) => "all are sound.".to_owned(),
                    (_, true) => format!("all are sound; {} other files are not.", unsound.len()),
                    _ => format!(
                        "{} damaged, {} missing; the next run makes them again.",
                        report.damaged_objects.len() + report.damaged_records.len(),
                        report.missing.len()
                    ),
                }
            );
            print::result(text);
        }
    }
    Ok(if is_sound { Exit::Done } else { Exit::ActionFailed })
}

fn gc(cache: &Cache, options: &GcOptions, format: Format) -> Result<Exit, Failure> {
    let report = cache.gc(options)?;
    match format {
        Format::Json => print::json(&json!({
            "dry_run": options.dry_run,
            "objects": report.objects,
            "records": report.records,
            "runs": report.runs,
            "debris": report.debris,
            "bytes": report.bytes,
            "kept_objects": report.kept_objects,
            "kept_bytes": report.kept_bytes,
            "alive": report.alive,
            "pins": options.pins.iter().map(Digest::to_string).collect::<Vec<_>>(),
        })),
        Format::Human => {
            let mut text = format!(
                "{} {} objects, {} records, {} runs and {} left-over files: {}.\nKept {} objects, {}.\n",
                if options.dry_run { "Would remove" } else { "Removed" },
                report.objects,
                report.records,
                report.runs,
                report.debris,
                amount::bytes(report.bytes),
                report.kept_objects,
                amount::bytes(report.kept_bytes),
            );
            if report.alive > 0 {
                text += &format!(
                    "{} runs and actions are going on; what they have seen was kept.\n",
                    report.alive
                );
            }
            print::result(text);
        }
    }
    Ok(Exit::Done)
}
