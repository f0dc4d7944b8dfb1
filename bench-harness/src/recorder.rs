//! What one thread of a run records, handed over once a second.
//!
//! Each sample is recorded once: in the histograms of what counts when it was due within the measured time, in the
//! others elsewhere. A window holds what was acknowledged or read within one second; the measured histograms of
//! all windows together are the run's.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use crate::histograms::{Acknowledged, Histograms, Latency};
use crate::run_clock::RunClock;

/// Length of a window.
pub const WINDOW_NS: u64 = 1_000_000_000;

/// What happened in one second, in one thread or in all.
#[derive(Clone, Debug, Default)]
pub struct Window {
    /// Seconds of the run's clock.
    pub index: u64,
    pub measured: Histograms,
    /// Of records that were due before or after the measured time.
    pub other: Histograms,
    pub counts: Counts,
    /// Of what happened within the measured time.
    pub measured_counts: Counts,
}

/// How much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub sent_records: u64,
    pub acknowledged_records: u64,
    pub acknowledged_bytes: u64,
    pub consumed_records: u64,
    pub consumed_bytes: u64,
    /// Of the consumed, those that were due so long ago that nobody remembers when.
    pub untimed_records: u64,
    /// By readers that came later; not among the consumed.
    pub caught_up_records: u64,
    pub caught_up_bytes: u64,
}

impl Counts {
    pub fn add(&mut self, other: &Self) {
        self.sent_records += other.sent_records;
        self.acknowledged_records += other.acknowledged_records;
        self.acknowledged_bytes += other.acknowledged_bytes;
        self.consumed_records += other.consumed_records;
        self.consumed_bytes += other.consumed_bytes;
        self.untimed_records += other.untimed_records;
        self.caught_up_records += other.caught_up_records;
        self.caught_up_bytes += other.caught_up_bytes;
    }
}

impl Window {
    pub fn merge(&mut self, other: &Self) {
        self.measured.merge(&other.measured);
        self.other.merge(&other.other);
        self.counts.add(&other.counts);
        self.measured_counts.add(&other.measured_counts);
    }

    /// Everything that was recorded, whether it counts or not.
    #[must_use]
    pub fn all(&self) -> Histograms {
        let mut all = self.measured.clone();
        all.merge(&self.other);
        all
    }
}

/// How a subscription's reading counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// With its end-to-end latency.
    Tail,
    /// As throughput of its own: what it reads is old.
    CatchUp,
    /// Not at all.
    Verification,
}

impl Reading {
    /// Of a partition: who has caught up reads what is being written, and that is no throughput of its own.
    #[must_use]
    pub const fn of_partition(self, is_behind: bool) -> Self {
        match self {
            Self::CatchUp if !is_behind => Self::Verification,
            reading => reading,
        }
    }
}

/// Belongs to one thread.
pub struct Recorder {
    clock: Arc<RunClock>,
    window: Window,
    windows: Sender<Window>,
}

impl Recorder {
    #[must_use]
    pub fn new(clock: Arc<RunClock>, windows: Sender<Window>) -> Self {
        let window = Window { index: clock.now_ns() / WINDOW_NS, ..Window::default() };
        Self { clock, window, windows }
    }

    pub fn sent(&mut self, records: u64) {
        self.window.counts.sent_records += records;
    }

    pub fn acknowledged(&mut self, times: Acknowledged, records: u64, bytes: u64) {
        let histograms = if self.clock.is_measured(times.intended_ns) {
            &mut self.window.measured
        } else {
            &mut self.window.other
        };
        histograms.record_acknowledged(times, records);
        let counts = Counts {
            acknowledged_records: records,
            acknowledged_bytes: bytes,
            ..Counts::default()
        };
        self.count(times.acknowledged_ns, &counts);
        self.clock.add_acknowledged_bytes(bytes);
    }

