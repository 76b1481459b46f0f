//! Bounds on what a file may do to the run that reads it: no panic of a reader, no memory out of
//! proportion to its size.

use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use fuseline_engine::{Inputs, StageError, fits_memory};
use fuseline_host::Sourced;

use super::table::DAMAGED;

/// Maximum ratio of a file's decompressed size to its own.
const MAX_EXPANSION: u64 = 256;
/// Decompressed bytes allowed for any file, however small.
const MIN_LIMIT_BYTES: u64 = 64 << 20;
/// Overhead of a column besides its values, in bytes.
const COLUMN_BYTES: u64 = 512;

thread_local! {
    /// True if a panic on this thread becomes an error of a file.
    static IS_CONTAINED: Cell<bool> = const { Cell::new(false) };
    /// Memory that the stage on this thread may use for what it reads.
    static MEMORY: RefCell<Option<Sourced<u64>>> = const { RefCell::new(None) };
}

/// Runs `read` within the memory that a stage may use.
pub(super) fn within_memory<T>(inputs: &Inputs<'_>, read: impl FnOnce() -> T) -> T {
    let before = MEMORY.replace(inputs.conditions().memory.clone());
    let result = read();
    MEMORY.set(before);
    result
}

/// Runs `read` on a file and contains its panics. Third-party readers may panic on a damaged file:
/// a panic in one is an error of the file.
pub(super) fn contain_panics<T>(
    file: &str,
    read: impl FnOnce() -> Result<T, StageError>,
) -> Result<T, StageError> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !IS_CONTAINED.get() {
                report(panic);
            }
        }));
    });
    let before = IS_CONTAINED.replace(true);
    let read = catch_unwind(AssertUnwindSafe(read));
    IS_CONTAINED.set(before);
    read.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default();
        Err(StageError::data(format!("{file} cannot be read: it contradicts itself ({text})"))
            .at("path")
            .hint(DAMAGED))
    })
}

/// Maximum bytes of one part of a file of `file_bytes` bytes: what it may unfold to, and what the
/// stage may use.
pub(super) fn part_limit(file_bytes: u64) -> u64 {
    let memory = MEMORY.with_borrow(|memory| memory.as_ref().map(|memory| memory.value));
    expansion_limit(file_bytes).min(memory.unwrap_or(u64::MAX))
}

/// Maximum decompressed bytes of a file of `file_bytes` bytes.
pub(super) fn expansion_limit(file_bytes: u64) -> u64 {
    file_bytes.saturating_mul(MAX_EXPANSION).max(MIN_LIMIT_BYTES)
}

/// The bytes that a table takes in memory.
pub(super) fn table_bytes(rows: u64, columns: u64) -> u64 {
    rows.saturating_mul(8).max(COLUMN_BYTES).saturating_mul(columns)
}

/// An error when `what` takes more memory than a file of its size may unfold to, before any of it
/// is reserved.
pub(super) fn check_expansion(
    file: &str,
    file_bytes: u64,
    what: &str,
    bytes: u64,
) -> Result<(), StageError> {
    MEMORY.with_borrow(|memory| match memory {
        Some(memory) => fits_memory(memory, &format!("{what} of {file}"), bytes),
        None => Ok(()),
    })?;
    let limit = expansion_limit(file_bytes);
    if bytes <= limit {
        return Ok(());
    }
    Err(StageError::data(format!(
        "{what} of {file} would take more memory than the {limit} bytes that a file of \
         {file_bytes} bytes may unfold to"
    ))
    .at("path")
    .hint(
        "the file is damaged, or made to fill the memory; if it is sound, write it without \
         compression",
    ))
}
