//! One resolved action: all that is needed to run it, and nothing of the workflow.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use fuseline_artifact::{Artifact, ArtifactKind, Digest, Sequence};
use fuseline_cache::{
    ActionKey, ActionRecord, Cache, CacheError, Lease, ObjectReader, OutputRecord,
};
use fuseline_workflow::MemoryRetry;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::cautions;
use crate::discovered;
use crate::error::StageError;
use crate::execute::ExecuteError;
use crate::executor::{Completion, Drive, Executed, Executor, JobQueue, Submission};
use crate::inputs::{InputsBuilder, Outputs, Point, Provenance};
use crate::inspect::{Lookup, look_up};
use crate::installed::Installation;
use crate::job_folder::JobFolder;
use crate::key::Field;
use crate::kind::Kinds;
use crate::recent::Recent;
use crate::resolve::ResolvedInput;
use crate::services::Services;
use fuseline_host::{Conditions, Isolation};

/// One resolved action.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Its key.
    pub key: ActionKey,
    /// `stage[axis=label]`, for people.
    pub site: String,
    /// The name of its stage kind.
    pub kind: String,
    /// Resolved options, as written under `with:` in the workflow.
    pub options: Arc<Map<String, Value>>,
    /// The seed: the stage's own, or the workflow's.
    pub seed: u64,
    /// Its point, when its kind reads it.
    pub point: Point,
    /// The files that its key names.
    pub files: Vec<(PathBuf, Digest)>,
    /// The values of the workflow's path params: what a program is given of them counts by content.
    pub path_params: Vec<PathBuf>,
    /// Isolation of fusion rules, when the run, the stage or the workflow says it. No part of the
    /// key, like all up to `provenance`.
    pub isolation: Option<Isolation>,
    /// Conditions of rules and programs, as far as the workflow states them.
    #[serde(default)]
    pub conditions: Conditions,
    /// The folders that are searched for fusion rules.
    pub plugin_path: Vec<PathBuf>,
    /// Folder in which the folder of a failed program is kept, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_failed: Option<PathBuf>,
    /// Files of rules by the ids that they must have.
    #[serde(default)]
    pub rule_files: Vec<(String, PathBuf)>,
    /// Bounds on its execution.
    pub limits: JobLimits,
    /// True if outputs that the cache holds already may be reused.
    pub reuse: bool,
    /// Origin of its inputs, when its kind reads that.
    pub provenance: Option<Arc<Provenance>>,
    pub(crate) inputs: Vec<ResolvedInput>,
    /// The fields of its key.
    pub(crate) fields: Vec<Field>,
}

impl Job {
    /// The artifacts that it reads.
    pub fn inputs(&self) -> &[ResolvedInput] {
        &self.inputs
    }

    /// The fields of its key: name and value.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }
}

/// Bounds on the execution of an action.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobLimits {
    /// Wall time after which it is stopped and has failed.
    pub timeout: Option<Duration>,
    /// Processors that it uses.
    pub cpu: Option<f64>,
    /// Bytes of memory that it uses.
    pub memory: Option<u64>,
    /// Further tries when that was too little.
    #[serde(default)]
    pub memory_retry: Option<MemoryRetry>,
    /// Wall time that a cluster is asked for.
    #[serde(default)]
    pub time: Option<Duration>,
    /// GPUs that a cluster is asked for.
    #[serde(default)]
    pub gpus: Option<u32>,
}

/// Size limit of the artifacts, as encoded, that a run holds beside its running actions: many small
/// artifacts, none of the largest.
const RECENT_BYTES: usize = 64 << 20;

/// Executes jobs on threads of this process.
pub struct LocalExecutor<'a> {
    kinds: &'a Kinds,
    services: &'a Services,
    cache: &'a Cache,
    /// Folder in which jobs are written down before they are executed.
    folder: Option<JobFolder>,
    /// The artifacts used last, so that what one action made need not be decoded for each that
    /// reads it.
    recent: Recent<Arc<Artifact>>,
}

impl Job {
    /// The objects that it reads.
    pub(crate) fn objects(&self) -> impl Iterator<Item = Digest> {
        let cautions = self.provenance.iter().flat_map(|of| &of.cautions);
        // The others are of the plan, and no objects.
        let cautions = cautions.filter(|of| of.texts.is_empty());
        let inputs = self.inputs.iter().map(|given| given.digest);
        inputs.chain(cautions.map(|of| of.digest))
    }
}

