//! The event log of a run, followed while it grows: counts by stage, what is in flight, what
//! failed.
//!
//! A log may have gigabytes. Its lines are not kept in memory: of an action only its stage, state,
//! time, and the offset of its start in the log. **Invariant:** a line is read when it is complete,
//! and once.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use fuseline_cache::Cache;
use fuseline_engine::{EVENT_LOG_FORMAT, EVENTS_FILE};
use serde::Deserialize;

/// Bytes that are read at once.
const PART: usize = 1 << 20;
/// A longer line is not one that fuseline wrote.
const LONGEST_LINE: usize = 1 << 24;

/// One line of a log.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Line<'l> {
    /// Since the run began.
    pub milliseconds: u64,
    /// Its name among the events.
    #[serde(borrow)]
    pub event: Cow<'l, str>,
    /// The form of the log, on its first line.
    pub format: u32,
    /// The workflow, on its first line.
    #[serde(borrow)]
    pub workflow: Cow<'l, str>,
    /// Stages and their numbers of actions, on its first line.
    pub stages: Vec<(String, usize)>,
    /// A stage.
    #[serde(borrow)]
    pub stage: Cow<'l, str>,
    /// `stage[axis=label]`.
    #[serde(borrow)]
    pub action: Cow<'l, str>,
    /// Why an action was not reused.
    #[serde(borrow)]
    pub reason: Cow<'l, str>,
    /// Why an action failed.
    #[serde(borrow)]
    pub message: Cow<'l, str>,
    /// Final status of the run.
    #[serde(borrow)]
    pub status: Cow<'l, str>,
    /// Number of actions.
    pub actions: usize,
    /// Duration in seconds.
    pub seconds: f64,
}

/// The state of an action that was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Started {
    /// It is being executed.
    Running,
    /// It waits to be executed again: it failed and is tried again, or its input is made again.
    Again,
    /// It is done.
    Done,
    /// It failed.
    Failed,
}

/// An action that was started.
#[derive(Debug, Clone, Copy)]
pub struct StartedAction {
    /// Byte offset of its line in the log.
    pub offset: u64,
    /// Duration once it has ended; until then its start; both in seconds.
    pub seconds: f32,
    /// Its stage, by its place on the first line.
    pub stage: u16,
    /// Its state.
    pub state: Started,
}

/// Progress of the actions of a stage.
#[derive(Debug, Clone, Default)]
pub struct StageProgress {
    /// Its name.
    pub name: String,
    /// Its actions.
    pub total: usize,
    /// Found in the cache.
    pub cached: usize,
    /// Executed.
    pub done: usize,
    /// Failed.
    pub failed: usize,
    /// Not tried.
    pub skipped: usize,
    /// In flight.
    pub running: usize,
    /// Seconds that the executed ones took together.
    pub busy: f64,
}

/// A failure: the action's number among those started, and where in the log its message is.
#[derive(Debug, Clone, Copy)]
pub struct Failure {
    /// Number among [`EventLog::started`].
    pub number: u32,
    /// Byte offset of the line.
    pub offset: u64,
}

/// A log as far as it was read.
pub struct EventLog {
    file: File,
    read: u64,
    /// The beginning of a line whose end is not there yet.
    rest: Vec<u8>,
    /// The workflow.
    pub workflow: String,
    /// The stages, in order.
    pub stages: Vec<StageProgress>,
    by_name: BTreeMap<String, u16>,
    /// The actions that were started, in order.
    pub started: Vec<StartedAction>,
    /// Those in flight, or to be executed again, by name.
    pub in_flight: BTreeMap<String, u32>,
    /// Those that failed, in order.
    pub failures: Vec<Failure>,
    /// Milliseconds of the last line.
    pub milliseconds: u64,
    /// Final status of the run, and its duration in seconds.
    pub end: Option<(String, f64)>,
    /// Why the log cannot be read on.
    pub problem: Option<String>,
    /// Lines that fuseline did not write.
    pub unreadable: usize,
}

impl EventLog {
    /// Opens the log of a run; none when there is none.
    pub fn open(cache: &Cache, run: &str) -> Result<Option<Self>, String> {
        let file = cache.open_run_file(run, EVENTS_FILE).map_err(|error| error.with_cause())?;
        Ok(file.map(|file| Self {
            file,
            read: 0,
            rest: Vec::new(),
            workflow: String::new(),
            stages: Vec::new(),
            by_name: BTreeMap::new(),
            started: Vec::new(),
            in_flight: BTreeMap::new(),
            failures: Vec::new(),
            milliseconds: 0,
            end: None,
            problem: None,
            unreadable: 0,
        }))
    }

