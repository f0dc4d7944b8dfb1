//! The run's clock and its phases, shared by all threads of a run.
//!
//! ```text
//!   0          start_ns       measure_from     measure_until
//!   │ connecting  │  warm-up      │   measuring    │  draining, then reading to the end
//! ```

use std::num::NonZeroU64;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The longest sleep before a thread looks whether the run was ended.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// The shortest sleep: at 100,000 records a second, waking for each would cost more than sending it. Records may be
/// late by as much, and the schedule's delay says so.
const SLEEP_MIN: Duration = Duration::from_micros(50);
const TIMER_SLACK_NS: u64 = 1_000;
/// Not known yet.
const UNSET: u64 = u64::MAX;

/// What threads of a run tell each other. All times are nanoseconds since it was made.
#[derive(Debug)]
pub struct RunClock {
    origin: Instant,
    measure_from_ns: AtomicU64,
    measure_until_ns: AtomicU64,
    is_aborted: AtomicBool,
    is_load_over: AtomicBool,
    acknowledged_bytes: AtomicU64,
    /// Readers that began at the beginning and have not seen the end.
    catching_up: AtomicUsize,
    /// When the last of the others saw it.
    caught_up_ns: AtomicU64,
    /// Of all producers, known when the last of them has ended.
    acknowledged_records: OnceLock<u64>,
}

impl Default for RunClock {
    fn default() -> Self {
        Self {
            origin: Instant::now(),
            measure_from_ns: AtomicU64::new(UNSET),
            measure_until_ns: AtomicU64::new(UNSET),
            is_aborted: AtomicBool::new(false),
            is_load_over: AtomicBool::new(false),
            acknowledged_bytes: AtomicU64::new(0),
            catching_up: AtomicUsize::new(0),
            caught_up_ns: AtomicU64::new(0),
            acknowledged_records: OnceLock::new(),
        }
    }
}

impl RunClock {
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    pub fn measure_from(&self, at_ns: u64) {
        self.measure_from_ns.store(at_ns, Ordering::Release);
    }

    /// What is due from then on is not sent.
    pub fn measure_until(&self, at_ns: u64) {
        self.measure_until_ns.store(at_ns, Ordering::Release);
    }

    #[must_use]
    pub fn until_ns(&self) -> u64 {
        self.measure_until_ns.load(Ordering::Acquire)
    }

    #[must_use]
    pub fn is_measuring_since(&self) -> Option<u64> {
        let from = self.measure_from_ns.load(Ordering::Acquire);
        (from != UNSET).then_some(from)
    }

    /// Whether something that was due, or happened, then counts.
    #[must_use]
    pub fn is_measured(&self, at_ns: u64) -> bool {
        at_ns >= self.measure_from_ns.load(Ordering::Relaxed)
            && at_ns < self.measure_until_ns.load(Ordering::Relaxed)
    }

    /// The run comes to nothing: every thread ends soon.
    pub fn abort(&self) {
        self.is_aborted.store(true, Ordering::Release);
    }

    #[must_use]
    pub fn is_aborted(&self) -> bool {
        self.is_aborted.load(Ordering::Acquire)
    }

