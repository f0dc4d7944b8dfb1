//! Which partition of `__consumer_offsets` a group belongs to: as Kafka's coordinators say, so that a log is
//! understood by both.

use protocol::PartitionIndex;

/// The partition of a group, of so many.
pub fn partition_of(group: &str, partitions: usize) -> PartitionIndex {
    let count = i32::try_from(partitions).unwrap_or(i32::MAX).max(1);
    PartitionIndex(java_hash(group).checked_abs().unwrap_or(0) % count)
}

/// `String.hashCode` of Java, over UTF-16.
fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0, |hash: i32, unit| hash.wrapping_mul(31).wrapping_add(unit.into()))
}

#[cfg(test)]
mod tests {
    use super::{java_hash, partition_of};
    use protocol::PartitionIndex;

    /// The hashes are Java's own.
    #[test]
    fn groups_have_the_partition_that_kafka_gives_them() {
        let known = [
            ("", 0),
            ("a", 97),
            ("analytics", -1_693_017_210),
            ("polygenelubricants", i32::MIN),
            ("größe", 98_762_257),
        ];
        for (text, hash) in known {
            assert_eq!(java_hash(text), hash, "{text}");
        }
        assert_eq!(partition_of("polygenelubricants", 50), PartitionIndex(0));
        assert_eq!(partition_of("a", 50), PartitionIndex(47));
        assert_eq!(partition_of("analytics", 50), PartitionIndex(10));
    }
}
