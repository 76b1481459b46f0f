//! From a safe rule to the functions of the ABI.
#![expect(unsafe_code, reason = "implements the C ABI")]

use std::any::Any;
use std::cell::RefCell;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering};

use fuseline_abi as abi;

use crate::batch::{Batch, TrainingBatch};
use crate::error::RuleError;
use crate::load::{LoadSource, list};
use crate::model::{ModelReader, ModelWriter, Shape};
use crate::params::Params;
use crate::permuted::Quality;
use crate::question::Question;
use crate::rule::{AnswerQuery, FusionRule, LoadModel, PermutedPredict};

/// Exports a rule as a plugin: the tag and the entry point. Once in a crate of type `cdylib`.
///
/// `export_fusion_rule!(MyRule);` or, with the extensions that the rule implements,
/// `export_fusion_rule!(MyRule, permuted_predict, load, query);`
#[macro_export]
macro_rules! export_fusion_rule {
    ($rule:ty $(, $extension:ident)*) => {
        #[expect(unsafe_code, reason = "the two symbols of the C ABI")]
        const _: () = {
            const ID: &str = <$rule as $crate::FusionRule>::ID;

            #[unsafe(export_name = "fuseline_fusion_tag")]
            static TAG: [u8; $crate::private::abi::tag_len(ID)] = $crate::private::abi::tag(ID);

            #[unsafe(export_name = "fuseline_fusion_init")]
            unsafe extern "C" fn init(
                host_abi: u32,
                host: *const $crate::private::abi::Host,
                out: *mut $crate::private::abi::FusionPlugin,
                err: *mut $crate::private::abi::Error,
            ) -> i32 {
                // SAFETY: the host calls with what the ABI asks for.
                unsafe { $crate::private::init::<$rule>(host_abi, host, out, err, extension) }
            }

            unsafe extern "C" fn extension(
                id: $crate::private::abi::FslString,
            ) -> *const ::core::ffi::c_void {
                let known = [$($crate::private::$extension::<$rule>()),*];
                // SAFETY: the host gives a string.
                unsafe { $crate::private::find_extension(id, &known) }
            }
        };
    };
}

/// An extension: its id and its static struct.
#[derive(Clone, Copy, Debug)]
pub struct Extension {
    id: &'static str,
    table: *const c_void,
}

static HOST: AtomicPtr<abi::Host> = AtomicPtr::new(ptr::null_mut());

/// The host, once it has called.
pub(crate) fn host() -> Option<&'static abi::Host> {
    // SAFETY: the ABI says that the host's struct lives as long as the plugin.
    unsafe { HOST.load(Ordering::Acquire).as_ref() }
}

/// True if the host asks a call to end.
///
/// # Safety
/// The call is one that is running.
pub(crate) unsafe fn should_stop(call: *const c_void) -> bool {
    host().is_some_and(|host| {
        // SAFETY: the host's struct lives as long as the plugin; the rest is the caller's.
        host.should_stop.is_some_and(|should_stop| unsafe { should_stop(host, call) != 0 })
    })
}

/// Body of `fuseline_fusion_init`.
///
/// # Safety
/// The arguments must be valid by the ABI.
pub unsafe fn init<R: FusionRule>(
    host_abi: u32,
    host: *const abi::Host,
    out: *mut abi::FusionPlugin,
    err: *mut abi::Error,
    extension: abi::GetExtension,
) -> i32 {
    // SAFETY: `err` is the caller's.
    unsafe {
        guard(err, || {
            let (major, minor) = (host_abi >> 16, host_abi & 0xffff);
            if major != u32::from(abi::ABI_MAJOR) {
                return Err(RuleError::of_code(
                    abi::ERR_ABI,
                    format!(
                        "built for ABI {}.{}, this host speaks {major}.{minor}",
                        abi::ABI_MAJOR,
                        abi::ABI_MINOR
                    ),
                ));
            }
            // A larger host is newer, and begins with the members known here.
            if host.is_null() || ((*host).struct_size as usize) < size_of::<abi::Host>() {
                return Err(RuleError::of_code(abi::ERR_ABI, "the host's struct is too small"));
            }
            if out.is_null() {
                return Err(RuleError::of_code(abi::ERR_ABI, "the table is null"));
            }
            HOST.store(host.cast_mut(), Ordering::Release);
            remember_panics();
            let table = abi::FusionPlugin {
                struct_size: size_of::<abi::FusionPlugin>() as u32,
                flags: 0,
                descriptor: descriptor::<R>(),
                fit: Some(fit::<R>),
                open: Some(open::<R>),
                close: Some(close::<R>),
                predict: Some(predict::<R>),
                get_extension: Some(extension),
            };
            // The caller's size stays, and nothing beyond it is touched.
            let known = ((*out).struct_size as usize).min(size_of::<abi::FusionPlugin>());
            if known > 8 {
                let (from, to) = (ptr::from_ref(&table).cast::<u8>(), out.cast::<u8>());
                ptr::copy_nonoverlapping(from.add(8), to.add(8), known - 8);
            }
            Ok(())
        })
    }
}

