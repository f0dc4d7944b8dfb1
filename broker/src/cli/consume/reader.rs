//! Fetches from every leader in turn, until the wanted end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use protocol::ErrorCode;
use protocol::messages::fetch::{FetchPartition, FetchRequest, FetchTopic, PartitionData};
use protocol::record_batch::{BatchSlice, BatchWalk};

use super::print::Printer;
use crate::cli::client::{Client, Refusal, TopicInfo};
use crate::cli::failure::Failure;
use crate::cli::limits::{FETCH_BYTES_MAX, FETCH_PARTITION_BYTES_MAX, FETCH_WAIT_MS_MAX};
use crate::cli::output::Output;
use crate::cli::records::records_of;
use crate::cli::topic::offsets::{EARLIEST, offsets_of};

/// Before a question that failed for the moment is asked again.
const AGAIN: Duration = Duration::from_millis(100);

/// What is to be read.
pub(super) struct Wanted {
    /// The next offset of each partition.
    pub(super) positions: BTreeMap<i32, i64>,
    /// Where to stop; `None`: never.
    pub(super) ends: Option<BTreeMap<i32, i64>>,
    pub(super) count: Option<u64>,
    pub(super) chosen: Chosen,
}

/// Why these partitions are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chosen {
    /// They were asked for by their numbers: none of them may be left out.
    ByNumber,
    /// They are the topic's: those that can be read are.
    AsTopic,
    /// The group has given them to this member: others may come, whatever becomes of these.
    ByGroup,
}

/// On standard error: what is read stays what is read.
pub(super) fn tell_unread(topic: &TopicInfo, partition: i32) {
    eprintln!("not read: {}", topic.without_leader(partition));
}

pub(super) struct Reader {
    pub(super) client: Client,
    pub(super) topic: TopicInfo,
    pub(super) wanted: Wanted,
    printer: Printer,
    printed: u64,
    /// Until when failures for the moment are borne.
    pub(super) deadline: Instant,
}

impl Reader {
    pub(super) fn new(client: Client, topic: TopicInfo, wanted: Wanted, printer: Printer) -> Self {
        let deadline = client.deadline();
        Self { client, topic, wanted, printer, printed: 0, deadline }
    }

    pub(super) fn run(mut self, output: &mut Output) -> Result<(), Failure> {
        while !self.has_enough() && self.read_on(output)? {}
        output.flush()
    }

    /// One fetch from every leader. False: nothing is left to be read.
    pub(super) fn read_on(&mut self, output: &mut Output) -> Result<bool, Failure> {
        let open = self.open_partitions();
        if open.is_empty() {
            return Ok(false);
        }
        let mut by_leader: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
        for index in open {
            match self.topic.leader_of(index) {
                Some(leader) => by_leader.entry(leader).or_default().push(index),
                None if self.topic.is_offline(index) => self.leave_out(index)?,
                None => self.wait_and_look(self.topic.without_leader(index))?,
            }
        }
        for (leader, partitions) in by_leader {
            self.fetch(leader, &partitions, output)?;
        }
        output.flush()?;
        Ok(true)
    }

    /// A partition went offline: the others are read without it, if that is what was asked for.
    fn leave_out(&mut self, index: i32) -> Result<(), Failure> {
        self.wanted.positions.remove(&index);
        let is_missed = match self.wanted.chosen {
            Chosen::ByNumber => true,
            Chosen::AsTopic => self.wanted.positions.is_empty(),
            Chosen::ByGroup => false,
        };
        if is_missed {
            return Err(self.topic.without_leader(index));
        }
        tell_unread(&self.topic, index);
        Ok(())
    }

    pub(super) fn has_enough(&self) -> bool {
        self.wanted.count.is_some_and(|count| self.printed >= count)
    }

    /// Partitions of which something is still to be read.
    pub(super) fn open_partitions(&self) -> Vec<i32> {
        let ends = self.wanted.ends.as_ref();
        let is_open = |(index, position): (&i32, &i64)| {
            let end = ends.and_then(|ends| ends.get(index));
            end.is_none_or(|end| position < end).then_some(*index)
        };
        self.wanted.positions.iter().filter_map(is_open).collect()
    }

