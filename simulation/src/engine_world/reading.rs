//! Reads, each against what is known, and walks through whole logs.

use broker::engine::request::{ReadError, ReadRequest, ReadTarget, Records};
use broker::protocol::Offset;
use broker::protocol::record_batch::{BatchHeader, BatchWalk};

use super::{EngineWorld, Expected, LogKey};
use crate::compacted::TombstoneClock;
use crate::log::{LogState, Walk};
use crate::violation::{Checked, Checker};

const WALK_BYTES_MAX: usize = 256 << 10;

/// Walks that are under way.
#[derive(Debug, Default)]
pub(super) struct Walks {
    walks: Vec<(LogKey, Walk)>,
}

/// What was known when a read was sent.
struct Asked {
    key: LogKey,
    target: ReadTarget,
    bytes_max: usize,
    log_start: Offset,
    high_watermark: Offset,
}

impl EngineWorld {
    pub(super) fn read(&mut self, key: LogKey, target: ReadTarget, bytes_max: usize, walk: bool) {
        let log = &self.logs[key.0];
        let Some(shard) = log.shard() else { return };
        let Some(offsets) = self.node.shards[shard].engine.offsets(log.id) else { return };
        let partition = log.id;
        let token = self.expect(Expected::Read {
            log: key,
            target,
            bytes_max,
            log_start: offsets.log_start,
            high_watermark: offsets.high_watermark,
            walk,
        });
        self.note(|world| format!("{token:?} read {} at {target:?}", world.logs[key.0].name));
        let request = ReadRequest { token, partition, target, bytes_max };
        self.node.shards[shard].engine.read(request);
    }

    /// Walks through every live log from its start to its end, as clients whose reads follow each other.
    pub(super) fn walk_all(&mut self) -> Checked {
        self.walks.walks.clear();
        for key in (0..self.logs.len()).map(LogKey) {
            if self.logs[key.0].shard().is_some() {
                self.walks.walks.push((key, Walk::default()));
                self.walk_on(key)?;
            }
        }
        Ok(())
    }

    pub(super) fn forget_walks(&mut self) {
        self.walks.walks.clear();
    }

    /// The next read of a walk, unless it is at its end.
    fn walk_on(&mut self, key: LogKey) -> Checked {
        let log = &self.logs[key.0];
        let engine = log.shard().map(|shard| &self.node.shards[shard].engine);
        let offsets = engine.and_then(|engine| engine.offsets(log.id));
        let generation = engine.and_then(|engine| engine.get(log.id));
        let generation = generation.map_or(0, |partition| partition.cleaner.generation);
        let Some(place) = self.walks.walks.iter().position(|walk| walk.0 == key) else {
            return Ok(());
        };
        let Some(offsets) = offsets else {
            self.walks.walks.remove(place);
            return Ok(());
        };
        let walk = &mut self.walks.walks[place].1;
        let at = walk.next.unwrap_or(offsets.log_start);
        if at < offsets.log_start {
            *walk = Walk::default();
        }
        let at = at.max(offsets.log_start);
        if walk.next.is_none() {
            walk.begun = Some((at, generation));
        }
        if at < offsets.high_watermark {
            self.read(key, ReadTarget::Offset(at), WALK_BYTES_MAX, true);
            return Ok(());
        }
        let (_, mut walk) = self.walks.walks.remove(place);
        let log = &self.logs[key.0];
        let clock = TombstoneClock {
            now_ms: self.clock().wall.0,
            set_back_ms: self.set_back_ms,
            delete_retention_ms: log.config.compaction.delete_retention_ms,
        };
        // What was deleted meanwhile is not missed.
        walk.begun = walk.begun.map(|(start, before)| (start.max(offsets.log_start), before));
        log.walk_ended(&walk, generation, clock)
    }

    pub(super) fn on_read(
        &mut self,
        expected: Expected,
        result: Result<Records, ReadError>,
    ) -> Checked {
        let Expected::Read { log: key, target, bytes_max, log_start, high_watermark, walk } =
            expected
        else {
            return Err(Checker::AnswersMakeSense.violated("a read that nobody sent"));
        };
        self.note(|_| {
            let brief = result.as_ref().map(|records| (records.first, records.next, records.bytes));
            format!("read done: {brief:?}")
        });
        let asked = Asked { key, target, bytes_max, log_start, high_watermark };
        self.tally.reads += 1;
        match result {
            Ok(records) if records.bytes == 0 => self.check_nothing_read(&asked)?,
            Ok(records) => self.check_records(&asked, &records, walk)?,
            Err(error) => {
                self.check_read_error(&asked, error)?;
                if error == ReadError::Unavailable {
                    self.walks.walks.retain(|(walking, _)| *walking != key);
                }
            }
        }
        if walk { self.walk_on(key) } else { Ok(()) }
    }

    fn check_nothing_read(&self, asked: &Asked) -> Checked {
        let log = &self.logs[asked.key.0];
        let (name, end) = (&log.name, asked.high_watermark);
        match asked.target {
            ReadTarget::Offset(offset) => Checker::AcknowledgedIsThere
                .check(offset >= end, || format!("{name}: nothing at {offset:?} below {end:?}")),
            ReadTarget::Timestamp { at_least: timestamp, from } => {
                let found = log.first_at_time(log.log_start_seen().max(from), timestamp);
                let is_missed = found.is_some_and(|found| found < end) && log.compacted.is_none();
                Checker::AcknowledgedIsThere.check(!is_missed, || {
                    format!("{name}: nothing at time {timestamp}, but for {found:?}")
                })
            }
        }
    }

