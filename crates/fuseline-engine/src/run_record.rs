//! Record of a run: an event log while it goes on, a manifest when it ends.
//!
//! Most of a manifest is about the plan, and the same in every run in which all of it is cached:
//! [`Unchanged`] has it, so that such a run need not make it again.

use std::io::{self, Write};
use std::ops::Range;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use fuseline_artifact::Digest;
use fuseline_cache::{Attachment, Cache, CacheError, PreviousKeys};
use fuseline_workflow::{IndexVec, StageIndex};
use rayon::prelude::*;
use serde::Serialize;
use serde_json::{Map, Value};
use thiserror::Error;

use crate::cautions::Caution;
use crate::environment::Environment;
use crate::events::{EVENT_LOG_FORMAT, Event};
use crate::execute::{ActionState, Outcome};
use crate::explain::failed_label;
use crate::files_read::FileRead;
use crate::machine::{Machine, peak_memory};
use crate::manifest::{
    ActionCounts, MANIFEST_FILE, MANIFEST_FORMAT, ManifestAction, ManifestStage,
};
use crate::plan::{ActionId, Plan};

/// The name of the event log in the folder of a run.
pub const EVENTS_FILE: &str = "events.jsonl";

/// Usual bytes of an action in a manifest.
const ACTION: usize = 256;
/// Number of actions that are written at a time.
///
/// Tests have smaller parts, whose objects have files of their own.
pub(crate) const PART: usize = if cfg!(test) { 64 } else { 512 };
/// Bytes of buffered lines that are written without waiting for more.
const MOST_LINES: usize = 1 << 16;

/// A run that is alive, and may have written nothing yet.
#[derive(Debug, Clone)]
pub struct RunId {
    id: String,
    started: Instant,
    started_at: u64,
}

impl RunId {
    /// An id for a run that begins now: what it looks up in the cache from now on is not collected.
    pub fn announce(cache: &Cache) -> Result<Self, CacheError> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let started_at = since.as_secs();
        // Sorts by time, behind every run that is there, whatever a clock said; runs of one instant
        // are told apart by their process.
        let last = cache.runs()?.iter().filter_map(|run| instant(run)).max();
        let at = since.as_nanos().max(last.map_or(0, |last| last + 1)).min(LAST_INSTANT);
        let id = format!("{at:019}-{}", std::process::id());
        cache.announce_run(&id)?;
        Ok(Self { id, started: Instant::now(), started_at })
    }
}

/// The nanoseconds since 1970 that a run's id begins with.
fn instant(run: &str) -> Option<u128> {
    let (digits, _) = run.split_once('-').filter(|(digits, _)| digits.len() == ID_DIGITS)?;
    digits.parse().ok()
}

/// The digits that a run's id begins with.
const ID_DIGITS: usize = 19;
/// The last instant that has so many.
const LAST_INSTANT: u128 = 9_999_999_999_999_999_999;