    fn fetch(
        &mut self,
        leader: i32,
        partitions: &[i32],
        output: &mut Output,
    ) -> Result<(), Failure> {
        let request = self.request(partitions);
        let response = match self.client.on_broker(leader, request) {
            Ok(response) => response,
            Err(failure) => return self.wait_and_look(failure),
        };
        if let Some(refusal) = Refusal::of(response.error_code) {
            return self
                .wait_and_look(refusal.failure(&format!("topic {}", self.topic.name), None));
        }
        for partition in response.responses.iter().flat_map(|topic| &topic.partitions) {
            let index = partition.partition_index;
            match Refusal::of(partition.error_code) {
                None => {
                    self.deadline = self.client.deadline();
                    self.take(index, partition, output)?;
                }
                Some(refusal) => {
                    let position = self.wanted.positions.get(&index).copied().unwrap_or(0);
                    let what = format!("partition {index} of {} at {position}", self.topic.name);
                    let failure = refusal.failure(&what, None);
                    if refusal.is(ErrorCode::OffsetOutOfRange)
                        && self.wanted.chosen == Chosen::ByGroup
                    {
                        self.begin_where_the_log_does(index, position)?;
                        continue;
                    }
                    if !refusal.is_retriable() {
                        return Err(failure);
                    }
                    self.wait_and_look(failure)?;
                }
            }
        }
        Ok(())
    }

    /// Records were deleted before the group read them: it goes on with those that are left.
    fn begin_where_the_log_does(&mut self, index: i32, position: i64) -> Result<(), Failure> {
        let starts = offsets_of(&mut self.client, &self.topic, &[index], EARLIEST)?;
        let start = starts.get(&index).copied().flatten().unwrap_or(0);
        eprintln!(
            "partition {index} of {} has no offset {position} any more: reading from {start}",
            self.topic.name
        );
        self.wanted.positions.insert(index, start);
        Ok(())
    }

    /// Prints the records of one partition.
    fn take(
        &mut self,
        index: i32,
        partition: &PartitionData,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let data = partition.records.joined();
        // What ends inside a batch is asked for again.
        for batch in BatchWalk::new(&data).map_while(Result::ok) {
            if self.has_enough() {
                break;
            }
            self.take_batch(index, &data, &batch, output)?;
        }
        Ok(())
    }

    fn take_batch(
        &mut self,
        index: i32,
        data: &Bytes,
        batch: &BatchSlice<'_>,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let position = self.wanted.positions.get(&index).copied().unwrap_or(0);
        let next = batch.header.next_offset().0;
        if next <= position {
            return Ok(());
        }
        let damaged = |what: &str| {
            Failure::failed(format!(
                "the batch at offset {} of {}-{index} is damaged: {what}; check the node's data with `corelane verify`",
                batch.header.base_offset, self.topic.name
            ))
        };
        if !batch.crc_is_valid() {
            return Err(damaged("its CRC does not match"));
        }
        if !batch.header.attributes.is_control() {
            let end = self.wanted.ends.as_ref().and_then(|ends| ends.get(&index)).copied();
            for record in records_of(data, batch).map_err(|what| damaged(&what))? {
                if self.has_enough() || end.is_some_and(|end| record.offset >= end) {
                    // Not read: whoever goes on here begins with it.
                    self.wanted.positions.insert(index, record.offset.max(position));
                    return Ok(());
                }
                if record.offset >= position {
                    self.printer.print(index, &record, output)?;
                    self.printed += 1;
                }
            }
        }
        self.wanted.positions.insert(index, next);
        Ok(())
    }

    fn request(&self, partitions: &[i32]) -> FetchRequest {
        let partition = |index: &i32| FetchPartition {
            partition: *index,
            fetch_offset: self.wanted.positions.get(index).copied().unwrap_or(0),
            partition_max_bytes: FETCH_PARTITION_BYTES_MAX,
            ..FetchPartition::default()
        };
        FetchRequest {
            max_wait_ms: FETCH_WAIT_MS_MAX,
            min_bytes: 1,
            max_bytes: FETCH_BYTES_MAX,
            topics: vec![FetchTopic {
                topic: self.topic.name.as_str().into(),
                topic_id: self.topic.id,
                partitions: partitions.iter().map(partition).collect(),
            }],
            ..FetchRequest::default()
        }
    }

    /// A failure that may pass: leaders are looked up again, until the time is up.
    fn wait_and_look(&mut self, failure: Failure) -> Result<(), Failure> {
        if Instant::now() >= self.deadline {
            return Err(failure);
        }
        std::thread::sleep(AGAIN);
        if let Ok(topic) = self.client.topic_now(&self.topic.name) {
            if topic.id != self.topic.id {
                return Err(Failure::failed(format!(
                    "topic {} was deleted and created anew meanwhile; begin again",
                    topic.name
                )));
            }
            self.topic = topic;
        }
        Ok(())
    }
}
