//! A rule whose code runs in this process.
#![expect(unsafe_code, reason = "calls through the C ABI")]

use std::ffi::c_void;
use std::path::Path;
use std::ptr::{self, NonNull};
use std::sync::{Arc, Mutex, PoisonError};

use fuseline_abi as abi;
use serde_json::Value;

use crate::batch::{Batch, BorrowedBatch};
use crate::conditions::Sandbox;
use crate::error::{HostError, RuleCode, RuleError};
use crate::message::{self, RuleMessage, plain_text};
use crate::params::Params;
use crate::reads::ReadFile;
use crate::rule::{Backend, Fault, LoadSource, MadeModel, OpenedModel, Permuted};
use crate::stop::StopSignal;

/// A model or an answer that grows beyond this is refused: 1 GiB.
const MODEL_LIMIT: usize = 1 << 30;

/// The functions of a loaded plugin. They stay valid: a plugin is never unloaded.
#[derive(Clone, Copy)]
struct Functions {
    descriptor: &'static str,
    fit: abi::Fit,
    open: abi::Open,
    close: abi::Close,
    predict: abi::Predict,
    predict_permuted: Option<abi::PredictPermuted>,
    load: Option<abi::Load>,
    query: Option<abi::Query>,
}

/// A plugin in this process.
pub(crate) struct Native {
    functions: Functions,
}

impl Native {
    pub(crate) fn has_fast_path(&self) -> bool {
        self.functions.predict_permuted.is_some()
    }

    /// Loads a plugin by its absolute path, and initialises it.
    pub(crate) fn load(path: &Path) -> Result<Self, HostError> {
        Self::load_into(&HOST_STRUCT, path)
    }

    /// Loads a plugin into this host.
    pub(crate) fn load_into(host: &'static StaticHost, path: &Path) -> Result<Self, HostError> {
        let refused = |reason: String| HostError::Load { path: path.to_owned(), reason };
        let init = load_init(path)?;
        let mut table = abi::FusionPlugin::empty();
        let mut error = abi::Error::new();
        // SAFETY: host, table and error live through the call and say their sizes.
        let code = unsafe { init(abi::ABI, host.get(), &mut table, &mut error) };
        if code != abi::OK {
            return Err(refused(rule_error(code, &error).to_string()));
        }
        if table.flags != 0 {
            return Err(refused("it sets reserved flags".to_owned()));
        }
        functions(&table).map(|functions| Self { functions }).map_err(refused)
    }
}

/// Loads a plugin by its absolute path and gives its entry point, not yet called. It is never
/// unloaded.
pub(crate) fn load_init(path: &Path) -> Result<abi::Init, HostError> {
    let refused = |reason: String| HostError::Load { path: path.to_owned(), reason };
    // SAFETY: running the library's constructors is what loading a plugin means; the caller chose
    // in-process loading, or this is the worker process made for it.
    let library = unsafe { open_library(path) }.map_err(|error| refused(in_full(&error)))?;
    // SAFETY: the symbol has this type by the ABI, which the tag says the file follows.
    let init = unsafe { library.get::<abi::Init>(abi::INIT_SYMBOL) }
        .map(|symbol| *symbol)
        .map_err(|_| refused(format!("it does not export {}", abi::INIT_SYMBOL)))?;
    // Never unloaded: the plugin may have started threads, registered handlers or given out
    // statics.
    std::mem::forget(library);
    Ok(init)
}

/// An error with its causes: what the dynamic linker has to say is one of them.
fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(own) = cause {
        let words = own.to_string();
        if !text.contains(&words) {
            text += &format!(": {words}");
        }
        cause = own.source();
    }
    text
}

#[cfg(unix)]
unsafe fn open_library(path: &Path) -> Result<libloading::Library, libloading::Error> {
    use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
    // SAFETY: as the caller's.
    unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }.map(Into::into)
}

#[cfg(not(unix))]
unsafe fn open_library(path: &Path) -> Result<libloading::Library, libloading::Error> {
    // SAFETY: as the caller's.
    unsafe { libloading::Library::new(path) }
}

