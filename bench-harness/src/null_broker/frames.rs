//! Requests from a socket: one buffer that is read into and lent out, as many bytes with each call as there are.

use std::io::{self, Read};
use std::net::TcpStream;

use bytes::{Bytes, BytesMut};
use protocol::frame::{SIZE_BYTES, frame_bytes};

use crate::limits::RESPONSE_BYTES_MAX;

/// What is read at least where nothing is known of the next frame: several small ones with one call.
const READ_BYTES: usize = 64 << 10;

pub(super) struct Frames {
    stream: TcpStream,
    /// As long as it was ever needed, and never cleared: zeroing a megabyte costs half of checking its CRC.
    memory: BytesMut,
    /// What was read and is not lent out yet.
    begin: usize,
    end: usize,
}

/// A frame and the memory around it. Without [`Frames::give_back`] the next one gets new memory.
pub(super) struct Frame {
    memory: Bytes,
    begin: usize,
    end: usize,
}

impl Frame {
    /// Without its size. To be dropped before the frame is given back, with all that refers to it.
    pub(super) fn bytes(&self) -> Bytes {
        self.memory.slice(self.begin..self.end)
    }
}

impl Frames {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, memory: BytesMut::zeroed(READ_BYTES), begin: 0, end: 0 }
    }

    /// `None` when the client has closed.
    pub(super) fn next_frame(&mut self) -> io::Result<Option<Frame>> {
        loop {
            let wanted = match self.next_size()? {
                Some(size) => SIZE_BYTES + size,
                None => SIZE_BYTES,
            };
            if wanted > SIZE_BYTES && self.end - self.begin >= wanted {
                let (begin, end) = (self.begin + SIZE_BYTES, self.begin + wanted);
                self.begin = end;
                let memory = std::mem::take(&mut self.memory).freeze();
                return Ok(Some(Frame { memory, begin, end }));
            }
            self.make_room(wanted);
            // Not more than the size behind a large frame: what follows is not to be copied to the front.
            let limit = self.begin + (wanted + SIZE_BYTES).max(READ_BYTES);
            let limit = limit.min(self.memory.len());
            let count = self.stream.read(&mut self.memory[self.end..limit])?;
            if count == 0 {
                return Ok(None);
            }
            self.end += count;
        }
    }

    /// Takes the memory back, where nothing else refers to it any more.
    pub(super) fn give_back(&mut self, frame: Frame) {
        match frame.memory.try_into_mut() {
            Ok(memory) => self.memory = memory,
            Err(shared) => {
                let rest = &shared[self.begin..self.end];
                self.memory = BytesMut::zeroed(rest.len().max(READ_BYTES));
                self.memory[..rest.len()].copy_from_slice(rest);
                (self.begin, self.end) = (0, rest.len());
            }
        }
    }

    fn next_size(&self) -> io::Result<Option<usize>> {
        let size = self.memory[self.begin..self.end].first_chunk::<SIZE_BYTES>();
        let Some(size) = size else { return Ok(None) };
        let bytes = frame_bytes(*size, RESPONSE_BYTES_MAX).map_err(io::Error::other)?;
        match bytes {
            0 => Err(io::Error::other("an empty frame")),
            bytes => Ok(Some(bytes)),
        }
    }

    /// Moves what there is to the front where the rest would not fit behind it.
    fn make_room(&mut self, wanted: usize) {
        if self.begin > 0 && (self.begin == self.end || self.begin + wanted > self.memory.len()) {
            self.memory.copy_within(self.begin..self.end, 0);
            (self.begin, self.end) = (0, self.end - self.begin);
        }
        if self.memory.len() < wanted + SIZE_BYTES {
            self.memory.resize(wanted + SIZE_BYTES, 0);
        }
        // There is a byte to read into: less than `wanted` is there, and more than `wanted` has room.
        debug_assert!(self.end < self.memory.len());
    }
}
