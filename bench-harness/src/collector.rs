//! Windows of all threads, merged second by second; the run's total, and what a time series shows.
//!
//! A second is closed when all threads have had time to hand it over. Closed seconds are reduced at once: a day of
//! histograms would not fit into memory.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::histograms::{Histograms, Latency};
use crate::limits::WINDOWS_MAX;
use crate::recorder::{Counts, Window};

/// Seconds of one entry of OpenMessaging's results.
pub const GROUP_SECONDS: u64 = 10;

/// Where in a run a second lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    WarmUp,
    Measuring,
    Draining,
}

/// One second.
#[derive(Clone, Debug, Serialize)]
pub struct Second {
    pub second: u64,
    pub phase: Phase,
    pub acknowledged_records: u64,
    pub acknowledged_bytes: u64,
    pub consumed_records: u64,
    pub consumed_bytes: u64,
    pub caught_up_bytes: u64,
    /// Acknowledged and not yet read by all subscriptions that read from the start, over all of them.
    pub backlog_records: u64,
    pub response_p50_ns: u64,
    pub response_p99_ns: u64,
    pub response_max_ns: u64,
    pub service_p99_ns: u64,
    pub schedule_delay_p99_ns: u64,
    pub end_to_end_p50_ns: u64,
    pub end_to_end_p99_ns: u64,
    pub end_to_end_max_ns: u64,
}

/// Ten measured seconds, or what was left at the end.
#[derive(Clone, Debug, Default)]
pub struct Group {
    pub seconds: u64,
    pub counts: Counts,
    pub histograms: Histograms,
    pub backlog_records: u64,
}

/// Everything that a run recorded.
#[derive(Debug, Default)]
pub struct Collector {
    open: BTreeMap<u64, Window>,
    /// Seconds below this one are closed.
    next_second: u64,
    subscriptions: u64,
    totals: Counts,
    measured_seconds: Option<(u64, u64)>,
    pub seconds: Vec<Second>,
    pub groups: Vec<Group>,
    /// Of what was due within the measured time, whenever it was acknowledged or read.
    pub measured: Histograms,
    pub measured_counts: Counts,
    closed: Vec<(u64, Histograms)>,
}

impl Collector {
    /// `subscriptions` that read from the start.
    #[must_use]
    pub fn new(subscriptions: u32) -> Self {
        Self { subscriptions: u64::from(subscriptions), ..Self::default() }
    }

    pub fn add(&mut self, window: &Window) {
        self.measured.merge(&window.measured);
        self.measured_counts.add(&window.measured_counts);
        // Late to its second: it counts in the next one that is open, for the time series alone.
        let index = window.index.max(self.next_second);
        self.open.entry(index).or_default().merge(window);
    }

    /// Which seconds are measured, as soon as that is known.
    pub fn measure(&mut self, from_second: u64, until_second: u64) {
        self.measured_seconds = Some((from_second, until_second));
    }

    /// Closes all seconds below; gives those that are new.
    pub fn close_until(&mut self, second: u64) -> &[Second] {
        let first_new = self.seconds.len();
        while self.next_second < second {
            let index = self.next_second;
            self.next_second += 1;
            let window = self.open.remove(&index).unwrap_or_default();
            if self.seconds.len() < WINDOWS_MAX {
                self.close(index, &window);
            }
        }
        &self.seconds[first_new..]
    }

    /// Of closed seconds since the last call, what was due within the measured time, whenever it was answered: for a log
    /// that is written as the run goes.
    pub fn take_closed(&mut self) -> Vec<(u64, Histograms)> {
        std::mem::take(&mut self.closed)
    }

