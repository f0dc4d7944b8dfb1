//! Measures the shard loop with an echo of 1 KiB over loopback: a server shard on CPU 0, a client
//! on CPU 1; one connection (latency), then 32 (throughput).
//!
//! The same server is measured twice: as a shard (glommio's executor awaits the eventfd) and on a
//! plain thread that polls the eventfd itself.
//!
//! `cargo run --release -p runtime --example echo [-- SECONDS]`

use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use runtime::clock::Monotonic;
use runtime::mailbox::Bell;
use runtime::memory::Arena;
use runtime::ring::{Completion, Descriptor, Ring, RingConfig, Token};
use runtime::shard::{Placement, ShardConfig, ShardLoop, ShardSetup, Turn, start};
use runtime::socket::{ConnectionOptions, configure, listen_on, local_address};
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

const REQUEST_BYTES: usize = 1024;
const CONNECTIONS: usize = 32;
const OPTIONS: ConnectionOptions = ConnectionOptions { keepalive: None, unacknowledged_max: None };

/// What the server did for one client.
struct Served {
    requests: u64,
    cpu_nanos: u64,
    enters: u64,
}

struct Server {
    connections: Vec<Descriptor>,
    open: usize,
    requests: u64,
    cpu_start: u64,
    enters_start: u64,
    served: mpsc::Sender<Served>,
    clients_left: usize,
}

impl Server {
    fn new(ring: &mut Ring, listener: OwnedFd, served: mpsc::Sender<Served>) -> Self {
        let listener = ring.adopt(listener).expect("descriptors are enough");
        ring.accept(Token(u64::MAX), listener);
        Self {
            connections: Vec::new(),
            open: 0,
            requests: 0,
            cpu_start: 0,
            enters_start: 0,
            served,
            clients_left: 2,
        }
    }

    fn accepted(&mut self, ring: &mut Ring, fd: OwnedFd) {
        configure(&fd, OPTIONS).expect("a fresh connection takes its settings");
        let connection = ring.adopt(fd).expect("descriptors are enough");
        if self.open == 0 {
            self.cpu_start = thread_cpu();
            self.enters_start = ring.counters().enters;
            self.requests = 0;
        }
        self.open += 1;
        ring.receive(Token(self.connections.len() as u64), connection);
        self.connections.push(connection);
    }

    fn closed(&mut self, ring: &Ring) {
        self.open -= 1;
        if self.open == 0 {
            self.clients_left -= 1;
            let served = Served {
                requests: self.requests,
                cpu_nanos: thread_cpu() - self.cpu_start,
                enters: ring.counters().enters - self.enters_start,
            };
            self.served.send(served).expect("main waits");
        }
    }
}

impl ShardLoop for Server {
    fn turn(&mut self, ring: &mut Ring, completions: &mut Vec<Completion>) -> Turn {
        for completion in completions.drain(..) {
            match completion {
                Completion::Accepted { result, .. } => {
                    self.accepted(ring, result.expect("accepting works"));
                }
                Completion::Received { token, result } => {
                    let connection = self.connections[token.0 as usize];
                    let bytes = result.unwrap_or_default();
                    if bytes.is_empty() {
                        ring.close(token, connection);
                    } else {
                        self.requests += 1;
                        // Both at once: the next request is awaited while the answer leaves.
                        ring.send(token, connection, vec![bytes]);
                        ring.receive(token, connection);
                    }
                }
                Completion::Closed { .. } => self.closed(ring),
                _ => {}
            }
        }
        if self.clients_left == 0 { Turn::Stop } else { Turn::Idle }
    }

    fn is_idle(&self) -> bool {
        true
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let seconds = std::env::args().nth(1).map_or(Ok(5), |text| text.parse())?;
    let duration = Duration::from_secs(seconds);
    measure("shard", duration, |listener, served| {
        let config =
            ShardConfig { placement: Placement::Fixed(0), ..ShardConfig::new("echo", 16 << 20) };
        let bell = Arc::new(Bell::new()?);
        start(config, bell, move |setup: ShardSetup<'_>| {
            Server::new(setup.ring, listener, served)
        })?
        .wait()?;
        Ok(())
    })?;
    measure("plain thread", duration, |listener, served| {
        thread::spawn(move || serve_on_this_thread(listener, served));
        Ok(())
    })
}

fn measure(
    name: &str,
    duration: Duration,
    serve: impl FnOnce(OwnedFd, mpsc::Sender<Served>) -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let listener = listen_on("127.0.0.1:0".parse()?, 128)?;
    let address = local_address(&listener)?;
    let (served, receiver) = mpsc::channel();
    serve(listener, served)?;
    let one = on_cpu(1, move || one_connection(address, duration))?;
    report(&format!("{name}, 1 connection"), &one, duration, &receiver.recv()?);
    let many = on_cpu(1, move || many_connections(address, duration))?;
    report(&format!("{name}, 32 connections"), &many, duration, &receiver.recv()?);
    Ok(())
}