impl<'a> LocalExecutor<'a> {
    /// An executor over a cache.
    pub fn new(kinds: &'a Kinds, services: &'a Services, cache: &'a Cache) -> Self {
        Self { kinds, services, cache, folder: None, recent: Recent::new(RECENT_BYTES) }
    }

    /// Writes every job down before it is executed.
    #[must_use]
    pub fn with_job_folder(mut self, folder: JobFolder) -> Self {
        self.folder = Some(folder);
        self
    }

    /// For a single action: nothing is held for one that comes after it.
    #[must_use]
    pub fn for_one(mut self) -> Self {
        self.recent = Recent::new(0);
        self
    }

    /// An artifact. One that is too large to be kept is read with no more than the columns that are
    /// asked for.
    fn load(
        &self,
        given: &ResolvedInput,
        columns: Option<&[&str]>,
    ) -> Result<Arc<Artifact>, StageError> {
        if let Some(artifact) = self.recent.get(&given.digest) {
            return Ok(artifact);
        }
        let missing = || {
            StageError::failed(format!("object {} is missing from the cache", given.digest))
                .hint("`fuseline cache verify` finds what else is; the next run makes it again")
                .lost(given.digest)
        };
        let read = |object: &mut ObjectReader| {
            let size = usize::try_from(object.size()).unwrap_or(usize::MAX);
            let columns = columns.filter(|_| size > self.recent.limit_bytes());
            Artifact::read(given.kind, None, columns, object).map(|artifact| (artifact, size))
        };
        let (artifact, size) = self
            .cache
            .read_object(&given.digest, read)
            .map_err(|error| StageError::from(error).lost(given.digest))?
            .ok_or_else(missing)??;
        let artifact = Arc::new(artifact);
        self.recent.put(given.digest, artifact.clone(), size);
        Ok(artifact)
    }
}

impl Executor for LocalExecutor<'_> {
    fn fetches_inputs(&self) -> bool {
        true
    }

    fn serve(&self, jobs: usize, drive: &mut Drive<'_>) -> Result<(), ExecuteError> {
        // As many threads as there are already are not started again.
        if jobs == rayon::current_num_threads() {
            return rayon::in_place_scope(|scope| drive(&LocalQueue { executor: self, scope }));
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(jobs).build()?;
        pool.in_place_scope(|scope| drive(&LocalQueue { executor: self, scope }))
    }
}

/// The threads that execute the jobs of one run.
struct LocalQueue<'q, 's> {
    executor: &'s LocalExecutor<'s>,
    scope: &'q rayon::Scope<'s>,
}

impl JobQueue for LocalQueue<'_, '_> {
    fn submit(&self, submissions: Vec<Submission>) {
        let executor = self.executor;
        for submission in submissions {
            self.scope.spawn(move |_| executor.work(submission));
        }
    }
}

impl LocalExecutor<'_> {
    /// Executes a job on this thread. Never waits for a lease: the thread may be nested inside
    /// another action that holds one, and two runs could wait for each other.
    fn work(&self, Submission { job, stop, mut reply }: Submission) {
        let completion = match self.cache.try_lease(&job.key) {
            Ok(Some(lease)) => {
                let stopwatch = reply.stopwatch();
                stopwatch.measure(|| self.execute(&job, lease, &stop, || reply.started()))
            }
            Ok(None) => Completion::Busy(self.cache.lease_holder(&job.key)),
            Err(error) => Completion::CacheFailed(error),
        };
        reply.ended(completion);
    }

    /// Executes a job under the lease of its action, unless the cache holds its outputs by now.
    /// `started` is called when it does not. Once `stop` is raised the result is not wanted any
    /// more.
    pub fn execute(
        &self,
        job: &Job,
        lease: Lease,
        stop: &Arc<AtomicBool>,
        started: impl FnOnce(),
    ) -> Completion {
        let here = Installation::new(&self.services.plugins, &job.conditions);
        let before = match look_up(self.cache, &job.key, &self.services.files, &here) {
            Ok(Lookup::Cached(record)) if job.reuse => return Completion::Cached(record),
            Ok(Lookup::Unknown) => Ok(None),
            Ok(_) => self.cache.peek_local_action(&job.key),
            Err(error) => Err(error),
        };
        let before = match before {
            Ok(before) => before,
            Err(error) => return Completion::CacheFailed(error),
        };
        started();
        if let Some(Err(error)) = self.folder.as_ref().map(|folder| folder.write(job)) {
            // Not written down, the job cannot be executed apart; the run can go on.
            tracing::warn!(%error, action = %job.site, "the job could not be written down");
        }
        let span = tracing::info_span!("action", site = %job.site);
        let result = span.in_scope(|| self.run(job, before.as_ref(), stop));
        drop(lease);
        result.map_or_else(Completion::Failed, Completion::Executed)
    }
}

