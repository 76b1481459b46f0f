//! What is kept of a run: an event log while it goes on, a manifest when it ends.

use std::io::{self, Write};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use fuseline_artifact::Digest;
use fuseline_cache::{Cache, CacheError};
use serde::Serialize;
use thiserror::Error;

use crate::events::Event;
use crate::execute::{ActionState, Outcome, Remembered};
use crate::manifest::{FILE, MANIFEST_FORMAT, Manifest, ManifestAction, ManifestStage};
use crate::plan::{ActionId, Plan};
use crate::provenance::plugin;

/// As many bytes of lines are written whatever comes next.
const MOST_LINES: usize = 1 << 16;

/// The record of one run, in `cache/runs/ID/`.
pub struct RunRecord<'a> {
    cache: &'a Cache,
    id: String,
    started: Instant,
    started_at: u64,
    events: std::fs::File,
    /// Lines that are not written yet.
    lines: Vec<u8>,
    /// The first failure to write an event; reported at the end, since a lost log must not stop the work.
    lost: Option<io::Error>,
}

/// A run whose record could not be kept.
#[derive(Debug, Error)]
pub enum RecordError {
    /// A file of the record could not be written.
    #[error("cannot write the record of the run: {0}")]
    Write(#[from] io::Error),
    /// The cache could not be written.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl<'a> RunRecord<'a> {
    /// Opens the record of a new run.
    pub fn begin(cache: &'a Cache, plan: &Plan<'_>) -> Result<Self, RecordError> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let started_at = since.as_secs();
        // Sorts by time, and tells apart runs of one instant by their process.
        let id =
            format!("{:010}{:09}-{}", since.as_secs(), since.subsec_nanos(), std::process::id());
        let folder = cache.new_run(&id)?;
        let events = std::fs::File::create(folder.join("events.jsonl"))?;
        let mut record = Self {
            cache,
            id,
            started: Instant::now(),
            started_at,
            events,
            lines: Vec::new(),
            lost: None,
        };
        let stages = plan.workflow().stages.iter().enumerate();
        let stages =
            stages.map(|(number, stage)| (stage.name.clone(), plan.actions_of(number).len()));
        record.note(&Event::RunStarted {
            run: record.id.clone(),
            workflow: plan.workflow().name.clone(),
            stages: stages.collect(),
        });
        Ok(record)
    }

