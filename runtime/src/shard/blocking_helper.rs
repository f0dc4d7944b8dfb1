//! A helper thread for what blocks: creating, renaming, syncing files.
//!
//! Jobs run one after the other in the order they were submitted. Their results wake the shard
//! through its bell. Both queues are bounded by the same credits.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use rtrb::{Consumer, Producer, RingBuffer};

use crate::mailbox::Bell;
use crate::shard::abort::AbortOnPanic;

type Job<T> = Box<dyn FnOnce() -> T + Send>;

/// One helper thread of one shard. `T` is what its jobs return.
pub struct BlockingHelper<T> {
    jobs: Producer<Job<T>>,
    results: Consumer<T>,
    slots: usize,
    /// Submitted and not yet drained.
    outstanding: usize,
    stop: Arc<AtomicBool>,
    /// Wakes the helper.
    bell: Arc<Bell>,
    thread: Option<JoinHandle<()>>,
}

impl<T: Send + 'static> BlockingHelper<T> {
    /// Starts a helper that wakes the shard of `shard_bell`.
    pub fn start(name: &str, slots: usize, shard_bell: Arc<Bell>) -> io::Result<Self> {
        let (jobs, job_queue) = RingBuffer::new(slots);
        let (result_queue, results) = RingBuffer::new(slots);
        let bell = Arc::new(Bell::new()?);
        let stop = Arc::new(AtomicBool::new(false));
        let helper = Helper {
            jobs: job_queue,
            results: result_queue,
            stop: Arc::clone(&stop),
            bell: Arc::clone(&bell),
            shard_bell,
        };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || helper.run())?;
        Ok(Self { jobs, results, slots, outstanding: 0, stop, bell, thread: Some(thread) })
    }

    /// Jobs that may be submitted now: credits. A job counts until its result is drained.
    pub fn free_slots(&self) -> usize {
        self.slots - self.outstanding
    }

    /// Submits a job. The caller holds a credit.
    pub fn submit(&mut self, job: impl FnOnce() -> T + Send + 'static) {
        assert!(self.free_slots() > 0, "a free slot was reserved before submitting");
        self.outstanding += 1;
        assert!(self.jobs.push(Box::new(job)).is_ok(), "as many slots as credits");
        self.bell.ring_if_parked();
    }

    /// Takes the results that are there, in the order of their jobs. Returns how many.
    pub fn drain(&mut self, mut each: impl FnMut(T)) -> usize {
        let mut taken = 0;
        for _ in 0..self.results.slots() {
            each(self.results.pop().expect("as many as were counted are there"));
            self.outstanding -= 1;
            taken += 1;
        }
        taken
    }

    /// Whether no result waits to be drained.
    pub fn is_idle(&self) -> bool {
        self.results.is_empty()
    }
}

impl<T> Drop for BlockingHelper<T> {
    /// Waits for the jobs that were submitted.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.bell.ring();
        if let Some(thread) = self.thread.take() {
            // A panic of the helper has ended the process already.
            let _ = thread.join();
        }
    }
}

impl<T> fmt::Debug for BlockingHelper<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockingHelper")
            .field("slots", &self.slots)
            .field("outstanding", &self.outstanding)
            .finish_non_exhaustive()
    }
}

/// The helper's side.
struct Helper<T> {
    jobs: Consumer<Job<T>>,
    results: Producer<T>,
    stop: Arc<AtomicBool>,
    bell: Arc<Bell>,
    shard_bell: Arc<Bell>,
}

impl<T> Helper<T> {
    fn run(mut self) {
        let _abort = AbortOnPanic;
        loop {
            // Read before the queue: what was submitted before the stop is still run.
            let stop = self.stop.load(Ordering::Acquire);
            while let Ok(job) = self.jobs.pop() {
                let result = job();
                assert!(self.results.push(result).is_ok(), "as many slots as credits");
                self.shard_bell.ring_if_parked();
            }
            if stop {
                return;
            }
            self.bell.announce_park();
            if self.jobs.is_empty() && !self.stop.load(Ordering::Acquire) {
                self.bell.wait(None);
            }
            self.bell.announce_awake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Bell, BlockingHelper};

    #[test]
    fn jobs_run_in_order_and_results_wake_the_shard() {
        let bell = Arc::new(Bell::new().unwrap());
        let mut helper = BlockingHelper::start("helper", 4, Arc::clone(&bell)).unwrap();
        let mut submitted = 0;
        let mut results = Vec::new();
        while results.len() < 1000 {
            while helper.free_slots() > 0 && submitted < 1000 {
                let number = submitted;
                helper.submit(move || number);
                submitted += 1;
            }
            bell.announce_park();
            if helper.is_idle() {
                bell.wait(None);
            }
            bell.announce_awake();
            helper.drain(|number| results.push(number));
        }
        assert!(results.iter().copied().eq(0..1000));
        assert_eq!(helper.free_slots(), 4);
    }

    #[test]
    fn dropping_a_helper_waits_for_its_jobs() {
        let bell = Arc::new(Bell::new().unwrap());
        let mut helper = BlockingHelper::start("helper", 8, bell).unwrap();
        let counter = Arc::new(());
        for _ in 0..8 {
            let held = Arc::clone(&counter);
            helper.submit(move || drop(held));
        }
        drop(helper);
        assert_eq!(Arc::strong_count(&counter), 1);
    }
}
