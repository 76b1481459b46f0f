//! Parameters, as a rule reads them.
#![expect(unsafe_code, reason = "calls the functions of the ABI")]

use fuseline_abi as abi;

use crate::error::RuleError;

/// The parameters that the user gave, checked against the descriptor's schema and with its
/// defaults.
#[derive(Clone, Copy)]
pub struct Params<'a> {
    raw: &'a abi::Params,
}

impl<'a> Params<'a> {
    /// # Safety
    /// The params live for `'a` and their functions are the host's.
    pub(crate) unsafe fn new(raw: *const abi::Params) -> Result<Self, RuleError> {
        // SAFETY: as the caller promises.
        let raw =
            unsafe { raw.as_ref() }.ok_or_else(|| RuleError::param("", "the params are null"))?;
        if (raw.struct_size as usize) < size_of::<abi::Params>() || raw.flags != 0 {
            return Err(RuleError::of_code(abi::ERR_ABI, "the params are of another ABI"));
        }
        Ok(Self { raw })
    }

    fn get<T>(
        &self,
        getter: abi::ParamGetter<T>,
        path: &str,
        empty: T,
        what: &str,
    ) -> Result<T, RuleError> {
        let mut out = empty;
        // SAFETY: path and out live through the call.
        let code = getter.map(|get| unsafe { get(self.raw, abi::FslString::new(path), &mut out) });
        match code {
            Some(abi::OK) => Ok(out),
            _ => Err(RuleError::param(path, format!("there is no {what} of this name"))),
        }
    }

    /// A number.
    pub fn f64(&self, path: &str) -> Result<f64, RuleError> {
        self.get(self.raw.get_f64, path, 0.0, "number")
    }

    /// An integer.
    pub fn i64(&self, path: &str) -> Result<i64, RuleError> {
        self.get(self.raw.get_i64, path, 0, "integer")
    }

    /// An integer that is a count.
    pub fn count(&self, path: &str) -> Result<usize, RuleError> {
        usize::try_from(self.i64(path)?).map_err(|_| RuleError::param(path, "it is below 0"))
    }

    /// A boolean.
    pub fn bool(&self, path: &str) -> Result<bool, RuleError> {
        self.get(self.raw.get_bool, path, 0, "boolean").map(|value| value != 0)
    }

    /// A string.
    pub fn str(&self, path: &str) -> Result<&'a str, RuleError> {
        let empty = abi::FslString { ptr: std::ptr::null(), len: 0 };
        let string = self.get(self.raw.get_str, path, empty, "string")?;
        // SAFETY: the host gave a string that lives as long as the params.
        Ok(unsafe { text(string) })
    }

    /// All of them: one JSON object with sorted keys.
    pub fn json(&self) -> &'a str {
        // SAFETY: the host's string lives as long as the params.
        unsafe { text(self.raw.json) }
    }
}

/// # Safety
/// The string is UTF-8 and lives for `'a`.
pub(crate) unsafe fn text<'a>(string: abi::FslString) -> &'a str {
    if string.ptr.is_null() || string.len == 0 {
        return "";
    }
    // SAFETY: as the caller promises.
    let bytes = unsafe { std::slice::from_raw_parts(string.ptr.cast::<u8>(), string.len as usize) };
    str::from_utf8(bytes).unwrap_or("")
}
