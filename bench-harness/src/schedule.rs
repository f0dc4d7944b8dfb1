//! When each record is to be sent, whatever the broker does: the open loop.
//!
//! A schedule is a function of its arguments alone. It knows no clock, so a stall can neither skip nor move
//! what is due; a load that falls behind finds all of it waiting, and the wait counts as response time.
//! Invariant: intended times never go down, and the n-th does not depend on when anybody asks for it.

use crate::random::Random;

/// How records follow one another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arrival {
    /// Evenly.
    Constant,
    /// Independently of each other, as many small sources together do.
    Poisson,
    /// Evenly within bursts, with silence between them; the rate is the mean over both.
    Bursty { on_ns: u64, off_ns: u64 },
}

/// Intended times in nanoseconds of the run's clock, one after another.
#[derive(Clone, Debug)]
pub struct Schedule {
    arrival: Arrival,
    start_ns: u64,
    /// Nanoseconds between records; within bursts where there are any.
    interval_ns: f64,
    /// Records given so far.
    index: u64,
    /// Poisson: the sum of the waits so far, in intervals.
    elapsed: f64,
    random: Random,
}

impl Schedule {
    /// # Panics
    /// When the rate is not positive or a burst has no length: both are refused with the workload.
    #[must_use]
    pub fn new(arrival: Arrival, records_per_second: f64, start_ns: u64, seed: u64) -> Self {
        assert!(records_per_second > 0.0, "a schedule has a rate");
        let mut interval_ns = 1e9 / records_per_second;
        if let Arrival::Bursty { on_ns, off_ns } = arrival {
            assert!(on_ns > 0, "a burst has a length");
            interval_ns *= on_ns as f64 / (on_ns + off_ns) as f64;
        }
        Self {
            arrival,
            start_ns,
            interval_ns,
            index: 0,
            elapsed: 0.0,
            random: Random::for_part(seed, 0x5c4e_d01e),
        }
    }

    /// Of all records together, how many were given.
    #[must_use]
    pub const fn given(&self) -> u64 {
        self.index
    }

    /// The intended time of the next record.
    pub fn next_ns(&mut self) -> u64 {
        let since_start = match self.arrival {
            Arrival::Constant => self.index as f64 * self.interval_ns,
            Arrival::Poisson => {
                let at = self.elapsed * self.interval_ns;
                self.elapsed += self.random.next_exponential();
                at
            }
            Arrival::Bursty { on_ns, off_ns } => {
                let busy = self.index as f64 * self.interval_ns;
                let bursts = (busy / on_ns as f64).floor();
                busy + bursts * off_ns as f64
            }
        };
        self.index += 1;
        self.start_ns + since_start as u64
    }
}

#[cfg(test)]
mod tests {
    use super::{Arrival, Schedule};

    const MILLISECOND: u64 = 1_000_000;
    const SECOND: u64 = 1_000 * MILLISECOND;

    fn times(arrival: Arrival, rate: f64, count: usize) -> Vec<u64> {
        let mut schedule = Schedule::new(arrival, rate, 5 * SECOND, 42);
        (0..count).map(|_| schedule.next_ns()).collect()
    }

    #[test]
    fn constant_arrivals_do_not_drift() {
        // 3 a second: 333,333,333.3 ns, whose fraction must not be lost a million times.
        let times = times(Arrival::Constant, 3.0, 3_000_001);
        assert_eq!(times[0], 5 * SECOND);
        assert_eq!(times[1], 5 * SECOND + 333_333_333);
        assert!(times[3_000_000].abs_diff(1_000_005 * SECOND) <= 1);
    }

    #[test]
    fn no_kind_of_arrival_goes_back_in_time() {
        let bursty = Arrival::Bursty { on_ns: 10 * MILLISECOND, off_ns: 90 * MILLISECOND };
        for arrival in [Arrival::Constant, Arrival::Poisson, bursty] {
            for rate in [0.5, 1_000.0, 3_333_333.0] {
                let times = times(arrival, rate, 20_000);
                assert!(times.is_sorted(), "{arrival:?} at {rate}");
                assert!(times[0] >= 5 * SECOND);
            }
        }
    }

    #[test]
    fn every_kind_of_arrival_keeps_its_mean_rate() {
        let bursty = Arrival::Bursty { on_ns: 10 * MILLISECOND, off_ns: 40 * MILLISECOND };
        for (arrival, tolerance) in
            [(Arrival::Constant, 0.001), (Arrival::Poisson, 0.02), (bursty, 0.03)]
        {
            let times = times(arrival, 50_000.0, 100_000);
            let seconds = (times[99_999] - times[0]) as f64 / SECOND as f64;
            assert!((seconds / 2.0 - 1.0).abs() < tolerance, "{arrival:?}: {seconds}");
        }
    }

    #[test]
    fn poisson_waits_vary_as_much_as_they_last() {
        let times = times(Arrival::Poisson, 1_000.0, 100_001);
        let waits: Vec<f64> = times.windows(2).map(|two| (two[1] - two[0]) as f64).collect();
        let mean = waits.iter().sum::<f64>() / waits.len() as f64;
        let variance =
            waits.iter().map(|wait| (wait - mean).powi(2)).sum::<f64>() / waits.len() as f64;
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.05);
    }

    #[test]
    fn bursts_are_followed_by_silence() {
        let bursty = Arrival::Bursty { on_ns: 10 * MILLISECOND, off_ns: 90 * MILLISECOND };
        for time in times(bursty, 10_000.0, 50_000) {
            assert!((time - 5 * SECOND) % (100 * MILLISECOND) <= 10 * MILLISECOND);
        }
    }

    #[test]
    fn what_is_due_does_not_depend_on_when_it_is_asked_for() {
        // The load asks late after a stall: it gets exactly what it would have got in time.
        let mut in_time = Schedule::new(Arrival::Poisson, 1_000.0, 0, 7);
        let mut late = in_time.clone();
        let expected: Vec<u64> = (0..1_000).map(|_| in_time.next_ns()).collect();
        let stalled: Vec<u64> = (0..1_000).map(|_| late.next_ns()).collect();
        assert_eq!(expected, stalled);
        assert_eq!(late.given(), 1_000);
    }

    #[test]
    fn seeds_tell_schedules_apart() {
        let mut one = Schedule::new(Arrival::Poisson, 1_000.0, 0, 1);
        let mut other = Schedule::new(Arrival::Poisson, 1_000.0, 0, 2);
        let differ = (0..100).filter(|_| one.next_ns() != other.next_ns()).count();
        assert!(differ > 90);
    }
}
