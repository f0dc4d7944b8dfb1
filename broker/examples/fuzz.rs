//! Throws bytes at every decoder and recovery path for a while: no panic, no hang, bounded memory.
//!
//! `cargo run --release -p broker --example fuzz -- --seconds 60 [--seed N]`
//! Mutates sound samples (frames, batches, journal groups, indexes) and pure noise; deterministic for a
//! seed. A panic prints the seed and the round that repeat it.

#![allow(clippy::print_stdout, reason = "a program that reports")]

use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Parser;
use protocol::record_batch::{BatchBuilder, BatchOptions, Compression, HeaderField};
use protocol::{ApiKey, CorrelationId, Request, RequestHeader, Str, fuzz};

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
}

/// One entry point and what it is called.
type Target = (&'static str, fn(&[u8]));

const TARGETS: [Target; 8] = [
    ("request frame", fuzz::request_frame),
    ("response frame", fuzz::response_frame),
    ("record batches", fuzz::record_batches),
    ("produced records", fuzz::produced_records),
    ("journal", engine::fuzz::journal_scan),
    ("state file", engine::fuzz::state_file),
    ("segment window", engine::fuzz::segment_window),
    ("index files", engine::fuzz::index_files),
];

/// Longest input: larger ones only repeat what shorter ones do.
const INPUT_BYTES_MAX: usize = 64 << 10;

fn main() {
    let arguments = Arguments::parse();
    let samples = samples();
    let begun = Instant::now();
    let mut round = arguments.round;
    let mut counts = [0u64; TARGETS.len()];
    while begun.elapsed() < Duration::from_secs(arguments.seconds) {
        let mut random = SplitMix(arguments.seed.wrapping_mul(0x9E37_79B9).wrapping_add(round));
        let input = input(&mut random, &samples);
        for (at, (name, target)) in TARGETS.iter().enumerate() {
            let outcome = std::panic::catch_unwind(|| target(&input));
            if outcome.is_err() {
                println!("{name} panicked: --seed {} --round {round}", arguments.seed);
                std::process::exit(1);
            }
            counts[at] += 1;
        }
        round += 1;
    }
    for ((name, _), count) in TARGETS.iter().zip(counts) {
        println!("{name}: {count} inputs");
    }
    println!("{} passed, 0 failed", TARGETS.len());
}

/// Sound bytes of every kind, to be mutated.
fn samples() -> Vec<Vec<u8>> {
    let mut samples = vec![Vec::new(), vec![0; 4096]];
    for compression in Compression::ALL {
        let mut builder =
            BatchBuilder::new(BatchOptions { compression, ..BatchOptions::default() });
        for at in 0..20i64 {
            let value = vec![b'v'; usize::try_from(at).unwrap_or_default() * 13];
            let header = HeaderField::new("header", Some(b"value"));
            builder.push(1_700_000_000_000 + at, Some(b"key"), Some(&value), &[header]);
        }
        samples.push(builder.finish());
    }
    for api_key in ApiKey::ALL.iter().copied() {
        for api_version in api_key.served() {
            let header = RequestHeader {
                api_key,
                api_version,
                correlation_id: CorrelationId(7),
                client_id: Some(Str::from("fuzz")),
            };
            // Zeros decode as the empty request of most APIs; encoded again they are a sound frame.
            let zeros = Bytes::from(vec![0u8; 64]);
            if let Ok(request) = Request::decode(api_key, api_version, &zeros)
                && let Ok(parts) = protocol::frame::encode_request(&header, &request)
            {
                samples.push(parts.concat().split_off(4));
            }
        }
    }
    samples
}

fn input(random: &mut SplitMix, samples: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = samples[random.below(samples.len())].clone();
    if random.below(8) == 0 {
        let length = random.below(512);
        bytes = (0..length).map(|_| random.byte()).collect();
    }
    for _ in 0..1 + random.below(6) {
        mutate(random, &mut bytes, samples);
    }
    bytes.truncate(INPUT_BYTES_MAX);
    bytes
}

fn mutate(random: &mut SplitMix, bytes: &mut Vec<u8>, samples: &[Vec<u8>]) {
    let at = random.below(bytes.len() + 1);
    match random.below(7) {
        0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
        1 if at < bytes.len() => bytes[at] = random.byte(),
        2 => bytes.truncate(at),
        3 => bytes.insert(at, random.byte()),
        4 if at + 4 <= bytes.len() => {
            let interesting =
                [0u32, 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 0x00FF_FFFF, 127, 128];
            let value = interesting[random.below(interesting.len())];
            bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
        }
        5 => {
            let other = &samples[random.below(samples.len())];
            let from = random.below(other.len() + 1);
            let piece = &other[from..(from + random.below(256)).min(other.len())];
            let tail = bytes.split_off(at);
            bytes.extend_from_slice(piece);
            bytes.extend_from_slice(&tail);
        }
        _ => {
            let to = (at + random.below(32)).min(bytes.len());
            let piece = bytes[at..to].to_vec();
            bytes.extend_from_slice(&piece);
        }
    }
}

/// A small generator: the same seed, the same bytes.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound.max(1)).unwrap_or(u64::MAX);
        usize::try_from(self.next() % bound).unwrap_or_default()
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}
