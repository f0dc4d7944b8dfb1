//! Where a partition's journal begins, and whether it tells of the whole log.

use protocol::Offset;

use super::materialise::PartitionFiles;
use super::replay::Replay;
use crate::journal::entry::EntryKind;

/// Whether the journal still has every run of the log, from the first record on.
pub(super) fn tells_of_all(replay: &Replay) -> bool {
    let runs = replay.pieces.iter().map(|piece| &piece.entry);
    let runs = runs.filter(|entry| entry.kind != EntryKind::Fragment);
    let told = runs.fold(Offset(0), |told, run| if run.base <= told { run.next } else { told });
    told >= replay.next
}

/// Where the journal's bytes begin: at the checkpoint, or in a later segment when the log start has
/// passed the checkpointed one, whose file may be gone then.
pub(super) fn begin(files: &PartitionFiles, replay: Option<&Replay>) -> (Offset, u64) {
    let first = files.segments.first().map_or(Offset(0), |segment| segment.0);
    let Some(replay) = replay else { return (first, 0) };
    let (segment, position) = replay.checkpoint.unwrap_or((first, 0));
    let in_files = files.segments.iter().map(|segment| segment.0);
    let in_pieces = replay.pieces.iter().map(|piece| piece.entry.segment);
    let of_log_start = in_files.clone().chain(in_pieces).filter(|base| *base <= replay.log_start);
    if let Some(later) = of_log_start.max().filter(|base| *base > segment) {
        return (later, 0);
    }
    let is_gone = !in_files.clone().any(|base| base == segment) && replay.log_start > segment;
    if is_gone && replay.next <= replay.log_start {
        // Everything was deleted, and its files are.
        return (replay.next, 0);
    }
    (segment, position)
}
