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
    /// Of each partition the batch that was read last: groups that read the same are near each other.
    batches: BTreeMap<(String, i32), BatchTimes>,
}

/// When the records of a batch were written: offset and timestamp of each, in order.
struct BatchTimes(Vec<(i64, i64)>);

impl BatchTimes {
    fn of(batch: &BatchSlice<'_>) -> Self {
        let header = &batch.header;
        if header.attributes.timestamp_type() == TimestampType::LogAppendTime {
            let (first, last) = (header.base_offset.0, header.next_offset().0 - 1);
            return Self(vec![(first, header.max_timestamp), (last, header.max_timestamp)]);
        }
        let mut times = Vec::new();
        read_record_heads(batch, DECOMPRESSED_BYTES_MAX, |record| {
            let at = header.base_offset.0.saturating_add(i64::from(record.offset_delta));
            times.push((at, header.base_timestamp.saturating_add(record.timestamp_delta)));
        });
        Self(times)
    }

    /// Of the first record at or behind the offset, if it is in this batch.
    fn from(&self, offset: i64) -> Option<i64> {
        let at = self.0.partition_point(|of| of.0 < offset);
        self.0.get(at).map(|of| of.1)
    }

    /// As [`Self::from`], where no batch before this one may have that record.
    fn within(&self, offset: i64) -> Option<i64> {
        let is_inside = self.0.first().is_some_and(|first| first.0 <= offset);
        is_inside.then(|| self.from(offset)).flatten()
    }
}

impl Logs {
    pub(super) fn new(client: &mut Client) -> Result<Self, Failure> {
        let topics = client.topics()?.into_iter().map(|topic| (topic.name.clone(), topic));
        Ok(Self { topics: topics.collect(), logs: BTreeMap::new(), batches: BTreeMap::new() })
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
        let key = (topic.to_owned(), partition);
        if let Some(known) = self.batches.get(&key).and_then(|batch| batch.within(offset)) {
            return Ok(Some(known));
        }
        let Some(topic) = self.topics.get(topic) else { return Ok(None) };
        let found = batch_of(client, topic, partition, offset)?;
        let time = found.as_ref().and_then(|batch| batch.from(offset));
        self.batches.extend(found.map(|batch| (key, batch)));
        Ok(time)
    }
}

/// Reads the batch that the record is in: a broker sends no less.
fn batch_of(
    client: &mut Client,
    topic: &TopicInfo,
    partition: i32,
    offset: i64,
) -> Result<Option<BatchTimes>, Failure> {
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
        let mut batches = batches.filter(|batch| {
            batch.header.next_offset().0 > offset && !batch.header.attributes.is_control()
        });
        let has_it = |times: &BatchTimes| times.from(offset).is_some();
        if let Some(found) = batches.find_map(|batch| Some(BatchTimes::of(&batch)).filter(has_it)) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::BatchTimes;

    #[test]
    fn a_batch_knows_the_times_of_its_own_offsets_alone() {
        // Compaction took 11 and 13.
        let batch = BatchTimes(vec![(10, 100), (12, 300), (14, 200)]);
        let of = |offset| (batch.from(offset), batch.within(offset));
        assert_eq!(of(9), (Some(100), None), "a batch before it may have 9");
        assert_eq!(of(10), (Some(100), Some(100)));
        assert_eq!(of(11), (Some(300), Some(300)));
        assert_eq!(of(14), (Some(200), Some(200)));
        assert_eq!(of(15), (None, None));
    }
}
