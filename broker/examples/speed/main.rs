//! Measures whether the design holds: a node against librdkafka's own mock broker and against this
//! machine's disk and loopback, as ratios within one run.
//!
//! `cargo run --release -p broker --example speed -- [--seconds N] [--data-dir DIR]`
//! Start it on a quiet machine; it starts and ends its node itself. Load goes to 127.0.0.1 only.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measuring program ends with what went wrong, and prints"
)]

mod durable_write;
mod node;
mod raw;
mod rdkafka_load;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Parser;
use node::Node;

/// Measures a node against librdkafka's mock broker and this machine's limits.
#[derive(Parser)]
struct Arguments {
    /// Length of each measurement.
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Where the node's data goes; removed again.
    #[arg(long, default_value = "target/speed-data")]
    data_dir: PathBuf,
    /// Only these parts: produce, partitions, fetch, latency, device.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

fn main() {
    let arguments = Arguments::parse();
    let time = Duration::from_secs(arguments.seconds);
    let wanted =
        |part: &str| arguments.only.is_empty() || arguments.only.iter().any(|only| only == part);
    println!("{}", node::machine_facts());
    if wanted("produce") {
        produce(&arguments, time);
    }
    if wanted("partitions") {
        partitions(&arguments, time);
    }
    if wanted("fetch") {
        fetch(&arguments, time);
    }
    if wanted("latency") {
        latency(&arguments);
    }
    if wanted("device") {
        device(&arguments, time);
    }
}

/// Produce of 1 KiB records with librdkafka, node and mock in turn: A B B A, after a turn of each that fills
/// their memory, which is not measured.
fn produce(arguments: &Arguments, time: Duration) {
    let node = Node::start(&arguments.data_dir, &[]);
    node.create_topic("produce", 1);
    let mock = rdkafka_load::Mock::new(&[("produce", 1)]);
    rdkafka_load::produce(&mock.bootstrap(), "produce", 1024, time);
    rdkafka_load::produce(&node.bootstrap(), "produce", 1024, time);
    let mut node_rates = Vec::new();
    let mut mock_rates = Vec::new();
    let mut cpu = Vec::new();
    for turn in ["mock", "node", "node", "mock"] {
        if turn == "mock" {
            let rate = rdkafka_load::produce(&mock.bootstrap(), "produce", 1024, time);
            println!("produce 1 KiB, librdkafka, mock broker: {:.2} GB/s", rate / 1e9);
            mock_rates.push(rate);
        } else {
            let before = node.usage();
            let begun = Instant::now();
            let rate = rdkafka_load::produce(&node.bootstrap(), "produce", 1024, time);
            let used = node.usage().since(&before);
            let bytes = rate * begun.elapsed().as_secs_f64();
            println!(
                "produce 1 KiB, librdkafka, node (fsync): {:.2} GB/s, {:.3} CPU-s/GB, {:.2} device bytes a byte, peak {} MiB",
                rate / 1e9,
                used.cpu_seconds / (bytes / 1e9),
                used.written_bytes / bytes,
                node.usage().peak_memory_bytes / (1 << 20),
            );
            node_rates.push(rate);
            cpu.push(used.cpu_seconds / (bytes / 1e9));
        }
    }
    println!(
        "=> produce: {:.2} of the mock (aim 0.6), {:.3} CPU-s/GB (aim 0.4)\n",
        mean(&node_rates) / mean(&mock_rates),
        mean(&cpu)
    );
}

/// The same 16 KiB batches to 1 and to 1,000 partitions, node and mock.
fn partitions(arguments: &Arguments, time: Duration) {
    let node = Node::start(&arguments.data_dir, &[]);
    node.create_topic("one", 1);
    node.create_topic("thousand", 1_000);
    let load = |bootstrap: &str, topic: &str, count: i32| {
        let rate = raw::produce(bootstrap, topic, count, 16 << 10, time);
        println!(
            "produce 16 KiB batches, raw, {topic} ({count} partitions): {:.1} MB/s",
            rate / 1e6
        );
        rate
    };
    let warm = load(&node.bootstrap(), "thousand", 1_000);
    assert!(warm > 0.0, "the first pass makes the segment files");
    let (one, thousand) =
        (load(&node.bootstrap(), "one", 1), load(&node.bootstrap(), "thousand", 1_000));
    let mock = rdkafka_load::Mock::new(&[("one", 1), ("thousand", 1_000)]);
    let (mock_one, mock_thousand) =
        (load(&mock.bootstrap(), "one", 1), load(&mock.bootstrap(), "thousand", 1_000));
    let (kept, mock_kept) = (thousand / one, mock_thousand / mock_one);
    println!(
        "=> 1,000 partitions keep {kept:.2} of one; the mock keeps {mock_kept:.2}; ratio {:.2} (aim 0.8)\n",
        kept / mock_kept
    );
}

/// CPU of the node for each GB fetched from its memory tail.
fn fetch(arguments: &Arguments, time: Duration) {
    let node = Node::start(&arguments.data_dir, &[]);
    node.create_topic("tail", 1);
    rdkafka_load::produce_bytes(&node.bootstrap(), "tail", 1024, 64 << 20);
    let before = node.usage();
    let bytes = raw::fetch_again_and_again(&node.bootstrap(), "tail", 32 << 20, time);
    let used = node.usage().since(&before);
    println!(
        "=> fetch from the tail: {:.2} GB/s, {:.3} CPU-s/GB (aim 0.3)\n",
        bytes / time.as_secs_f64() / 1e9,
        used.cpu_seconds / (bytes / 1e9)
    );
}

/// One record at a time, durable, against a round trip plus one durable 4 KiB write: in turns, so that a
/// slow moment of the disk or the machine meets all of them.
fn latency(arguments: &Arguments) {
    const TURNS: usize = 10;
    const SAMPLES: usize = 1_000;
    let node = Node::start(&arguments.data_dir, &[]);
    node.create_topic("latency", 1);
    let early = raw::one_record_latencies(&node.bootstrap(), "latency", SAMPLES);
    node.wait_until_prepared();
    let (mut produce, mut round_trip, mut write, mut floor) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TURNS {
        produce.extend(raw::one_record_latencies(&node.bootstrap(), "latency", SAMPLES));
        let trips = raw::round_trip_latencies(&node.bootstrap(), SAMPLES);
        let writes = durable_write::latencies(&arguments.data_dir, SAMPLES);
        floor.extend(unrelated(&trips, &writes));
        round_trip.extend(trips);
        write.extend(writes);
    }
    for times in [&mut produce, &mut round_trip, &mut write, &mut floor] {
        times.sort_by(f64::total_cmp);
    }
    let mut above = [0.0; 2];
    for (at, percent) in [50.0, 99.0].into_iter().enumerate() {
        let [record, trip, stored, both, first] =
            [&produce, &round_trip, &write, &floor, &early].map(|of| raw::percentile(of, percent));
        println!(
            "one durable record: p{percent} {record:.0} µs; round trip {trip:.0}, durable 4 KiB write {stored:.0}, \
             one after the other {both:.0}; right after the start, while the journal is prewritten: {first:.0}"
        );
        above[at] = record - both;
    }
    println!(
        "=> above the floor: p50 {:.0} µs (aim 50), p99 {:.0} µs (aim 300)\n",
        above[0], above[1]
    );
}

/// Sums of one turn's sorted times, none of which has to do with its partner: the slowest of both seldom meet, and the p99
/// of their sum is less than the sum of their p99s.
fn unrelated<'a>(a: &'a [f64], b: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
    const STRIDE: usize = 7_919;
    assert!(a.len() == b.len() && !a.len().is_multiple_of(STRIDE), "each has a partner");
    a.iter().enumerate().map(|(at, one)| one + b[at * STRIDE % b.len()])
}

/// Bytes written to the device for each byte produced, by path, journal preparation told apart.
fn device(arguments: &Arguments, time: Duration) {
    for (name, batch_bytes, partitions, window, aim) in
        [("runs of 1 MB", 1_000_000, 1, 8, 1.15), ("journal groups", 16 << 10, 64, 64, 2.2)]
    {
        let node = Node::start(&arguments.data_dir, &[]);
        node.create_topic("device", partitions);
        node.wait_until_prepared();
        let prepared = node.usage();
        let rate = raw::produce_windowed(
            &node.bootstrap(),
            "device",
            partitions,
            batch_bytes,
            window,
            time,
        );
        let pid_usage = node.stop_and_usage();
        let produced = rate * time.as_secs_f64();
        println!(
            "=> device bytes a byte, {name}: {:.2} (aim {aim}), beside {} MiB of preparation",
            pid_usage.since(&prepared).written_bytes / produced,
            prepared.written_bytes as u64 / (1 << 20)
        );
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
