//! Ratios of runs that were measured side by side, with intervals.
//!
//! Speeds and latencies spread by factors, not by differences: everything is done with logarithms, and a mean is a
//! geometric one. A ratio comes from the runs of one block, which the machine treated alike; means over hours are
//! never divided by each other. Percentiles of runs are treated as any other value of a run, and never averaged within
//! one. With few blocks an interval is wide, and printed as wide as it is.

use crate::results::comparison::Estimate;
use crate::results::throughput::RateInterval;

/// Of all intervals, two-sided.
pub const CONFIDENCE_PERCENT: f64 = 95.0;

/// Into which a run's values are gathered, and with fewer of which there is no interval.
const BATCHES_WANTED: usize = 10;
const BATCHES_MIN: usize = 4;

/// Student's t, 97.5 %, by degrees of freedom from 1.
const STUDENT_T: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
    2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
    2.052, 2.048, 2.045, 2.042,
];
/// The same of a normal distribution, which it becomes.
const NORMAL: f64 = 1.960;

/// Two values of one block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Paired {
    pub a: f64,
    pub b: f64,
}

/// `a` divided by `b`. Values that are not positive have no logarithm, and are left out with their partner.
#[must_use]
pub fn ratio(pairs: &[Paired]) -> Option<Estimate> {
    let usable = pairs.iter().filter(|pair| is_positive(pair.a) && is_positive(pair.b));
    estimate(&usable.map(|pair| (pair.a / pair.b).ln()).collect::<Vec<f64>>())
}

/// The geometric mean of one side.
#[must_use]
pub fn mean(values: &[f64]) -> Option<Estimate> {
    let usable = values.iter().filter(|value| is_positive(**value));
    estimate(&usable.map(|value| value.ln()).collect::<Vec<f64>>())
}

/// Where the arithmetic mean of one run's `values` lies, each of an equally long time. Neighbours are like each other,
/// and their plain interval would be too narrow: it is Student's over the means of ten to nineteen batches of them, or
/// over fewer than ten values.
#[must_use]
pub fn steady_mean(values: &[f64]) -> Option<RateInterval> {
    let each = (values.len() / BATCHES_WANTED).max(1);
    let mean_of = |batch: &[f64]| batch.iter().sum::<f64>() / each as f64;
    // What is left over is of the beginning: how a run ends is what it came to.
    let batches: Vec<f64> = values.rchunks_exact(each).map(mean_of).collect();
    let count = batches.len();
    if count < BATCHES_MIN {
        return None;
    }
    let mean = batches.iter().sum::<f64>() / count as f64;
    let squares: f64 = batches.iter().map(|batch| (batch - mean).powi(2)).sum();
    let standard_error = (squares / (count - 1) as f64 / count as f64).sqrt();
    let half = student_t(count - 1) * standard_error;
    let batches = u32::try_from(count).unwrap_or(u32::MAX);
    Some(RateInterval { from: mean - half, to: mean + half, batches })
}

/// What a control says: whether one broker differs from itself, and by how much it could.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Control {
    pub contains_one: bool,
    /// How far from 1 a ratio lies within the interval at the farther end: 0.05 is 5 %. Smaller differences of
    /// others mean nothing on this machine.
    pub noise: f64,
}

/// `None` for a ratio without an interval.
#[must_use]
pub fn control(ratio: &Estimate) -> Option<Control> {
    let (from, to) = (ratio.from?, ratio.to?);
    let noise = (1.0 / from).max(to) - 1.0;
    Some(Control { contains_one: from <= 1.0 && 1.0 <= to, noise: noise.max(0.0) })
}

/// Of logarithms.
fn estimate(logs: &[f64]) -> Option<Estimate> {
    let count = logs.len();
    if count == 0 {
        return None;
    }
    let mean = logs.iter().sum::<f64>() / count as f64;
    let observations = u32::try_from(count).unwrap_or(u32::MAX);
    if count == 1 {
        return Some(Estimate { mean: mean.exp(), from: None, to: None, observations });
    }
    let degrees = count - 1;
    let squares: f64 = logs.iter().map(|log| (log - mean).powi(2)).sum();
    let standard_error = (squares / degrees as f64 / count as f64).sqrt();
    let half = student_t(degrees) * standard_error;
    Some(Estimate {
        mean: mean.exp(),
        from: Some((mean - half).exp()),
        to: Some((mean + half).exp()),
        observations,
    })
}

fn student_t(degrees: usize) -> f64 {
    match STUDENT_T.get(degrees - 1) {
        Some(t) => *t,
        // The first two terms of its expansion in 1/degrees: right to four digits from 30 on.
        None => {
            let (x, n) = (NORMAL, degrees as f64);
            let first = (x.powi(3) + x) / (4.0 * n);
            let second = (5.0 * x.powi(5) + 16.0 * x.powi(3) + 3.0 * x) / (96.0 * n * n);
            x + first + second
        }
    }
}

fn is_positive(value: f64) -> bool {
    value.is_finite() && value > 0.0
}

#[cfg(test)]
mod tests {
    use super::{Paired, control, mean, ratio, steady_mean, student_t};
    use crate::random::Random;

    fn pairs(values: &[(f64, f64)]) -> Vec<Paired> {
        values.iter().map(|(a, b)| Paired { a: *a, b: *b }).collect()
    }

    fn close(found: f64, expected: f64) -> bool {
        (found / expected - 1.0).abs() < 1e-3
    }

