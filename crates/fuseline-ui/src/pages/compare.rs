//! Runs side by side: settings that differ, what ran again and why, gap by gap.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::Response;
use fuseline::{Cache, Manifest, utc_text};
use fuseline_artifact::{Artifact, ArtifactKind, Control, Findings, Typed as _};
use fuseline_engine::{Comparison, compare as compare_two};
use fuseline_report::markup::{Element, element};
use serde_json::Value;

use crate::format::{count, counted, cut, number};
use crate::frame::{self, link, page, plain, scrolling, section, table};
use crate::manifest_index::ManifestIndex;
use crate::plot::{self, GapRow};
use crate::run_view::unreadable;
use crate::server::App;

/// Runs on one page.
const MOST_RUNS: usize = 8;
/// Actions of a run whose comparison is made here.
const MOST_ACTIONS: usize = 20_000;
/// Findings that are drawn and listed: those that differ most.
const MOST_ROWS: usize = 40;
/// Reasons that are listed for a pair.
const MOST_REASONS: usize = 40;

/// A finding's gap in one run.
#[derive(Clone)]
struct Gap {
    gap: f64,
    low: f64,
    high: f64,
    p_adjusted: Option<f64>,
    is_native: bool,
    /// True if the gap is in the unit of a metric of numbers.
    is_metric: bool,
}

/// Runs that were compared.
pub struct Compared {
    runs: Vec<RunHead>,
    /// Name, and a value for each run.
    settings: Vec<(String, Vec<String>)>,
    /// Each run after the first against the one before it; none when it has too many actions.
    pairs: Vec<Option<Pair>>,
    /// Places of the runs that have findings.
    with_findings: Vec<usize>,
    findings: Vec<(String, Vec<Option<Gap>>)>,
    /// Findings that are the same in all runs, and those that were left out.
    same: usize,
    left_out: usize,
    /// Findings that not every run has.
    unmatched: usize,
}

struct RunHead {
    id: String,
    began: String,
    status: String,
}

