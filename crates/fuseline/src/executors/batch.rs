//! The executor that hands batches to an engine.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use fuseline_cache::{ActionKey, Cache};
use fuseline_engine::execute::ExecuteError;
use fuseline_engine::{
    Completion, Drive, Executor, JobFolder, JobQueue, StageError, Submission, read_batch_keys,
};

use super::array::{ArrayRecord, ours};
use super::durations::Durations;
use super::engine::{ArrayRequest, Engine, EngineError, Resources, TaskEnd, TaskState, TaskStates};
use super::outcome::{Line, OutcomeReader, count_duplicates};
use super::task::{Task, WaitingAction};
use super::{part_path, shell_path};
use crate::settings::{ExecutorName, ExecutorSettings};

/// Ready actions are gathered until none has come for so long, or the first has waited so long.
const GATHER: Duration = Duration::from_millis(150);
const GATHER_AT_MOST: Duration = Duration::from_secs(1);
/// Actions of a stage are spread over as many tasks, as long as each has so many seconds of work.
const SPREAD_TASKS: u32 = 32;
const SPREAD_SECONDS: f64 = 1.0;
/// The shortest interval between two reads of the tasks' outcomes, and a task's share of it.
const SCAN: Duration = Duration::from_millis(50);
const SCAN_PER_TASK: Duration = Duration::from_millis(1);
/// The shortest time between two questions to the engine.
const FIRST_POLL: Duration = Duration::from_secs(2);
/// A task that has ended may have left what does not show yet.
const GRACE: Duration = Duration::from_secs(2);
/// The longest time until a submission that was refused for now is tried again.
const LONGEST_RETRY: Duration = Duration::from_secs(60);
/// Number of earlier runs that are searched for tasks still in progress.
const EARLIER_RUNS: usize = 20;

/// Hands batches to an engine.
pub(crate) struct BatchExecutor {
    pub(super) engine: Arc<dyn Engine>,
    pub(super) name: ExecutorName,
    pub(super) cache: Arc<Cache>,
    pub(super) jobs: JobFolder,
    /// The folder of the run.
    pub(super) run: PathBuf,
    /// The command `fuseline` on the machines that execute.
    pub(super) program: PathBuf,
    pub(super) settings_file: Option<PathBuf>,
    pub(super) settings: ExecutorSettings,
    /// Raised to cancel the tasks in flight.
    pub(super) cancel: Arc<AtomicBool>,
    /// The files of outcomes of tasks of earlier runs that this one has taken over.
    pub(super) adopted: Mutex<Vec<(PathBuf, OutcomeReader)>>,
}

impl Executor for BatchExecutor {
    fn serve(&self, _: usize, drive: &mut Drive<'_>) -> Result<(), ExecuteError> {
        let (sender, requests) = channel();
        std::thread::scope(|scope| {
            // One thread, however many jobs.
            scope.spawn(move || Batches::new(self).run(&requests));
            drive(&Queue(sender))
        })
    }

    fn count_duplicates(&self) -> Option<usize> {
        let mut adopted = self.adopted.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let of_adopted = adopted.iter_mut().map(|(path, reader)| reader.count_duplicates(path));
        Some(count_duplicates(&self.run) + of_adopted.sum::<usize>())
    }
}

/// Request of the run to the thread that talks to the engine.
enum Request {
    Submit(Vec<Submission>),
    Stop,
}

struct Queue(Sender<Request>);

impl JobQueue for Queue {
    fn submit(&self, submissions: Vec<Submission>) {
        // The thread outlives the queue.
        let _ = self.0.send(Request::Submit(submissions));
    }

    fn stop(&self) {
        let _ = self.0.send(Request::Stop);
    }
}

/// An array in flight.
struct Array {
    record: ArrayRecord,
    /// The folder of the run that submitted it, and the name of its batch there.
    run: PathBuf,
    batch: String,
    submitted: Instant,
    /// True if an earlier run has submitted it.
    is_adopted: bool,
    tasks: Vec<Task>,
}

