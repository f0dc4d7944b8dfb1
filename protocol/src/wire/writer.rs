//! Writes a frame: a growing head, with record bytes spliced in as parts of their own, uncopied.

use std::fmt;

use bytes::Bytes;

use super::records::Records;
use super::varint::write_unsigned_varint;
use crate::limits::{STRING_BYTES_MAX, VARINT_BYTES_MAX};

/// Why a request cannot be sent. Responses have but one such case: see [`Writer::string`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodeError {
    StringTooLong,
    UnsupportedVersion { version: i16 },
    FrameTooLarge { bytes: usize },
}

impl fmt::Display for EncodeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StringTooLong => {
                write!(formatter, "a string is longer than {STRING_BYTES_MAX} bytes")
            }
            Self::UnsupportedVersion { version } => {
                write!(formatter, "version {version} is not spoken")
            }
            Self::FrameTooLarge { bytes } => write!(formatter, "frame of {bytes} bytes"),
        }
    }
}

impl std::error::Error for EncodeError {}

#[derive(Debug)]
pub struct Writer {
    /// All bytes but the spliced ones, in order.
    head: Vec<u8>,
    /// Bytes that go before the head's byte at the position; positions ascend.
    spliced: Vec<(usize, Bytes)>,
    spliced_bytes: usize,
    string_cut: bool,
    /// Invariant: no more than this is written; what does not fit is left out, and `has_overflown`.
    bytes_max: usize,
    has_overflown: bool,
}

impl Default for Writer {
    fn default() -> Self {
        Self::bounded(0, usize::MAX)
    }
}

impl Writer {
    #[must_use]
    pub fn with_capacity(head_bytes: usize) -> Self {
        Self::bounded(head_bytes, usize::MAX)
    }

    /// Takes `bytes_max` bytes; the rest is left out, and costs no memory.
    pub(crate) fn bounded(head_bytes: usize, bytes_max: usize) -> Self {
        Self {
            head: Vec::with_capacity(head_bytes),
            spliced: Vec::new(),
            spliced_bytes: 0,
            string_cut: false,
            bytes_max,
            has_overflown: false,
        }
    }

    /// Whether something did not fit.
    #[must_use]
    pub(crate) fn has_overflown(&self) -> bool {
        self.has_overflown
    }

    fn has_room(&mut self, bytes: usize) -> bool {
        let has_room = bytes <= self.bytes_max - self.length();
        self.has_overflown |= !has_room;
        has_room
    }

    /// Bytes written so far, spliced ones included.
    #[must_use]
    pub fn length(&self) -> usize {
        self.head.len() + self.spliced_bytes
    }

    /// Whether a string had to be cut to Kafka's longest.
    #[must_use]
    pub fn string_was_cut(&self) -> bool {
        self.string_cut
    }

    pub fn slice(&mut self, bytes: &[u8]) {
        if self.has_room(bytes.len()) {
            self.head.extend_from_slice(bytes);
        }
    }

    pub fn i8(&mut self, value: i8) {
        self.slice(&value.to_be_bytes());
    }

    pub fn i16(&mut self, value: i16) {
        self.slice(&value.to_be_bytes());
    }

    pub fn i32(&mut self, value: i32) {
        self.slice(&value.to_be_bytes());
    }

    pub fn i64(&mut self, value: i64) {
        self.slice(&value.to_be_bytes());
    }

    pub fn unsigned_varint(&mut self, value: u32) {
        let bytes = usize::try_from(VARINT_BYTES_MAX).expect("usize is at least 32 bits");
        if self.has_room(bytes) {
            write_unsigned_varint(&mut self.head, value);
        }
    }

    /// The counterpart of [`super::Reader::length_32`].
    pub fn length_32(&mut self, length: Option<usize>, flexible: bool) {
        if flexible {
            return self.compact_length(length);
        }
        self.i32(length.map_or(-1, |length| i32::try_from(length).expect("fits a frame")));
    }

    /// The counterpart of [`super::Reader::length_16`].
    pub fn length_16(&mut self, length: Option<usize>, flexible: bool) {
        if flexible {
            return self.compact_length(length);
        }
        self.i16(length.map_or(-1, |length| i16::try_from(length).expect("string was cut")));
    }

    fn compact_length(&mut self, length: Option<usize>) {
        let length = length.map_or(0, |length| length + 1);
        self.unsigned_varint(u32::try_from(length).expect("fits a frame"));
    }

    /// A string longer than Kafka's longest is cut at a character. What came from a client is never that
    /// long, so only texts of our own are cut; [`crate::encode_request`] refuses instead.
    pub fn string(&mut self, text: &str, flexible: bool) {
        let kept = &text[..text.floor_char_boundary(STRING_BYTES_MAX)];
        self.string_cut |= kept.len() < text.len();
        self.length_16(Some(kept.len()), flexible);
        self.slice(kept.as_bytes());
    }

