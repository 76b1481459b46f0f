use std::collections::BTreeMap as Map;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use fuseline_artifact::{ArtifactKind, Report};
use fuseline_host::{Isolation, PluginLibrary};
use fuseline_workflow::{ActionIndex, Limits, OutputIndex, Overrides, Role, Source, Workflow};
use schemars::JsonSchema;
use serde::Deserialize;

use super::*;
use crate::files::FileDigests;
use crate::run_record::{PART, RecordError};
use crate::{
    Completion, Depth, Drive, Inputs, Job, JobFolder, KeyWriter, Kind, Kinds, LocalExecutor,
    Manifest, Outputs, Ports, RowFlow, RunId, RunRecord, Services, StageKind, Submission, find_job,
    read_batch,
};

/// Number of times that each action ran, by the name in its options. Names are unique to their
/// test.
static CALLS: Mutex<Map<String, usize>> = Mutex::new(Map::new());
static RUNNING: AtomicUsize = AtomicUsize::new(0);
static MOST_RUNNING: AtomicUsize = AtomicUsize::new(0);

fn calls() -> MutexGuard<'static, Map<String, usize>> {
    CALLS.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn calls_of(name: &str) -> usize {
    calls().get(name).copied().unwrap_or(0)
}

/// Behaviour of an action.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema, serde::Serialize)]
#[serde(rename_all = "snake_case")]
enum Does {
    Well,
    Panic,
    Fail,
    FailTwice,
    RefuseData,
    WaitToBeStopped,
    NeverLookUp,
    Count,
}

/// Gives a text: its name, and behind it what it was given.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Act {
    name: String,
    does: Does,
}

impl StageKind for Act {
    const NAME: &'static str = "test.act";
    const REVISION: u32 = 1;
    const SUMMARY: &'static str = "Does what a test says.";

    fn ports() -> Ports {
        Ports::new()
            .many("from", ArtifactKind::Report, Role::Apply, "What it is given.")
            .optional()
            .output("main", ArtifactKind::Report, "A text.")
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { name, does } = self;
        key.field("name", name);
        key.field("does", does);
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        flow.pass("from", "main");
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let call = {
            let mut calls = calls();
            let call = calls.entry(self.name.clone()).or_default();
            *call += 1;
            *call
        };
        match self.does {
            Does::Well => {}
            Does::Panic => panic!("on purpose"),
            Does::Fail => return Err(StageError::failed("on purpose")),
            Does::FailTwice if call <= 2 => return Err(StageError::failed("not yet")),
            Does::FailTwice => {}
            Does::RefuseData => return Err(StageError::data("the data is wrong")),
            Does::WaitToBeStopped => loop {
                inputs.keep_going()?;
                std::thread::sleep(Duration::from_millis(1));
            },
            Does::NeverLookUp => std::thread::sleep(Duration::from_millis(300)),
            Does::Count => {
                let running = RUNNING.fetch_add(1, Ordering::SeqCst) + 1;
                MOST_RUNNING.fetch_max(running, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(30));
                RUNNING.fetch_sub(1, Ordering::SeqCst);
            }
        }
        let mut bytes = self.name.clone().into_bytes();
        for given in inputs.many::<Report>("from")? {
            bytes.extend_from_slice(&given.artifact.bytes);
        }
        outputs.put("main", Report { media_type: "text/plain".to_owned(), bytes })
    }
}

/// A workflow of [`Act`] stages on a cache of its own.
struct Bench {
    folder: tempfile::TempDir,
    kinds: Kinds,
    services: Services,
    workflow: Workflow,
    options: RunOptions<'static>,
    stop: AtomicBool,
}

/// Result of a run.
struct Ran {
    outcome: Outcome,
    events: Vec<Event>,
}