/// The descriptor, made once: a plugin has one rule.
fn descriptor<R: FusionRule>() -> abi::FslString {
    static JSON: OnceLock<String> = OnceLock::new();
    abi::FslString::new(JSON.get_or_init(|| R::descriptor().json(R::ID)))
}

thread_local! {
    /// The text of the last panic on this thread.
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Captures panics for an error, instead of printing them.
fn remember_panics() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        std::panic::set_hook(Box::new(|info| {
            let place =
                info.location().map(|place| format!(" at {}:{}", place.file(), place.line()));
            let text = format!("panic{}: {}", place.unwrap_or_default(), words(info.payload()));
            PANIC.with_borrow_mut(|panic| *panic = text);
        }));
    });
}

fn words(payload: &(dyn Any + Send)) -> &str {
    match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "without words",
    }
}

/// Runs a body and turns its error or its panic into a code and a filled error.
///
/// # Safety
/// `err` is null or the caller's struct.
unsafe fn guard(err: *mut abi::Error, body: impl FnOnce() -> Result<(), RuleError>) -> i32 {
    let error = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => return abi::OK,
        Ok(Err(error)) => error,
        Err(payload) => {
            let text = PANIC.with_borrow_mut(std::mem::take);
            let text = if text.is_empty() { format!("panic: {}", words(&*payload)) } else { text };
            // The payload's own drop could panic again.
            std::mem::forget(payload);
            RuleError::internal(text)
        }
    };
    // SAFETY: as the caller promises; only a struct that is large enough is written to.
    if let Some(err) = unsafe { err.as_mut() }
        && err.struct_size as usize >= size_of::<abi::Error>()
    {
        err.code = error.code;
        err.row = error.row;
        err.retryable = i32::from(error.code == abi::ERR_OUT_OF_MEMORY);
        fill(&mut err.param, &error.param);
        fill(&mut err.message, &error.message);
    }
    error.code
}

/// Copies text, cut at a character to fit, and ends it with NUL.
fn fill(buffer: &mut [u8], text: &str) {
    let most = text.len().min(buffer.len() - 1);
    let end = (0..=most).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    buffer[..end].copy_from_slice(&text.as_bytes()[..end]);
    buffer[end] = 0;
}

/// A model as the host holds it.
struct Opened<R> {
    rule: R,
    shape: Shape,
}

impl<R> Opened<R> {
    /// An error unless the batch has the model's modalities and classes.
    fn fits(&self, batch: &Batch<'_>) -> Result<(), RuleError> {
        let Shape { modalities, classes } = &self.shape;
        let same = modalities.len() == batch.modalities()
            && classes.len() == batch.classes()
            && modalities.iter().enumerate().all(|(at, name)| name == batch.modality_name(at))
            && classes.iter().enumerate().all(|(at, name)| name == batch.class_name(at));
        if same {
            return Ok(());
        }
        Err(RuleError::data(format!(
            "the model was fitted with modalities {} and classes {}, which are not the batch's",
            modalities.join(", "),
            classes.join(", ")
        )))
    }
}

