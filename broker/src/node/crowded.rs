//! Shards that a start gives more partitions than commands may: fewer shards than before have what all had.
//! They serve them all, and take no new one, up to what a journal has room for.

use coordinator::metadata::{Image, ShardId};
use engine::limits::{PARTITIONS_PER_SHARD_MAX, PARTITIONS_SERVED_PER_SHARD_MAX};
use protocol::BrokerId;

use super::NodeError;
use super::assembly::StartNote;

const _: () = assert!(
    PARTITIONS_PER_SHARD_MAX == coordinator::limits::PARTITIONS_PER_SHARD_MAX as usize,
    "what a command may bring about an engine takes"
);

/// What this start says of its fullest data shard; refused where a journal could not serve it.
pub(super) fn check(
    image: &Image,
    broker: BrokerId,
    data_shards: u16,
) -> Result<Option<StartNote>, NodeError> {
    let mut counts = vec![0_usize; usize::from(data_shards)];
    let topics = image.topics().chain(image.deleting());
    for partition in topics.flat_map(|topic| topic.partitions()) {
        let shard = partition.replica_on(broker).map(|replica| replica.shard);
        if let Some(shard) = shard.filter(|shard| *shard != ShardId::COORDINATOR) {
            counts[usize::from(shard.0)] += 1;
        }
    }
    sentence(&counts)
}

fn sentence(counts: &[usize]) -> Result<Option<StartNote>, NodeError> {
    let fullest = counts.iter().copied().max().unwrap_or(0);
    let all: usize = counts.iter().sum();
    if fullest > PARTITIONS_SERVED_PER_SHARD_MAX {
        let shards = all.div_ceil(PARTITIONS_PER_SHARD_MAX);
        return Err(NodeError::Metadata(format!(
            "the node has {all} partitions, and one of its {} data shards would have {fullest}, more than the \
             {PARTITIONS_SERVED_PER_SHARD_MAX} that its journal has room for: start it with --shards {shards}",
            counts.len()
        )));
    }
    Ok((fullest > PARTITIONS_PER_SHARD_MAX).then(|| {
        StartNote::Warning(format!(
            "a data shard has {fullest} partitions: all are served, and it takes no new one above \
             {PARTITIONS_PER_SHARD_MAX}; with more --shards there is room again"
        ))
    }))
}

#[cfg(test)]
mod tests {
    use super::{NodeError, StartNote, sentence};

    #[test]
    fn what_exists_is_served_with_a_warning_and_refused_where_a_journal_has_no_room() {
        assert!(matches!(sentence(&[8_192, 8_192]), Ok(None)));
        let Ok(Some(StartNote::Warning(said))) = sentence(&[18_000]) else { panic!("no warning") };
        assert!(said.contains("18000") && said.contains("8192"), "{said}");
        assert!(matches!(sentence(&[32_768]), Ok(Some(_))));
        let Err(NodeError::Metadata(said)) = sentence(&[32_769, 1]) else { panic!("not refused") };
        assert!(said.contains("--shards 5"), "{said}");
    }
}