impl Bench {
    /// Stages as `name: does`, with more lines behind where there is more to say.
    fn new(stages: &str) -> Self {
        let mut text = "fuseline: 1\nname: bench\nstages:\n".to_owned();
        for line in stages.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let mut parts = line.split(" | ");
            let (name, does) = parts.next().unwrap().split_once(": ").unwrap();
            // `twin-1` and `twin-2` are two stages of one key.
            let act = name.split('-').next().unwrap_or(name);
            text += &format!(
                "  {name}:\n    uses: test.act\n    with: {{ name: {act}, does: {does} }}\n"
            );
            parts.for_each(|more| text += &format!("    {more}\n"));
        }
        let last = stages.trim().lines().last().unwrap().trim().split(':').next().unwrap();
        text += &format!("outputs: {{ last.txt: {last} }}\n");
        let kinds = Kinds::new(vec![Kind::new::<Act>()]);
        let overrides = Overrides { working_dir: PathBuf::from("/"), ..Overrides::default() };
        let source = Source { path: Path::new("/bench.yaml"), text: &text };
        let load = |_: &Path| Err(std::io::ErrorKind::NotFound.into());
        let checked = fuseline_workflow::check(
            source,
            kinds.catalogue(),
            &overrides,
            &Limits::default(),
            &load,
        );
        let Some(workflow) = checked.workflow else { panic!("{:?}\n{text}", checked.diagnostics) };
        Self {
            folder: tempfile::tempdir().unwrap(),
            kinds,
            services: Services {
                plugins: PluginLibrary::new(Vec::new()),
                isolation: Some(Isolation::InProcess),
                files: Default::default(),
                shared: Default::default(),
            },
            workflow,
            options: RunOptions { jobs: 4, keep_going: true, ..RunOptions::default() },
            stop: AtomicBool::new(false),
        }
    }

    fn cache(&self) -> Cache {
        Cache::open(self.folder.path().join("cache")).unwrap()
    }

    fn run(&self) -> Ran {
        self.run_and(&mut |_| {})
    }

    fn run_and(&self, observe: &mut dyn FnMut(&Event)) -> Ran {
        let cache = self.cache();
        let plan = self.plan();
        let executor = LocalExecutor::new(&self.kinds, &self.services, &cache);
        let mut events = Vec::new();
        let outcome = execute(
            &plan,
            &cache,
            PreviousRun {
                index: &Index::default(),
                keys: &PreviousKeys::default,
                files: &FileDigests::default(),
            },
            &executor,
            self.options,
            &self.stop,
            &mut |event| {
                observe(&event);
                events.push(event);
            },
        )
        .unwrap();
        Ran { outcome, events }
    }

    fn plan(&self) -> Plan<'_> {
        Plan::build(&self.workflow, &self.kinds, &self.services, Depth::Key, &[]).unwrap()
    }

    fn state(&self, ran: &Ran, stage: &str) -> ActionState {
        let number = self.workflow.stages.iter().position(|of| of.name == stage).unwrap();
        ran.outcome.states[self.plan().action_of(number.into(), ActionIndex(0))]
    }

    /// Path of a stage's output.
    fn object(&self, ran: &Ran, stage: &str) -> PathBuf {
        let number = self.workflow.stages.iter().position(|of| of.name == stage).unwrap();
        let action = self.plan().action_of(number.into(), ActionIndex(0));
        let digest = ran.outcome.output(&self.plan(), action, OutputIndex(0)).unwrap().to_string();
        self.folder.path().join("cache/objects").join(&digest[..2]).join(&digest[2..])
    }
}

impl Ran {
    fn message(&self) -> &str {
        &self.outcome.failures[0].error.message
    }
}

#[test]
fn a_panic_is_the_failure_of_its_action_and_the_others_go_on() {
    let bench = Bench::new(
        "panics: panic\nafter_panic: well | inputs: { from: panics }\napart: well\nlast: well",
    );
    let ran = bench.run();
    assert_eq!(ran.message(), "the stage panicked: on purpose");
    assert_eq!(bench.state(&ran, "panics"), ActionState::Failed);
    assert_eq!(bench.state(&ran, "after_panic"), ActionState::Skipped);
    assert_eq!(bench.state(&ran, "apart"), ActionState::Done);
}

