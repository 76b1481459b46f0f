//! The host's side: workers of one plugin.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value};

use crate::batch::Batch;
use crate::conditions::Sandbox;
use crate::image::{Form, Image};
use crate::params::Params;
use crate::reads::{ReadFile, outside_of};
use crate::rule::{Backend, Fault, LoadFile, LoadSource, MadeModel, OpenedModel, Permuted};
use crate::stop::StopSignal;
use crate::worker::WorkerSettings;
use crate::worker::frame::{FileFrame, Request};
use crate::worker::process::{Greeting, Worker, WorkerFailure};

/// A model or an answer that grows beyond this is refused: 1 GiB.
const BYTES_LIMIT: u64 = 1 << 30;
/// Models that one worker opens at most, and their bytes: nothing is closed, a worker that has
/// enough is ended.
const MODELS_OF_A_WORKER: usize = 16;
const BYTES_OF_A_WORKER: u64 = 64 << 20;

/// A plugin in processes of its own. A worker serves one fit, or one opening of a model: what it
/// has seen is gone with it. Those that are asked a second time serve many models, as no result
/// comes from them.
pub(crate) struct WorkerBackend {
    launcher: Arc<Launcher>,
    greeting: Greeting,
    /// Pool of workers that repeat the requests of others, to compare the answers.
    witnesses: Arc<Pool>,
    /// Pool of workers that have answered questions.
    answering: Pool,
}

/// Workers that wait for a question.
type Pool = Mutex<Vec<Worker>>;

/// Starts workers.
struct Launcher {
    image: Arc<Image>,
    settings: WorkerSettings,
    /// The worker that said what the plugin is, and has been asked nothing since.
    unused: Mutex<Option<Worker>>,
    next_model: AtomicU64,
}

impl WorkerBackend {
    /// Starts a first worker, which loads the plugin and says what it is.
    pub(crate) fn start(
        image: Arc<Image>,
        settings: WorkerSettings,
    ) -> Result<Self, WorkerFailure> {
        let (worker, greeting) = Worker::start(&image, &settings)?;
        let unused = Mutex::new(Some(worker));
        let next_model = AtomicU64::new(1);
        let launcher = Arc::new(Launcher { image, settings, unused, next_model });
        Ok(Self { launcher, greeting, witnesses: Arc::default(), answering: Pool::default() })
    }