struct Pair {
    same: usize,
    changed: usize,
    gone: usize,
    new: usize,
    /// Stage, reason, whether the outputs are the same, number of actions.
    reasons: Vec<(String, String, &'static str, usize)>,
}

/// The page that compares.
pub async fn compare(
    State(app): State<Arc<App>>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Response {
    let mut runs: Vec<String> =
        pairs.into_iter().filter(|(name, _)| name == "run").map(|(_, run)| run).collect();
    runs.sort();
    runs.dedup();
    let start = page("Compare runs").under("/", "Runs");
    if !(2..=MOST_RUNS).contains(&runs.len()) {
        let words = format!("Tick two to {MOST_RUNS} runs in the list of runs. ");
        return start
            .child(element("p").text(words).child(link("/", "The list of runs")))
            .response();
    }
    for run in &runs {
        if !app.has_run(run) {
            return frame::not_found("The cache keeps no run of one of these names.");
        }
        if !app.has_manifest(run) {
            return unreadable("A run that has not ended cannot be compared yet.");
        }
    }
    let reading = app.clone();
    let wanted = runs.clone();
    let read = move || Compared::read(&reading.cache, &wanted);
    match app.comparisons.get(&runs, read).await {
        None => {
            start.waits("The runs are being compared; the page shows it in a moment.").response()
        }
        Some(Err(problem)) => unreadable(&problem),
        Some(Ok(compared)) => start
            .child(legend(&compared))
            .child(settings(&compared))
            .children(pairs_section(&compared))
            .child(findings_section(&compared))
            .response(),
    }
}

impl Compared {
    fn read(cache: &Cache, runs: &[String]) -> Result<Self, String> {
        let mut indexes = Vec::new();
        for run in runs {
            let index = ManifestIndex::read(cache, run)?;
            indexes.push(index.ok_or_else(|| format!("the run {run} has no manifest"))?);
        }
        let heads = indexes.iter().map(|index| RunHead {
            id: index.head.run.clone(),
            began: utc_text(index.head.started_at),
            status: index.head.status.clone(),
        });
        let heads = heads.collect();
        let settings = differing_settings(indexes.iter().map(|index| &index.head));
        let mut pairs = Vec::new();
        for two in indexes.windows(2) {
            let small = two.iter().all(|index| index.len() <= MOST_ACTIONS);
            pairs.push(small.then(|| pair(cache, &two[0], &two[1])).transpose()?);
        }
        let of_runs: Vec<_> =
            indexes.iter().map(|index| gaps(cache, index)).collect::<Result<_, _>>()?;
        let of_runs: Vec<_> =
            of_runs.into_iter().enumerate().filter(|(_, gaps)| !gaps.is_empty()).collect();
        let with_findings: Vec<usize> = of_runs.iter().map(|(run, _)| *run).collect();
        let mut rows = BTreeMap::<String, Vec<Option<Gap>>>::new();
        for (place, (_, gaps)) in of_runs.into_iter().enumerate() {
            for (name, gap) in gaps {
                let row = rows.entry(name).or_insert_with(|| vec![None; with_findings.len()]);
                row[place] = Some(gap);
            }
        }
        let all = rows.len();
        let mut findings: Vec<_> =
            rows.into_iter().filter(|(_, gaps)| spread(gaps) > 0.0).collect();
        let same = all - findings.len();
        let unmatched = findings.iter().filter(|(_, gaps)| !is_matched(gaps)).count();
        // Those of all runs first, and native conditions before controls.
        let order = |gaps: &[Option<Gap>]| {
            (!is_matched(gaps), gaps.iter().flatten().all(|gap| !gap.is_native))
        };
        findings.sort_by(|a, b| {
            let differ = spread(&b.1).total_cmp(&spread(&a.1));
            order(&a.1).cmp(&order(&b.1)).then(differ).then(a.0.cmp(&b.0))
        });
        let left_out = findings.len().saturating_sub(MOST_ROWS);
        findings.truncate(MOST_ROWS);
        Ok(Self {
            runs: heads,
            settings,
            pairs,
            with_findings,
            findings,
            same,
            left_out,
            unmatched,
        })
    }
}

/// True if every run has a finding.
fn is_matched(gaps: &[Option<Gap>]) -> bool {
    gaps.iter().all(Option::is_some)
}

/// Range of the gaps of a finding; infinite where a run lacks it.
fn spread(gaps: &[Option<Gap>]) -> f64 {
    let there = || gaps.iter().flatten().map(|of| of.gap);
    match is_matched(gaps) {
        false => f64::INFINITY,
        true => there().fold(f64::NEG_INFINITY, f64::max) - there().fold(f64::INFINITY, f64::min),
    }
}

fn differing_settings<'m>(heads: impl Iterator<Item = &'m Manifest>) -> Vec<(String, Vec<String>)> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let all: Vec<BTreeMap<String, String>> = heads
        .map(|head| {
            let mut of = BTreeMap::from([
                ("fuseline".to_owned(), head.fuseline_version.clone()),
                ("seed".to_owned(), head.seed.to_string()),
                ("workflow".to_owned(), head.workflow.clone()),
                ("workflow digest".to_owned(), head.workflow_digest.short()),
            ]);
            let params = head.params.iter();
            of.extend(params.map(|(name, value)| (format!("params.{name}"), text(value))));
            let rules = head.plugins.iter();
            of.extend(rules.map(|(id, digest)| (format!("rule {id}"), digest.short())));
            of
        })
        .collect();
    let mut names: Vec<&String> = all.iter().flat_map(BTreeMap::keys).collect();
    names.sort();
    names.dedup();
    let rows = names.into_iter().map(|name| {
        let values = all.iter().map(|of| of.get(name).cloned().unwrap_or("none".to_owned()));
        (name.clone(), values.collect::<Vec<_>>())
    });
    rows.filter(|(_, values)| values.iter().any(|value| *value != values[0])).collect()
}

fn pair(cache: &Cache, before: &ManifestIndex, after: &ManifestIndex) -> Result<Pair, String> {
    let whole = |index: &ManifestIndex| {
        Manifest::read(cache, &index.head.run).map_err(|error| error.to_string())
    };
    let found =
        compare_two(cache, &whole(before)?, &whole(after)?).map_err(|error| error.with_cause())?;
    Ok(Pair {
        same: found.same,
        changed: found.changed.len(),
        gone: found.gone.len(),
        new: found.new.len(),
        reasons: reasons(&found),
    })
}

