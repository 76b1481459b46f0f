//! The C ABI of fusion rules: `include/fuseline_fusion.h` and its mirror in Rust.
//!
//! Knows layouts, codes and names. Knows nothing of how plugins are found, loaded or written.
//! The header is the specification; it defines the meaning of the members. Start at
//! [`FusionPlugin`].
//! **Invariant:** every struct here has the size and the offsets that the header asserts; a test
//! compiles the header and compares.
#![no_std]

use core::ffi::{c_char, c_void};

mod arrow;
mod tag;

pub use arrow::{ArrowArray, ArrowSchema};
pub use tag::{TAG_MAGIC, Tag, TagError, is_id, tag, tag_len};

/// Raised when existing plugins no longer fit.
pub const ABI_MAJOR: u16 = 1;
/// Raised when something was appended.
pub const ABI_MINOR: u16 = 0;
/// The version that a host of this version passes to [`Init`].
pub const ABI: u32 = ((ABI_MAJOR as u32) << 16) | ABI_MINOR as u32;

/// The exported function, [`Init`].
pub const INIT_SYMBOL: &str = "fuseline_fusion_init";
/// The exported bytes that identify the file.
pub const TAG_SYMBOL: &str = "fuseline_fusion_tag";
/// Id of the extension whose struct is [`PermutedPredict`].
pub const PERMUTED_PREDICT: &str = "fuseline.permuted_predict/1";
/// Id of the extension whose struct is [`LoadModel`].
pub const LOAD: &str = "fuseline.load/1";
/// Id of the extension whose struct is [`AnswerQuery`].
pub const QUERY: &str = "fuseline.query/1";

/// Done.
pub const OK: i32 = 0;
/// Built for another ABI.
pub const ERR_ABI: i32 = 1;
/// A parameter is wrong.
pub const ERR_PARAM: i32 = 2;
/// The batch or the model bytes are wrong.
pub const ERR_DATA: i32 = 3;
/// A valid request that this rule does not serve.
pub const ERR_UNSUPPORTED: i32 = 4;
/// The fit did not converge.
pub const ERR_NOT_CONVERGED: i32 = 5;
/// The host asked to stop.
pub const ERR_CANCELLED: i32 = 6;
/// Out of memory.
pub const ERR_OUT_OF_MEMORY: i32 = 7;
/// A defect of the plugin.
pub const ERR_INTERNAL: i32 = 8;

/// `fsl_string`: pointer and length, UTF-8.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct FslString {
    /// Not NUL-terminated; may be null when `len` is 0.
    pub ptr: *const c_char,
    /// Bytes.
    pub len: u64,
}

/// `fsl_error`: description of an error, in buffers of the caller.
#[repr(C)]
pub struct Error {
    /// Set by the caller.
    pub struct_size: u32,
    /// Reserved.
    pub flags: u32,
    /// As returned.
    pub code: i32,
    /// 1 when the same call may succeed later.
    pub retryable: i32,
    /// Index in the batch, or -1.
    pub row: i64,
    /// Path of the parameter, NUL-terminated.
    pub param: [u8; 128],
    /// NUL-terminated.
    pub message: [u8; 1024],
}

/// `fsl_host`: services of the host.
#[repr(C)]
pub struct Host {
    /// Set by the host.
    pub struct_size: u32,
    /// Reserved.
    pub flags: u32,
    /// The host's own.
    pub context: *mut c_void,
    /// Number of threads that a call may use.
    pub max_threads: u32,
    /// 0.
    pub reserved: u32,
    /// Returns 1 if the call shall end.
    pub should_stop: Option<unsafe extern "C" fn(host: *const Host, call: *const c_void) -> i32>,
    /// Reports the progress of the call.
    pub progress:
        Option<unsafe extern "C" fn(host: *const Host, call: *const c_void, fraction: f64)>,
    /// A line for the log.
    pub log: Option<unsafe extern "C" fn(host: *const Host, level: i32, message: FslString)>,
}

