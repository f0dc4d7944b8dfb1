//! Where journals are missing: segments that hold more than the journals that are here know of.
//!
//! A partition that such a journal had last was written on behind the end that recovery finds. Its files never
//! hold older data, so whatever stands there was written by the node, and most of it acknowledged.

use protocol::Offset;

use super::{BLOCK, Builder, index};
use crate::disk::FileSystemError;
use crate::partition::index::segment_path;
use crate::recovery::Suspicion;

/// Read at once where anything but zeros is looked for.
const WINDOW_BYTES: usize = 1 << 20;

impl Builder<'_> {
    /// To be called before the log's last block is written and files behind its end are removed.
    pub(super) fn check_outdated(&mut self) -> Result<(), FileSystemError> {
        let may_be_older = self.replay.is_some_and(|replay| replay.may_be_older);
        if may_be_older && self.suspicion.is_none() && self.holds_more()? {
            self.suspicion = Some(Suspicion::Outdated { end: self.next });
        }
        Ok(())
    }

    fn holds_more(&self) -> Result<bool, FileSystemError> {
        for (base, length) in &self.files.segments {
            let from = if *base == self.segment { self.position } else { 0 };
            // A segment is named by the log's end when it was begun.
            let is_more = *base > self.next
                || (*base >= self.segment && self.is_written(*base, from, *length)?);
            if is_more {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether anything but zeros stands behind `from`: room that was only reserved reads as zeros.
    fn is_written(&self, base: Offset, from: u64, length: u64) -> Result<bool, FileSystemError> {
        let path = segment_path(&self.files.directory.path, base, "log");
        let mut position = from - from % BLOCK;
        let mut skipped = index(from - position);
        let mut window = vec![0; WINDOW_BYTES];
        while position < length {
            let read = self.fs.read(&path, position, &mut window)?;
            if window[..read].iter().skip(skipped).any(|byte| *byte != 0) {
                return Ok(true);
            }
            if read == 0 {
                break;
            }
            position += read as u64;
            skipped = 0;
        }
        Ok(false)
    }
}
