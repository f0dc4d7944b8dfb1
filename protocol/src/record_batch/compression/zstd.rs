//! zstd.

use zstd::stream::read::Decoder;

use super::{DecompressError, read_bounded};

/// What Kafka's clients use unless told otherwise.
const LEVEL: i32 = 3;

/// A window of 8 MiB, which every decoder is asked to support whatever the content's size.
const WINDOW_LOG_MIN: u32 = 23;
/// zstd's own default limit. The highest levels name such a window whatever the content's size; of its memory
/// only as much is touched as the content fills.
const WINDOW_LOG_MAX: u32 = 27;

const MAGIC: u32 = 0xFD2F_B528;
/// Frames to be skipped, which a stream may begin with, have any of sixteen magics.
const SKIPPABLE: u32 = 0x184D_2A50;
/// A block of 128 KiB takes four bytes if it repeats one.
pub(super) const RATIO_MAX: usize = 32 * 1024;

pub(super) fn begins(data: &[u8]) -> bool {
    let magic = data.first_chunk().copied().map(u32::from_le_bytes);
    magic.is_some_and(|magic| magic == MAGIC || magic & !0xf == SKIPPABLE)
}

pub(super) fn compress(data: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(data, LEVEL).expect("memory does not fail")
}

pub(super) fn decompress(data: &[u8], bytes_max: usize) -> Result<Vec<u8>, DecompressError> {
    // The frame's header names the window, which the decoder allocates: bound it like the content.
    let bound = usize::BITS.saturating_sub(bytes_max.leading_zeros());
    read_bounded(decoder(data, bound.clamp(WINDOW_LOG_MIN, WINDOW_LOG_MAX))?, bytes_max)
}

pub(super) fn reader(data: &[u8]) -> Result<Decoder<'_, &[u8]>, DecompressError> {
    decoder(data, WINDOW_LOG_MAX)
}

fn decoder(data: &[u8], window_log_max: u32) -> Result<Decoder<'_, &[u8]>, DecompressError> {
    let mut decoder = Decoder::with_buffer(data).map_err(|_| DecompressError::Corrupt)?;
    decoder.window_log_max(window_log_max).map_err(|_| DecompressError::Corrupt)?;
    Ok(decoder)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    #[test]
    fn the_highest_level_is_read_whatever_window_it_names() {
        let data = b"some records".repeat(1_000);
        let mut encoder = zstd::stream::Encoder::new(Vec::new(), 22).unwrap();
        // In parts: a stream does not know its length, and names the level's window.
        encoder.write_all(&data[..5_000]).unwrap();
        encoder.flush().unwrap();
        encoder.write_all(&data[5_000..]).unwrap();
        let compressed = encoder.finish().unwrap();
        let mut back = Vec::new();
        super::reader(&compressed).unwrap().read_to_end(&mut back).unwrap();
        assert!(back == data);
    }
}
