//! Every bound of this crate, with its arithmetic.

/// Kafka's longest string in any version: 2^15 − 1 bytes, which is what the two length bytes of the
/// non-flexible versions can say. Kafka refuses longer ones in flexible versions too, so a string that
/// came in can always be sent out.
pub const STRING_BYTES_MAX: usize = 0x7fff;

/// What decoded arrays may take in memory beyond [`DECODED_BYTES_BASE`], per byte of the frame.
///
/// Frames of real clients stay below 8: a fetch partition takes 33 bytes on the wire and 48 in memory, a
/// topic name of ten letters 11 and 56. The worst that the types allow is 32 for an array of empty
/// strings; such frames are refused beyond the base.
pub const DECODED_BYTES_PER_FRAME_BYTE_MAX: usize = 16;

/// What the decoded arrays of any frame may take, however small it is: room for the default structs of a
/// few hundred entries.
pub const DECODED_BYTES_BASE: usize = 64 * 1024;

/// Bytes of one field from which they become a part of their own instead of being copied: a send takes its
/// parts one by one, at a cost like that of copying a page.
pub const SPLICED_BYTES_MIN: usize = 4096;

/// Unknown tagged fields that are skipped in one frame. Kafka itself has defined five tags in one message at
/// most; a frame with more than this is an attack on the processor.
pub const UNKNOWN_TAGGED_FIELDS_MAX: u32 = 1024;

/// A `varint` holds 32 bits in groups of seven.
pub const VARINT_BYTES_MAX: u32 = 5;

/// A `varlong` holds 64 bits in groups of seven.
pub const VARLONG_BYTES_MAX: u32 = 10;

/// Kafka's `socket.request.max.bytes`: the largest frame a server takes by default.
pub const REQUEST_BYTES_MAX_DEFAULT: usize = 100 * 1024 * 1024;

/// The largest response that is written. What the broker collects is bounded by less; the answers to a request of
/// 100 MiB that names as many partitions as it can are somewhat larger than the request.
pub const RESPONSE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Headers that a record can have: at two bytes each the bytes of the record are the first bound; this is the
/// second, for the memory of a decoded record.
pub const RECORD_HEADERS_MAX: usize = 64 * 1024;

/// Records of one batch that are named when a topic does not take them: enough to see what is wrong, and
/// 1.6 KiB.
pub const RECORDS_REFUSED_MAX: usize = 100;

const _: () = assert!(RESPONSE_BYTES_MAX < i32::MAX as usize, "a frame's size is an i32");
const _: () = assert!(VARINT_BYTES_MAX * 7 >= 32 && (VARINT_BYTES_MAX - 1) * 7 < 32);
const _: () = assert!(VARLONG_BYTES_MAX * 7 >= 64 && (VARLONG_BYTES_MAX - 1) * 7 < 64);
