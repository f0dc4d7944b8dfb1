//! A ratio of two things that were measured in turns, with the interval in which it lies.

/// Of Student's t, two-sided 95 %, by degrees of freedom from 1.
const T_95: [f64; 15] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
    2.145, 2.131,
];

/// The geometric mean of pairs' ratios, and the ends of its 95 % interval.
#[derive(Clone, Copy)]
pub(crate) struct Ratio {
    pub(crate) mean: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Ratio {
    /// Of the second to the first of each pair, measured one after the other.
    pub(crate) fn of(pairs: &[(f64, f64)]) -> Self {
        let logs: Vec<f64> = pairs.iter().map(|(first, second)| (second / first).ln()).collect();
        let count = logs.len() as f64;
        let mean = logs.iter().sum::<f64>() / count;
        let variance = logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / (count - 1.0);
        let half = T_95[logs.len() - 2] * (variance / count).sqrt();
        Self { mean: mean.exp(), low: (mean - half).exp(), high: (mean + half).exp() }
    }
}

impl std::fmt::Display for Ratio {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "× {:.2} [{:.2}, {:.2}]", self.mean, self.low, self.high)
    }
}