/// The record of one run, in `cache/runs/ID/`.
pub struct RunRecord<'a> {
    cache: &'a Cache,
    run: RunId,
    events: std::fs::File,
    /// Lines that are not written yet.
    lines: Vec<u8>,
    /// Traffic with a remote cache, for the manifest.
    remote: Option<Value>,
    /// Conditions of rules and programs, for the manifest.
    environment: Environment,
    /// The first failure to write an event; reported at the end, since a lost log must not stop the
    /// work.
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
    /// Opens the record of a new run of a workflow with these stages and so many actions each.
    pub fn begin(
        cache: &'a Cache,
        run: &RunId,
        workflow: &str,
        stages: Vec<(String, usize)>,
    ) -> Result<Self, RecordError> {
        let folder = cache.new_run(&run.id)?;
        let events = std::fs::File::create_new(folder.join(EVENTS_FILE))?;
        let (id, workflow) = (run.id.clone(), workflow.to_owned());
        let mut record = Self {
            cache,
            run: run.clone(),
            events,
            lines: Vec::new(),
            remote: None,
            environment: Environment::default(),
            lost: None,
        };
        record.note(&Event::RunStarted { format: EVENT_LOG_FORMAT, run: id, workflow, stages });
        Ok(record)
    }

    /// The id of the run.
    pub fn id(&self) -> &str {
        &self.run.id
    }

    /// Adds the conditions of rules and programs to the manifest.
    pub fn set_environment(&mut self, environment: Environment) {
        self.environment = environment;
    }

    /// Adds the traffic with a remote cache to the manifest.
    pub fn set_remote(&mut self, traffic: Value) {
        self.remote = Some(traffic);
    }

    /// Appends an event, with the milliseconds since the run began.
    pub fn note(&mut self, event: &Event) {
        let milliseconds = self.run.started.elapsed().as_millis();
        // Writing to memory does not fail.
        let _ = write!(self.lines, "{{\"milliseconds\":{milliseconds}");
        // The event's brace becomes a comma, and two mappings one.
        let brace = self.lines.len();
        let written = serde_json::to_writer(&mut self.lines, event).map_err(io::Error::from);
        self.lines.get_mut(brace).into_iter().for_each(|brace| *brace = b',');
        self.lines.push(b'\n');
        // Cache hits arrive many stages at a time, and are written with the next event.
        let waits = matches!(event, Event::Cached { .. }) && self.lines.len() < MOST_LINES;
        // Whole lines in one call: what a killed run leaves ends with a whole line, or with one
        // torn.
        let written = written.and_then(|()| if waits { Ok(()) } else { self.write_lines() });
        if let Err(error) = written {
            self.lost.get_or_insert(error);
        }
    }

    fn write_lines(&mut self) -> io::Result<()> {
        let lines = std::mem::take(&mut self.lines);
        self.events.write_all(&lines)
    }

    /// Writes the manifest, and remembers the keys so that the next plan can say what changed.
    /// `files`: every file that was read. `describe` does meanwhile what is to be done before the
    /// manifest is written; `keep` gets what it gives, and what the next run leaves behind if
    /// nothing changes, and keeps it. Gives the last event.
    pub fn finish<D: Send, E: From<RecordError> + Send>(
        &mut self,
        plan: &Plan<'_>,
        outcome: &Outcome,
        files: &[FileRead],
        describe: impl FnOnce() -> Result<D, E> + Send,
        keep: impl FnOnce(Option<Unchanged>, D) + Send,
    ) -> Result<Event, E> {
        let cache = self.cache;
        // Threads are started only for what is executed.
        let threads = outcome.count(ActionState::Done) > 0;
        let environment = self.environment.clone();
        let about = || about_plan(plan, outcome, files, environment, threads);
        let (about, (remembered, described)) = match threads {
            false => {
                let has_failures = outcome.count(ActionState::Failed) > 0;
                let remembered = if has_failures { remember(cache, plan, outcome) } else { Ok(()) };
                (about(), (remembered, describe()))
            }
            true => rayon::join(about, || rayon::join(|| remember(cache, plan, outcome), describe)),
        };
        let described = described?;
        remembered.map_err(RecordError::from)?;
        let AboutBoth { now, next } = about.map_err(RecordError::from)?;
        let next = next.map(|manifest| Unchanged { stages: plan.stages(), manifest });
        let counts = counts(plan, outcome);
        let mut end = || {
            let undelivered = outcome.undelivered.as_deref();
            self.end(outcome.status(), counts, undelivered, |cache, run, head| {
                let now = now.iter().map(Bytes::as_ref);
                let parts: Vec<&[u8]> = std::iter::once(head).chain(now).collect();
                cache.write_run_file(run, MANIFEST_FILE, &parts)
            })
        };
        let keep = || keep(next, described);
        let (end, ()) = match threads {
            false => (end(), keep()),
            true => rayon::join(end, keep),
        };
        Ok(end?)
    }

    /// Writes what a run leaves behind in which all was as another had left it, as [`Unchanged`]
    /// says: `manifest` is the part of an attachment that has it. Gives the last event.
    pub fn finish_unchanged(
        &mut self,
        stages: Vec<(String, usize)>,
        (attachment, manifest): (&mut Attachment, Range<u64>),
        observe: &mut dyn FnMut(&Event),
    ) -> Result<Event, RecordError> {
        let cached = stages.iter().map(|(_, actions)| actions).sum();
        for (stage, actions) in stages {
            let event = Event::Cached { stage, actions };
            observe(&event);
            self.note(&event);
        }
        let counts = ActionCounts { cached, ..ActionCounts::default() };
        self.end("ok", counts, None, |cache, run, head| {
            cache.write_run_file_with(run, MANIFEST_FILE, &[head], attachment, manifest)
        })
    }

    /// Notes the end and writes the manifest: what is about this run, and what is about its plan,
    /// which `write` puts behind it into the file of the run.
    fn end(
        &mut self,
        status: &str,
        counts: ActionCounts,
        undelivered: Option<&str>,
        write: impl FnOnce(&Cache, &str, &[u8]) -> Result<(), CacheError>,
    ) -> Result<Event, RecordError> {
        let seconds = self.run.started.elapsed().as_secs_f64();
        let end = Event::RunFinished { status: status.to_owned(), seconds };
        self.note(&end);
        if let Some(lost) = self.lost.take() {
            return Err(lost.into());
        }
        let about_run = AboutRun {
            format: MANIFEST_FORMAT,
            run: &self.run.id,
            status,
            started_at: self.run.started_at,
            seconds: self.run.started.elapsed().as_secs_f64(),
            counts,
            peak_memory: peak_memory(),
            machine: Machine::this(),
            undelivered,
            remote: self.remote.as_ref(),
        };
        let mut head = serde_json::to_vec(&about_run).map_err(io::Error::from)?;
        // Two mappings become one.
        head.pop();
        head.push(b',');
        write(self.cache, &self.run.id, &head)?;
        Ok(end)
    }
}

