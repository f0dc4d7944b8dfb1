//! What the journal alone does not tell: leader epochs and idempotent producers of a shard's
//! partitions, saved with each checkpoint in `journal/<shard>/state`.
//!
//! ```text
//! file     magic "CLST" | version u16 | zero u16 | sections …
//! section  bytes u32 | crc u32 | topic id 16 | partition i32 | as of offset i64 | leader epoch i32
//!          epochs u32 | (epoch i32, start i64) … | producers u32 | producer …       (little endian)
//! producer id i64 | epoch i16 | last append ms i64 | batches u8
//!          | (first seq i32, last seq i32, base i64, next i64, timestamp i64) …
//! ```
//!
//! Each section has its own CRC: damage costs one partition its producers, not all of them. Where
//! producers are not known the count is 2^32 - 1, and none follows.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use protocol::{LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId, TopicId};

use crate::PartitionId;
use crate::disk::Step;
use crate::journal::writer::JournalFileName;
use crate::limits::PRODUCER_BATCHES_MAX;
use crate::partition::Partition;
use crate::partition::epochs::EpochHistory;
use crate::partition::producers::{Producer, ProducerBatch, ProducerTable};

const MAGIC: &[u8; 4] = b"CLST";
const VERSION: u16 = 1;
/// In place of the number of producers.
const UNKNOWN: u32 = u32::MAX;
/// 8,192 partitions with 64 producers each are about 100 MiB.
pub const FILE_BYTES_MAX: u64 = 512 << 20;

/// One partition's section, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedState {
    pub as_of: Offset,
    pub leader_epoch: LeaderEpoch,
    pub epochs: EpochHistory,
    pub producers: ProducerTable,
    /// False: they were not known when this was saved.
    pub producers_known: bool,
}

/// Path of a shard's state file.
pub fn path(shard: u32) -> PathBuf {
    JournalFileName::directory(shard).join("state")
}

/// Steps that replace the state file as one.
pub fn replace_steps(shard: u32, data: Bytes) -> Vec<Step> {
    let path = path(shard);
    let temporary = path.with_extension("new");
    vec![
        Step::WriteFile { path: temporary.clone(), data },
        Step::Sync(temporary.clone()),
        Step::Rename { from: temporary, to: path },
        Step::SyncDir(JournalFileName::directory(shard)),
    ]
}

/// The file for these partitions, and sections kept from before.
pub fn encode<'a>(
    partitions: impl Iterator<Item = &'a Partition>,
    kept: impl Iterator<Item = &'a Bytes>,
) -> Bytes {
    let mut file = header();
    for partition in partitions {
        file.put_slice(&section(partition));
    }
    for section in kept {
        file.put_slice(section);
    }
    file.freeze()
}

fn header() -> BytesMut {
    let mut file = BytesMut::new();
    file.put_slice(MAGIC);
    file.put_u16_le(VERSION);
    file.put_u16_le(0);
    file
}

/// The section of one partition as of its log end.
pub fn section(partition: &Partition) -> Bytes {
    encode_section(
        partition.id,
        &SavedState {
            as_of: partition.end.offset,
            leader_epoch: partition.leader_epoch,
            epochs: partition.epochs.clone(),
            producers: partition.producers.clone(),
            producers_known: partition.producers_known,
        },
    )
}

/// A section with these contents.
pub fn encode_section(id: PartitionId, state: &SavedState) -> Bytes {
    let mut body = BytesMut::new();
    body.put_slice(&id.topic_id.0);
    body.put_i32_le(id.partition.0);
    body.put_i64_le(state.as_of.0);
    body.put_i32_le(state.leader_epoch.0);
    body.put_u32_le(count(state.epochs.pairs().len()));
    for (epoch, start) in state.epochs.pairs() {
        body.put_i32_le(epoch.0);
        body.put_i64_le(start.0);
    }
    let known = state.producers_known.then_some(&state.producers);
    body.put_u32_le(known.map_or(UNKNOWN, |producers| count(producers.len())));
    for (id, producer) in known.into_iter().flat_map(ProducerTable::iter) {
        body.put_i64_le(id.0);
        body.put_i16_le(producer.epoch.0);
        body.put_i64_le(producer.last_append_ms);
        body.put_u8(u8::try_from(producer.batches.len()).unwrap_or(u8::MAX));
        for batch in &producer.batches {
            body.put_i32_le(batch.first_sequence);
            body.put_i32_le(batch.last_sequence);
            body.put_i64_le(batch.base.0);
            body.put_i64_le(batch.next.0);
            body.put_i64_le(batch.timestamp);
        }
    }
    let mut section = BytesMut::with_capacity(body.len() + 8);
    section.put_u32_le(count(body.len()));
    section.put_u32_le(crc32c::crc32c(&body));
    section.put_slice(&body);
    section.freeze()
}

