//! What the node answers, against what is allowed.

use broker::engine::request::PartitionOffsets;
use broker::protocol::ErrorCode;
use broker::protocol::messages::create_partitions::CreatePartitionsResponse;
use broker::protocol::messages::create_topics::CreateTopicsResponse;
use broker::protocol::messages::delete_records::DeleteRecordsResponse;
use broker::protocol::messages::delete_topics::DeleteTopicsResponse;
use broker::protocol::messages::fetch::{FetchResponse, PartitionData};
use broker::protocol::messages::init_producer_id::InitProducerIdResponse;
use broker::protocol::messages::list_offsets::ListOffsetsResponse;
use broker::protocol::messages::metadata::MetadataResponse;
use broker::protocol::messages::produce::ProduceResponse;
use broker::protocol::record_batch::BatchWalk;
use broker::protocol::{LeaderEpoch, Offset};
use bytes::Bytes;

use super::clients::{
    Asked, CREATE_PARTITIONS, CREATE_TOPICS, Client, ClientKey, DELETE_RECORDS, DELETE_TOPICS,
    FETCH, INIT_PRODUCER_ID, LIST_OFFSETS, METADATA, PRODUCE, Sent, What,
};
use super::topics::{DELETE_RETENTION_MS, TopicState};
use super::{LogKey, NodeWorld};
use crate::compacted::TombstoneClock;
use crate::log::Walk;
use crate::violation::{Checked, Checker};

const NONE: i16 = 0;

impl NodeWorld {
    /// Reads every whole answer that has arrived.
    pub(super) fn hear_clients(&mut self) -> Checked {
        for at in (0..self.clients.len()).map(ClientKey) {
            while let Some(frame) = self.clients[at.0].connection.next_frame() {
                self.trace.bytes(&frame);
                let Some(asked) = self.clients[at.0].asked.pop_front() else {
                    return Err(Checker::AnswersMakeSense.violated("an answer to nothing"));
                };
                self.hear(at, asked, &frame)?;
            }
        }
        Ok(())
    }

    fn hear(&mut self, client: ClientKey, asked: Asked, frame: &Bytes) -> Checked {
        self.note(|_| format!("client {} is answered: {:?}", client.0, asked.what));
        match &asked.what {
            What::Produce(sent) => {
                let response = Client::decode::<ProduceResponse>(&asked, PRODUCE, frame)?;
                self.on_produced(&asked, sent, &response)
            }
            What::Fetch { log, offset, told, walk } => {
                let (log, offset, told, walk) = (*log, *offset, *told, walk.clone());
                let response = Client::decode::<FetchResponse>(&asked, FETCH, frame)?;
                let found = response.responses.first().and_then(|topic| topic.partitions.first());
                match found {
                    Some(found) => {
                        self.on_fetched(client, asked.since, (log, offset, told), walk, found)
                    }
                    None => self.check_code(log, asked.since, response.error_code),
                }
            }
            What::Offsets { log, earliest } => {
                let (log, earliest) = (*log, *earliest);
                let response = Client::decode::<ListOffsetsResponse>(&asked, LIST_OFFSETS, frame)?;
                let found = &response.topics[0].partitions[0];
                self.check_code(log, asked.since, found.error_code)?;
                let offset = Offset(found.offset);
                match earliest {
                    None => self.ask_offset(client, log, Some(offset)),
                    Some(log_start) => self.partitions[log.0].log.restarted(&PartitionOffsets {
                        log_start,
                        high_watermark: offset,
                        log_end: offset,
                        leader_epoch: LeaderEpoch(i32::MAX),
                        is_offline: false,
                    })?,
                }
                Ok(())
            }
            What::ProducerId(log) => {
                let log = *log;
                let response =
                    Client::decode::<InitProducerIdResponse>(&asked, INIT_PRODUCER_ID, frame)?;
                self.on_producer_id(log, &response)
            }
            What::AllTopics => {
                let response = Client::decode::<MetadataResponse>(&asked, METADATA, frame)?;
                self.topics_usable = self.on_all_topics(&response)?;
                Ok(())
            }
            What::Member { member, life, asked: what } => {
                let (member, what) = ((*member, *life), *what);
                self.hear_member(&asked, member, what, frame)
            }
            _ => self.on_changed(&asked, frame),
        }
    }

