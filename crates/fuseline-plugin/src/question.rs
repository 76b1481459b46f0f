//! A question in a format of the rule's own.
#![expect(unsafe_code, reason = "asks the host through the C ABI")]

use std::ffi::c_void;

use crate::error::RuleError;
use crate::export::should_stop;

/// A question and the call that it came with.
#[derive(Debug)]
pub struct Question<'a> {
    bytes: &'a [u8],
    call: *const c_void,
}

impl<'a> Question<'a> {
    /// # Safety
    /// The call is running for `'a`.
    pub(crate) unsafe fn new(bytes: &'a [u8], call: *const c_void) -> Self {
        Self { bytes, call }
    }

    /// The question.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Returns an error when the host asks the call to end; to be called at least every 100 ms of
    /// work.
    pub fn go_on(&self) -> Result<(), RuleError> {
        // SAFETY: the call is running.
        if unsafe { should_stop(self.call) } { Err(RuleError::cancelled()) } else { Ok(()) }
    }
}