/// Record of a run in which all of the plan is cached.
pub struct Unchanged {
    /// The stages, and how many actions each has.
    pub stages: Vec<(String, usize)>,
    /// Part of the manifest that is about the plan, in pieces.
    pub manifest: Vec<Bytes>,
}

/// Counts the actions that the run wanted by their last states.
fn counts(plan: &Plan<'_>, outcome: &Outcome) -> ActionCounts {
    let wanted = plan.actions().filter(|&action| plan.wants(action));
    let mut counts = ActionCounts { duplicates: outcome.duplicates, ..ActionCounts::default() };
    for state in wanted.map(|action| outcome.states[action]) {
        match state {
            ActionState::Cached => counts.cached += 1,
            ActionState::Done => counts.done += 1,
            ActionState::Failed => counts.failed += 1,
            _ => counts.skipped += 1,
        }
    }
    counts
}

/// Remembers the keys of all actions whose outputs are there, and of those that failed. What was
/// not tried keeps what is remembered of it.
fn remember(cache: &Cache, plan: &Plan<'_>, outcome: &Outcome) -> Result<(), CacheError> {
    let name = &plan.workflow().name;
    let is_whole = plan.actions().all(|of| outcome.states[of].is_made());
    let previous = if is_whole { PreviousKeys::default() } else { previous_keys(cache, name) };
    let keys = plan.actions().flat_map(|of| {
        let label = plan.action_label(of);
        let (key, state) = (outcome.keys[of], outcome.states[of]);
        if state.is_made() {
            return [key.map(|key| (label, key)), None].into_iter().flatten();
        }
        let failed = failed_label(&label);
        let failure = if state == ActionState::Failed { key } else { previous.get(&failed) };
        let made = previous.get(&label).map(|key| (label, key));
        [made, failure.map(|key| (failed, key))].into_iter().flatten()
    });
    cache.remember(name, keys)
}

/// The part of a [`Manifest`](crate::Manifest) that is about one run.
#[derive(Serialize)]
struct AboutRun<'a> {
    format: u32,
    run: &'a str,
    status: &'a str,
    started_at: u64,
    seconds: f64,
    counts: ActionCounts,
    peak_memory: Option<u64>,
    machine: Machine,
    #[serde(skip_serializing_if = "Option::is_none")]
    undelivered: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote: Option<&'a Value>,
}

/// The part of a [`Manifest`](crate::Manifest) that is about the plan, as JSON without its first
/// brace, in parts.
struct AboutBoth {
    /// In this run.
    now: Vec<Bytes>,
    /// In the next run, if all of the plan is then cached: nothing when this run did not make all
    /// of it, or some of it is made in every run. Most of it is the same, and is not there twice.
    next: Option<Vec<Bytes>>,
}

