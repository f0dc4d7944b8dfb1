//! How much room the other classes get beside the journal: less while its writes take far longer than
//! they do when the disk is free, so that whoever waits for an acknowledgement does not wait for work that
//! nobody waits for. All of it while the journal is silent.

use crate::limits::{PACING_HALVINGS_MAX, PACING_SILENCE_OPERATIONS, PACING_WINDOW_WRITES};

/// Watches how long journal writes take, and whether there are any. Knows no clock: it is told.
#[derive(Debug)]
pub(super) struct Pacing {
    /// Of the writes since the last look, in nanoseconds.
    window: Vec<u64>,
    /// The 99th percentile of a window on a free disk: the least that was seen, and slowly forgotten.
    free_p99: Option<u64>,
    halvings: u32,
    /// Operations of other classes that have finished since the journal's last one.
    since_journal: u32,
}

impl Pacing {
    pub(super) fn new() -> Self {
        Self {
            window: Vec::with_capacity(PACING_WINDOW_WRITES),
            free_p99: None,
            halvings: 0,
            since_journal: PACING_SILENCE_OPERATIONS,
        }
    }

    /// A journal write begins.
    pub(super) fn begins(&mut self) {
        self.since_journal = 0;
    }

    /// An operation of another class is done.
    pub(super) fn note_other(&mut self) {
        self.since_journal = self.since_journal.saturating_add(1);
        if self.is_silent() {
            // What was slow says nothing about the next write.
            self.halvings = 0;
            self.window.clear();
        }
    }

    /// Whether the journal has written nothing for long.
    pub(super) fn is_silent(&self) -> bool {
        self.since_journal >= PACING_SILENCE_OPERATIONS
    }

    /// A journal write took so long.
    pub(super) fn note(&mut self, nanos: u64) {
        self.window.push(nanos);
        if self.window.len() < PACING_WINDOW_WRITES {
            return;
        }
        let at = self.window.len() * 99 / 100;
        let p99 = *self.window.select_nth_unstable(at).1;
        self.window.clear();
        let free = self.free_p99.map_or(p99, |free| p99.min(free.saturating_add(free / 64)));
        self.free_p99 = Some(free);
        if p99 / 2 > free {
            self.halvings = (self.halvings + 1).min(PACING_HALVINGS_MAX);
        } else if p99 <= free.saturating_add(free / 2) {
            self.halvings = self.halvings.saturating_sub(1);
        }
    }

    /// How often the caps of the other classes are halved now.
    pub(super) fn halvings(&self) -> u32 {
        self.halvings
    }
}

#[cfg(test)]
mod tests {
    use super::{PACING_HALVINGS_MAX, PACING_SILENCE_OPERATIONS, PACING_WINDOW_WRITES, Pacing};

    fn window(pacing: &mut Pacing, usual: u64, slow: u64, slow_writes: usize) -> u32 {
        for at in 0..PACING_WINDOW_WRITES {
            pacing.note(if at < slow_writes { slow } else { usual });
        }
        pacing.halvings()
    }

    #[test]
    fn caps_are_halved_while_one_write_in_a_hundred_takes_twice_as_long_and_come_back() {
        let mut pacing = Pacing::new();
        assert_eq!(window(&mut pacing, 100, 150, 10), 0, "the first window says what is usual");
        assert_eq!(window(&mut pacing, 100, 5_000, 2), 0, "two slow ones are none in a hundred");
        assert_eq!(window(&mut pacing, 100, 1_000, 10), 1);
        for _ in 0..5 {
            window(&mut pacing, 100, 1_000, 10);
        }
        assert_eq!(pacing.halvings(), PACING_HALVINGS_MAX);
        assert_eq!(window(&mut pacing, 100, 150, 10), PACING_HALVINGS_MAX - 1);
    }

    #[test]
    fn a_silent_journal_is_left_no_room_until_it_writes_again() {
        let mut pacing = Pacing::new();
        assert!(pacing.is_silent());
        pacing.begins();
        window(&mut pacing, 100, 100, 0);
        window(&mut pacing, 100, 1_000, 10);
        (1..PACING_SILENCE_OPERATIONS).for_each(|_| pacing.note_other());
        assert_eq!((pacing.is_silent(), pacing.halvings()), (false, 1));
        pacing.note_other();
        assert_eq!((pacing.is_silent(), pacing.halvings()), (true, 0));
        pacing.begins();
        assert!(!pacing.is_silent());
    }

    #[test]
    fn a_disk_that_became_slower_for_good_is_taken_for_free_again() {
        let mut pacing = Pacing::new();
        window(&mut pacing, 100, 100, 0);
        for _ in 0..100 {
            window(&mut pacing, 1_000, 1_000, 0);
        }
        assert!(pacing.halvings() > 0);
        for _ in 0..200 {
            window(&mut pacing, 1_000, 1_000, 0);
        }
        assert_eq!(pacing.halvings(), 0);
    }
}