fn reasons(found: &Comparison) -> Vec<(String, String, &'static str, usize)> {
    let mut groups = Vec::<(String, String, &'static str, usize)>::new();
    for change in &found.changed {
        let outputs = match change.same_outputs {
            Some(true) => "the same outputs",
            Some(false) => "other outputs",
            None => "outputs that are not in both",
        };
        // Every action has its own digests; what changed is the same.
        let reason = change.reason.split(" (").next().unwrap_or_default();
        let group = groups
            .iter_mut()
            .find(|(stage, why, of, _)| *stage == change.stage && why == reason && *of == outputs);
        match group {
            Some((.., n)) => *n += 1,
            None => groups.push((change.stage.clone(), reason.to_owned(), outputs, 1)),
        }
    }
    groups
}

/// The gaps of a run's last findings, by their points; native conditions and controls alike.
fn gaps(cache: &Cache, index: &ManifestIndex) -> Result<Vec<(String, Gap)>, String> {
    let kind = ArtifactKind::Findings;
    let mut stages = index.head.stages.iter_enumerated().rev();
    let Some((number, port)) = stages.find_map(|(number, stage)| {
        let port = stage.outputs.iter().position(|(_, of)| of == kind.name())?;
        index.numbers(Some(number), None).next()?;
        Some((number, port))
    }) else {
        return Ok(Vec::new());
    };
    let mut rows = Vec::new();
    for action in index.numbers(Some(number), None) {
        let Some(action) = index.action(action) else { continue };
        let Some(digest) = action?.outputs.get(port).copied() else { continue };
        // Artifacts that a collection has removed cannot be compared any more.
        let Some(mut file) = cache.open_object_file(&digest).map_err(|error| error.with_cause())?
        else {
            continue;
        };
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut file, &mut bytes).map_err(|error| error.to_string())?;
        let read = Artifact::decode(kind, None, bytes)
            .and_then(|artifact| Findings::from_artifact(&artifact));
        // Findings of another version are left out, as a comparison on the command line does.
        let Ok(table) = read else { continue };
        for row in &table.rows {
            let mut name = point_text(&table.axes, &row.point);
            if row.control != Control::Native {
                name += &format!(" ({} control)", row.control.name());
            }
            let gap = Gap {
                gap: row.gap,
                low: row.gap_low,
                high: row.gap_high,
                p_adjusted: row.p_adjusted,
                is_native: row.control == Control::Native,
                is_metric: row.metric.is_some(),
            };
            rows.push((name, gap));
        }
    }
    Ok(rows)
}

/// The labels of a point. One that is no word says little without the name of its axis.
fn point_text(axes: &[String], point: &[String]) -> String {
    let label = |(axis, label): (&String, &String)| match label.starts_with(char::is_alphabetic) {
        true => label.clone(),
        false => format!("{axis} {label}"),
    };
    axes.iter().zip(point).map(label).collect::<Vec<_>>().join(", ")
}

fn legend(compared: &Compared) -> Element {
    let rows = compared.runs.iter().enumerate().map(|(place, run)| {
        vec![
            element("span").child(plot::key(place)).text(format!(" run {}", place + 1)),
            link(format!("/runs/{}", run.id), run.id.clone()),
            frame::state(&run.status),
            plain(run.began.clone()),
        ]
    });
    let heads = [("here", false), ("run", false), ("status", false), ("began", false)];
    table("Runs that are compared", &heads, rows)
}

fn settings(compared: &Compared) -> Element {
    let part = section("Settings that differ");
    if compared.settings.is_empty() {
        return part.child(
            element("p").text("None: seed, parameters, workflow, version and rules are the same."),
        );
    }
    let names: Vec<String> = (1..=compared.runs.len()).map(|n| format!("run {n}")).collect();
    let mut heads = vec![("setting", false)];
    heads.extend(names.iter().map(|name| (name.as_str(), false)));
    let rows = compared.settings.iter().map(|(name, values)| {
        let values = values.iter().map(|value| plain(cut(value, 120)));
        std::iter::once(plain(cut(name, 120))).chain(values).collect()
    });
    part.child(table("Settings that differ", &heads, rows))
}