fn functions(table: &abi::FusionPlugin) -> Result<Functions, String> {
    let missing = |name: &str| format!("its table has no {name}");
    // SAFETY: the descriptor is static memory of the plugin, by the ABI.
    let descriptor = unsafe { text(table.descriptor) }?;
    // SAFETY: what comes back for this id is null or a static struct that begins with its size.
    let permuted = unsafe { extension::<abi::PermutedPredict>(table, abi::PERMUTED_PREDICT) };
    // SAFETY: as above.
    let load = unsafe { extension::<abi::LoadModel>(table, abi::LOAD) };
    // SAFETY: as above.
    let query = unsafe { extension::<abi::AnswerQuery>(table, abi::QUERY) };
    Ok(Functions {
        descriptor,
        fit: table.fit.ok_or_else(|| missing("fit"))?,
        open: table.open.ok_or_else(|| missing("open"))?,
        close: table.close.ok_or_else(|| missing("close"))?,
        predict: table.predict.ok_or_else(|| missing("predict"))?,
        predict_permuted: permuted
            .filter(|table| table.struct_size as usize >= size_of::<abi::PermutedPredict>())
            .and_then(|table| table.predict_permuted),
        load: load
            .filter(|table| table.struct_size as usize >= size_of::<abi::LoadModel>())
            .and_then(|table| table.load),
        query: query
            .filter(|table| table.struct_size as usize >= size_of::<abi::AnswerQuery>())
            .and_then(|table| table.query),
    })
}

/// The struct of an extension, where the plugin has it.
///
/// # Safety
/// The value that the plugin gives for this id is null or a static `T` as far as its `struct_size`
/// says.
unsafe fn extension<T>(table: &abi::FusionPlugin, id: &'static str) -> Option<&'static T> {
    // SAFETY: the id lives for ever; the rest is the caller's.
    unsafe { (table.get_extension?)(abi::FslString::new(id)).cast::<T>().as_ref() }
}

/// # Safety
/// The string points to memory that is never freed or changed.
unsafe fn text(string: abi::FslString) -> Result<&'static str, String> {
    if string.ptr.is_null() {
        return Err("its descriptor is null".to_owned());
    }
    let len = usize::try_from(string.len)
        .ok()
        .filter(|&len| len < 1 << 20)
        .ok_or_else(|| "its descriptor is longer than 1 MiB".to_owned())?;
    // SAFETY: non-null, and of this length for ever, as the caller promises.
    let bytes = unsafe { std::slice::from_raw_parts(string.ptr.cast::<u8>(), len) };
    str::from_utf8(bytes).map_err(|_| "its descriptor is not UTF-8".to_owned())
}

fn rule_error(code: i32, error: &abi::Error) -> RuleError {
    let text = |buffer: &[u8]| {
        let end = buffer.iter().position(|&byte| byte == 0).unwrap_or(buffer.len());
        String::from_utf8_lossy(&buffer[..end]).into_owned()
    };
    RuleError {
        code: RuleCode::from_number(code),
        message: plain_text(&text(&error.message)),
        param: Some(plain_text(&text(&error.param))).filter(|param| !param.is_empty()),
        row: u64::try_from(error.row).ok(),
    }
}

/// Calls a function that gives a code and fills an error.
fn call(function: impl FnOnce(&mut abi::Error) -> i32) -> Result<(), Fault> {
    let mut error = abi::Error::new();
    match function(&mut error) {
        abi::OK => Ok(()),
        code => Err(Fault::Rule(rule_error(code, &error))),
    }
}

/// Runs a call that writes a model through a sink.
fn collect_model(
    params: &Params,
    function: impl FnOnce(*const abi::Params, *const abi::Sink, &mut abi::Error) -> i32,
) -> Result<MadeModel, Fault> {
    let params = abi::Params {
        struct_size: size_of::<abi::Params>() as u32,
        flags: 0,
        context: ptr::from_ref(params).cast(),
        json: abi::FslString::new(params.json()),
        get_f64: Some(get_f64),
        get_i64: Some(get_i64),
        get_str: Some(get_str),
        get_bool: Some(get_bool),
    };
    let bytes = collect_bytes("model", |sink, error| function(&params, sink, error))?;
    // A library reads nothing: it has no file system.
    Ok(MadeModel { bytes, reads: Vec::new() })
}

