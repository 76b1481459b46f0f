//! Frames: what host and worker say to each other.
//!
//! A frame is its length (4 bytes, little-endian) and a JSON object.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::message::RuleMessage;
use crate::reads::ReadFile;

/// Version of this protocol; not of any package.
pub const PROTOCOL: u32 = 1;

/// A longer frame is not one.
pub const FRAME_LIMIT: usize = 8 << 20;

/// Request of the host.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Request {
    /// The first frame; the two files come with it: the input, then the output.
    Hello { protocol: u32 },
    /// Fit on a batch; the model goes to the output.
    Fit { batch_bytes: u64, params: Map<String, Value>, seed: u64 },
    /// Make a model of files, which lie one after the other at the input's beginning; it goes to
    /// the output.
    Load {
        files: Vec<FileFrame>,
        modalities: Vec<String>,
        classes: Vec<String>,
        params: Map<String, Value>,
    },
    /// Open the model at the input's beginning, and remember it by this number.
    Open { model: u64, model_bytes: u64 },
    /// Answer the question of so many bytes at the input's beginning; the answer goes to the
    /// output.
    Query { bytes: u64 },
    /// Forget a model.
    Close { model: u64 },
    /// Predict; probabilities go to the output.
    Predict { model: u64, batch_bytes: u64 },
    /// Predict under permuted quality; probabilities go to the output.
    PredictPermuted {
        model: u64,
        batch_bytes: u64,
        /// Offset of the index in the input.
        index_at: u64,
        permutations: u64,
        columns: u32,
        modality_mask: u64,
    },
    /// End the running call soon. There is no reply to this.
    Stop,
}

/// One file in the input.
#[derive(Debug, Serialize, Deserialize)]
pub struct FileFrame {
    pub name: String,
    pub file_name: String,
    pub bytes: u64,
}

/// Reply of the worker, one for each request but `Stop`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Reply {
    /// To `Hello`.
    Ready {
        protocol: u32,
        /// The rule's descriptor, as JSON text.
        descriptor: String,
        /// True if permuted prediction is more than a loop.
        fast_path: bool,
    },
    /// Done; so many bytes are in the output.
    Ok {
        bytes: u64,
        /// Messages that the rule logged.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        messages: Vec<RuleMessage>,
        /// Files that the worker has read since its last reply.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        reads: Vec<ReadFile>,
    },
    /// The rule said no.
    Error {
        code: i32,
        message: String,
        #[serde(default)]
        param: Option<String>,
        /// Below 0 as the ABI has it: none.
        #[serde(default)]
        row: Option<i64>,
        /// Messages that the rule logged.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        messages: Vec<RuleMessage>,
    },
    /// The plugin could not be loaded.
    Refused { message: String },
}

/// A frame's bytes.
pub fn encode(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, message)?;
    let length = (bytes.len() - 4) as u32;
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    Ok(bytes)
}

/// Writes a frame.
pub fn write(mut stream: impl Write, message: &impl Serialize) -> io::Result<()> {
    stream.write_all(&encode(message)?)
}

/// Reads a whole frame; none at the end of the stream.
pub fn read<T: DeserializeOwned>(mut stream: impl Read) -> io::Result<Option<T>> {
    let mut length = [0; 4];
    if stream.read(&mut length[..1])? == 0 {
        return Ok(None);
    }
    stream.read_exact(&mut length[1..])?;
    let mut bytes = vec![0; checked_length(length)?];
    stream.read_exact(&mut bytes)?;
    Ok(Some(serde_json::from_slice(&bytes)?))
}

/// A frame out of bytes that have arrived so far; none when more must come.
pub fn decode<T: DeserializeOwned>(arrived: &mut Vec<u8>) -> io::Result<Option<T>> {
    let Some((length, rest)) = arrived.split_first_chunk::<4>() else { return Ok(None) };
    let length = checked_length(*length)?;
    let Some(frame) = rest.get(..length) else { return Ok(None) };
    let message = serde_json::from_slice(frame)?;
    arrived.drain(..4 + length);
    Ok(Some(message))
}

fn checked_length(bytes: [u8; 4]) -> io::Result<usize> {
    let length = u32::from_le_bytes(bytes) as usize;
    if length > FRAME_LIMIT {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a frame of {length} bytes"),
        ));
    }
    Ok(length)
}

/// Sends a frame, and at most two files with it.
pub fn send_with_files(
    stream: impl AsFd,
    message: &impl Serialize,
    files: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let bytes = encode(message)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !files.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(files));
    }
    let sent =
        rustix::net::sendmsg(stream, &[IoSlice::new(&bytes)], &mut control, SendFlags::NOSIGNAL)?;
    // The frame is far smaller than any socket's buffer.
    if sent == bytes.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

/// Receives one frame, the files that come with it, and not a byte more: whoever reads on finds the
/// next frame whole.
pub fn receive_exactly<T: DeserializeOwned>(stream: &UnixStream) -> io::Result<(T, Vec<OwnedFd>)> {
    let mut length = [0; 4];
    let mut files = Vec::new();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::net::recvmsg(
        stream,
        &mut [IoSliceMut::new(&mut length)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            files.extend(received);
        }
    }
    let mut stream = stream;
    stream.read_exact(&mut length[received.bytes..])?;
    let mut bytes = vec![0; checked_length(length)?];
    stream.read_exact(&mut bytes)?;
    Ok((serde_json::from_slice(&bytes)?, files))
}

/// Receives the first frame and the two files that come with it.
pub fn receive_with_files<T: DeserializeOwned>(stream: impl AsFd) -> io::Result<(T, [OwnedFd; 2])> {
    let mut arrived = Vec::new();
    let mut files = Vec::new();
    loop {
        let mut bytes = [0; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = rustix::net::recvmsg(
            stream.as_fd(),
            &mut [IoSliceMut::new(&mut bytes)],
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        )?;
        if received.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(received) = message {
                files.extend(received);
            }
        }
        arrived.extend_from_slice(&bytes[..received.bytes]);
        if let Some(message) = decode(&mut arrived)? {
            let files = files.try_into().map_err(|_| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    "two files must come with the first frame",
                )
            })?;
            return Ok((message, files));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bits that are spread over all doubles, the same each time.
    fn doubles() -> impl Iterator<Item = f64> {
        let bits = (1_u64..).map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        bits.map(|bits| f64::from_bits(bits ^ (bits >> 29))).filter(|double| double.is_finite())
    }

    #[test]
    fn the_params_of_a_rule_arrive_to_their_last_bit() {
        let params: Map<String, Value> =
            doubles().take(2_000).enumerate().map(|(n, c)| (n.to_string(), c.into())).collect();
        let fit = Request::Fit { batch_bytes: 1, params: params.clone(), seed: 1 };
        let mut arrived = encode(&fit).unwrap();
        match decode(&mut arrived).unwrap() {
            Some(Request::Fit { params: read, .. }) => assert_eq!(read, params),
            other => panic!("{other:?}"),
        }
    }
}
