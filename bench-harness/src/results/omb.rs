//! `omb-result.json`: the fields of the OpenMessaging benchmark's result, so that its chart script and its users'
//! tools read ours.
//!
//! Publish latency is what that program means by it, from sending to acknowledgement, in milliseconds; publish delay
//! is from due to sent, in microseconds. Response, from due to acknowledgement, which neither shows, stands beside
//! them in fields of ours with the same endings.

use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};

use super::RunReport;
use crate::collector::Group;
use crate::histograms::{Histograms, Latency};

/// Endings of field names, and their quantiles.
const QUANTILES: [(&str, f64); 7] = [
    ("50pct", 0.5),
    ("75pct", 0.75),
    ("95pct", 0.95),
    ("99pct", 0.99),
    ("999pct", 0.999),
    ("9999pct", 0.9999),
    ("99999pct", 0.99999),
];
/// Points of a quantile chart for each halving of what lies beyond.
const TICKS_PER_HALVING: u32 = 5;

/// A latency, its field's name and unit.
struct Field {
    latency: Latency,
    name: &'static str,
    nanoseconds_per_unit: f64,
    is_whole: bool,
}

const FIELDS: [Field; 4] = [
    Field {
        latency: Latency::Service,
        name: "publishLatency",
        nanoseconds_per_unit: 1e6,
        is_whole: false,
    },
    Field {
        latency: Latency::ScheduleDelay,
        name: "publishDelayLatency",
        nanoseconds_per_unit: 1e3,
        is_whole: true,
    },
    Field {
        latency: Latency::EndToEnd,
        name: "endToEndLatency",
        nanoseconds_per_unit: 1e6,
        is_whole: false,
    },
    Field {
        latency: Latency::Response,
        name: "responseLatency",
        nanoseconds_per_unit: 1e6,
        is_whole: false,
    },
];

/// `groups` are tens of measured seconds.
#[must_use]
pub fn result(report: &RunReport, groups: &[Group], measured: &Histograms) -> Value {
    let workload = &report.workload;
    let mut fields = Map::new();
    let mut put = |name: String, value: Value| drop(fields.insert(name, value));
    put("workload".to_owned(), json!(workload.name));
    put("driver".to_owned(), json!(report.label));
    put("messageSize".to_owned(), json!(workload.record_bytes));
    put("topics".to_owned(), json!(workload.topics));
    put("partitions".to_owned(), json!(workload.partitions_per_topic));
    put("producersPerTopic".to_owned(), json!(workload.producers_per_topic));
    put("consumersPerTopic".to_owned(), json!(workload.consumers_per_subscription));
    let rate = |count: fn(&Group) -> u64| -> Value {
        groups.iter().map(|group| count(group) as f64 / group.seconds as f64).collect()
    };
    put("publishRate".to_owned(), rate(|group| group.counts.acknowledged_records));
    // A record that cannot be delivered ends the run: there is no result with errors.
    put("publishErrorRate".to_owned(), rate(|_| 0));
    put("consumeRate".to_owned(), rate(|group| group.counts.consumed_records));
    put("backlog".to_owned(), groups.iter().map(|group| group.backlog_records).collect());
    for field in &FIELDS {
        for (ending, value) in field.statistics() {
            let of_groups = groups.iter().map(|group| value(group.histograms.get(field.latency)));
            put(format!("{}{ending}", field.name), of_groups.collect());
            let capital = capitalised(field.name);
            put(format!("aggregated{capital}{ending}"), value(measured.get(field.latency)));
        }
        let quantiles = field.quantiles(measured.get(field.latency));
        put(format!("aggregated{}Quantiles", capitalised(field.name)), quantiles);
    }
    Value::Object(fields)
}

type Statistic = Box<dyn Fn(&Histogram<u64>) -> Value>;

impl Field {
    /// Endings of names, and what stands there.
    fn statistics(&self) -> Vec<(&'static str, Statistic)> {
        let (unit, is_whole) = (self.nanoseconds_per_unit, self.is_whole);
        let mut statistics: Vec<(&'static str, Statistic)> = vec![
            ("Avg", Box::new(move |histogram| json!(histogram.mean() / unit))),
            ("Max", Box::new(move |histogram| in_unit(histogram.max(), unit, is_whole))),
        ];
        for (ending, quantile) in QUANTILES {
            let at = move |histogram: &Histogram<u64>| {
                in_unit(histogram.value_at_quantile(quantile), unit, is_whole)
            };
            statistics.push((ending, Box::new(at)));
        }
        statistics
    }

    /// Percent to latency, denser towards the end.
    fn quantiles(&self, histogram: &Histogram<u64>) -> Value {
        let points = histogram.iter_quantiles(TICKS_PER_HALVING).map(|point| {
            let percent = point.quantile_iterated_to() * 100.0;
            let value =
                in_unit(point.value_iterated_to(), self.nanoseconds_per_unit, self.is_whole);
            (percent.to_string(), value)
        });
        Value::Object(points.collect())
    }
}

fn in_unit(nanoseconds: u64, unit: f64, is_whole: bool) -> Value {
    let value = nanoseconds as f64 / unit;
    if is_whole { json!(value.round() as u64) } else { json!(value) }
}

fn capitalised(name: &str) -> String {
    let (first, rest) = name.split_at(1);
    first.to_uppercase() + rest
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::FIELDS;
    use crate::histograms::{Histograms, Latency};

    /// That chart script takes the largest of each series and sorts quantiles by their keys as numbers: an empty
    /// series, a null or a word would end it. A run without consumers has no end-to-end latency at all.
    #[test]
    fn what_was_not_measured_is_a_number_too() {
        let mut histograms = Histograms::default();
        (1..=5_000).for_each(|at| histograms.record(Latency::Service, at * 1_000, 1));
        for field in &FIELDS {
            let histogram = histograms.get(field.latency);
            for (ending, value) in field.statistics() {
                assert!(value(histogram).is_number(), "{}{ending}", field.name);
            }
            let quantiles = field.quantiles(histogram);
            let percents: Vec<f64> =
                quantiles.as_object().unwrap().keys().map(|key| key.parse().unwrap()).collect();
            assert!(percents.iter().all(|percent| (0.0..=100.0).contains(percent)));
            assert!(quantiles.as_object().unwrap().values().all(Value::is_number));
            let drawn = percents.iter().filter(|percent| **percent <= 99.999).count();
            assert_eq!(drawn > 10, field.latency == Latency::Service, "{}", field.name);
        }
        assert_eq!(json!(histograms.get(Latency::EndToEnd).mean()), json!(0.0));
    }
}
