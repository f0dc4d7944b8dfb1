//! Disks that fill up and disks that fail.

use super::{EngineWorld, traits};

/// A full disk has so much less than the engine wants to keep free.
const SHORT_BYTES: u64 = 1 << 20;
/// What the engine keeps free for metadata and deletions.
const RESERVED_BYTES: u64 = 64 << 20;

impl EngineWorld {
    pub(super) fn disturb_disk(&mut self) {
        if self.traits.full_disks && self.random.coin() {
            if self.excuses.no_space && self.random.coin() {
                self.give_room();
            } else {
                self.take_room();
            }
        } else if self.traits.failing_disks && self.random.one_in(4) {
            self.excuses.failed = true;
            let dir = self.random.below(self.dirs.len() as u64) as usize;
            if self.random.one_in(3) {
                return self.fail_a_file(dir);
            }
            let after = self.random.below(40);
            self.note(|_| format!("directory {dir} will fail after {after} operations"));
            self.dirs[dir].fail_after(after);
        }
    }

    /// A bad spot: everything that touches this one file fails, whatever else is there works.
    fn fail_a_file(&mut self, dir: usize) {
        let files = self.dirs[dir].all_files();
        let count = files.len() as u64;
        let Some((path, _)) = (count > 0).then(|| &files[self.random.below(count) as usize]) else {
            return;
        };
        self.note(|_| format!("{} in directory {dir} fails", path.display()));
        self.dirs[dir].fail_file(path);
    }

    fn take_room(&mut self) {
        self.excuses.no_space = true;
        self.is_full = true;
        self.note(|_| "the disks are full".to_owned());
        for dir in &self.dirs {
            dir.set_capacity(dir.used() + RESERVED_BYTES - SHORT_BYTES);
        }
    }

    pub(super) fn give_room(&mut self) {
        self.is_full = false;
        for dir in &self.dirs {
            dir.set_capacity(traits::DISK_BYTES);
        }
    }
}