    /// The id of the run.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Appends an event, with the milliseconds since the run began.
    pub fn note(&mut self, event: &Event) {
        #[derive(Serialize)]
        struct Line<'a> {
            milliseconds: u128,
            #[serde(flatten)]
            event: &'a Event,
        }
        let line = Line { milliseconds: self.started.elapsed().as_millis(), event };
        let written = serde_json::to_writer(&mut self.lines, &line).map_err(io::Error::from);
        self.lines.push(b'\n');
        // What was found in the cache is found many stages at a time, and is told with what happens next.
        let waits = matches!(event, Event::Cached { .. }) && self.lines.len() < MOST_LINES;
        // Whole lines in one call: what a killed run leaves ends with a whole line, or with one torn.
        let written = written.and_then(|()| if waits { Ok(()) } else { self.write_lines() });
        if let Err(error) = written {
            self.lost.get_or_insert(error);
        }
    }

    fn write_lines(&mut self) -> io::Result<()> {
        let lines = std::mem::take(&mut self.lines);
        self.events.write_all(&lines)
    }

    /// Writes the manifest, and remembers the keys so that the next plan can say what changed. Gives the last event.
    pub fn finish(&mut self, plan: &Plan<'_>, outcome: &Outcome) -> Result<Event, RecordError> {
        let end = Event::RunFinished {
            status: outcome.status().to_owned(),
            seconds: self.started.elapsed().as_secs_f64(),
        };
        self.note(&end);
        if let Some(lost) = self.lost.take() {
            return Err(lost.into());
        }
        let head = self.manifest(plan, outcome);
        let text = with_actions(&head, plan, outcome).map_err(io::Error::from)?;
        self.cache.write_run_file(&self.id, FILE, &text)?;
        if outcome.count(ActionState::Done) > 0 {
            let known = (0..plan.actions).filter(|&of| {
                matches!(outcome.states[of as usize], ActionState::Done | ActionState::Cached)
            });
            let remembered: Remembered =
                known.filter_map(|of| Some((plan.site(of), outcome.keys[of as usize]?))).collect();
            self.cache.remember(&plan.workflow().name, &remembered)?;
        }
        Ok(end)
    }

    /// The manifest, its actions left out.
    fn manifest(&self, plan: &Plan<'_>, outcome: &Outcome) -> Manifest {
        let workflow = plan.workflow();
        let mut plugins = Vec::new();
        for stage in plan.stages.iter().filter(|stage| stage.wanted) {
            let found = stage.variants.iter().filter_map(plugin);
            plugins.extend(found.filter_map(|(id, digest)| Some((id, digest.parse().ok()?))));
        }
        plugins.sort();
        plugins.dedup();
        let stages = workflow.stages.iter().enumerate().map(|(number, stage)| ManifestStage {
            name: stage.name.clone(),
            outputs: plan.stages[number]
                .outputs
                .iter()
                .map(|(port, kind)| (port.clone(), kind.name().to_owned()))
                .collect(),
        });
        Manifest {
            format: MANIFEST_FORMAT,
            run: self.id.clone(),
            fuseline_version: env!("CARGO_PKG_VERSION").to_owned(),
            workflow: workflow.name.clone(),
            workflow_digest: Digest::from(workflow.digest),
            params: workflow.params.iter().cloned().collect(),
            seed: workflow.seed,
            status: outcome.status().to_owned(),
            started_at: self.started_at,
            seconds: self.started.elapsed().as_secs_f64(),
            peak_memory: peak_memory(),
            undelivered: outcome.undelivered.clone(),
            plugins,
            stages: stages.collect(),
            actions: Vec::new(),
        }
    }
}

/// The text of a manifest with its actions, which are never all in memory.
fn with_actions(
    head: &Manifest,
    plan: &Plan<'_>,
    outcome: &Outcome,
) -> Result<Vec<u8>, serde_json::Error> {
    let mut text = serde_json::to_vec(head)?;
    // The list of actions comes last, and is empty.
    text.truncate(text.len() - b"]}".len());
    for (at, of) in (0..plan.actions).filter(|&of| plan.wants(of)).enumerate() {
        if at > 0 {
            text.push(b',');
        }
        serde_json::to_writer(&mut text, &action(plan, outcome, of))?;
    }
    text.extend(b"]}");
    Ok(text)
}

fn action(plan: &Plan<'_>, outcome: &Outcome, of: ActionId) -> ManifestAction {
    let (stage, _) = plan.stage_of(of);
    let state = outcome.states[of as usize];
    let known = matches!(state, ActionState::Done | ActionState::Cached);
    let outputs = plan.stages[stage].outputs.len();
    let executed = outcome.executed.get(&of);
    let failure = outcome.failures.binary_search_by_key(&of, |failure| failure.action);
    let failure = failure.ok().map(|at| &outcome.failures[at]);
    ManifestAction {
        stage,
        action: plan.site(of),
        state: state.name().to_owned(),
        key: outcome.keys[of as usize],
        outputs: (0..if known { outputs } else { 0 })
            .filter_map(|output| outcome.output(plan, of, output))
            .collect(),
        reason: executed.map(|executed| executed.reason.clone()),
        attempts: executed.map(|executed| executed.attempts).filter(|&attempts| attempts > 1),
        seconds: executed.map(|executed| executed.seconds),
        cpu_seconds: executed.and_then(|executed| executed.cpu_seconds),
        error: failure.map(|failure| failure.error.message.clone()),
    }
}

/// The most memory that this process has had at once, in bytes, where the system tells.
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The keys of the last runs of a workflow. Nothing, when there are none or they cannot be read: they only explain.
pub fn remembered(cache: &Cache, workflow: &str) -> Remembered {
    cache.remembered(workflow).unwrap_or_default()
}
