//! The bytes of the metadata log: records of the controller's machine as values of Kafka records, a
//! decision a batch, in the partition `__cluster_metadata-0`.
//!
//! ```text
//!   decision     value: the record                                     no key
//!   snapshot     value: the record     key: where the snapshot begins (8 bytes) and 0; its last record: 1
//! ```
//!
//! A snapshot is the whole state as records in the log itself; once its last record is durable the log
//! start moves to its first. A snapshot without its last record counts for nothing: what it would replace
//! is still there.

use std::fmt;

use bytes::Bytes;
use coordinator::Metadata;
use coordinator::metadata::MetadataRecord;
use engine::PartitionId;
use engine::disk::{FileSystem, FileSystemError};
use engine::recovery::RecoveredPartition;
use protocol::record_batch::{
    BatchBuilder, BatchOptions, BatchWalk, Compression, Record, RecordIterator,
};
use protocol::{Offset, PartitionIndex, TopicId};

use crate::limits::{DECOMPRESSED_BYTES_MAX, METADATA_BATCH_BYTES};

/// Kafka's id for the topic of the metadata log.
pub const METADATA: PartitionId = PartitionId {
    topic_id: TopicId([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
    partition: PartitionIndex(0),
};

/// Its directory.
pub const DIRECTORY: &str = "__cluster_metadata-0";

const KEY_BYTES: usize = 9;
const MORE: u8 = 0;
const LAST: u8 = 1;

/// The batch of one decision.
pub(crate) fn decision_batch(records: &[MetadataRecord], wall_ms: i64) -> Bytes {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    for record in records {
        builder.push(wall_ms, None, Some(&record.encode()), &[]);
    }
    Bytes::from(builder.finish())
}

/// The batches of a snapshot that begins at `start`, each with its number of records.
pub(crate) fn snapshot_batches(
    metadata: &Metadata,
    start: Offset,
    wall_ms: i64,
) -> Vec<(i64, Bytes)> {
    let mut batches = Vec::new();
    let mut builder = BatchBuilder::new(BatchOptions::default());
    let mut records = metadata.snapshot_records().peekable();
    while let Some(record) = records.next() {
        let is_last = records.peek().is_none();
        let mut key = start.0.to_be_bytes().to_vec();
        key.push(if is_last { LAST } else { MORE });
        builder.push(wall_ms, Some(&key), Some(&record.encode()), &[]);
        if is_last || builder.length() >= METADATA_BATCH_BYTES {
            let full = std::mem::replace(&mut builder, BatchBuilder::new(BatchOptions::default()));
            batches.push((i64::from(full.records()), Bytes::from(full.finish())));
        }
    }
    batches
}

/// What a metadata log holds.
#[derive(Debug)]
pub struct MetadataLog {
    pub metadata: Metadata,
    pub start: Offset,
    /// Where the next record goes.
    pub next: Offset,
}

/// Why a metadata log cannot be read.
#[derive(Clone, Debug, PartialEq)]
pub enum MetadataLogError {
    FileSystem(FileSystemError),
    /// The batches do not reach the recovered log end.
    Damaged {
        at: Offset,
        why: String,
    },
}

impl From<FileSystemError> for MetadataLogError {
    fn from(error: FileSystemError) -> Self {
        Self::FileSystem(error)
    }
}

impl fmt::Display for MetadataLogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FileSystem(error) => write!(f, "the metadata log cannot be read: {error:?}"),
            Self::Damaged { at, why } => {
                write!(f, "the metadata log is damaged at offset {at}: {why}")
            }
        }
    }
}

impl std::error::Error for MetadataLogError {}

/// Reads a recovered metadata log: `empty` becomes the state at its end.
pub fn read(
    fs: &dyn FileSystem,
    log: &RecoveredPartition,
    empty: Metadata,
) -> Result<MetadataLog, MetadataLogError> {
    let mut reading = Reading { metadata: empty.clone(), empty, snapshot: None, at: log.log_start };
    let finished = log.finished.iter().map(|segment| segment.0);
    for base in finished.chain(log.active.as_ref().map(|active| active.base)) {
        let bytes = Bytes::from(log.read_segment(fs, base)?);
        reading.segment(&bytes, log.log_start)?;
    }
    if reading.at != log.end.offset {
        let why = format!("the log should go on to {}", log.end.offset);
        return Err(MetadataLogError::Damaged { at: reading.at, why });
    }
    Ok(MetadataLog { metadata: reading.metadata, start: log.log_start, next: reading.at })
}

struct Reading {
    empty: Metadata,
    metadata: Metadata,
    /// A snapshot that is being read: where it begins, and its state so far.
    snapshot: Option<([u8; 8], Metadata)>,
    at: Offset,
}

impl Reading {
    fn segment(&mut self, bytes: &Bytes, log_start: Offset) -> Result<(), MetadataLogError> {
        for batch in BatchWalk::new(bytes) {
            let batch = batch.map_err(|error| self.damaged(&error))?;
            if batch.header.next_offset() <= log_start {
                continue;
            }
            if !batch.crc_is_valid() {
                return Err(self.damaged(&"the CRC does not match"));
            }
            let codec = batch.header.attributes.compression().unwrap_or(Compression::None);
            let data = bytes.slice_ref(batch.record_data());
            let data = codec.decompress(&data, DECOMPRESSED_BYTES_MAX);
            let data = data.map_err(|error| self.damaged(&error))?;
            for record in RecordIterator::new(&data, batch.header.record_count) {
                let record = record.map_err(|error| self.damaged(&error))?;
                self.record(&record)?;
            }
            self.at = batch.header.next_offset();
        }
        Ok(())
    }

    fn record(&mut self, record: &Record<'_>) -> Result<(), MetadataLogError> {
        let value = record.value.unwrap_or_default();
        let decoded = MetadataRecord::decode(value).map_err(|error| self.damaged(&error))?;
        let Some(key) = record.key else {
            self.snapshot = None;
            return self.metadata.replay(&decoded).map_err(|error| self.damaged(&error));
        };
        let Some((begin, [kind])) = key.split_first_chunk::<8>().filter(|_| key.len() == KEY_BYTES)
        else {
            return Err(self.damaged(&"a key that no record has"));
        };
        let mut snapshot = match self.snapshot.take() {
            Some((known, snapshot)) if known == *begin => snapshot,
            _ => self.empty.clone(),
        };
        snapshot.replay(&decoded).map_err(|error| self.damaged(&error))?;
        if *kind == LAST {
            self.metadata = snapshot;
        } else {
            self.snapshot = Some((*begin, snapshot));
        }
        Ok(())
    }

    fn damaged(&self, why: &dyn fmt::Display) -> MetadataLogError {
        MetadataLogError::Damaged { at: self.at, why: why.to_string() }
    }
}
