//! How far the batches of a suspect partition go on without a gap, beyond what recovery vouches for.
//!
//! Recovery ends a suspect log where the first acknowledged bytes are missing or doubtful. Batches that
//! stand in the segments behind that place, with the right offsets and CRCs, were written there by the
//! node (segment files never hold older data), so that accepting a loss need not lose them.

use engine::disk::FileSystem;
use engine::limits::BLOCK_BYTES;
use engine::partition::index::segment_path;
use engine::partition::position::LogPosition;
use engine::recovery::RecoveredPartition;
use protocol::{LeaderEpoch, Offset};

use crate::cli::failure::Failure;
use crate::cli::segment_walk::SegmentWalk;
use crate::cli::stored_files::unreadable;

/// Where the log can end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SoundEnd {
    pub(super) end: LogPosition,
    /// Segments before the one that the log ends in: (base, length).
    pub(super) finished: Vec<(Offset, u64)>,
    /// Base offsets of segments behind it, which go.
    pub(super) dropped: Vec<Offset>,
    /// Of the last batch found here; `None` where none was.
    pub(super) leader_epoch: Option<LeaderEpoch>,
    /// First offsets of batches found here, with their epochs.
    pub(super) epochs: Vec<(LeaderEpoch, Offset)>,
}

/// Walks from the recovered end on.
pub(super) fn find(
    fs: &dyn FileSystem,
    partition: &RecoveredPartition,
) -> Result<SoundEnd, Failure> {
    let directory = &partition.directory.path;
    let entries = fs.entries(directory).map_err(|error| unreadable(directory, &error))?;
    let mut bases: Vec<Offset> = entries
        .iter()
        .filter_map(|entry| entry.name.to_str()?.strip_suffix(".log")?.parse().ok().map(Offset))
        .collect();
    bases.sort_unstable();
    let mut found = SoundEnd {
        end: partition.end,
        finished: partition.finished.clone(),
        dropped: Vec::new(),
        leader_epoch: None,
        epochs: Vec::new(),
    };
    loop {
        if bases.contains(&found.end.segment) {
            walk_segment(fs, partition, &mut found)?;
        }
        let next = found.end.offset;
        let newer = bases.iter().find(|base| **base > found.end.segment && **base >= next);
        // Where the log was compacted the last offsets of a segment may be missing.
        let is_next = |base: &&Offset| **base == next || **base <= partition.cleaner.cleaned;
        let Some(next) = newer.filter(is_next).copied() else { break };
        found.finished.push((found.end.segment, found.end.position));
        found.end = LogPosition { offset: next, segment: next, position: 0 };
    }
    found.dropped = bases.into_iter().filter(|base| *base > found.end.segment).collect();
    Ok(found)
}

fn walk_segment(
    fs: &dyn FileSystem,
    partition: &RecoveredPartition,
    found: &mut SoundEnd,
) -> Result<(), Failure> {
    let path = segment_path(&partition.directory.path, found.end.segment, "log");
    let mut walk = SegmentWalk::new(fs, &path, found.end.position)
        .map_err(|error| unreadable(&path, &error))?;
    // Damage ends the sound part; it is what was lost.
    while let Ok(Some(batch)) = walk.next_batch() {
        let header = &batch.header;
        let is_in_place = header.base_offset == found.end.offset
            || (header.base_offset > found.end.offset
                && header.next_offset() <= partition.cleaner.cleaned);
        let follows = is_in_place
            && found.leader_epoch.is_none_or(|epoch| epoch <= header.partition_leader_epoch);
        if !batch.crc_is_valid || !follows {
            break;
        }
        found.end.offset = header.next_offset();
        found.end.position = batch.end();
        if found.leader_epoch < Some(header.partition_leader_epoch) {
            found.epochs.push((header.partition_leader_epoch, header.base_offset));
        }
        found.leader_epoch = Some(header.partition_leader_epoch);
    }
    Ok(())
}

/// Bytes of the log's last block, which is not full.
pub(super) fn last_block(
    fs: &dyn FileSystem,
    partition: &RecoveredPartition,
    end: LogPosition,
) -> Result<Vec<u8>, Failure> {
    let start = end.position - end.position % BLOCK_BYTES as u64;
    let mut block = vec![0; usize::try_from(end.position - start).expect("less than a block")];
    if !block.is_empty() {
        let path = segment_path(&partition.directory.path, end.segment, "log");
        let read = fs.read(&path, start, &mut block).map_err(|error| unreadable(&path, &error))?;
        block.truncate(read);
    }
    Ok(block)
}