/// Runs a call that writes through a sink; gives the bytes. `what` they are, in messages.
fn collect_bytes(
    what: &str,
    function: impl FnOnce(*const abi::Sink, &mut abi::Error) -> i32,
) -> Result<Vec<u8>, Fault> {
    let written = Mutex::new(Written::default());
    let sink = abi::Sink {
        struct_size: size_of::<abi::Sink>() as u32,
        flags: 0,
        context: ptr::from_ref(&written).cast_mut().cast(),
        write: Some(sink_write),
    };
    call(|error| function(&sink, error))?;
    let written = written.into_inner().unwrap_or_else(PoisonError::into_inner);
    match written.refused {
        None => Ok(written.bytes),
        Some(reason) => Err(Fault::Rule(RuleError {
            code: RuleCode::Internal,
            message: format!("it says that all is well, and a part of its {what} was {reason}"),
            param: None,
            row: None,
        })),
    }
}

/// The error of a rule that lacks an extension.
fn no_extension(id: &str) -> Fault {
    Fault::Rule(RuleError {
        code: RuleCode::Unsupported,
        message: format!("there is no extension {id}"),
        param: None,
        row: None,
    })
}

impl Backend for Native {
    fn descriptor(&self) -> Result<String, Fault> {
        Ok(self.functions.descriptor.to_owned())
    }

    fn fit(
        &self,
        batch: &Batch,
        params: &Params,
        seed: u64,
        stop: &StopSignal,
    ) -> Result<MadeModel, Fault> {
        let batch = BorrowedBatch::new(batch, stop);
        let fit = self.functions.fit;
        // SAFETY: the batch lives through the call and is in the layout of the ABI, as params and
        // sink are.
        collect_model(params, |params, sink, error| unsafe {
            fit(batch.as_ptr(), params, seed, sink, error)
        })
    }

    fn load(
        &self,
        source: &LoadSource<'_>,
        params: &Params,
        stop: &StopSignal,
    ) -> Result<MadeModel, Fault> {
        let load = self.functions.load.ok_or_else(|| no_extension(abi::LOAD))?;
        let text = |name: &String| abi::FslString::new(name);
        let files: Vec<abi::File> = source
            .files
            .iter()
            .map(|file| abi::File {
                name: text(&file.name),
                file_name: text(&file.file_name),
                bytes: file.bytes.as_ptr(),
                len: file.bytes.len() as u64,
            })
            .collect();
        let modalities: Vec<_> = source.modalities.iter().map(text).collect();
        let classes: Vec<_> = source.classes.iter().map(text).collect();
        let source = abi::LoadSource {
            struct_size: size_of::<abi::LoadSource>() as u32,
            flags: 0,
            files: files.as_ptr(),
            file_count: files.len() as u64,
            modality_names: modalities.as_ptr(),
            class_names: classes.as_ptr(),
            modalities: modalities.len() as u32,
            classes: classes.len() as u32,
            call: ptr::from_ref(stop).cast(),
        };
        // SAFETY: the source and all that it points to live through the call, as params and sink
        // do.
        collect_model(params, |params, sink, error| unsafe { load(&source, params, sink, error) })
    }

    fn query(&self, question: &[u8], stop: &StopSignal) -> Result<Vec<u8>, Fault> {
        let query = self.functions.query.ok_or_else(|| no_extension(abi::QUERY))?;
        let (len, call) = (question.len() as u64, ptr::from_ref(stop).cast());
        // SAFETY: the question and the signal live through the call, as the sink does.
        collect_bytes("answer", |sink, error| unsafe {
            query(question.as_ptr(), len, call, sink, error)
        })
    }

    fn open_for_witness(
        &self,
        model: &[u8],
        stop: &StopSignal,
    ) -> Result<Arc<dyn OpenedModel>, Fault> {
        self.open(model, stop)
    }

    fn missing_layers(&self) -> Vec<&'static str> {
        Vec::new()
    }

    fn sandbox(&self) -> Option<Sandbox> {
        None
    }

    fn open(&self, model: &[u8], _stop: &StopSignal) -> Result<Arc<dyn OpenedModel>, Fault> {
        let mut opened = ptr::null_mut();
        let len = model.len() as u64;
        // SAFETY: the bytes and the place for the model live through the call.
        call(|error| unsafe { (self.functions.open)(model.as_ptr(), len, &mut opened, error) })?;
        let Some(model) = NonNull::new(opened) else {
            return Err(Fault::Rule(RuleError {
                code: RuleCode::Internal,
                message: "open gave no model and no error".to_owned(),
                param: None,
                row: None,
            }));
        };
        Ok(Arc::new(NativeModel { model, functions: self.functions }))
    }
}

