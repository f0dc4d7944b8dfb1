//! Facts of shards: threads with an executor, a ring, mail, helpers and background slices.

#![expect(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use runtime::clock::Monotonic;
use runtime::mailbox::{Bell, Mailbox, mesh};
use runtime::ring::{Completion, Descriptor, Ring, RingConfig, Token};
use runtime::shard::{
    BlockingHelper, Placement, ShardConfig, ShardLoop, ShardSetup, StartingShard, Turn, start,
};
use runtime::socket::{listen_on, local_address};

fn config(name: &str) -> ShardConfig {
    ShardConfig {
        ring: RingConfig { operations_max: 256, receive_buffers: 64, ..RingConfig::default() },
        ..ShardConfig::new(name, 16 << 20)
    }
}

/// Bounces a number between two shards, sleeping in between.
struct Bouncer {
    mailbox: Mailbox<u64>,
    until: u64,
}

impl ShardLoop for Bouncer {
    fn turn(&mut self, _ring: &mut Ring, completions: &mut Vec<Completion>) -> Turn {
        completions.clear();
        let mut got = None;
        self.mailbox.drain(|_, number| got = Some(number));
        let Some(number) = got else { return Turn::Idle };
        if number <= self.until {
            self.mailbox.post(1 - self.mailbox.shard(), number + 1);
        }
        if number >= self.until { Turn::Stop } else { Turn::Busy }
    }

    fn is_idle(&self) -> bool {
        self.mailbox.is_empty()
    }
}

#[test]
fn mail_wakes_parked_shards_and_none_is_lost() {
    let mut boxes = mesh(2, 4).unwrap();
    boxes[0].post(0, 0);
    let handles: Vec<_> = boxes
        .into_iter()
        .map(|mailbox| {
            let bell = Arc::clone(mailbox.bell());
            start(config("bouncer"), bell, move |_| Bouncer { mailbox, until: 10_000 }).unwrap()
        })
        .collect();
    handles.into_iter().for_each(|starting| starting.wait().unwrap().join());
}

/// Echoes until so many connections have ended, then stops.
struct Echo {
    connections: Vec<Descriptor>,
    left: usize,
}

impl ShardLoop for Echo {
    fn turn(&mut self, ring: &mut Ring, completions: &mut Vec<Completion>) -> Turn {
        for completion in completions.drain(..) {
            match completion {
                Completion::Accepted { result, .. } => {
                    let connection = ring.adopt(result.unwrap()).unwrap();
                    ring.receive(Token(self.connections.len() as u64), connection);
                    self.connections.push(connection);
                }
                Completion::Received { token, result } => {
                    let bytes = result.unwrap();
                    let connection = self.connections[token.0 as usize];
                    if bytes.is_empty() {
                        ring.close(token, connection);
                    } else {
                        ring.send(token, connection, vec![bytes]);
                    }
                }
                Completion::Sent { token, .. } => {
                    ring.receive(token, self.connections[token.0 as usize]);
                }
                Completion::Closed { .. } => self.left -= 1,
                other => panic!("unexpected {other:?}"),
            }
        }
        if self.left == 0 { Turn::Stop } else { Turn::Idle }
    }

    fn is_idle(&self) -> bool {
        true
    }
}

#[test]
fn a_parked_shard_is_woken_by_its_ring() {
    let listener = listen_on("127.0.0.1:0".parse().unwrap(), 16).unwrap();
    let address = local_address(&listener).unwrap();
    let bell = Arc::new(Bell::new().unwrap());
    let shard = start(config("echo"), bell, move |setup: ShardSetup<'_>| {
        let listener = setup.ring.adopt(listener).unwrap();
        setup.ring.accept(Token(u64::MAX), listener);
        Echo { connections: Vec::new(), left: 3 }
    })
    .and_then(StartingShard::wait)
    .unwrap();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(address).unwrap();
        for round in 0..200_u32 {
            stream.write_all(&round.to_be_bytes()).unwrap();
            let mut answer = [0; 4];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(u32::from_be_bytes(answer), round);
        }
    }
    shard.join();
}

/// Turns as fast as it can until its background work, which must get a share, is done.
struct Busy {
    turns: u64,
    slices_left: u32,
    results: mpsc::Sender<u64>,
}

impl ShardLoop for Busy {
    fn turn(&mut self, ring: &mut Ring, completions: &mut Vec<Completion>) -> Turn {
        completions.clear();
        ring.nop(Token(0));
        self.turns += 1;
        if self.slices_left == 0 {
            self.results.send(self.turns).unwrap();
            return Turn::Stop;
        }
        Turn::Busy
    }

