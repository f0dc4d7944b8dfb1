//! What a core does: copying, CRC32C, system calls, the clock, and how late it wakes.

use std::hint::black_box;
use std::time::{Duration, Instant};

use tuning::Samples;

use super::Measuring;
use super::limit::{Limit, Unit};
use crate::run_clock::wake_precisely;

/// Larger than the caches near a core; of all threads together less than any machine has.
const COPIED_BYTES: usize = 64 << 20;
const COPIED_BYTES_OF_ALL: usize = 1 << 30;
const COPIED_BYTES_MIN: usize = 4 << 20;
/// A batch of librdkafka's default size.
const CRC_BYTES: usize = 1 << 20;
/// Calls between two looks at the clock.
const CALLS: u64 = 1_000;
const SLEEP: Duration = Duration::from_micros(100);

pub(super) fn measure(measuring: &mut Measuring<'_>) {
    copying(measuring);
    measuring.begin("processor: CRC32C, system calls, clock");
    let bytes = vec![0x5a; CRC_BYTES];
    let (rounds, seconds) = repeat(measuring.time(300), 1, || {
        black_box(crc32c::crc32c(black_box(&bytes)));
    });
    let rate = rounds as f64 * CRC_BYTES as f64 / seconds;
    let how = "the crate crc32c over 1 MiB, one thread";
    measuring.limits.push(Limit::rate("cpu.crc32c", Unit::BytesPerSecond, rate, rounds, how));
    let (calls, seconds) = repeat(measuring.time(100), CALLS, || {
        black_box(rustix::process::getppid());
    });
    let each = seconds * 1e9 / calls as f64;
    let how = "getppid, mean";
    measuring.limits.push(Limit::rate("cpu.system-call", Unit::Nanoseconds, each, calls, how));
    let (calls, seconds) = repeat(measuring.time(100), CALLS, || {
        black_box(Instant::now());
    });
    let each = seconds * 1e9 / calls as f64;
    let how = "clock_gettime(CLOCK_MONOTONIC), mean";
    measuring.limits.push(Limit::rate("cpu.clock", Unit::Nanoseconds, each, calls, how));
    measuring.begin("processor: how late a sleep of 100 µs ends");
    let samples = lateness(measuring.time(1_000));
    let how = "time beyond a sleep of 100 µs, timer slack 1 µs";
    measuring.limits.push(Limit::latency("cpu.timer-lateness".to_owned(), &samples, how));
}

fn copying(measuring: &mut Measuring<'_>) {
    let all = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let shapes = [("memory.copy.one-thread", 1), ("memory.copy.all-threads", all)];
    for (id, threads) in shapes {
        measuring.begin(&format!("processor: copying memory, threads: {threads}"));
        let share = COPIED_BYTES_OF_ALL / threads / 2;
        let bytes = COPIED_BYTES.min(share).max(COPIED_BYTES_MIN);
        let time = measuring.time(400);
        let done: Vec<(u64, f64)> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(|| copy(bytes, time))).collect();
            let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
                thread.join().expect("a probe's thread does not panic")
            };
            threads.into_iter().map(join).collect()
        });
        let rate = done.iter().map(|(rounds, seconds)| *rounds as f64 * bytes as f64 / seconds);
        let (rate, rounds) = (rate.sum(), done.iter().map(|(rounds, _)| rounds).sum());
        let how = format!("memcpy of {} MiB, threads: {threads}", bytes >> 20);
        measuring.limits.push(Limit::rate(id, Unit::BytesPerSecond, rate, rounds, &how));
    }
}

fn copy(bytes: usize, time: Duration) -> (u64, f64) {
    let from = vec![0x5a_u8; bytes];
    let mut to = vec![0xa5_u8; bytes];
    repeat(time, 1, || black_box(&mut to).copy_from_slice(black_box(&from)))
}

/// Gives how often it was done, in how many seconds.
fn repeat(time: Duration, at_once: u64, mut work: impl FnMut()) -> (u64, f64) {
    let begin = Instant::now();
    let mut count = 0;
    loop {
        for _ in 0..at_once {
            work();
        }
        count += at_once;
        let elapsed = begin.elapsed();
        if elapsed >= time {
            return (count, elapsed.as_secs_f64());
        }
    }
}

/// In a thread of its own: precise timers are a property of the thread, and stay.
fn lateness(time: Duration) -> Samples {
    let measured = std::thread::spawn(move || {
        wake_precisely();
        let until = Instant::now() + time;
        let mut samples = Vec::new();
        let mut before = Instant::now();
        while before < until {
            std::thread::sleep(SLEEP);
            let after = Instant::now();
            let late = (after - before).saturating_sub(SLEEP);
            samples.push(u64::try_from(late.as_nanos()).unwrap_or(u64::MAX));
            before = after;
        }
        Samples::of(samples)
    });
    measured.join().expect("a probe's thread does not panic")
}
