//! A run as pages show it: from its manifest when it has ended, from its event log before.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use axum::response::Response;
use fuseline_engine::{MANIFEST_FILE, ManifestStage};
use fuseline_workflow::StageIndex;

use crate::deferred::Reading;
use crate::event_log::{EventLog, StageProgress};
use crate::frame;
use crate::manifest_index::{Ended, ManifestIndex};
use crate::server::App;

/// Maximum number of logs followed at once.
const MOST_LOGS: usize = 2;
/// Time that a page may read in a log.
const PATIENCE: Duration = Duration::from_millis(30);
/// Time that a thread holds the lock of a log that it catches up with.
const TURN: Duration = Duration::from_millis(10);

/// A log that is followed.
pub struct FollowedLog {
    run: String,
    log: Arc<SharedLog>,
    used: Instant,
}

/// A log that pages look at while a thread reads on.
pub struct SharedLog {
    log: Mutex<EventLog>,
    /// Number of pages that wait for it: they take precedence over the thread.
    wanted: AtomicUsize,
    /// True if a thread reads on.
    is_read: AtomicBool,
}

impl SharedLog {
    fn new(log: EventLog) -> Self {
        Self { log: Mutex::new(log), wanted: AtomicUsize::new(0), is_read: AtomicBool::new(false) }
    }

    /// The log, for a page. A panic elsewhere has left it whole: lines are taken one by one.
    pub fn lock(&self) -> MutexGuard<'_, EventLog> {
        self.wanted.fetch_add(1, Ordering::AcqRel);
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        self.wanted.fetch_sub(1, Ordering::AcqRel);
        log
    }

    /// Reads on for a moment, unless a thread does. Whether all was read.
    fn catch_up(&self) -> Result<bool, String> {
        let mut log = self.lock();
        match self.is_read.load(Ordering::Acquire) {
            true => Ok(false),
            false => log.read_on(PATIENCE),
        }
    }

    /// Reads to the end, and lets pages go first.
    fn read_to_end(&self) {
        loop {
            while self.wanted.load(Ordering::Acquire) > 0 {
                std::thread::sleep(Duration::from_micros(200));
            }
            let read = self.log.lock().unwrap_or_else(PoisonError::into_inner).read_on(TURN);
            if !matches!(read, Ok(false)) {
                self.is_read.store(false, Ordering::Release);
                return;
            }
        }
    }
}

/// A run.
pub enum RunView {
    /// It has ended.
    Ended(Arc<ManifestIndex>),
    /// It has no manifest: it goes on, or it was killed.
    Open {
        /// Its log, as far as it was read.
        log: Arc<SharedLog>,
        /// True if all of the log was read.
        whole: bool,
        /// True if its process is alive.
        alive: bool,
    },
}

impl App {
    /// True if the cache keeps a run of this name.
    pub fn has_run(&self, run: &str) -> bool {
        self.cache.runs().is_ok_and(|runs| runs.iter().any(|known| known == run))
    }

    /// True if a run has a manifest.
    pub fn has_manifest(&self, run: &str) -> bool {
        self.cache.open_run_file(run, MANIFEST_FILE).is_ok_and(|file| file.is_some())
    }

    /// The view of a run, or the page that says why there is none.
    pub async fn view(self: &Arc<Self>, run: &str) -> Result<RunView, Response> {
        if !self.has_run(run) {
            let words = "The cache keeps no run of this name.";
            return Err(frame::not_found(words));
        }
        if self.has_manifest(run) {
            return match self.manifest(run).await {
                None => Err(frame::page(format!("Run {run}"))
                    .under("/", "Runs")
                    .waits("The run is being read; the page shows it in a moment.")
                    .response()),
                Some(Ok(index)) => Ok(RunView::Ended(index)),
                Some(Err(problem)) => Err(unreadable(&problem)),
            };
        }
        let alive = self.cache.is_run_alive(run).unwrap_or(false);
        let log = match self.follow(run) {
            Ok(Some(log)) => log,
            Ok(None) => {
                return Err(unreadable("The run has neither a manifest nor a log."));
            }
            Err(problem) => return Err(unreadable(&problem)),
        };
        let reading = log.clone();
        let read = tokio::task::spawn_blocking(move || reading.catch_up()).await;
        let whole = match read {
            Ok(Ok(whole)) => whole,
            Ok(Err(problem)) => return Err(unreadable(&problem)),
            Err(_) => return Err(unreadable("The log could not be read.")),
        };
        if !whole && !log.is_read.swap(true, Ordering::AcqRel) {
            let log = log.clone();
            tokio::task::spawn_blocking(move || log.read_to_end());
        }
        Ok(RunView::Open { log, whole, alive })
    }

    /// The manifest of a run that has one; none while it is being read.
    pub async fn manifest(self: &Arc<Self>, run: &str) -> Option<Reading<ManifestIndex>> {
        let (app, name) = (self.clone(), run.to_owned());
        let read = move || {
            let index = ManifestIndex::read(&app.cache, &name)?;
            index.ok_or_else(|| format!("the run {name} has no manifest"))
        };
        self.manifests.get(&run.to_owned(), read).await
    }

    fn follow(&self, run: &str) -> Result<Option<Arc<SharedLog>>, String> {
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(followed) = logs.iter_mut().find(|followed| followed.run == run) {
            followed.used = Instant::now();
            return Ok(Some(followed.log.clone()));
        }
        let Some(log) = EventLog::open(&self.cache, run)? else { return Ok(None) };
        if logs.len() >= MOST_LOGS
            && let Some(oldest) = (0..logs.len()).min_by_key(|&place| logs[place].used)
        {
            logs.swap_remove(oldest);
        }
        let log = Arc::new(SharedLog::new(log));
        logs.push(FollowedLog { run: run.to_owned(), log: log.clone(), used: Instant::now() });
        Ok(Some(log))
    }
}

/// The page of what cannot be read.
pub fn unreadable(problem: &str) -> Response {
    frame::problem(StatusCode::OK, "This cannot be shown", problem)
}

/// Progress of the stages of a run that has ended.
pub fn ended_stages(index: &ManifestIndex) -> Vec<StageProgress> {
    let progress = |(number, stage): (StageIndex, &ManifestStage)| {
        let count = |state| index.count(Some(number), state);
        let [cached, done, failed, skipped] =
            [Ended::Cached, Ended::Done, Ended::Failed, Ended::Skipped].map(count);
        StageProgress {
            name: stage.name.clone(),
            total: cached + done + failed + skipped,
            cached,
            done,
            failed,
            skipped,
            busy: index.busy(number),
            ..StageProgress::default()
        }
    };
    index.head.stages.iter_enumerated().map(progress).collect()
}