    /// Reads on for at most the time `most`. Returns true if the end of the log was reached.
    pub fn read_on(&mut self, most: Duration) -> Result<bool, String> {
        let begun = Instant::now();
        let mut part = vec![0; PART];
        while self.problem.is_none() {
            let length = match self.file.read_at(&mut part, self.read) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(format!("the event log cannot be read: {error}")),
            };
            if length == 0 {
                return Ok(true);
            }
            self.take(&part[..length]);
            if begun.elapsed() >= most {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The bytes that were read, and those that there are.
    pub fn extent(&self) -> (u64, u64) {
        let size = self.file.metadata().map_or(self.read, |metadata| metadata.len());
        (self.read, size.max(self.read))
    }

    /// The line at an offset, as JSON.
    pub fn line_at(&self, offset: u64) -> Result<Vec<u8>, String> {
        let mut line = Vec::new();
        let mut part = [0; 4096];
        while line.len() < LONGEST_LINE {
            let at = offset + line.len() as u64;
            let length = self.file.read_at(&mut part, at).map_err(|error| error.to_string())?;
            let end = part[..length].iter().position(|&byte| byte == b'\n');
            line.extend_from_slice(&part[..end.unwrap_or(length)]);
            if end.is_some() || length == 0 {
                return Ok(line);
            }
        }
        Err("a line of the event log is too long".to_owned())
    }

    fn take(&mut self, part: &[u8]) {
        let mut begin = 0;
        while let Some(length) = part[begin..].iter().position(|&byte| byte == b'\n') {
            let end = begin + length;
            let offset = self.read + begin as u64 - self.rest.len() as u64;
            if self.rest.is_empty() {
                self.take_line(&part[begin..end], offset);
            } else {
                let mut line = std::mem::take(&mut self.rest);
                line.extend_from_slice(&part[begin..end]);
                self.take_line(&line, offset);
            }
            begin = end + 1;
        }
        self.rest.extend_from_slice(&part[begin..]);
        self.read += part.len() as u64;
        if self.rest.len() > LONGEST_LINE {
            self.problem = Some("a line of the event log is too long".to_owned());
        }
    }

    fn take_line(&mut self, line: &[u8], offset: u64) {
        let Ok(line) = serde_json::from_slice::<Line<'_>>(line) else {
            self.unreadable += 1;
            return;
        };
        self.milliseconds = self.milliseconds.max(line.milliseconds);
        if offset == 0 {
            return self.begin(line);
        }
        let stage = self.stage_of(&line);
        match &*line.event {
            "cached" => self.count(stage, |of| of.cached += line.actions),
            "skipped" => self.count(stage, |of| of.skipped += line.actions),
            "started" => self.start(&line, stage, offset),
            "finished" => {
                self.finish(&line, stage, Started::Done);
            }
            "failed" => {
                let number = self.finish(&line, stage, Started::Failed);
                self.failures.extend(number.map(|number| Failure { number, offset }));
            }
            "retrying" | "remaking" => {
                if let Some(&number) = self.in_flight.get(&*line.action) {
                    self.started[number as usize].state = Started::Again;
                    self.count(stage, |of| of.running = of.running.saturating_sub(1));
                }
            }
            "run_finished" => self.end = Some((line.status.into_owned(), line.seconds)),
            _ => {}
        }
    }

    fn begin(&mut self, line: Line<'_>) {
        if line.format != EVENT_LOG_FORMAT {
            let format = line.format;
            self.problem = Some(format!(
                "the event log has form {format}; this fuseline reads form {EVENT_LOG_FORMAT}"
            ));
            return;
        }
        self.workflow = line.workflow.into_owned();
        let names = line.stages.iter().enumerate();
        self.by_name = names
            .filter_map(|(number, (name, _))| Some((name.clone(), u16::try_from(number).ok()?)))
            .collect();
        let stages = line.stages.into_iter();
        let progress = |(name, total)| StageProgress { name, total, ..StageProgress::default() };
        self.stages = stages.map(progress).collect();
    }

    fn stage_of(&self, line: &Line<'_>) -> Option<u16> {
        let name = match line.stage.is_empty() {
            true => line.action.split('[').next().unwrap_or_default(),
            false => &line.stage,
        };
        self.by_name.get(name).copied()
    }

    fn count(&mut self, stage: Option<u16>, change: impl FnOnce(&mut StageProgress)) {
        if let Some(stage) = stage.and_then(|stage| self.stages.get_mut(usize::from(stage))) {
            change(stage);
        }
    }

    fn start(&mut self, line: &Line<'_>, stage: Option<u16>, offset: u64) {
        let Some(stage) = stage else { return };
        let seconds = line.milliseconds as f32 / 1000.0;
        let action = StartedAction { offset, seconds, stage, state: Started::Running };
        match self.in_flight.get(&*line.action) {
            // It is tried again.
            Some(&number) => self.started[number as usize] = action,
            None => {
                let Ok(number) = u32::try_from(self.started.len()) else { return };
                self.started.push(action);
                self.in_flight.insert(line.action.clone().into_owned(), number);
            }
        }
        self.count(Some(stage), |of| of.running += 1);
    }

    fn finish(&mut self, line: &Line<'_>, stage: Option<u16>, state: Started) -> Option<u32> {
        let number = self.in_flight.remove(&*line.action)?;
        let action = &mut self.started[number as usize];
        let began = f64::from(action.seconds);
        let took = match state {
            Started::Done => line.seconds,
            _ => (line.milliseconds as f64 / 1000.0 - began).max(0.0),
        };
        action.seconds = took as f32;
        action.state = state;
        self.count(stage, |of| {
            of.running = of.running.saturating_sub(1);
            of.busy += took;
            match state {
                Started::Done => of.done += 1,
                _ => of.failed += 1,
            }
        });
        Some(number)
    }

    /// Seconds until the end, if what is left takes as long as what was executed and as much is
    /// done at once; none before anything was.
    pub fn seconds_left(&self) -> Option<f64> {
        let executed: usize = self.stages.iter().map(|stage| stage.done).sum();
        let busy: f64 = self.stages.iter().map(|stage| stage.busy).sum();
        let elapsed = self.milliseconds as f64 / 1000.0;
        if executed == 0 || elapsed <= 0.0 || self.end.is_some() {
            return None;
        }
        let mean = busy / executed as f64;
        let left = self.stages.iter().map(|stage| {
            let of_stage = if stage.done > 0 { stage.busy / stage.done as f64 } else { mean };
            stage.left() as f64 * of_stage
        });
        let at_once = (busy / elapsed).max(1.0);
        Some(left.sum::<f64>() / at_once)
    }
}

impl StageProgress {
    /// Actions that are still to come or in flight.
    pub fn left(&self) -> usize {
        self.total.saturating_sub(self.cached + self.done + self.failed + self.skipped)
    }
}
