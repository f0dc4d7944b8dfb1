//! Where a broker's time goes, stage by stage, as it says itself on its metrics address: the Prometheus histogram
//! `corelane_stage_seconds`, read twice and subtracted. A broker that has no such rows has no stages.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use serde::Serialize;

use crate::failure::Failure;
use crate::limits::METRICS_BYTES_MAX;

const NAME: &str = "corelane_stage_seconds_";
const TIMEOUT: Duration = Duration::from_secs(5);

/// The histograms of all shards together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stages {
    /// In the order in which the broker names them: that of a request's way.
    order: Vec<String>,
    of: BTreeMap<String, Histogram>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Histogram {
    count: u64,
    sum_seconds: f64,
    /// How many were at most so long, by the bucket's end in nanoseconds.
    at_most: BTreeMap<u64, u64>,
}

/// What a stage took between two moments.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StageTime {
    pub stage: String,
    pub count: u64,
    pub mean_microseconds: f64,
    /// The ends of the buckets that the percentiles are in, each twice the one before; `None`: beyond the last.
    pub p50_at_most_microseconds: Option<f64>,
    pub p99_at_most_microseconds: Option<f64>,
}

impl Stages {
    /// Asks `GET /metrics` at `HOST:PORT`.
    pub fn read(address: &str) -> Result<Self, Failure> {
        let text = get(address).map_err(|error| {
            Failure::new(format!(
                "the broker's metrics cannot be read at {address} ({error}); --metrics wants HOST:PORT of its admin \
                 address"
            ))
        })?;
        Ok(Self::parse(&text))
    }

    fn parse(text: &str) -> Self {
        let mut stages = Self::default();
        for (kind, labels, value) in text.lines().filter_map(row) {
            let Some(stage) = label(labels, "stage") else { continue };
            if !stages.of.contains_key(stage) {
                stages.order.push(stage.to_owned());
            }
            let histogram = stages.of.entry(stage.to_owned()).or_default();
            match kind {
                "sum" => histogram.sum_seconds += value,
                "count" => histogram.count += value as u64,
                "bucket" => {
                    let end = label(labels, "le").and_then(|end| end.parse::<f64>().ok());
                    if let Some(end) = end.filter(|end| end.is_finite()) {
                        let end_ns = (end * 1e9).round() as u64;
                        *histogram.at_most.entry(end_ns).or_default() += value as u64;
                    }
                }
                _ => {}
            }
        }
        stages
    }

    /// What happened since `before`, without stages in which nothing did.
    #[must_use]
    pub fn since(&self, before: &Self) -> Vec<StageTime> {
        let nothing = Histogram::default();
        let times = self.order.iter().filter_map(|stage| {
            let (now, then) = (&self.of[stage], before.of.get(stage).unwrap_or(&nothing));
            let count = now.count.checked_sub(then.count).filter(|count| *count > 0)?;
            let percentile = |percent: u64| {
                let wanted = (count * percent).div_ceil(100);
                let earlier = |end: &u64| then.at_most.get(end).copied().unwrap_or(0);
                let reached =
                    |(end, at_most): &(&u64, &u64)| at_most.saturating_sub(earlier(end)) >= wanted;
                now.at_most.iter().find(reached).map(|(end, _)| *end as f64 / 1e3)
            };
            Some(StageTime {
                stage: stage.clone(),
                count,
                mean_microseconds: (now.sum_seconds - then.sum_seconds) / count as f64 * 1e6,
                p50_at_most_microseconds: percentile(50),
                p99_at_most_microseconds: percentile(99),
            })
        });
        times.collect()
    }
}

/// Kind, labels and value of one of our rows.
fn row(line: &str) -> Option<(&str, &str, f64)> {
    let (kind, rest) = line.strip_prefix(NAME)?.split_once('{')?;
    let (labels, value) = rest.rsplit_once("} ")?;
    Some((kind, labels, value.parse().ok()?))
}

fn label<'a>(labels: &'a str, name: &str) -> Option<&'a str> {
    let pairs = labels.split(',').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(known, _)| *known == name).map(|(_, value)| value.trim_matches('"')).next()
}

/// The answer, head included: its lines are none of ours.
fn get(address: &str) -> std::io::Result<String> {
    let unknown = || std::io::Error::other("no such host");
    let address = address.to_socket_addrs()?.next().ok_or_else(unknown)?;
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut bytes = Vec::new();
    stream.take(METRICS_BYTES_MAX).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    match text.lines().next() {
        Some(status) if status.contains(" 200 ") => Ok(text.into_owned()),
        status => Err(std::io::Error::other(format!("answer {:?}", status.unwrap_or_default()))),
    }
}

#[cfg(test)]
mod tests {
    use super::{StageTime, Stages};

    /// Rows of two shards: so many hops of at most 2, 4 µs and of more, and their sum.
    fn text(fast: u64, slow: u64, beyond: u64) -> String {
        let mut text = "# TYPE corelane_stage_seconds histogram\ncorelane_other 7\n".to_owned();
        for (shard, factor) in [(0, 1), (1, 2)] {
            for (end, count) in
                [("0.000002", fast), ("0.000004", fast + slow), ("+Inf", fast + slow + beyond)]
            {
                text += &format!(
                    "corelane_stage_seconds_bucket{{shard=\"{shard}\",stage=\"hop\",le=\"{end}\"}} {}\n",
                    count * factor
                );
            }
            let sum = (fast + 3 * slow + 100 * beyond) as f64 * factor as f64 / 1e6;
            let count = (fast + slow + beyond) * factor;
            text +=
                &format!("corelane_stage_seconds_sum{{shard=\"{shard}\",stage=\"hop\"}} {sum}\n");
            text += &format!(
                "corelane_stage_seconds_count{{shard=\"{shard}\",stage=\"hop\"}} {count}\n"
            );
        }
        text
    }

    #[test]
    fn what_happened_between_two_moments_is_told_for_all_shards_together() {
        let before = Stages::parse(&text(10, 0, 0));
        let [hop] = &Stages::parse(&text(12, 97, 1)).since(&before)[..] else {
            panic!("one stage")
        };
        let expected = StageTime {
            stage: "hop".to_owned(),
            count: 300,
            mean_microseconds: hop.mean_microseconds,
            p50_at_most_microseconds: Some(4.0),
            p99_at_most_microseconds: Some(4.0),
        };
        assert_eq!(*hop, expected);
        assert!((hop.mean_microseconds - 3.93).abs() < 1e-6, "{hop:?}");
    }

    #[test]
    fn a_percentile_beyond_the_last_bucket_is_unknown_and_nothing_is_no_stage() {
        let (none, some) = (Stages::default(), Stages::parse(&text(1, 0, 9)));
        assert_eq!(some.since(&none)[0].p99_at_most_microseconds, None);
        assert_eq!(some.since(&some), []);
        assert_eq!(Stages::parse("corelane_stage_seconds_sum{stage=\"x\"} y\n{}\n"), none);
    }
}
