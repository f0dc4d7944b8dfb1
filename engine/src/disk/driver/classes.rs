//! Operations by class: a cap on how many are in the kernel, the rest waits in order.

use std::collections::VecDeque;

use crate::disk::operation::DiskClass;
use crate::limits::{
    BYPASS_RUNS_IN_FLIGHT_MAX, CATCH_UP_READS_IN_KERNEL_MAX, WRITE_BEHIND_IN_FLIGHT_MAX,
};

/// In the order in which they get room: acknowledgements wait for the first two.
const CLASSES: [DiskClass; 4] =
    [DiskClass::Journal, DiskClass::Bypass, DiskClass::CatchUp, DiskClass::WriteBehind];

#[derive(Debug)]
pub(super) struct Classes<T> {
    queues: [Queue<T>; CLASSES.len()],
}

#[derive(Debug)]
struct Queue<T> {
    in_flight: usize,
    waiting: VecDeque<T>,
}

/// Operations of a class in the kernel at once.
fn cap(class: DiskClass) -> usize {
    match class {
        DiskClass::Journal => usize::MAX,
        DiskClass::Bypass => BYPASS_RUNS_IN_FLIGHT_MAX,
        DiskClass::WriteBehind => WRITE_BEHIND_IN_FLIGHT_MAX,
        DiskClass::CatchUp => CATCH_UP_READS_IN_KERNEL_MAX,
    }
}

fn rank(class: DiskClass) -> usize {
    CLASSES.iter().position(|other| *other == class).expect("every class has a rank")
}

impl<T> Classes<T> {
    pub(super) fn new() -> Self {
        Self { queues: CLASSES.map(|_| Queue { in_flight: 0, waiting: VecDeque::new() }) }
    }

    pub(super) fn queue(&mut self, class: DiskClass, operation: T) {
        self.queues[rank(class)].waiting.push_back(operation);
    }

    /// The next operation for the kernel; it counts as in flight from now on.
    pub(super) fn next(&mut self) -> Option<T> {
        for (queue, class) in self.queues.iter_mut().zip(CLASSES) {
            if queue.in_flight < cap(class)
                && let Some(operation) = queue.waiting.pop_front()
            {
                queue.in_flight += 1;
                return Some(operation);
            }
        }
        None
    }

    pub(super) fn finished(&mut self, class: DiskClass) {
        let queue = &mut self.queues[rank(class)];
        assert!(queue.in_flight > 0, "what finishes was in flight");
        queue.in_flight -= 1;
    }

    /// In the kernel, and waiting.
    pub(super) fn depth(&self, class: DiskClass) -> (usize, usize) {
        let queue = &self.queues[rank(class)];
        (queue.in_flight, queue.waiting.len())
    }

    pub(super) fn waiting(&self) -> usize {
        self.queues.iter().map(|queue| queue.waiting.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::{Classes, DiskClass};

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
        classes.finished(DiskClass::WriteBehind);
        assert_eq!(classes.next(), Some(8));
        assert_eq!((classes.next(), classes.waiting()), (None, 11));
    }
}