    #[test]
    fn a_ratio_is_that_of_its_pairs_and_not_of_hours_apart() {
        // The machine became four times faster between the blocks; within each, a is twice b.
        let found = ratio(&pairs(&[(2.0, 1.0), (8.0, 4.0), (4.0, 2.0)])).unwrap();
        assert!(close(found.mean, 2.0) && close(found.from.unwrap(), 2.0));
        assert!(close(found.to.unwrap(), 2.0));
        assert_eq!(found.observations, 3);
    }

    #[test]
    fn an_interval_is_students_over_logarithms() {
        // Logarithms of the ratios 1, 2, 4 are 0, l, 2l: mean l, standard deviation l, t 4.303, n 3.
        let found = ratio(&pairs(&[(1.0, 1.0), (2.0, 1.0), (4.0, 1.0)])).unwrap();
        let half = 4.303 * 2f64.ln() / 3f64.sqrt();
        assert!(close(found.mean, 2.0));
        assert!(close(found.from.unwrap(), 2.0 * (-half).exp()));
        assert!(close(found.to.unwrap(), 2.0 * half.exp()));
    }

    #[test]
    fn one_ratio_has_no_interval_and_none_is_nothing() {
        let one = ratio(&pairs(&[(3.0, 1.0)])).unwrap();
        assert_eq!((one.from, one.to, one.observations), (None, None, 1));
        assert!(close(one.mean, 3.0));
        assert_eq!(control(&one), None);
        assert_eq!(ratio(&[]), None);
        assert_eq!(ratio(&pairs(&[(0.0, 1.0), (1.0, f64::NAN)])), None, "they have no logarithm");
        assert!(close(mean(&[1.0, 100.0]).unwrap().mean, 10.0));
    }

    #[test]
    fn swapping_the_sides_turns_the_ratio_over() {
        let values = [(3.0, 1.1), (2.7, 1.0), (3.3, 0.9)];
        let swapped: Vec<(f64, f64)> = values.iter().map(|(a, b)| (*b, *a)).collect();
        let (there, back) = (ratio(&pairs(&values)).unwrap(), ratio(&pairs(&swapped)).unwrap());
        assert!(close(there.mean, 1.0 / back.mean));
        assert!(close(there.from.unwrap(), 1.0 / back.to.unwrap()));
    }

    #[test]
    fn students_t_has_no_step_where_its_table_ends() {
        assert_eq!(student_t(1), 12.706);
        assert!(close(student_t(31), 2.040) && close(student_t(60), 2.000));
        assert!(close(student_t(1_000_000), 1.960));
    }

    /// Intervals of 95 % hold the truth in 95 of 100 cases, also with four blocks.
    #[test]
    fn intervals_hold_the_true_ratio_as_often_as_they_say() {
        let mut random = Random::new(7);
        // The sum of twelve uniform numbers is close to normal.
        let mut normal = || (0..12).map(|_| random.next_unit()).sum::<f64>() - 6.0;
        let (truth, sigma, trials) = (3.0_f64, 0.1, 4_000);
        let holds = (0..trials)
            .filter(|_| {
                let blocks: Vec<Paired> = (0..4)
                    .map(|_| Paired {
                        a: truth * (sigma * normal()).exp(),
                        b: (sigma * normal()).exp(),
                    })
                    .collect();
                let found = ratio(&blocks).unwrap();
                (found.from.unwrap()..found.to.unwrap()).contains(&truth)
            })
            .count();
        let share = holds as f64 / f64::from(trials);
        assert!((0.935..0.965).contains(&share), "{share}");
    }

    /// Seconds that are like those before them: the interval of their plain mean would hold the truth in 3 of 4 cases.
    #[test]
    fn intervals_of_a_run_hold_its_mean_although_its_seconds_are_alike() {
        let mut random = Random::new(11);
        let mut normal = || (0..12).map(|_| random.next_unit()).sum::<f64>() - 6.0;
        let (truth, alike, trials) = (100.0_f64, 0.5, 4_000);
        let mut level = 0.0;
        let holds = (0..trials)
            .filter(|_| {
                let seconds: Vec<f64> = (0..60)
                    .map(|_| {
                        level = alike * level + normal();
                        truth + level
                    })
                    .collect();
                let found = steady_mean(&seconds).unwrap();
                assert_eq!(found.batches, 10);
                (found.from..found.to).contains(&truth)
            })
            .count();
        let share = holds as f64 / f64::from(trials);
        assert!((0.90..0.96).contains(&share), "{share}");
    }

    #[test]
    fn a_run_of_few_seconds_has_no_interval() {
        assert_eq!(steady_mean(&[]), None);
        assert_eq!(steady_mean(&[1.0, 2.0, 3.0]), None);
        assert_eq!(steady_mean(&[5.0; 4]).unwrap().batches, 4);
        assert_eq!(steady_mean(&[5.0; 19]).unwrap().batches, 19);
        assert_eq!(steady_mean(&[5.0; 25]).unwrap().batches, 12, "of two seconds each");
    }

    #[test]
    fn a_control_that_differs_from_itself_says_so() {
        let same = ratio(&pairs(&[(1.0, 1.02), (1.03, 1.0), (1.0, 1.01), (1.02, 1.0)])).unwrap();
        let said = control(&same).unwrap();
        assert!(said.contains_one && said.noise < 0.05, "{said:?}");
        let biased = ratio(&pairs(&[(1.2, 1.0), (1.21, 1.0), (1.19, 1.0)])).unwrap();
        let said = control(&biased).unwrap();
        assert!(!said.contains_one && said.noise > 0.2, "{said:?}");
    }
}