fn pairs_section(compared: &Compared) -> Vec<Element> {
    let one = |(place, pair): (usize, &Option<Pair>)| {
        let heading =
            format!("From run {} to run {}: what ran again, and why", place + 1, place + 2);
        let part = section(&heading);
        let Some(pair) = pair else {
            let (before, after) = (&compared.runs[place].id, &compared.runs[place + 1].id);
            let words = format!("There are more than {} actions: ", count(MOST_ACTIONS));
            let command = element("code").text(format!("fuseline runs diff {before} {after}"));
            return part.child(element("p").text(words).child(command).text(" compares them."));
        };
        let words = format!(
            "{} the same, {} changed, {} only before, {} only after.",
            counted(pair.same, "action"),
            count(pair.changed),
            count(pair.gone),
            count(pair.new)
        );
        let part = part.child(element("p").text(words));
        if pair.reasons.is_empty() {
            return part;
        }
        let heads = [("stage", false), ("actions", true), ("came out with", false), ("why", false)];
        let rows = pair.reasons.iter().take(MOST_REASONS).map(|(stage, reason, outputs, n)| {
            vec![plain(cut(stage, 80)), plain(count(*n)), plain(*outputs), plain(cut(reason, 300))]
        });
        part.child(table(&heading, &heads, rows))
    };
    compared.pairs.iter().enumerate().map(one).collect()
}

fn p_value(p: f64) -> String {
    if p < 0.001 { "< 0.001".to_owned() } else { format!("{p:.3}") }
}

fn findings_section(compared: &Compared) -> Element {
    let mut part = section("Gap by gap");
    let without: Vec<String> = (0..compared.runs.len())
        .filter(|run| !compared.with_findings.contains(run))
        .map(|run| (run + 1).to_string())
        .collect();
    if !without.is_empty() {
        let runs = if without.len() == 1 { "Run" } else { "Runs" };
        let words = format!("{runs} without findings: {}.", without.join(", "));
        part = part.child(element("p").text(words));
    }
    if compared.with_findings.len() < 2 {
        return part.child(element("p").text("There is nothing to compare gap by gap."));
    }
    let told = format!(
        "{} the same gap in all runs{}{}.",
        match compared.same {
            0 => "No finding has".to_owned(),
            1 => "1 finding has".to_owned(),
            n => format!("{} findings have", count(n)),
        },
        match compared.unmatched {
            0 => String::new(),
            1 => ", 1 is not in all of them and comes last".to_owned(),
            n => format!(", {} are not in all of them and come last", count(n)),
        },
        match compared.left_out {
            0 => String::new(),
            n => format!("; those that differ most are shown, and {} more are not", count(n)),
        }
    );
    let part = part.child(element("p").text(told));
    if compared.findings.is_empty() {
        return part;
    }
    let rows: Vec<GapRow> = compared
        .findings
        .iter()
        .map(|(name, gaps)| GapRow {
            name: name.clone(),
            gaps: gaps.iter().map(|gap| gap.as_ref().map(|of| (of.gap, of.low, of.high))).collect(),
        })
        .collect();
    // Of a label that is a number, a gap is in the unit of its metric.
    let mut all = compared.findings.iter().flat_map(|(_, gaps)| gaps.iter().flatten());
    let is_metric = all.any(|of| of.is_metric);
    let unit = if is_metric { "" } else { " (pp)" };
    let numbers = compared.with_findings.iter().map(|run| run + 1);
    let names: Vec<String> = numbers
        .flat_map(|n| [format!("gap in run {n}{unit}"), format!("adjusted p in run {n}")])
        .collect();
    let mut heads = vec![("finding", false)];
    heads.extend(names.iter().map(|name| (name.as_str(), true)));
    let cells = compared.findings.iter().map(|(name, gaps)| {
        let mut row = vec![plain(cut(name, 160))];
        for gap in gaps {
            let Some(gap) = gap else {
                row.extend([plain("none"), plain("")]);
                continue;
            };
            let [low, value, high] = [gap.low, gap.gap, gap.high].map(|of| match is_metric {
                true => number(of),
                false => fuseline_report::points(Some(of)),
            });
            row.push(plain(format!("{value} [{low}, {high}]")));
            row.push(plain(gap.p_adjusted.map(p_value).unwrap_or_default()));
        }
        row
    });
    let part = match is_metric {
        true => part,
        false => {
            part.child(scrolling("Drawing of the gaps", plot::gaps(&rows, &compared.with_findings)))
        }
    };
    part.child(table("Gaps", &heads, cells))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_that_is_a_number_has_the_name_of_its_axis() {
        let [axes, point] = [["fidelity", "rule"], ["0.9", "lr"]].map(|of| of.map(str::to_owned));
        assert_eq!(point_text(&axes, &point), "fidelity 0.9, lr");
    }
}
