//! gzip, of one member or several.

use std::io::Write;

use flate2::Compression as Level;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::{DecompressError, read_bounded};

/// How every member begins.
pub(super) const MAGIC: [u8; 2] = [0x1f, 0x8b];
/// Deflate's longest match, 258 bytes, takes two bits at the least.
pub(super) const RATIO_MAX: usize = 1032;

pub(super) fn compress(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Level::default());
    encoder.write_all(data).expect("memory does not fail");
    encoder.finish().expect("memory does not fail")
}

pub(super) fn decompress(data: &[u8], bytes_max: usize) -> Result<Vec<u8>, DecompressError> {
    read_bounded(reader(data), bytes_max)
}

pub(super) fn reader(data: &[u8]) -> MultiGzDecoder<&[u8]> {
    MultiGzDecoder::new(data)
}
