//! What was acknowledged is what is read: nothing lost, doubled, reordered or altered.
//!
//! Each producer keeps a hash chain for each partition over what was acknowledged to it: offset, ordinal and
//! fingerprint of one entry after another (a record, or in the `raw` tier a batch). Each subscription keeps the
//! same chains over what it reads, and demands that offsets follow each other without a gap. At the end the
//! chains must be equal. Memory is one chain for each producer and partition, whatever the length of the run.
//!
//! An entry that is in the log twice has an offset that nobody was told; one that was lost is missing from the
//! chain; so a run whose chains are equal has exactly the acknowledged entries, in order, unaltered.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::limits::VIOLATIONS_TOLD_MAX;
use crate::random::mix;

/// A partition among all that a run uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct PartitionNumber(pub u32);

/// A producer among all of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ProducerNumber(pub u16);

/// What stands in the log between two offsets, written at once by one producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub offset: i64,
    pub records: u32,
    pub producer: ProducerNumber,
    /// Counts up within its producer (and need not be dense within a partition).
    pub ordinal: u64,
    /// Of the content.
    pub fingerprint: u64,
}

/// The entries of one producer in one partition so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    hash: u64,
    records: u64,
    /// Of the newest entry; one more, so that 0 is none.
    ordinal_after: u64,
    offset_after: i64,
}

impl Chain {
    #[must_use]
    pub const fn records(&self) -> u64 {
        self.records
    }

    /// Whether the entry comes after all before it, in the producer's order and in the log's.
    const fn is_continued_by(&self, entry: &Entry) -> bool {
        entry.ordinal >= self.ordinal_after && entry.offset >= self.offset_after
    }

    fn append(&mut self, entry: &Entry) {
        let content = mix(entry.fingerprint ^ mix(entry.ordinal));
        let place = mix(entry.offset.cast_unsigned() ^ (u64::from(entry.records) << 40));
        self.hash = mix(self.hash.rotate_left(23) ^ content ^ place.rotate_left(32));
        self.records += u64::from(entry.records);
        self.ordinal_after = self.ordinal_after.max(entry.ordinal + 1);
        self.offset_after = self.offset_after.max(entry.offset + i64::from(entry.records));
    }
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Violation {
    /// Offsets that the log skips.
    Gap { partition: PartitionNumber, from_offset: i64, to_offset: i64 },
    /// A consumer was given an offset again, or an older one.
    ReadAgain { partition: PartitionNumber, offset: i64, expected_offset: i64 },
    /// Acknowledged with offsets in another order than they were sent.
    AcknowledgedOutOfOrder {
        partition: PartitionNumber,
        producer: ProducerNumber,
        ordinal: u64,
        offset: i64,
    },
    /// Stands in the log behind one that was sent later, or behind itself.
    DoubledOrReordered {
        partition: PartitionNumber,
        producer: ProducerNumber,
        ordinal: u64,
        offset: i64,
    },
    /// Not the bytes that were sent.
    Altered { partition: PartitionNumber, offset: i64 },
    /// Fewer records are read than were acknowledged.
    Lost { partition: PartitionNumber, producer: ProducerNumber, acknowledged: u64, read: u64 },
    /// More records are read than were acknowledged: stored twice, or stored and refused.
    NotAcknowledged {
        partition: PartitionNumber,
        producer: ProducerNumber,
        acknowledged: u64,
        read: u64,
    },
    /// As many as were acknowledged, but not the same, or elsewhere.
    ChainsDiffer { partition: PartitionNumber, producer: ProducerNumber, records: u64 },
    /// The log goes on behind everything that was acknowledged: stored twice, or stored and refused.
    StoredBeyond { partition: PartitionNumber, acknowledged_end: i64, log_end: i64 },
    /// A subscription did not reach the end of what was acknowledged in the time that it had.
    NotRead { subscription: String, partitions: usize },
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gap { partition, from_offset, to_offset } => write!(
                formatter,
                "partition {}: offsets {from_offset} to {to_offset} are missing",
                partition.0
            ),
            Self::ReadAgain { partition, offset, expected_offset } => write!(
                formatter,
                "partition {}: offset {offset} was given where {expected_offset} comes next",
                partition.0
            ),
            Self::AcknowledgedOutOfOrder { partition, producer, ordinal, offset } => write!(
                formatter,
                "partition {}: producer {} was told offset {offset} for its number {ordinal}, out of order",
                partition.0, producer.0
            ),
            Self::DoubledOrReordered { partition, producer, ordinal, offset } => write!(
                formatter,
                "partition {}: offset {offset} holds number {ordinal} of producer {}, doubled or out of order",
                partition.0, producer.0
            ),
            Self::Altered { partition, offset } => write!(
                formatter,
                "partition {}: offset {offset} holds other bytes than were sent",
                partition.0
            ),
            Self::Lost { partition, producer, acknowledged, read } => write!(
                formatter,
                "partition {}: producer {} has {acknowledged} records acknowledged, {read} can be read",
                partition.0, producer.0
            ),
            Self::NotAcknowledged { partition, producer, acknowledged, read } => write!(
                formatter,
                "partition {}: {read} records of producer {} can be read, {acknowledged} were acknowledged",
                partition.0, producer.0
            ),
            Self::ChainsDiffer { partition, producer, records } => write!(
                formatter,
                "partition {}: the {records} records of producer {} are not those that were acknowledged",
                partition.0, producer.0
            ),
            Self::StoredBeyond { partition, acknowledged_end, log_end } => write!(
                formatter,
                "partition {}: offsets {acknowledged_end} to {log_end} hold what nobody was acknowledged",
                partition.0
            ),
            Self::NotRead { subscription, partitions } => write!(
                formatter,
                "{subscription} did not reach the end of {partitions} partitions in time"
            ),
        }
    }
}

