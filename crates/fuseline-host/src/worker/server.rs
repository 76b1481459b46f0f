//! The worker's side: a plugin behind a socket.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use fuseline_abi as abi;

use crate::batch::Batch;
use crate::error::{RuleCode, RuleError};
use crate::message;
use crate::native::Native;
use crate::params::Params;
use crate::rule::{Backend, Fault, LoadFile, LoadSource, OpenedModel, Permuted, looped};
use crate::stop::StopSignal;
use crate::worker::frame::{self, FileFrame, PROTOCOL, Reply, Request};
use crate::worker::region::Region;
use crate::worker::sandbox;

/// Serves the shared library at this path to the host at the other end.
pub fn serve(library: &Path, stream: UnixStream) -> io::Result<()> {
    let (hello, [input, output]) = frame::receive_with_files(&stream)?;
    let Request::Hello { protocol } = hello else {
        return Err(io::Error::other("the first frame is not hello"));
    };
    if protocol != PROTOCOL {
        let message = format!("the worker speaks protocol {PROTOCOL}, the host {protocol}");
        return frame::write(&stream, &Reply::Refused { message });
    }
    let native = match Native::load(library) {
        Ok(native) => native,
        Err(error) => return frame::write(&stream, &Reply::Refused { message: error.to_string() }),
    };
    let descriptor = native.descriptor().unwrap_or_default();
    let fast_path = native.has_fast_path();
    flush_standard_output();
    frame::write(&stream, &Reply::Ready { protocol, descriptor, fast_path })?;

    let stop = StopSignal::new();
    let requests = listen(stream.try_clone()?, stop.clone());
    let mut server = Server {
        native,
        input: Region::map(input),
        output: Region::map(output),
        models: BTreeMap::new(),
        batch: None,
        stop,
    };
    while let Ok(request) = requests.recv() {
        let (answer, messages) = message::collect(|| server.answer(request));
        let reply = match answer {
            Ok(bytes) => Reply::Ok { bytes, messages, reads: Vec::new() },
            Err(Trouble::Rule(error)) => Reply::Error {
                code: error.code.number(),
                message: error.message,
                param: error.param,
                row: error.row.and_then(|row| i64::try_from(row).ok()),
                messages,
            },
            Err(Trouble::Worker(error)) => return Err(error),
        };
        flush_standard_output();
        server.stop.reset();
        frame::write(&stream, &reply)?;
    }
    Ok(())
}

/// Reads requests on a thread of its own, so that a stop reaches a running call. The end of the
/// socket is the end of the worker.
fn listen(stream: UnixStream, stop: StopSignal) -> Receiver<Request> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        while let Ok(Some(request)) = frame::read::<Request>(&stream) {
            if matches!(request, Request::Stop) {
                stop.stop();
            } else if sender.send(request).is_err() {
                break;
            }
        }
        // Whatever the plugin is doing, nobody waits for it any more.
        sandbox::exit_now();
    });
    receiver
}

/// Writes out what a plugin printed through the C library, so that the host sees it with the call
/// that printed it.
fn flush_standard_output() {
    let _ = io::stdout().flush();
    sandbox::flush_c_streams();
}

/// Reason why a request fails.
enum Trouble {
    /// The rule returned an error.
    Rule(RuleError),
    /// The protocol was broken; the worker ends.
    Worker(io::Error),
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Rule(error) => Self::Rule(error),
            Fault::Worker(failure) => Self::Worker(io::Error::other(failure.to_string())),
        }
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Worker(error)
    }
}

struct Server {
    native: Native,
    input: Region,
    output: Region,
    models: BTreeMap<u64, Arc<dyn OpenedModel>>,
    /// The batch of the last request that had one.
    batch: Option<Batch>,
    stop: StopSignal,
}

