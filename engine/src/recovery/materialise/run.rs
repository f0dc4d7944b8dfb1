//! A run that was written straight to its segment: read back, and held to what its pointer says.
//!
//! The pointer has a CRC of the batches' headers, and each header the CRC of its records: together they cover
//! every byte, and the broker reads the records no second time when it writes the run.

use protocol::record_batch::{BatchHeader, CRC_COVERS_FROM, HEADER_BYTES};

use super::{Builder, index, run_blocks};
use crate::batch::BatchView;
use crate::disk::FileSystemError;
use crate::journal::entry::{Entry, EntryKind};
use crate::partition::index::segment_path;
use crate::recovery::replay::Piece;

impl Builder<'_> {
    /// All bytes of a pointer's run; `None` where they are not what was written, and for other pieces.
    pub(super) fn read_run(&self, piece: &Piece) -> Result<Option<Vec<u8>>, FileSystemError> {
        let entry = &piece.entry;
        if entry.kind != EntryKind::Pointer {
            return Ok(None);
        }
        let blocks = run_blocks(piece);
        let path = segment_path(&self.files.directory.path, entry.segment, "log");
        match self.fs.length(&path) {
            Ok(length) if length >= blocks.end => {}
            Ok(_) | Err(FileSystemError::NotFound) => return Ok(None),
            Err(error) => return Err(error),
        }
        let mut bytes = vec![0u8; index(blocks.end - blocks.start)];
        match self.fs.read(&path, blocks.start, &mut bytes) {
            Ok(read) if read == bytes.len() => {}
            Ok(_) | Err(FileSystemError::NotFound) => return Ok(None),
            Err(error) => return Err(error),
        }
        let older = index(entry.position - blocks.start);
        if !self.continues(piece, &bytes[..older]) {
            return Ok(None);
        }
        bytes.drain(..older);
        bytes.extend_from_slice(&piece.body[index(u64::from(entry.head_bytes))..]);
        Ok(is_sound(entry, &bytes).then_some(bytes))
    }

    /// The same where the run is of no use but for the producers in it: not read where they are known. Pointers are
    /// small: the journal has those of gigabytes that a checkpoint has covered long ago.
    pub(super) fn read_run_to_note(
        &self,
        piece: &Piece,
    ) -> Result<Option<Vec<u8>>, FileSystemError> {
        if piece.entry.next <= self.producers_from { Ok(None) } else { self.read_run(piece) }
    }

    /// Whether the older bytes in the run's first block are those at the cursor, where it stands at the run.
    fn continues(&self, piece: &Piece, older: &[u8]) -> bool {
        let entry = &piece.entry;
        let is_at_cursor = entry.segment == self.segment && entry.position == self.position;
        !is_at_cursor || self.buffer.ends_with(older)
    }
}

/// Whether these are the batches that the entry speaks of, one behind the other, whole.
fn is_sound(entry: &Entry, bytes: &[u8]) -> bool {
    let (mut rest, mut next, mut headers_crc) = (bytes, entry.base, 0);
    while let Some(header) = BatchHeader::read(rest) {
        let is_next = header.is_plausible()
            && header.total_bytes() <= rest.len()
            && header.base_offset == next
            && header.partition_leader_epoch == entry.leader_epoch;
        if !is_next {
            return false;
        }
        let (batch, behind) = rest.split_at(header.total_bytes());
        if crc32c::crc32c(&batch[CRC_COVERS_FROM..]) != header.crc {
            return false;
        }
        headers_crc = crc32c::crc32c_append(headers_crc, &batch[..HEADER_BYTES]);
        next = header.next_offset();
        rest = behind;
    }
    rest.is_empty() && next == entry.next && headers_crc == entry.run_crc
}