    fn close(&mut self, index: u64, window: &Window) {
        self.totals.add(&window.counts);
        let histograms = window.all();
        let phase = self.phase_of(index);
        let at =
            |latency: Latency, quantile: f64| histograms.get(latency).value_at_quantile(quantile);
        let to_read = self.totals.acknowledged_records * self.subscriptions;
        let backlog_records = to_read.saturating_sub(self.totals.consumed_records);
        let second = Second {
            second: index,
            phase,
            acknowledged_records: window.counts.acknowledged_records,
            acknowledged_bytes: window.counts.acknowledged_bytes,
            consumed_records: window.counts.consumed_records,
            consumed_bytes: window.counts.consumed_bytes,
            caught_up_bytes: window.counts.caught_up_bytes,
            backlog_records,
            response_p50_ns: at(Latency::Response, 0.5),
            response_p99_ns: at(Latency::Response, 0.99),
            response_max_ns: at(Latency::Response, 1.0),
            service_p99_ns: at(Latency::Service, 0.99),
            schedule_delay_p99_ns: at(Latency::ScheduleDelay, 0.99),
            end_to_end_p50_ns: at(Latency::EndToEnd, 0.5),
            end_to_end_p99_ns: at(Latency::EndToEnd, 0.99),
            end_to_end_max_ns: at(Latency::EndToEnd, 1.0),
        };
        self.seconds.push(second);
        if phase == Phase::Measuring {
            if self.groups.last().is_none_or(|group| group.seconds == GROUP_SECONDS) {
                self.groups.push(Group::default());
            }
            let group = self.groups.last_mut().expect("one was pushed above");
            group.seconds += 1;
            group.counts.add(&window.counts);
            group.histograms.merge(&histograms);
            group.backlog_records = backlog_records;
        }
        self.closed.push((index, window.measured.clone()));
    }

    fn phase_of(&self, second: u64) -> Phase {
        match self.measured_seconds {
            Some((from, until)) if second >= from => {
                if second < until {
                    Phase::Measuring
                } else {
                    Phase::Draining
                }
            }
            _ => Phase::WarmUp,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Collector, Phase};
    use crate::histograms::Latency;
    use crate::recorder::{Counts, Window};

    fn window(index: u64, acknowledged_records: u64, consumed_records: u64) -> Window {
        let mut window = Window { index, ..Window::default() };
        window.counts = Counts { acknowledged_records, consumed_records, ..Counts::default() };
        window.measured.record(Latency::Response, 1_000 * (index + 1), acknowledged_records);
        window
    }

    #[test]
    fn windows_of_threads_are_one_second_and_groups_have_ten() {
        let mut collector = Collector::new(2);
        collector.measure(3, 28);
        for index in 0..30 {
            collector.add(&window(index, 10, 0));
            collector.add(&window(index, 5, 30));
        }
        assert_eq!(collector.close_until(2).len(), 2);
        assert_eq!(collector.close_until(30).len(), 28);
        assert!(collector.close_until(30).is_empty());
        let phases = |phase| collector.seconds.iter().filter(|s| s.phase == phase).count();
        assert_eq!(phases(Phase::WarmUp), 3);
        assert_eq!(phases(Phase::Measuring), 25);
        assert_eq!(phases(Phase::Draining), 2);
        let groups: Vec<u64> = collector.groups.iter().map(|group| group.seconds).collect();
        assert_eq!(groups, [10, 10, 5]);
        assert_eq!(collector.groups[0].counts.acknowledged_records, 150);
        assert_eq!(collector.groups[2].histograms.get(Latency::Response).len(), 75);
        assert_eq!(collector.seconds[29].backlog_records, 0, "both subscriptions are at the end");
        assert_eq!(collector.measured.get(Latency::Response).len(), 450);
    }

    #[test]
    fn what_is_answered_after_the_measured_time_is_in_the_log_of_seconds() {
        let mut collector = Collector::new(1);
        collector.measure(1, 3);
        for index in 0..6 {
            let mut one = window(index, 10, 0);
            one.other.record(Latency::Response, 5, 100);
            collector.add(&one);
        }
        collector.close_until(6);
        let logged: u64 = collector
            .take_closed()
            .iter()
            .map(|(_, histograms)| histograms.get(Latency::Response).len())
            .sum();
        assert_eq!(logged, collector.measured.get(Latency::Response).len());
        assert_eq!(logged, 60);
    }

    #[test]
    fn a_window_that_comes_late_is_not_lost() {
        let mut collector = Collector::new(1);
        collector.add(&window(1, 10, 0));
        collector.close_until(5);
        collector.add(&window(2, 10, 0));
        collector.close_until(6);
        assert_eq!(collector.seconds[5].acknowledged_records, 10);
        assert_eq!(collector.measured.get(Latency::Response).len(), 20);
        assert_eq!(collector.seconds[5].backlog_records, 20);
    }
}