impl Server {
    /// Does what is asked for; gives how many bytes are in the output.
    fn answer(&mut self, request: Request) -> Result<u64, Trouble> {
        match request {
            Request::Hello { .. } | Request::Stop => {
                Err(io::Error::other("hello and stop are not asked for here").into())
            }
            Request::Fit { batch_bytes, params, seed } => {
                let batch = self.take_batch(batch_bytes)?;
                let model = self.native.fit(&batch, &Params::checked(params), seed, &self.stop)?;
                self.output.write(&model.bytes, 0)?;
                Ok(model.bytes.len() as u64)
            }
            Request::Load { files, modalities, classes, params } => {
                let lengths = files.iter().map(|file| file.bytes);
                let total = lengths.fold(0_u64, u64::saturating_add);
                let all = self.input.read_bytes(total as usize)?;
                let mut rest = all.as_slice();
                let mut sources = Vec::with_capacity(files.len());
                for FileFrame { name, file_name, bytes } in files {
                    let (own, others) = rest.split_at(bytes as usize);
                    rest = others;
                    sources.push(LoadFile { name, file_name, bytes: own.to_vec() });
                }
                let source =
                    LoadSource { files: &sources, modalities: &modalities, classes: &classes };
                let model = self.native.load(&source, &Params::checked(params), &self.stop)?;
                self.output.write(&model.bytes, 0)?;
                Ok(model.bytes.len() as u64)
            }
            Request::Open { model, model_bytes } => {
                let bytes = self.input.read_bytes(model_bytes as usize)?;
                self.models.insert(model, self.native.open(&bytes, &self.stop)?);
                Ok(0)
            }
            Request::Query { bytes } => {
                let question = self.input.read_bytes(bytes as usize)?;
                let answer = self.native.query(&question, &self.stop)?;
                self.output.write(&answer, 0)?;
                Ok(answer.len() as u64)
            }
            Request::Close { model } => {
                self.models.remove(&model);
                Ok(0)
            }
            Request::Predict { model, batch_bytes } => {
                let batch = self.take_batch(batch_bytes)?;
                let mut out = vec![f64::NAN; batch.rows() * batch.classes().len()];
                self.model(model)?.predict(&batch, &mut out, &self.stop)?;
                self.output.write_f64s(&out)?;
                Ok(out.len() as u64 * 8)
            }
            Request::PredictPermuted {
                model,
                batch_bytes,
                index_at,
                permutations,
                columns,
                modality_mask,
            } => {
                let batch = self.take_batch(batch_bytes)?;
                let (permutations, columns) = (permutations as usize, columns as usize);
                let index =
                    self.input.read_u32s(permutations * columns * batch.rows(), index_at)?;
                let permuted = Permuted { index: &index, permutations, columns, modality_mask };
                let mut out = vec![f64::NAN; permutations * batch.rows() * batch.classes().len()];
                let model = self.model(model)?;
                permuted
                    .fits(&batch, out.len())
                    .map_err(|error| Trouble::Worker(io::Error::other(error.to_string())))?;
                if model.permutes() {
                    model.predict_permuted(&batch, permuted, &mut out, &self.stop)?;
                } else {
                    looped(&*model, &batch, permuted, &mut out, &self.stop)?;
                }
                self.output.write_f64s(&out)?;
                Ok(out.len() as u64 * 8)
            }
        }
    }

    /// The batch at the input's beginning; 0 bytes mean that of the request before.
    fn take_batch(&mut self, bytes: u64) -> Result<Batch, Trouble> {
        if bytes > 0 {
            let stream = self.input.read_aligned(bytes as usize)?;
            self.batch = Some(Batch::of_stream(stream).map_err(io::Error::other)?);
        }
        self.batch.clone().ok_or_else(|| io::Error::other("there was no batch before").into())
    }

    fn model(&self, model: u64) -> Result<Arc<dyn OpenedModel>, Trouble> {
        self.models.get(&model).cloned().ok_or_else(|| {
            Trouble::Rule(RuleError {
                code: RuleCode::from_number(abi::ERR_INTERNAL),
                message: format!("model {model} is not open"),
                param: None,
                row: None,
            })
        })
    }
}