    fn is_idle(&self) -> bool {
        true
    }

    fn has_background(&self) -> bool {
        self.slices_left > 0
    }

    fn background(&mut self, _ring: &mut Ring) {
        self.slices_left -= 1;
    }
}

#[test]
fn background_slices_get_a_share_of_a_busy_shard() {
    let (results, receiver) = mpsc::channel();
    let bell = Arc::new(Bell::new().unwrap());
    let shard = start(config("busy"), bell, move |_| Busy { turns: 0, slices_left: 20, results })
        .and_then(StartingShard::wait)
        .unwrap();
    assert!(receiver.recv().unwrap() > 20, "most of the time is the foreground's");
    shard.join();
}

/// Sleeps; a deadline, then its background, then a helper's result wake it in turn.
struct Sleeper {
    helper: BlockingHelper<u32>,
    background: bool,
    seen: mpsc::Sender<&'static str>,
}

impl ShardLoop for Sleeper {
    fn turn(&mut self, ring: &mut Ring, completions: &mut Vec<Completion>) -> Turn {
        for completion in completions.drain(..) {
            match completion {
                Completion::DeadlineReached => {
                    self.seen.send("deadline").unwrap();
                    self.background = true;
                }
                Completion::Nop { .. } => {
                    self.seen.send("nop").unwrap();
                    self.helper.submit(|| 7);
                }
                other => panic!("unexpected {other:?}"),
            }
        }
        let _ = ring;
        let mut result = None;
        self.helper.drain(|number| result = Some(number));
        match result {
            None => Turn::Idle,
            Some(number) => {
                assert_eq!(number, 7);
                self.seen.send("helper").unwrap();
                Turn::Stop
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.helper.is_idle()
    }

    fn has_background(&self) -> bool {
        self.background
    }

    fn background(&mut self, ring: &mut Ring) {
        self.background = false;
        self.seen.send("background").unwrap();
        // The next turn must see what a slice submits.
        ring.nop(Token(1));
    }
}

#[test]
fn deadlines_slices_and_helpers_wake_a_parked_shard() {
    let (seen, receiver) = mpsc::channel();
    let bell = Arc::new(Bell::new().unwrap());
    let shard = start(config("sleeper"), bell, move |setup: ShardSetup<'_>| {
        setup.ring.set_deadline(Some(Monotonic::read() + Duration::from_millis(3)));
        let helper = BlockingHelper::start("helper", 2, Arc::clone(setup.bell)).unwrap();
        Sleeper { helper, background: false, seen }
    })
    .and_then(StartingShard::wait)
    .unwrap();
    shard.join();
    let order: Vec<_> = receiver.iter().collect();
    assert_eq!(order, ["deadline", "background", "nop", "helper"]);
}

#[test]
fn a_shard_that_cannot_start_says_why() {
    let bell = Arc::new(Bell::new().unwrap());
    let nowhere = ShardConfig { placement: Placement::Fixed(100_000), ..config("nowhere") };
    let error = start(nowhere, Arc::clone(&bell), |_| Bouncer { mailbox: mailbox(), until: 0 });
    let error = error.and_then(StartingShard::wait);
    assert!(error.unwrap_err().to_string().contains("executor"));
    let no_memory = ShardConfig { memory_bytes: 0, ..config("no-memory") };
    let error = start(no_memory, bell, |_| Bouncer { mailbox: mailbox(), until: 0 });
    let error = error.and_then(StartingShard::wait);
    assert!(error.unwrap_err().to_string().contains("memory"));
}

#[test]
fn a_pinned_shard_runs_on_its_cpu() {
    let bell = Arc::new(Bell::new().unwrap());
    let pinned = ShardConfig { placement: Placement::Fixed(0), ..config("pinned") };
    let mut boxes = mesh(1, 1).unwrap();
    boxes[0].post(0, 1);
    let mailbox = boxes.remove(0);
    let (cpus, receiver) = mpsc::channel();
    let shard = start(pinned, bell, move |_| {
        cpus.send(thread::available_parallelism().unwrap().get()).unwrap();
        Bouncer { mailbox, until: 0 }
    })
    .and_then(StartingShard::wait)
    .unwrap();
    assert_eq!(receiver.recv().unwrap(), 1);
    shard.join();
}

fn mailbox() -> Mailbox<u64> {
    mesh(1, 1).unwrap().remove(0)
}
