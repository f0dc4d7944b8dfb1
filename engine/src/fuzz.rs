//! One entry point per decoder and recovery path for fuzzers: any bytes in, no panic out, no memory
//! beyond what the bytes themselves justify.

mod files;
mod samples;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use protocol::{Offset, PartitionIndex, TopicId};

use crate::PartitionId;
use crate::disk::DirId;
use crate::journal::group::{HEADER_BYTES, JournalSalt};
use crate::journal::scan::scan;
use crate::limits::BLOCK_BYTES;
use crate::partition::PartitionDirectory;
use crate::partition::cleaner_checkpoint::CleanerCheckpoint;
use crate::partition::index::{SegmentIndex, build_files};
use crate::partition::window::{Found, Search, Target, Window, search};
use crate::recovery::LastBlock;
use crate::recovery::identity;
use crate::recovery::materialise::{PartitionFiles, materialise};
use crate::recovery::replay::replay;
use crate::recovery::state_file;
use crate::recovery::unsynced::Unsynced;
pub(crate) use files::MemoryFiles;
pub use samples::samples;

const SALT: JournalSalt = JournalSalt(0);

/// The bytes as a journal file of shard 0, as they are and with their CRCs made right; what then counts
/// is materialised in an empty directory and in one with a segment of these bytes.
pub fn journal_scan(bytes: &[u8]) {
    recover(bytes, Bytes::copy_from_slice(bytes));
    let mut repaired = bytes.to_vec();
    for at in (0..repaired.len()).step_by(BLOCK_BYTES) {
        repair(&mut repaired[at..]);
    }
    recover(bytes, Bytes::from(repaired));
}

/// Makes the group that begins here one that is read, if its lengths allow it.
fn repair(group: &mut [u8]) -> Option<()> {
    let length = |at: usize, group: &[u8]| -> Option<usize> {
        let field: [u8; 4] = group.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_le_bytes(field) as usize)
    };
    let (table, body) = (length(60, group)?, length(64, group)?);
    let table_end = HEADER_BYTES.checked_add(table)?;
    let body_end = table_end.checked_add(body)?;
    let table_crc = crc32c::crc32c(group.get(HEADER_BYTES..table_end)?);
    let body_crc = crc32c::crc32c(group.get(table_end..body_end)?);
    group[72..76].copy_from_slice(&table_crc.to_le_bytes());
    group[76..80].copy_from_slice(&body_crc.to_le_bytes());
    let salted = crc32c::crc32c(&SALT.0.to_le_bytes());
    let header_crc = crc32c::crc32c_append(salted, &group[..HEADER_BYTES - 4]);
    group[HEADER_BYTES - 4..HEADER_BYTES].copy_from_slice(&header_crc.to_le_bytes());
    Some(())
}

fn recover(segment: &[u8], journal: Bytes) {
    for found in scan(&[journal.into()], SALT, 0).complete {
        assert!(found.steps.len() <= segment.len(), "steps come from bytes");
        for (id, replayed) in replay(found, 0) {
            for length in [None, Some(segment.len())] {
                let fs = MemoryFiles::default();
                let segments = length.map(|length| (Offset(0), length as u64));
                if length.is_some() {
                    fs.put("topic-0/00000000000000000000.log", segment);
                }
                let path = "topic-0".into();
                let files = PartitionFiles {
                    directory: PartitionDirectory { dir: DirId(0), path },
                    segments: segments.into_iter().collect(),
                    cleaner: Some(CleanerCheckpoint::default()),
                    suspect_note: None,
                };
                // A file system that refuses absurd positions is an error, never a panic.
                let mut unsynced = Unsynced::default();
                let recovered = materialise(
                    &fs,
                    id,
                    &files,
                    Some(&replayed),
                    None,
                    LastBlock::InFile,
                    &mut unsynced,
                );
                if let Ok(recovered) = recovered {
                    let (partition, _) = recovered.into_partition();
                    partition.invariants();
                }
            }
        }
    }
}

/// The bytes as a shard's state file: every section that is read survives being written again.
pub fn state_file(bytes: &[u8]) {
    for (id, state) in state_file::decode(Bytes::copy_from_slice(bytes)) {
        let section = state_file::encode_section(id, &state);
        let again = state_file::decode(state_file::encode_sections(std::iter::once(&section)));
        assert_eq!(again.get(&id), Some(&state));
    }
    if let Some(topic_id) = identity::decode(bytes) {
        assert_eq!(identity::decode(&identity::encode(topic_id)), Some(topic_id));
    }
}

/// The bytes behind the first three as a piece of a segment, searched from its beginning; the first
/// three choose what for, and the pieces it comes in.
pub fn segment_window(bytes: &[u8]) {
    let Some(([target, bound, piece], data)) = bytes.split_first_chunk() else { return };
    let parts: Vec<Bytes> =
        data.chunks(usize::from(*piece) + 1).map(Bytes::copy_from_slice).collect();
    let window = Window::new(0, parts);
    let bound = data.len() as u64 + u64::from(*bound) - 128.min(u64::from(*bound));
    let offset = Offset(i64::from(*target));
    let timestamp = Target::Timestamp { at_least: offset.0, from: offset };
    for target in [Target::Offset(offset), timestamp] {
        for (verify, is_dense) in [(true, true), (false, true), (true, false)] {
            let wanted = Search {
                base: Offset(0),
                from: 0,
                known: None,
                is_dense,
                end: Offset(i64::MAX),
                target,
                bound,
                bytes_max: 1 << 20,
                verify,
                index_interval_bytes: 64,
            };
            let mut index = SegmentIndex::default();
            if let Found::Batches { range, first, next } = search(&window, &wanted, &mut index) {
                assert!(range.end <= window.end().min(bound) && first < next);
                let slices = window.slices(range.clone());
                let bytes: usize = slices.iter().map(Bytes::len).sum();
                assert_eq!(bytes as u64, range.end - range.start);
            }
            assert!(index.covered() <= bound);
        }
    }
    let fs = MemoryFiles::default();
    fs.put("topic-0/00000000000000000000.log", data);
    // A damaged segment is an error.
    let _ = build_files(&fs, "topic-0".as_ref(), 0, 64);
}

/// The first two bytes say how many of the others are an offset index; the rest is a time index.
pub fn index_files(bytes: &[u8]) {
    let Some((length, files)) = bytes.split_first_chunk() else { return };
    let length = usize::from(u16::from_le_bytes(*length)).min(files.len());
    let (offsets, times) = files.split_at(length);
    for length in [0, bytes.len() as u64, u64::from(u32::MAX), u64::MAX] {
        let Some(index) = SegmentIndex::decode(offsets, times, length) else { continue };
        assert_eq!(index.encode().0, offsets);
        for at in [i64::MIN, -1, 0, 1, 1 << 20, i64::MAX] {
            for base in [0, 1 << 40, i64::MAX] {
                assert!(index.position_before(Offset(base), Offset(at)) < length.max(1));
                index.position_before_time(Offset(base), at);
            }
        }
    }
}

/// The partition that samples are of.
pub(crate) fn some_partition() -> PartitionId {
    PartitionId { topic_id: TopicId([5; 16]), partition: PartitionIndex(0) }
}