    /// `intended_ns` is missing where nobody remembers it any more.
    pub fn consumed(&mut self, reading: Reading, record: Consumed) {
        let Consumed { intended_ns, consumed_ns, records, bytes } = record;
        let counts = match reading {
            Reading::Tail => {
                if let Some(intended_ns) = intended_ns {
                    let histograms = if self.clock.is_measured(intended_ns) {
                        &mut self.window.measured
                    } else {
                        &mut self.window.other
                    };
                    let latency = consumed_ns.saturating_sub(intended_ns);
                    histograms.record(Latency::EndToEnd, latency, records);
                }
                Counts {
                    consumed_records: records,
                    consumed_bytes: bytes,
                    untimed_records: if intended_ns.is_none() { records } else { 0 },
                    ..Counts::default()
                }
            }
            Reading::CatchUp => {
                Counts { caught_up_records: records, caught_up_bytes: bytes, ..Counts::default() }
            }
            Reading::Verification => return,
        };
        self.count(consumed_ns, &counts);
    }

    /// To be called often: hands a window over when its second is past.
    pub fn tick(&mut self) {
        self.tick_at(self.clock.now_ns());
    }

    /// As [`Self::tick`], for who knows the time already.
    pub fn tick_at(&mut self, now_ns: u64) {
        let index = now_ns / WINDOW_NS;
        if index != self.window.index {
            self.hand_over(index);
        }
    }

    fn count(&mut self, at_ns: u64, counts: &Counts) {
        self.window.counts.add(counts);
        if self.clock.is_measured(at_ns) {
            self.window.measured_counts.add(counts);
        }
    }

    fn hand_over(&mut self, next_index: u64) {
        let next = Window { index: next_index, ..Window::default() };
        let window = std::mem::replace(&mut self.window, next);
        // Nobody collects any more when the run was given up.
        let _ = self.windows.send(window);
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.hand_over(self.window.index);
    }
}

/// Records that were read at once.
#[derive(Clone, Copy, Debug)]
pub struct Consumed {
    pub intended_ns: Option<u64>,
    pub consumed_ns: u64,
    pub records: u64,
    pub bytes: u64,
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::channel;

    use super::{Acknowledged, Consumed, Reading, Recorder, WINDOW_NS, Window};
    use crate::histograms::Latency;
    use crate::run_clock::RunClock;

    #[test]
    fn every_sample_is_in_one_window_and_counts_by_when_it_was_due() {
        let clock = Arc::new(RunClock::default());
        clock.measure_from(2 * WINDOW_NS);
        let (windows, collected) = channel();
        let mut recorder = Recorder::new(Arc::clone(&clock), windows);
        // Due before measuring, acknowledged in it; then due in it.
        for intended_ns in [WINDOW_NS, 2 * WINDOW_NS] {
            let times =
                Acknowledged { intended_ns, sent_ns: intended_ns, acknowledged_ns: 3 * WINDOW_NS };
            recorder.acknowledged(times, 10, 1_000);
            recorder.tick_at(intended_ns);
        }
        let read = |intended_ns| Consumed {
            intended_ns,
            consumed_ns: 3 * WINDOW_NS,
            records: 10,
            bytes: 1_000,
        };
        recorder.consumed(Reading::Tail, read(Some(2 * WINDOW_NS)));
        recorder.consumed(Reading::Tail, read(None));
        recorder.consumed(Reading::CatchUp, read(Some(0)));
        recorder.consumed(Reading::Verification, read(Some(0)));
        drop(recorder);
        let mut all = Window::default();
        let windows: Vec<Window> = collected.into_iter().collect();
        assert_eq!(windows.len(), 3);
        windows.iter().for_each(|window| all.merge(window));
        assert_eq!(all.measured.get(Latency::Response).len(), 10);
        assert_eq!(all.other.get(Latency::Response).len(), 10);
        assert_eq!(all.all().get(Latency::Response).len(), 20);
        assert_eq!(all.measured.get(Latency::EndToEnd).len(), 10);
        assert_eq!(all.measured_counts.acknowledged_records, 20, "acknowledged while measuring");
        assert_eq!((all.counts.consumed_records, all.counts.caught_up_records), (20, 10));
        assert_eq!(all.counts.untimed_records, 10);
        assert_eq!(clock.acknowledged_bytes(), 2_000);
    }
}
