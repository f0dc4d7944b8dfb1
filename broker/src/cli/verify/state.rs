//! State files of shards: each partition's section has its own CRC.

use std::path::Path;

use engine::disk::FileSystem;
use engine::disk::job::read_file;
use engine::recovery::state_file;
use protocol::{PartitionIndex, TopicId};

use super::report::Report;
use crate::cli::failure::Failure;
use crate::cli::stored_files::unreadable;

const HEAD: &[u8] = b"CLST\x01\x00";
const HEAD_BYTES: usize = 8;

pub(super) fn check(
    root: &Path,
    fs: &dyn FileSystem,
    shard: u32,
    has_journal: bool,
    report: &mut Report,
) -> Result<(), Failure> {
    let path = state_file::path(shard);
    let file = read_file(fs, &path, state_file::FILE_BYTES_MAX);
    let whole = root.join(&path);
    let hurts_all =
        "idempotent producers of this shard's partitions: they wait until their state is rebuilt";
    let Some(file) = file.map_err(|error| unreadable(&path, &error))? else {
        // Written before the journal that it belongs to.
        if has_journal {
            report.damage(&whole, None, "it is missing", hurts_all);
        }
        return Ok(());
    };
    report.checked(file.len() as u64);
    if file.len() < HEAD_BYTES || !file.starts_with(HEAD) {
        report.damage(&whole, Some(0), "not the head of a state file", hurts_all);
        return Ok(());
    }
    let mut at = HEAD_BYTES;
    while at < file.len() {
        let word = |from: usize| {
            let bytes = file.get(from..from + 4)?;
            Some(u32::from_le_bytes(bytes.try_into().ok()?))
        };
        let body = word(at).zip(word(at + 4)).and_then(|(bytes, crc)| {
            let body = file.get(at + 8..)?.get(..usize::try_from(bytes).ok()?)?;
            Some((body, crc))
        });
        let Some((body, crc)) = body else {
            report.damage(&whole, Some(at as u64), "the file ends inside a section", hurts_all);
            return Ok(());
        };
        if crc32c::crc32c(body) != crc {
            let hurts = format!("idempotent producers of {}", partition_of(body));
            report.damage(&whole, Some(at as u64), "a section's CRC does not match", hurts);
        }
        at += 8 + body.len();
    }
    Ok(())
}

/// As far as a damaged section tells.
fn partition_of(body: &[u8]) -> String {
    let id = body.first_chunk::<16>().map(|id| TopicId(*id));
    let index = body.get(16..20).and_then(|bytes| bytes.try_into().ok()).map(i32::from_le_bytes);
    match id.zip(index.map(PartitionIndex)) {
        Some((id, index)) => format!("partition {index} of topic id {id} (if these are intact)"),
        None => "a partition".to_owned(),
    }
}
