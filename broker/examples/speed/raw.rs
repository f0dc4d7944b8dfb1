//! A client that costs nearly nothing: requests encoded once, sent again and again, answers counted.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bytes::Bytes;
use protocol::frame::{decode_response, encode_request};
use protocol::messages::api_versions::ApiVersionsRequest;
use protocol::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use protocol::messages::produce::{
    PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData,
};
use protocol::record_batch::{BatchBuilder, BatchOptions};
use protocol::{ApiKey, CorrelationId, Request, RequestHeader, Str};

const PRODUCE_VERSION: i16 = 7;
const FETCH_VERSION: i16 = 11;

fn encode(version: i16, request: Request) -> Vec<u8> {
    let header = RequestHeader {
        api_key: request.api_key(),
        api_version: version,
        correlation_id: CorrelationId(1),
        client_id: Some(Str::from("speed")),
    };
    encode_request(&header, &request).unwrap().concat()
}

fn batch(record_bytes: usize, batch_bytes: usize) -> Bytes {
    let value = vec![b'x'; record_bytes];
    let mut builder = BatchBuilder::new(BatchOptions::default());
    while builder.is_empty() || builder.length() + record_bytes + 20 <= batch_bytes {
        builder.push(1_700_000_000_000, None, Some(&value), &[]);
    }
    Bytes::from(builder.finish())
}

fn produce_frame(topic: &str, partition: i32, records: Bytes) -> Vec<u8> {
    let request = ProduceRequest {
        acks: -1,
        timeout_ms: 30_000,
        topic_data: vec![TopicProduceData {
            name: Str::from(topic),
            partition_data: vec![PartitionProduceData { index: partition, records: Some(records) }],
        }],
        ..ProduceRequest::default()
    };
    encode(PRODUCE_VERSION, Request::Produce(request))
}

fn connect(bootstrap: &str) -> TcpStream {
    let stream = TcpStream::connect(bootstrap).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream
}

fn read_frame(stream: &mut TcpStream, buffer: &mut Vec<u8>) {
    let mut size = [0u8; 4];
    stream.read_exact(&mut size).unwrap();
    buffer.resize(usize::try_from(i32::from_be_bytes(size)).unwrap(), 0);
    stream.read_exact(buffer).unwrap();
}

fn check_produced(frame: &[u8]) {
    let frame = Bytes::copy_from_slice(frame);
    let (_, answer): (_, ProduceResponse) = decode_response(PRODUCE_VERSION, &frame).unwrap();
    let code = answer.responses[0].partition_responses[0].error_code;
    assert_eq!(code, 0, "a batch was refused");
}

/// Bytes a second of batches of `batch_bytes`, one a request, 64 requests in flight.
pub(crate) fn produce(
    bootstrap: &str,
    topic: &str,
    partitions: i32,
    batch_bytes: usize,
    time: Duration,
) -> f64 {
    produce_windowed(bootstrap, topic, partitions, batch_bytes, 64, time)
}

pub(crate) fn produce_windowed(
    bootstrap: &str,
    topic: &str,
    partitions: i32,
    batch_bytes: usize,
    window: usize,
    time: Duration,
) -> f64 {
    let records = batch(1024, batch_bytes);
    let frames: Vec<Vec<u8>> =
        (0..partitions).map(|at| produce_frame(topic, at, records.clone())).collect();
    let mut stream = connect(bootstrap);
    let mut reader = stream.try_clone().unwrap();
    let (slots, free) = std::sync::mpsc::channel::<()>();
    for _ in 0..window {
        slots.send(()).unwrap();
    }
    let begun = Instant::now();
    let answers = std::thread::spawn(move || {
        let mut buffer = Vec::new();
        let mut count = 0u64;
        while count == 0 || begun.elapsed() < time {
            read_frame(&mut reader, &mut buffer);
            check_produced(&buffer);
            count += 1;
            if slots.send(()).is_err() {
                break;
            }
        }
        (count, begun.elapsed())
    });
    for frame in frames.iter().cycle() {
        if answers.is_finished() || free.recv_timeout(Duration::from_secs(10)).is_err() {
            break;
        }
        if stream.write_all(frame).is_err() {
            break;
        }
    }
    let (count, elapsed) = answers.join().unwrap();
    count as f64 * records.len() as f64 / elapsed.as_secs_f64()
}

/// Fetches the first `bytes` of the log over and over; gives the bytes received.
pub(crate) fn fetch_again_and_again(
    bootstrap: &str,
    topic: &str,
    bytes: usize,
    time: Duration,
) -> f64 {
    let mut stream = connect(bootstrap);
    let mut buffer = Vec::new();
    let records_a_mebibyte = 1_000i64;
    let offsets: Vec<i64> = (0..(bytes >> 20) as i64).map(|at| at * records_a_mebibyte).collect();
    let frames: Vec<Vec<u8>> = offsets.iter().map(|offset| fetch_frame(topic, *offset)).collect();
    let begun = Instant::now();
    let mut received = 0f64;
    for frame in frames.iter().cycle() {
        if begun.elapsed() > time {
            break;
        }
        stream.write_all(frame).unwrap();
        read_frame(&mut stream, &mut buffer);
        assert!(buffer.len() > 1000, "there is something at every offset");
        received += buffer.len() as f64;
    }
    received
}

fn fetch_frame(topic: &str, offset: i64) -> Vec<u8> {
    let request = FetchRequest {
        max_wait_ms: 500,
        min_bytes: 1,
        max_bytes: 4 << 20,
        topics: vec![FetchTopic {
            topic: Str::from(topic),
            partitions: vec![FetchPartition {
                fetch_offset: offset,
                partition_max_bytes: 2 << 20,
                ..FetchPartition::default()
            }],
            ..FetchTopic::default()
        }],
        ..FetchRequest::default()
    };
    encode(FETCH_VERSION, Request::Fetch(request))
}

/// Microseconds of `count` produce requests of one small record each, one after another, sorted.
pub(crate) fn one_record_latencies(bootstrap: &str, topic: &str, count: usize) -> Vec<f64> {
    let frame = produce_frame(topic, 0, batch(100, 1));
    exchange_latencies(bootstrap, &frame, count, check_produced)
}

/// Microseconds of `count` requests that the connection's core answers by itself, sorted.
pub(crate) fn round_trip_latencies(bootstrap: &str, count: usize) -> Vec<f64> {
    let frame = encode(0, Request::ApiVersions(ApiVersionsRequest::default()));
    assert!(ApiKey::ApiVersions.serves(0));
    exchange_latencies(bootstrap, &frame, count, |_| {})
}

fn exchange_latencies(bootstrap: &str, frame: &[u8], count: usize, check: fn(&[u8])) -> Vec<f64> {
    let mut stream = connect(bootstrap);
    let mut buffer = Vec::new();
    let mut times = Vec::with_capacity(count);
    for at in 0..count + 500 {
        let begun = Instant::now();
        stream.write_all(frame).unwrap();
        read_frame(&mut stream, &mut buffer);
        let micros = begun.elapsed().as_secs_f64() * 1e6;
        check(&buffer);
        if at >= 500 {
            times.push(micros);
        }
    }
    times.sort_by(f64::total_cmp);
    times
}

/// A percentile of sorted values.
pub(crate) fn percentile(sorted: &[f64], percent: f64) -> f64 {
    let at = (sorted.len() as f64 * percent / 100.0) as usize;
    sorted[at.min(sorted.len() - 1)]
}
