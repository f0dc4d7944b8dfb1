//! The record batch (magic 2): the same bytes on the wire, in memory and on disk.
//!
//! ```text
//!  0        8        12      16 17   21  23     27        35       43      51  53     57      61
//!  | base   | batch  | leader |m| crc |at | last | base    | max     | prod. |ep | base | count | records…
//!  | offset | length | epoch  |a|     |tr | Δ    | timest. | timest. | id    |   | seq. |       |
//!           └ counts from here on ┘     └ the CRC covers from here on
//! ```
//!
//! Base offset and leader epoch are the broker's to write; they lie before the CRC's range, so an append
//! patches sixteen bytes and recomputes nothing.
//!
//! | file | job |
//! |---|---|
//! | `header.rs` | the fields and where they are |
//! | `walk.rs` | the batches in a run of bytes |
//! | `validate.rs` | what a producer's batch must be before it is appended |
//! | `validate/records.rs` | … and its records |
//! | `stamp.rs` | what the broker writes into a batch |
//! | `record.rs` | the records in a batch's uncompressed data |
//! | `streamed_records.rs` | … and in compressed data, without keeping any |
//! | `builder.rs` | records to a batch |
//! | `empty.rs` | a batch without records that stands for offsets |
//! | `filter.rs` | a stored batch with some of its records taken out |
//! | `compression.rs` | the codecs |

mod builder;
mod compression;
mod empty;
mod filter;
mod header;
#[cfg(test)]
mod oracle;
mod record;
mod stamp;
mod streamed_records;
mod validate;
mod walk;

pub use builder::{BatchBuilder, BatchOptions, HeaderField};
pub use compression::{Compression, DecompressError};
pub use empty::empty_batch;
pub use filter::{FilteredBatch, emptied, filter_records};
pub use header::{
    ATTRIBUTES_AT, Attributes, BASE_OFFSET_AT, BASE_SEQUENCE_AT, BASE_TIMESTAMP_AT,
    BATCH_LENGTH_AT, BatchHeader, CRC_AT, CRC_COVERS_FROM, HEADER_BYTES, LAST_OFFSET_DELTA_AT,
    LENGTH_COUNTS_FROM, MAGIC, MAGIC_AT, MAX_TIMESTAMP_AT, PARTITION_LEADER_EPOCH_AT,
    PATCHED_BYTES, PRODUCER_EPOCH_AT, PRODUCER_ID_AT, Producer, RECORD_COUNT_AT, TimestampType,
    increment_sequence,
};
pub use record::{Header, Headers, Record, RecordError, RecordIterator};
pub use stamp::{patch, restate_max_timestamp, stamp_log_append_time};
pub use streamed_records::{RecordHead, read_record_heads};
pub use validate::{
    ProduceBatchError, ProduceRules, RecordBatch, RecordRefusal, RecordRules, RecordsError,
    RefusedRecord, RefusedRecords, validate_produce, validate_records,
};
pub use walk::{BatchSlice, BatchWalk, WalkError};
