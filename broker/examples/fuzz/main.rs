//! Throws bytes at every decoder, every recovery path and the connections' state machine for a while: no
//! panic, no hang, bounded memory.
//!
//! `cargo run --release -p broker --example fuzz -- --seconds 60 [--seed N]`
//!
//! Mutates sound samples (frames of every API and version, group records, batches of every codec, journals, state files,
//! segments, indexes) and pure noise; deterministic for a seed. The inputs are made and tried in a second
//! process, so that an abort, an endless loop or memory without a bound are findings like a panic: each is
//! printed with the command that repeats it, and ends the program with 1.
//!
//! | file | job |
//! |---|---|
//! | `main.rs` | the targets and the rounds |
//! | `samples.rs` | sound bytes |
//! | `mutation.rs` | what is done to them |
//! | `connections.rs` | the target that is no decoder: streams in pieces, through `net` |
//! | `supervisor.rs` | watches the process with the rounds |

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that reports")]

mod connections;
mod mutation;
mod samples;
mod supervisor;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Parser;
use protocol::fuzz;

use self::mutation::{Random, input};
use self::supervisor::Progress;

#[derive(Parser)]
struct Arguments {
    /// How long to go on.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Repeats a run.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The round to begin with, to repeat the one that failed.
    #[arg(long, default_value_t = 0)]
    round: u64,
    /// How many rounds at most.
    #[arg(long, default_value_t = u64::MAX)]
    rounds: u64,
    /// Tries the inputs in this process, and says in this file how far it is.
    #[arg(long, hide = true)]
    progress: Option<PathBuf>,
}

/// One entry point and what it is called.
type Target = (&'static str, fn(&[u8]));

const TARGETS: [Target; 11] = [
    ("request frame", fuzz::request_frame),
    ("response frame", fuzz::response_frame),
    ("group record", fuzz::group_record),
    ("consumer protocol", fuzz::consumer_protocol),
    ("record batches", fuzz::record_batches),
    ("produced records", fuzz::produced_records),
    ("journal", engine::fuzz::journal_scan),
    ("state file", engine::fuzz::state_file),
    ("segment window", engine::fuzz::segment_window),
    ("index files", engine::fuzz::index_files),
    ("connections", connections::streams),
];

fn main() {
    let arguments = Arguments::parse();
    match &arguments.progress {
        Some(path) => work(&arguments, &Progress::create(path)),
        None => std::process::exit(supervisor::watch(&arguments)),
    }
}

/// Rounds until the time is up, each of one input to every target.
fn work(arguments: &Arguments, progress: &Progress) {
    let samples = samples::samples();
    let begun = Instant::now();
    let mut round = arguments.round;
    let end = arguments.round.saturating_add(arguments.rounds);
    while begun.elapsed() < Duration::from_secs(arguments.seconds) && round < end {
        let mut random = Random::new(arguments.seed, round);
        let input = input(&mut random, &samples);
        for (at, (_, target)) in (0..).zip(TARGETS) {
            progress.note(round, at);
            target(&input);
        }
        round += 1;
    }
    progress.note(round, 0);
}