unsafe extern "C" fn fit<R: FusionRule>(
    batch: *const abi::Batch,
    params: *const abi::Params,
    seed: u64,
    sink: *const abi::Sink,
    err: *mut abi::Error,
) -> i32 {
    // SAFETY: the host's structs live through the call and are what the ABI says.
    unsafe {
        guard(err, || {
            let batch = TrainingBatch::new(batch)?;
            if batch.is_regression() && !R::descriptor().takes_numbers() {
                let words = "this rule takes classes, and the label is a number";
                return Err(RuleError::of_code(abi::ERR_UNSUPPORTED, words));
            }
            let params = Params::new(params)?;
            let rule = R::fit(&batch, &params, seed)?;
            let shape = Shape {
                modalities: (0..batch.modalities())
                    .map(|at| batch.modality_name(at).to_owned())
                    .collect(),
                classes: (0..batch.classes()).map(|at| batch.class_name(at).to_owned()).collect(),
            };
            write_model(&rule, &shape, sink)
        })
    }
}

unsafe extern "C" fn load_of<R: LoadModel>(
    source: *const abi::LoadSource,
    params: *const abi::Params,
    sink: *const abi::Sink,
    err: *mut abi::Error,
) -> i32 {
    // SAFETY: the host's structs live through the call and are what the ABI says.
    unsafe {
        guard(err, || {
            let source = LoadSource::new(source)?;
            let rule = R::load(&source, &Params::new(params)?)?;
            write_model(&rule, source.shape(), sink)
        })
    }
}

unsafe extern "C" fn query_of<R: AnswerQuery>(
    question: *const u8,
    len: u64,
    call: *const c_void,
    sink: *const abi::Sink,
    err: *mut abi::Error,
) -> i32 {
    // SAFETY: the question can be read through the call; the sink is the host's.
    unsafe {
        guard(err, || {
            let question = Question::new(list(question, len as usize), call);
            write_bytes(&R::answer(&question)?, sink)
        })
    }
}

/// Writes a model through the host's sink.
///
/// # Safety
/// The sink is null or the host's, and lives through the call.
unsafe fn write_model<R: FusionRule>(
    rule: &R,
    shape: &Shape,
    sink: *const abi::Sink,
) -> Result<(), RuleError> {
    let mut model = ModelWriter::begin(R::ID, R::MODEL_REVISION, shape);
    rule.write(&mut model);
    // SAFETY: as the caller promises.
    unsafe { write_bytes(&model.seal(), sink) }
}

/// Writes bytes through the host's sink.
///
/// # Safety
/// The sink is null or the host's, and lives through the call.
unsafe fn write_bytes(bytes: &[u8], sink: *const abi::Sink) -> Result<(), RuleError> {
    // SAFETY: as the caller promises.
    let write = unsafe { sink.as_ref() }.and_then(|sink| sink.write);
    let write = write.ok_or_else(|| RuleError::internal("the sink has no write"))?;
    // SAFETY: the bytes live through the call.
    match unsafe { write(sink, bytes.as_ptr(), bytes.len() as u64) } {
        abi::OK => Ok(()),
        code => Err(RuleError::of_code(code, "the host did not take what was written")),
    }
}

unsafe extern "C" fn open<R: FusionRule>(
    bytes: *const u8,
    len: u64,
    model: *mut *mut abi::Model,
    err: *mut abi::Error,
) -> i32 {
    // SAFETY: the bytes are readable and the place writable during the call.
    unsafe {
        guard(err, || {
            let bytes = list(bytes, len as usize);
            let (mut reader, shape) = ModelReader::begin(bytes, R::ID, R::MODEL_REVISION)?;
            let rule = R::read(&mut reader, &shape)?;
            reader.end()?;
            let opened = Box::new(Opened { rule, shape });
            model.write(Box::into_raw(opened).cast());
            Ok(())
        })
    }
}

unsafe extern "C" fn close<R: FusionRule>(model: *mut abi::Model) {
    // SAFETY: the model came from `open` of this rule, and is closed once.
    unsafe {
        guard(ptr::null_mut(), || {
            if !model.is_null() {
                drop(Box::from_raw(model.cast::<Opened<R>>()));
            }
            Ok(())
        });
    }
}