/// A file made of such sections.
pub fn encode_sections<'a>(sections: impl Iterator<Item = &'a Bytes>) -> Bytes {
    let mut file = header();
    for section in sections {
        file.put_slice(section);
    }
    file.freeze()
}

fn count(count: usize) -> u32 {
    u32::try_from(count).expect("counts of a shard's state are bounded far below 2^32")
}

/// All sound sections; damaged ones are left out, so that their partitions' producers are unknown.
pub fn decode(mut file: Bytes) -> BTreeMap<PartitionId, SavedState> {
    let mut states = BTreeMap::new();
    if file.len() < 8 || &file[..4] != MAGIC || file[4..6] != VERSION.to_le_bytes() {
        return states;
    }
    file.advance(8);
    while file.len() >= 8 {
        let (bytes, crc) = (file.get_u32_le() as usize, file.get_u32_le());
        if bytes > file.len() {
            break;
        }
        let body = file.split_to(bytes);
        if crc32c::crc32c(&body) == crc
            && let Some((id, state)) = decode_section(body)
        {
            let newer = states.get(&id).is_none_or(|known: &SavedState| known.as_of <= state.as_of);
            if newer {
                states.insert(id, state);
            }
        }
    }
    states
}

fn decode_section(mut body: Bytes) -> Option<(PartitionId, SavedState)> {
    if body.len() < 36 {
        return None;
    }
    let topic_id = TopicId(body.split_to(16).as_ref().try_into().ok()?);
    let partition = PartitionIndex(body.get_i32_le());
    let as_of = Offset(body.get_i64_le());
    let leader_epoch = LeaderEpoch(body.get_i32_le());
    let epoch_count = body.get_u32_le() as usize;
    let mut pairs = Vec::new();
    for _ in 0..epoch_count {
        pairs.push((LeaderEpoch(body.try_get_i32_le().ok()?), Offset(body.try_get_i64_le().ok()?)));
    }
    let known = decode_producers(&mut body)?;
    let (producers_known, producers) = (known.is_some(), known.unwrap_or_default());
    let epochs = EpochHistory::from_pairs(pairs)?;
    let id = PartitionId { topic_id, partition };
    Some((id, SavedState { as_of, leader_epoch, epochs, producers, producers_known }))
}

#[expect(clippy::option_option, reason = "a damaged section and unknown producers differ")]
fn decode_producers(body: &mut Bytes) -> Option<Option<ProducerTable>> {
    let count = body.try_get_u32_le().ok()?;
    if count == UNKNOWN {
        return Some(None);
    }
    let mut producers = ProducerTable::default();
    for _ in 0..count {
        let (id, producer) = decode_producer(body)?;
        producers.insert(id, producer);
    }
    Some(Some(producers))
}

fn decode_producer(body: &mut Bytes) -> Option<(ProducerId, Producer)> {
    let id = ProducerId(body.try_get_i64_le().ok()?);
    let epoch = ProducerEpoch(body.try_get_i16_le().ok()?);
    let last_append_ms = body.try_get_i64_le().ok()?;
    let batch_count = usize::from(body.try_get_u8().ok()?);
    if batch_count > PRODUCER_BATCHES_MAX {
        return None;
    }
    let mut batches = VecDeque::with_capacity(PRODUCER_BATCHES_MAX);
    for _ in 0..batch_count {
        batches.push_back(ProducerBatch {
            first_sequence: body.try_get_i32_le().ok()?,
            last_sequence: body.try_get_i32_le().ok()?,
            base: Offset(body.try_get_i64_le().ok()?),
            next: Offset(body.try_get_i64_le().ok()?),
            timestamp: body.try_get_i64_le().ok()?,
        });
    }
    Some((id, Producer { epoch, last_append_ms, batches }))
}

#[cfg(test)]
mod tests;