/// All that is wrong: the first ones in full, the rest as a number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Violations {
    pub count: u64,
    pub first: Vec<Violation>,
}

impl Violations {
    pub fn push(&mut self, violation: Violation) {
        self.count += 1;
        if self.first.len() < VIOLATIONS_TOLD_MAX {
            self.first.push(violation);
        }
    }

    fn extend(&mut self, other: Self) {
        let untold = other.count - other.first.len() as u64;
        other.first.into_iter().for_each(|violation| self.push(violation));
        self.count += untold;
    }
}

/// One producer's side, kept by its own thread.
#[derive(Clone, Debug)]
pub struct ProducedChains {
    producer: ProducerNumber,
    chains: BTreeMap<PartitionNumber, Chain>,
    violations: Violations,
}

impl ProducedChains {
    #[must_use]
    pub const fn new(producer: ProducerNumber) -> Self {
        let violations = Violations { count: 0, first: Vec::new() };
        Self { producer, chains: BTreeMap::new(), violations }
    }

    /// To be called in the order of acknowledgement.
    pub fn acknowledged(&mut self, partition: PartitionNumber, entry: &Entry) {
        assert_eq!(entry.producer, self.producer, "chains belong to their producer");
        let chain = self.chains.entry(partition).or_default();
        if !chain.is_continued_by(entry) {
            self.violations.push(Violation::AcknowledgedOutOfOrder {
                partition,
                producer: entry.producer,
                ordinal: entry.ordinal,
                offset: entry.offset,
            });
        }
        chain.append(entry);
    }

    #[must_use]
    pub fn records(&self) -> u64 {
        self.chains.values().map(Chain::records).sum()
    }

    /// Offset after the last acknowledged entry, for each partition that has any.
    pub fn ends(&self) -> impl Iterator<Item = (PartitionNumber, i64)> + '_ {
        self.chains.iter().map(|(partition, chain)| (*partition, chain.offset_after))
    }
}

/// One subscription's side of some partitions, kept by the consumer that reads them.
#[derive(Clone, Debug, Default)]
pub struct ConsumedChains {
    partitions: BTreeMap<PartitionNumber, ConsumedPartition>,
    violations: Violations,
}

#[derive(Clone, Debug, Default)]
struct ConsumedPartition {
    next_offset: i64,
    chains: BTreeMap<ProducerNumber, Chain>,
}

impl ConsumedChains {
    /// Where reading goes on. Topics are made for the run: their logs begin at 0.
    #[must_use]
    pub fn next_offset(&self, partition: PartitionNumber) -> i64 {
        self.partitions.get(&partition).map_or(0, |read| read.next_offset)
    }

    /// To be called in the order of reading. `is_intact`: its own checksum holds, where it has one.
    pub fn read(&mut self, partition: PartitionNumber, entry: &Entry, is_intact: bool) {
        let read = self.partitions.entry(partition).or_default();
        if entry.offset > read.next_offset {
            self.violations.push(Violation::Gap {
                partition,
                from_offset: read.next_offset,
                to_offset: entry.offset,
            });
        } else if entry.offset < read.next_offset {
            self.violations.push(Violation::ReadAgain {
                partition,
                offset: entry.offset,
                expected_offset: read.next_offset,
            });
        }
        if !is_intact {
            self.violations.push(Violation::Altered { partition, offset: entry.offset });
        }
        read.next_offset = entry.offset + i64::from(entry.records);
        let chain = read.chains.entry(entry.producer).or_default();
        if entry.ordinal < chain.ordinal_after {
            self.violations.push(Violation::DoubledOrReordered {
                partition,
                producer: entry.producer,
                ordinal: entry.ordinal,
                offset: entry.offset,
            });
        }
        chain.append(entry);
    }