/// `fsl_batch`: rows to fit on or to predict, borrowed for the call.
#[repr(C)]
pub struct Batch {
    /// Set by the host.
    pub struct_size: u32,
    /// Reserved.
    pub flags: u32,
    /// Number of rows.
    pub rows: u64,
    /// Number of modalities.
    pub modalities: u32,
    /// Number of classes.
    pub classes: u32,
    /// One for each modality.
    pub modality_names: *const FslString,
    /// One for each class.
    pub class_names: *const FslString,
    /// Describes `array`.
    pub schema: *const ArrowSchema,
    /// One struct array in the canonical layout.
    pub array: *const ArrowArray,
    /// The call that [`Host::should_stop`] asks about.
    pub call: *const c_void,
}

/// Asks for a parameter.
pub type ParamGetter<T> =
    Option<unsafe extern "C" fn(params: *const Params, path: FslString, out: *mut T) -> i32>;

/// `fsl_params`: the parameters, checked and with defaults.
#[repr(C)]
pub struct Params {
    /// Set by the host.
    pub struct_size: u32,
    /// Reserved.
    pub flags: u32,
    /// The host's own.
    pub context: *const c_void,
    /// Canonical JSON of an object.
    pub json: FslString,
    /// A number.
    pub get_f64: ParamGetter<f64>,
    /// An integer.
    pub get_i64: ParamGetter<i64>,
    /// A string.
    pub get_str: ParamGetter<FslString>,
    /// A boolean.
    pub get_bool: ParamGetter<i32>,
}

/// `fsl_sink`: where fit writes the model.
#[repr(C)]
pub struct Sink {
    /// Set by the host.
    pub struct_size: u32,
    /// Reserved.
    pub flags: u32,
    /// The host's own.
    pub context: *mut c_void,
    /// Appends bytes.
    pub write: Option<unsafe extern "C" fn(sink: *const Sink, bytes: *const u8, len: u64) -> i32>,
}

/// `fsl_model`: opaque to the host.
#[repr(C)]
pub struct Model {
    _opaque: [u8; 0],
}

/// Fits on a batch and writes the model's bytes.
pub type Fit = unsafe extern "C" fn(
    batch: *const Batch,
    params: *const Params,
    seed: u64,
    sink: *const Sink,
    err: *mut Error,
) -> i32;
/// Reads a model's bytes.
pub type Open = unsafe extern "C" fn(
    bytes: *const u8,
    len: u64,
    model: *mut *mut Model,
    err: *mut Error,
) -> i32;
/// Frees a model.
pub type Close = unsafe extern "C" fn(model: *mut Model);
/// Fills rows * classes probabilities.
pub type Predict = unsafe extern "C" fn(
    model: *const Model,
    batch: *const Batch,
    out: *mut f64,
    err: *mut Error,
) -> i32;
/// Gives a static struct of functions, or null.
pub type GetExtension = unsafe extern "C" fn(id: FslString) -> *const c_void;

/// `fsl_fusion_plugin`: the table that a plugin fills.
#[repr(C)]
pub struct FusionPlugin {
    /// Set by the host.
    pub struct_size: u32,
    /// Reserved.
    pub flags: u32,
    /// Static JSON.
    pub descriptor: FslString,
    /// Required.
    pub fit: Option<Fit>,
    /// Required.
    pub open: Option<Open>,
    /// Required.
    pub close: Option<Close>,
    /// Required.
    pub predict: Option<Predict>,
    /// May be absent.
    pub get_extension: Option<GetExtension>,
}

/// Predicts under permuted quality.
pub type PredictPermuted = unsafe extern "C" fn(
    model: *const Model,
    batch: *const Batch,
    index: *const u32,
    permutations: u64,
    columns: u32,
    modality_mask: u64,
    out: *mut f64,
    err: *mut Error,
) -> i32;

/// `fsl_permuted_predict`: the extension [`PERMUTED_PREDICT`].
#[repr(C)]
pub struct PermutedPredict {
    /// Set by the plugin.
    pub struct_size: u32,
    /// Reserved.
    pub flags: u32,
    /// Required.
    pub predict_permuted: Option<PredictPermuted>,
}

