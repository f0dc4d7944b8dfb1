//! The codecs of record batches. Decompression takes the most bytes that the caller wants to hold: a batch
//! of a megabyte can claim to be a thousand times that.

mod gzip;
mod lz4;
mod snappy;
mod zstd;

use std::fmt;
use std::io::{ErrorKind, Read};

use bytes::Bytes;

/// A batch's codec, with the number it has in the attributes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Compression {
    #[default]
    None = 0,
    Gzip = 1,
    Snappy = 2,
    Lz4 = 3,
    Zstd = 4,
}

/// Why compressed data give no records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecompressError {
    Corrupt,
    /// More than the caller wants to hold.
    TooLarge {
        bytes_max: usize,
    },
}

impl fmt::Display for DecompressError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corrupt => formatter.write_str("compressed data are corrupt"),
            Self::TooLarge { bytes_max } => {
                write!(formatter, "more than {bytes_max} bytes when decompressed")
            }
        }
    }
}

impl std::error::Error for DecompressError {}

impl Compression {
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    #[must_use]
    pub const fn id(self) -> u8 {
        self as u8
    }

    #[must_use]
    pub const fn from_id(id: u8) -> Option<Self> {
        match id {
            0 => Some(Self::None),
            1 => Some(Self::Gzip),
            2 => Some(Self::Snappy),
            3 => Some(Self::Lz4),
            4 => Some(Self::Zstd),
            _ => None,
        }
    }