impl Array {
    /// Machine, task and log of an execution, for people.
    fn place(&self, engine: &dyn Engine, task: u32) -> String {
        let log = part_path(&self.run, "logs", &self.batch, task, "log");
        let machine = self.tasks[task as usize].machine.as_deref();
        let machine = machine.map_or(String::new(), |machine| format!(" on {machine}"));
        format!("{} task {}_{task}{machine}, log {}", engine.name(), self.record.id, log.display())
    }

    fn is_open(&self) -> bool {
        self.tasks.iter().any(Task::is_open)
    }
}

/// A task that goes on, and the number of an action in it.
#[derive(Clone, Copy)]
struct TaskPlace {
    array: usize,
    task: usize,
    action: usize,
}

/// Everything that a run has in flight.
struct Batches<'e> {
    executor: &'e BatchExecutor,
    durations: Durations,
    /// Actions that are not submitted yet.
    waiting: Vec<WaitingAction>,
    first_waiting: Instant,
    last_waiting: Instant,
    arrays: Vec<Array>,
    /// Actions of tasks of earlier runs that go on.
    adoptable: BTreeMap<ActionKey, TaskPlace>,
    next_scan: Instant,
    next_poll: Instant,
    poll_pause: Duration,
    submit_pause: Duration,
    next_submit: Instant,
    has_stopped: bool,
}

impl<'e> Batches<'e> {
    fn new(executor: &'e BatchExecutor) -> Self {
        let now = Instant::now();
        Self {
            executor,
            durations: Durations::of_past_runs(&executor.cache),
            waiting: Vec::new(),
            first_waiting: now,
            last_waiting: now,
            arrays: Vec::new(),
            adoptable: BTreeMap::new(),
            next_scan: now,
            next_poll: now,
            poll_pause: FIRST_POLL,
            submit_pause: FIRST_POLL,
            next_submit: now,
            has_stopped: false,
        }
    }

