//! The files of a model that was fitted elsewhere.
#![expect(unsafe_code, reason = "reads the structs of the ABI")]

use fuseline_abi as abi;

use crate::error::RuleError;
use crate::model::Shape;

/// Files, modalities and classes of a model that was fitted elsewhere.
#[derive(Debug)]
pub struct LoadSource<'a> {
    files: Vec<File<'a>>,
    shape: Shape,
}

/// A file, read whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct File<'a> {
    /// Name that the workflow gives it, such as `weights`.
    pub name: &'a str,
    /// Its name without folders, such as `gate.onnx`.
    pub file_name: &'a str,
    /// Content.
    pub bytes: &'a [u8],
}

impl<'a> LoadSource<'a> {
    /// # Safety
    /// The source and all that it points to live for `'a`.
    pub(crate) unsafe fn new(raw: *const abi::LoadSource) -> Result<Self, RuleError> {
        // SAFETY: as the caller promises.
        let raw =
            unsafe { raw.as_ref() }.ok_or_else(|| RuleError::data("the load source is null"))?;
        if (raw.struct_size as usize) < size_of::<abi::LoadSource>() || raw.flags != 0 {
            return Err(RuleError::of_code(abi::ERR_ABI, "the load source is of another ABI"));
        }
        // SAFETY: the lists have these lengths, and what they point to lives for `'a`.
        let (files, modalities, classes) = unsafe {
            (
                list(raw.files, raw.file_count as usize),
                list(raw.modality_names, raw.modalities as usize),
                list(raw.class_names, raw.classes as usize),
            )
        };
        // SAFETY: as above; the host's strings are UTF-8.
        let text = |string: &abi::FslString| unsafe { crate::params::text(*string) };
        let files = files.iter().map(|file| File {
            name: text(&file.name),
            file_name: text(&file.file_name),
            // SAFETY: as above.
            bytes: unsafe { list(file.bytes, file.len as usize) },
        });
        let names = |strings: &[abi::FslString]| {
            strings.iter().map(|string| text(string).to_owned()).collect()
        };
        Ok(Self {
            files: files.collect(),
            shape: Shape { modalities: names(modalities), classes: names(classes) },
        })
    }

    /// All files, sorted by name.
    pub fn files(&self) -> &[File<'a>] {
        &self.files
    }

    /// The file of this name; an error in words where the workflow gives none.
    pub fn file(&self, name: &str) -> Result<File<'a>, RuleError> {
        self.files.iter().find(|file| file.name == name).copied().ok_or_else(|| {
            let names: Vec<&str> = self.files.iter().map(|file| file.name).collect();
            RuleError::data(format!(
                "a file called {name} is needed; the workflow gives: {}",
                if names.is_empty() { "none".to_owned() } else { names.join(", ") }
            ))
        })
    }

    /// Names of the modalities, in the order of the model's inputs, and of the classes, in that of
    /// its outputs.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }
}

/// # Safety
/// `len` values can be read for `'a`.
pub(crate) unsafe fn list<'a, T>(first: *const T, len: usize) -> &'a [T] {
    if len == 0 || first.is_null() {
        return &[];
    }
    // SAFETY: as the caller promises.
    unsafe { std::slice::from_raw_parts(first, len) }
}
