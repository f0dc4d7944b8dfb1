//! `distributions.json`: of each latency the curve of its percentiles with their intervals, and its histogram in
//! classes of equal ratio. What charts draw; the finer truth is in `latencies.hlog`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::histograms::{Histograms, Latency, Percentile};

/// Points of the curve, and classes of the histogram, for each factor of ten.
const PER_DECADE: i32 = 20;
/// Far beyond what samples can support.
const POINTS_MAX: i32 = 9 * PER_DECADE;

/// One latency.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Distribution {
    pub latency: Latency,
    pub samples: u64,
    pub observations: u64,
    pub max_nanoseconds: u64,
    /// Upwards, evenly spaced on the logarithm of 1/(1-p), as far as the observations support it.
    pub curve: Vec<Percentile>,
    /// Upwards; those without a record are left out.
    pub classes: Vec<Class>,
}

/// Records with a latency of at least `from_nanoseconds` and below `to_nanoseconds`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Class {
    pub from_nanoseconds: f64,
    pub to_nanoseconds: f64,
    pub records: u64,
}

/// Those latencies that have samples.
#[must_use]
pub fn distributions(histograms: &Histograms) -> Vec<Distribution> {
    let of = |latency: Latency| {
        let histogram = histograms.get(latency);
        (!histogram.is_empty()).then(|| Distribution {
            latency,
            samples: histogram.len(),
            observations: histograms.observations(latency),
            max_nanoseconds: histogram.max(),
            curve: curve(histograms, latency),
            classes: classes(histograms, latency),
        })
    };
    Latency::ALL.into_iter().filter_map(of).collect()
}

fn curve(histograms: &Histograms, latency: Latency) -> Vec<Percentile> {
    let percents = (1..=POINTS_MAX)
        .map(|point| 100.0 * (1.0 - 10f64.powf(-f64::from(point) / f64::from(PER_DECADE))));
    percents.map_while(|percent| histograms.percentile(latency, percent)).collect()
}

fn classes(histograms: &Histograms, latency: Latency) -> Vec<Class> {
    let mut records: BTreeMap<i32, u64> = BTreeMap::new();
    for step in histograms.get(latency).iter_recorded() {
        let value = step.value_iterated_to().max(1) as f64;
        let class = (value.log10() * f64::from(PER_DECADE)).floor() as i32;
        *records.entry(class).or_default() += step.count_since_last_iteration();
    }
    let edge = |class: i32| 10f64.powf(f64::from(class) / f64::from(PER_DECADE));
    let class = |(class, records)| Class {
        from_nanoseconds: edge(class),
        to_nanoseconds: edge(class + 1),
        records,
    };
    records.into_iter().map(class).collect()
}

#[cfg(test)]
mod tests {
    use super::distributions;
    use crate::histograms::{Histograms, Latency};

    #[test]
    fn the_curve_ends_where_samples_do_and_classes_hold_all_of_them() {
        let mut histograms = Histograms::default();
        (1..=10_000).for_each(|at| histograms.record(Latency::Response, 1_000 * at, 3));
        let all = distributions(&histograms);
        assert_eq!(all.len(), 1);
        let response = &all[0];
        assert_eq!((response.samples, response.observations), (30_000, 10_000));
        assert_eq!(response.classes.iter().map(|class| class.records).sum::<u64>(), 30_000);
        let last = response.curve.last().unwrap();
        assert!((last.percent - 99.9).abs() < 0.01, "ten of 10,000 lie beyond: {last:?}");
        assert!(response.curve.is_sorted_by_key(|point| point.nanoseconds));
        let holds = |at: &crate::histograms::Percentile| {
            at.from_nanoseconds <= at.nanoseconds && at.nanoseconds <= at.to_nanoseconds
        };
        assert!(response.curve.iter().all(holds));
        let text = serde_json::to_string(&all).unwrap();
        let read: Vec<super::Distribution> = serde_json::from_str(&text).unwrap();
        assert_eq!(read[0].curve.len(), response.curve.len());
        assert_eq!(read[0].classes.last().unwrap().records, 18);
    }
}