    fn check_read_error(&mut self, asked: &Asked, error: ReadError) -> Checked {
        let log = &self.logs[asked.key.0];
        let is_excused = match error {
            ReadError::NotOwner => {
                self.excuses.stopping || !matches!(log.state, LogState::Live { .. })
            }
            ReadError::OutOfRange { .. } => match asked.target {
                ReadTarget::Offset(offset) => {
                    offset < log.log_start_seen() || offset > asked.high_watermark
                }
                ReadTarget::Timestamp { .. } => asked.log_start < log.log_start_seen(),
            },
            ReadError::Unavailable => self.excuses.failed || self.excuses.damaged,
        };
        let name = &log.name;
        Checker::AnswersMakeSense.check(is_excused, || {
            format!("{name}: a read of {:?} failed with {error:?}", asked.target)
        })?;
        if error == ReadError::Unavailable {
            self.tally.told_damage += 1;
        }
        Ok(())
    }

    fn check_records(&mut self, asked: &Asked, records: &Records, walk: bool) -> Checked {
        let bytes = records.parts.concat();
        let name = self.logs[asked.key.0].name.clone();
        let batches: Vec<_> = match BatchWalk::new(&bytes).collect::<Result<_, _>>() {
            Ok(batches) => batches,
            Err(error) => {
                let what = format!("{name}: a read at {:?} gave {error:?}", asked.target);
                return Err(Checker::BytesAreThose.violated(what));
            }
        };
        let (Some(first), Some(last)) = (batches.first(), batches.last()) else {
            return Err(Checker::BytesAreThose.violated("a read without batches has bytes"));
        };
        let is_told_right = bytes.len() == records.bytes
            && first.header.base_offset == records.first
            && last.header.next_offset() == records.next
            && (batches.len() == 1 || bytes.len() <= asked.bytes_max);
        Checker::AnswersMakeSense
            .check(is_told_right, || format!("{name}: a read does not give what it says"))?;
        self.check_first(asked, &first.header)?;
        self.check_visible(asked.key, records.next)?;
        let mut expected = None;
        for batch in &batches {
            self.check_epoch(asked.key, &batch.header)?;
            let log = &mut self.logs[asked.key.0];
            if let Some(expected) = expected.replace(batch.header.next_offset()) {
                let base = batch.header.base_offset;
                let follows = base == expected || (base > expected && log.compacted.is_some());
                Checker::OffsetsAreDense.check(follows, || {
                    format!("{name}: {:?} follows {expected:?}", batch.header.base_offset)
                })?;
            }
            self.tally.batches_checked += 1;
            let walking = self.walks.walks.iter_mut().find(|walking| walking.0 == asked.key);
            match walking.filter(|_| walk) {
                Some((_, walk)) => log.walked(walk, batch)?,
                None => {
                    log.found(batch)?;
                }
            }
        }
        Ok(())
    }

    /// The first batch is the one that was asked for.
    fn check_first(&self, asked: &Asked, first: &BatchHeader) -> Checked {
        let log = &self.logs[asked.key.0];
        let name = &log.name;
        let begins = |first: Offset, asked: Offset| first <= asked || log.compacted.is_some();
        match asked.target {
            ReadTarget::Offset(offset) => Checker::AnswersMakeSense
                .check(begins(first.base_offset, offset) && offset < first.next_offset(), || {
                    format!("{name}: asked for {offset:?}, given {:?}", first.base_offset)
                }),
            ReadTarget::Timestamp { at_least: timestamp, from } => {
                let due = log.first_at_time(log.log_start_seen().max(from), timestamp);
                let stamped = log.stamps();
                let is_first = first.max_timestamp >= timestamp
                    && first.next_offset() > asked.log_start.max(from)
                    && (log.compacted.is_none() || first.record_count > 0)
                    && due.is_none_or(|due| {
                        due >= first.base_offset || stamped || log.compacted.is_some()
                    });
                Checker::AnswersMakeSense.check(is_first, || {
                    let given = first.base_offset;
                    format!("{name}: asked for time {timestamp}, given {given:?}, not {due:?}")
                })
            }
        }
    }

    /// The batch stands in the epoch that the owner's history says.
    fn check_epoch(&self, key: LogKey, header: &BatchHeader) -> Checked {
        let log = &self.logs[key.0];
        let owner = log.shard().and_then(|shard| self.node.shards[shard].engine.get(log.id));
        let stated = owner.and_then(|owner| owner.epochs.epoch_at(header.base_offset));
        let epoch = header.partition_leader_epoch;
        Checker::EpochsHold.check(stated.is_none_or(|stated| stated == epoch), || {
            let at = header.base_offset;
            format!("{}: {epoch:?} at {at:?}, where the history says {stated:?}", log.name)
        })
    }

    /// Nothing is read above the high watermark.
    fn check_visible(&self, key: LogKey, next: Offset) -> Checked {
        let log = &self.logs[key.0];
        let offsets = log.shard().and_then(|shard| self.node.shards[shard].engine.offsets(log.id));
        let end = offsets.map(|offsets| offsets.high_watermark);
        Checker::AnswersMakeSense.check(end.is_none_or(|end| next <= end), || {
            format!("{}: read to {next:?} above the high watermark {end:?}", log.name)
        })
    }
}
