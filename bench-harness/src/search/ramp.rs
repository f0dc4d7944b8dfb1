//! The rates of a ramp, and the knee of its curve.

use super::rounded;
use super::step::{Step, Trial};

/// Rates of a ramp, at the most.
pub const STEPS_MAX: u32 = 100;

/// Where a ramp goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RampPlan {
    /// Records a second.
    pub from: f64,
    pub to: f64,
    pub spacing: Spacing,
}

/// How a ramp gets from one rate to the next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Spacing {
    /// So many rates, evenly.
    Steps(u32),
    /// Each so many times the one before.
    Factor(f64),
}

impl RampPlan {
    /// Upwards, both ends included.
    #[must_use]
    pub fn rates(&self) -> Vec<f64> {
        let Self { from, to, spacing } = *self;
        let mut rates: Vec<f64> = match spacing {
            Spacing::Steps(steps) => {
                let steps = steps.clamp(2, STEPS_MAX);
                let width = (to - from) / f64::from(steps - 1);
                (0..steps).map(|at| from + f64::from(at) * width).collect()
            }
            Spacing::Factor(factor) => {
                let powers = (0..STEPS_MAX).map(|at| from * factor.powf(f64::from(at)));
                let mut rates: Vec<f64> = powers.take_while(|rate| *rate < to * 0.999).collect();
                rates.push(to);
                rates
            }
        };
        rates.iter_mut().for_each(|rate| *rate = rounded(*rate));
        rates.dedup();
        rates
    }
}

/// The step with the most throughput for its latency (acknowledged divided by p99 of response): below it more rate
/// costs little latency, above it latency grows faster than throughput. Only steps that held their rate count, and
/// there is no knee where the curve was still rising when the ramp ended.
#[must_use]
pub fn knee(steps: &[Step]) -> Option<&Step> {
    let power = |step: &Step| {
        let latency = step.response_p99_milliseconds.filter(|latency| *latency > 0.0)?;
        Some(step.acknowledged_records_per_second? / latency)
    };
    let held = steps.iter().filter(|step| step.verdict == Trial::Holds);
    let best = held
        .filter_map(|step| Some((step, power(step)?)))
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(step, _)| step)?;
    let is_last = steps
        .last()
        .is_some_and(|last| last.offered_records_per_second <= best.offered_records_per_second);
    (!is_last).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::{RampPlan, Spacing, knee};
    use crate::search::step::{Step, Trial};

    #[test]
    fn a_ramp_goes_from_end_to_end() {
        let rates = |spacing| RampPlan { from: 1_000.0, to: 9_000.0, spacing }.rates();
        assert_eq!(rates(Spacing::Steps(5)), [1_000.0, 3_000.0, 5_000.0, 7_000.0, 9_000.0]);
        assert_eq!(rates(Spacing::Factor(2.0)), [1_000.0, 2_000.0, 4_000.0, 8_000.0, 9_000.0]);
        assert_eq!(rates(Spacing::Factor(3.0)), [1_000.0, 3_000.0, 9_000.0]);
        assert_eq!(RampPlan { from: 5.0, to: 5.0, spacing: Spacing::Steps(8) }.rates(), [5.0]);
    }

    /// A queue with one server: latency is 1/(1-load) of its service time.
    fn queue(rates: &[f64], capacity: f64) -> Vec<Step> {
        let step = |rate: &f64| Step {
            offered_records_per_second: *rate,
            acknowledged_records_per_second: Some(rate.min(capacity)),
            response_p99_milliseconds: Some(if *rate < capacity {
                1.0 / (1.0 - rate / capacity)
            } else {
                10_000.0
            }),
            verdict: if *rate < capacity { Trial::Holds } else { Trial::Misses },
            ..Step::default()
        };
        rates.iter().map(step).collect()
    }

    #[test]
    fn the_knee_of_a_queue_is_at_half_its_capacity() {
        let rates: Vec<f64> = (1..=12).map(|at| f64::from(at) * 100.0).collect();
        let steps = queue(&rates, 1_000.0);
        assert_eq!(knee(&steps).unwrap().offered_records_per_second, 500.0);
        assert!(knee(&steps[..4]).is_none(), "it was still rising");
        assert!(knee(&steps[10..]).is_none(), "nothing held");
        assert!(knee(&[]).is_none());
    }
}
