//! How long a broker takes from the start of its process until it is of use.

use std::time::{Duration, Instant};

use bytes::Bytes;
use protocol::Str;
use protocol::messages::metadata::MetadataRequest;
use protocol::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use protocol::record_batch::{BatchBuilder, BatchOptions};

use super::keeper::Kept;
use crate::cluster::{Cluster, TopicsWanted, error_name};
use crate::connection::Connection;
use crate::failure::Failure;
use crate::results::comparison::StartUp;

/// A broker that takes longer does not start.
const START_MAX: Duration = Duration::from_secs(120);
/// Between questions: the resolution of what is told. An attempt that is refused costs 20 µs.
const AGAIN: Duration = Duration::from_millis(2);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const PRODUCE_TIMEOUT_MS: i32 = 10_000;

/// Asks until the broker answers, then until it acknowledges.
pub(super) fn wait(
    bootstrap: &str,
    began: Instant,
    topic_configs: &[(String, String)],
    kept: &mut Kept,
) -> Result<StartUp, Failure> {
    until(began, kept, || metadata(bootstrap))?;
    let first_metadata_milliseconds = began.elapsed().as_secs_f64() * 1e3;
    let cluster = Cluster::at(bootstrap);
    let mut number = 0;
    until(began, kept, || {
        // A name is asked for once: an attempt that failed may have made its topic nevertheless.
        number += 1;
        first_record(&cluster, &format!("corelane-bench-start-{number}"), topic_configs)
    })?;
    let first_acknowledgement_milliseconds = began.elapsed().as_secs_f64() * 1e3;
    let names: Vec<String> = (1..=number).map(|at| format!("corelane-bench-start-{at}")).collect();
    cluster.delete(&names)?;
    Ok(StartUp { first_metadata_milliseconds, first_acknowledgement_milliseconds })
}

fn until(
    began: Instant,
    kept: &Kept,
    mut attempt: impl FnMut() -> Result<(), Failure>,
) -> Result<(), Failure> {
    loop {
        let Err(failure) = attempt() else { return Ok(()) };
        if kept.has_ended() {
            return Err(did_not_start("it ended", kept));
        }
        if began.elapsed() > START_MAX {
            let seconds = START_MAX.as_secs();
            return Err(did_not_start(&format!("{failure} after {seconds} s"), kept));
        }
        std::thread::sleep(AGAIN);
    }
}

fn did_not_start(why: &str, kept: &Kept) -> Failure {
    Failure::new(format!(
        "the broker did not start: {why}; what it said last:\n{}",
        kept.last_lines()
    ))
}

fn metadata(bootstrap: &str) -> Result<(), Failure> {
    let mut connection = Connection::open(bootstrap, ANSWER_TIMEOUT)?;
    let request = MetadataRequest { topics: Some(Vec::new()), ..MetadataRequest::default() };
    let answer = connection.call(request)?;
    if answer.brokers.is_empty() {
        return Err(Failure::new("no broker is known yet"));
    }
    Ok(())
}

fn first_record(
    cluster: &Cluster,
    topic: &str,
    configs: &[(String, String)],
) -> Result<(), Failure> {
    let wanted = TopicsWanted {
        names: vec![topic.to_owned()],
        partitions: 1,
        replication_factor: None,
        configs: configs.to_vec(),
    };
    let places = cluster.create(&wanted)?;
    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder.push(0, None, Some(b"first"), &[]);
    let request = ProduceRequest {
        acks: -1,
        timeout_ms: PRODUCE_TIMEOUT_MS,
        topic_data: vec![TopicProduceData {
            name: Str::from(topic),
            partition_data: vec![PartitionProduceData {
                index: places[0].index,
                records: Some(Bytes::from(builder.finish())),
            }],
        }],
        ..ProduceRequest::default()
    };
    let answer = Connection::open(&places[0].leader, ANSWER_TIMEOUT)?.call(request)?;
    let mut partitions = answer.responses.iter().flat_map(|topic| &topic.partition_responses);
    match partitions.next().map(|partition| partition.error_code) {
        Some(0) => Ok(()),
        code => Err(Failure::new(format!(
            "the first record was refused: {}",
            code.map_or_else(|| "no answer".to_owned(), error_name)
        ))),
    }
}