    fn on_producer_id(&mut self, log: LogKey, response: &InitProducerIdResponse) -> Checked {
        let Some(producer) = &mut self.partitions[log.0].producer else { return Ok(()) };
        producer.is_asking = false;
        if response.error_code != NONE {
            return Checker::AnswersMakeSense.check(self.is_stopping, || {
                format!("no producer id: {}", code_name(response.error_code))
            });
        }
        let id = response.producer_id;
        producer.id = Some(id);
        Checker::ExactlyOnce
            .check(self.producer_ids.insert(id), || format!("producer id {id} was given before"))
    }

    /// Answers to what changes topics and logs.
    fn on_changed(&mut self, asked: &Asked, frame: &Bytes) -> Checked {
        match asked.what {
            What::Create(topic) => {
                let response = Client::decode::<CreateTopicsResponse>(asked, CREATE_TOPICS, frame)?;
                let code = response.topics[0].error_code;
                self.check_command(code, || "create a topic".to_owned())?;
                if code == NONE {
                    self.topics[topic.0].created(response.topics[0].topic_id);
                }
            }
            What::Delete(topic) => {
                let response = Client::decode::<DeleteTopicsResponse>(asked, DELETE_TOPICS, frame)?;
                let code = response.responses[0].error_code;
                self.check_command(code, || "delete a topic".to_owned())?;
                if code == NONE {
                    self.topics[topic.0].state = TopicState::Deleted;
                }
            }
            What::Grow { topic, to } => {
                let response =
                    Client::decode::<CreatePartitionsResponse>(asked, CREATE_PARTITIONS, frame)?;
                let code = response.results[0].error_code;
                let is_there = self.topics[topic.0].state == TopicState::Live;
                if is_there {
                    self.check_command(code, || format!("grow to {to} partitions"))?;
                }
                if code == NONE {
                    self.topics[topic.0].growing_to = None;
                    self.grow_topic(topic, to);
                }
            }
            What::DeleteRecords { log, below } => {
                let response =
                    Client::decode::<DeleteRecordsResponse>(asked, DELETE_RECORDS, frame)?;
                let found = &response.topics[0].partitions[0];
                self.check_code(log, asked.since, found.error_code)?;
                if found.error_code == NONE {
                    self.partitions[log.0].log.log_start_acknowledged(below);
                }
            }
            _ => unreachable!("answered elsewhere: {:?}", asked.what),
        }
        Ok(())
    }

    fn check_command(&self, code: i16, what: impl FnOnce() -> String) -> Checked {
        Checker::AnswersMakeSense.check(code == NONE || self.is_stopping, || {
            format!("{} failed with {}", what(), code_name(code))
        })
    }

    /// A partition's answer is no success only where somebody moved or removed it meanwhile.
    fn check_code(&self, log: LogKey, since: u64, code: i16) -> Checked {
        let partition = &self.partitions[log.0];
        let is_gone = !self.is_live(log);
        let is_moving = partition.is_moving || since <= partition.moved_at;
        let is_excused = match ErrorCode::from_code(code) {
            _ if code == NONE || self.is_stopping => true,
            Some(ErrorCode::NotLeaderOrFollower) => is_moving || is_gone,
            Some(ErrorCode::UnknownTopicOrPartition) => is_gone,
            // Its topic's successor was asked, which has the same name.
            Some(ErrorCode::OffsetOutOfRange) => is_gone,
            _ => false,
        };
        Checker::AnswersMakeSense
            .check(is_excused, || format!("{} answers {}", partition.log.name, code_name(code)))
    }

    fn on_produced(&mut self, asked: &Asked, sent: &[Sent], response: &ProduceResponse) -> Checked {
        let answers = response.responses.iter().flat_map(|topic| {
            let partitions = topic.partition_responses.iter();
            partitions.map(|found| (&*topic.name, found.index, found.error_code, found.base_offset))
        });
        let answers: Vec<_> = answers.collect();
        for one in sent {
            let partition = &self.partitions[one.log.0];
            let name = self.topics[partition.topic.0].name.as_str();
            let found = answers.iter().find(|found| found.0 == name && found.1 == partition.index);
            let Some((_, _, code, base)) = found.copied() else {
                let what = format!("a produce answer without {}", partition.log.name);
                return Err(Checker::AnswersMakeSense.violated(what));
            };
            self.on_batch(asked.since, *one, code, base)?;
        }
        Ok(())
    }