/// Writes the part of the manifest that is about the plan; on several threads, if there are any.
fn about_plan(
    plan: &Plan<'_>,
    outcome: &Outcome,
    files: &[FileRead],
    environment: Environment,
    threads: bool,
) -> io::Result<AboutBoth> {
    let workflow = plan.workflow();
    let plugins = plan.rules().into_iter().map(|rule| (rule.id.clone(), rule.digest)).collect();
    let stages = workflow.stages.iter_enumerated().map(|(number, stage)| ManifestStage {
        name: stage.name.clone(),
        outputs: plan.stages[number]
            .outputs
            .iter()
            .map(|(port, kind)| (port.clone(), kind.name().to_owned()))
            .collect(),
    });
    let mut head = serde_json::to_vec(&AboutPlan {
        fuseline_version: env!("CARGO_PKG_VERSION"),
        workflow: &workflow.name,
        workflow_digest: Digest::from(workflow.digest),
        params: workflow.params.iter().cloned().collect(),
        seed: workflow.seed,
        plugins,
        files,
        environment,
        stages: stages.collect(),
        cautions: Caution::group(&outcome.cautions),
        actions: [],
    })?;
    // The list of actions comes last, and is empty.
    let tail = Bytes::from(head.split_off(head.len() - b"]}".len()));
    let head = Bytes::from(head).slice(1..);
    let mut stages = workflow.stages.iter();
    let is_repeatable =
        outcome.states.iter().all(|of| of.is_made()) && stages.all(|stage| stage.execution.cache);
    let wanted: Vec<_> = plan.actions().filter(|&of| plan.wants(of)).collect();
    let first = wanted.first().copied();
    let about = |part: &[ActionId]| about_actions(plan, outcome, part, first);
    let parts: Vec<_> = match threads {
        true => wanted.par_chunks(PART).map(about).collect::<io::Result<_>>()?,
        false => wanted.chunks(PART).map(about).collect::<io::Result<_>>()?,
    };
    let (now, next): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    let whole = |parts| [vec![head.clone()], parts, vec![tail.clone()]].concat();
    Ok(AboutBoth { now: whole(now), next: is_repeatable.then(|| whole(next)) })
}

/// Manifest entries of some actions: in this run, and in the next if they are then cached. Each but
/// the first has a comma before it.
fn about_actions(
    plan: &Plan<'_>,
    outcome: &Outcome,
    actions: &[ActionId],
    first: Option<ActionId>,
) -> io::Result<(Bytes, Bytes)> {
    let write = |text: &mut Vec<u8>, of, state| {
        text.extend((Some(of) != first).then_some(b','));
        serde_json::to_writer(text, &action(plan, outcome, of, state))
    };
    let mut now = Vec::with_capacity(actions.len() * ACTION);
    // From the first action on that the next run will say something else of.
    let mut next: Option<Vec<u8>> = None;
    for &of in actions {
        let (start, state) = (now.len(), outcome.states[of]);
        write(&mut now, of, state)?;
        if state == ActionState::Cached {
            next.iter_mut().for_each(|next| next.extend_from_slice(&now[start..]));
        } else {
            let next = next.get_or_insert_with(|| now[..start].to_vec());
            write(next, of, ActionState::Cached)?;
        }
    }
    let now = Bytes::from(now);
    let next = next.map_or_else(|| now.clone(), Bytes::from);
    Ok((now, next))
}

/// The part of a [`Manifest`](crate::Manifest) that is about the plan.
#[derive(Serialize)]
struct AboutPlan<'a> {
    fuseline_version: &'a str,
    workflow: &'a str,
    workflow_digest: Digest,
    params: Map<String, Value>,
    seed: u64,
    plugins: Vec<(String, Digest)>,
    files: &'a [FileRead],
    #[serde(skip_serializing_if = "Environment::is_empty")]
    environment: Environment,
    stages: IndexVec<StageIndex, ManifestStage>,
    cautions: Vec<Caution>,
    actions: [ManifestAction; 0],
}

fn action(plan: &Plan<'_>, outcome: &Outcome, of: ActionId, state: ActionState) -> ManifestAction {
    let (stage, _) = plan.stage_of(of);
    let known = state.is_made();
    let outputs = known.then(|| plan.stages[stage].outputs.keys());
    // A cached action was not executed by the run that says so.
    let executed = outcome.executed.get(&of).filter(|_| state != ActionState::Cached);
    let failure = outcome.failures.binary_search_by_key(&of, |failure| failure.action);
    let failure = failure.ok().map(|at| &outcome.failures[at]);
    ManifestAction {
        stage,
        action: plan.action_label(of),
        state: state.name().to_owned(),
        key: outcome.keys[of],
        outputs: outputs
            .into_iter()
            .flatten()
            .filter_map(|output| outcome.output(plan, of, output))
            .collect(),
        reason: executed.map(|executed| executed.reason.clone()),
        attempts: executed.map(|executed| executed.attempts).filter(|&attempts| attempts > 1),
        seconds: executed.map(|executed| executed.seconds),
        cpu_seconds: executed.and_then(|executed| executed.cpu_seconds),
        memory: executed.and_then(|executed| executed.memory),
        error: failure.map(|failure| failure.error.message.clone()),
    }
}

/// The keys of the last runs of a workflow. Nothing, when there are none or they cannot be read:
/// they only explain.
pub fn previous_keys(cache: &Cache, workflow: &str) -> PreviousKeys {
    cache.remembered(workflow).unwrap_or_default()
}
