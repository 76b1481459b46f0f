//! Checks in the background: the server answers requests while a check runs, and after one fails.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};
use fuseline::{OpenContext, Study, cache_if_exists, inspect, short_name};
use fuseline_workflow::Workflow;
use lsp_types as lsp;

use crate::diagnostics::{Found, Published};
use crate::position::Encoding;
use crate::project::RuleName;

/// A check starts when nothing has changed for this time, and at the latest after `MAX_DELAY`. The
/// first of a workflow starts at once: nobody is typing yet.
const DEBOUNCE: Duration = Duration::from_millis(8);
const MAX_DELAY: Duration = Duration::from_millis(40);

/// A workflow to check.
#[derive(Clone)]
pub(crate) struct Job {
    pub root: PathBuf,
    /// Number of the state of the texts; a higher one is newer.
    pub revision: u64,
    pub study: Study,
    pub encoding: Encoding,
    /// The cache to look into.
    pub cache: PathBuf,
}

/// Outcome of a check.
pub(crate) struct Outcome {
    pub root: PathBuf,
    pub revision: u64,
    pub found: Vec<Found>,
    /// Every file that was read for it.
    pub files: Vec<PathBuf>,
    /// The workflow, when the language has nothing against it.
    pub workflow: Option<Arc<Workflow>>,
    pub rules: Arc<[RuleName]>,
    /// The check itself failed, which it should not.
    pub failure: Option<String>,
}

/// Number of actions of a stage, and of those in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StageCounts {
    pub stage: String,
    pub cached: usize,
    pub actions: usize,
}

/// Result of a look into the cache.
pub(crate) struct Looked {
    pub root: PathBuf,
    pub revision: u64,
    /// `None` when there is no cache, or no plan.
    pub stages: Option<Vec<StageCounts>>,
}

/// A thread that takes jobs, of each workflow only the newest, and sends what it makes of them.
pub(crate) struct Worker<T> {
    /// `None` once no more jobs are to come.
    jobs: Option<Sender<Job>>,
    pub results: Receiver<T>,
    thread: Option<JoinHandle<()>>,
}

impl<T: Send + 'static> Worker<T> {
    /// Starts a thread that does `work`.
    pub fn start(name: &str, work: impl Fn(Job) -> T + Send + 'static) -> std::io::Result<Self> {
        let (jobs, queue) = unbounded::<Job>();
        let (done, results) = unbounded();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let mut known = BTreeSet::new();
            while let Ok(job) = queue.recv() {
                let wait = if known.insert(job.root.clone()) { Duration::ZERO } else { DEBOUNCE };
                for job in newest(job, &queue, wait).into_values() {
                    if done.send(work(job)).is_err() {
                        return;
                    }
                }
            }
        })?;
        Ok(Self { jobs: Some(jobs), results, thread: Some(thread) })
    }

    /// Queues a job, to run unless a newer one of its workflow comes soon.
    pub fn request(&self, job: Job) {
        if let Some(jobs) = &self.jobs {
            // The thread ends when this is dropped, and not before.
            let _ = jobs.send(job);
        }
    }
}

impl<T> Drop for Worker<T> {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The newest job of each workflow, once none has come for a while.
fn newest(first: Job, queue: &Receiver<Job>, wait: Duration) -> BTreeMap<PathBuf, Job> {
    let start = Instant::now();
    let mut jobs = BTreeMap::from([(first.root.clone(), first)]);
    while let Ok(job) = queue.recv_timeout(wait.min(MAX_DELAY.saturating_sub(start.elapsed()))) {
        jobs.insert(job.root.clone(), job);
    }
    jobs
}

/// Checks a workflow; a panic of a check is its outcome, and no end of the server.
pub(crate) fn check(job: Job, context: &OpenContext) -> Outcome {
    let (root, revision) = (job.root.clone(), job.revision);
    let outcome = catch_unwind(AssertUnwindSafe(|| check_or_panic(job, context)));
    outcome.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason");
        Outcome {
            files: vec![root.clone()],
            failure: Some(format!("the check of {} failed: {text}", root.display())),
            found: Vec::new(),
            workflow: None,
            rules: Arc::from([]),
            root,
            revision,
        }
    })
}

fn check_or_panic(job: Job, context: &OpenContext) -> Outcome {
    let Job { root, revision, study, encoding, .. } = job;
    let mut outcome = Outcome {
        files: vec![root.clone()],
        found: Vec::new(),
        workflow: None,
        rules: Arc::from([]),
        failure: None,
        root,
        revision,
    };
    let study = match study.open_in(context) {
        Ok(study) => study,
        Err(error) => {
            outcome.found.push(Found::of_request(&outcome.root, &error));
            return outcome;
        }
    };
    let mut published = Published::new(&outcome.root, study.files(), encoding);
    let diagnostics = study.check().diagnostics;
    outcome.found = diagnostics.iter().map(|found| published.convert(found)).collect();
    outcome.files.extend(published.files());
    let rules = study.rules().map(|(id, file)| RuleName {
        name: short_name(id).to_owned(),
        file: file.display().to_string(),
        id: id.to_owned(),
    });
    outcome.rules = rules.collect();
    outcome.workflow = study.into_workflow().map(Arc::new);
    outcome
}

/// Looks up every action of a workflow in a cache; a panic counts as nothing found.
pub(crate) fn look(job: Job, context: &OpenContext) -> Looked {
    let Job { root, revision, study, cache, .. } = job;
    let count = || count_cached(&study, context, &cache);
    let stages = catch_unwind(AssertUnwindSafe(count)).ok().flatten();
    Looked { root, revision, stages }
}

fn count_cached(study: &Study, context: &OpenContext, cache: &Path) -> Option<Vec<StageCounts>> {
    let cache = cache_if_exists(cache).ok()??;
    let mut study = study.open_in(context).ok()?;
    study.use_memos(&cache);
    let plan = study.plan(&[]).ok()?;
    let inspection = inspect(&plan, Some(&cache)).ok()?;
    let mut counts: Vec<_> = plan
        .stages()
        .into_iter()
        .map(|(stage, actions)| StageCounts { stage, cached: 0, actions })
        .collect();
    for action in inspection.actions.iter().filter(|action| action.is_cached()) {
        counts[usize::from(plan.stage_of(action.action).0)].cached += 1;
    }
    Some(counts)
}

/// A severity in the protocol's words.
pub(crate) fn severity(severity: fuseline_workflow::Severity) -> lsp::DiagnosticSeverity {
    match severity {
        fuseline_workflow::Severity::Error => lsp::DiagnosticSeverity::ERROR,
        fuseline_workflow::Severity::Warning => lsp::DiagnosticSeverity::WARNING,
    }
}