struct NativeModel {
    model: NonNull<abi::Model>,
    functions: Functions,
}

// SAFETY: by the ABI a model is immutable, used by many threads at once, and closed on any thread.
unsafe impl Send for NativeModel {}
// SAFETY: as above.
unsafe impl Sync for NativeModel {}

impl Drop for NativeModel {
    fn drop(&mut self) {
        // SAFETY: the model came from this plugin's open and is closed once.
        unsafe { (self.functions.close)(self.model.as_ptr()) }
    }
}

impl OpenedModel for NativeModel {
    fn predict(&self, batch: &Batch, out: &mut [f64], stop: &StopSignal) -> Result<(), Fault> {
        let batch = BorrowedBatch::new(batch, stop);
        // SAFETY: the model is open, the batch lives through the call, `out` has rows x classes
        // places.
        call(|error| unsafe {
            (self.functions.predict)(self.model.as_ptr(), batch.as_ptr(), out.as_mut_ptr(), error)
        })
    }

    fn has_fast_path(&self) -> bool {
        self.functions.predict_permuted.is_some()
    }

    fn permutes(&self) -> bool {
        self.has_fast_path()
    }

    fn reads(&self) -> Vec<ReadFile> {
        Vec::new()
    }

    fn predict_permuted(
        &self,
        batch: &Batch,
        permuted: Permuted<'_>,
        out: &mut [f64],
        stop: &StopSignal,
    ) -> Result<(), Fault> {
        let function =
            self.functions.predict_permuted.ok_or_else(|| no_extension(abi::PERMUTED_PREDICT))?;
        let batch = BorrowedBatch::new(batch, stop);
        // SAFETY: as for predict; the index has permutations x columns x rows places and `out`
        // permutations x rows x classes, which `Permuted::fits` has checked.
        call(|error| unsafe {
            function(
                self.model.as_ptr(),
                batch.as_ptr(),
                permuted.index.as_ptr(),
                permuted.permutations as u64,
                permuted.columns as u32,
                permuted.modality_mask,
                out.as_mut_ptr(),
                error,
            )
        })
    }
}

/// The host that every plugin in this process sees.
pub(crate) struct StaticHost(abi::Host);

impl StaticHost {
    /// Pointer that plugins get.
    pub(crate) fn get(&self) -> *const abi::Host {
        &self.0
    }
}

// SAFETY: it is never written, has no context, and its functions may be called from any thread.
unsafe impl Sync for StaticHost {}

/// Actions run in parallel; a rule that starts threads of its own would only get in their way.
pub(crate) static HOST_STRUCT: StaticHost = host(1);
/// A host that allows a plugin more threads: what the plugin check tries.
pub(crate) static HOST_OF_8_THREADS: StaticHost = host(8);

const fn host(max_threads: u32) -> StaticHost {
    StaticHost(abi::Host {
        struct_size: size_of::<abi::Host>() as u32,
        flags: 0,
        context: ptr::null_mut(),
        max_threads,
        reserved: 0,
        should_stop: Some(should_stop),
        progress: Some(progress),
        log: Some(log),
    })
}

unsafe extern "C" fn should_stop(_host: *const abi::Host, call: *const c_void) -> i32 {
    // SAFETY: by the ABI this is the `call` of a batch whose call is running, which is a
    // StopSignal.
    let stop = unsafe { call.cast::<StopSignal>().as_ref() };
    i32::from(stop.is_some_and(StopSignal::is_stopped))
}

extern "C" fn progress(_host: *const abi::Host, _call: *const c_void, fraction: f64) {
    tracing::trace!(fraction, "a fusion rule says how far it is");
}

unsafe extern "C" fn log(_host: *const abi::Host, level: i32, line: abi::FslString) {
    if line.ptr.is_null() {
        return;
    }
    let len = line.len.min(4096) as usize;
    // SAFETY: non-null, and readable for its length during the call, by the ABI.
    let bytes = unsafe { std::slice::from_raw_parts(line.ptr.cast::<u8>(), len) };
    let text = String::from_utf8_lossy(bytes);
    message::pass(RuleMessage::new(level.into(), &text));
}

