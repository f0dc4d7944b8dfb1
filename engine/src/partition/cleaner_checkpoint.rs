//! How far a log is cleaned, and which segments a cleaned one replaces: a small file in the partition's
//! directory, replaced as a whole.
//!
//! ```text
//! segments   A ……… B ……… C ……… D (active)          A and B are cleaned into one:
//!
//! 1  <A>.<generation>.cleaned and its indexes are written and durable
//! 2  the checkpoint says that they replace A … C, durable         ← from here on they do
//! 3  they get A's names, then B's files go, durable
//! ```
//!
//! A start that finds the new files under their first names does 3 again when the checkpoint names their
//! generation; any other cleaned files are of an attempt that did not come to 2, and go.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use protocol::Offset;

use crate::disk::job::read_file;
use crate::disk::{FileSystem, FileSystemError};

/// The file's name; Kafka has one of this name for all partitions of a log directory.
pub const FILE_NAME: &str = "cleaner-offset-checkpoint";
/// Far larger than any.
pub const FILE_BYTES_MAX: u64 = 4096;

/// How far a log is cleaned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CleanerCheckpoint {
    /// Records below it were compared with everything newer up to it.
    pub first_dirty: Offset,
    /// Segments that begin below it may lack offsets.
    pub cleaned: Offset,
    /// Number of the newest replacement, in which the segment named by the first offset took the place of
    /// all segments from there to the second.
    pub generation: u64,
    pub replaced: (Offset, Offset),
}

impl CleanerCheckpoint {
    pub fn encode(&self) -> Bytes {
        let Self { first_dirty, cleaned, generation, replaced } = self;
        let text = format!(
            "version: 1\nfirst_dirty: {first_dirty}\ncleaned: {cleaned}\ngeneration: {generation}\n\
             replaced: {} {}\n",
            replaced.0, replaced.1
        );
        let crc = crc32c::crc32c(text.as_bytes());
        Bytes::from(format!("{text}crc: {crc}\n"))
    }

    /// The same of a log that ends at `end`, in the segment `last`, because what was behind is lost.
    pub fn of_shorter_log(self, last: Offset, end: Offset) -> Self {
        Self {
            first_dirty: self.first_dirty.min(end),
            // The last segment keeps its gaps; those that follow it have none.
            cleaned: self.cleaned.min(Offset(last.0 + 1)),
            ..self
        }
    }

    /// `None` where it is damaged.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (stated, crc) = text.rsplit_once("crc: ")?;
        if crc.trim_end().parse() != Ok(crc32c::crc32c(stated.as_bytes())) {
            return None;
        }
        let field = |name: &str| stated.lines().find_map(|line| line.strip_prefix(name));
        if field("version: ")? != "1" {
            return None;
        }
        let offset = |text: &str| text.parse().ok().map(Offset);
        let (from, until) = field("replaced: ")?.split_once(' ')?;
        Some(Self {
            first_dirty: offset(field("first_dirty: ")?)?,
            cleaned: offset(field("cleaned: ")?)?,
            generation: field("generation: ")?.parse().ok()?,
            replaced: (offset(from)?, offset(until)?),
        })
    }
}

/// What the file in a partition's directory says; the default where there is none, or it cannot be read.
pub fn read(fs: &dyn FileSystem, directory: &Path) -> CleanerCheckpoint {
    let bytes = read_file(fs, &directory.join(FILE_NAME), FILE_BYTES_MAX).ok().flatten();
    bytes.and_then(|bytes| CleanerCheckpoint::decode(&bytes)).unwrap_or_default()
}

/// Replaces the file, durable.
pub fn write(
    fs: &dyn FileSystem,
    directory: &Path,
    checkpoint: &CleanerCheckpoint,
) -> Result<(), FileSystemError> {
    let path = directory.join(FILE_NAME);
    let new = path.with_extension("new");
    fs.write_file(&new, &checkpoint.encode())?;
    fs.sync(&new)?;
    fs.rename(&new, &path)?;
    fs.sync_dir(directory)
}

/// The files of a cleaned segment before they take their names: log, offset index, time index.
pub fn cleaned_paths(directory: &Path, base: Offset, generation: u64) -> [PathBuf; 3] {
    let path =
        |suffix: &str| directory.join(format!("{:020}.{generation}.cleaned{suffix}", base.0));
    [path(""), path(".index"), path(".timeindex")]
}

/// Whether a file of this name belongs to a cleaned segment that has not taken its name.
pub fn is_cleaned_file(name: &str) -> bool {
    let stem = name.strip_suffix(".timeindex").or_else(|| name.strip_suffix(".index"));
    stem.unwrap_or(name).ends_with(".cleaned")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{CleanerCheckpoint, Offset, cleaned_paths, is_cleaned_file};

    #[test]
    fn a_checkpoint_is_read_back_and_a_damaged_one_is_none() {
        let checkpoint = CleanerCheckpoint {
            first_dirty: Offset(70),
            cleaned: Offset(90),
            generation: 12,
            replaced: (Offset(3), Offset(50)),
        };
        let bytes = checkpoint.encode();
        assert_eq!(CleanerCheckpoint::decode(&bytes), Some(checkpoint));
        for at in 0..bytes.len() - 1 {
            let mut flipped = bytes.to_vec();
            flipped[at] ^= 1;
            assert_eq!(CleanerCheckpoint::decode(&flipped), None, "byte {at}");
            assert_eq!(CleanerCheckpoint::decode(&bytes[..at]), None, "{at} bytes");
        }
    }

    #[test]
    fn cleaned_files_are_told_from_segments() {
        for path in cleaned_paths(Path::new("t-0"), Offset(7), 3) {
            assert!(is_cleaned_file(path.file_name().unwrap().to_str().unwrap()));
        }
        for name in ["00000000000000000007.log", "00000000000000000007.index", "suspect"] {
            assert!(!is_cleaned_file(name));
        }
    }
}