    fn open_in(
        &self,
        pool: Arc<Pool>,
        model: &[u8],
        stop: &StopSignal,
    ) -> Result<Arc<dyn OpenedModel>, Fault> {
        let opened = WorkerModel {
            launcher: self.launcher.clone(),
            number: self.launcher.next_model.fetch_add(1, Ordering::Relaxed),
            bytes: model.into(),
            fast_path: self.greeting.fast_path,
            pool,
            reads: Mutex::default(),
        };
        // Opened here and now, so that damaged bytes are known at once.
        let worker = opened.worker(stop)?;
        lock(&opened.pool).push(worker);
        Ok(Arc::new(opened))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks for what gives bytes in the output, and reads them.
fn ask_for_bytes(
    worker: &mut Worker,
    request: &Request,
    stop: &StopSignal,
) -> Result<Vec<u8>, Fault> {
    let bytes = worker.ask(request, stop)?;
    if bytes > BYTES_LIMIT {
        return Err(worker.fail(format!("it made a model or an answer of {bytes} bytes")));
    }
    let read = worker.output.read_bytes(bytes as usize);
    read.map_err(|error| worker.broke(&error))
}

impl Launcher {
    /// A worker that has been asked nothing.
    fn start(&self) -> Result<Worker, Fault> {
        if let Some(worker) = lock(&self.unused).take() {
            return Ok(worker);
        }
        let started = Worker::start(&self.image, &self.settings);
        started.map(|(worker, ..)| worker).map_err(Fault::Worker)
    }

    /// Asks for what gives a model, and reads it from the output.
    fn ask_for_model(
        &self,
        worker: &mut Worker,
        request: &Request,
        stop: &StopSignal,
    ) -> Result<MadeModel, Fault> {
        let bytes = ask_for_bytes(worker, request, stop)?;
        Ok(MadeModel { bytes, reads: self.take_reads(worker)? })
    }

    /// Files that a worker reports as read and has not reported before, without the copies that it
    /// was given.
    fn take_reads(&self, worker: &mut Worker) -> Result<Vec<ReadFile>, Fault> {
        let mut reads = std::mem::take(&mut worker.reads);
        let staged = match self.image.form() {
            Form::Script(staged) => Some(staged.folder.path()),
            Form::Library(_) => None,
        };
        let own = staged.into_iter().chain(worker.own_folder());
        for own in own.map(Path::to_owned).collect::<Vec<_>>() {
            reads = outside_of(&own, reads).map_err(|problem| {
                worker.fail(format!("it says that it has read a file: {problem}"))
            })?;
        }
        Ok(reads)
    }
}

impl Backend for WorkerBackend {
    fn descriptor(&self) -> Result<String, Fault> {
        Ok(self.greeting.descriptor.clone())
    }

    fn fit(
        &self,
        batch: &Batch,
        params: &Params,
        seed: u64,
        stop: &StopSignal,
    ) -> Result<MadeModel, Fault> {
        let mut worker = self.launcher.start()?;
        let batch_bytes = worker.give_batch(batch)?;
        let params: Map<String, Value> = serde_json::from_str(params.json()).unwrap_or_default();
        let request = Request::Fit { batch_bytes, params, seed };
        self.launcher.ask_for_model(&mut worker, &request, stop)
    }

    fn load(
        &self,
        source: &LoadSource<'_>,
        params: &Params,
        stop: &StopSignal,
    ) -> Result<MadeModel, Fault> {
        let mut worker = self.launcher.start()?;
        let (mut files, mut end) = (Vec::with_capacity(source.files.len()), 0);
        for LoadFile { name, file_name, bytes } in source.files {
            worker.input.write(bytes, end).map_err(|error| worker.broke(&error))?;
            end += bytes.len() as u64;
            files.push(FileFrame {
                name: name.clone(),
                file_name: file_name.clone(),
                bytes: bytes.len() as u64,
            });
        }
        let request = Request::Load {
            files,
            modalities: source.modalities.to_vec(),
            classes: source.classes.to_vec(),
            params: serde_json::from_str(params.json()).unwrap_or_default(),
        };
        self.launcher.ask_for_model(&mut worker, &request, stop)
    }

    fn query(&self, question: &[u8], stop: &StopSignal) -> Result<Vec<u8>, Fault> {
        let waiting = lock(&self.answering).pop();
        let mut worker = waiting.map_or_else(|| self.launcher.start(), Ok)?;
        worker.give_bytes(question)?;
        let request = Request::Query { bytes: question.len() as u64 };
        let answer = ask_for_bytes(&mut worker, &request, stop);
        // One that holds much is ended, and its memory with it.
        let is_small = question.len() as u64 <= BYTES_OF_A_WORKER;
        if is_small && !matches!(answer, Err(Fault::Worker(_))) && !worker.is_spent {
            lock(&self.answering).push(worker);
        }
        answer
    }

    fn open(&self, model: &[u8], stop: &StopSignal) -> Result<Arc<dyn OpenedModel>, Fault> {
        self.open_in(Arc::default(), model, stop)
    }

    fn open_for_witness(
        &self,
        model: &[u8],
        stop: &StopSignal,
    ) -> Result<Arc<dyn OpenedModel>, Fault> {
        self.open_in(self.witnesses.clone(), model, stop)
    }

    fn missing_layers(&self) -> Vec<&'static str> {
        match self.launcher.settings.limits.sandbox {
            Sandbox::Off => Vec::new(),
            Sandbox::Strict | Sandbox::Default => self.greeting.layers.missing().collect(),
        }
    }

    fn sandbox(&self) -> Option<Sandbox> {
        Some(self.launcher.settings.limits.sandbox)
    }
}

/// A model in workers of a pool: as many as calls run at once.
struct WorkerModel {
    launcher: Arc<Launcher>,
    number: u64,
    bytes: Arc<[u8]>,
    fast_path: bool,
    pool: Arc<Pool>,
    /// Files that its workers report as read.
    reads: Mutex<BTreeSet<ReadFile>>,
}

impl WorkerModel {
    /// A worker that has opened the model.
    fn worker(&self, stop: &StopSignal) -> Result<Worker, Fault> {
        let waiting = lock(&self.pool).pop();
        let has_room = |worker: &Worker| {
            worker.opened.contains(&self.number)
                || worker.opened.len() < MODELS_OF_A_WORKER
                    && worker.opened_bytes + self.bytes.len() as u64 <= BYTES_OF_A_WORKER
        };
        let mut worker = match waiting.filter(has_room) {
            Some(worker) => worker,
            None => self.launcher.start()?,
        };
        if worker.opened.contains(&self.number) {
            return Ok(worker);
        }
        let length = self.bytes.len() as u64;
        worker.give_bytes(&self.bytes)?;
        let request = Request::Open { model: self.number, model_bytes: length };
        worker.ask(&request, stop)?;
        worker.opened.insert(self.number);
        worker.opened_bytes += length;
        self.note_reads(&mut worker)?;
        Ok(worker)
    }