    fn on_batch(&mut self, since: u64, sent: Sent, code: i16, base: i64) -> Checked {
        let Sent { log, number, call } = sent;
        self.note(|_| format!("{number:?} has offset {base}, {}", code_name(code)));
        let partition = &mut self.partitions[log.0];
        let mut must_follow = true;
        if let Some(producer) = &mut partition.producer {
            let mut pending = producer.unacknowledged.iter_mut();
            if let Some(pending) = pending.find(|pending| pending.number == number) {
                pending.in_flight = false;
                pending.acknowledged |= code == NONE;
                must_follow = pending.is_first;
                producer.resends |= code != NONE;
            }
            if code == ErrorCode::OutOfOrderSequenceNumber.code() {
                producer.starts_over |= producer.may_be_overtaken();
                must_follow &= !producer.starts_over;
            }
            producer.was_refused |= code != NONE;
            while producer.unacknowledged.front().is_some_and(|pending| pending.acknowledged) {
                producer.unacknowledged.pop_front();
                producer.is_known = true;
            }
        }
        if code == NONE {
            return partition.log.acknowledged(number, Offset(base));
        }
        let is_order = code == ErrorCode::OutOfOrderSequenceNumber.code();
        if is_order && !must_follow {
            // What came before it was refused.
            partition.log.refused(number, call);
            return Ok(());
        }
        self.check_code(log, since, code)?;
        if self.is_live(log) && !self.is_stopping {
            self.partitions[log.0].log.refused(number, call);
        }
        Ok(())
    }

    fn on_fetched(
        &mut self,
        client: ClientKey,
        since: u64,
        (log, offset, told): (LogKey, Offset, (Offset, Offset)),
        walk: Option<Walk>,
        found: &PartitionData,
    ) -> Checked {
        if !self.is_live(log) {
            return Ok(());
        }
        let is_below = offset.0 < self.partitions[log.0].deleted_below;
        if found.error_code == ErrorCode::OffsetOutOfRange.code() && is_below {
            if walk.is_some() {
                let start = Offset(self.partitions[log.0].deleted_below);
                self.fetch(client, log, start, Some(Walk::from(start)), (0, 1));
            }
            return Ok(());
        }
        self.check_code(log, since, found.error_code)?;
        if found.error_code != NONE {
            return Ok(());
        }
        let end = Offset(found.high_watermark);
        let clock = TombstoneClock {
            now_ms: self.clock().wall.0,
            set_back_ms: 0,
            delete_retention_ms: DELETE_RETENTION_MS,
        };
        let partition = &mut self.partitions[log.0];
        partition.log.observe_since(told, Offset(found.log_start_offset), end)?;
        let bytes = found.records.parts().concat();
        let name = partition.log.name.clone();
        let batches: Vec<_> = BatchWalk::new(&bytes).map_while(Result::ok).collect();
        let whole: usize = batches.iter().map(|batch| batch.bytes.len()).sum();
        Checker::BytesAreThose.check(whole == bytes.len(), || {
            format!("{name}: a fetch at {} has other bytes", offset.0)
        })?;
        let mut walk = walk;
        let mut next = offset;
        for batch in &batches {
            next = batch.header.next_offset();
            self.tally.batches_checked += 1;
            match &mut walk {
                Some(walk) => partition.log.walked(walk, batch)?,
                None => {
                    partition.log.found(batch)?;
                }
            }
        }
        let is_compacted = partition.log.compacted.is_some();
        let is_it = |base: Offset| base <= offset || is_compacted;
        if let Some(first) = batches.first() {
            let header = &first.header;
            Checker::AnswersMakeSense
                .check(is_it(header.base_offset) && offset < header.next_offset(), || {
                    format!("{name}: asked for {}, given {}", offset.0, header.base_offset.0)
                })?;
        }
        let is_missed = batches.is_empty() && offset < told.1;
        Checker::AcknowledgedIsThere
            .check(!is_missed, || format!("{name}: nothing at {} below {}", offset.0, told.1.0))?;
        // What was read may lie above the high watermark of the answer, which is older.
        match walk {
            Some(walk) if next < end && !batches.is_empty() => {
                self.fetch(client, log, next, Some(walk), (0, 1));
                Ok(())
            }
            // What was cleaned meanwhile clients do not know.
            Some(walk) => self.partitions[log.0].log.walk_ended(&walk, u64::MAX, clock),
            None => Ok(()),
        }
    }
}

fn code_name(code: i16) -> &'static str {
    ErrorCode::from_code(code).map_or("an unknown code", ErrorCode::name)
}