    /// The name in `compression.type`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|compression| compression.name() == name)
    }

    /// In the form that Java's client writes: xerial-framed snappy, lz4 frames of independent blocks.
    #[must_use]
    pub fn compress(self, data: &[u8]) -> Vec<u8> {
        match self {
            Self::None => data.to_vec(),
            Self::Gzip => gzip::compress(data),
            Self::Snappy => snappy::compress(data),
            Self::Lz4 => lz4::compress(data),
            Self::Zstd => zstd::compress(data),
        }
    }

    /// Whether data begin as this codec's do. Says nothing about what follows.
    #[must_use]
    pub fn begins(self, data: &[u8]) -> bool {
        match self {
            Self::None => true,
            Self::Gzip => data.starts_with(&gzip::MAGIC),
            Self::Snappy => snappy::begins(data),
            Self::Lz4 => data.starts_with(&lz4::MAGIC),
            Self::Zstd => zstd::begins(data),
        }
    }

    /// The most bytes that so much compressed data can become, by what the format allows.
    #[must_use]
    pub fn decompressed_bytes_at_most(self, data: &[u8]) -> usize {
        let ratio = match self {
            Self::None => 1,
            Self::Gzip => gzip::RATIO_MAX,
            Self::Snappy => snappy::RATIO_MAX,
            Self::Lz4 => lz4::RATIO_MAX,
            Self::Zstd => zstd::RATIO_MAX,
        };
        data.len().saturating_mul(ratio)
    }

    /// Decompresses bit by bit, `bytes_max` bytes at most; it may end with an error before them. It takes
    /// memory for the codec's window or largest block, so at most for what the data become.
    pub(super) fn reader(
        self,
        data: &[u8],
        bytes_max: usize,
    ) -> Result<Box<dyn Read + '_>, DecompressError> {
        Ok(match self {
            Self::None => Box::new(data),
            Self::Gzip => Box::new(gzip::reader(data)),
            Self::Snappy => Box::new(snappy::reader(data, bytes_max)),
            Self::Lz4 => Box::new(lz4::reader(data)),
            Self::Zstd => Box::new(zstd::reader(data)?),
        })
    }

    /// Uncompressed data are shared, not copied.
    pub fn decompress(self, data: &Bytes, bytes_max: usize) -> Result<Bytes, DecompressError> {
        let decompressed = match self {
            Self::None if data.len() > bytes_max => {
                return Err(DecompressError::TooLarge { bytes_max });
            }
            Self::None => return Ok(data.clone()),
            Self::Gzip => gzip::decompress(data, bytes_max),
            Self::Snappy => snappy::decompress(data, bytes_max),
            Self::Lz4 => lz4::decompress(data, bytes_max),
            Self::Zstd => zstd::decompress(data, bytes_max),
        };
        decompressed.map(Bytes::from)
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Reads a decoder to its end, but not beyond the bound.
fn read_bounded(decoder: impl Read, bytes_max: usize) -> Result<Vec<u8>, DecompressError> {
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    let mut out = Vec::new();
    match decoder.take(limit).read_to_end(&mut out) {
        Ok(_) if out.len() > bytes_max => Err(DecompressError::TooLarge { bytes_max }),
        Ok(_) => Ok(out),
        Err(error) if error.kind() == ErrorKind::OutOfMemory => {
            Err(DecompressError::TooLarge { bytes_max })
        }
        Err(_) => Err(DecompressError::Corrupt),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{Compression, DecompressError};

    fn samples() -> Vec<Vec<u8>> {
        let text: Vec<u8> =
            (0..200_000u32).flat_map(|n| (n / 7).to_string().into_bytes()).collect();
        vec![Vec::new(), vec![1], b"record ".repeat(10), vec![0; 100_000], text]
    }

    #[test]
    fn every_codec_gives_back_what_it_was_given() {
        for compression in Compression::ALL {
            assert_eq!(Compression::from_name(compression.name()), Some(compression));
            assert_eq!(Compression::from_id(compression.id()), Some(compression));
            for data in samples() {
                let compressed = Bytes::from(compression.compress(&data));
                let again = compression.decompress(&compressed, data.len());
                assert_eq!(again.as_deref(), Ok(&data[..]), "{compression}");
            }
        }
    }

    #[test]
    fn compressed_data_begin_as_the_codec_says_and_stay_below_its_ratio() {
        for compression in Compression::ALL {
            for data in samples().into_iter().chain([vec![0; 8 << 20]]) {
                let compressed = compression.compress(&data);
                assert!(compression.begins(&compressed), "{compression}");
                let at_most = compression.decompressed_bytes_at_most(&compressed);
                assert!(at_most >= data.len(), "{compression}: {} in {at_most}", data.len());
            }
            assert_eq!(compression.begins(&[0xff; 60]), compression == Compression::None);
            assert_eq!(compression.begins(&[]), compression == Compression::None);
        }
    }

    #[test]
    fn no_codec_gives_more_than_the_bound() {
        let data = vec![7; 1 << 20];
        for compression in Compression::ALL {
            let compressed = Bytes::from(compression.compress(&data));
            let bytes_max = data.len() - 1;
            assert_eq!(
                compression.decompress(&compressed, bytes_max),
                Err(DecompressError::TooLarge { bytes_max }),
                "{compression}"
            );
        }
    }

    #[test]
    fn a_bomb_allocates_little_more_than_the_bound() {
        let data = vec![0; 64 << 20];
        for compression in
            [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd]
        {
            let compressed = Bytes::from(compression.compress(&data));
            let info = allocation_counter::measure(|| {
                assert!(compression.decompress(&compressed, 1 << 20).is_err());
            });
            // Twice the bound while the vector grows, and the codec's own window or block.
            assert!(info.bytes_max < 14 << 20, "{compression}: {info:?}");
        }
    }

    #[test]
    fn corrupt_and_random_data_end_without_a_panic() {
        for compression in Compression::ALL {
            let valid = compression.compress(&b"some records, some records".repeat(40));
            for at in 0..valid.len() {
                let _ = compression.decompress(&Bytes::copy_from_slice(&valid[..at]), 10_000);
                for bits in [1, 0x80, 0xff] {
                    let mut wrong = valid.clone();
                    wrong[at] ^= bits;
                    let _ = compression.decompress(&wrong.into(), 10_000);
                }
            }
        }
    }
}
