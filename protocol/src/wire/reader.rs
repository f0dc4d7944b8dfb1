//! A position in a frame. Every length and count is checked against the bytes that remain before anything
//! is allocated; slices share the frame's memory.
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_possible_wrap
    )
)]

use std::fmt;

use bytes::Bytes;

use super::varint::{read_unsigned_varint, read_varint, read_varlong};
use crate::limits::{
    DECODED_BYTES_BASE, DECODED_BYTES_PER_FRAME_BYTE_MAX, STRING_BYTES_MAX,
    UNKNOWN_TAGGED_FIELDS_MAX,
};
use crate::string::Str;

/// Why a frame is not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The frame ends inside a field.
    Truncated,
    /// An API that is not in [`crate::ApiKey`].
    UnknownApiKey {
        code: i16,
    },
    /// A version outside the API's described range.
    UnsupportedVersion {
        version: i16,
    },
    /// A null where this version does not allow one.
    UnexpectedNull,
    StringTooLong {
        bytes: usize,
    },
    NotUtf8,
    VarintTooLong,
    /// An array whose elements do not fit in the bytes that remain.
    TooManyElements {
        count: usize,
    },
    /// Arrays that take far more memory than the frame has bytes.
    DecodedTooLarge,
    /// A known tagged field that does not end where its size says.
    TaggedFieldSize {
        tag: u32,
    },
    TooManyUnknownTaggedFields,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => formatter.write_str("the frame ends inside a field"),
            Self::UnknownApiKey { code } => write!(formatter, "api key {code} is unknown"),
            Self::UnsupportedVersion { version } => {
                write!(formatter, "version {version} is not spoken")
            }
            Self::UnexpectedNull => formatter.write_str("null in a field that cannot be null"),
            Self::StringTooLong { bytes } => write!(formatter, "string of {bytes} bytes"),
            Self::NotUtf8 => formatter.write_str("string is not UTF-8"),
            Self::VarintTooLong => formatter.write_str("varint beyond its width"),
            Self::TooManyElements { count } => {
                write!(formatter, "array of {count} elements in a frame too short for them")
            }
            Self::DecodedTooLarge => formatter.write_str("arrays far larger than the frame"),
            Self::TaggedFieldSize { tag } => {
                write!(formatter, "tagged field {tag} does not end where its size says")
            }
            Self::TooManyUnknownTaggedFields => formatter.write_str("too many tagged fields"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// Reads a frame from front to back.
#[derive(Debug)]
pub struct Reader<'a> {
    frame: &'a Bytes,
    /// Invariant: a slice of `frame`.
    rest: &'a [u8],
    /// What arrays may still take in memory.
    decoded_bytes_left: usize,
    unknown_tagged_fields_left: u32,
}

impl<'a> Reader<'a> {
    #[must_use]
    pub fn new(frame: &'a Bytes) -> Self {
        Self {
            frame,
            rest: frame,
            decoded_bytes_left: frame
                .len()
                .saturating_mul(DECODED_BYTES_PER_FRAME_BYTE_MAX)
                .saturating_add(DECODED_BYTES_BASE),
            unknown_tagged_fields_left: UNKNOWN_TAGGED_FIELDS_MAX,
        }
    }

    #[must_use]
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// What has not been read, sharing the frame's memory.
    #[must_use]
    pub fn rest(&self) -> Bytes {
        self.frame.slice_ref(self.rest)
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    pub fn i8(&mut self) -> Result<i8, DecodeError> {
        self.array().map(i8::from_be_bytes)
    }

    pub fn i16(&mut self) -> Result<i16, DecodeError> {
        self.array().map(i16::from_be_bytes)
    }

    pub fn i32(&mut self) -> Result<i32, DecodeError> {
        self.array().map(i32::from_be_bytes)
    }

    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        self.array().map(i64::from_be_bytes)
    }

    pub fn unsigned_varint(&mut self) -> Result<u32, DecodeError> {
        read_unsigned_varint(&mut self.rest)
    }

    pub fn varint(&mut self) -> Result<i32, DecodeError> {
        read_varint(&mut self.rest)
    }

    pub fn varlong(&mut self) -> Result<i64, DecodeError> {
        read_varlong(&mut self.rest)
    }

    /// The next `length` bytes, sharing the frame's memory.
    pub fn bytes(&mut self, length: usize) -> Result<Bytes, DecodeError> {
        let taken = self.take(length)?;
        Ok(self.frame.slice_ref(taken))
    }

    /// A string of a length that was read before it.
    pub fn string(&mut self, length: usize) -> Result<Str, DecodeError> {
        if length > STRING_BYTES_MAX {
            return Err(DecodeError::StringTooLong { bytes: length });
        }
        Str::from_utf8(self.bytes(length)?).ok_or(DecodeError::NotUtf8)
    }

    /// A length or count; `None` is null. Flexible versions say 0 for null and n + 1 for n.
    pub fn length_32(&mut self, flexible: bool) -> Result<Option<usize>, DecodeError> {
        if flexible {
            return self.compact_length();
        }
        Ok(usize::try_from(self.i32()?).ok())
    }

    /// As [`Self::length_32`], for strings.
    pub fn length_16(&mut self, flexible: bool) -> Result<Option<usize>, DecodeError> {
        if flexible {
            return self.compact_length();
        }
        Ok(usize::try_from(self.i16()?).ok())
    }

    fn compact_length(&mut self) -> Result<Option<usize>, DecodeError> {
        let length = self.unsigned_varint()?.checked_sub(1);
        Ok(length.map(|length| length as usize))
    }

    /// Reserves an array of `count` elements that take at least `wire_bytes_min` each in the frame and
    /// `T`'s size in memory: the only place where a count becomes an allocation.
    pub(super) fn elements<T>(
        &mut self,
        count: usize,
        wire_bytes_min: usize,
    ) -> Result<Vec<T>, DecodeError> {
        if count.saturating_mul(wire_bytes_min.max(1)) > self.rest.len() {
            return Err(DecodeError::TooManyElements { count });
        }
        self.decoded_bytes_left = self
            .decoded_bytes_left
            .checked_sub(count.saturating_mul(size_of::<T>()))
            .ok_or(DecodeError::DecodedTooLarge)?;
        Ok(Vec::with_capacity(count))
    }

    /// Walks a tagged section. `known` decodes the tags it knows and says so; the others are skipped.
    pub(crate) fn tagged_fields(
        &mut self,
        mut known: impl FnMut(&mut Self, u32) -> Result<bool, DecodeError>,
    ) -> Result<(), DecodeError> {
        let count = self.unsigned_varint()?;
        for _ in 0..count {
            let tag = self.unsigned_varint()?;
            let size = self.unsigned_varint()? as usize;
            let field = self.take(size)?;
            let after = std::mem::replace(&mut self.rest, field);
            if known(self, tag)? {
                if !self.rest.is_empty() {
                    return Err(DecodeError::TaggedFieldSize { tag });
                }
            } else {
                self.unknown_tagged_fields_left = self
                    .unknown_tagged_fields_left
                    .checked_sub(1)
                    .ok_or(DecodeError::TooManyUnknownTaggedFields)?;
            }
            self.rest = after;
        }
        Ok(())
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }
}
