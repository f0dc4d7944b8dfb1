//! Operations by class: a cap on how many are in the kernel, the rest waits in order.

use std::collections::VecDeque;

use super::pacing::Pacing;
use crate::disk::operation::DiskClass;
use crate::limits::{
    BACKGROUND_IN_KERNEL_MAX, BYPASS_RUNS_IN_FLIGHT_MAX, CATCH_UP_READS_BESIDE_JOURNAL_MAX,
    CATCH_UP_READS_IN_KERNEL_MAX, WRITE_BEHIND_IN_FLIGHT_MAX,
};

/// In the order in which they get room: acknowledgements wait for the first two.
const CLASSES: [DiskClass; 5] = [
    DiskClass::Journal,
    DiskClass::Bypass,
    DiskClass::CatchUp,
    DiskClass::WriteBehind,
    DiskClass::Background,
];

#[derive(Debug)]
pub(super) struct Classes<T> {
    queues: [Queue<T>; CLASSES.len()],
    pacing: Pacing,
}

#[derive(Debug)]
struct Queue<T> {
    in_flight: usize,
    waiting: VecDeque<T>,
}

/// Operations of a class in the kernel at once. None is starved: acknowledgements wait for runs, and the memory
/// of appends for what is written behind.
fn cap(class: DiskClass, pacing: &Pacing) -> usize {
    let (all, least) = match class {
        DiskClass::Journal => return usize::MAX,
        DiskClass::Bypass => (BYPASS_RUNS_IN_FLIGHT_MAX, BYPASS_RUNS_IN_FLIGHT_MAX / 2),
        DiskClass::WriteBehind => (WRITE_BEHIND_IN_FLIGHT_MAX, 2),
        // They would be noticed too late: a backlog is read in less time than slow writes take to show.
        DiskClass::CatchUp if !pacing.is_silent() => return CATCH_UP_READS_BESIDE_JOURNAL_MAX,
        DiskClass::CatchUp => return CATCH_UP_READS_IN_KERNEL_MAX,
        DiskClass::Background => (BACKGROUND_IN_KERNEL_MAX, 1),
    };
    (all >> pacing.halvings()).max(least)
}

fn rank(class: DiskClass) -> usize {
    CLASSES.iter().position(|other| *other == class).expect("every class has a rank")
}

impl<T> Classes<T> {
    pub(super) fn new() -> Self {
        let queues = CLASSES.map(|_| Queue { in_flight: 0, waiting: VecDeque::new() });
        Self { queues, pacing: Pacing::new() }
    }

    pub(super) fn queue(&mut self, class: DiskClass, operation: T) {
        self.queues[rank(class)].waiting.push_back(operation);
    }

    /// The next operation for the kernel; it counts as in flight from now on.
    pub(super) fn next(&mut self) -> Option<T> {
        for (queue, class) in self.queues.iter_mut().zip(CLASSES) {
            if queue.in_flight < cap(class, &self.pacing)
                && let Some(operation) = queue.waiting.pop_front()
            {
                queue.in_flight += 1;
                if class == DiskClass::Journal {
                    self.pacing.begins();
                }
                return Some(operation);
            }
        }
        None
    }

    /// One is out of the kernel, in which it was for so long.
    pub(super) fn finished(&mut self, class: DiskClass, nanos: u64) {
        match class {
            DiskClass::Journal => self.pacing.note(nanos),
            // A write that takes long is no silence.
            _ if self.depth(DiskClass::Journal).0 == 0 => self.pacing.note_other(),
            _ => {}
        }
        let queue = &mut self.queues[rank(class)];
        assert!(queue.in_flight > 0, "what finishes was in flight");
        queue.in_flight -= 1;
    }

    /// In the kernel, and waiting.
    pub(super) fn depth(&self, class: DiskClass) -> (usize, usize) {
        let queue = &self.queues[rank(class)];
        (queue.in_flight, queue.waiting.len())
    }

    /// How often the caps are halved now, because the journal's writes take long.
    pub(super) fn halvings(&self) -> u32 {
        self.pacing.halvings()
    }