    /// Something that no producer of this run wrote.
    pub fn read_foreign(&mut self, partition: PartitionNumber, offset: i64) {
        self.violations.push(Violation::Altered { partition, offset });
        self.partitions.entry(partition).or_default().next_offset = offset + 1;
    }

    /// Whether nothing was read yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.partitions.is_empty()
    }

    /// Whether everything below these offsets was read.
    #[must_use]
    pub fn has_reached(&self, ends: &BTreeMap<PartitionNumber, i64>) -> bool {
        ends.iter().all(|(partition, end)| self.next_offset(*partition) >= *end)
    }

    /// Joins what another consumer of the same subscription read. Consumers divide partitions: one that both read
    /// was read twice.
    pub fn join(&mut self, other: Self) {
        for (partition, read) in other.partitions {
            let expected_offset = read.next_offset;
            if let Some(before) = self.partitions.insert(partition, read) {
                self.violations.push(Violation::ReadAgain {
                    partition,
                    offset: before.next_offset,
                    expected_offset,
                });
            }
        }
        self.violations.extend(other.violations);
    }
}

/// What was compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum VerifiedScope {
    /// What was acknowledged with what was read.
    #[serde(rename = "everything that was acknowledged, read back")]
    ReadBack,
    /// The broker keeps nothing that could be read: acknowledgements alone, their offsets without overlap.
    #[serde(rename = "acknowledgements only (null broker)")]
    Acknowledgements,
}

/// The result of comparing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    pub is_verified: bool,
    pub verified: VerifiedScope,
    pub records_acknowledged: u64,
    /// Over all subscriptions.
    pub records_read: u64,
    pub subscriptions: usize,
    pub violations: Violations,
}

/// Compares what producers were told with what each subscription read. `extra` is what was found elsewhere.
#[must_use]
pub fn verify(
    produced: &[ProducedChains],
    subscriptions: &[ConsumedChains],
    extra: Vec<Violation>,
) -> Verdict {
    let mut violations = Violations::default();
    extra.into_iter().for_each(|violation| violations.push(violation));
    for producer in produced {
        violations.extend(producer.violations.clone());
    }
    let mut records_read = 0;
    for subscription in subscriptions {
        violations.extend(subscription.violations.clone());
        records_read += compare(produced, subscription, &mut violations);
    }
    let records_acknowledged = produced.iter().map(ProducedChains::records).sum();
    Verdict {
        // A run in which nothing was written or read has not shown anything.
        is_verified: violations.count == 0 && records_acknowledged > 0 && !subscriptions.is_empty(),
        verified: VerifiedScope::ReadBack,
        records_acknowledged,
        records_read,
        subscriptions: subscriptions.len(),
        violations,
    }
}

/// Where nothing is kept that could be read: what was acknowledged has offsets in the order in which it was sent.
#[must_use]
pub fn verify_acknowledgements(produced: &[ProducedChains]) -> Verdict {
    let mut violations = Violations::default();
    for producer in produced {
        violations.extend(producer.violations.clone());
    }
    let records_acknowledged = produced.iter().map(ProducedChains::records).sum();
    Verdict {
        is_verified: violations.count == 0 && records_acknowledged > 0,
        verified: VerifiedScope::Acknowledgements,
        records_acknowledged,
        records_read: 0,
        subscriptions: 0,
        violations,
    }
}

/// Gives the records that the subscription read.
fn compare(
    produced: &[ProducedChains],
    subscription: &ConsumedChains,
    violations: &mut Violations,
) -> u64 {
    type Place = (PartitionNumber, ProducerNumber);
    let mut pairs: BTreeMap<Place, (Chain, Chain)> = BTreeMap::new();
    for producer in produced {
        for (partition, chain) in &producer.chains {
            pairs.entry((*partition, producer.producer)).or_default().0 = *chain;
        }
    }
    for (partition, read) in &subscription.partitions {
        for (producer, chain) in &read.chains {
            pairs.entry((*partition, *producer)).or_default().1 = *chain;
        }
    }
    for ((partition, producer), (told, read)) in &pairs {
        let (partition, producer) = (*partition, *producer);
        let (acknowledged, records) = (told.records, read.records);
        if records < acknowledged {
            violations.push(Violation::Lost { partition, producer, acknowledged, read: records });
        } else if records > acknowledged {
            violations.push(Violation::NotAcknowledged {
                partition,
                producer,
                acknowledged,
                read: records,
            });
        } else if told.hash != read.hash {
            violations.push(Violation::ChainsDiffer { partition, producer, records });
        }
    }
    pairs.values().map(|(_, read)| read.records).sum()
}

#[cfg(test)]
mod tests;