#[test]
fn without_keep_going_nothing_starts_after_a_failure() {
    let mut bench =
        Bench::new("fails_first: fail\nnot_tried: well | inputs: { from: tried }\ntried: well");
    bench.options = RunOptions::default();
    let ran = bench.run();
    assert_eq!(ran.outcome.failures.len(), 1);
    assert_eq!(bench.state(&ran, "not_tried"), ActionState::Skipped);
    assert_eq!(calls_of("not_tried"), 0);
}

#[test]
fn a_failure_is_tried_again_as_often_as_the_stage_says_and_later_each_time() {
    let bench = Bench::new("gets_better: fail_twice | retries: 2");
    let started = Instant::now();
    let ran = bench.run();
    assert_eq!(bench.state(&ran, "gets_better"), ActionState::Done);
    assert_eq!(calls_of("gets_better"), 3);
    let waits: Vec<_> = ran
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Retrying { seconds, .. } => Some(*seconds),
            _ => None,
        })
        .collect();
    assert_eq!(waits, [0.5, 1.0]);
    assert!(started.elapsed() >= Duration::from_millis(1500));
    assert_eq!(ran.outcome.executed[&ActionId(0)].attempts, 3);
}

#[test]
fn wrong_data_is_not_tried_again() {
    let bench = Bench::new("wrong_data: refuse_data | retries: 5");
    let ran = bench.run();
    assert_eq!(bench.state(&ran, "wrong_data"), ActionState::Failed);
    assert_eq!(calls_of("wrong_data"), 1);
}

#[test]
fn two_actions_of_one_key_are_executed_once_and_wait_for_nobody() {
    let bench = Bench::new(
        "twin-1: never_look_up
         twin-2: never_look_up
         both: well | inputs: { from: [twin-1, twin-2] }",
    );
    let ran = bench.run();
    assert_eq!(calls_of("twin"), 1);
    assert!(ran.outcome.states.iter().all(|state| state.is_made()), "{:?}", ran.outcome.states);
    let waits = |event: &&Event| matches!(event, Event::Waiting { .. } | Event::TakenOver { .. });
    assert_eq!(ran.events.iter().find(waits), None);
}

#[test]
fn what_takes_longer_than_its_timeout_is_stopped_and_fails() {
    let bench = Bench::new("endless: wait_to_be_stopped | timeout: 100ms\nbeside_endless: well");
    let ran = bench.run();
    assert_eq!(ran.message(), "it took longer than its timeout of 0.1 s");
    assert_eq!(bench.state(&ran, "beside_endless"), ActionState::Done);
    assert!(ran.events.iter().any(|event| matches!(event, Event::TimedOut { .. })));
}

#[test]
fn what_ends_after_its_timeout_is_not_kept() {
    let bench = Bench::new("deaf: never_look_up | timeout: 50ms");
    let ran = bench.run();
    assert_eq!(ran.message(), "it took longer than its timeout of 0.05 s");
    let key = ran.outcome.keys.raw[0].unwrap();
    assert_eq!(bench.cache().get_action(&key).unwrap(), None);
}

#[test]
fn running_actions_ask_for_no_more_memory_than_there_is() {
    let stages: String = (0..6)
        .map(|number| format!("needs_memory_{number}: count | resources: {{ memory: 40 MB }}\n"))
        .collect();
    let mut bench = Bench::new(&stages);
    // Two fit; one that is larger than everything would run alone.
    bench.options.memory = Some(100_000_000);
    let ran = bench.run();
    assert_eq!(ran.outcome.count(ActionState::Done), 6);
    assert_eq!(MOST_RUNNING.load(Ordering::SeqCst), 2);
}

#[test]
fn what_is_larger_than_everything_runs_alone() {
    let mut bench = Bench::new("huge: well | resources: { memory: 1 TB, cpu: 64 }");
    bench.options.memory = Some(1);
    assert_eq!(bench.run().outcome.count(ActionState::Done), 1);
}

