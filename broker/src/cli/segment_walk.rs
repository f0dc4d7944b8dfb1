//! The batches of a segment file, one after another, in bounded memory.

use std::fmt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use engine::disk::{FileSystem, FileSystemError};
use protocol::record_batch::{BatchHeader, BatchSlice, HEADER_BYTES, LENGTH_COUNTS_FROM};

use super::limits::STORED_BATCH_BYTES_MAX;
use super::stored_files::file_error;

/// Read at once: most batches are in memory when they are asked for.
const WINDOW_BYTES: usize = 4 << 20;

/// A whole batch; whether its CRC holds is told, not judged.
#[derive(Clone, Debug)]
pub(crate) struct StoredBatch {
    pub(crate) position: u64,
    pub(crate) header: BatchHeader,
    pub(crate) bytes: Bytes,
    pub(crate) crc_is_valid: bool,
}

impl StoredBatch {
    pub(crate) fn end(&self) -> u64 {
        self.position + self.bytes.len() as u64
    }
}

/// Why the bytes at a position are no batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SegmentDamage {
    NoBatch { position: u64, what: String },
    Unreadable { position: u64, error: FileSystemError },
}

impl SegmentDamage {
    pub(crate) fn position(&self) -> u64 {
        match self {
            Self::NoBatch { position, .. } | Self::Unreadable { position, .. } => *position,
        }
    }
}

impl fmt::Display for SegmentDamage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoBatch { what, .. } => formatter.write_str(what),
            Self::Unreadable { error, .. } => formatter.write_str(&file_error(error)),
        }
    }
}

pub(crate) struct SegmentWalk<'a> {
    fs: &'a dyn FileSystem,
    path: PathBuf,
    position: u64,
    end: u64,
    window: Bytes,
    window_start: u64,
}

impl<'a> SegmentWalk<'a> {
    /// From a batch's position to the end of the file.
    pub(crate) fn new(
        fs: &'a dyn FileSystem,
        path: &Path,
        position: u64,
    ) -> Result<Self, FileSystemError> {
        let end = fs.length(path)?;
        Ok(Self { fs, path: path.to_owned(), position, end, window: Bytes::new(), window_start: 0 })
    }

    /// Looks at nothing from this position on.
    pub(crate) fn until(mut self, end: u64) -> Self {
        self.end = self.end.min(end);
        self
    }

    /// Of the next batch, of the damage, or of the zeros behind the last batch.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// `None` at the end, which may be room that was made ahead and never written.
    pub(crate) fn next_batch(&mut self) -> Result<Option<StoredBatch>, SegmentDamage> {
        let left = self.end - self.position;
        if left == 0 {
            return Ok(None);
        }
        let head_bytes = usize::try_from(left).unwrap_or(usize::MAX).min(HEADER_BYTES);
        let head = self.at_least(head_bytes)?;
        if head.iter().all(|byte| *byte == 0) && self.is_zero_to_the_end()? {
            return Ok(None);
        }
        let bytes = self.length_of(&head)?;
        let data = self.at_least(bytes)?;
        let damaged = |what: String| SegmentDamage::NoBatch { position: self.position, what };
        let batch = BatchSlice::first(&data).map_err(|error| {
            damaged(match error {
                protocol::record_batch::WalkError::Magic { magic, .. } => {
                    format!("magic {magic} where a batch must have 2")
                }
                protocol::record_batch::WalkError::Offsets { .. } => {
                    "offsets that no batch has".to_owned()
                }
                _ => "no record batch begins here".to_owned(),
            })
        })?;
        let (header, crc_is_valid) = (batch.header, batch.crc_is_valid());
        let stored = StoredBatch { position: self.position, header, bytes: data, crc_is_valid };
        self.position = stored.end();
        Ok(Some(stored))
    }

    /// Bytes of the batch whose head this is.
    fn length_of(&self, head: &[u8]) -> Result<usize, SegmentDamage> {
        let left = self.end - self.position;
        let damaged = |what: String| SegmentDamage::NoBatch { position: self.position, what };
        let Some(header) = BatchHeader::read(head) else {
            return Err(damaged(format!("the file ends inside a batch: {left} bytes are left")));
        };
        let bytes = usize::try_from(header.batch_length)
            .ok()
            .map(|counted| counted.saturating_add(LENGTH_COUNTS_FROM))
            .filter(|bytes| (HEADER_BYTES..=STORED_BATCH_BYTES_MAX).contains(bytes));
        let Some(bytes) = bytes else {
            return Err(damaged(format!("batch length {}", header.batch_length)));
        };
        if bytes as u64 > left {
            return Err(damaged(format!("a batch of {bytes} bytes where {left} are left")));
        }
        Ok(bytes)
    }