    /// Length and bytes; the bytes become parts of their own.
    pub fn records(&mut self, records: &Records, flexible: bool) {
        self.length_32(Some(records.length()), flexible);
        for part in records.parts().iter().filter(|part| !part.is_empty()) {
            if !self.has_room(part.len()) {
                return;
            }
            self.spliced_bytes += part.len();
            self.spliced.push((self.head.len(), part.clone()));
        }
    }

    /// One tagged field: tag, size, content.
    pub(crate) fn tagged_field(&mut self, tag: u32, content: impl FnOnce(&mut Self)) {
        self.unsigned_varint(tag);
        let start = self.head.len();
        let length = self.length();
        let spliced = self.spliced.len();
        content(self);
        let content_bytes = self.length() - length;
        // The size is known only now: append it, then turn it to the front.
        let content_end = self.head.len();
        self.unsigned_varint(u32::try_from(content_bytes).expect("fits a frame"));
        let size_bytes = self.head.len() - content_end;
        self.head[start..].rotate_right(size_bytes);
        for (position, _) in &mut self.spliced[spliced..] {
            *position += size_bytes;
        }
    }

    /// Overwrites four bytes that were written before anything was spliced: the frame's size.
    pub(crate) fn patch_i32(&mut self, position: usize, value: i32) {
        assert!(self.spliced.first().is_none_or(|(first, _)| position + 4 <= *first));
        self.head[position..position + 4].copy_from_slice(&value.to_be_bytes());
    }

    /// The frame's parts in order, none empty.
    #[must_use]
    pub fn finish(self) -> Vec<Bytes> {
        let head = Bytes::from(self.head);
        let mut parts = Vec::with_capacity(2 * self.spliced.len() + 1);
        let mut written = 0;
        for (position, bytes) in self.spliced {
            if position > written {
                parts.push(head.slice(written..position));
                written = position;
            }
            parts.push(bytes);
        }
        if written < head.len() {
            parts.push(head.slice(written..));
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::{Bytes, Records, Writer};
    use crate::limits::SPLICED_BYTES_MIN;
    use crate::wire::{Context, Wire};

    #[test]
    fn records_become_parts_of_their_own_uncopied() {
        let batch = Bytes::from(vec![7; 100]);
        let mut writer = Writer::default();
        writer.i16(1);
        writer.records(&Records::from(vec![batch.clone(), batch.clone()]), false);
        writer.records(&Records::default(), false);
        writer.records(&Records::from(batch.clone()), false);
        assert_eq!(writer.length(), 2 + 3 * 4 + 300);
        let parts = writer.finish();
        let lengths: Vec<usize> = parts.iter().map(Bytes::len).collect();
        assert_eq!(lengths, [6, 100, 100, 8, 100]);
        assert_eq!(parts[1].as_ptr(), batch.as_ptr());
        assert_eq!(&parts[3][..], [0, 0, 0, 0, 0, 0, 0, 100]);
    }

    #[test]
    fn bytes_of_a_field_are_copied_when_they_are_few() {
        let context = Context::new(0, false);
        for (bytes, parts) in [(SPLICED_BYTES_MIN - 1, 1), (SPLICED_BYTES_MIN, 2)] {
            let mut writer = Writer::default();
            Bytes::from(vec![7; bytes]).encode(&mut writer, context);
            assert_eq!(writer.length(), 4 + bytes);
            assert_eq!(writer.finish().len(), parts);
        }
    }

    #[test]
    fn a_tagged_field_of_any_size_follows_its_size() {
        for size in [0usize, 1, 127, 128, 20_000] {
            let mut writer = Writer::default();
            writer.tagged_field(3, |writer| writer.slice(&vec![9; size]));
            let bytes = writer.finish().concat();
            assert_eq!(bytes[0], 3);
            let mut rest = &bytes[1..];
            let read = super::super::varint::read_unsigned_varint(&mut rest).unwrap();
            assert_eq!(read as usize, size);
            assert_eq!(rest, vec![9; size]);
        }
    }

    #[test]
    fn a_tagged_field_counts_and_keeps_the_bytes_spliced_into_it() {
        let batch = Bytes::from(vec![8; 200]);
        let mut writer = Writer::default();
        writer.records(&Records::from(batch.clone()), false);
        writer.tagged_field(3, |writer| {
            writer.records(&Records::from(batch.clone()), false);
            writer.i8(6);
        });
        let parts = writer.finish();
        assert_eq!(parts[3].as_ptr(), batch.as_ptr());
        // Tag 3, then 4 + 200 + 1 bytes: 205 is 0xcd 0x01.
        let expected: [&[u8]; 5] =
            [&[0, 0, 0, 200], &batch, &[3, 0xcd, 1, 0, 0, 0, 200], &batch, &[6]];
        assert_eq!(parts, expected);
    }

    #[test]
    fn a_string_beyond_the_longest_is_cut_at_a_character() {
        let mut writer = Writer::default();
        writer.string(&"ü".repeat(20_000), false);
        assert!(writer.string_was_cut());
        assert_eq!(writer.length(), 2 + 32_766);
    }
}
