//! Values in a buffer as the ABI wants it: 64-byte aligned, never null.

use std::marker::PhantomData;

use arrow::buffer::{Buffer, MutableBuffer};
use arrow::datatypes::ArrowNativeType;

/// Values in an aligned buffer; a clone shares it.
#[derive(Clone, Debug)]
pub struct Column<T> {
    buffer: Buffer,
    values: PhantomData<T>,
}

impl<T: ArrowNativeType> Column<T> {
    pub fn copy(values: &[T]) -> Self {
        Self::filled(values.len(), |buffer| buffer.extend_from_slice(values))
    }

    /// The rows at these places, `width` values each.
    pub fn take(&self, rows: &[usize], width: usize) -> Self {
        let values = self.values();
        Self::filled(rows.len() * width, |buffer| {
            for &row in rows {
                buffer.extend_from_slice(&values[row * width..][..width]);
            }
        })
    }

    fn filled(len: usize, fill: impl FnOnce(&mut MutableBuffer)) -> Self {
        // Arrow aligns to at least 64 bytes; an allocation of something keeps the pointer of no values valid.
        let mut buffer = MutableBuffer::with_capacity((len * size_of::<T>()).max(64));
        fill(&mut buffer);
        Self { buffer: buffer.into(), values: PhantomData }
    }

    pub fn values(&self) -> &[T] {
        self.buffer.typed_data()
    }
}
