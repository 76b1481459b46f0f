//! The host's side: a pool of workers for one plugin.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value};

use crate::batch::Batch;
use crate::params::Params;
use crate::rule::{Backend, Fault, OpenedModel, Permuted};
use crate::stop::StopSignal;
use crate::worker::frame::Request;
use crate::worker::process::{Worker, WorkerFailure};
use crate::worker::{WorkerLimits, WorkerProgram};

/// A model that grows beyond this is refused: 1 GiB.
const MODEL_LIMIT: u64 = 1 << 30;

/// A plugin in processes of its own: as many as calls run at once.
pub(crate) struct WorkerBackend {
    shared: Arc<Shared>,
    descriptor: String,
    fast_path: bool,
}

struct Shared {
    file: PathBuf,
    program: WorkerProgram,
    limits: WorkerLimits,
    idle: Mutex<Vec<Worker>>,
    /// Models that somebody still holds.
    live: Mutex<BTreeMap<u64, Arc<[u8]>>>,
    next_model: AtomicU64,
}

impl WorkerBackend {
    /// Starts a first worker, which loads the plugin and says what it is.
    pub(crate) fn start(
        file: &Path,
        program: WorkerProgram,
        limits: WorkerLimits,
    ) -> Result<Self, WorkerFailure> {
        let (worker, descriptor, fast_path) = Worker::start(file, &program, &limits)?;
        let shared = Shared {
            file: file.to_owned(),
            program,
            limits,
            idle: Mutex::new(vec![worker]),
            live: Mutex::default(),
            next_model: AtomicU64::new(1),
        };
        Ok(Self { shared: Arc::new(shared), descriptor, fast_path })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Runs a call on an idle worker, or on a new one. The worker is kept unless it failed.
    fn call<T>(&self, body: impl FnOnce(&mut Worker) -> Result<T, Fault>) -> Result<T, Fault> {
        let idle = lock(&self.idle).pop();
        let mut worker = match idle {
            Some(worker) => worker,
            None => {
                Worker::start(&self.file, &self.program, &self.limits).map_err(Fault::Worker)?.0
            }
        };
        let live: BTreeSet<u64> = lock(&self.live).keys().copied().collect();
        worker.forget_models_but(&live, &self.limits)?;
        let result = body(&mut worker);
        if !matches!(result, Err(Fault::Worker(_))) && !worker.is_spent {
            lock(&self.idle).push(worker);
        }
        result
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
        self.shared.call(|worker| {
            let batch_bytes = worker.give_batch(batch)?;
            let params: Map<String, Value> =
                serde_json::from_str(params.json()).unwrap_or_default();
            let request = Request::Fit { batch_bytes, params, seed };
            let bytes = worker.ask(&request, stop, &self.shared.limits)?;
            if bytes > MODEL_LIMIT {
                return Err(worker.fail(format!("it made a model of {bytes} bytes")));
            }
            worker.output.read_bytes(bytes as usize).map_err(|error| worker.broke(&error))
        })
    }

    fn open(&self, model: &[u8], stop: &StopSignal) -> Result<Arc<dyn OpenedModel>, Fault> {
        let number = self.shared.next_model.fetch_add(1, Ordering::Relaxed);
        let opened = WorkerModel {
            shared: self.shared.clone(),
            number,
            bytes: model.into(),
            fast_path: self.fast_path,
        };
        lock(&self.shared.live).insert(number, opened.bytes.clone());
        // Opened here and now, so that damaged bytes are known at once.
        self.shared.call(|worker| opened.ensure_open(worker, stop))?;
        Ok(Arc::new(opened))
    }
}

struct WorkerModel {
    shared: Arc<Shared>,
    number: u64,
    bytes: Arc<[u8]>,
    fast_path: bool,
}

impl Drop for WorkerModel {
    fn drop(&mut self) {
        lock(&self.shared.live).remove(&self.number);
    }
}

impl WorkerModel {
    fn ensure_open(&self, worker: &mut Worker, stop: &StopSignal) -> Result<(), Fault> {
        if worker.models.contains(&self.number) {
            return Ok(());
        }
        worker.input.write(&self.bytes, 0).map_err(|error| worker.broke(&error))?;
        // The bytes lie where the batch lay; the worker has read that one.
        worker.input_end = self.bytes.len() as u64;
        let request = Request::Open { model: self.number, model_bytes: self.bytes.len() as u64 };
        worker.ask(&request, stop, &self.shared.limits)?;
        worker.models.insert(self.number);
        Ok(())
    }

    fn predict_with(
        &self,
        batch: &Batch,
        out: &mut [f64],
        stop: &StopSignal,
        request: impl FnOnce(&mut Worker, u64) -> Result<Request, Fault>,
    ) -> Result<(), Fault> {
        self.shared.call(|worker| {
            self.ensure_open(worker, stop)?;
            let batch_bytes = worker.give_batch(batch)?;
            let request = request(worker, batch_bytes)?;
            let bytes = worker.ask(&request, stop, &self.shared.limits)?;
            if bytes != out.len() as u64 * 8 {
                return Err(worker.fail(format!(
                    "it gave {bytes} bytes of probabilities, not {}",
                    out.len() * 8
                )));
            }
            worker.output.read_f64s(out).map_err(|error| worker.broke(&error))
        })
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
