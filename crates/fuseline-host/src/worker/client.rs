//! The host's side: workers of one plugin.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value};

use crate::batch::Batch;
use crate::params::Params;
use crate::rule::{Backend, Fault, LoadFile, LoadSource, OpenedModel, Permuted};
use crate::stop::StopSignal;
use crate::worker::frame::{FileFrame, Request};
use crate::worker::process::{Worker, WorkerFailure};
use crate::worker::{WorkerLimits, WorkerProgram};

/// A model that grows beyond this is refused: 1 GiB.
const MODEL_LIMIT: u64 = 1 << 30;
/// The number of the only model that a worker opens.
const THE_MODEL: u64 = 1;

/// A plugin in processes of its own. A worker serves one fit, or one opening of a model: what it has seen is gone with it.
pub(crate) struct WorkerBackend {
    launcher: Arc<Launcher>,
    descriptor: String,
    fast_path: bool,
}

/// Starts workers.
struct Launcher {
    file: PathBuf,
    program: WorkerProgram,
    limits: WorkerLimits,
    /// The worker that said what the plugin is, and has been asked nothing since.
    unused: Mutex<Option<Worker>>,
}

impl WorkerBackend {
    /// Starts a first worker, which loads the plugin and says what it is.
    pub(crate) fn start(
        file: &Path,
        program: WorkerProgram,
        limits: WorkerLimits,
    ) -> Result<Self, WorkerFailure> {
        let (worker, descriptor, fast_path) = Worker::start(file, &program, &limits)?;
        let unused = Mutex::new(Some(worker));
        let launcher = Launcher { file: file.to_owned(), program, limits, unused };
        Ok(Self { launcher: Arc::new(launcher), descriptor, fast_path })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Launcher {
    /// A worker that has been asked nothing.
    fn start(&self) -> Result<Worker, Fault> {
        if let Some(worker) = lock(&self.unused).take() {
            return Ok(worker);
        }
        let started = Worker::start(&self.file, &self.program, &self.limits);
        started.map(|(worker, ..)| worker).map_err(Fault::Worker)
    }

    /// Asks for what gives a model, and reads it from the output.
    fn ask_for_model(
        &self,
        worker: &mut Worker,
        request: &Request,
        stop: &StopSignal,
    ) -> Result<Vec<u8>, Fault> {
        let bytes = worker.ask(request, stop, &self.limits)?;
        if bytes > MODEL_LIMIT {
            return Err(worker.fail(format!("it made a model of {bytes} bytes")));
        }
        worker.output.read_bytes(bytes as usize).map_err(|error| worker.broke(&error))
    }
}

impl Backend for WorkerBackend {
    fn descriptor(&self) -> Result<String, Fault> {
        Ok(self.descriptor.clone())
    }

    fn fit(
        &self,
        batch: &Batch,
        params: &Params,
        seed: u64,
        stop: &StopSignal,
    ) -> Result<Vec<u8>, Fault> {
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
    ) -> Result<Vec<u8>, Fault> {
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

    fn open(&self, model: &[u8], stop: &StopSignal) -> Result<Arc<dyn OpenedModel>, Fault> {
        let opened = WorkerModel {
            launcher: self.launcher.clone(),
            bytes: model.into(),
            fast_path: self.fast_path,
            idle: Mutex::default(),
        };
        // Opened here and now, so that damaged bytes are known at once.
        let worker = opened.start(stop)?;
        lock(&opened.idle).push(worker);
        Ok(Arc::new(opened))
    }
}

/// A model in workers of its own: as many as calls run at once.
struct WorkerModel {
    launcher: Arc<Launcher>,
    bytes: Arc<[u8]>,
    fast_path: bool,
    idle: Mutex<Vec<Worker>>,
}

impl WorkerModel {
    /// Another worker that has opened the model.
    fn start(&self, stop: &StopSignal) -> Result<Worker, Fault> {
        let mut worker = self.launcher.start()?;
        worker.input.write(&self.bytes, 0).map_err(|error| worker.broke(&error))?;
        let request = Request::Open { model: THE_MODEL, model_bytes: self.bytes.len() as u64 };
        worker.ask(&request, stop, &self.launcher.limits)?;
        Ok(worker)
    }

    fn predict_with(
        &self,
        batch: &Batch,
        out: &mut [f64],
        stop: &StopSignal,
        request: impl FnOnce(&mut Worker, u64) -> Result<Request, Fault>,
    ) -> Result<(), Fault> {
        let idle = lock(&self.idle).pop();
        let mut worker = match idle {
            Some(worker) => worker,
            None => self.start(stop)?,
        };
        let result = self.predict_in(&mut worker, batch, out, stop, request);
        if !matches!(result, Err(Fault::Worker(_))) && !worker.is_spent {
            lock(&self.idle).push(worker);
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
        let bytes = worker.ask(&request, stop, &self.launcher.limits)?;
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
            Ok(Request::Predict { model: THE_MODEL, batch_bytes })
        })
    }

    fn has_fast_path(&self) -> bool {
        self.fast_path
    }

    fn permutes(&self) -> bool {
        true
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
                model: THE_MODEL,
                batch_bytes,
                index_at,
                permutations: permuted.permutations as u64,
                columns: permuted.columns as u32,
                modality_mask: permuted.modality_mask,
            })
        })
    }
}
