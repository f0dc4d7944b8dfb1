//! TCP within this machine: the most that a broker and its clients on one host can exchange.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use tuning::Samples;

use super::Measuring;
use super::limit::{Limit, Unit};
use crate::failure::Failure;

/// Connections, and bytes of each write and read: what a broker with few clients and large requests does. The best of
/// them is the limit.
const SHAPES: [(usize, usize); 4] = [(1, 128 << 10), (1, 1 << 20), (2, 128 << 10), (2, 1 << 20)];
const PING_BYTES: usize = 64;

pub(super) fn measure(measuring: &mut Measuring<'_>) -> Result<(), Failure> {
    let failed =
        |error: io::Error| Failure::new(format!("the loopback cannot be measured: {error}"));
    measuring.begin("loopback: throughput");
    let mut best: Option<(f64, u64, usize, usize)> = None;
    for (connections, bytes) in SHAPES {
        let (moved, reads, seconds) =
            throughput(measuring.time(300), connections, bytes).map_err(failed)?;
        let rate = moved as f64 / seconds;
        if best.as_ref().is_none_or(|(most, ..)| rate > *most) {
            best = Some((rate, reads, connections, bytes));
        }
    }
    let (rate, reads, connections, bytes) = best.expect("there are shapes");
    let how = format!(
        "{connections} TCP connections to 127.0.0.1, writes of {} KiB, a thread at each end: the best of {} shapes",
        bytes >> 10,
        SHAPES.len()
    );
    let limit = Limit::rate("loopback.throughput", Unit::BytesPerSecond, rate, reads, &how);
    measuring.limits.push(limit);
    measuring.begin("loopback: round trip of 64 bytes");
    let samples = round_trips(measuring.time(600)).map_err(failed)?;
    let how = "64 bytes there and back over TCP, blocking calls, one at a time";
    measuring.limits.push(Limit::latency("loopback.round-trip".to_owned(), &samples, how));
    Ok(())
}

/// Both ends of one connection.
fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let near = TcpStream::connect(listener.local_addr()?)?;
    let (far, _) = listener.accept()?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    Ok((near, far))
}

/// Bytes and reads of all connections, and the seconds that they took.
fn throughput(time: Duration, connections: usize, piece: usize) -> io::Result<(u64, u64, f64)> {
    let pairs = (0..connections).map(|_| pair()).collect::<io::Result<Vec<_>>>()?;
    std::thread::scope(|scope| {
        let begin = Instant::now();
        let mut reading = Vec::new();
        let mut writing = Vec::new();
        for (near, far) in pairs {
            reading.push(scope.spawn(move || read_all(far, piece)));
            writing.push(scope.spawn(move || write_until(near, piece, begin + time)));
        }
        for thread in writing {
            thread.join().expect("a probe's thread does not panic")?;
        }
        let (mut bytes, mut reads) = (0, 0);
        for thread in reading {
            let counted = thread.join().expect("a probe's thread does not panic")?;
            (bytes, reads) = (bytes + counted.0, reads + counted.1);
        }
        Ok((bytes, reads, begin.elapsed().as_secs_f64()))
    })
}

/// Bytes and reads until the other end is closed.
fn read_all(mut far: TcpStream, piece: usize) -> io::Result<(u64, u64)> {
    let mut memory = vec![0; piece];
    let (mut bytes, mut reads) = (0, 0);
    loop {
        match far.read(&mut memory)? {
            0 => return Ok((bytes, reads)),
            count => (bytes, reads) = (bytes + count as u64, reads + 1),
        }
    }
}

fn write_until(mut near: TcpStream, piece: usize, until: Instant) -> io::Result<()> {
    let memory = vec![0x5a; piece];
    while Instant::now() < until {
        near.write_all(&memory)?;
    }
    near.shutdown(Shutdown::Write)
}

fn round_trips(time: Duration) -> io::Result<Samples> {
    let (mut near, mut far) = pair()?;
    std::thread::scope(|scope| {
        let answering = scope.spawn(move || -> io::Result<()> {
            let mut ping = [0; PING_BYTES];
            loop {
                match far.read_exact(&mut ping) {
                    Ok(()) => far.write_all(&ping)?,
                    // The other end is closed when the time is over.
                    Err(_) => return Ok(()),
                }
            }
        });
        let mut ping = [0x5a; PING_BYTES];
        let mut samples = Vec::new();
        let until = Instant::now() + time;
        let mut before = Instant::now();
        while before < until {
            near.write_all(&ping)?;
            near.read_exact(&mut ping)?;
            let after = Instant::now();
            samples.push(u64::try_from((after - before).as_nanos()).unwrap_or(u64::MAX));
            before = after;
        }
        near.shutdown(Shutdown::Both)?;
        answering.join().expect("a probe's thread does not panic")?;
        Ok(Samples::of(samples))
    })
}
