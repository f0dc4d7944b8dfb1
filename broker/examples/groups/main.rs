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
mod ratio;
#[path = "../speed/raw.rs"]
#[allow(dead_code, reason = "of the other program's load only some is wanted here")]
mod raw;
mod real;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Parser;
use classic::Desk;
use commits::Commits;
use node::Node;
use ratio::Ratio;
use real::Team;

const TOPIC: &str = "groups";
const MANY_GROUPS: usize = 1_000;
const MEMBERS_OF_EACH: usize = 10;
/// Groups whose members share a connection.
const GROUPS_PER_LINE: usize = 50;
const LARGE: usize = 1_000;
const COMMITS_PER_SECOND: u32 = 20_000;
const PRODUCE_PER_SECOND: u32 = 1_000;
const BATCH_BYTES: usize = 64 << 10;
const LOAD_TOPIC: &str = "load";
const SETTLE: Duration = Duration::from_secs(2);
const PAIRS: usize = 6;
/// What produce may cost more beside commits, and what is to be left of its throughput.
const P99_AIM: f64 = 1.25;
const RATE_AIM: f64 = 0.9;
const REAL_TOPIC: &str = "real";
const REAL_CLIENTS: usize = 50;
const REAL_PARTITIONS: i32 = 100;
const REAL_RECORDS: usize = 5_000;

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

/// 1,000 groups of 10 members: they join at once, then beat every three seconds. Beside them 50 real clients.
fn many(arguments: &Arguments) {
    let node = begin(arguments, 10, &[]);
    node.create_topic(REAL_TOPIC, REAL_PARTITIONS);
    let team = Team::start(&node.bootstrap(), REAL_TOPIC, REAL_CLIENTS);
    let mut desks = Vec::new();
    for _ in 0..MEMBERS_OF_EACH {
        for first in (0..MANY_GROUPS).step_by(GROUPS_PER_LINE) {
            let groups = (first..first + GROUPS_PER_LINE).map(|at| format!("group-{at}"));
            desks.push(Desk::new(&node.bootstrap(), groups));
        }
    }
    let (before, begun) = (node.usage(), Instant::now());
    let took = classic::settle(&mut desks);
    println!(
        "{MANY_GROUPS} groups of {MEMBERS_OF_EACH}: all have their assignments after {:.2} s, Kafka's initial rebalance delay included (3 s, longer while members come); {:.2} CPU-s",
        took.as_secs_f64(),
        node.usage().since(&before).cpu_seconds
    );
    team.settle(u64::try_from(REAL_PARTITIONS).unwrap());
    let rebalances = team.rebalances();
    println!(
        "{REAL_CLIENTS} clients of librdkafka joined beside them, and share {REAL_PARTITIONS} partitions {:.2} s after the others began",
        begun.elapsed().as_secs_f64()
    );
    let before = node.usage();
    let time = Duration::from_secs(arguments.seconds);
    let (beats, times) = classic::beat(&mut desks, Duration::from_secs(3), time);
    let used = node.usage().since(&before);
    println!(
        "=> {:.0} heartbeats/s, {GROUPS_PER_LINE} at once: p50 {:.2} ms, p99 {:.2} ms; {:.1} % of a core with the real clients, peak {} MiB",
        beats as f64 / arguments.seconds as f64,
        percentile(&times, 50.0),
        percentile(&times, 99.0),
        used.cpu_seconds / arguments.seconds as f64 * 100.0,
        used.peak_memory_bytes >> 20
    );
    let (read, again) = team.reads(REAL_RECORDS);
    println!(
        "=> the real clients read {read} of {REAL_RECORDS} records, {again} of them again, after {} more rebalances\n",
        team.rebalances() - rebalances
    );
    team.stop();
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

/// Produce beside 20,000 commits a second against produce alone, in pairs of blocks, and pairs without commits in
/// both for what the machine does by itself: one data shard.
fn commits(arguments: &Arguments) {
    let node = begin(arguments, 16, &["--shards", "1"]);
    let time = Duration::from_secs(arguments.seconds);
    let beside = |with_commits: bool, what: &mut dyn FnMut() -> String| {
        let commits =
            with_commits.then(|| Commits::start(&node.bootstrap(), TOPIC, 16, COMMITS_PER_SECOND));
        let said = what();
        let rate = commits.map(Commits::stop);
        let beside = rate.map_or_else(String::new, |rate| format!(" beside {rate:.0} commits/s"));
        println!("{said}{beside}");
    };
    let latency = |with_commits: bool| {
        let mut found = (0.0, 0.0);
        beside(with_commits, &mut || {
            let times = produce::response_times(&node.bootstrap(), TOPIC, PRODUCE_PER_SECOND, time);
            found = (percentile(&times, 50.0), percentile(&times, 99.0));
            let (p50, p99) = found;
            format!("{PRODUCE_PER_SECOND} durable records/s: p50 {p50:.0} µs, p99 {p99:.0} µs")
        });
        found
    };
    let throughput = |with_commits: bool| {
        let mut found = 0.0;
        beside(with_commits, &mut || {
            node.create_topic(LOAD_TOPIC, 16);
            found = raw::produce(&node.bootstrap(), LOAD_TOPIC, 16, BATCH_BYTES, time);
            format!("produce as fast as it goes: {:.0} MB/s", found / 1e6)
        });
        // All blocks together would fill a disk; and what goes is not to disturb the next one.
        node.delete_topic(LOAD_TOPIC);
        std::thread::sleep(SETTLE);
        found
    };
    latency(true);
    let (mut p50, mut p99, mut rate) = (Pairs::default(), Pairs::default(), Pairs::default());
    for pair in 0..PAIRS {
        for with_commits in [false, true] {
            // Which one is first changes from pair to pair.
            let (first, second) = in_turn(pair % 2 == 0, with_commits, &latency);
            p50.of(with_commits).push((first.0, second.0));
            p99.of(with_commits).push((first.1, second.1));
            let (first, second) = in_turn(pair % 2 == 0, with_commits, &throughput);
            rate.of(with_commits).push((first, second));
        }
    }
    println!("=> beside {COMMITS_PER_SECOND} commits/s, {PAIRS} pairs of blocks, 95 % intervals:");
    for (name, pairs) in [("p50", p50), ("p99", p99), ("throughput", rate)] {
        let (with, without) = (Ratio::of(&pairs.with), Ratio::of(&pairs.without));
        println!("   {name} {with}; without commits in both blocks {without}");
    }
    let written = node.stop_and_usage().written_bytes as u64 >> 20;
    println!(
        "   (aims: p99 at most × {P99_AIM}, throughput at least × {RATE_AIM}); {written} MiB written in all"
    );
}

/// Pairs of blocks: (without commits, with them), and (without, without).
#[derive(Default)]
struct Pairs {
    with: Vec<(f64, f64)>,
    without: Vec<(f64, f64)>,
}

impl Pairs {
    fn of(&mut self, with_commits: bool) -> &mut Vec<(f64, f64)> {
        if with_commits { &mut self.with } else { &mut self.without }
    }
}

/// A block without commits, and one that may have them, whichever is first.
fn in_turn<T>(plain_first: bool, with_commits: bool, block: &impl Fn(bool) -> T) -> (T, T) {
    if plain_first {
        let plain = block(false);
        (plain, block(with_commits))
    } else {
        let other = block(with_commits);
        (block(false), other)
    }
}

fn percentile(sorted: &[f64], percent: f64) -> f64 {
    let at = (sorted.len() as f64 * percent / 100.0) as usize;
    sorted[at.min(sorted.len() - 1)]
}
