//! One file: what readers see, what is on stable storage, and the changes in between.

use super::content::Content;
use crate::random::Random;

/// What a device writes whole or not at all.
pub(super) const SECTOR_BYTES: usize = 512;

/// A point in the order of completions of one file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(pub(super) u64);

/// Names a change in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ChangeId(pub(super) u64);

#[derive(Clone, Debug)]
pub(super) enum Change {
    Write { position: u64, data: Vec<u8> },
    SetLength(u64),
}

/// A change that a power cut may keep or lose.
#[derive(Clone, Debug)]
struct Pending {
    id: ChangeId,
    change: Change,
    /// `None`: still in flight.
    completed: Option<Moment>,
    /// A sync of it failed: no later sync makes it stable, though readers see it.
    forsaken: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    visible: Content,
    stable: Content,
    /// In the order of submission.
    pending: Vec<Pending>,
    /// Blocks up to here are taken from the disk's room.
    pub(super) allocated: u64,
    /// Operations in flight that hold the file open: it outlives its name until they are done.
    pub(super) opened: u32,
}

impl Change {
    fn apply(&self, content: &mut Content) {
        match self {
            Self::Write { position, data } => content.write(*position, data),
            Self::SetLength(length) => content.set_length(*length),
        }
    }

    /// An arbitrary subset of the sectors.
    fn apply_torn(&self, content: &mut Content, random: &mut Random) {
        let Self::Write { position, data } = self else { return };
        let mut at = 0;
        while at < data.len() {
            // Sectors of the device, also for a small file's write that begins within one.
            let within = (*position as usize + at) % SECTOR_BYTES;
            let piece = (SECTOR_BYTES - within).min(data.len() - at);
            if random.coin() {
                content.write(position + at as u64, &data[at..at + piece]);
            }
            at += piece;
        }
    }
}

impl Inode {
    pub(super) fn visible(&self) -> &Content {
        &self.visible
    }

    pub(super) fn begin(&mut self, id: ChangeId, change: Change) {
        self.pending.push(Pending { id, change, completed: None, forsaken: false });
    }

    /// Readers see it from now on.
    pub(super) fn complete(&mut self, id: ChangeId, now: Moment) {
        let pending = self.pending.iter_mut().find(|pending| pending.id == id);
        let pending = pending.expect("a change completes once, and a sync leaves it until then");
        pending.completed = Some(now);
        pending.change.apply(&mut self.visible);
    }

    /// It failed: an arbitrary part of it happened.
    pub(super) fn fail(&mut self, id: ChangeId, random: &mut Random) {
        let index = self.pending.iter().position(|pending| pending.id == id);
        let failed = self.pending.remove(index.expect("a change fails once"));
        // The same part for readers and on the medium.
        let mut same = random.clone();
        failed.change.apply_torn(&mut self.visible, random);
        failed.change.apply_torn(&mut self.stable, &mut same);
    }

    /// A durable write completed: its bytes are stable, and so is the length it needs.
    pub(super) fn make_stable(&mut self, id: ChangeId) {
        self.settle(|pending| {
            pending.id == id
                || (pending.completed.is_some() && matches!(pending.change, Change::SetLength(_)))
        });
    }

    /// All that completed up to `covered` is stable.
    pub(super) fn sync(&mut self, covered: Moment) {
        self.settle(|pending| pending.completed.is_some_and(|at| at <= covered));
    }

    /// The sync failed: the kernel has marked the pages clean, and the next sync knows nothing of them.
    /// Lengths are not pages: they wait in the file system's journal, in order, and the next sync that
    /// works brings them. (A journal that fails takes the file system down; nothing is written then.)
    pub(super) fn fail_sync(&mut self, covered: Moment) {
        for pending in &mut self.pending {
            let is_data = matches!(pending.change, Change::Write { .. });
            pending.forsaken |= is_data && pending.completed.is_some_and(|at| at <= covered);
        }
    }

    fn settle(&mut self, which: impl Fn(&Pending) -> bool) {
        let mut left: Vec<Pending> = Vec::new();
        for pending in std::mem::take(&mut self.pending) {
            if pending.forsaken || !which(&pending) {
                left.push(pending);
                continue;
            }
            pending.change.apply(&mut self.stable);
            left.iter_mut().for_each(|earlier| supersede(&mut earlier.change, &pending.change));
        }
        self.pending = left;
    }

    /// Each pending change has its own fate. Lengths of one file go through the file system's journal in
    /// order, so they survive as a prefix; and what was written into room that a lost cut was to clear
    /// first is lost with the cut.
    pub(super) fn power_cut(&mut self, random: &mut Random) {
        let mut length_lost = false;
        let mut cleared_from = u64::MAX;
        for pending in std::mem::take(&mut self.pending) {
            match &pending.change {
                Change::SetLength(length) => {
                    length_lost |= random.coin();
                    if !length_lost {
                        pending.change.apply(&mut self.stable);
                    } else if *length < self.stable.length() {
                        cleared_from = cleared_from.min(*length);
                    }
                }
                Change::Write { position, data } => match random.below(3) {
                    _ if position + data.len() as u64 > cleared_from => {}
                    0 => {}
                    1 => pending.change.apply(&mut self.stable),
                    _ => pending.change.apply_torn(&mut self.stable, random),
                },
            }
        }
        self.visible = self.stable.clone();
        self.allocated = self.stable.length();
        self.opened = 0;
    }

    /// The medium changed by itself.
    pub(super) fn flip(&mut self, position: u64, bit: u8) {
        self.visible.flip(position, bit);
        if position < self.stable.length() {
            self.stable.flip(position, bit);
        }
        for pending in &mut self.pending {
            if let Change::Write { position: start, data } = &mut pending.change
                && let Some(byte) =
                    position.checked_sub(*start).and_then(|at| data.get_mut(at as usize))
            {
                *byte ^= 1 << bit;
            }
        }
    }
}

/// What a later change has made stable, an earlier one that is not does not bring back.
fn supersede(earlier: &mut Change, later: &Change) {
    let Change::Write { position: start, data: old } = earlier else { return };
    match later {
        Change::SetLength(length) => {
            old.truncate(length.saturating_sub(*start).min(old.len() as u64) as usize);
        }
        Change::Write { position, data: new } => {
            let from = (*start).max(*position);
            let to = (*start + old.len() as u64).min(position + new.len() as u64);
            if from < to {
                let (into, of) = ((from - *start) as usize, (from - position) as usize);
                let length = (to - from) as usize;
                old[into..into + length].copy_from_slice(&new[of..of + length]);
            }
        }
    }
}
