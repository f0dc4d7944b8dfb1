//! A cleaned segment that was to take the place of others when the power went: where its word is durable it does,
//! and where not it never was. The steps are those of [`cleaner_checkpoint`](crate::partition::cleaner_checkpoint).

use std::path::Path;

use protocol::Offset;

use crate::disk::job::read_file;
use crate::disk::{DirectoryEntry, FileSystem, FileSystemError};
use crate::partition::cleaner_checkpoint::{
    CleanerCheckpoint, FILE_BYTES_MAX, FILE_NAME, cleaned_paths, is_cleaned_file,
};
use crate::partition::index::segment_path;

/// Ends what was begun in a partition's directory, whose files are `entries`; true if they are others now.
/// `None` in the place of the checkpoint where it is damaged: then nothing is touched.
pub(super) fn finish(
    fs: &dyn FileSystem,
    directory: &Path,
    entries: &[DirectoryEntry],
) -> Result<(Option<CleanerCheckpoint>, bool), FileSystemError> {
    let names = || entries.iter().filter_map(|entry| entry.name.to_str());
    let is_there = names().any(|name| name == FILE_NAME);
    let bytes = match is_there {
        true => read_file(fs, &directory.join(FILE_NAME), FILE_BYTES_MAX)?,
        false => None,
    };
    let checkpoint = match bytes {
        Some(bytes) => CleanerCheckpoint::decode(&bytes),
        None => Some(CleanerCheckpoint::default()),
    };
    let Some(checkpoint) = checkpoint else { return Ok((None, false)) };
    let (base, until) = checkpoint.replaced;
    let [log, offsets, times] = cleaned_paths(directory, base, checkpoint.generation);
    let exists = |path: &Path| names().any(|name| directory.join(name) == path);
    let mut is_changed = false;
    if exists(&log) {
        // An index that stands there may be the old log's.
        for extension in ["index", "timeindex"] {
            fs.remove_file(&segment_path(directory, base, extension))?;
        }
        fs.rename(&log, &segment_path(directory, base, "log"))?;
        is_changed = true;
    }
    for (from, extension) in [(&offsets, "index"), (&times, "timeindex")] {
        if exists(from) {
            fs.rename(from, &segment_path(directory, base, extension))?;
            is_changed = true;
        }
    }
    let is_replaced = |name: &str| {
        let base_of = segment_base(name);
        base_of.is_some_and(|of| base < of && of < until)
    };
    for name in names().filter(|name| is_replaced(name)) {
        fs.remove_file(&directory.join(name))?;
        is_changed = true;
    }
    if is_changed {
        fs.sync_dir(directory)?;
    }
    for name in names().filter(|name| is_cleaned_file(name)) {
        // An attempt that did not come to its word. (What was renamed is absent.)
        fs.remove_file(&directory.join(name))?;
    }
    Ok((Some(checkpoint), is_changed))
}

/// The base offset in the name of a segment's file.
fn segment_base(name: &str) -> Option<Offset> {
    let (base, extension) = name.split_once('.')?;
    let is_of_a_segment = ["log", "index", "timeindex"].contains(&extension);
    is_of_a_segment.then(|| base.parse().ok().map(Offset)).flatten()
}
