//! Journal files that are filled until others are begun.

use engine::PartitionId;

use super::{Batch, World};

impl World {
    /// Fills journal files with this partition's batches until `rotations` more happened.
    pub fn rotate(&mut self, filler: PartitionId, rotations: u64) {
        let until = self.engine().journal_metrics().rotations + rotations;
        for _ in 0..10_000 {
            if self.engine().journal_metrics().rotations >= until {
                return;
            }
            self.append(filler, &Batch::sized(60_000));
        }
        panic!("the journal does not rotate: {:?}", self.engine().journal_metrics());
    }
}
