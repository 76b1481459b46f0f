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
        // Arrow aligns to at least 64 bytes; an allocation of something keeps the pointer of no
        // values valid.
        let mut buffer = MutableBuffer::with_capacity((len * size_of::<T>()).max(64));
        fill(&mut buffer);
        Self { buffer: buffer.into(), values: PhantomData }
    }

    /// Takes a buffer that Arrow has read; it is copied only when it is not aligned as the ABI asks
    /// for, or longer than it should be.
    pub fn of_buffer(buffer: Buffer, len: usize) -> Option<Self> {
        let bytes = len * size_of::<T>();
        if buffer.len() < bytes {
            return None;
        }
        if (buffer.as_ptr() as usize).is_multiple_of(64) && buffer.len() == bytes && len > 0 {
            return Some(Self { buffer, values: PhantomData });
        }
        Some(Self::filled(len, |copy| copy.extend_from_slice(&buffer.as_slice()[..bytes])))
    }

    /// Puts another buffer with the same bytes in place.
    pub fn remake(&mut self, make: &mut impl FnMut(&[u8]) -> Buffer) {
        self.buffer = make(self.buffer.as_slice());
    }

    /// The buffer, shared.
    pub fn buffer(&self) -> Buffer {
        self.buffer.clone()
    }

    pub fn values(&self) -> &[T] {
        self.buffer.typed_data()
    }
}