#[test]
fn damaged_and_missing_inputs_are_made_again_and_what_needs_them_runs_once() {
    let bench = Bench::new(
        "first: well\nsecond: well | inputs: { from: first }\nthird: well | inputs: { from: \
         [first, second] }",
    );
    let whole = bench.run();
    assert_eq!(whole.outcome.count(ActionState::Done), 3);
    let third = bench.object(&whole, "third");
    // `third` has to run again, and finds both of its inputs bad: one changed, one gone.
    fs::remove_file(&third).unwrap();
    let first = bench.object(&whole, "first");
    fs::write(&first, "furst").unwrap();
    let before = calls_of("third");
    let ran = bench.run_and(&mut |event| {
        // Looked up already, and not yet read.
        if matches!(event, Event::Cached { .. }) {
            let _ = fs::remove_file(bench.object(&whole, "second"));
        }
    });
    assert!(ran.outcome.failures.is_empty(), "{:?}", ran.outcome.failures);
    assert_eq!(fs::read(&third).unwrap(), b"thirdfirstsecondfirst");
    let made_again = ran.events.iter().filter(|event| matches!(event, Event::Remaking { .. }));
    assert!(made_again.count() >= 2);
    assert!(calls_of("third") > before);
    assert_eq!(fs::read(&first).unwrap(), b"first");
}

#[test]
fn an_interrupted_run_finishes_what_is_in_flight_and_skips_the_rest() {
    let bench =
        Bench::new("in_flight: never_look_up\nnot_begun: well | inputs: { from: in_flight }");
    let ran = bench.run_and(&mut |event| {
        if matches!(event, Event::Started { .. }) {
            bench.stop.store(true, Ordering::SeqCst);
        }
    });
    assert!(ran.outcome.interrupted);
    assert_eq!(bench.state(&ran, "in_flight"), ActionState::Done);
    assert_eq!(bench.state(&ran, "not_begun"), ActionState::Skipped);
    assert!(ran.events.contains(&Event::Stopping { running: 1 }));
}

#[test]
fn a_job_is_written_down_and_found_again_and_a_damaged_one_is_none() {
    let bench = Bench::new("early: well\nlate: well | inputs: { from: early } | timeout: 3s");
    let cache = bench.cache();
    let plan = bench.plan();
    cache.new_run("0001").unwrap();
    let folder = JobFolder::create(&cache, "0001").unwrap();
    let executor = LocalExecutor::new(&bench.kinds, &bench.services, &cache);
    let executor = executor.with_job_folder(folder.clone());
    let stop = AtomicBool::new(false);
    let previous = PreviousRun {
        index: &Index::default(),
        keys: &PreviousKeys::default,
        files: &FileDigests::default(),
    };
    let outcome =
        execute(&plan, &cache, previous, &executor, bench.options, &stop, &mut |_| {}).unwrap();
    let key = outcome.keys.raw[1].unwrap();
    let job = find_job(&cache, &key).unwrap().unwrap();
    assert_eq!((job.key, job.site.as_str()), (key, "late"));
    assert_eq!(job.limits.timeout, Some(Duration::from_secs(3)));
    job.check(&bench.kinds, &bench.services).unwrap();

    let early = find_job(&cache, &outcome.keys.raw[0].unwrap()).unwrap().unwrap();
    let batch = folder.write_batch([&early, &job].into_iter()).unwrap();
    assert_eq!(read_batch(&cache, &batch, 1).unwrap().unwrap().key, key);
    assert!(read_batch(&cache, &batch, 2).unwrap().is_none());
    assert!(read_batch(&cache, &batch, u64::MAX).unwrap().is_none());

    let changed = Job { seed: job.seed, options: Default::default(), ..job };
    assert!(
        changed.check(&bench.kinds, &bench.services).is_err(),
        "its options are not those of its key"
    );

    let path = cache.runs_folder().join("0001/jobs").join(key.to_string());
    let whole = fs::read(&path).unwrap();
    for at in (0..whole.len()).step_by(11) {
        let mut damaged = whole.clone();
        damaged[at] ^= 4;
        fs::write(&path, &damaged).unwrap();
        assert!(find_job(&cache, &key).unwrap().is_none(), "byte {at}");
    }
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    assert!(find_job(&cache, &key).unwrap().is_none());
}

/// Executes nothing until so many jobs are in flight, and then all of them, the last one first, on
/// one thread.
struct Patient<'a> {
    local: LocalExecutor<'a>,
    cache: &'a Cache,
    jobs: usize,
}