impl LocalExecutor<'_> {
    /// `before`: the record that the action had in this cache when its lease was taken.
    fn run(
        &self,
        job: &Job,
        before: Option<&ActionRecord>,
        stop: &Arc<AtomicBool>,
    ) -> Result<Executed, StageError> {
        let (started, cpu) = (Instant::now(), thread_seconds());
        let kind = self
            .kinds
            .named(&job.kind)
            .ok_or_else(|| StageError::failed(format!("there is no stage kind {}", job.kind)))?;
        let stage = (kind.prepare)(&job.options)
            .map_err(|problem| StageError::failed(problem.message).at(problem.option))?;
        let mut inputs = InputsBuilder::new(self.services, job.seed)
            .ports_of(&kind.spec)
            .point(job.point.clone())
            .isolation(job.isolation)
            .keep_failed(job.keep_failed.clone())
            .conditions(job.conditions.clone())
            .stop(stop.clone())
            .files(job.files.clone());
        if let Some(provenance) = &job.provenance {
            let mut provenance = provenance.clone();
            if !provenance.cautions.is_empty() {
                cautions::read_all(self.cache, &mut Arc::make_mut(&mut provenance).cautions)?;
            }
            inputs = inputs.provenance(provenance);
        }
        // Together: one after the other they would each cost the way to the remote and back.
        self.cache.fetch_objects(job.objects());
        for given in &job.inputs {
            inputs =
                inputs.lazy(&given.port, given.point.clone(), |columns| self.load(given, columns));
        }
        let inputs = inputs.build();
        let mut outputs = Outputs::default();
        catch_unwind(AssertUnwindSafe(|| stage.run(&inputs, &mut outputs)))
            .unwrap_or_else(|panic| Err(panicked(panic.as_ref())))?;
        // Nobody is to find in the cache what was given up.
        inputs.keep_going()?;
        let ports = stage.declared_outputs().unwrap_or_else(|| kind.output_ports());
        let mut record = ActionRecord { key_text: job.fields.clone(), ..ActionRecord::default() };
        let cautions = cautions::store(self.cache, outputs.cautions())?;
        let here = Installation::new(&self.services.plugins, &job.conditions);
        let discovered = discovered::store(self.cache, outputs.discovered(), &here)?;
        for ((port, kind), artifact) in ports.iter().zip(outputs.in_order(&ports)?) {
            let (digest, size) = self.cache.put_object_of(|object| artifact.write(object))??;
            let media_type = artifact.media_type().map(str::to_owned);
            record.outputs.push(OutputRecord {
                port: port.clone(),
                kind: kind.name().to_owned(),
                digest,
                size,
                media_type,
            });
            if *kind != ArtifactKind::Report {
                let size = usize::try_from(size).unwrap_or(usize::MAX);
                self.recent.put(digest, Arc::new(artifact), size);
            }
        }
        record.outputs.extend(cautions);
        record.outputs.extend(discovered);
        record.seconds = started.elapsed().as_secs_f64();
        let replaced = self.cache.put_action(&job.key, &record)?;
        let is_duplicate = replaced.is_some() && replaced.as_ref() != before;
        if is_duplicate {
            let is_same = replaced.is_some_and(|replaced| replaced.outputs == record.outputs);
            tracing::warn!(is_same, "another process executed this action at the same time");
        }
        let cpu_seconds = Some(thread_seconds() - cpu);
        Ok(Executed { record, cpu_seconds, is_duplicate, memory: None })
    }
}

/// The processor time that this thread has used so far.
fn thread_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> StageError {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no text".to_owned());
    StageError::failed(format!("the stage panicked: {text}"))
        .hint("this is a defect of the stage kind, not of the workflow; please report it")
}

impl From<CacheError> for StageError {
    fn from(error: CacheError) -> Self {
        Self::failed(error.with_cause())
    }
}