    fn run(mut self, requests: &Receiver<Request>) {
        self.find_adoptable();
        loop {
            let pause = match self.waiting.is_empty() {
                true => self.next_scan.saturating_duration_since(Instant::now()),
                false => SCAN,
            };
            match requests.recv_timeout(pause.clamp(Duration::from_millis(5), GATHER_AT_MOST)) {
                Ok(Request::Submit(submissions)) => self.take(submissions),
                Ok(Request::Stop) => self.cancel_waiting(),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.executor.cancel.load(Ordering::Relaxed) {
                self.cancel_all();
                continue;
            }
            let now = Instant::now();
            if self.is_gathered(now) {
                self.submit_all();
            }
            if now >= self.next_scan {
                self.scan();
            }
            if now >= self.next_poll {
                self.poll();
            }
        }
        // The run ended by an error: nobody waits for what is in flight.
        self.cancel_all();
    }

    fn is_gathered(&self, now: Instant) -> bool {
        !self.waiting.is_empty()
            && now >= self.next_submit
            && (now - self.last_waiting >= GATHER || now - self.first_waiting >= GATHER_AT_MOST)
    }

    /// Takes jobs: writes them down, and leaves those to their tasks that an earlier run has
    /// submitted.
    fn take(&mut self, submissions: Vec<Submission>) {
        let mut adopted = 0;
        for submission in submissions {
            if let Err(error) = self.executor.jobs.write(&submission.job) {
                let error = StageError::failed(format!("its job cannot be written: {error}"));
                submission.reply.ended(Completion::Failed(error));
                continue;
            }
            let reuse = submission.job.reuse;
            let action = WaitingAction::new(submission, &self.executor.settings);
            match self.adoptable.remove(&action.key).filter(|_| reuse) {
                Some(TaskPlace { array, task: number, action: place }) => {
                    adopted += 1;
                    let Array { run, batch, tasks, .. } = &mut self.arrays[array];
                    let task = &mut tasks[number];
                    if !task.is_open() {
                        let path = part_path(run, "outcomes", batch, number as u32, "jsonl");
                        let adopted = &self.executor.adopted;
                        let mut adopted = adopted.lock().unwrap_or_else(PoisonError::into_inner);
                        adopted.push((path, task.outcomes.clone()));
                    }
                    task.actions[place] = Some(action);
                }
                None => self.wait(action),
            }
        }
        if adopted > 0 {
            let engine = self.executor.engine.name();
            self.note(format!("{engine}: {adopted} actions of an earlier run go on there"));
        }
    }

    fn wait(&mut self, action: WaitingAction) {
        self.last_waiting = Instant::now();
        if self.waiting.is_empty() {
            self.first_waiting = self.last_waiting;
        }
        self.waiting.push(action);
    }

    /// Sends the run a message about the engine, through any action in flight.
    fn note(&self, message: String) {
        let in_flight = self.arrays.iter().flat_map(|array| &array.tasks);
        let in_flight = in_flight.flat_map(|task| task.actions.iter().flatten());
        match in_flight.chain(&self.waiting).next() {
            Some(action) => action.reply.note(message),
            None => tracing::warn!("{message}"),
        }
    }

    /// Submits everything that waits, a stage and its resources at a time.
    fn submit_all(&mut self) {
        let mut groups: Vec<(String, Resources, Vec<WaitingAction>)> = Vec::new();
        for action in std::mem::take(&mut self.waiting) {
            let group = groups.iter_mut().find(|(stage, resources, _)| {
                *stage == action.stage && *resources == action.resources
            });
            match group {
                Some((.., actions)) => actions.push(action),
                None => groups.push((action.stage.clone(), action.resources, vec![action])),
            }
        }
        for (stage, resources, mut actions) in groups {
            let chunk = self.chunk(&stage, actions.len());
            let most = chunk as usize * self.executor.engine.array_max() as usize;
            while !actions.is_empty() {
                let rest = actions.split_off(actions.len().min(most));
                self.submit(&stage, resources, chunk, actions);
                actions = rest;
            }
        }
    }

    /// Number of actions of a stage in a task, when there are so many.
    fn chunk(&self, stage: &str, actions: usize) -> u32 {
        let seconds = Duration::from(self.executor.settings.chunk).as_secs_f64();
        let most = self.durations.actions_within(stage, seconds);
        let least = self.durations.actions_within(stage, SPREAD_SECONDS.min(seconds));
        let actions = u32::try_from(actions).unwrap_or(u32::MAX);
        let chunk = actions.div_ceil(SPREAD_TASKS).clamp(least, most);
        // Equal parts: no task of one action beside full ones.
        actions.div_ceil(actions.div_ceil(chunk).max(1)).max(1)
    }

    /// Submits actions as one array.
    fn submit(
        &mut self,
        stage: &str,
        resources: Resources,
        chunk: u32,
        actions: Vec<WaitingAction>,
    ) {
        match self.try_submit(stage, resources.for_actions(chunk), chunk, &actions) {
            Ok(array) => {
                self.arrays.push(array);
                let last = self.arrays.len() - 1;
                let tasks = &mut self.arrays[last].tasks;
                for (number, action) in actions.into_iter().enumerate() {
                    tasks[number / chunk as usize].actions[number % chunk as usize] = Some(action);
                }
                self.submit_pause = FIRST_POLL;
                self.poll_pause = FIRST_POLL;
                self.next_poll = self.next_poll.min(Instant::now() + FIRST_POLL);
            }
            Err(EngineError { message, is_transient: true }) => {
                self.waiting.extend(actions);
                self.next_submit = Instant::now() + self.submit_pause;
                let seconds = self.submit_pause.as_secs();
                self.submit_pause = (self.submit_pause * 2).min(LONGEST_RETRY);
                self.note(format!("{message}; trying again in {seconds} s"));
            }
            Err(EngineError { message, .. }) => {
                for action in actions {
                    let error = StageError::failed(format!("it cannot be submitted: {message}"))
                        .hint("`fuseline config` prints the settings of [executor]");
                    action.reply.ended(Completion::Failed(error));
                }
            }
        }
    }

    fn try_submit(
        &self,
        stage: &str,
        resources: Resources,
        chunk: u32,
        actions: &[WaitingAction],
    ) -> Result<Array, EngineError> {
        let BatchExecutor { engine, jobs, run, name, .. } = self.executor;
        let unwritten = |error| EngineError::new(format!("the batch cannot be written: {error}"));
        let keys: Vec<ActionKey> = actions.iter().map(|action| action.key).collect();
        let batch = jobs.write_keys(&keys).map_err(unwritten)?;
        let batch = batch.canonicalize().map_err(unwritten)?;
        let logs = run.join("logs");
        fs::create_dir_all(&logs).map_err(unwritten)?;
        let script = batch.with_extension("sh");
        fs::write(&script, self.script(&batch, chunk, resources)).map_err(unwritten)?;
        let number = batch.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let tasks = u32::try_from(keys.len()).unwrap_or(u32::MAX).div_ceil(chunk);
        let label = label(run, &number);
        let id = engine.submit(&ArrayRequest {
            name: &format!("fuseline-{stage}"),
            label: &label,
            script: &script,
            log: (&logs, &number),
            tasks,
            resources,
        })?;
        let record = ArrayRecord { engine: *name, id, label: Some(label), chunk, tasks };
        if let Err(error) = record.write(&batch) {
            // The array is there; only a run after this one would not know of it.
            tracing::warn!(%error, "the id of an array was not written down");
        }
        Ok(Array {
            record,
            run: run.clone(),
            batch: number,
            submitted: Instant::now(),
            is_adopted: false,
            tasks: keys.chunks(chunk as usize).map(|keys| Task::new(keys.to_vec())).collect(),
        })
    }

    /// The script that a task runs.
    fn script(&self, batch: &Path, chunk: u32, resources: Resources) -> String {
        let BatchExecutor { engine, run, program, settings_file, settings, .. } = self.executor;
        let number = batch.file_name().unwrap_or_default().to_string_lossy();
        let log = shell_path(&run.join("logs").join(format!("{number}-")));
        let mut script = format!(
            "#!/bin/sh\n# One task of an array of fuseline.\ntask={}\nexec >>{log}\"$task\".log \
             2>&1\n",
            engine.task_number(),
        );
        if let Some(file) = settings_file {
            script += &format!("export FUSELINE_SETTINGS={}\n", shell_path(file));
        }
        script += &format!("export RAYON_NUM_THREADS={}\n", resources.cpus);
        for line in &settings.setup {
            script += &format!("{line}\n");
        }
        script += &format!(
            "exec {} exec --batch {}:\"$task\" --chunk {chunk}\n",
            shell_path(program),
            shell_path(batch)
        );
        script
    }

    /// Reads the outcomes of tasks, and completes those that have ended.
    fn scan(&mut self) {
        let mut open = 0;
        let mut lost = Vec::new();
        for array in &mut self.arrays {
            for task in 0..array.tasks.len() {
                if array.tasks[task].is_open() {
                    open += 1;
                    scan_task(self.executor, array, task, &mut self.durations);
                    lost.extend(judge_task(self.executor, array, task, self.has_stopped));
                }
            }
        }
        self.arrays.iter_mut().for_each(|array| {
            // Its place in the list stays; its keys are not needed any more.
            if !array.is_open() && self.adoptable.is_empty() {
                array.tasks.clear();
            }
        });
        let again = lost.iter().filter(|action| action.losses > 0).count();
        for action in lost {
            match self.has_stopped {
                true => action.cancelled(),
                false => self.wait(action),
            }
        }
        if again > 0 && !self.has_stopped {
            let engine = self.executor.engine.name();
            let actions = crate::counted(again, "action");
            self.note(format!("{engine}: {actions} of lost tasks submitted again"));
        }
        let longest = Duration::from(self.executor.settings.poll);
        self.next_scan = Instant::now() + (SCAN_PER_TASK * open).clamp(SCAN, longest.max(SCAN));
    }

    /// Asks the engine for the state of tasks. Asks less and less often, until something is
    /// submitted.
    fn poll(&mut self) {
        let longest = Duration::from(self.executor.settings.poll);
        self.next_poll = Instant::now() + self.poll_pause;
        self.poll_pause = (self.poll_pause * 3 / 2).min(longest.max(FIRST_POLL));
        let open = self.arrays.iter().filter(|array| array.is_open());
        let ids: Vec<_> =
            open.map(|array| (array.record.id.as_str(), array.record.tasks)).collect();
        if ids.is_empty() {
            return;
        }
        let states = match self.executor.engine.poll(&ids) {
            Ok(states) => states,
            Err(error) => {
                // Tasks go on without being asked for.
                let message = error.message;
                self.note(format!("{message}; asking again in {} s", self.poll_pause.as_secs()));
                return;
            }
        };
        for array in self.arrays.iter_mut().filter(|array| array.is_open()) {
            let id = array.record.id.clone();
            let is_new = array.submitted.elapsed() < GRACE;
            for (number, task) in
                array.tasks.iter_mut().enumerate().filter(|(_, task)| task.is_open())
            {
                let state = states.get(&(id.clone(), number as u32));
                match state {
                    Some(TaskState::Waiting) => task.ended = None,
                    Some(TaskState::Running) => {
                        task.ended = None;
                        task.start();
                    }
                    Some(TaskState::Ended(end)) => {
                        task.ended.get_or_insert((Instant::now(), end.clone()));
                    }
                    None if is_new => {}
                    None => {
                        let gone = TaskEnd::Lost("it is not known any more".to_owned());
                        task.ended.get_or_insert((Instant::now(), gone));
                    }
                }
            }
        }
    }

    /// Cancels the actions and tasks that have not begun.
    fn cancel_waiting(&mut self) {
        self.has_stopped = true;
        std::mem::take(&mut self.waiting).into_iter().for_each(WaitingAction::cancelled);
        let ids = self.open_ids();
        let ids: Vec<_> = ids.iter().map(String::as_str).collect();
        if let Err(error) = self.executor.engine.cancel_waiting(&ids) {
            self.note(error.message);
        }
        self.next_poll = Instant::now();
        self.poll_pause = FIRST_POLL;
    }

    /// Cancels everything.
    fn cancel_all(&mut self) {
        std::mem::take(&mut self.waiting).into_iter().for_each(WaitingAction::cancelled);
        let ids = self.open_ids();
        if ids.is_empty() {
            return;
        }
        let ids: Vec<_> = ids.iter().map(String::as_str).collect();
        if let Err(error) = self.executor.engine.cancel(&ids) {
            self.note(error.message);
        }
        for task in self.arrays.iter_mut().flat_map(|array| &mut array.tasks) {
            task.take_open().into_iter().for_each(WaitingAction::cancelled);
        }
    }

    fn open_ids(&self) -> Vec<String> {
        let open = self.arrays.iter().filter(|array| array.is_open());
        open.map(|array| array.record.id.clone()).collect()
    }

    /// Finds tasks of earlier runs that go on: the process that submitted them may have been
    /// killed.
    fn find_adoptable(&mut self) {
        let BatchExecutor { engine, cache, run: this, name, .. } = self.executor;
        let mut arrays = Vec::new();
        for id in cache.runs().unwrap_or_default().iter().rev().take(EARLIER_RUNS) {
            let run = cache.runs_folder().join(id);
            let Ok(run) = run.canonicalize() else { continue };
            if run == *this || run.join("manifest.json").exists() {
                continue;
            }
            let records = ArrayRecord::of_run(&run).into_iter();
            arrays.extend(
                records
                    .filter(|(_, record)| record.engine == *name)
                    .map(|(batch, record)| (run.clone(), batch, record)),
            );
        }
        if arrays.is_empty() {
            return;
        }
        let ours = ours(&**engine, arrays.iter().map(|(.., record)| record));
        let states = ours.and_then(|ours| {
            arrays.retain(|(.., record)| record.is_among(&ours));
            let ids: Vec<_> =
                arrays.iter().map(|(.., record)| (record.id.as_str(), record.tasks)).collect();
            if ids.is_empty() { Ok(TaskStates::new()) } else { engine.poll(&ids) }
        });
        let Ok(states) = states.inspect_err(|error| {
            tracing::warn!("arrays of earlier runs are not known: {}", error.message);
        }) else {
            return;
        };
        for (run, batch, record) in arrays {
            let Ok(keys) = read_batch_keys(&batch) else { continue };
            let chunks = keys.chunks(record.chunk.max(1) as usize);
            let tasks: Vec<Task> = chunks.map(|keys| Task::new(keys.to_vec())).collect();
            let number = batch.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let mut array = Array {
                record,
                run,
                batch: number,
                submitted: Instant::now(),
                is_adopted: true,
                tasks,
            };
            let place = self.arrays.len();
            for task in 0..array.tasks.len() {
                let state = states.get(&(array.record.id.clone(), task as u32));
                if matches!(state, Some(TaskState::Waiting | TaskState::Running)) {
                    let path =
                        part_path(&array.run, "outcomes", &array.batch, task as u32, "jsonl");
                    let lines = array.tasks[task].outcomes.new_lines(&path).unwrap_or_default();
                    let ended: Vec<ActionKey> = lines
                        .into_iter()
                        .filter_map(|line| match line {
                            Line::Ended(end) => Some(end.key),
                            Line::Began(machine) => {
                                array.tasks[task].machine = Some(machine);
                                None
                            }
                        })
                        .collect();
                    let open = array.tasks[task].keys.iter().enumerate();
                    let open = open.filter(|(_, key)| !ended.contains(key));
                    self.adoptable.extend(
                        open.map(|(action, key)| (*key, TaskPlace { array: place, task, action })),
                    );
                }
            }
            self.arrays.push(array);
        }
    }
}

/// Reads the outcomes that a task has written since the last read.
fn scan_task(
    executor: &BatchExecutor,
    array: &mut Array,
    number: usize,
    durations: &mut Durations,
) {
    let path = part_path(&array.run, "outcomes", &array.batch, number as u32, "jsonl");
    let lines = array.tasks[number].outcomes.new_lines(&path).unwrap_or_default();
    let mut ends: Vec<_> = std::mem::take(&mut array.tasks[number].unconfirmed);
    for line in lines {
        match line {
            Line::Began(machine) => {
                array.tasks[number].machine = Some(machine);
                array.tasks[number].start();
            }
            Line::Ended(end) => ends.push((*end, Instant::now())),
        }
    }
    if ends.is_empty() {
        return;
    }
    let place = array.place(&*executor.engine, number as u32);
    for (end, since) in ends {
        let task = &mut array.tasks[number];
        if let Some((stage, seconds)) = task.action_ended(end, since, &place, &executor.cache) {
            durations.note(&stage, seconds);
        }
    }
}

/// Judges a task that has ended, once what it left must show. Gives the actions that are to be
/// submitted again.
fn judge_task(
    executor: &BatchExecutor,
    array: &mut Array,
    number: usize,
    is_stopping: bool,
) -> Vec<WaitingAction> {
    let task = &array.tasks[number];
    let Some((since, end)) = &task.ended else { return Vec::new() };
    if since.elapsed() < GRACE || !task.unconfirmed.is_empty() {
        return Vec::new();
    }
    let end = end.clone();
    // The id of an earlier run may by now be that of another job.
    if array.is_adopted && task.machine.is_none() {
        let task = &mut array.tasks[number];
        task.settle_by_records(&executor.cache);
        return task.take_open();
    }
    let engine = &*executor.engine;
    let place = array.place(engine, number as u32);
    let id = array.record.id.clone();
    let task = &mut array.tasks[number];
    task.settle_by_records(&executor.cache);
    let Some(first) = task.first_open() else { return Vec::new() };
    let resources = task.actions.iter().flatten().next().map(|action| action.resources);
    let log_path = part_path(&array.run, "logs", &array.batch, number as u32, "log");
    let end = match end {
        TaskEnd::Exited(_) if engine.log_tells_out_of_memory(&last_lines(&log_path)) => {
            TaskEnd::OutOfMemory
        }
        end => end,
    };
    let tells = end == TaskEnd::OutOfMemory;
    if !is_stopping && engine.may_lack_memory(&end) && (tells || task.machine.is_some()) {
        let silent_engine = (!tells).then(|| engine.name());
        let message = task.first_open_mut().and_then(|action| action.raise_memory(silent_engine));
        if let Some(message) = message {
            let again = task.take_open();
            again.iter().take(1).for_each(|action| action.reply.note(message.clone()));
            return again;
        }
    }
    let error = match &end {
        TaskEnd::Lost(reason) => return resubmit(executor, task, reason, &place),
        TaskEnd::Cancelled if is_stopping => {
            task.take_open().into_iter().for_each(WaitingAction::cancelled);
            return Vec::new();
        }
        TaskEnd::Cancelled => {
            let error = || {
                StageError::failed(format!("somebody cancelled task {id}_{number}"))
                    .hint("the same command goes on from there")
            };
            for action in task.take_open() {
                action.reply.ended(Completion::Failed(error()));
            }
            return Vec::new();
        }
        TaskEnd::OutOfMemory => {
            let tries = task.first_open_mut().map_or(0, |action| action.memory_tries());
            let asked = resources.and_then(|resources| resources.memory_mib());
            let asked = asked.map_or("what it gets without asking".to_owned(), |mib| {
                format!("the {mib} MiB that it asked for")
            });
            let tries = match tries {
                0 => String::new(),
                tries => format!(" in the last of {} tries, each with more", tries + 1),
            };
            StageError::failed(format!("it needed more memory than {asked}{tries}"))
                .hint(format!("raise {}", engine.resource_setting("memory")))
        }
        TaskEnd::TimedOut => {
            let asked = resources.and_then(|resources| resources.time);
            let asked = asked.map_or("its task gets without asking".to_owned(), |time| {
                format!("{} s an action that it asked for", time.as_secs_f64())
            });
            StageError::failed(format!("it took longer than {asked}"))
                .hint(format!("raise {}", engine.resource_setting("time")))
        }
        TaskEnd::Exited(_) if task.machine.is_none() => {
            let error = || {
                let log = last_lines(&log_path);
                StageError::failed(format!(
                    "its task ended before fuseline began there{log}; {place}"
                ))
                .hint("the program must be there too: [executor] program, setup")
            };
            for action in task.take_open() {
                action.reply.ended(Completion::Failed(error()));
            }
            return Vec::new();
        }
        TaskEnd::Exited(reason) => {
            let log = last_lines(&log_path);
            StageError::failed(format!("its task ended ({reason}) in the middle of it{log}"))
        }
    };
    task.fail(&first, error, &place);
    // Those behind it were not tried.
    task.take_open()
}

/// The label of an array: that of its run and batch.
fn label(run: &Path, batch: &str) -> String {
    format!("{}/{batch}", run.file_name().unwrap_or_default().to_string_lossy())
}

/// The actions of a lost task that may be submitted again; the others have failed.
fn resubmit(
    executor: &BatchExecutor,
    task: &mut Task,
    reason: &str,
    place: &str,
) -> Vec<WaitingAction> {
    let mut again = Vec::new();
    for mut action in task.take_open() {
        action.losses += 1;
        if action.losses <= executor.settings.resubmit {
            again.push(action);
            continue;
        }
        let times = action.losses;
        let error =
            StageError::failed(format!("its task was lost {times} times ({reason}); {place}"))
                .hint("[executor] resubmit says how often it is submitted again");
        action.reply.ended(Completion::Failed(error));
    }
    again
}

/// The end of a log, for a message; nothing when there is none.
fn last_lines(log: &Path) -> String {
    const LINES: usize = 8;
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text[text.len().saturating_sub(4096)..]).into_owned();
    let lines: Vec<&str> = text.trim_end().lines().collect();
    match lines.len() {
        0 => String::new(),
        count => format!("; its log ends:\n{}\n", lines[count.saturating_sub(LINES)..].join("\n")),
    }
}