struct PatientQueue(std::sync::mpsc::Sender<Submission>);

impl JobQueue for PatientQueue {
    fn submit(&self, submissions: Vec<Submission>) {
        submissions.into_iter().for_each(|submission| self.0.send(submission).unwrap());
    }
}

impl Executor for Patient<'_> {
    fn serve(&self, jobs: usize, drive: &mut Drive<'_>) -> Result<(), ExecuteError> {
        assert_eq!(jobs, self.jobs);
        let (sender, submitted) = channel();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                while let Ok(first) = submitted.recv() {
                    let others = submitted.iter().take(self.jobs - 1);
                    let mut batch: Vec<_> = std::iter::once(first).chain(others).collect();
                    for Submission { job, stop, mut reply } in batch.drain(..).rev() {
                        let lease = self.cache.try_lease(&job.key).unwrap();
                        let lease = lease.expect("the run that asks holds no lease");
                        let started = || reply.started();
                        let completion = self.local.execute(&job, lease, &stop, started);
                        assert!(matches!(completion, Completion::Executed(_)));
                        reply.ended(completion);
                    }
                }
            });
            let queue = PatientQueue(sender);
            drive(&queue)
        })
    }
}

#[test]
fn many_jobs_are_in_flight_without_a_thread_each_and_end_in_any_order() {
    let jobs = 60;
    let stages: String = (0..jobs).map(|number| format!("patient_{number}: well\n")).collect();
    let mut bench = Bench::new(&stages);
    bench.options.jobs = jobs;
    let (plan, cache) = (bench.plan(), bench.cache());
    let local = LocalExecutor::new(&bench.kinds, &bench.services, &cache);
    let executor = Patient { local, cache: &cache, jobs };
    let previous = PreviousRun {
        index: &Index::default(),
        keys: &PreviousKeys::default,
        files: &FileDigests::default(),
    };
    let stop = AtomicBool::new(false);
    let mut started = Vec::new();
    let mut observe = |event| {
        if let Event::Started { action, .. } = event {
            started.push(action);
        }
    };
    let outcome =
        execute(&plan, &cache, previous, &executor, bench.options, &stop, &mut observe).unwrap();
    assert_eq!(outcome.count(ActionState::Done), jobs);
    assert_eq!(started.first().map(String::as_str), Some("patient_59"));
}

#[test]
fn a_record_in_parts_says_what_became_of_each_action_and_what_the_next_run_will_say() {
    let stages: String = (0..PART + 40).map(|number| format!("a{number}: well\n")).collect();
    let bench = Bench::new(&stages);
    let (plan, cache) = (bench.plan(), bench.cache());
    let record = |outcome: &Outcome| {
        let run = RunId::announce(&cache).unwrap();
        let mut record = RunRecord::begin(&cache, &run, "bench", plan.stages()).unwrap();
        let mut unchanged = None;
        let describe = || Ok::<_, RecordError>(());
        record.finish(&plan, outcome, &[], describe, |next, ()| unchanged = next).unwrap();
        let manifest = Manifest::read(&cache, record.id()).unwrap();
        let sites: Vec<_> = manifest.actions.iter().map(|of| of.action.clone()).collect();
        assert_eq!(sites, plan.actions().map(|of| plan.action_label(of)).collect::<Vec<_>>());
        (manifest, unchanged.unwrap().manifest.concat())
    };
    let first = bench.run();
    let (manifest, next) = record(&first.outcome);
    assert_eq!(manifest.count("done"), PART + 40);
    // All is cached, and then all but one; the run after each says the same.
    let (all_cached, same) = record(&bench.run().outcome);
    assert_eq!((all_cached.count("cached"), &same), (PART + 40, &next));
    let text = cache.read_run_file(&all_cached.run, "manifest.json").unwrap().unwrap();
    assert!(text.ends_with(&next));
    fs::remove_file(bench.object(&first, "a30")).unwrap();
    let (but_one, same) = record(&bench.run().outcome);
    assert_eq!((but_one.count("cached"), but_one.count("done"), same), (PART + 39, 1, next));
}
