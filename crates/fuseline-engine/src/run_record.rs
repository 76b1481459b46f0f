//! What is kept of a run: an event log while it goes on, a manifest when it ends.

use std::io::{self, BufWriter, Write};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use fuseline_artifact::Digest;
use fuseline_cache::{Cache, CacheError};
use serde::Serialize;
use serde_json::json;
use thiserror::Error;

use crate::events::Event;
use crate::execute::{ActionState, Outcome, Remembered};
use crate::plan::{ActionId, Plan};
use crate::provenance::site;

/// The record of one run, in `cache/runs/ID/`.
pub struct RunRecord<'a> {
    cache: &'a Cache,
    id: String,
    started: Instant,
    started_at: u64,
    events: BufWriter<std::fs::File>,
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
        let events = BufWriter::new(std::fs::File::create(folder.join("events.jsonl"))?);
        let mut record =
            Self { cache, id, started: Instant::now(), started_at, events, lost: None };
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
        let written = serde_json::to_writer(&mut self.events, &line)
            .map_err(io::Error::from)
            .and_then(|()| self.events.write_all(b"\n"));
        if let Err(error) = written {
            self.lost.get_or_insert(error);
        }
    }

    /// Writes the manifest, and remembers the keys so that the next plan can say what changed. Gives the last event.
    pub fn finish(&mut self, plan: &Plan<'_>, outcome: &Outcome) -> Result<Event, RecordError> {
        let status = match outcome {
            Outcome { interrupted: true, .. } => "interrupted",
            Outcome { failures, .. } if failures.is_empty() => "ok",
            _ => "failed",
        };
        let end = Event::RunFinished {
            status: status.to_owned(),
            seconds: self.started.elapsed().as_secs_f64(),
        };
        self.note(&end);
        self.events.flush()?;
        if let Some(lost) = self.lost.take() {
            return Err(lost.into());
        }
        let workflow = plan.workflow();
        let mut remembered = Remembered::new();
        let mut actions = Vec::new();
        for action in (0..plan.len()).filter(|&action| plan.wants(action as ActionId)) {
            let of = action as ActionId;
            let (stage, _) = plan.stage_of(of);
            let site = site(&workflow.stages[stage].name, &plan.point(of));
            let state = outcome.states[action];
            actions.push(json!([
                site,
                state.name(),
                outcome.keys[action].map(|key| key.to_string())
            ]));
            if let (ActionState::Done | ActionState::Cached, Some(key)) =
                (state, outcome.keys[action])
            {
                remembered.insert(site, key);
            }
        }
        let manifest = json!({
            "format": 1,
            "run": self.id,
            "fuseline_version": env!("CARGO_PKG_VERSION"),
            "workflow": workflow.name,
            "workflow_digest": Digest::from(workflow.digest).to_string(),
            "params": workflow.params.iter().cloned().collect::<serde_json::Map<_, _>>(),
            "seed": workflow.seed,
            "status": status,
            "started_at": self.started_at,
            "seconds": self.started.elapsed().as_secs_f64(),
            "actions": actions,
        });
        self.cache.write_run_file(&self.id, "manifest.json", manifest.to_string().as_bytes())?;
        if outcome.count(ActionState::Done) > 0 {
            self.cache.remember(&workflow.name, &remembered)?;
        }
        Ok(end)
    }
}

/// The keys of the last runs of a workflow. Nothing, when there are none or they cannot be read: they only explain.
pub fn remembered(cache: &Cache, workflow: &str) -> Remembered {
    cache.remembered(workflow).unwrap_or_default()
}
