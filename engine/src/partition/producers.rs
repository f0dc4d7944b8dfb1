//! What a partition remembers of its idempotent producers, so that a retry is recognised.
//!
//! | stored state | batch | verdict |
//! |---|---|---|
//! | producer unknown | any sequence | append (its state expired, or it is new) |
//! | epoch above the batch's | | invalid producer epoch |
//! | epoch below the batch's | first sequence 0 | append, epoch moves |
//! | epoch below the batch's | first sequence not 0 | out of order |
//! | same epoch | (first, last) equals one of the last five batches | duplicate of it |
//! | same epoch | first sequence follows the last one (wrapping at 2³¹−1 to 0) | append |
//! | same epoch | anything else | out of order |

use std::collections::{BTreeMap, VecDeque};

use protocol::record_batch::{BatchHeader, increment_sequence};
use protocol::{Offset, ProducerEpoch, ProducerId};

use crate::batch::BatchView;
use crate::limits::{PRODUCER_BATCHES_MAX, PRODUCERS_PER_PARTITION_MAX};

/// One batch that is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerBatch {
    pub first_sequence: i32,
    pub last_sequence: i32,
    pub base: Offset,
    pub next: Offset,
    /// Timestamp that the first answer carried: the log append time, if the topic stamps one.
    pub timestamp: i64,
}

/// What is known of one producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Producer {
    pub epoch: ProducerEpoch,
    /// Wall clock of its last append, for expiry.
    pub last_append_ms: i64,
    pub batches: VecDeque<ProducerBatch>,
}

/// Verdict on a batch with a producer id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SequenceCheck {
    Append,
    Duplicate(ProducerBatch),
    InvalidEpoch { stored: ProducerEpoch },
    OutOfOrder { expected: i32, actual: i32 },
}

/// All producers of one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProducerTable {
    producers: BTreeMap<ProducerId, Producer>,
}

impl ProducerTable {
    pub fn len(&self) -> usize {
        self.producers.len()
    }

    pub fn is_empty(&self) -> bool {
        self.producers.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&ProducerId, &Producer)> {
        self.producers.iter()
    }

    pub fn insert(&mut self, id: ProducerId, producer: Producer) {
        self.producers.insert(id, producer);
    }

    /// Judges a batch before it is appended.
    pub fn check(&self, header: &BatchHeader) -> SequenceCheck {
        let Some(producer) = self.producers.get(&header.producer_id) else {
            return SequenceCheck::Append;
        };
        if header.producer_epoch < producer.epoch {
            return SequenceCheck::InvalidEpoch { stored: producer.epoch };
        }
        if header.producer_epoch > producer.epoch {
            return match header.base_sequence {
                0 => SequenceCheck::Append,
                actual => SequenceCheck::OutOfOrder { expected: 0, actual },
            };
        }
        let last_sequence = header.last_sequence();
        let duplicate = producer.batches.iter().find(|batch| {
            batch.first_sequence == header.base_sequence && batch.last_sequence == last_sequence
        });
        if let Some(batch) = duplicate {
            return SequenceCheck::Duplicate(*batch);
        }
        let Some(last) = producer.batches.back() else { return SequenceCheck::Append };
        let expected = increment_sequence(last.last_sequence, 1);
        if header.base_sequence == expected {
            SequenceCheck::Append
        } else {
            SequenceCheck::OutOfOrder { expected, actual: header.base_sequence }
        }
    }

    /// Whether the batch is the last one of its producer: what is known of that one goes with it.
    pub fn is_newest_batch(&self, header: &BatchHeader) -> bool {
        let producer = header.producer().and_then(|producer| self.producers.get(&producer.id));
        let newest = producer.and_then(|producer| producer.batches.back());
        newest.is_some_and(|newest| newest.next == header.next_offset())
    }

    /// Remembers a batch that was appended; `header` carries its assigned offsets.
    pub fn note(&mut self, header: &BatchHeader, timestamp: i64, now_ms: i64) {
        self.make_room(header.producer_id);
        let producer = self.producers.entry(header.producer_id).or_insert_with(|| Producer {
            epoch: header.producer_epoch,
            last_append_ms: now_ms,
            batches: VecDeque::with_capacity(PRODUCER_BATCHES_MAX),
        });
        if producer.epoch != header.producer_epoch {
            producer.epoch = header.producer_epoch;
            producer.batches.clear();
        }
        if producer.batches.len() == PRODUCER_BATCHES_MAX {
            producer.batches.pop_front();
        }
        producer.last_append_ms = now_ms;
        producer.batches.push_back(ProducerBatch {
            first_sequence: header.base_sequence,
            last_sequence: header.last_sequence(),
            base: header.base_offset,
            next: Offset(header.last_offset().0 + 1),
            timestamp,
        });
    }

    /// Nobody was heard of later than now: who was found in the journal counts as heard of now, and a time
    /// that a client made up keeps nobody longer.
    pub fn not_later_than(&mut self, now_ms: i64) {
        for producer in self.producers.values_mut() {
            producer.last_append_ms = producer.last_append_ms.min(now_ms);
        }
    }

    /// Forgets producers that were silent since before `before_ms`.
    pub fn expire(&mut self, before_ms: i64) -> usize {
        let count = self.producers.len();
        self.producers.retain(|_, producer| producer.last_append_ms >= before_ms);
        count - self.producers.len()
    }

    /// The time before which producers must be silent to be forgotten, if these tables together remember
    /// more than so many: then that many stay, of those with the same time all.
    pub fn crowded_out_before<'a>(
        tables: impl Iterator<Item = &'a Self> + Clone,
        producers_max: usize,
    ) -> Option<i64> {
        let count: usize = tables.clone().map(Self::len).sum();
        let surplus = count.checked_sub(producers_max).filter(|surplus| *surplus > 0)?;
        let mut times: Vec<i64> = tables
            .flat_map(|table| table.producers.values().map(|producer| producer.last_append_ms))
            .collect();
        let (_, first_that_stays, _) = times.select_nth_unstable(surplus);
        Some(*first_that_stays)
    }

    fn make_room(&mut self, id: ProducerId) {
        if self.producers.len() < PRODUCERS_PER_PARTITION_MAX || self.producers.contains_key(&id) {
            return;
        }
        // The most silent ones go together: looking at all of them for each new one would cost half a
        // millisecond an append.
        let mut times: Vec<(i64, ProducerId)> =
            self.producers.iter().map(|(id, producer)| (producer.last_append_ms, *id)).collect();
        let (silent, ..) = times.select_nth_unstable(PRODUCERS_PER_PARTITION_MAX / 16);
        for (_, id) in silent {
            self.producers.remove(id);
        }
    }
}

#[cfg(test)]
mod tests;
