//! snappy: Java's clients wrap it in the stream format of the xerial library, librdkafka sends it raw.
//! Both are read; the stream is written.
//!
//! ```text
//! stream   82 'S' 'N' 'A' 'P' 'P' 'Y' 00 │ version i32 │ compatible i32 │ { length i32 │ raw snappy }…
//! ```
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

use std::io::{self, Read};

use snap::raw::{Decoder, Encoder, decompress_len};

use super::DecompressError;

const MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const VERSIONS: [u8; 8] = [0, 0, 0, 1, 0, 0, 0, 1];
/// A copy of 64 bytes takes three.
pub(super) const RATIO_MAX: usize = 22;
/// The block size of Java's stream.
const BLOCK_BYTES: usize = 32 * 1024;

pub(super) fn compress(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len().div_ceil(2).saturating_add(64));
    out.extend(MAGIC);
    out.extend(VERSIONS);
    let mut encoder = Encoder::new();
    for block in data.chunks(BLOCK_BYTES) {
        let compressed = encoder.compress_vec(block).expect("a block is far below 4 GiB");
        let length = u32::try_from(compressed.len()).expect("a block is far below 4 GiB");
        out.extend(length.to_be_bytes());
        out.extend(compressed);
    }
    out
}

pub(super) fn decompress(data: &[u8], bytes_max: usize) -> Result<Vec<u8>, DecompressError> {
    let mut out = Vec::new();
    for block in Blocks::of(data) {
        append_raw(&mut out, block?, bytes_max)?;
    }
    Ok(out)
}

/// The pieces of raw snappy in data of either form.
#[derive(Debug)]
struct Blocks<'a> {
    rest: &'a [u8],
    is_stream: bool,
    ended: bool,
}

impl<'a> Blocks<'a> {
    fn of(data: &'a [u8]) -> Self {
        let stream = after_stream_header(data);
        Self { rest: stream.unwrap_or(data), is_stream: stream.is_some(), ended: false }
    }

    fn next_of_stream(&mut self) -> Result<Option<&'a [u8]>, DecompressError> {
        // Streams may be concatenated.
        while let Some(after) = after_stream_header(self.rest) {
            self.rest = after;
        }
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (length, after) = self.rest.split_first_chunk().ok_or(DecompressError::Corrupt)?;
        let length = u32::from_be_bytes(*length) as usize;
        let (block, after) = after.split_at_checked(length).ok_or(DecompressError::Corrupt)?;
        self.rest = after;
        Ok(Some(block))
    }
}

impl<'a> Iterator for Blocks<'a> {
    type Item = Result<&'a [u8], DecompressError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        if !self.is_stream {
            self.ended = true;
            return Some(Ok(self.rest));
        }
        let next = self.next_of_stream();
        self.ended = !matches!(next, Ok(Some(_)));
        next.transpose()
    }
}

/// One block at a time.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    blocks: Blocks<'a>,
    block: Vec<u8>,
    /// How much of it was read.
    at: usize,
    /// A block that becomes more is refused before memory is taken for it.
    block_bytes_max: usize,
}

pub(super) fn reader(data: &[u8], block_bytes_max: usize) -> Reader<'_> {
    Reader { blocks: Blocks::of(data), block: Vec::new(), at: 0, block_bytes_max }
}

impl Read for Reader<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.at == self.block.len() {
            let Some(block) = self.blocks.next() else { return Ok(0) };
            let block = block.map_err(io::Error::other)?;
            (self.at, self.block) = (0, Vec::new());
            let bytes_max = block.len().saturating_mul(RATIO_MAX).min(self.block_bytes_max);
            append_raw(&mut self.block, block, bytes_max).map_err(io::Error::other)?;
        }
        let read = self.block.get(self.at..).unwrap_or_default().read(into)?;
        self.at = self.at.saturating_add(read);
        Ok(read)
    }
}

/// A stream's header, or a length that the raw data behind it can have.
pub(super) fn begins(data: &[u8]) -> bool {
    let possible = data.len().saturating_mul(RATIO_MAX);
    let raw = |data| decompress_len(data).is_ok_and(|length| length <= possible);
    data.starts_with(&MAGIC) || (!data.is_empty() && raw(data))
}

fn after_stream_header(data: &[u8]) -> Option<&[u8]> {
    let (_, after) = data.strip_prefix(&MAGIC)?.split_first_chunk::<8>()?;
    Some(after)
}

/// The length stands at the front of raw snappy, so the bound is checked before anything is allocated.
fn append_raw(out: &mut Vec<u8>, block: &[u8], bytes_max: usize) -> Result<(), DecompressError> {
    let length = decompress_len(block).map_err(|_| DecompressError::Corrupt)?;
    let start = out.len();
    let end = start.saturating_add(length);
    if end > bytes_max {
        return Err(DecompressError::TooLarge { bytes_max });
    }
    out.resize(end, 0);
    let target = out.get_mut(start..).unwrap_or_default();
    let written = Decoder::new().decompress(block, target).map_err(|_| DecompressError::Corrupt)?;
    if written != length {
        return Err(DecompressError::Corrupt);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::{compress, decompress};

    #[test]
    fn a_block_that_claims_too_much_takes_no_memory() {
        let raw = snap::raw::Encoder::new().compress_vec(&vec![0; 32 << 20]).unwrap();
        let used = allocation_counter::measure(|| {
            let mut first = [0; 1];
            assert!(super::reader(&raw, 1 << 20).read(&mut first).is_err());
        });
        assert!(used.bytes_max < 1 << 20, "{used:?}");
    }

    #[test]
    fn raw_and_concatenated_streams_are_read() {
        let data = b"snappy ".repeat(20_000);
        let raw = snap::raw::Encoder::new().compress_vec(&data).unwrap();
        assert_eq!(decompress(&raw, data.len()).as_ref(), Ok(&data));
        let twice = [compress(&data), compress(&data)].concat();
        assert_eq!(decompress(&twice, 2 * data.len()), Ok(data.repeat(2)));
    }
}
