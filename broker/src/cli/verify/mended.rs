//! Segment files that are not what the journal has of them: a start mends these, and here each is named.
//!
//! | on disk, where recovery writes | |
//! |---|---|
//! | what recovery writes | sound |
//! | something else, below the checkpoint | damage |
//! | behind it: zeros, or older bytes and then zeros, sector by sector | not written yet |
//! | behind it: something else | damage; a note where it may be a run that nobody acknowledged |
//! | the file is missing, or shorter than its log | damage: room is durable before the journal speaks of it |

use std::ops::Range;
use std::path::Path;

use engine::disk::{FileSystem, FileSystemError};
use engine::limits::BLOCK_BYTES;
use engine::partition::index::segment_path;
use engine::recovery::RecoveredPartition;
use protocol::Offset;

use super::overlay::Overlay;
use super::partitions::segments;
use super::report::Report;
use crate::cli::failure::Failure;
use crate::cli::stored_files::unreadable;

/// What a device writes whole or not at all.
const SECTOR_BYTES: usize = 512;

/// Checks one partition that recovery has brought up to date in `fs`. A suspect one is named already.
pub(super) fn check(
    root: &Path,
    fs: &Overlay,
    partition: &RecoveredPartition,
    only: Option<Offset>,
    report: &mut Report,
) -> Result<(), Failure> {
    let directory = &partition.directory.path;
    if partition.suspicion.is_some() || !root.join(directory).exists() {
        return Ok(());
    }
    let wanted = |base: &Offset| only.is_none_or(|only| only == *base);
    for (base, length) in segments(partition).into_iter().filter(|(base, _)| wanted(base)) {
        let path = segment_path(directory, base, "log");
        check_segment(root, fs, &path, (base, length), partition, report)
            .map_err(|error| unreadable(&path, &error))?;
    }
    Ok(())
}

fn check_segment(
    root: &Path,
    fs: &Overlay,
    path: &Path,
    (base, length): (Offset, u64),
    partition: &RecoveredPartition,
    report: &mut Report,
) -> Result<(), FileSystemError> {
    let shown = root.join(path);
    let on_disk = match fs.on_disk().length(path) {
        Err(FileSystemError::NotFound) if length == 0 => return Ok(()),
        Err(FileSystemError::NotFound) => {
            report.mended(&shown, None, "it is missing");
            return Ok(());
        }
        on_disk => on_disk?,
    };
    if on_disk < length {
        let what = format!("it is cut to {on_disk} bytes; its log has {length}");
        report.mended(&shown, Some(on_disk), what);
    }
    let before = &partition.files_before;
    let durable = if before.durable.0 == base { before.durable.1 } else { 0 };
    for wrong in wrong_blocks(fs, path, length.min(on_disk), durable)? {
        let Range { start, end } = wrong;
        if before.unacknowledged_in == Some(base) && start >= durable {
            let what = format!(
                "bytes {start} to {end} are not what the journal has of them (a write that nobody \
                 acknowledged, or damage); the next start writes them again"
            );
            report.note(&shown, what);
        } else {
            let what = format!("bytes {start} to {end} are not what was written");
            report.mended(&shown, Some(start), what);
        }
    }
    Ok(())
}

/// Ranges of blocks that recovery wrote, and that are on disk as nothing that was ever written there.
fn wrong_blocks(
    fs: &Overlay,
    path: &Path,
    length: u64,
    durable: u64,
) -> Result<Vec<Range<u64>>, FileSystemError> {
    let mut wrong: Vec<Range<u64>> = Vec::new();
    let (mut written, mut found) = ([0; BLOCK_BYTES], [0; BLOCK_BYTES]);
    for start in fs.changed_blocks(path).into_iter().take_while(|start| *start < length) {
        let end = length.min(start + BLOCK_BYTES as u64);
        let bytes = usize::try_from(end - start).expect("at most a block");
        fs.read(path, start, &mut written[..bytes])?;
        found.fill(0);
        fs.on_disk().read(path, start, &mut found[..bytes])?;
        let sure = durable.clamp(start, end) - start;
        let sure = usize::try_from(sure).expect("at most a block");
        if is_sound(&written[..bytes], &found[..bytes], sure) {
            continue;
        }
        match wrong.last_mut().filter(|last| last.end == start) {
            // What is durable and what is not are told apart.
            Some(last) if (start < durable) == (last.start < durable) => last.end = end,
            _ => wrong.push(start..end),
        }
    }
    Ok(wrong)
}

/// Whether a block may be as it was found: the first `sure` bytes are durable.
fn is_sound(written: &[u8], found: &[u8], sure: usize) -> bool {
    let sectors = written.chunks(SECTOR_BYTES).zip(found.chunks(SECTOR_BYTES));
    let mut starts = (0..).step_by(SECTOR_BYTES);
    sectors.into_iter().all(|(written, found)| {
        let sure = sure.saturating_sub(starts.next().unwrap_or_default()).min(written.len());
        let same = written.iter().zip(found).take_while(|(one, other)| one == other).count();
        same >= sure && found[same..].iter().all(|byte| *byte == 0)
    })
}

#[cfg(test)]
mod tests {
    use super::is_sound;

    #[test]
    fn a_block_is_what_was_written_or_not_written_yet() {
        let mut written = [0; 4096];
        written.iter_mut().enumerate().for_each(|(at, byte)| *byte = (at % 251) as u8 | 1);
        let (zeros, mut found) = ([0; 4096], written);
        assert!(is_sound(&written, &written, 4096));
        assert!(is_sound(&written, &zeros, 0), "not written yet");
        assert!(!is_sound(&written, &zeros, 1), "it was durable");
        found[1024..2048].fill(0);
        assert!(is_sound(&written, &found, 1024), "torn between sectors");
        assert!(!is_sound(&written, &found, 1025));
        found[700..1024].fill(0);
        assert!(is_sound(&written, &found, 700), "older bytes, padded");
        for at in [0, 699, 700, 1500, 2048, 4095] {
            let mut flipped = found;
            flipped[at] ^= 4;
            assert!(!is_sound(&written, &flipped, 0), "byte {at}");
        }
    }
}