    fn note_reads(&self, worker: &mut Worker) -> Result<(), Fault> {
        let reads = self.launcher.take_reads(worker)?;
        self.reads.lock().unwrap_or_else(PoisonError::into_inner).extend(reads);
        Ok(())
    }

    fn predict_with(
        &self,
        batch: &Batch,
        out: &mut [f64],
        stop: &StopSignal,
        request: impl FnOnce(&mut Worker, u64) -> Result<Request, Fault>,
    ) -> Result<(), Fault> {
        let mut worker = self.worker(stop)?;
        let result = self.predict_in(&mut worker, batch, out, stop, request);
        if !matches!(result, Err(Fault::Worker(_))) && !worker.is_spent {
            lock(&self.pool).push(worker);
        }
        result
    }

    fn predict_in(
        &self,
        worker: &mut Worker,
        batch: &Batch,
        out: &mut [f64],
        stop: &StopSignal,
        request: impl FnOnce(&mut Worker, u64) -> Result<Request, Fault>,
    ) -> Result<(), Fault> {
        let batch_bytes = worker.give_batch(batch)?;
        let request = request(worker, batch_bytes)?;
        let bytes = worker.ask(&request, stop)?;
        self.note_reads(worker)?;
        if bytes != out.len() as u64 * 8 {
            let expected = out.len() * 8;
            return Err(
                worker.fail(format!("it gave {bytes} bytes of probabilities, not {expected}"))
            );
        }
        worker.output.read_f64s(out).map_err(|error| worker.broke(&error))
    }
}

impl OpenedModel for WorkerModel {
    fn predict(&self, batch: &Batch, out: &mut [f64], stop: &StopSignal) -> Result<(), Fault> {
        self.predict_with(batch, out, stop, |_, batch_bytes| {
            Ok(Request::Predict { model: self.number, batch_bytes })
        })
    }

    fn has_fast_path(&self) -> bool {
        self.fast_path
    }

    fn permutes(&self) -> bool {
        true
    }

    fn reads(&self) -> Vec<ReadFile> {
        self.reads.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn predict_permuted(
        &self,
        batch: &Batch,
        permuted: Permuted<'_>,
        out: &mut [f64],
        stop: &StopSignal,
    ) -> Result<(), Fault> {
        self.predict_with(batch, out, stop, |worker, batch_bytes| {
            // Behind the batch, which stays for the next call.
            let index_at = worker.input_end.next_multiple_of(64);
            let index: Vec<u8> = permuted.index.iter().flat_map(|row| row.to_le_bytes()).collect();
            worker.input.write(&index, index_at).map_err(|error| worker.broke(&error))?;
            Ok(Request::PredictPermuted {
                model: self.number,
                batch_bytes,
                index_at,
                permutations: permuted.permutations as u64,
                columns: permuted.columns as u32,
                modality_mask: permuted.modality_mask,
            })
        })
    }
}
