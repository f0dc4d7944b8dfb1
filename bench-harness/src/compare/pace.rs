//! How long a comparison will still take: planned first, then as measured.

use super::CompareRequest;
use super::plan::CasePlan;
use crate::warm_up::seconds_max;

/// Starting a broker, making topics, and its end.
const START_SECONDS: f64 = 3.0;
/// What is read back for each measured second, and the reading of the warm-up.
const VERIFY_SHARE: f64 = 0.7;

pub(super) struct Remaining {
    /// Planned seconds of each run, in order.
    planned: Vec<f64>,
    /// Runs that began, repeats not counted.
    begun: usize,
    /// What those that are done took, repeats included, and what was planned for them.
    taken: f64,
    planned_of_taken: f64,
}

impl Remaining {
    pub(super) fn new(plans: &[&CasePlan], request: &CompareRequest) -> Self {
        let least = request.warm_up_seconds_min;
        let warm_up = least.midpoint(seconds_max(least));
        let of = |plan: &&CasePlan| {
            let measured = plan.workload.duration_seconds;
            let seconds = START_SECONDS + warm_up + measured * (1.0 + VERIFY_SHARE);
            vec![seconds; plan.seats.len() * request.blocks as usize]
        };
        let planned = plans.iter().flat_map(of).collect();
        Self { planned, begun: 0, taken: 0.0, planned_of_taken: 0.0 }
    }

    pub(super) const fn begin(&mut self) {
        self.begun += 1;
    }

    pub(super) fn skip(&mut self, runs: usize) {
        let from = self.begun.min(self.planned.len());
        self.planned.drain(from..(from + runs).min(self.planned.len()));
    }

    pub(super) fn took(&mut self, seconds: f64) {
        self.taken += seconds;
        self.planned_of_taken += self.planned.get(self.begun - 1).copied().unwrap_or(0.0);
    }

    pub(super) const fn number(&self) -> usize {
        self.begun
    }

    pub(super) const fn runs(&self) -> usize {
        self.planned.len()
    }

    /// Of the run that begins and all after it.
    pub(super) fn seconds_left(&self) -> f64 {
        let left: f64 = self.planned.iter().skip(self.begun.saturating_sub(1)).sum();
        let pace =
            if self.planned_of_taken > 0.0 { self.taken / self.planned_of_taken } else { 1.0 };
        left * pace
    }
}

#[cfg(test)]
mod tests {
    use super::Remaining;

    #[test]
    fn what_is_left_follows_what_was_measured() {
        let mut remaining =
            Remaining { planned: vec![10.0; 4], begun: 0, taken: 0.0, planned_of_taken: 0.0 };
        remaining.begin();
        assert_eq!(remaining.seconds_left(), 40.0);
        remaining.took(20.0);
        remaining.begin();
        assert_eq!(remaining.seconds_left(), 60.0, "three runs, each twice as long as planned");
        remaining.skip(2);
        assert_eq!((remaining.number(), remaining.runs()), (2, 2));
    }
}
