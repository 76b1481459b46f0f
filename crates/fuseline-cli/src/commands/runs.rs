//! `fuseline runs`: past runs, one of them, or what differs between two.

use std::collections::BTreeMap;
use std::path::Path;

use fuseline::{
    Cache, LoadedSettings, Manifest, action_warnings, cancel_run, counted, find_run, find_run_id,
    open_cache, utc_text,
};
use fuseline_engine::{Change, Comparison, ManifestError, Moved, compare};
use serde_json::{Value, json};

use crate::args::{CacheArgs, Format};
use crate::exit::{Exit, Failure};
use crate::{amount, print};

/// Subcommands of `runs`.
#[derive(clap::Subcommand)]
pub enum Args {
    /// List the runs that the cache keeps, the latest last
    #[command(after_help = "\
Examples:
  fuseline runs list
  fuseline runs list --format json | jq '.runs[-1].seconds'")]
    List {
        #[command(flatten)]
        cache: CacheArgs,
        /// Output format of the list
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Show what a run did: its parameters, and every action that it executed, with why and how
    /// long
    #[command(after_help = "\
Examples:
  fuseline runs show latest
  fuseline runs show 1750 --format json                the run whose id begins so")]
    Show {
        #[command(flatten)]
        cache: CacheArgs,
        /// The run: its id, the beginning of it, or `latest`
        run: String,
        /// Output format
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Tell a run that goes on to stop, and cancel what it has submitted to an engine
    #[command(after_help = "\
The run may go on in another process or on another machine, or have been killed there. What it \
has finished is kept.

Examples:
  fuseline runs cancel latest")]
    Cancel {
        #[command(flatten)]
        cache: CacheArgs,
        /// The run: its id, the beginning of it, or `latest`
        run: String,
    },
    /// Show what differs between two runs: which actions, why, and how the findings moved
    #[command(after_help = "\
Examples:
  fuseline runs diff latest~1 latest")]
    Diff {
        #[command(flatten)]
        cache: CacheArgs,
        /// The earlier run: its id, the beginning of it, `latest`, or `latest~1` for the one before
        before: String,
        /// The later run
        after: String,
        /// Output format
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
}

pub fn run(args: &Args) -> Result<Exit, Failure> {
    match args {
        Args::List { cache, format } => list(&open_cache(cache.folder()?)?, *format),
        Args::Show { cache, run, format } => {
            let cache = open_cache(cache.folder()?)?;
            let manifest = find_run(&cache, run)?;
            show(&manifest, &action_warnings(&cache, &manifest.run)?, *format)
        }
        Args::Cancel { cache, run } => {
            let cache = open_cache(cache.folder()?)?;
            let run = find_run_id(&cache, run)?;
            let settings = LoadedSettings::load(Path::new("."))?.settings.executor;
            let arrays = cancel_run(&cache, &run, &settings)?;
            let arrays = match arrays {
                0 => String::new(),
                1 => " and its array is cancelled".to_owned(),
                arrays => format!(" and its {arrays} arrays are cancelled"),
            };
            print::note(format!("run {run} is told to stop{arrays}."));
            Ok(Exit::Done)
        }
        Args::Diff { cache, before, after, format } => {
            let cache = open_cache(cache.folder()?)?;
            let (before, after) = (find_run(&cache, before)?, find_run(&cache, after)?);
            diff(&before, &after, &compare(&cache, &before, &after)?, *format)
        }
    }
}

fn list(cache: &Cache, format: Format) -> Result<Exit, Failure> {
    let mut rows = Vec::new();
    for run in cache.runs()? {
        let value = match Manifest::read(cache, &run) {
            Ok(manifest) => summary(&manifest),
            Err(ManifestError::Cache(error)) => return Err(error.into()),
            // Still going on, killed, or damaged: the id begins with the seconds since 1970.
            Err(error) => json!({
                "run": run,
                "status": match error {
                    ManifestError::Missing { .. } if cache.is_run_alive(&run)? => "running",
                    ManifestError::Missing { .. } => "unfinished",
                    _ => "unreadable",
                },
                "started_at": run.get(..10).and_then(|seconds| seconds.parse::<u64>().ok()),
            }),
        };
        rows.push(value);
    }
    match format {
        Format::Json => print::json(&json!({ "runs": rows })),
        Format::Human if rows.is_empty() => print::note("There is no run in the cache."),
        Format::Human => {
            let lines = rows.iter().map(|row| {
                let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
                let began = row["started_at"].as_u64().map(utc_text).unwrap_or_default();
                let counts = match row["actions"].as_u64() {
                    Some(actions) => format!(
                        "{}, {} executed, {:.1} s",
                        counted(actions, "action"),
                        row["executed"],
                        row["seconds"].as_f64().unwrap_or_default()
                    ),
                    None => String::new(),
                };
                let line = format!(
                    "{}  {began}  {:<11}  {}  {counts}",
                    text("run"),
                    text("status"),
                    text("workflow")
                );
                line.trim_end().to_owned() + "\n"
            });
            print::result(lines.collect::<String>());
        }
    }
    Ok(Exit::Done)
}

fn summary(manifest: &Manifest) -> Value {
    json!({
        "run": manifest.run,
        "workflow": manifest.workflow,
        "status": manifest.status,
        "started_at": manifest.started_at,
        "seconds": manifest.seconds,
        "actions": manifest.actions.len(),
        "executed": manifest.count("done") + manifest.count("failed"),
        "cached": manifest.count("cached"),
        "failed": manifest.count("failed"),
        "skipped": manifest.count("skipped"),
    })
}

fn show(manifest: &Manifest, warnings: &[String], format: Format) -> Result<Exit, Failure> {
    if format == Format::Json {
        let mut value = serde_json::to_value(manifest).map_err(Failure::failed)?;
        value["warnings"] = warnings.into();
        print::json(&value);
        return Ok(Exit::Done);
    }
    let mut text = format!(
        "run {}\n  {} {}, {}, {:.1} s{}\n  fuseline {}, workflow digest {}, seed {}\n",
        manifest.run,
        manifest.workflow,
        manifest.status,
        utc_text(manifest.started_at),
        manifest.seconds,
        match manifest.peak_memory {
            Some(bytes) => format!(", at most {} of memory", amount::bytes(bytes)),
            None => String::new(),
        },
        manifest.fuseline_version,
        manifest.workflow_digest.short(),
        manifest.seed,
    );
    if let Some(problem) = &manifest.undelivered {
        text += &format!("  {problem}\n");
    }
    for (name, value) in &manifest.params {
        text += &format!("  {name} = {value}\n");
    }
    for (id, digest) in &manifest.plugins {
        text += &format!("  {id} {}\n", digest.short());
    }
    for line in manifest.environment.lines() {
        text += &format!("  {line}\n");
    }
    text += "\n";
    for action in manifest.actions.iter().filter(|action| action.state != "cached") {
        text += &format!("{:<8} {}", action.state, action.action);
        if let Some(seconds) = action.seconds {
            text += &format!("  {seconds:.3} s");
        }
        if let Some(reason) = &action.reason {
            text += &format!("  because: {reason}");
        }
        if let Some(bytes) = action.memory {
            text += &format!("  with {} of memory", amount::bytes(bytes));
        }
        if let Some(error) = &action.error {
            text += &format!("  {error}");
        }
        text += "\n";
    }
    if let Some(duplicates @ 1..) = manifest.counts.map(|counts| counts.duplicates) {
        text +=
            &format!("{duplicates} executions elsewhere at the same time, to the same outputs.\n");
    }
    text += &format!("{} cached.\n", counted(manifest.count("cached"), "action"));
    for caution in &manifest.cautions {
        text += &format!("caution: {}\n", caution.line());
    }
    for warning in warnings {
        text += &format!("warning: {warning}\n");
    }
    print::result(text);
    Ok(Exit::Done)
}

fn diff(
    before: &Manifest,
    after: &Manifest,
    found: &Comparison,
    format: Format,
) -> Result<Exit, Failure> {
    if format == Format::Json {
        let mut value = serde_json::to_value(found).map_err(Failure::failed)?;
        value["before"] = before.run.clone().into();
        value["after"] = after.run.clone().into();
        print::json(&value);
        return Ok(Exit::Done);
    }
    let began = |run: &Manifest| format!("{} of {}", run.run, utc_text(run.started_at));
    let mut text = format!("{} -> {}\n", began(before), began(after));
    for (name, before, after) in &found.settings {
        text += &format!("{name}: {} -> {}\n", value(before), value(after));
    }
    text += &changes(found);
    for (list, when) in [(&found.gone, "before"), (&found.new, "after")] {
        if let [first, more @ ..] = list.as_slice() {
            let more = match more.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            text += &format!("only {when}: {first}{more}\n");
        }
    }
    text += &moves(found);
    for (cautions, when) in [(&found.cautions_gone, "before"), (&found.cautions_new, "after")] {
        for caution in cautions {
            text += &format!("caution only {when}: {}\n", caution.line());
        }
    }
    text += &format!(
        "{} the same, {} changed, {} only before, {} only after; {} of findings moved.\n",
        counted(found.same, "action"),
        found.changed.len(),
        found.gone.len(),
        found.new.len(),
        counted(found.findings.len(), "row")
    );
    print::result(text);
    Ok(Exit::Done)
}

/// A line for each reason of a stage, in the order of the plan.
fn changes(found: &Comparison) -> String {
    let mut groups: Vec<(&str, String, Vec<&Change>)> = Vec::new();
    let mut at: BTreeMap<(&str, String), usize> = BTreeMap::new();
    for change in &found.changed {
        let outputs = match change.same_outputs {
            Some(true) => "same outputs",
            Some(false) => "other outputs",
            None => "not in both",
        };
        // Every action has its own digests; what changed is the same.
        let reason = change.reason.split(" changed (").next().unwrap_or_default();
        let key = format!("{outputs}, {reason}");
        let group = *at.entry((&change.stage, key.clone())).or_insert_with(|| {
            groups.push((&change.stage, key, Vec::new()));
            groups.len() - 1
        });
        groups[group].2.push(change);
    }
    let widest = groups.iter().map(|(stage, ..)| stage.chars().count()).max().unwrap_or(0);
    let line = |(stage, _, changes): &(&str, String, Vec<&Change>)| {
        let Some(first) = changes.first() else { return String::new() };
        let outputs = match first.same_outputs {
            Some(true) => "the same outputs",
            Some(false) => "other outputs",
            None => "outputs that are not in both",
        };
        let (count, reason) = match changes.len() {
            1 => ("1 action".to_owned(), first.reason.as_str()),
            // The digests of one would stand for all.
            many => {
                (format!("{many} actions"), first.reason.split(" (").next().unwrap_or_default())
            }
        };
        format!("  {stage:<widest$}  {count:>12} with {outputs}: {reason}\n")
    };
    let lines: String = groups.iter().map(line).collect();
    if lines.is_empty() { lines } else { format!("\nChanged\n{lines}") }
}

/// Rows of findings that are listed at most.
const MOVED: usize = 40;

/// Movement of the findings: the gap and the p-value that decides, row by row; what moved alike
/// everywhere is said once.
fn moves(found: &Comparison) -> String {
    let rows = found.findings.as_slice();
    let Some(first) = rows.first() else { return String::new() };
    let of =
        |row: &Moved, name: &str| row.columns.iter().find(|(column, ..)| column == name).cloned();
    let alike = |name: &str| rows.iter().all(|row| of(row, name) == of(first, name));
    let mut text = "\nFindings\n".to_owned();
    for (name, before, after) in
        first.columns.iter().filter(|(name, ..)| rows.len() > 1 && alike(name))
    {
        text += &format!(
            "  {name}: {} -> {} in all of the {} rows\n",
            value(before),
            value(after),
            rows.len()
        );
    }
    let shown = |row: &Moved, name: &str, unit: fn(f64) -> String| {
        let (_, before, after) = of(row, name)?;
        let side = |side: &Value| side.as_f64().map_or("none".to_owned(), unit);
        let (before, after) = (side(&before), side(&after));
        (before != after).then(|| format!("{before} -> {after}"))
    };
    let points = |gap: f64| format!("{:+.2}", gap * 100.0);
    let metric = |gap: f64| format!("{gap:+.4}");
    let p = |p: f64| format!("{p:.4}");
    let mut lines: Vec<[String; 4]> = Vec::new();
    for row in rows {
        let gap = shown(row, "gap", points).or_else(|| shown(row, "metric_gap", metric));
        let cells = [gap, shown(row, "p_value", p), shown(row, "p_adjusted", p)];
        if cells.iter().any(Option::is_some) {
            let [gap, p, adjusted] = cells.map(Option::unwrap_or_default);
            let labels: Vec<&str> = row.point.iter().map(|(_, label)| label.as_str()).collect();
            lines.push([format!("{}[{}]", row.stage, labels.join(",")), gap, p, adjusted]);
        }
    }
    let hidden = lines.len().saturating_sub(MOVED);
    lines.truncate(MOVED);
    let elsewhere = rows.len() - lines.len() - hidden;
    if !lines.is_empty() {
        // Of a label that is a number, the gap is in the unit of its metric.
        let is_metric = rows.iter().any(|row| of(row, "metric_gap").is_some());
        let gap = if is_metric { "gap" } else { "gap (pp)" };
        lines.insert(0, ["", gap, "p", "p adjusted"].map(str::to_owned));
    }
    let wide =
        |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let (point, gap, p) = (wide(0), wide(1), wide(2));
    for [at, one, two, three] in &lines {
        let line = format!("  {at:<point$}  {one:<gap$}  {two:<p$}  {three}");
        text += line.trim_end();
        text += "\n";
    }
    if hidden > 0 {
        text += &format!("  {hidden} more rows: --format json\n");
    }
    if elsewhere > 0 {
        text += &format!("  {elsewhere} rows moved in other columns alone: --format json\n");
    }
    text + "\n"
}

/// A value for people: numbers with as many digits as they are looked at for.
fn value(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => {
            format!("{:.6}", number.as_f64().unwrap_or_default())
        }
        other => other.to_string(),
    }
}
