//! Measures groups: many small ones, one large one, and what commits cost those who produce.
//!
//! `cargo run --release -p broker --example groups -- [--only many,classic,consumer,commits] [--data-dir DIR]`
//! Start it on a quiet machine; it starts and ends its node itself. Load goes to 127.0.0.1 only.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measuring program ends with what went wrong, and prints"
)]

mod classic;
mod commits;
mod consumer;
mod member;
#[path = "../speed/node.rs"]
mod node;
mod produce;

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use classic::Desk;
use commits::Commits;
use node::Node;

const TOPIC: &str = "groups";
const MANY_GROUPS: usize = 1_000;
const MEMBERS_OF_EACH: usize = 10;
/// Groups whose members share a connection.
const GROUPS_PER_LINE: usize = 50;
const LARGE: usize = 1_000;
const COMMITS_PER_SECOND: u32 = 20_000;
const PRODUCE_PER_SECOND: u32 = 1_000;
/// What produce may cost more beside commits.
const P99_AIM: f64 = 1.25;

/// Measures a node's consumer groups.
#[derive(Parser)]
struct Arguments {
    /// Where the node's data goes; removed again.
    #[arg(long, default_value = "target/groups-data")]
    data_dir: PathBuf,
    /// Seconds of each block of produce, and of heartbeats.
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Only these parts: many, classic, consumer, commits.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

fn main() {
    let arguments = Arguments::parse();
    let wanted =
        |part: &str| arguments.only.is_empty() || arguments.only.iter().any(|only| only == part);
    println!("{}", node::machine_facts());
    if wanted("many") {
        many(&arguments);
    }
    if wanted("classic") {
        large_classic(&arguments);
    }
    if wanted("consumer") {
        large_consumer(&arguments);
    }
    if wanted("commits") {
        commits(&arguments);
    }
}

fn begin(arguments: &Arguments, partitions: i32, flags: &[&str]) -> Node {
    let node = Node::start(&arguments.data_dir, flags);
    node.create_topic(TOPIC, partitions);
    member::Line::connect(&node.bootstrap()).find_coordinator("first");
    node
}

/// 1,000 groups of 10 members: they join at once, then beat every three seconds.
fn many(arguments: &Arguments) {
    let node = begin(arguments, 10, &[]);
    let mut desks = Vec::new();
    for _ in 0..MEMBERS_OF_EACH {
        for first in (0..MANY_GROUPS).step_by(GROUPS_PER_LINE) {
            let groups = (first..first + GROUPS_PER_LINE).map(|at| format!("group-{at}"));
            desks.push(Desk::new(&node.bootstrap(), groups));
        }
    }
    let before = node.usage();
    let took = classic::settle(&mut desks);
    println!(
        "{MANY_GROUPS} groups of {MEMBERS_OF_EACH}: all have their assignments after {:.2} s, Kafka's initial rebalance delay included (3 s, longer while members come); {:.2} CPU-s",
        took.as_secs_f64(),
        node.usage().since(&before).cpu_seconds
    );
    let before = node.usage();
    let time = Duration::from_secs(arguments.seconds);
    let (beats, times) = classic::beat(&mut desks, Duration::from_secs(3), time);
    let used = node.usage().since(&before);
    println!(
        "=> {:.0} heartbeats/s, {GROUPS_PER_LINE} at once: p50 {:.2} ms, p99 {:.2} ms; {:.1} % of a core, peak {} MiB\n",
        beats as f64 / arguments.seconds as f64,
        percentile(&times, 50.0),
        percentile(&times, 99.0),
        used.cpu_seconds / arguments.seconds as f64 * 100.0,
        used.peak_memory_bytes >> 20
    );
}

/// One group of 1,000 members, each on a connection of its own.
fn large_classic(arguments: &Arguments) {
    let node = begin(arguments, 10, &[]);
    let group = || std::iter::once("large".to_owned());
    let mut desks: Vec<Desk> = (0..LARGE).map(|_| Desk::new(&node.bootstrap(), group())).collect();
    let took = classic::settle(&mut desks);
    println!(
        "=> a classic group of {LARGE}: settled after {:.2} s, Kafka's initial rebalance delay included (3 s, longer while members come)\n",
        took.as_secs_f64()
    );
}

/// The same in the consumer protocol, with 1,000 partitions that the node shares out.
fn large_consumer(arguments: &Arguments) {
    let node = begin(arguments, i32::try_from(LARGE).unwrap(), &[]);
    let (took, beats) = consumer::settle(&node.bootstrap(), "large", (TOPIC, LARGE), LARGE);
    println!(
        "=> a group of {LARGE} in the consumer protocol, {LARGE} partitions: settled after {:.2} s and {beats} heartbeats\n",
        took.as_secs_f64()
    );
}

/// Produce beside 20,000 commits a second, in turns, against produce alone: one data shard.
fn commits(arguments: &Arguments) {
    let node = begin(arguments, 16, &["--shards", "1"]);
    let time = Duration::from_secs(arguments.seconds);
    let block = |with_commits: bool| {
        let commits =
            with_commits.then(|| Commits::start(&node.bootstrap(), TOPIC, 16, COMMITS_PER_SECOND));
        let times = produce::response_times(&node.bootstrap(), TOPIC, PRODUCE_PER_SECOND, time);
        let rate = commits.map(Commits::stop);
        let (p50, p99) = (percentile(&times, 50.0), percentile(&times, 99.0));
        let beside = rate.map_or_else(String::new, |rate| format!(" beside {rate:.0} commits/s"));
        println!(
            "{PRODUCE_PER_SECOND} durable records/s{beside}: p50 {p50:.0} µs, p99 {p99:.0} µs"
        );
        (p50, p99)
    };
    block(true);
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for with_commits in [false, true, true, false, false, true, true, false] {
        let found = block(with_commits);
        if with_commits { beside.push(found) } else { alone.push(found) }
    }
    let ratio = |of: fn(&(f64, f64)) -> f64| {
        let mean = |blocks: &[(f64, f64)]| blocks.iter().map(of).sum::<f64>() / blocks.len() as f64;
        let spread = alone.iter().map(of).fold(f64::MIN, f64::max)
            / alone.iter().map(of).fold(f64::MAX, f64::min);
        (mean(&beside) / mean(&alone), spread)
    };
    let ((p50, p50_spread), (p99, p99_spread)) = (ratio(|found| found.0), ratio(|found| found.1));
    println!(
        "=> with commits: p50 × {p50:.2} (blocks without differ by {p50_spread:.2}), p99 × {p99:.2} (by {p99_spread:.2}; aim {P99_AIM}); {} MiB written in all",
        node.stop_and_usage().written_bytes as u64 >> 20
    );
}

fn percentile(sorted: &[f64], percent: f64) -> f64 {
    let at = (sorted.len() as f64 * percent / 100.0) as usize;
    sorted[at.min(sorted.len() - 1)]
}
