//! Which of the machine's limits bounds a figure. Limits are those of `limits.json`, as a value: it may come from a
//! file.
//!
//! | figure | limit |
//! |---|---|
//! | acknowledged by `rdkafka`, records of 1 KiB or 100 B | the same client against a broker that keeps nothing |
//! | acknowledged by any other client | durable sequential writes or loopback, whichever is lower |
//! | the same in batches of 256 KiB or more | durable sequential writes of blocks that were set aside, or loopback |
//! | read from the tail | loopback |
//! | caught up | sequential reads or loopback, whichever is lower |
//!
//! Large batches go to segment files at once, whose blocks nobody wrote before; small ones first to a journal, which is
//! prewritten. What is acknowledged is counted before compression, and limits are of bytes: with a codec none bounds it.

use protocol::record_batch::Compression;
use serde::Serialize;
use serde_json::Value;

use crate::workload::{ClientTier, Workload};

const DURABLE: &str = "disk.sequential.durable-write";
/// The same where blocks were set aside and not written.
const DURABLE_SET_ASIDE: &str = "disk.sequential.durable-write.preallocated";
const READ: &str = "disk.sequential.read";
const LOOPBACK: &str = "loopback.throughput";

/// Batches that a broker writes to their segment once, without a journal.
const SEGMENT_BATCH_BYTES_MIN: u32 = 256 << 10;
/// Limits are measured, and so may be a little too low.
pub const LIMIT_TOLERANCE: f64 = 1.05;

/// Records whose ceiling is measured.
const CEILINGS: [(usize, &str); 2] =
    [(1024, "client.rdkafka.null-broker.1KiB"), (100, "client.rdkafka.null-broker.100B")];

/// A limit that a figure cannot exceed, unless it is of something else than the limit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bound {
    /// Its name in `limits.json`.
    pub limit: String,
    pub bytes_per_second: f64,
}

impl Bound {
    /// Of keys and values that a client gets acknowledged. `None`: nothing that was measured bounds it.
    #[must_use]
    pub fn of_acknowledged(workload: &Workload, limits: &Value) -> Option<Self> {
        if is_compressed(workload) {
            return None;
        }
        let record_bytes = workload.record_bytes;
        let ceiling = CEILINGS
            .into_iter()
            .filter(|_| workload.own.client == ClientTier::Rdkafka)
            .find(|(known, _)| *known == record_bytes)
            .and_then(|(_, id)| {
                let rate = value(limits, id)? * record_bytes as f64;
                Some(Self { limit: id.to_owned(), bytes_per_second: rate })
            });
        let is_large =
            workload.own.batch_bytes.is_some_and(|bytes| bytes >= SEGMENT_BATCH_BYTES_MIN);
        // Limits of before that state was measured have the other one.
        let is_set_aside = is_large && value(limits, DURABLE_SET_ASIDE).is_some();
        let durable = if is_set_aside { DURABLE_SET_ASIDE } else { DURABLE };
        ceiling.or_else(|| lowest(limits, &[durable, LOOPBACK]))
    }

    #[must_use]
    pub fn of_consumed(workload: &Workload, limits: &Value) -> Option<Self> {
        if is_compressed(workload) { None } else { lowest(limits, &[LOOPBACK]) }
    }

    #[must_use]
    pub fn of_caught_up(workload: &Workload, limits: &Value) -> Option<Self> {
        if is_compressed(workload) { None } else { lowest(limits, &[READ, LOOPBACK]) }
    }

    /// Whether a broker that reaches this cannot have had all of it on stable storage: that is more than the disk makes
    /// durable in any state of a file.
    #[must_use]
    pub fn is_beyond_stable_storage(&self, bytes_per_second: f64, limits: &Value) -> bool {
        let durable = [DURABLE, DURABLE_SET_ASIDE];
        let most = durable.iter().filter_map(|id| value(limits, id)).fold(0.0, f64::max);
        durable.contains(&self.limit.as_str()) && bytes_per_second > most * LIMIT_TOLERANCE
    }
}

/// By this workload or by the client's own configuration.
fn is_compressed(workload: &Workload) -> bool {
    let own = &workload.own;
    let configured = own.client_configs.iter().any(|(name, value)| {
        ["compression.codec", "compression.type"].contains(&name.as_str()) && value != "none"
    });
    own.codec != Compression::None || configured
}

/// `None` where one of them is not known: another might be lower.
fn lowest(limits: &Value, ids: &[&str]) -> Option<Bound> {
    let all: Option<Vec<Bound>> = ids
        .iter()
        .map(|id| Some(Bound { limit: (*id).to_owned(), bytes_per_second: value(limits, id)? }))
        .collect();
    all?.into_iter().min_by(|a, b| a.bytes_per_second.total_cmp(&b.bytes_per_second))
}

fn value(limits: &Value, id: &str) -> Option<f64> {
    let all = limits["limits"].as_array()?;
    all.iter().find(|limit| limit["id"] == id)?["value"].as_f64().filter(|rate| *rate > 0.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Bound;
    use crate::workload::{Source, Workload, shipped};

    #[test]
    fn each_figure_has_the_limit_that_bounds_it() {
        let limit = |id: &str, value: f64| json!({ "id": id, "value": value });
        let limits = json!({ "limits": [
            limit("client.rdkafka.null-broker.1KiB", 1_000.0),
            limit("disk.sequential.durable-write", 300.0),
            limit("disk.sequential.durable-write.preallocated", 200.0),
            limit("disk.sequential.read", 900.0),
            limit("loopback.throughput", 500.0),
        ] });
        let acknowledged_with = |name: &str, settings: &[String]| {
            let text = shipped::find(name).unwrap();
            let source = Source { text, directory: None, settings };
            let bound = Bound::of_acknowledged(&Workload::parse(&source).unwrap(), &limits);
            bound.map(|bound| {
                (bound.bytes_per_second, bound.is_beyond_stable_storage(316.0, &limits))
            })
        };
        let acknowledged = |name: &str| acknowledged_with(name, &[]);
        let text = shipped::find("telemetry-1k").unwrap();
        let plain = Workload::parse(&Source { text, directory: None, settings: &[] }).unwrap();
        let bound = Bound::of_acknowledged(&plain, &limits).unwrap();
        assert!(!bound.is_beyond_stable_storage(9e9, &limits), "a limit of the client's");
        assert_eq!(acknowledged("saturate-1k"), Some((1_024_000.0, false)));
        assert_eq!(acknowledged("saturate-raw"), Some((200.0, true)), "segments as they are");
        let journalled = acknowledged_with("saturate-raw", &["batchBytes=16384".to_owned()]);
        assert_eq!(journalled, Some((300.0, true)));
        let packed = acknowledged_with("saturate-raw", &["codec=lz4".to_owned()]);
        assert_eq!(packed, None, "the disk writes fewer bytes than are counted");
        let mut by_client = plain.clone();
        by_client.own.client_configs = vec![("compression.type".to_owned(), "zstd".to_owned())];
        assert_eq!(Bound::of_acknowledged(&by_client, &limits), None, "nor here");
        assert_eq!(Bound::of_consumed(&by_client, &limits), None);
        assert_eq!(acknowledged("saturate-100b"), Some((300.0, true)), "no ceiling was measured");
        assert_eq!(Bound::of_caught_up(&plain, &limits).unwrap().limit, "loopback.throughput");
        assert_eq!(Bound::of_consumed(&plain, &limits).unwrap().bytes_per_second, 500.0);
        assert_eq!(Bound::of_caught_up(&plain, &json!({ "limits": [] })), None);
    }
}
