//! Sizes in bytes, written as people write them: `256 MiB`, `4GiB`, `1500000`.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ByteCount(pub u64);

impl ByteCount {
    pub const fn kib(count: u64) -> Self {
        Self(count << 10)
    }

    pub const fn mib(count: u64) -> Self {
        Self(count << 20)
    }

    pub const fn gib(count: u64) -> Self {
        Self(count << 30)
    }

    pub const fn get(self) -> u64 {
        self.0
    }
}

/// Units in falling order, for printing. All are powers of 1,024: memory and blocks come in those.
const UNITS: [(&str, u64); 4] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

impl fmt::Display for ByteCount {
    /// One decimal where the number is not whole: `1.5 GiB`, `512 KiB`, `100 bytes`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, unit) in UNITS {
            if self.0 >= unit {
                let tenths = (u128::from(self.0) * 10 + u128::from(unit / 2)) / u128::from(unit);
                return match tenths % 10 {
                    0 => write!(formatter, "{} {name}", tenths / 10),
                    tenth => write!(formatter, "{}.{tenth} {name}", tenths / 10),
                };
            }
        }
        write!(formatter, "{} bytes", self.0)
    }
}

/// Why a text is no size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseByteCountError {
    NotANumber,
    UnknownUnit,
    TooLarge,
}

impl fmt::Display for ParseByteCountError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NotANumber => "a size begins with a whole number, as in 512MiB",
            Self::UnknownUnit => "the units of a size are KiB, MiB, GiB and TiB (or K, M, G, T)",
            Self::TooLarge => "the size is larger than any machine",
        })
    }
}

impl std::error::Error for ParseByteCountError {}

impl FromStr for ByteCount {
    type Err = ParseByteCountError;

    /// `K`, `KB` and `KiB` are all 1,024: whoever types `--memory 4G` means the memory, not the disk
    /// maker's gigabyte.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let digits_end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (digits, unit) = text.split_at(digits_end);
        if digits.is_empty() {
            return Err(ParseByteCountError::NotANumber);
        }
        let shift = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 0,
            "k" | "kb" | "kib" => 10,
            "m" | "mb" | "mib" => 20,
            "g" | "gb" | "gib" => 30,
            "t" | "tb" | "tib" => 40,
            _ => return Err(ParseByteCountError::UnknownUnit),
        };
        let number: u64 = digits.parse().map_err(|_| ParseByteCountError::TooLarge)?;
        number.checked_mul(1 << shift).map(Self).ok_or(ParseByteCountError::TooLarge)
    }
}

#[cfg(test)]
mod tests {
    use super::{ByteCount, ParseByteCountError};

    #[test]
    fn sizes_are_read_with_and_without_units() {
        for (text, expected) in [
            ("0", Ok(ByteCount(0))),
            ("4096", Ok(ByteCount(4096))),
            ("512KiB", Ok(ByteCount::kib(512))),
            (" 4 GiB ", Ok(ByteCount::gib(4))),
            ("2g", Ok(ByteCount::gib(2))),
            ("", Err(ParseByteCountError::NotANumber)),
            ("-1", Err(ParseByteCountError::NotANumber)),
            ("GiB", Err(ParseByteCountError::NotANumber)),
            ("1.5GiB", Err(ParseByteCountError::UnknownUnit)),
            ("4 potatoes", Err(ParseByteCountError::UnknownUnit)),
            ("99999999999999999999", Err(ParseByteCountError::TooLarge)),
            ("99999999TiB", Err(ParseByteCountError::TooLarge)),
        ] {
            assert_eq!(text.parse::<ByteCount>(), expected, "{text:?}");
        }
    }

    #[test]
    fn sizes_are_printed_with_at_most_one_decimal() {
        for (size, expected) in [
            (ByteCount(0), "0 bytes"),
            (ByteCount(1023), "1023 bytes"),
            (ByteCount::kib(512), "512 KiB"),
            (ByteCount(3 << 29), "1.5 GiB"),
            (ByteCount(u64::MAX), "16777216 TiB"),
        ] {
            assert_eq!(size.to_string(), expected);
        }
    }
}
