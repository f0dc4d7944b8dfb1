//! lz4 frames. Java's client reads independent blocks only.

use std::io::Write;

use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};

use super::{DecompressError, read_bounded};

/// How a frame begins.
pub(super) const MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];
/// Each further byte of a match's length stands for 255 bytes.
pub(super) const RATIO_MAX: usize = 255;

pub(super) fn compress(data: &[u8]) -> Vec<u8> {
    let info = FrameInfo::new().block_mode(BlockMode::Independent).block_size(BlockSize::Max64KB);
    let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(data).expect("memory does not fail");
    encoder.finish().expect("memory does not fail")
}

pub(super) fn decompress(data: &[u8], bytes_max: usize) -> Result<Vec<u8>, DecompressError> {
    read_bounded(reader(data), bytes_max)
}

pub(super) fn reader(data: &[u8]) -> FrameDecoder<&[u8]> {
    FrameDecoder::new(data)
}
