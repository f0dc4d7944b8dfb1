//! Whether the journal can take what an append would bring: what is accepted must always fit, because a
//! checkpoint, the only thing that frees journal files, waits for everything accepted before it began.

use super::Engine;
use crate::journal::entry::ENTRY_BYTES;
use crate::limits::{BLOCK_BYTES, JOURNAL_GROUP_BYTES_MAX};

/// Journal bytes that a byte of batches may cost: the rows of 61-byte batches, each in a run of its own.
const OVERHEAD: u64 = 3;

impl Engine {
    /// True if the journal has room for `bytes` more beside all that it owes.
    pub(super) fn journal_has_room(&self, bytes: u64) -> bool {
        // Never more than two thirds of what is beside the largest file: a journal that little memory or disk made
        // small can have fewer blocks than there are partitions, and appends would wait for room that no checkpoint
        // makes. As long as no file is full, for a checkpoint to free, that much is there.
        let reserved = self.reserved_journal_bytes().min(self.journal.spare_bytes() / 3 * 2);
        let file_bytes = self.config.journal_file_bytes;
        let bound = (file_bytes.saturating_sub(reserved) / 4).max(file_bytes / 16);
        if self.unjournaled_bytes > bound {
            return false;
        }
        // Usually one free file is room enough; a start with fewer shards can leave a shard so many partitions
        // that their last blocks take more than one.
        self.journal.left() + self.journal.free_bytes()
            >= reserved + OVERHEAD * (self.unjournaled_bytes + bytes.min(bound))
    }

    /// Whether a run is due that frees files. The later it begins, the more of each partition it writes at once, and
    /// the fewer runs there are; a file and a half beside what it logs itself are left to appends meanwhile. Where
    /// that is much, one begins with the first full file: the next one needs as much again.
    pub(super) fn journal_wants_checkpoint(&self) -> bool {
        let (reserved, file_bytes) =
            (self.reserved_journal_bytes(), self.config.journal_file_bytes);
        let left = self.journal.left() + self.journal.free_bytes();
        let is_short = reserved > file_bytes / 2 || left < reserved + file_bytes / 2 * 3;
        self.journal.unreleased_files() > 0 && is_short
    }

    /// What a checkpoint run may log: a row and a last block for each
    /// partition, and a little for control entries.
    fn reserved_journal_bytes(&self) -> u64 {
        let each = (BLOCK_BYTES + 2 * ENTRY_BYTES) as u64;
        let others = (self.config.journal_file_bytes / 16).min(JOURNAL_GROUP_BYTES_MAX as u64);
        self.by_id.len() as u64 * each + others
    }
}
