//! A ring where others of the same user have locked nearly all that may be locked: it has shorter queues
//! and loses nothing. A test binary of its own, because the limit is the process's. Whoever may lock
//! without limit (root) sees long queues here.

#![expect(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

#[path = "ring/bench.rs"]
#[allow(dead_code, reason = "shared with tests that need more of it")]
mod bench;

use std::fs::OpenOptions;

use bytes::Bytes;
use runtime::locked_memory::ring_share;
use runtime::ring::{Completion, RingConfig, Token, WriteData, WriteRequest};
use rustix::process::{Resource, Rlimit, setrlimit};

use bench::Bench;

#[test]
fn rings_share_what_may_be_locked_and_complete_all_the_same() {
    const OPERATIONS: u64 = 4096;
    const RINGS: u64 = 10;
    let locked = Some(512 << 10);
    setrlimit(Resource::Memlock, Rlimit { current: locked, maximum: locked }).unwrap();
    let config = RingConfig {
        operations_max: 1 << 14,
        locked_bytes_max: ring_share(locked, RINGS),
        ..RingConfig::default()
    };
    let mut rings: Vec<Bench> = (0..RINGS).map(|_| Bench::with(&config)).collect();
    let last = rings.last_mut().unwrap();
    let sink = OpenOptions::new().write(true).open("/dev/null").unwrap();
    let sink = last.ring.adopt(sink.into()).unwrap();
    for number in 0..OPERATIONS {
        let data = WriteData::Parts(vec![Bytes::from_static(b"gone")]);
        last.ring.write(Token(number), sink, WriteRequest { position: 0, data, durable: false });
    }
    let mut done: Vec<u64> = (0..OPERATIONS)
        .map(|_| match last.next() {
            Completion::Written { token, result: Ok(()), .. } => token.0,
            other => panic!("{other:?}"),
        })
        .collect();
    done.sort_unstable();
    assert!(done.into_iter().eq(0..OPERATIONS));
}
