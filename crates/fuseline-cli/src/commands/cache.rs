//! `fuseline cache`: size, verification and garbage collection of the cache.

use std::sync::Arc;
use std::time::Duration;

use fuseline::{
    Cache, Manifest, RemoteReport, RemoteSettings, Transfer, UnsoundFile, attach_remote, counted,
    find_run, find_unsound_files, open_cache, pull, push,
};
use fuseline_artifact::Digest;
use fuseline_cache::{GcOptions, LeaseChoice, LeaseKind};
use serde_json::json;

use crate::args::{CacheArgs, Format, RemoteArgs};
use crate::exit::{Exit, Failure};
use crate::{amount, print, remote};

/// Subcommands of `cache`.
#[derive(clap::Subcommand)]
pub enum Args {
    /// Show the number and size of the cache's contents
    #[command(after_help = "\
Examples:
  fuseline cache status
  fuseline cache status --cache /scratch/cache --format json")]
    Status {
        #[command(flatten)]
        cache: CacheArgs,
        #[command(flatten)]
        remote: RemoteArgs,
        /// Output format
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
        /// Output format
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Send all that a run reached to the remote cache
    #[command(after_help = "\
Examples:
  fuseline cache push --remote s3://lab/fuseline
  fuseline cache push latest~1")]
    Push(TransferArgs),
    /// Fetch all that a run reached from the remote cache, so that nothing of it needs the remote
    /// any more
    #[command(after_help = "\
A run takes what it needs by itself: the rest is for work without the remote.

Examples:
  fuseline cache pull --remote s3://lab/fuseline")]
    Pull(TransferArgs),
    /// Remove what no kept run and no pin reaches; safe beside running runs
    #[command(after_help = "\
Examples:
  fuseline cache gc --dry-run                          what would go
  fuseline cache gc --keep-runs 5 --grace 1")]
    Gc {
        #[command(flatten)]
        cache: CacheArgs,
        /// Number of the latest runs that are kept
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
        /// Output format
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
}

/// A run, and the remote that it goes to or comes from.
#[derive(clap::Args)]
pub struct TransferArgs {
    /// The run: its id, the beginning of it, `latest`, or `latest~1` for the one before
    #[arg(default_value = "latest")]
    run: String,
    #[command(flatten)]
    cache: CacheArgs,
    #[command(flatten)]
    remote: RemoteArgs,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub fn run(args: &Args) -> Result<Exit, Failure> {
    match args {
        Args::Status { cache, remote, format } => {
            let remote = remote.settings()?;
            status(open_cache(cache.folder()?)?, remote.as_ref(), *format)
        }
        Args::Verify { cache, format } => verify(&open_cache(cache.folder()?)?, *format),
        Args::Push(args) => transfer(args, "sent", push),
        Args::Pull(args) => transfer(args, "fetched", pull),
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

/// A push or a pull.
type Transferring =
    fn(&Cache, &Manifest, &RemoteSettings) -> Result<(Transfer, RemoteReport), fuseline::Error>;

/// Exit code 1 when not everything was transferred.
fn transfer(args: &TransferArgs, done: &str, work: Transferring) -> Result<Exit, Failure> {
    let TransferArgs { run, cache, remote, format } = args;
    let settings = remote.settings()?.ok_or_else(|| {
        Failure::wrong("no remote is named")
            .hint("--remote, FUSELINE_REMOTE or cache.remote in fuseline.toml says where it is")
    })?;
    let cache = open_cache(cache.folder()?)?;
    let run = find_run(&cache, run)?;
    let (transfer, report) = work(&cache, &run, &settings)?;
    remote::warn(Some(&report));
    let Transfer { actions, known, missing } = transfer;
    match format {
        Format::Json => print::json(&json!({
            "run": run.run,
            "actions": actions,
            "known": known,
            "missing": missing,
            "remote": report,
        })),
        Format::Human => {
            let moved = actions.saturating_sub(known + missing);
            let mut text =
                format!("{}: {known} were there, {moved} {done}", counted(actions, "action"));
            if missing > 0 {
                text += &format!(", {missing} could not be had");
            }
            print::result(format!("{text}.\n{}", remote::sentence(&report)));
        }
    }
    Ok(if missing == 0 { Exit::Done } else { Exit::ActionFailed })
}

fn status(cache: Cache, remote: Option<&RemoteSettings>, format: Format) -> Result<Exit, Failure> {
    let status = cache.status()?;
    let leases = cache.lease_choice()?;
    let (cache, remote) = attach_remote(cache, remote)?;
    let remote_status =
        remote.as_ref().map(|remote| (remote.status(), remote.finish(&Arc::default())));
    let is_heartbeat = leases.kind == LeaseKind::Heartbeat;
    match format {
        Format::Json => {
            let mut json = json!({
                "folder": cache.folder().display().to_string(),
                "objects": status.objects,
                "object_bytes": status.object_bytes,
                "records": status.records,
                "record_bytes": status.record_bytes,
                "packs": status.packs,
                "runs": status.runs,
                "runs_alive": status.runs_alive,
                "actions_alive": status.actions_alive,
                "damaged": status.damaged,
                "leases": {
                    "kind": leases.kind,
                    "filesystem": leases.filesystem,
                    "reason": leases.reason,
                    "beat_seconds": is_heartbeat.then(|| leases.beat().as_secs_f64()),
                    "silence_seconds": is_heartbeat.then(|| leases.silence().as_secs_f64()),
                },
            });
            if let Some((state, report)) = &remote_status {
                json["remote"] = json!({
                    "address": report.remote,
                    "mode": report.mode,
                    "state": state,
                    "warning": report.warning,
                });
            }
            print::json(&json);
        }
        Format::Human => {
            let mut text = format!(
                "{}\n  {}, {}\n  {}, {}\n  {} of small ones\n  {}, {} going on with {}\n  {} set aside\n  \
                 leases: {}",
                cache.folder().display(),
                counted(status.objects, "object"),
                amount::bytes(status.object_bytes),
                counted(status.records, "action record"),
                amount::bytes(status.record_bytes),
                counted(status.packs, "pack"),
                counted(status.runs, "run"),
                status.runs_alive,
                counted(status.actions_alive, "action"),
                counted(status.damaged, "damaged file"),
                lease_text(&leases),
            );
            if let Some((state, report)) = &remote_status {
                text += &format!("\n{}", remote::status_text(state.as_ref(), report));
            }
            print::result(text);
        }
    }
    Ok(Exit::Done)
}

/// The leases of a cache, for people.
fn lease_text(leases: &LeaseChoice) -> String {
    let reason = &leases.reason;
    match leases.kind {
        LeaseKind::Flock => format!("locks of the kernel ({reason})"),
        LeaseKind::Heartbeat => format!(
            "heartbeats every {} s, dead after {} s of silence ({reason})",
            leases.beat().as_secs_f64(),
            leases.silence().as_secs_f64()
        ),
    }
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
                "{}, {}, and {} read: {}\n",
                counted(report.objects, "object"),
                amount::bytes(report.bytes),
                counted(report.records, "action record"),
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
                "{} {}, {}, {} and {}: {}.\nKept {}, {}.\n",
                if options.dry_run { "Would remove" } else { "Removed" },
                counted(report.objects, "object"),
                counted(report.records, "record"),
                counted(report.runs, "run"),
                counted(report.debris, "left-over file"),
                amount::bytes(report.bytes),
                counted(report.kept_objects, "object"),
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
