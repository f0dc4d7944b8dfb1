//! Small durable produce requests at a steady rate: what commits beside them may cost.

use std::time::{Duration, Instant};

use bytes::Bytes;
use protocol::Str;
use protocol::messages::produce::{
    PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData,
};
use protocol::record_batch::{BatchBuilder, BatchOptions};

use crate::member::Line;

const PRODUCE: i16 = 7;

/// Response times in microseconds from when each request was due, sorted: a server that stalls is seen.
pub(crate) fn response_times(
    bootstrap: &str,
    topic: &str,
    per_second: u32,
    time: Duration,
) -> Vec<f64> {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder.push(1_700_000_000_000, None, Some(&[b'x'; 1024]), &[]);
    let records = Bytes::from(builder.finish());
    let request = || ProduceRequest {
        acks: -1,
        timeout_ms: 30_000,
        topic_data: vec![TopicProduceData {
            name: Str::from(topic),
            partition_data: vec![PartitionProduceData { index: 0, records: Some(records.clone()) }],
        }],
        ..ProduceRequest::default()
    };
    let mut line = Line::connect(bootstrap);
    let mut reader = line.try_clone();
    let pause = Duration::from_secs(1) / per_second;
    let (told, due_times) = std::sync::mpsc::channel::<Instant>();
    let answers = std::thread::spawn(move || {
        let mut times = Vec::new();
        for due in due_times {
            let answer: ProduceResponse = reader.receive(PRODUCE);
            assert_eq!(answer.responses[0].partition_responses[0].error_code, 0, "written");
            times.push(due.elapsed().as_secs_f64() * 1e6);
        }
        times
    });
    let begun = Instant::now();
    let mut due = begun;
    while due < begun + time {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        line.send(PRODUCE, [request()]);
        told.send(due).unwrap();
        due += pause;
    }
    drop(told);
    let mut times = answers.join().unwrap();
    times.sort_by(f64::total_cmp);
    times
}
