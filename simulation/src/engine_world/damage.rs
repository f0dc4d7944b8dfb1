//! Bits flip while the node is down: correct bytes or a word about it, never wrong bytes, never silence.

use std::path::PathBuf;

use broker::engine::partition::PartitionState;

use super::{EngineWorld, LogKey, NANOS_PER_MS, Turn};
use crate::log::LogState;
use crate::violation::{Checked, Checker};

impl EngineWorld {
    /// The last thing that happens to a world.
    pub(super) fn damage_and_look(&mut self) -> Checked {
        // An idle shard states its last group: behind that, damage to any one group shows.
        let until = self.now + 500 * NANOS_PER_MS;
        while self.now < until {
            if self.turn(until)? == Turn::Stopped {
                return Ok(());
            }
        }
        let orderly = self.random.one_in(3);
        self.restart_damaged(orderly)?;
        self.excuses.damaged = true;
        self.tally.damages += 1;
        self.flip_bits();
        if !self.start_damaged()? {
            self.tally.told_damage += 1;
            return Ok(());
        }
        self.look_at_damage()?;
        self.walk_all()?;
        self.settled()
    }

    /// A few files each lose a bit; a shard's journal at most one, because what nothing follows cannot be
    /// missed.
    fn flip_bits(&mut self) {
        let flips = 1 + self.random.below(4);
        let mut journals: Vec<PathBuf> = Vec::new();
        for _ in 0..flips {
            let dir = self.random.below(self.dirs.len() as u64) as usize;
            let files: Vec<(PathBuf, u64)> =
                self.dirs[dir].all_files().into_iter().filter(|file| file.1 > 0).collect();
            if files.is_empty() {
                continue;
            }
            let (path, length) = &files[self.random.below(files.len() as u64) as usize];
            if path.extension().is_some_and(|extension| extension == "journal") {
                let shard = path.parent().map(PathBuf::from).unwrap_or_default();
                if journals.contains(&shard) {
                    continue;
                }
                journals.push(shard);
            }
            // The beginning of a file holds most of what matters.
            let span = if self.random.coin() { (*length).min(16 << 10) } else { *length };
            let (position, bit) = (self.random.below(span), self.random.below(8) as u8);
            self.dirs[dir].flip_bit(path, position, bit);
            self.note(|_| format!("bit {bit} of byte {position} of {} flips", path.display()));
        }
    }

    /// Whatever is not there must be told.
    fn look_at_damage(&mut self) -> Checked {
        for key in (0..self.logs.len()).map(LogKey) {
            let log = &self.logs[key.0];
            if !log.state.is_alive() {
                continue;
            }
            let found =
                self.node.shards.iter().position(|shard| shard.engine.get(log.id).is_some());
            let Some(shard) = found else {
                // Its directory is quarantined: reported, and not served.
                self.tally.told_damage += 1;
                self.logs[key.0].state = LogState::Damaged;
                continue;
            };
            let engine = &self.node.shards[shard].engine;
            let is_suspect = engine
                .get(log.id)
                .is_some_and(|partition| partition.state == PartitionState::Suspect);
            let Some(offsets) = engine.offsets(log.id) else { continue };
            if is_suspect {
                self.tally.told_damage += 1;
                self.log(key).loss_was_told(&offsets);
                continue;
            }
            let log = &mut self.logs[key.0];
            log.restarted(&offsets)
                .map_err(|found| Checker::DamageIsTold.violated(found.to_string()))?;
        }
        Ok(())
    }
}
