//! The structs of the Arrow C Data Interface.

use core::ffi::{c_char, c_void};

/// `struct ArrowSchema`.
#[repr(C)]
pub struct ArrowSchema {
    /// Type of the values, as `"l"` or `"+w:6"`.
    pub format: *const c_char,
    /// Name of the column, NUL-terminated.
    pub name: *const c_char,
    /// Unused: null.
    pub metadata: *const c_char,
    /// 0: nothing is nullable.
    pub flags: i64,
    /// Number of children.
    pub n_children: i64,
    /// The children.
    pub children: *mut *mut ArrowSchema,
    /// Unused: null.
    pub dictionary: *mut ArrowSchema,
    /// Never called by a plugin.
    pub release: Option<unsafe extern "C" fn(*mut ArrowSchema)>,
    /// The host's own.
    pub private_data: *mut c_void,
}

/// `struct ArrowArray`.
#[repr(C)]
pub struct ArrowArray {
    /// Number of values.
    pub length: i64,
    /// 0.
    pub null_count: i64,
    /// 0.
    pub offset: i64,
    /// Number of buffers.
    pub n_buffers: i64,
    /// Number of children.
    pub n_children: i64,
    /// The buffers.
    pub buffers: *mut *const c_void,
    /// The children.
    pub children: *mut *mut ArrowArray,
    /// Unused: null.
    pub dictionary: *mut ArrowArray,
    /// Never called by a plugin.
    pub release: Option<unsafe extern "C" fn(*mut ArrowArray)>,
    /// The host's own.
    pub private_data: *mut c_void,
}
