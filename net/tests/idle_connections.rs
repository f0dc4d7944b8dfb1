//! What an idle connection costs the core. A test binary of its own, because it reads the process's
//! memory.

#![cfg(test)]

use std::fs;

use bytes::Bytes;
use net::{ConnectionId, Connections, Limits, ListenerId, NetEvent, NetOutput, Sequence};
use runtime::clock::Monotonic;
use runtime::memory::Arena;

/// More than a node has, so that pages and the allocator's own needs do not show.
const CONNECTIONS: u32 = 20_000;
/// What limits.rs counts on.
const BYTES_MAX: usize = 1_024;

fn resident_bytes() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let kib: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1_024
}

#[test]
fn an_idle_connection_costs_less_than_a_kibibyte() {
    let limits = Limits { connections_max: 20_000, ..Limits::default() };
    let mut connections = Connections::new(limits, Arena::new(2 << 20).unwrap());
    let mut out = NetOutput::default();
    let now = Monotonic(0);
    let data = Bytes::from_static(&[0, 0, 0, 4, 1, 2, 3, 4]);
    let mut turn = |from: u32, to: u32| {
        for connection in (from..to).map(|slot| ConnectionId::new(slot, 1)) {
            let peer = "192.0.2.1:4000".parse().unwrap();
            let opened = NetEvent::Opened { connection, listener: ListenerId(0), peer };
            connections.on_event(now, opened, &mut out);
            connections.finish_batch(now, &mut out);
            // Each has served a request before it fell idle.
            let received = NetEvent::Received { connection, data: data.clone() };
            connections.on_event(now, received, &mut out);
            let parts = vec![Bytes::from_static(b"response")];
            connections.respond(now, connection, Sequence(0), parts, &mut out);
            connections.finish_batch(now, &mut out);
            connections.on_event(now, NetEvent::Sent { connection, bytes: 8 }, &mut out);
            connections.finish_batch(now, &mut out);
            out.effects.clear();
            out.frames.clear();
        }
    };
    turn(0, 100);
    let before = resident_bytes();
    turn(100, CONNECTIONS);
    let cost = (resident_bytes() - before) / usize::try_from(CONNECTIONS - 100).unwrap();
    println!("{cost} bytes for an idle connection");
    assert!(cost <= BYTES_MAX, "{cost} bytes for an idle connection");
    connections.invariants();
    assert_eq!(connections.len(), usize::try_from(CONNECTIONS).unwrap());
}
