//! Where logs start and end, and when their records were written: as seen during one command.

use std::collections::BTreeMap;

use protocol::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use protocol::record_batch::{BatchSlice, BatchWalk, TimestampType, read_record_heads};

use crate::cli::client::{Client, Refusal, TopicInfo};
use crate::cli::failure::Failure;
use crate::cli::limits::{DECOMPRESSED_BYTES_MAX, FETCH_PARTITION_BYTES_MAX};
use crate::cli::topic::offsets::{EARLIEST, LATEST, offsets_of};

/// A partition's log, as far as consumers may read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Log {
    pub(super) start: i64,
    pub(super) end: i64,
}

/// Topics and logs that were looked at, each once.
pub(super) struct Logs {
    topics: BTreeMap<String, TopicInfo>,
    logs: BTreeMap<(String, i32), Log>,
    /// By topic, partition and offset.
    times: BTreeMap<(String, i32, i64), Option<i64>>,
}

impl Logs {
    pub(super) fn new(client: &mut Client) -> Result<Self, Failure> {
        let topics = client.topics()?.into_iter().map(|topic| (topic.name.clone(), topic));
        Ok(Self { topics: topics.collect(), logs: BTreeMap::new(), times: BTreeMap::new() })
    }

    pub(super) fn topic(&self, name: &str) -> Option<&TopicInfo> {
        self.topics.get(name)
    }

    /// Looks at these partitions, unless that was done. Those without a leader, or whose topic is gone, are left
    /// out.
    pub(super) fn look_at(
        &mut self,
        client: &mut Client,
        wanted: &BTreeMap<String, Vec<i32>>,
    ) -> Result<(), Failure> {
        for (name, partitions) in wanted {
            let Some(topic) = self.topics.get(name) else { continue };
            let is_new = |index: &&i32| !self.logs.contains_key(&(name.clone(), **index));
            let can_say = |index: &&i32| topic.leader_of(**index).is_some();
            let new: Vec<i32> = partitions.iter().filter(is_new).filter(can_say).copied().collect();
            if new.is_empty() {
                continue;
            }
            let starts = offsets_of(client, topic, &new, EARLIEST)?;
            let ends = offsets_of(client, topic, &new, LATEST)?;
            for index in new {
                let at = |found: &BTreeMap<i32, Option<i64>>| found.get(&index).copied().flatten();
                if let (Some(start), Some(end)) = (at(&starts), at(&ends)) {
                    self.logs.insert((name.clone(), index), Log { start, end });
                }
            }
        }
        Ok(())
    }

    /// `None` where nobody can say.
    pub(super) fn log(&self, topic: &str, partition: i32) -> Option<Log> {
        self.logs.get(&(topic.to_owned(), partition)).copied()
    }

    /// When the first record at or behind this offset was written, in milliseconds since 1970. `None` where there
    /// is none, or nobody can say.
    pub(super) fn time_of(
        &mut self,
        client: &mut Client,
        topic: &str,
        partition: i32,
        offset: i64,
    ) -> Result<Option<i64>, Failure> {
        let key = (topic.to_owned(), partition, offset);
        if let Some(known) = self.times.get(&key) {
            return Ok(*known);
        }
        let found = match self.topics.get(topic) {
            Some(topic) => time_of_first(client, topic, partition, offset)?,
            None => None,
        };
        self.times.insert(key, found);
        Ok(found)
    }
}

/// Reads the batch that the record is in: a broker sends no less.
fn time_of_first(
    client: &mut Client,
    topic: &TopicInfo,
    partition: i32,
    offset: i64,
) -> Result<Option<i64>, Failure> {
    let Some(leader) = topic.leader_of(partition) else { return Ok(None) };
    // A larger piece only where the batch itself has nothing (left): a marker, or what compaction took.
    for bytes_max in [1, FETCH_PARTITION_BYTES_MAX] {
        let wanted = FetchPartition {
            partition,
            fetch_offset: offset,
            partition_max_bytes: bytes_max,
            ..FetchPartition::default()
        };
        let request = FetchRequest {
            max_wait_ms: 0,
            min_bytes: 0,
            max_bytes: bytes_max,
            topics: vec![FetchTopic {
                topic: topic.name.as_str().into(),
                topic_id: topic.id,
                partitions: vec![wanted],
            }],
            ..FetchRequest::default()
        };
        let response = client.on_broker(leader, request)?;
        let found = response.responses.iter().flat_map(|topic| &topic.partitions).next();
        let Some(found) = found.filter(|found| Refusal::of(found.error_code).is_none()) else {
            // It went meanwhile, or cannot be read: other commands say why.
            return Ok(None);
        };
        let data = found.records.joined();
        let batches = BatchWalk::new(&data).map_while(Result::ok);
        let time = batches.into_iter().find_map(|batch| first_time_in(&batch, offset));
        if time.is_some() {
            return Ok(time);
        }
    }
    Ok(None)
}

/// The timestamp of the batch's first record at or behind the offset.
fn first_time_in(batch: &BatchSlice<'_>, offset: i64) -> Option<i64> {
    let header = &batch.header;
    if header.next_offset().0 <= offset || header.attributes.is_control() {
        return None;
    }
    if header.attributes.timestamp_type() == TimestampType::LogAppendTime {
        return Some(header.max_timestamp);
    }
    let mut first = None;
    read_record_heads(batch, DECOMPRESSED_BYTES_MAX, |record| {
        let at = header.base_offset.0.saturating_add(i64::from(record.offset_delta));
        if first.is_none() && at >= offset {
            first = Some(header.base_timestamp.saturating_add(record.timestamp_delta));
        }
    });
    first
}