/// `fsl_file`: a file, read whole.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct File {
    /// Name that the workflow gives it.
    pub name: FslString,
    /// Its name without folders.
    pub file_name: FslString,
    /// Non-null.
    pub bytes: *const u8,
    /// Bytes.
    pub len: u64,
}

/// `fsl_load_source`: the files, modalities and classes of a model that was fitted elsewhere.
#[repr(C)]
pub struct LoadSource {
    /// Set by the host.
    pub struct_size: u32,
    /// Reserved.
    pub flags: u32,
    /// `file_count` of them, sorted by name.
    pub files: *const File,
    /// Number of files.
    pub file_count: u64,
    /// One for each modality.
    pub modality_names: *const FslString,
    /// One for each class.
    pub class_names: *const FslString,
    /// Number of modalities.
    pub modalities: u32,
    /// Number of classes.
    pub classes: u32,
    /// Argument of [`Host::should_stop`].
    pub call: *const c_void,
}

/// Reads the files of a model and writes its bytes.
pub type Load = unsafe extern "C" fn(
    source: *const LoadSource,
    params: *const Params,
    sink: *const Sink,
    err: *mut Error,
) -> i32;

/// `fsl_load`: the extension [`LOAD`].
#[repr(C)]
pub struct LoadModel {
    /// Set by the plugin.
    pub struct_size: u32,
    /// Reserved.
    pub flags: u32,
    /// Required.
    pub load: Option<Load>,
}

/// Answers a question in a format of the plugin's own.
pub type Query = unsafe extern "C" fn(
    question: *const u8,
    len: u64,
    call: *const c_void,
    sink: *const Sink,
    err: *mut Error,
) -> i32;

/// `fsl_query`: the extension [`QUERY`].
#[repr(C)]
pub struct AnswerQuery {
    /// Set by the plugin.
    pub struct_size: u32,
    /// Reserved.
    pub flags: u32,
    /// Required.
    pub query: Option<Query>,
}

/// The exported function [`INIT_SYMBOL`].
pub type Init = unsafe extern "C" fn(
    host_abi: u32,
    host: *const Host,
    out: *mut FusionPlugin,
    err: *mut Error,
) -> i32;

impl FslString {
    /// A string that lives as long as `text`.
    pub const fn new(text: &str) -> Self {
        Self { ptr: text.as_ptr().cast(), len: text.len() as u64 }
    }
}

impl Error {
    /// An empty error, as a caller passes it.
    pub const fn new() -> Self {
        Self {
            struct_size: size_of::<Self>() as u32,
            flags: 0,
            code: OK,
            retryable: 0,
            row: -1,
            param: [0; 128],
            message: [0; 1024],
        }
    }
}

impl Default for Error {
    fn default() -> Self {
        Self::new()
    }
}

impl FusionPlugin {
    /// An empty table, as the host passes it.
    pub const fn empty() -> Self {
        Self {
            struct_size: size_of::<Self>() as u32,
            flags: 0,
            descriptor: FslString { ptr: core::ptr::null(), len: 0 },
            fit: None,
            open: None,
            close: None,
            predict: None,
            get_extension: None,
        }
    }
}

const _: () = {
    assert!(size_of::<*const c_void>() == 8, "64-bit targets only");
    assert!(cfg!(target_endian = "little"), "little-endian targets only");
    assert!(size_of::<FslString>() == 16);
    assert!(size_of::<Error>() == 1176);
    assert!(core::mem::offset_of!(Error, message) == 152);
    assert!(size_of::<Host>() == 48);
    assert!(size_of::<ArrowSchema>() == 72);
    assert!(size_of::<ArrowArray>() == 80);
    assert!(size_of::<Batch>() == 64);
    assert!(size_of::<Params>() == 64);
    assert!(size_of::<Sink>() == 24);
    assert!(size_of::<FusionPlugin>() == 64);
    assert!(size_of::<PermutedPredict>() == 16);
    assert!(size_of::<File>() == 48);
    assert!(size_of::<LoadSource>() == 56);
    assert!(size_of::<LoadModel>() == 16);
    assert!(size_of::<AnswerQuery>() == 16);
};