    pub fn add_acknowledged_bytes(&self, bytes: u64) {
        self.acknowledged_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    #[must_use]
    pub fn acknowledged_bytes(&self) -> u64 {
        self.acknowledged_bytes.load(Ordering::Relaxed)
    }

    /// One more reader that has the whole log before it.
    pub fn begin_catching_up(&self) {
        self.catching_up.fetch_add(1, Ordering::AcqRel);
    }

    /// It has seen the end of each of its partitions.
    pub fn caught_up(&self, at_ns: u64) {
        self.caught_up_ns.fetch_max(at_ns, Ordering::AcqRel);
        self.catching_up.fetch_sub(1, Ordering::AcqRel);
    }

    /// When all of them had; `None` while one has not, or where there are none.
    #[must_use]
    pub fn caught_up_ns(&self) -> Option<u64> {
        let at_ns = self.caught_up_ns.load(Ordering::Acquire);
        (at_ns > 0 && self.catching_up.load(Ordering::Acquire) == 0).then_some(at_ns)
    }

    /// All producers have ended; consumers read up to here.
    pub fn load_is_over(&self, acknowledged_records: u64) {
        let _ = self.acknowledged_records.set(acknowledged_records);
        self.is_load_over.store(true, Ordering::Release);
    }

    /// How many records there are to read, when that is known.
    #[must_use]
    pub fn records_to_read(&self) -> Option<u64> {
        self.acknowledged_records.get().copied()
    }

    /// Sleeps until then, or until the run is aborted or its measuring ends before that.
    pub fn wait_until(&self, at_ns: u64) -> Waited {
        loop {
            if self.is_aborted() || at_ns >= self.until_ns() {
                return Waited::Ended;
            }
            let now = self.now_ns();
            if now >= at_ns {
                return Waited::Due;
            }
            let wait = Duration::from_nanos(at_ns - now);
            std::thread::sleep(wait.clamp(SLEEP_MIN, LOOK_EVERY));
        }
    }
}

/// Lets the calling thread's sleeps end within a microsecond of their time. Unless told, the kernel takes 50 to
/// join wake-ups, which would be the schedule's delay.
pub fn wake_precisely() {
    // Where it is refused, the delay shows in the result.
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(TIMER_SLACK_NS));
}

/// Why waiting ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    Due,
    /// Nothing more is to be sent.
    Ended,
}

/// When a subscription begins to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// With the run.
    Start,
    /// With measuring: what was written before is a backlog.
    Measuring,
    /// When the load is over: it reads for verification alone.
    AfterLoad,
}

impl RunClock {
    /// Waits until the gate opens. `false` where the run was aborted.
    #[must_use]
    pub fn pass(&self, gate: Gate) -> bool {
        loop {
            if self.is_aborted() {
                return false;
            }
            let is_open = match gate {
                Gate::Start => true,
                Gate::Measuring => {
                    self.is_measuring_since().is_some_and(|from_ns| self.now_ns() >= from_ns)
                }
                Gate::AfterLoad => self.is_load_over.load(Ordering::Acquire),
            };
            if is_open {
                return true;
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Gate, RunClock, Waited};

    #[test]
    fn only_what_is_due_within_the_measured_time_counts() {
        let clock = RunClock::default();
        assert!(!clock.is_measured(5));
        clock.measure_from(10);
        assert!(clock.is_measured(10) && clock.is_measured(1 << 50) && !clock.is_measured(9));
        clock.measure_until(20);
        assert!(clock.is_measured(19) && !clock.is_measured(20));
    }

    #[test]
    fn nothing_is_waited_for_that_is_due_after_the_end() {
        let clock = RunClock::default();
        assert_eq!(clock.wait_until(0), Waited::Due);
        clock.measure_until(1 << 60);
        assert_eq!(clock.wait_until(1 << 60), Waited::Ended);
        clock.abort();
        assert_eq!(clock.wait_until(1 << 59), Waited::Ended);
    }

    #[test]
    fn readers_have_caught_up_when_the_last_of_them_has() {
        let clock = RunClock::default();
        assert_eq!(clock.caught_up_ns(), None, "there are none");
        (0..2).for_each(|_| clock.begin_catching_up());
        clock.caught_up(7);
        assert_eq!(clock.caught_up_ns(), None);
        clock.caught_up(5);
        assert_eq!(clock.caught_up_ns(), Some(7));
    }

    #[test]
    fn gates_open_one_after_another() {
        let clock = RunClock::default();
        assert!(clock.pass(Gate::Start));
        clock.measure_from(0);
        assert!(clock.pass(Gate::Measuring));
        clock.load_is_over(7);
        assert!(clock.pass(Gate::AfterLoad));
        assert_eq!(clock.records_to_read(), Some(7));
        clock.abort();
        assert!(!clock.pass(Gate::Start));
    }
}