unsafe extern "C" fn sink_write(sink: *const abi::Sink, bytes: *const u8, len: u64) -> i32 {
    // SAFETY: the plugin passes the sink of its running fit on.
    let Some(sink) = (unsafe { sink.as_ref() }) else { return abi::ERR_INTERNAL };
    // SAFETY: the context is the Mutex that the call came with, which outlives the call.
    let Some(model) = (unsafe { sink.context.cast::<Mutex<Written>>().as_ref() }) else {
        return abi::ERR_INTERNAL;
    };
    let mut model = model.lock().unwrap_or_else(PoisonError::into_inner);
    let fits = |len: &usize| model.bytes.len().saturating_add(*len) <= MODEL_LIMIT;
    let Some(len) = usize::try_from(len).ok().filter(fits) else {
        model.refused = Some("refused: it would be larger than 1 GiB");
        return abi::ERR_OUT_OF_MEMORY;
    };
    if len > 0 {
        if bytes.is_null() {
            model.refused = Some("refused: it lay at no address");
            return abi::ERR_INTERNAL;
        }
        // SAFETY: non-null, and readable for its length during the call, by the ABI.
        model.bytes.extend_from_slice(unsafe { std::slice::from_raw_parts(bytes, len) });
    }
    abi::OK
}

/// A model or an answer as far as it is written.
#[derive(Default)]
struct Written {
    bytes: Vec<u8>,
    /// Reason why a part of it was not taken.
    refused: Option<&'static str>,
}

/// # Safety
/// As the ABI says of the functions in `fsl_params`.
unsafe fn param<T>(
    params: *const abi::Params,
    path: abi::FslString,
    out: *mut T,
    convert: impl FnOnce(&Value) -> Option<T>,
) -> i32 {
    // SAFETY: the plugin passes the params of its running fit on.
    let Some(params) = (unsafe { params.as_ref() }) else { return abi::ERR_INTERNAL };
    // SAFETY: the context is the Params that `fit` was called with, which outlive the call.
    let Some(params) = (unsafe { params.context.cast::<Params>().as_ref() }) else {
        return abi::ERR_INTERNAL;
    };
    if path.ptr.is_null() || path.len > 4096 || out.is_null() {
        return abi::ERR_PARAM;
    }
    // SAFETY: non-null, and readable for its length during the call, by the ABI.
    let path = unsafe { std::slice::from_raw_parts(path.ptr.cast::<u8>(), path.len as usize) };
    let value = str::from_utf8(path).ok().and_then(|path| params.get(path)).and_then(convert);
    match value {
        Some(value) => {
            // SAFETY: non-null, and a place for such a value, by the ABI.
            unsafe { out.write(value) };
            abi::OK
        }
        None => abi::ERR_PARAM,
    }
}

unsafe extern "C" fn get_f64(
    params: *const abi::Params,
    path: abi::FslString,
    out: *mut f64,
) -> i32 {
    // SAFETY: as the caller's.
    unsafe { param(params, path, out, Value::as_f64) }
}

unsafe extern "C" fn get_i64(
    params: *const abi::Params,
    path: abi::FslString,
    out: *mut i64,
) -> i32 {
    let convert = |value: &Value| {
        let whole = |number: &f64| number.fract() == 0.0 && number.abs() < 9e15;
        value.as_i64().or_else(|| value.as_f64().filter(whole).map(|number| number as i64))
    };
    // SAFETY: as the caller's.
    unsafe { param(params, path, out, convert) }
}

unsafe extern "C" fn get_str(
    params: *const abi::Params,
    path: abi::FslString,
    out: *mut abi::FslString,
) -> i32 {
    // SAFETY: as the caller's; the string lives in the params.
    unsafe { param(params, path, out, |value| value.as_str().map(abi::FslString::new)) }
}

unsafe extern "C" fn get_bool(
    params: *const abi::Params,
    path: abi::FslString,
    out: *mut i32,
) -> i32 {
    // SAFETY: as the caller's.
    unsafe { param(params, path, out, |value| value.as_bool().map(i32::from)) }
}
