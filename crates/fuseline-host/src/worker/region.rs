//! Shared memory between host and worker: an anonymous file.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use arrow::buffer::MutableBuffer;

/// An anonymous file that two processes have open.
///
/// Read and written by copying: a worker that cuts the file short makes an error, where a mapping
/// would make a signal.
#[derive(Debug)]
pub struct Region(File);

impl Region {
    /// A new one.
    #[cfg(target_os = "linux")]
    pub fn new() -> io::Result<Self> {
        let file = rustix::fs::memfd_create("fuseline", rustix::fs::MemfdFlags::CLOEXEC)?;
        Ok(Self(file.into()))
    }

    /// A new one.
    #[cfg(not(target_os = "linux"))]
    pub fn new() -> io::Result<Self> {
        tempfile::tempfile().map(Self)
    }

    /// One that came over a socket.
    pub fn map(file: OwnedFd) -> Self {
        Self(file.into())
    }

    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    pub fn write(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, at)
    }

    /// Writes from the beginning on.
    pub fn writer(&self) -> RegionWriter<'_> {
        RegionWriter { region: self, at: 0 }
    }

    /// Reads into numbers, all of whose bit patterns are fine.
    pub fn read_f64s(&self, into: &mut [f64]) -> io::Result<()> {
        let mut bytes = [0_u8; 1 << 16];
        let mut at = 0;
        for part in into.chunks_mut(bytes.len() / 8) {
            let bytes = &mut bytes[..part.len() * 8];
            self.0.read_exact_at(bytes, at)?;
            for (value, bytes) in part.iter_mut().zip(bytes.as_chunks::<8>().0) {
                *value = f64::from_le_bytes(*bytes);
            }
            at += bytes.len() as u64;
        }
        Ok(())
    }

    pub fn write_f64s(&self, values: &[f64]) -> io::Result<()> {
        let mut bytes = [0_u8; 1 << 16];
        let mut at = 0;
        for part in values.chunks(bytes.len() / 8) {
            for (value, bytes) in part.iter().zip(bytes.as_chunks_mut::<8>().0) {
                *bytes = value.to_le_bytes();
            }
            let bytes = &bytes[..part.len() * 8];
            self.0.write_all_at(bytes, at)?;
            at += bytes.len() as u64;
        }
        Ok(())
    }

    pub fn read_u32s(&self, len: usize, at: u64) -> io::Result<Vec<u32>> {
        let mut bytes = vec![0; len * 4];
        self.0.read_exact_at(&mut bytes, at)?;
        Ok(bytes.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect())
    }

    pub fn read_bytes(&self, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        self.0.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// Reads into memory that is aligned as batches are.
    pub fn read_aligned(&self, len: usize) -> io::Result<MutableBuffer> {
        let mut buffer = MutableBuffer::from_len_zeroed(len);
        self.0.read_exact_at(&mut buffer, 0)?;
        Ok(buffer)
    }
}

/// Writes to a region, one part after the other.
#[derive(Debug)]
pub struct RegionWriter<'r> {
    region: &'r Region,
    at: u64,
}

impl RegionWriter<'_> {
    /// Number of bytes written.
    pub fn written(&self) -> u64 {
        self.at
    }
}

impl Write for RegionWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.region.write(bytes, self.at)?;
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
