//! The keys of OpenMessaging workload files.

use std::path::{Path, PathBuf};

use super::own::OwnKeys;
use super::yaml::{Fields, WorkloadError};
use super::{KeyChoice, PayloadChoice, Rate, Workload};
use crate::limits::PAYLOADS_DEFAULT;

/// As many keys as OpenMessaging's round-robin has.
const KEYS_DEFAULT: u32 = 10_000;
/// Of what is neither random nor all the same, where a file says nothing.
const ENTROPY_DEFAULT: f64 = 0.5;

/// Settings of OpenMessaging's own search for a rate: known, and of no meaning here.
const RATE_SEARCH: [&str; 4] =
    ["producerStartRate", "acceptableBacklog", "producerIncrementRate", "producerIncrementSeconds"];

pub(super) fn read(
    fields: &mut Fields,
    own: OwnKeys,
    directory: Option<&Path>,
) -> Result<Workload, WorkloadError> {
    let mut notes = Vec::new();
    let rate = match fields.number("producerRate")? {
        Some(rate) if rate > 0.0 => Rate::Open { records_per_second: rate },
        _ => {
            notes.push(
                "producerRate is 0 or missing: a closed loop, as fast as acknowledgements come; \
                 its latencies are not comparable with those of an open loop"
                    .to_owned(),
            );
            Rate::Closed
        }
    };
    for key in RATE_SEARCH {
        if fields.number(key)?.is_some() && rate == Rate::Closed {
            notes.push(format!("{key} steers a search for the highest rate and was ignored"));
        }
    }
    let keys = key_choice(fields, &own)?;
    let record_bytes = fields.count("messageSize")?.unwrap_or(0) as usize;
    let (payload, record_bytes) =
        payload_choice(fields, &own, record_bytes, directory, &mut notes)?;
    let duration_seconds = match own.duration_seconds {
        Some(seconds) => {
            fields.number("testDurationMinutes")?;
            seconds
        }
        None => fields.number("testDurationMinutes")?.unwrap_or(0.0) * 60.0,
    };
    // OpenMessaging's own warm-up, where ours is not set.
    let mut own = own;
    if let Some(minutes) = fields.number("warmupDurationMinutes")? {
        own.warm_up = own.warm_up.or(Some(super::WarmUp::Seconds(minutes * 60.0)));
    }
    Ok(Workload {
        name: fields.string("name")?.unwrap_or_else(|| "without a name".to_owned()),
        topics: fields.count("topics")?.unwrap_or(0),
        partitions_per_topic: fields.count("partitionsPerTopic")?.unwrap_or(0),
        record_bytes,
        keys,
        payload,
        subscriptions_per_topic: fields.count("subscriptionsPerTopic")?.unwrap_or(0),
        consumers_per_subscription: fields.count("consumerPerSubscription")?.unwrap_or(0),
        producers_per_topic: fields.count("producersPerTopic")?.unwrap_or(0),
        rate,
        backlog_bytes: (fields.number("consumerBacklogSizeGB")?.unwrap_or(0.0) * 1024f64.powi(3))
            as u64,
        duration_seconds,
        own,
        notes,
    })
}

fn key_choice(fields: &mut Fields, own: &OwnKeys) -> Result<KeyChoice, WorkloadError> {
    let count = own.key_count.unwrap_or(KEYS_DEFAULT).max(1);
    let of_file = fields.word(
        "keyDistributor",
        &[
            ("NO_KEY", KeyChoice::None),
            ("KEY_ROUND_ROBIN", KeyChoice::RoundRobin { count }),
            ("RANDOM_NANO", KeyChoice::Uniform { count }),
        ],
    )?;
    Ok(own.keys.map(|keys| keys(count)).or(of_file).unwrap_or(KeyChoice::None))
}

fn payload_choice(
    fields: &mut Fields,
    own: &OwnKeys,
    record_bytes: usize,
    directory: Option<&Path>,
    notes: &mut Vec<String>,
) -> Result<(PayloadChoice, usize), WorkloadError> {
    let is_random = fields.boolean("useRandomizedPayloads")?.unwrap_or(false);
    let ratio = fields.number("randomBytesRatio")?;
    let pool = fields.count("randomizedPayloadPoolSize")?.filter(|count| *count > 0);
    let of_file = ratio.filter(|_| is_random).unwrap_or(ENTROPY_DEFAULT);
    let entropy = own.payload_entropy.unwrap_or(of_file);
    if entropy > 1.0 {
        return Err(fields.refused("randomBytesRatio", "is a share, 0 to 1"));
    }
    if let Some(file) = fields.string("payloadFile")? {
        let beside = |folder: &Path| folder.join(&file);
        let places = [Some(PathBuf::from(&file)), directory.map(beside)];
        if let Some(path) = places.into_iter().flatten().find(|path| path.is_file()) {
            let bytes = path.metadata().map_or(0, |data| data.len() as usize);
            return Ok((PayloadChoice::File { path }, bytes));
        }
        notes.push(format!(
            "payloadFile {file} is not there: payloads of {record_bytes} bytes are generated, \
             entropy {entropy}"
        ));
    }
    let pool = pool.map_or(PAYLOADS_DEFAULT, |count| count as usize);
    Ok((PayloadChoice::Generated { entropy, pool }, record_bytes))
}
