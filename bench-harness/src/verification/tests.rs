//! A run of two producers into two partitions, and everything that a broker can do to it.

use super::{
    ConsumedChains, Entry, PartitionNumber, ProducedChains, ProducerNumber, Verdict, Violation,
    verify,
};

const PARTITIONS: u32 = 2;

/// A log of one partition: its entries in order.
type Log = Vec<Entry>;

/// Two producers in turn, `count` entries each, over the partitions.
fn logs(count: u64, records: u32) -> Vec<Log> {
    let mut logs: Vec<Log> = (0..PARTITIONS).map(|_| Vec::new()).collect();
    for ordinal in 0..count {
        for producer in 0..2u16 {
            let log = &mut logs[usize::try_from(ordinal % u64::from(PARTITIONS)).unwrap()];
            let offset = log.len() as i64 * i64::from(records);
            log.push(Entry {
                offset,
                records,
                producer: ProducerNumber(producer),
                ordinal,
                fingerprint: ordinal.wrapping_mul(31) ^ u64::from(producer),
            });
        }
    }
    logs
}

/// What producers are told when this is in the logs.
fn told(logs: &[Log]) -> Vec<ProducedChains> {
    let mut chains: Vec<_> = (0..2).map(|at| ProducedChains::new(ProducerNumber(at))).collect();
    for (partition, log) in (0..).zip(logs) {
        for entry in log {
            chains[usize::from(entry.producer.0)].acknowledged(PartitionNumber(partition), entry);
        }
    }
    chains
}

fn read(logs: &[Log]) -> ConsumedChains {
    let mut chains = ConsumedChains::default();
    for (partition, log) in (0..).zip(logs) {
        for entry in log {
            chains.read(PartitionNumber(partition), entry, true);
        }
    }
    chains
}

/// Offsets as a broker would give them to what is in the log.
fn renumbered(mut log: Log) -> Log {
    let mut next = 0;
    for entry in &mut log {
        entry.offset = next;
        next += i64::from(entry.records);
    }
    log
}

/// The verdict when `damage` happens to partition 0 between acknowledgement and reading.
fn after(damage: impl Fn(&mut Log)) -> Verdict {
    let logs = logs(100, 1);
    let mut damaged = logs.clone();
    damage(&mut damaged[0]);
    verify(&told(&logs), &[read(&damaged)], Vec::new())
}

#[test]
fn what_was_acknowledged_and_read_verifies() {
    for records in [1, 7] {
        let logs = logs(100, records);
        let verdict = verify(&told(&logs), &[read(&logs), read(&logs)], Vec::new());
        assert!(verdict.is_verified, "{verdict:?}");
        assert_eq!(verdict.records_acknowledged, 200 * u64::from(records));
        assert_eq!(verdict.records_read, 400 * u64::from(records));
    }
}

#[test]
fn a_run_that_nobody_read_is_not_verified() {
    assert!(!verify(&told(&logs(10, 1)), &[], Vec::new()).is_verified);
}

#[test]
fn a_lost_record_is_found_with_and_without_a_gap() {
    let with_gap = after(|log| {
        log.remove(40);
    });
    assert!(!with_gap.is_verified);
    assert!(matches!(with_gap.violations.first[0], Violation::Gap { from_offset: 40, .. }));

    let without_gap = after(|log| {
        log.remove(40);
        *log = renumbered(log.clone());
    });
    assert!(!without_gap.is_verified);
    let lost = |violation: &Violation| matches!(violation, Violation::Lost { .. });
    assert!(without_gap.violations.first.iter().any(lost), "{without_gap:?}");

    let at_the_end = after(|log| {
        log.pop();
    });
    assert!(!at_the_end.is_verified);
    assert!(lost(&at_the_end.violations.first[0]));
}

#[test]
fn a_doubled_record_is_found() {
    let verdict = after(|log| {
        let twice = log[40];
        log.insert(42, twice);
        *log = renumbered(log.clone());
    });
    assert!(!verdict.is_verified);
    let doubled = |violation: &Violation| matches!(violation, Violation::DoubledOrReordered { .. });
    assert!(verdict.violations.first.iter().any(doubled), "{verdict:?}");
    let more = |violation: &Violation| matches!(violation, Violation::NotAcknowledged { .. });
    assert!(verdict.violations.first.iter().any(more), "{verdict:?}");
}

#[test]
fn a_record_given_to_a_consumer_twice_is_found() {
    let verdict = after(|log| {
        let twice = log[40];
        log.insert(41, twice);
    });
    let again = |violation: &Violation| matches!(violation, Violation::ReadAgain { .. });
    assert!(verdict.violations.first.iter().any(again), "{verdict:?}");
}

#[test]
fn reordered_records_are_found_within_and_between_producers() {
    // 40 and 42 are of one producer, 40 and 41 of two.
    for other in [42, 41] {
        let verdict = after(|log| {
            log.swap(40, other);
            *log = renumbered(log.clone());
        });
        assert!(!verdict.is_verified, "{verdict:?}");
    }
}

#[test]
fn an_altered_record_is_found_by_its_content_and_by_its_checksum() {
    let verdict = after(|log| log[40].fingerprint ^= 1);
    assert!(matches!(verdict.violations.first[0], Violation::ChainsDiffer { .. }));

    let logs = logs(10, 1);
    let mut chains = read(&logs);
    let next = Entry { offset: 10, ordinal: 99, ..logs[0][0] };
    chains.read(PartitionNumber(0), &next, false);
    let verdict = verify(&told(&logs), &[chains], Vec::new());
    assert!(matches!(verdict.violations.first[0], Violation::Altered { offset: 10, .. }));
}

#[test]
fn an_acknowledgement_out_of_order_is_found() {
    let logs = logs(10, 1);
    let mut chains = ProducedChains::new(ProducerNumber(0));
    let (first, second) = (logs[0][0], logs[0][2]);
    chains.acknowledged(PartitionNumber(0), &Entry { offset: 5, ..first });
    chains.acknowledged(PartitionNumber(0), &Entry { offset: 3, ..second });
    assert_eq!(chains.violations.count, 1);
}

#[test]
fn a_record_of_nobody_is_found() {
    let logs = logs(10, 1);
    let mut chains = read(&logs);
    chains.read_foreign(PartitionNumber(1), 10);
    assert!(!verify(&told(&logs), &[chains], Vec::new()).is_verified);
}

#[test]
fn a_subscription_has_reached_the_end_when_all_partitions_have() {
    let logs = logs(10, 1);
    let mut ends = std::collections::BTreeMap::new();
    for chains in told(&logs) {
        for (partition, end) in chains.ends() {
            let known: &mut i64 = ends.entry(partition).or_default();
            *known = end.max(*known);
        }
    }
    assert!(read(&logs).has_reached(&ends));
    assert!(!read(&logs[..1]).has_reached(&ends));
}

#[test]
fn many_violations_are_counted_and_the_first_are_told() {
    let mut chains = ConsumedChains::default();
    (0..1_000).for_each(|offset| chains.read_foreign(PartitionNumber(0), offset));
    let verdict = verify(&[], &[chains], Vec::new());
    assert_eq!(verdict.violations.count, 1_000);
    assert_eq!(verdict.violations.first.len(), 20);
}