    pub(super) fn waiting(&self) -> usize {
        self.queues.iter().map(|queue| queue.waiting.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        BYPASS_RUNS_IN_FLIGHT_MAX, CATCH_UP_READS_BESIDE_JOURNAL_MAX, CATCH_UP_READS_IN_KERNEL_MAX,
        Classes, DiskClass,
    };
    use crate::limits::{PACING_SILENCE_OPERATIONS, PACING_WINDOW_WRITES};

    #[test]
    fn a_full_class_waits_and_does_not_hold_up_the_others() {
        let mut classes = Classes::new();
        for number in 0..20 {
            classes.queue(DiskClass::WriteBehind, number);
            classes.queue(DiskClass::Journal, 100 + number);
        }
        let taken: Vec<i32> = std::iter::from_fn(|| classes.next()).collect();
        assert!(taken.iter().copied().eq((100..120).chain(0..8)));
        assert_eq!(classes.depth(DiskClass::WriteBehind), (8, 12));
        assert_eq!(classes.depth(DiskClass::Journal), (20, 0));
        classes.finished(DiskClass::WriteBehind, 1);
        assert_eq!(classes.next(), Some(8));
        assert_eq!((classes.next(), classes.waiting()), (None, 11));
    }

    #[test]
    fn classes_get_less_room_while_the_journal_is_slow() {
        let mut classes = Classes::new();
        for nanos in [100, 10_000, 10_000, 10_000] {
            for _ in 0..PACING_WINDOW_WRITES {
                classes.queue(DiskClass::Journal, 0);
                assert_eq!(classes.next(), Some(0));
                classes.finished(DiskClass::Journal, nanos);
            }
        }
        for class in
            [DiskClass::Journal, DiskClass::Bypass, DiskClass::CatchUp, DiskClass::WriteBehind]
        {
            (0..10).for_each(|_| classes.queue(class, 1));
        }
        while classes.next().is_some() {}
        let in_flight = |class| classes.depth(class).0;
        assert_eq!(in_flight(DiskClass::Journal), 10);
        assert_eq!(in_flight(DiskClass::Bypass), BYPASS_RUNS_IN_FLIGHT_MAX / 2);
        assert_eq!(in_flight(DiskClass::WriteBehind), 2);
    }

    #[test]
    fn readers_that_catch_up_leave_the_disk_to_the_journal_while_it_writes() {
        let mut classes = Classes::new();
        let reads_in_flight = |classes: &mut Classes<i32>| {
            (0..10).for_each(|_| classes.queue(DiskClass::CatchUp, 1));
            while classes.next().is_some() {}
            classes.depth(DiskClass::CatchUp).0
        };
        assert_eq!(reads_in_flight(&mut classes), CATCH_UP_READS_IN_KERNEL_MAX, "it is silent");
        classes.queue(DiskClass::Journal, 0);
        assert_eq!(classes.next(), Some(0));
        (0..CATCH_UP_READS_IN_KERNEL_MAX).for_each(|_| classes.finished(DiskClass::CatchUp, 1));
        for _ in 0..2 * PACING_SILENCE_OPERATIONS {
            assert_eq!(reads_in_flight(&mut classes), CATCH_UP_READS_BESIDE_JOURNAL_MAX, "slow");
            (0..CATCH_UP_READS_BESIDE_JOURNAL_MAX)
                .for_each(|_| classes.finished(DiskClass::CatchUp, 1));
        }
        classes.finished(DiskClass::Journal, 1);
        assert_eq!(reads_in_flight(&mut classes), CATCH_UP_READS_BESIDE_JOURNAL_MAX);
        for _ in 0..PACING_SILENCE_OPERATIONS {
            classes.finished(DiskClass::CatchUp, 1);
            classes.queue(DiskClass::CatchUp, 1);
            assert_eq!(classes.next(), Some(1));
        }
        assert_eq!(reads_in_flight(&mut classes), CATCH_UP_READS_IN_KERNEL_MAX);
    }
}
