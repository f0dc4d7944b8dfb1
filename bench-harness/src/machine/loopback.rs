//! TCP within this machine: the most that a broker and its clients on one host can exchange.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use tuning::Samples;

use super::Measuring;
use super::limit::{Limit, Unit};
use crate::failure::Failure;

const WRITTEN_BYTES: usize = 128 << 10;
const READ_BYTES: usize = 256 << 10;
const PING_BYTES: usize = 64;

pub(super) fn measure(measuring: &mut Measuring<'_>) -> Result<(), Failure> {
    let failed =
        |error: io::Error| Failure::new(format!("the loopback cannot be measured: {error}"));
    measuring.begin("loopback: throughput");
    let (bytes, reads, seconds) = throughput(measuring.time(1_000)).map_err(failed)?;
    let how = "one TCP connection to 127.0.0.1, writes of 128 KiB, a thread at each end";
    let rate = bytes as f64 / seconds;
    let limit = Limit::rate("loopback.throughput", Unit::BytesPerSecond, rate, reads, how);
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

/// Bytes and reads in so many seconds.
fn throughput(time: Duration) -> io::Result<(u64, u64, f64)> {
    let (mut near, mut far) = pair()?;
    std::thread::scope(|scope| {
        let reading = scope.spawn(move || {
            let mut memory = vec![0; READ_BYTES];
            let (mut bytes, mut reads) = (0, 0);
            loop {
                match far.read(&mut memory)? {
                    0 => return Ok((bytes, reads)),
                    count => (bytes, reads) = (bytes + count as u64, reads + 1),
                }
            }
        });
        let memory = vec![0x5a; WRITTEN_BYTES];
        let begin = Instant::now();
        while begin.elapsed() < time {
            near.write_all(&memory)?;
        }
        near.shutdown(Shutdown::Write)?;
        let counted: io::Result<(u64, u64)> =
            reading.join().expect("a probe's thread does not panic");
        let (bytes, reads) = counted?;
        Ok((bytes, reads, begin.elapsed().as_secs_f64()))
    })
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
