//! Inputs on pages that can only be read, each with a page behind it that cannot be touched.

use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;

use arrow::buffer::Buffer;

use super::{Bench, Finding, ensure};
use crate::rule::Backend;
use crate::stop::StopSignal;

const PAGE: usize = 4096;

/// Pages of memory of which the last cannot be touched.
struct Pages {
    start: NonNull<u8>,
    /// Without the guard.
    size: usize,
}

// SAFETY: the memory belongs to this struct and is only read after it has been filled.
unsafe impl Send for Pages {}
// SAFETY: as above.
unsafe impl Sync for Pages {}
impl std::panic::RefUnwindSafe for Pages {}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: these pages were mapped by `new` and are not used any more.
        unsafe {
            libc::munmap(self.start.as_ptr().cast(), self.size + PAGE);
        }
    }
}

impl Pages {
    fn new(len: usize) -> Result<Self, Finding> {
        let size = len.max(1).next_multiple_of(PAGE);
        let unmapped = || Finding::Nothing("memory pages cannot be guarded here".to_owned());
        // SAFETY: new anonymous pages.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size + PAGE,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(unmapped());
        }
        let start = NonNull::new(start.cast::<u8>()).ok_or_else(unmapped)?;
        // SAFETY: the last of the pages just mapped.
        unsafe {
            libc::mprotect(start.as_ptr().add(size).cast(), PAGE, libc::PROT_NONE);
        }
        Ok(Self { start, size })
    }

    /// Start of `len` bytes that end at the guard.
    fn at_end(&self, len: usize) -> NonNull<u8> {
        // SAFETY: within the pages, as len is at most their size.
        unsafe { self.start.add(self.size - len) }
    }

    /// A buffer that can only be read and ends at the guard; its length is a multiple of 64, so
    /// that it is aligned.
    fn holding(bytes: &[u8]) -> Result<Buffer, Finding> {
        let pages = Self::new(bytes.len())?;
        let at = pages.at_end(bytes.len());
        // SAFETY: the place has room for the bytes; then the pages are closed to writing.
        unsafe {
            at.as_ptr().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            libc::mprotect(pages.start.as_ptr().cast(), pages.size, libc::PROT_READ);
        }
        // SAFETY: the bytes live as long as the pages, which the buffer owns.
        Ok(unsafe { Buffer::from_custom_allocation(at, bytes.len(), Arc::new(pages)) })
    }
}

pub(super) fn probe(file: &Path) -> Result<(), Finding> {
    let bench = Bench::new(file)?;
    let plain = bench.rows(5).training();
    let model = bench.fit(&plain)?;
    let expected = bench.predict(&model, &plain)?;

    let mut failed = None;
    let guarded = plain.with_buffers(|bytes| match Pages::holding(bytes) {
        Ok(buffer) => buffer,
        Err(finding) => {
            failed = Some(finding);
            Buffer::from(bytes)
        }
    });
    if let Some(finding) = failed {
        return Err(finding);
    }
    ensure(bench.fit(&guarded)? == model, "it fits otherwise when its inputs lie elsewhere")?;

    let bytes = Pages::holding(&model)?;
    let stop = StopSignal::new();
    let opened = bench.native.open(&bytes, &stop)?;
    let pages = Pages::new(expected.len() * 8)?;
    let out = pages.at_end(expected.len() * 8).cast::<f64>();
    // SAFETY: zeroed memory with room for the numbers, which nothing else uses.
    let out = unsafe { std::slice::from_raw_parts_mut(out.as_ptr(), expected.len()) };
    opened.predict(&guarded, out, &stop)?;
    ensure(*out == *expected, "it predicts otherwise when its inputs lie elsewhere")
}