    /// Exactly these bytes from the position on; they are within the end.
    fn at_least(&mut self, bytes: usize) -> Result<Bytes, SegmentDamage> {
        let (position, wanted) = (self.position, bytes as u64);
        let window_end = self.window_start + self.window.len() as u64;
        if position < self.window_start || position + wanted > window_end {
            let left = usize::try_from(self.end - position).unwrap_or(usize::MAX);
            let mut window = vec![0; bytes.max(WINDOW_BYTES).min(left)];
            let read = self
                .fs
                .read(&self.path, position, &mut window)
                .map_err(|error| SegmentDamage::Unreadable { position, error })?;
            if read < bytes {
                let what = "the file became shorter".to_owned();
                return Err(SegmentDamage::NoBatch { position, what });
            }
            window.truncate(read);
            self.window = Bytes::from(window);
            self.window_start = position;
        }
        let from = usize::try_from(position - self.window_start).expect("within the window");
        Ok(self.window.slice(from..from + bytes))
    }

    fn is_zero_to_the_end(&self) -> Result<bool, SegmentDamage> {
        let mut at = self.position;
        let mut window = vec![0; WINDOW_BYTES];
        while at < self.end {
            let wanted = usize::try_from(self.end - at).unwrap_or(usize::MAX).min(WINDOW_BYTES);
            let read = self
                .fs
                .read(&self.path, at, &mut window[..wanted])
                .map_err(|error| SegmentDamage::Unreadable { position: at, error })?;
            if window[..read].iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            if read == 0 {
                break;
            }
            at += read as u64;
        }
        Ok(true)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::Path;

    use engine::disk::real::{DataAccess, RealFileSystem};
    use protocol::record_batch::{BatchBuilder, BatchOptions, patch};
    use protocol::{LeaderEpoch, Offset};

    use super::SegmentWalk;

    pub(crate) fn batch(base: i64, records: i32, epoch: i32) -> Vec<u8> {
        let mut builder = BatchBuilder::new(BatchOptions::default());
        for at in 0..records {
            builder.push(1_000 + base + i64::from(at), Some(b"key"), Some(&[7; 100]), &[]);
        }
        let mut bytes = builder.finish();
        patch(&mut bytes, Offset(base), LeaderEpoch(epoch));
        bytes
    }

    fn walk(bytes: &[u8]) -> (Vec<(u64, i64, bool)>, Option<u64>, u64) {
        let directory = crate::cli::tests::directory();
        std::fs::write(directory.path().join("x.log"), bytes).unwrap();
        let fs = RealFileSystem::open(directory.path(), DataAccess::Buffered).unwrap();
        let mut walk = SegmentWalk::new(&fs, Path::new("x.log"), 0).unwrap();
        let mut found = Vec::new();
        loop {
            match walk.next_batch() {
                Ok(Some(batch)) => {
                    found.push((batch.position, batch.header.base_offset.0, batch.crc_is_valid));
                }
                Ok(None) => return (found, None, walk.position()),
                Err(damage) => return (found, Some(damage.position()), walk.position()),
            }
        }
    }

    #[test]
    fn a_walk_ends_at_the_zeros_of_room_made_ahead() {
        let (one, two) = (batch(0, 3, 0), batch(3, 1, 0));
        let mut bytes = [one.clone(), two.clone()].concat();
        let end = bytes.len() as u64;
        let expected = vec![(0, 0, true), (one.len() as u64, 3, true)];
        assert_eq!(walk(&bytes), (expected.clone(), None, end));
        bytes.resize(bytes.len() + 9_000_000, 0);
        assert_eq!(walk(&bytes), (expected, None, end));
    }

    #[test]
    fn a_walk_tells_where_the_bytes_are_no_batch() {
        let one = batch(0, 3, 0);
        let at = one.len() as u64;
        for rest in [&b"garbage"[..], &batch(3, 1, 0)[..60], &[0xff; 200]] {
            let bytes = [&one[..], rest].concat();
            assert_eq!(walk(&bytes), (vec![(0, 0, true)], Some(at), at));
        }
        let mut flipped = one;
        flipped[80] ^= 1;
        assert_eq!(walk(&flipped).0, vec![(0, 0, false)]);
        assert_eq!(walk(&[]), (vec![], None, 0));
    }
}