unsafe extern "C" fn predict<R: FusionRule>(
    model: *const abi::Model,
    batch: *const abi::Batch,
    out: *mut f64,
    err: *mut abi::Error,
) -> i32 {
    // SAFETY: the model came from `open` of this rule; the batch lives through the call; `out` has
    // rows x classes places.
    unsafe {
        guard(err, || {
            let opened = &*model.cast::<Opened<R>>();
            let batch = Batch::new(batch)?;
            opened.fits(&batch)?;
            let out = places(out, batch.rows() * batch.classes());
            opened.rule.predict(&batch, out)
        })
    }
}

unsafe extern "C" fn predict_permuted_of<R: PermutedPredict>(
    model: *const abi::Model,
    batch: *const abi::Batch,
    index: *const u32,
    permutations: u64,
    columns: u32,
    modality_mask: u64,
    out: *mut f64,
    err: *mut abi::Error,
) -> i32 {
    // SAFETY: as for `predict`; the index has permutations x columns x rows places and `out`
    // permutations x rows x classes.
    unsafe {
        guard(err, || {
            let opened = &*model.cast::<Opened<R>>();
            let batch = Batch::new(batch)?;
            opened.fits(&batch)?;
            let (permutations, columns) = (permutations as usize, columns as usize);
            if columns != 1 && columns != batch.modalities() {
                return Err(RuleError::data(
                    "the permutation has neither 1 column nor one a modality",
                ));
            }
            let len = permutations * columns * batch.rows();
            let index = if len == 0 { &[] } else { std::slice::from_raw_parts(index, len) };
            if let Some(row) =
                index.iter().copied().max().filter(|&row| row as usize >= batch.rows())
            {
                return Err(RuleError::data(format!(
                    "the permutation names row {row}, which there is not"
                )));
            }
            let out = places(out, permutations * batch.rows() * batch.classes());
            let quality = Quality::permuted(index, permutations, columns, modality_mask);
            opened.rule.predict_permuted(&batch, &quality, out)
        })
    }
}

/// # Safety
/// `out` has `len` elements without another reference for `'a`.
unsafe fn places<'a>(out: *mut f64, len: usize) -> &'a mut [f64] {
    if len == 0 {
        return &mut [];
    }
    // SAFETY: as the caller promises; every bit pattern is a number.
    unsafe { std::slice::from_raw_parts_mut(out, len) }
}

/// The struct of an extension by its id, or null.
///
/// # Safety
/// The string can be read during the call.
pub unsafe fn find_extension(id: abi::FslString, known: &[Extension]) -> *const c_void {
    if id.ptr.is_null() {
        return ptr::null();
    }
    // SAFETY: non-null, and readable for its length during the call.
    let id = unsafe { std::slice::from_raw_parts(id.ptr.cast::<u8>(), id.len as usize) };
    let found = known.iter().find(|extension| extension.id.as_bytes() == id);
    found.map_or(ptr::null(), |extension| extension.table)
}

/// Defines the extension of a rule with a trait: a table with one function.
macro_rules! extension {
    ($(#[$doc:meta])* $name:ident<$rule:ident>: $id:ident, $table:ident { $field:ident: $of:ident }) => {
        $(#[$doc])*
        pub fn $name<R: $rule>() -> Extension {
            struct Table<R>(std::marker::PhantomData<R>);
            impl<R: $rule> Table<R> {
                const TABLE: &'static abi::$table = &abi::$table {
                    struct_size: size_of::<abi::$table>() as u32,
                    flags: 0,
                    $field: Some($of::<R>),
                };
            }
            Extension { id: abi::$id, table: ptr::from_ref(Table::<R>::TABLE).cast() }
        }
    };
}

extension! {
    /// The extension of a rule with the fast path.
    permuted_predict<PermutedPredict>: PERMUTED_PREDICT,
    PermutedPredict { predict_permuted: predict_permuted_of }
}

extension! {
    /// The extension of a rule that loads models.
    load<LoadModel>: LOAD, LoadModel { load: load_of }
}

extension! {
    /// The extension of a rule that answers questions.
    query<AnswerQuery>: QUERY, AnswerQuery { query: query_of }
}