fn serve_on_this_thread(listener: OwnedFd, served: mpsc::Sender<Served>) {
    pin(0);
    let bell = Arc::new(Bell::new().expect("descriptors are enough"));
    let mut ring = Ring::new(&RingConfig::default(), &[], bell).expect("rings are allowed");
    let mut server = Server::new(&mut ring, listener, served);
    let mut completions = Vec::new();
    loop {
        ring.pump(&mut completions);
        if server.turn(&mut ring, &mut completions) == Turn::Stop {
            return;
        }
        if !ring.has_work() {
            ring.park_thread(None, || true);
        }
    }
}

fn pin(cpu: usize) {
    let mut cpus = CpuSet::new();
    cpus.set(cpu);
    // On a machine with one CPU the thread runs where it can.
    let _ = sched_setaffinity(None, &cpus);
}

fn on_cpu<T: Send + 'static>(
    cpu: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Box<dyn Error>> {
    let thread = thread::spawn(move || {
        pin(cpu);
        work()
    });
    thread.join().map_err(|_| "the client panicked".into())
}

/// Latencies in nanoseconds of one blocking client.
fn one_connection(address: SocketAddr, duration: Duration) -> Vec<u64> {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    stream.set_nodelay(true).expect("a fresh connection takes its settings");
    let request = vec![7; REQUEST_BYTES];
    let mut answer = vec![0; REQUEST_BYTES];
    let mut latencies = Vec::new();
    let end = Monotonic::read() + duration;
    loop {
        let start = Monotonic::read();
        if start >= end {
            return latencies;
        }
        stream.write_all(&request).expect("the server is there");
        stream.read_exact(&mut answer).expect("the server answers");
        latencies.push(u64::try_from(Monotonic::read().since(start).as_nanos()).unwrap_or(0));
    }
}

/// Latencies in nanoseconds of 32 connections with one request each in flight, on a ring.
fn many_connections(address: SocketAddr, duration: Duration) -> Vec<u64> {
    let arena = Arena::new(1 << 20).expect("memory is there");
    let bell = Arc::new(Bell::new().expect("descriptors are enough"));
    let mut ring = Ring::new(&RingConfig::default(), &[&arena], bell).expect("rings are allowed");
    let request = Bytes::from(vec![7; REQUEST_BYTES]);
    let connections: Vec<Descriptor> = (0..CONNECTIONS)
        .map(|_| {
            let stream = TcpStream::connect(address).expect("the server listens");
            stream.set_nodelay(true).expect("a fresh connection takes its settings");
            ring.adopt(stream.into()).expect("descriptors are enough")
        })
        .collect();
    let begin = Monotonic::read();
    let end = begin + duration;
    let mut started = vec![begin; CONNECTIONS];
    let mut missing = vec![REQUEST_BYTES; CONNECTIONS];
    for (number, connection) in connections.iter().enumerate() {
        ring.send(Token(number as u64), *connection, vec![request.clone()]);
        ring.receive(Token(number as u64), *connection);
    }
    let mut latencies = Vec::new();
    let mut completions = Vec::new();
    loop {
        ring.pump(&mut completions);
        let now = Monotonic::read();
        if now >= end {
            return latencies;
        }
        if completions.is_empty() && !ring.has_work() {
            ring.park_thread(None, || true);
        }
        for completion in completions.drain(..) {
            let Completion::Received { token, result } = completion else { continue };
            let number = token.0 as usize;
            missing[number] -= result.expect("the server answers").len();
            if missing[number] == 0 {
                latencies.push(u64::try_from(now.since(started[number]).as_nanos()).unwrap_or(0));
                missing[number] = REQUEST_BYTES;
                started[number] = now;
                ring.send(token, connections[number], vec![request.clone()]);
            }
            ring.receive(token, connections[number]);
        }
    }
}

fn thread_cpu() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    u64::try_from(time.tv_sec * 1_000_000_000 + time.tv_nsec).unwrap_or(0)
}

#[expect(clippy::print_stdout, reason = "the report of an example")]
fn report(name: &str, latencies: &[u64], duration: Duration, served: &Served) {
    let mut sorted = latencies.to_vec();
    sorted.sort_unstable();
    let micros = |share: f64| {
        let at = (sorted.len() as f64 * share) as usize;
        sorted.get(at.min(sorted.len().saturating_sub(1))).map_or(0.0, |nanos| *nanos as f64 / 1e3)
    };
    println!(
        "{name}: {:.0} req/s, p50 {:.1} µs, p99 {:.1} µs, p99.9 {:.1} µs; server {:.2} µs CPU and \
         {:.2} enters a request",
        sorted.len() as f64 / duration.as_secs_f64(),
        micros(0.5),
        micros(0.99),
        micros(0.999),
        served.cpu_nanos as f64 / served.requests as f64 / 1e3,
        served.enters as f64 / served.requests as f64,
    );
}
